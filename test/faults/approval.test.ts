/**
 * A real Node-RED is killed while a tool's call waits for an owner's approval: while it asks, while nothing happens, while it is answered. Judged by what the stub
 * platform saw: each approval asked once, and answerable after the restart; the tool's effect once at most, exactly once where no kill came after the answer.
 *
 *     npx mocha test/faults/approval.test.ts                                4 kills
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …                     100 kills
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

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
/** A gateway asks no more than ten times an hour: then a new one takes over. */
const HOUSES = full ? 10 : 1;
const ROUNDS = full ? 10 : 4;
const BOTS = ["key", "evidence"] as const;
const PHASES = ["while it asks", "while it waits", "while it is answered"] as const;

const flow = (platform: string, model: string): FlowNode[] => [
  tab, gateway,
  ...BOTS.map((bot) => ({ id: `acc-${bot}`, type: "clawflow-account", name: bot, gateway: "gw", slug: bot, channel: `fault-${bot}`, policy: "open", version: 1, settings: { api: `${platform}/bot/${bot}`, inbound: bot === "key" ? "webhook" : "poll" } })),
  { id: "model", type: "clawflow-model", name: "Stub", gateway: "gw", provider: "openai", model: "stub", baseUrl: `${model}/v1`, credentials: { key: "sk-stub-of-the-fault-tests" }, version: 1 },
  on("in", "clawflow-channel-in", { gateway: "gw", version: 1 }, ["agent"], []),
  on("agent", "clawflow-agent", { gateway: "gw", model: "model", system: "Answer.", agentId: "agent", history: 20, version: 1 }, ["out"], []),
  on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1 }, []),
  on("tool", "clawflow-tool", { gateway: "gw", tool: "note_it", description: "Notes it", params: [{ name: "id", type: "string", required: true }], risk: "write", shared: true, timeoutSeconds: 30, version: 1 }, ["effect"]),
  on("effect", "http request", { method: "POST", ret: "obj", paytoqs: "ignore", url: `${platform}/effect`, tls: "", persist: false, senderr: true, headers: [] }, ["done"]),
  on("done", "clawflow-tool-out", { field: "payload", fieldType: "msg", version: 1 }),
];

describe("a kill while an approval waits", function () {
  this.timeout(full ? 0 : 600_000);

  it(`asks once, takes the answer once, and does it once (seed ${seed})`, async () => {
    const random = dice(seed);
    const done = { rounds: 0, effects: 0, unknown: 0 };
    for (let house = 0; house < HOUSES; house++) {
      const folder = mkdtempSync(path.join(tmpdir(), "clawflow-approval-"));
      const platform = await startStub("platform", path.join(folder, "platform.log"));
      const model = await startStub("model", path.join(folder, "model.log"));
      const red = await startNodeRed({ core: USUAL, flows: flow(platform.url, model.url), packages: [path.join(projectRoot, "test/plugins/fault-channels")], env: { NODE_COMPILE_CACHE: path.join(folder, "compiled") }, settings: { disableEditor: true } });
      try {
        await platform.control("hook", { bot: "key", url: `${red.url}/clawflow/home/key` });
        const of = async (what: string) => (await platform.entries()).filter((entry) => entry.what === what);
        const texts = async () => (await of("shown")).map(({ text }) => String(text));
        const effectsOf = async (id: string) => (await of("effect")).filter((entry) => entry.id === id).length;
        const wait = (what: string, test: () => Promise<boolean>) => until(test, what, 120_000).catch(async (error: Error) => assert.fail(`${error.message}, seen ${JSON.stringify((await texts()).slice(-6))}\n${red.lines.slice(-10).join("\n")}`));
        let ids = 100 * house;
        const say = (bot: string, chat: string, text: string, id = `m${++ids}`) => platform.control("say", { messages: [{ bot, chat, from: chat, id, text, copies: random() < 0.3 ? 2 : 1 }] });
        const kill = async (withinMs: number) => { await new Promise((resolve) => { setTimeout(resolve, random() * withinMs); }); await red.kill(); await red.start(); };
        const { ownerCode = "" } = await red.admin<{ ownerCode?: string }>("GET", "/clawflow/gateway/gw/owner-code");
        await say("key", "boss", ownerCode);
        await wait("the owner", async () => (await texts()).includes("owner claimed"));
        for (let round = 0; round < ROUNDS; round++) {
          const phase = PHASES[(round + Math.floor(random() * 3)) % PHASES.length];
          const bot = BOTS[round % BOTS.length] as string;
          const id = `m${++ids}`;
          const question = async () => (await texts()).filter((text) => text.includes(`id: "${id}"`));
          await say(bot, "u", `tool ${id}`, id);
          if (phase === "while it asks") await kill(300);
          await wait(`the question about ${id}`, async () => (await question()).length > 0);
          if (phase === "while it waits") await kill(300);
          assert.equal(await effectsOf(id), 0, `${id} was done before it was approved`);
          const code = /\/approve ([0-9A-Z]{4})/.exec((await question())[0] ?? "")?.[1] ?? assert.fail("a question without a code");
          await say("key", "boss", `/approve ${code}`);
          if (phase === "while it is answered") await kill(400);
          await wait(`the answer to ${id}, killed ${phase}`, async () => (await texts()).some((text) => text.includes(`a:${id}:1/1`)));
          const effects = await effectsOf(id);
          if (phase === "while it is answered") assert.ok(effects <= 1, `${id} was done ${effects} times`);
          else assert.equal(effects, 1, `${id}, killed ${phase}`);
          if (effects === 0) assert.match(String((await model.entries()).findLast((entry) => entry.what === "asked" && entry.id === id && entry.told !== undefined)?.told), /TOOL_005/, "the model was told that nobody knows");
          await say("key", "boss", `/approve ${code}`);
          await wait("that the code is used up", async () => (await texts()).some((text) => text.includes(`: ${code}`)));
          assert.deepEqual([await effectsOf(id), (await question()).length, (await texts()).filter((text) => text.includes(`a:${id}:1/1`)).length], [effects, 1, 1], `${id}: effects, questions, answers`);
          done.rounds++;
          done.effects += effects;
          done.unknown += 1 - effects;
        }
        await wait("the end of all messages", async () => (await red.admin<{ counts: { pending: number } }>("GET", "/clawflow/gateway/gw")).counts.pending === 0);
      } finally {
        await red.remove();
        await platform.close();
        await model.close();
        rmSync(folder, { recursive: true, force: true });
      }
    }
    console.log(`      ${JSON.stringify(done)}`);
  });
});
