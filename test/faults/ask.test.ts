/**
 * A real Node-RED is killed while a run waits for a person: while it asks, while nothing happens, while it is answered. Judged by what the stub platform
 * saw: each question once, each answer used once, by the run that asked and by no other, and the chat goes on.
 *
 *     npx mocha test/faults/ask.test.ts                                10 kills
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …                 200 kills
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { gateway, on, tab } from "../rigs/home.ts";
import { type FlowNode, projectRoot, startNodeRed, USUAL } from "../rigs/node-red.ts";
import { until } from "../kit/scripted.ts";
import { startStub } from "./child.ts";
import { dice } from "./rounds.ts";
import type { Entry } from "./stubs/log.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
const ROUNDS = full ? 200 : 10;
/** A platform that honours a key and pushes, and one where one can look and that is polled: on both nothing may be seen twice. */
const BOTS = ["key", "evidence"] as const;
const PHASES = ["while it asks", "while it waits", "while it is answered"] as const;

const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const flow = (platform: string): FlowNode[] => [
  tab, gateway,
  ...BOTS.map((bot) => ({ id: `acc-${bot}`, type: "clawflow-account", name: bot, gateway: "gw", slug: bot, channel: `fault-${bot}`, policy: "open", version: 1, settings: { api: `${platform}/bot/${bot}`, inbound: bot === "key" ? "webhook" : "poll" } })),
  on("in", "clawflow-channel-in", { gateway: "gw", version: 1 }, ["pick"], []),
  func("pick", "return msg.payload.startsWith('ask ') ? [msg, null] : [null, msg];", ["ask"], ["heard"]),
  on("ask", "clawflow-ask", { gateway: "gw", version: 1, question: "question {{ payload }}", kind: "text", who: "sender", timeout: 0 }, ["answered"], [], []),
  func("answered", "msg.payload = 'end of ' + msg.message.text + ': ' + msg.payload; return msg;", ["out"]),
  func("heard", "msg.payload = 'heard ' + msg.payload; return msg;", ["out"]),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1 }, []),
];

describe("a kill while a question waits", function () {
  this.timeout(full ? 0 : 300_000);

  it(`loses no answer, asks nothing twice and uses nothing twice (seed ${seed})`, async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "clawflow-ask-"));
    const platform = await startStub("platform", path.join(folder, "platform.log"));
    const red = await startNodeRed({ core: USUAL, flows: flow(platform.url), packages: [path.join(projectRoot, "test/plugins/fault-channels")], env: { NODE_COMPILE_CACHE: path.join(folder, "compiled") }, settings: { disableEditor: true } });
    const random = dice(seed);
    try {
      await platform.control("hook", { bot: "key", url: `${red.url}/clawflow/home/key` });
      const shown = async (): Promise<Entry[]> => (await platform.entries()).filter(({ what }) => what === "shown");
      const texts = async () => (await shown()).map(({ text }) => String(text));
      const told = async () => `${JSON.stringify((await texts()).slice(-8))}\n${red.lines.slice(-12).join("\n")}`;
      const seen = (list: readonly string[]) => until(async () => { const now = await texts(); return list.every((text) => now.includes(text)); }, `all of ${JSON.stringify(list)}`, 60_000).catch(async (error: Error) => assert.fail(`${error.message}, seen ${await told()}`));
      const expected: string[] = [];
      let ids = 0;
      const say = (of: (bot: string) => string[]) => platform.control("say", { messages: BOTS.flatMap((bot) => of(bot).map((text) => ({ bot, chat: "c", from: "u", id: `m${++ids}`, text, copies: random() < 0.3 ? 3 : 1 }))) });
      const kill = async (withinMs: number) => {
        await new Promise((resolve) => { setTimeout(resolve, random() * withinMs); });
        await red.kill();
      };
      for (let round = 0; round < ROUNDS; round++) {
        const phase = PHASES[Math.floor(random() * PHASES.length)];
        const questions = BOTS.map((bot) => `question ask ${bot} ${round}`);
        const ends = BOTS.flatMap((bot) => [`end of ask ${bot} ${round}: answer ${bot} ${round}`, `heard after ${bot} ${round}`]);
        expected.push(...questions, ...ends);
        await say((bot) => [`ask ${bot} ${round}`]);
        if (phase === "while it asks") { await kill(150); await red.start(); }
        await seen(questions);
        if (phase === "while it waits") { await kill(300); await red.start(); }
        // The platform brings them in their order: the first is the answer, the second is not.
        await say((bot) => [`answer ${bot} ${round}`, `after ${bot} ${round}`]);
        if (phase === "while it is answered") { await kill(200); await red.start(); }
        await seen(ends);
      }
      const counts = async () => (await red.admin<{ counts: { received: number; done: number; dead: number; pending: number } }>("GET", "/clawflow/gateway/gw")).counts;
      await until(async () => (await counts()).pending === 0, "the end of all messages", 30_000);
      assert.deepEqual((await texts()).sort(), expected.sort(), "each of them once, and nothing else");
      const acked = (await platform.entries()).filter(({ what }) => what === "acked").length;
      assert.deepEqual(await counts(), { ...await counts(), received: ids, done: ids, dead: 0, pending: 0 });
      assert.equal(acked, ids, "every message was confirmed");
    } finally {
      await red.remove();
      await platform.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
