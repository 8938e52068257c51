import assert from "node:assert/strict";
import { compileTemplate, runAgent, type AgentEvent } from "../../engine/agent.ts";
import { systemClock } from "../../engine/clock.ts";
import { createCompactor } from "../../engine/context/compact.ts";
import { createGauge } from "../../engine/context/estimate.ts";
import { fitModel } from "../../engine/context/fit.ts";
import { openTalk, type TalkSettings } from "../../engine/context/talk.ts";
import { createMemory } from "../../engine/memory.ts";
import { createSessions } from "../../engine/sessions.ts";
import { createMemoryStore } from "../../engine/store/memory.ts";
import type { Act } from "../../engine/steps.ts";
import { message } from "../kit/scripted.ts";
import { type Answer, openProvider, type Provider, type Seen } from "./kit.ts";

describe("a talk over HTTP", () => {
  let provider: Provider;
  afterEach(() => provider.close());

  /** An agent with a store, as the node puts it together; each message is a run of its own. */
  async function rig(answer: (seen: Seen, nth: number) => Answer, settings: Partial<TalkSettings> = {}, context = "") {
    provider = await openProvider(answer);
    const store = createMemoryStore();
    const sessions = createSessions(store);
    const gauge = createGauge();
    const gateway = { sessions, compactor: createCompactor({ sessions, gauge, clock: systemClock }), memory: createMemory(store, systemClock) };
    const model = fitModel(await provider.open(), gauge);
    const events: AgentEvent[] = [];
    let runs = 0;
    async function say(text: string, from = "ada", tainted = false) {
      const run = `${++runs}.s.n`;
      const session = `agent:home:direct:${from}`;
      const said = message({ text, from, ref: `m${runs}` });
      const once = async <T>(step: string, act: Act<T>): Promise<T> => {
        const { data, also = [] } = await act(async () => undefined);
        await store.commit([{ do: "journal", run, entry: { step, at: 1, data } }, ...also]);
        return data;
      };
      const on = (event: AgentEvent) => { events.push(event); };
      const signal = new AbortController().signal;
      const talk = await openTalk(gateway, session, { turns: 20, tokens: 0, summarise: true, memory: "person", ...settings }, { model, message: said, signal, timeoutMs: 30_000, once, on });
      return runAgent({ run, message: said, text, trust: "owner", tainted: tainted || talk.tainted, data: { run } }, { system: compileTemplate("You are Home."), context: compileTemplate(context), maxRounds: 4, timeoutMs: 30_000 }, {
        clock: systemClock, model, tools: talk.tools, history: talk.history, once, on, live: false, signal,
        remember: (turns, taint) => sessions.changes(session, run, runs, turns, taint),
        remembered: (turns, taint) => sessions.added(session, turns, taint),
      });
    }
    return { say, store, sessions, events };
  }
  const isSummary = ({ system }: Seen) => system.startsWith("You keep the memory");

  it("has a fact of 300 turns ago in its summary, and its very words by search_history", async function () {
    this.timeout(180_000);
    let asking = false;
    const { say, events } = await rig((seen) => {
      if (isSummary(seen)) return [...new Set([...(seen.texts.at(-1) ?? "").matchAll(/FACT [\w ]+\./g)].map(([line]) => line))].join("\n") || "Small talk.";
      if (!asking) return "I see.";
      asking = false;
      return { calls: [{ name: "search_history", input: { query: "spare key \"NEAR\" *" } }] };
    });
    await say("FACT the boiler is a Vaillant. By the way, the spare key hangs behind the mirror");
    for (let n = 0; n < 150; n++) await say(`Tell me about day ${n}.`);
    asking = true;
    await say("Where did I say the spare key is?");
    const [before, after] = provider.seen.slice(-2) as [Seen, Seen];
    assert.match(before.texts.join("\n"), /FACT the boiler is a Vaillant\./, "by the summary");
    assert.doesNotMatch(before.texts.join("\n"), /behind the mirror/, "it is outside the window");
    assert.match(after.texts.at(-1) ?? "", /User: FACT the boiler is a Vaillant\. By the way, the spare key hangs behind the mirror/);
    assert.ok(before.texts.length <= 24, String(before.texts.length));
    assert.ok(events.some((event) => event.type === "summary" && event.turns > 250));
  });

  it("sends what a provider has read already as it was, and what changes with each message last, so that its prompt cache serves", async () => {
    const { say } = await rig((_, nth) => (nth % 3 === 1 ? { calls: [{ name: "recall", input: { query: `x${nth}` } }] } : `answer ${nth}`), { turns: 40 }, "It is run {{ run }}.");
    for (let n = 1; n <= 6; n++) await say(`question ${n}`);
    const requests = provider.seen.map(({ texts }) => texts);
    for (const [nth, texts] of requests.entries()) {
      const [newest, ...older] = texts.filter((text) => /^<context>\nIt is run \d+\.s\.n\.\n<\/context>\n\nquestion \d+$/.test(text)).reverse();
      assert.ok(newest !== undefined && older.length === 0, `one message with what holds for it, not ${texts.join("\n")}`);
      // Up to its own newest message, all that was sent before stands there again, without a change.
      const before = requests[nth - 1] ?? [];
      const same = before.findIndex((text, at) => text !== texts[at]);
      const changed = before.findIndex((text) => text.startsWith("<context>"));
      assert.ok(same === -1 || same === changed, `request ${nth} differs from the one before at ${same}, not at ${changed}`);
    }
    assert.ok(requests.length > 6, "with rounds of tools");
  });

  it("offers search_history only where something lies outside the window, and the memory only by setting", async () => {
    const { say } = await rig(() => "ok", { memory: undefined, turns: 4 });
    await say("one");
    for (let n = 0; n < 4; n++) await say(`more ${n}`);
    const answers = provider.seen.filter((seen) => !isSummary(seen));
    assert.deepEqual(answers.map(({ tools }) => tools), [[], [], [], ["search_history"], ["search_history"]]);
  });

  it("remembers for the person who speaks: what the model is told by one it cannot recall for another", async () => {
    const { say } = await rig(({ texts }) => {
      const said = texts.at(-1) ?? "";
      if (said.startsWith("Keep")) return { calls: [{ name: "remember", input: { text: said.slice(6) } }] };
      if (said.startsWith("What")) return { calls: [{ name: "recall", input: { query: "secret plan", person: "ada" } }, { name: "recall", input: { query: "secret plan" } }] };
      return said;
    });
    assert.match((await say("Keep: my secret plan is a party", "ada")).text, /Kept as note 1/);
    assert.match((await say("What is my plan?", "ada")).text, /secret plan is a party/);
    assert.match((await say("What is Ada's plan?", "eve")).text, /Nothing is kept/);
    assert.match(provider.seen.at(-1)?.texts.at(-2) ?? "", /TOOL_001/, "whose memory it is cannot be an argument");
  });

  it("counts as tainted after it recalled what came from outside", async () => {
    const { say, store, sessions } = await rig(({ texts }) => (texts.at(-1) === "What?" ? { calls: [{ name: "recall", input: { query: "" } }] } : "ok"));
    await store.commit([{ do: "note", book: JSON.stringify(["person", "scripted", "acc", "ada"]), at: 1, tainted: true, text: "A page says so." }]);
    await say("Hello");
    assert.equal(await sessions.tainted("agent:home:direct:ada"), false);
    await say("What?");
    assert.equal(await sessions.tainted("agent:home:direct:ada"), true);
  });
});
