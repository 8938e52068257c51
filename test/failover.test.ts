import assert from "node:assert/strict";
import { type ClawError, type ErrorCode, ModelError, SettingError } from "../engine/errors.ts";
import { type Candidate, failover } from "../engine/failover.ts";
import { createGauge } from "../engine/context/estimate.ts";
import { fitModel } from "../engine/context/fit.ts";
import { createBoard } from "../engine/failover/board.ts";
import { type FaultKind, kindOf, pauseHere, RULES } from "../engine/failover/rules.ts";
import { FRESH, nextStanding, readyAt, RESTS_MS, type Standing, type StandingEvent, stateOf } from "../engine/failover/standing.ts";
import { type Kind, ModelFault } from "../engine/models/faults.ts";
import type { Failover, Model, ModelEvent, ModelRequest, Turn } from "../engine/models/model.ts";
import { manualClock, settle } from "./kit/scripted.ts";
import { ask, user } from "./models/kit.ts";

const fault = (kind: Kind, options: { retry?: "no" | "later"; afterMs?: number } = {}) => new ModelFault(kind, `it is ${kind}`, options);
/** What one request brings: pieces of text, and then the end, a fault, or silence. */
type Reply = { readonly say?: readonly string[]; readonly ends?: Error | "hangs" | "cut" };
interface Scripted extends Model { readonly requests: ModelRequest[] }
function model(replies: Reply[], contextTokens = 1_000): Scripted {
  const requests: ModelRequest[] = [];
  return {
    id: "m", provider: "p", contextTokens, requests,
    async *stream(request, signal): AsyncIterable<ModelEvent> {
      requests.push(request);
      const { say = [], ends } = replies.length > 1 ? replies.shift() as Reply : replies[0] ?? {};
      for (const delta of say) yield { type: "text", delta };
      if (ends instanceof Error) throw ends;
      if (ends === "hangs") await new Promise((_, reject) => { signal.addEventListener("abort", () => reject(signal.reason)); });
      if (ends !== "cut") yield { type: "end", reason: "stop", usage: { input: 1, output: 1 } };
    },
  };
}
const ok = (text: string): Reply => ({ say: [text] });
const bad = (kind: Kind, options?: Parameters<typeof fault>[1]): Reply => ({ ends: fault(kind, options) });

/** `A1` is the first key of model A. */
function rig(models: Readonly<Record<string, Model & { readonly requests?: readonly ModelRequest[] }>>) {
  const clock = manualClock(0);
  const board = createBoard();
  const counted: string[] = [];
  const chain = Object.entries(models).map(([name, one]): Candidate => ({ id: name, group: name[0] as string, name, model: one }));
  const made = failover(chain as [Candidate, ...Candidate[]], { board, clock, random: () => 0.5, count: (name, labels) => { counted.push(`${name.slice(15, -6)} ${labels.code}`); } });
  /** What a reader ends up with; time passes in steps until it is there. */
  async function turn(more: Partial<ModelRequest> = {}, options: { passMs?: number; signal?: AbortSignal } = {}) {
    const started = clock.now();
    let text = "";
    let shown = "";
    const failovers: Failover[] = [];
    let end: ModelEvent | undefined;
    let error: ClawError | undefined;
    let done = false;
    const work = (async () => {
      for await (const event of made.stream(ask({ withinMs: 120_000, ...more }), options.signal ?? new AbortController().signal)) {
        if (event.type === "text") text += event.delta;
        if (event.type === "again") { shown ||= text; text = ""; if (event.failover) failovers.push(event.failover); }
        if (event.type === "end") end = event;
      }
    })().catch((thrown: ClawError) => { error = thrown; }).finally(() => { done = true; });
    await settle();
    while (!done && clock.now() - started < (options.passMs ?? 300_000)) await clock.advance(50);
    if (done) await work;
    return { text, shown, error, failovers: failovers.map(({ from, to, why }) => `${from}>${to} ${why}`), end: end as Extract<ModelEvent, { type: "end" }> | undefined, ms: clock.now() - started, done };
  }
  return { clock, board, counted, turn, asked: () => Object.entries(models).map(([name, { requests = [] }]) => `${name}:${requests.length}`).join(" ") };
}

