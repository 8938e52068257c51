/**
 * F48, F55, F56, in one real Node-RED: nodes and credentials that change under a run, a tool whose flow does not answer as it should, a message that ends the process each time.
 *
 *     npx mocha test/faults/poison.test.ts                   each once
 *     CLAWFLOW_FAULTS=full npx mocha …                       also a poison that takes all memory, and an answer that met the old token
 */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { FlowNode } from "../rigs/project.ts";
import type { Finding, Kill } from "./judge.ts";
import { buildFaultPackage, type FaultRig, startFaultRig } from "./rig.ts";
import { monotonicMs } from "./stubs/log.ts";
import { ended, findings, linesOf, opened, put, shownIn, startAgain, until, workFlow } from "./work.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
const LOST = "Sorry, your message could not be handled.";
const UNSENT = "Sorry, an answer could not be delivered here.";

describe("what goes wrong in a flow", function () {
  this.timeout(600_000);
  let rig: FaultRig;
  let flows: FlowNode[];
  /** Messages that must not be answered, each with the notice its chat got instead. */
  const given = new Map<string, string>();
  const kills: Kill[] = [];
  let deadRows = 0;

  before(async function () {
    this.timeout(300_000);
    buildFaultPackage();
    rig = await startFaultRig({ seed, env: { NODE_OPTIONS: "--max-old-space-size=160" } });
    flows = workFlow(rig.flows, { notice: "chat" });
    await put(rig, flows);
  });
  after(async () => { await rig?.[Symbol.asyncDispose](); });

  const notices = async (chat: string): Promise<string[]> => shownIn(await rig.world.seen(), chat).filter((text) => !/a:m\d+:/.test(text));
  /** Everything but what was given up is answered. */
  async function settled(): Promise<void> {
    try {
      await until(async () => (await rig.world.open()).every((id) => given.has(id)), "all others to be answered", 90_000);
    } catch (error) {
      const open = (await rig.world.open()).filter((id) => !given.has(id));
      throw new Error(`${(error as Error).message}:\n${(await Promise.all(open.map((id) => rig.world.story(id, kills)))).join("\n")}\n${linesOf(rig, /Dead letter|\[error\]/).join("\n")}`);
    }
  }
  async function givenUp(id: string, chat: string, notice: string): Promise<void> {
    given.set(id, notice);
    await until(async () => (await notices(chat)).length >= 1, `a notice in ${chat}`);
    await settled();
    assert.deepEqual(await notices(chat), [notice]);
  }
  async function deploy(changed: readonly FlowNode[]): Promise<void> {
    await rig.deploy(changed, "full");
    await opened(rig);
  }
  const change = (id: string, fields: object): FlowNode[] => flows.map((node) => (node.id === id ? { ...node, ...fields } : node));
  const without = (...ids: string[]): FlowNode[] => flows.filter(({ id }) => !ids.includes(id));

  describe("F56: a tool's flow", () => {
    it("that never answers, answers twice, late, or to another call: one result, the rest is ignored and told", async () => {
      const ways = ["never", "twice", "late", "strange", ""];
      const all = [...ways, ...ways];
      const from = rig.red.lines.length;
      const ids = await rig.say(all.map((way, at) => ({ bot: (["key", "evidence", "none"] as const)[at % 3] ?? "key", chat: `tool-${at}`, text: `tool ${way}`.trim() })));
      await settled();
      const told = (await rig.world.model.entries()).filter(({ what, told: text }) => what === "asked" && text !== undefined);
      for (const [at, way] of all.entries()) {
        const texts = told.filter(({ id }) => id === ids[at]).map(({ told: text }) => String(text));
        assert.equal(texts.length, 1, `${way}: the model was told ${texts.length} times`);
        assert.match(texts[0] ?? "", ["never", "late", "strange"].includes(way) ? /TOOL_005/ : new RegExp(`"noted":"${ids[at]}"`), way);
      }
      // The late answer comes a second after the time was over.
      const ignored = () => linesOf(rig, /\[TOOL_002\] A tool's flow answered a second time, or after its time had run out/, from).length;
      await until(() => ignored() >= 6, "word of the ignored answers");
      assert.equal(ignored(), 6, "twice, late and strange, two of each");
      assert.deepEqual((await rig.world.seen()).filter(({ text }) => /the second answer|the late answer|an answer to nobody/.test(String(text))), []);
      // The next calls of the same tool are none the worse.
      await rig.say([{ bot: "key", chat: "tool-0", text: "tool" }, { bot: "none", chat: "tool-2", text: "tool" }]);
      await settled();
    });
  });

  describe("F48: under a run", () => {
    for (const [how, gone] of [["deleted", () => without("in")], ["disabled", () => change("in", { d: true })]] as const) {
      it(`its channel in is ${how}: a dead letter with a notice; what still waited is answered when there is one again`, async () => {
        const chat = `${how}-1`;
        const lines = linesOf(rig, /Dead letter/).length;
        await rig.meet([{ bot: "key", chat }]);
        await rig.holdAt("before-model");
        const [id = ""] = await rig.say([{ bot: "key", chat }]);
        assert.ok(await rig.held());
        await rig.say([{ bot: "key", chat }]);
        await deploy(gone());
        await rig.release();
        await until(async () => (await notices(chat)).length > 0, "the notice");
        await deploy(flows);
        await givenUp(id, chat, LOST);
        assert.deepEqual(linesOf(rig, /Dead letter/).slice(lines).map((line) => line.replace(/^.*Dead letter/, "")), [`: a message of key, chat ${chat}: its channel in was removed while it was under way`]);
      });
    }

    it("agent and channel out are deleted behind an answer that is on disk: it is said", async () => {
      await rig.holdAt("after-outbox");
      const [id = ""] = await rig.say([{ bot: "evidence", chat: "outless", text: "long" }]);
      assert.ok(await rig.held());
      await deploy(without("agent", "out"));
      await rig.release();
      await until(async () => shownIn(await rig.world.seen(), "outless").length >= 3, "the answer");
      await deploy(flows);
      await settled();
      assert.ok(!given.has(id));
    });

    it("its account is deleted: the answer is not sent late when the account is back, its chat is told", async () => {
      await deploy(change("gw", { staleMinutes: 0.05 }));
      await rig.meet([{ bot: "none", chat: "homeless" }]);
      await rig.holdAt("after-outbox");
      const [id = ""] = await rig.say([{ bot: "none", chat: "homeless" }]);
      assert.ok(await rig.held());
      await deploy(without("acc-none"));
      await rig.release();
      await pause(3_500);
      assert.deepEqual(shownIn(await rig.world.seen(), "homeless"), []);
      await deploy(flows);
      deadRows++;
      await givenUp(id, "homeless", UNSENT);
    });

    it("its token is replaced: the answer goes out with the new one", async () => {
      const { token } = await rig.world.telegram.control<{ token: string }>("about");
      const next = token.replace("AAHtest", "AAHnext");
      await rig.holdAt(full ? "after-sending" : "before-outbox");
      await rig.say([{ bot: "telegram", chat: "7009" }]);
      assert.ok(await rig.held());
      await rig.world.telegram.control("token", { token: next });
      // Handed over with the old token it is refused, and waits for a minute.
      if (full) { await rig.release(); await pause(2_000); }
      await rig.red.deploy(flows.map(({ credentials: _, ...node }) => ({ ...node, ...(node.id === "acc-telegram" ? { credentials: { token: next } } : {}) }) as FlowNode), "full");
      await opened(rig);
      await rig.release();
      await rig.say([{ bot: "telegram", chat: "7010" }]);
      await until(async () => (await rig.world.open()).every((id) => given.has(id)), "both to be answered", 90_000);
    });
  });

  describe("F55: a message that ends the process each time", () => {
    for (const [at, poison] of (full ? ["poison", "hog"] : ["poison"]).entries()) {
      it(`by "${poison}" has three tries, is a dead letter once, and holds up neither its chat nor others`, async () => {
        const chat = `${poison}-1`;
        const lines = linesOf(rig, /Dead letter/).length;
        const tries = linesOf(rig, /Dead letter.*interrupted tries/).length;
        const before = await rig.counts();
        // Slow ones in other chats are under way each time it dies: they are not to blame.
        const others = [{ bot: "evidence", chat: "evidence-1", text: "slow" }, { bot: "none", chat: "none-1", text: "slow" }, { bot: "telegram", chat: String(7011 + at), text: "slow" }, { bot: "key", chat: "key-2", text: "slow long" }] as const;
        await rig.meet([...others, { bot: "key", chat }, { bot: "key", chat: "key-3" }]);
        const said = rig.say([...others, { bot: "key", chat, text: poison }, { bot: "key", chat }, { bot: "key", chat, text: "tool" }]);
        let deaths = 0;
        const isGivenUp = () => linesOf(rig, /Dead letter.*interrupted tries/).length > tries;
        while (deaths < 8 && (await ended(rig, isGivenUp))) {
          deaths++;
          const t = monotonicMs();
          // Nobody knows to the millisecond when it began to die.
          kills.push({ t: t - 5_000, until: t + 100, point: poison });
          await startAgain(rig);
        }
        const ids = await said;
        assert.equal(deaths, 3, `it died ${deaths} times`);
        await opened(rig);
        await rig.say([{ bot: "key", chat: "key-3" }]);
        await givenUp(ids[others.length] as string, chat, LOST);
        const counts = await rig.counts();
        assert.deepEqual([counts.dead - before.dead, counts.pending, counts.done - before.done], [1, 0, ids.length]);
        assert.deepEqual(linesOf(rig, /Dead letter/).slice(lines).map((line) => line.replace(/^.*Dead letter/, "")), [`: a message of key, chat ${chat}: gave up after 3 interrupted tries`]);
      });
    }
  });

  describe("all in all", () => { it("nothing else is lost, doubled or out of order, and every message is done or a dead letter", async () => {
    const dead = [...given.values()].filter((notice) => notice === LOST).length;
    const isExpected = ({ what, id, text }: Finding) => (what === "lost" && given.has(id ?? "")) || (what === "strange" && [...given.values()].some((notice) => text.endsWith(`"${notice}"`))) || (what === "conservation" && text === `${dead} dead letters`);
    assert.deepEqual(await findings(rig, isExpected, kills), []);
    const { received, done, dead: lost, pending, outbox } = await rig.counts();
    assert.deepEqual([received, pending, lost, outbox.dead], [done + dead, 0, dead, deadRows]);
  }); });
});