describe("failover", () => {
  describe("rules", () => {
    // What each kind of fault does to a chain of two keys of A (A1, A2) and one of the larger B: who is asked, whether the first key is asked in the next turn.
    const TABLE: Readonly<Record<FaultKind, { readonly asked: string; readonly state: ReturnType<typeof stateOf>; readonly answers: boolean }>> = {
      "rate limited": { asked: "A1:2 A2:1 B1:0", state: "resting", answers: true },
      overloaded: { asked: "A1:2 A2:0 B1:1", state: "resting", answers: true },
      "no network": { asked: "A1:2 A2:0 B1:1", state: "resting", answers: true },
      "too slow": { asked: "A1:1 A2:0 B1:1", state: "resting", answers: true },
      "bad answer": { asked: "A1:2 A2:0 B1:1", state: "resting", answers: true },
      "wrong address": { asked: "A1:1 A2:0 B1:1", state: "resting", answers: true },
      "unknown model": { asked: "A1:1 A2:1 B1:0", state: "resting", answers: true },
      "key refused": { asked: "A1:1 A2:1 B1:0", state: "out", answers: true },
      "no credit": { asked: "A1:1 A2:1 B1:0", state: "out", answers: true },
      "bad settings": { asked: "A1:1 A2:1 B1:0", state: "out", answers: true },
      "request refused": { asked: "A1:1 A2:0 B1:1", state: "ready", answers: true },
      "too long": { asked: "A1:1 A2:0 B1:1", state: "ready", answers: true },
      "answer refused": { asked: "A1:1 A2:0 B1:0", state: "ready", answers: false },
    };
    for (const [kind, wanted] of Object.entries(TABLE) as [FaultKind, (typeof TABLE)[FaultKind]][]) {
      it(`${kind}: ${JSON.stringify(RULES[kind])}`, async () => {
        const ends = kind === "bad settings" ? new SettingError("CONF_001", {}, "no") : fault(kind);
        const { turn, asked, board, clock } = rig({ A1: model([{ ends }]), A2: model([ok("from A2")]), B1: model([ok("from B1")], 9_000) });
        const { text, error } = await turn();
        assert.equal(asked(), wanted.asked);
        assert.equal(stateOf(board.get("A1"), clock.monotonic()), wanted.state);
        assert.equal(error?.code, wanted.answers ? undefined : "MODEL_006");
        assert.equal(text !== "", wanted.answers);
      });
    }
    it("every code that a model can bring has a kind, also where another class carries it", () => {
      const codes: readonly (readonly [ErrorCode, FaultKind])[] = [
        ["MODEL_001", "no network"], ["MODEL_002", "key refused"], ["MODEL_003", "rate limited"], ["MODEL_004", "overloaded"], ["MODEL_005", "too long"], ["MODEL_006", "answer refused"],
        ["MODEL_007", "bad answer"], ["MODEL_008", "request refused"], ["MODEL_009", "no credit"], ["MODEL_010", "too slow"], ["CONF_001", "bad settings"],
      ];
      for (const [code, kind] of codes) assert.equal(kindOf(new ModelError(code, {})), kind, code);
      assert.equal(kindOf(new TypeError("a bug")), "request refused");
    });
    it("the same key is asked again after a pause with jitter, or after what the provider says, never where the fault says no", () => {
      assert.deepEqual([0, 0.999].map((random) => Math.round(pauseHere(fault("overloaded"), 0, random) ?? 0)), [250, 500]);
      assert.equal(pauseHere(fault("rate limited", { afterMs: 1_500 }), 0, 0.5), 1_500);
      assert.equal(pauseHere(fault("rate limited", { afterMs: 60_000 }), 0, 0.5), undefined);
      assert.equal(pauseHere(fault("overloaded", { retry: "no" }), 0, 0.5), undefined);
      assert.equal(pauseHere(fault("overloaded"), 1, 0.5), undefined);
      assert.equal(pauseHere(fault("key refused"), 0, 0.5), undefined);
    });
  });

  describe("a key's standing", () => {
    const at = (standing: Standing, event: Partial<StandingEvent> & { type: StandingEvent["type"] }) => nextStanding(standing, { now: 0, askedAt: 0, key: "rests", code: "MODEL_004", text: "", ...event } as StandingEvent);
    it("rests 1 s, 30 s, 5 min, 30 min and no longer; an answer makes it new", () => {
      let standing = FRESH;
      let now = 1_000;
      const rests: number[] = [];
      for (let n = 0; n < 6; n++) {
        standing = at(standing, { type: "fault", askedAt: now, now });
        rests.push(readyAt(standing, false) - now);
        now = readyAt(standing, false);
      }
      assert.deepEqual(rests, [1_000, 30_000, 300_000, 1_800_000, 1_800_000, 1_800_000]);
      assert.deepEqual([...RESTS_MS], rests.slice(0, 4));
      assert.equal(at(standing, { type: "answered", askedAt: now }), FRESH);
    });
    it("takes thirty requests that fail together for one fault", () => {
      let standing = FRESH;
      for (let n = 0; n < 30; n++) standing = at(standing, { type: "fault", askedAt: 0, now: 100 + n });
      assert.equal(standing.faults, 1);
      assert.equal(at(standing, { type: "answered", askedAt: 50 }), standing, "an answer that was asked for before says nothing about now");
    });
    it("rests as long as the provider says, and not shorter than its own rest", () => {
      assert.equal(readyAt(at(FRESH, { type: "fault", now: 10, afterMs: 90_000 }), false), 90_010);
      assert.equal(readyAt(at(FRESH, { type: "fault", now: 10, afterMs: 5 }), false), 1_010);
      const both = at(at(FRESH, { type: "fault", now: 10 }), { type: "fault", askedAt: 5, now: 20, afterMs: 60_000 });
      assert.equal(readyAt(both, false), 60_020, "a late fault cannot climb, but its wait counts");
    });
    it("is out until its settings change; alone it is asked all the same, and rests 1 s at most", () => {
      const out = at(FRESH, { type: "fault", key: "out", now: 5 });
      assert.deepEqual([readyAt(out, false), readyAt(out, true), stateOf(out, 5)], [Number.POSITIVE_INFINITY, 0, "out"]);
      let standing = FRESH;
      for (let n = 1; n < 5; n++) standing = at(standing, { type: "fault", askedAt: n * 1e7, now: n * 1e7 });
      assert.deepEqual([readyAt(standing, false) - 4e7, readyAt(standing, true) - 4e7], [1_800_000, 1_000]);
    });
    it("lets one request try it out after a rest; that one ends, fails or is given up", () => {
      const rested = at(FRESH, { type: "fault", now: 0 });
      const trial = at(rested, { type: "asked" });
      assert.deepEqual([rested.trial, trial.trial, at(FRESH, { type: "asked" }).trial], [false, true, false]);
      assert.equal(at(trial, { type: "dropped", askedAt: 1_000 }).trial, false);
      assert.deepEqual([at(trial, { type: "fault", askedAt: 1_000, now: 2_000 })].map(({ trial, faults }) => [trial, faults]), [[false, 2]]);
      assert.equal(at(trial, { type: "answered", askedAt: 1_000 }), FRESH);
    });
  });

  it("takes back what a broken stream said, and gives one whole answer, with who answered and why", async () => {
    const { turn, counted } = rig({ A1: model([{ say: ["Half of ", "an"], ends: fault("no network") }]), B1: model([ok("Whole")]) });
    const { text, shown, failovers, end } = await turn();
    assert.deepEqual([text, shown, end?.by], ["Whole", "Half of an", "B1"]);
    assert.deepEqual(failovers, ["A1>B1 [MODEL_001] it is no network"]);
    assert.deepEqual(counted, ["faults MODEL_001", "faults MODEL_001", "failovers MODEL_001"]);
  });
  it("takes it back from the same key too, when that one is asked again", async () => {
    const { turn } = rig({ A1: model([{ say: ["Half"], ends: fault("overloaded") }, ok("Whole")]) });
    const { text, end, failovers, error } = await turn();
    assert.deepEqual([text, end?.by, failovers, error], ["Whole", undefined, [], undefined]);
  });
  it("takes a stream that ends without an end for a fault", async () => {
    const { turn } = rig({ A1: model([{ say: ["Half"], ends: "cut" }]), B1: model([ok("Whole")]) });
    assert.equal((await turn()).text, "Whole");
  });
  it("does not ask a resting model again before its time, says so, and goes back to it afterwards", async () => {
    const { turn, asked, clock } = rig({ A1: model([bad("overloaded"), bad("overloaded"), ok("A")]), B1: model([ok("B")]) });
    assert.equal((await turn()).text, "B");
    const second = await turn();
    assert.deepEqual([second.text, second.failovers], ["B", ["A1>B1 [MODEL_004] it is overloaded"]]);
    assert.equal(asked(), "A1:2 B1:2");
    await clock.advance(1_000);
    const third = await turn();
    assert.deepEqual([third.text, third.end?.by, third.failovers, asked()], ["A", undefined, [], "A1:3 B1:2"]);
  });
  it("sends one request alone after the rest; the others go to the next model meanwhile", async () => {
    const hanging = model([bad("too slow"), { ends: "hangs" }]);
    const { turn, asked, clock } = rig({ A1: hanging, B1: model([ok("B")]) });
    await turn();
    await clock.advance(1_000);
    const stop = new AbortController();
    const trial = turn({}, { passMs: 0, signal: stop.signal });
    await settle();
    assert.deepEqual([(await turn()).text, asked()], ["B", "A1:2 B1:2"]);
    stop.abort(new Error("stopped"));
    await trial;
  });
  it("leaves a model that says nothing for half of the time that is left", async () => {
    const { turn } = rig({ A1: model([{ ends: "hangs" }]), B1: model([ok("B")]) });
    const { text, ms, failovers } = await turn({ withinMs: 20_000 });
    assert.deepEqual([text, failovers], ["B", ["A1>B1 [MODEL_010] A1 said nothing for 10 s"]]);
    assert.ok(ms >= 10_000 && ms < 10_200, String(ms));
  });
  it("waits for the soonest when all rest, as long as the answer may take", async () => {
    const { turn, asked } = rig({ A1: model([bad("rate limited", { afterMs: 20_000 }), ok("A")]), B1: model([bad("rate limited", { afterMs: 50_000 }), ok("B")]) });
    const { text, ms } = await turn();
    assert.deepEqual([text, asked()], ["A", "A1:2 B1:1"]);
    assert.ok(ms >= 20_000 && ms < 20_200, String(ms));
  });
  it("says at once how each stands when the soonest comes too late", async () => {
    const { turn, asked } = rig({ A1: model([bad("rate limited", { afterMs: 300_000 })]), A2: model([bad("key refused")]), B1: model([bad("no credit")]) });
    const first = await turn({ withinMs: 60_000 });
    assert.equal(first.error?.code, "MODEL_011");
    assert.match(first.error?.message ?? "", /A1: \[MODEL_003\] it is rate limited \(asked again in 300 s\)\. A2: \[MODEL_002\] .*not asked again until.*B1: \[MODEL_009\]/);
    assert.ok(first.ms < 100);
    const second = await turn({ withinMs: 60_000 });
    assert.deepEqual([second.error?.code, asked()], ["MODEL_011", "A1:1 A2:1 B1:1"]);
  });
  it("gives up with its asker, whether it waits for a rest, for the pause before another try, or for a word", async () => {
    for (const [reply, more] of [[bad("rate limited", { afterMs: 20_000 }), {}], [bad("overloaded"), { withinMs: 3_600_000 }], [{ ends: "hangs" }, {}]] as const) {
      for (const chain of [["A1"], ["A1", "B1"]]) {
        const { turn, clock } = rig(Object.fromEntries(chain.map((name) => [name, model([reply])])));
        const asker = new AbortController();
        clock.after(300, () => asker.abort(new Error("out of time")));
        const { error, ms } = await turn(more, { signal: asker.signal });
        assert.deepEqual([error?.message, ms], ["out of time", 300], chain.join());
      }
    }
  });
  it("turns to nobody more than twice for one answer", async () => {
    const { turn, asked } = rig({ A1: model([bad("overloaded")]), B1: model([bad("overloaded")]) });
    const { error } = await turn({ withinMs: 3_600_000 }, { passMs: 3_600_000 });
    assert.equal(error?.code, "MODEL_004", "all met the same");
    assert.equal(asked(), "A1:3 B1:3", "twice at once, then once after the rest");
  });
  it("gives the fault itself where one model stands alone, and asks it anew with the next message", async () => {
    const { turn, asked } = rig({ A1: model([bad("key refused")]) });
    assert.equal((await turn()).error?.message, "it is key refused");
    assert.equal((await turn()).error?.message, "it is key refused");
    assert.equal(asked(), "A1:2");
  });
  it("asks nobody again whose fault says that this changes nothing", async () => {
    for (const kind of ["bad answer", "wrong address", "unknown model", "overloaded"] as const) {
      const { turn, asked } = rig({ A1: model([bad(kind, { retry: "no" })]) });
      assert.deepEqual([(await turn()).error?.message, asked()], [`it is ${kind}`, "A1:1"]);
    }
    const never = bad("bad answer", { retry: "no" });
    const chain = rig({ A1: model([never]), A2: model([ok("the same model")]), B1: model([never]) });
    assert.deepEqual([(await chain.turn()).text, chain.asked()], ["", "A1:1 A2:0 B1:1"]);
    // What concerns the key alone still goes to the next one.
    const keys = rig({ A1: model([bad("rate limited", { retry: "no" })]), A2: model([ok("from A2")]) });
    assert.deepEqual([(await keys.turn()).text, keys.asked()], ["from A2", "A1:1 A2:1"]);
  });
  it("asks only a model that reads more when the conversation is too long", async () => {
    const { turn, asked } = rig({ A1: model([bad("too long")], 1_000), B1: model([ok("B")], 1_000), C1: model([ok("C")], 2_000) });
    assert.deepEqual([(await turn()).text, asked()], ["C", "A1:1 B1:0 C1:1"]);
    const none = rig({ A1: model([bad("too long")], 1_000), B1: model([ok("B")], 500) });
    assert.equal((await none.turn()).error?.code, "MODEL_011");
  });
  it("gives a smaller model the turns that fit it, and the larger one all of them", async () => {
    const [large, small] = [model([bad("too slow")], 8_000), model([ok("B")], 400)];
    const gauge = createGauge();
    const { turn } = rig({ A1: fitModel(large, gauge), B1: fitModel(small, gauge) });
    const talk = Array.from({ length: 40 }, (_, n): Turn => ({ role: n % 2 === 0 ? "user" : "assistant", text: `${n} ${"word ".repeat(20)}` }));
    await turn({ turns: [...talk, user("new")] });
    assert.equal(large.requests[0]?.turns.length, 41);
    const got = small.requests[0]?.turns ?? [];
    assert.ok(got.length > 0 && got.length < 20 && got.at(-1)?.text === "new", `${got.length} turns`);
  });
  it("is stopped by whoever asked, with nothing held against anybody", async () => {
    const { turn, asked, board } = rig({ A1: model([{ say: ["Half"], ends: "hangs" }]), B1: model([ok("B")]) });
    const stop = new AbortController();
    const work = turn({}, { passMs: 100, signal: stop.signal });
    await settle();
    stop.abort(new Error("enough"));
    assert.equal(((await work).error as Error | undefined)?.message, "enough");
    assert.deepEqual([asked(), board.get("A1")], ["A1:1 B1:0", FRESH]);
  });
  it("begins anew with a key whose settings changed or whose test succeeded", async () => {
    const { turn, asked, board } = rig({ A1: model([bad("key refused"), ok("A")]), B1: model([ok("B")]) });
    await turn();
    assert.equal((await turn()).text, "B");
    board.renew("A1");
    assert.deepEqual([(await turn()).text, asked()], ["A", "A1:2 B1:2"]);
    board.keep("A", []);
    assert.equal(board.get("A1"), FRESH);
  });
});
