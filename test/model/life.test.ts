/**
 * The shipped reducer in all histories: two messages, two processes, and faults between any two steps. A part of them always, all with CLAWFLOW_FAULTS=full.
 * What no such history comes to is asked of the reducer directly.
 */
import assert from "node:assert/strict";
import { backoffMs, type Event, type Fault, type Life, MAX_SENDS, MAX_TRIES, type Next, outcome, reduce, type RowView } from "../../engine/life.ts";
import type { NewOutboxRow } from "../../engine/store/store.ts";
import { explore, exploreDeep } from "./explore.ts";
import { SOUND } from "./rules.ts";
import { FULL, QUICK } from "./scenarios.ts";
import { createWorld } from "./world.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
/** Kinds of decision that were met: event, act, and whether it waits for its write. */
const met = new Map<string, number>();
function watched(life: Life, event: Event): Next {
  const next = reduce(life, event);
  const kind = `${event.type} → ${next.act.type}${next.write.length === 0 ? "" : next.wait ? ", written before" : ", written behind"}`;
  met.set(kind, (met.get(kind) ?? 0) + 1);
  return next;
}

describe("the life of a message, in all histories", function () {
  this.timeout(full ? 3_600_000 : 170_000);
  const sum = { states: 0, transitions: 0, rests: 0, ms: 0, violations: 0 };

  for (const scenario of full ? FULL : QUICK) {
    const faults = Object.keys(scenario.faults).join(", ");
    it(`${scenario.name}, class ${scenario.class}, up to ${scenario.most} of: ${faults}`, () => {
      const world = createWorld(scenario, { ...SOUND, reduce: watched });
      const { violation: any, ...found } = exploreDeep(world);
      // A shorter way to it, where there is one not too far away.
      const violation = any && (explore(world, 200_000).violation ?? any);
      console.log(`      ${found.states} states, ${found.transitions} transitions, ${found.rests} at rest, ${found.depth} deep, ${(found.ms / 1000).toFixed(1)} s`);
      for (const figure of ["states", "transitions", "rests", "ms"] as const) sum[figure] += found[figure];
      if (violation !== undefined) { sum.violations++; assert.fail(`${violation.text}\n  ${violation.trace.join("\n  ")}`); }
      assert.ok(found.complete && found.rests > 0);
    });
  }

  it("comes to enough of them, and to every kind of decision", () => {
    console.log(`      model check: ${sum.states} distinct states, ${sum.transitions} transitions, ${sum.rests} at rest, ${sum.violations} violations, ${(sum.ms / 1000).toFixed(0)} s`);
    assert.ok(sum.states > (full ? 1_000_000 : 300_000), `${sum.states} states`);
    const kinds = [
      "arrived → confirm, written before", "taken → run", "taken → run, written before", "taken → release, written behind", "settled → release, written behind", "settled → none, written behind",
      "asked → perform", "asked → perform, written before", "asked → use", "asked → tell-unknown", "acted → use, written before", "acted → use, written behind",
      "planned → send, written before", "planned → none, written before", "due → send, written before", "due → look, written before", "looked → send", "looked → tell, written behind", "sent → tell, written behind",
      "failed → wait, written before", "taken → wait", "stopped → release, written behind", "interrupted → release, written behind", "interrupted → none", "joined → release, written before",
    ];
    for (const kind of kinds) assert.ok(met.has(kind), `never met: ${kind}; met: ${[...met.keys()].join("; ")}`);
    for (const type of ["due", "failed"]) assert.ok([...met.keys()].some((kind) => kind.startsWith(`${type} → mourn`)), `never met: ${type} → mourn`);
  });
});

describe("the life of a message, where no such history comes", () => {
  const receipt = { seq: 7, state: "pending", attempts: 0, runs: {}, receivedAt: 1_000 } as const;
  const taken = { type: "taken", suspect: undefined, now: 2_000, maxAgeMs: 5_000 } as const;
  const wants = { id: "n1", covers: true, matches: true };
  const row: RowView = { key: "k", run: "1.x.n", to: { channel: "x", account: "a", chat: "c", kind: "direct" }, priority: "normal", op: "send", state: "sending", attempts: 1, plannedAt: 0, dueAt: 0, draft: { text: "hi" } };
  const due = { type: "due", now: 1_000, offers: { find: false }, left: false } as const;
  const no: Fault = { code: "CONN_001", message: "no", retry: "later", afterMs: undefined };
  const failed = (life: Partial<RowView>, fault: Partial<Fault>, now = 1_000) => reduce({ row: { ...row, ...life } }, { type: "failed", fault: { ...no, ...fault }, now, random: 0.5 });
  const set = ({ write }: Next) => { assert.equal(write.length, 1); const [change] = write; assert.ok(change?.do === "outbox-update"); return change.set; };

  it("a receipt that is final is let go, and written no more", () => {
    for (const state of ["done", "dead"] as const) assert.deepEqual(reduce({ receipt: { ...receipt, state } }, { ...taken, entries: [wants] }), { write: [], act: { type: "release", state }, wait: false });
  });

  it("a message waits for a flow that listens to its account, and not for ever", () => {
    assert.deepEqual(reduce({ receipt }, { ...taken, entries: [] }).act, { type: "wait", untilMs: 6_000 });
    const { act, write } = reduce({ receipt }, { ...taken, entries: [], now: 6_000 });
    assert.ok(act.type === "release" && act.state === "dead" && write[0]?.do === "receipt" && write[0].state === "dead");
  });

  it("a message that nobody wants is done with a reason; one whose runs have all ended gets their outcome", () => {
    const unwanted = reduce({ receipt }, { ...taken, entries: [{ ...wants, matches: false }] }).act;
    assert.ok(unwanted.type === "release" && unwanted.state === "done" && unwanted.reason !== undefined);
    const ended = reduce({ receipt: { ...receipt, runs: { n1: { state: "dead", reason: "x" } } } }, { ...taken, entries: [wants] }).act;
    assert.ok(ended.type === "release" && ended.state === "dead" && ended.reason === "x");
    assert.deepEqual(reduce({ receipt: { ...receipt, runs: { n1: { state: "done" } } } }, { ...taken, entries: [wants, { ...wants, id: "n2" }] }).act, { type: "run", entries: ["n2"], alone: false });
  });

  it("one dead run makes a message dead, one with a reason gives it that", () => {
    assert.deepEqual(outcome([{ state: "done" }, { state: "done", reason: "late" }, { state: "dead", reason: "x" }]), { state: "dead", reason: "x" });
    assert.deepEqual(outcome([{ state: "done" }, { state: "done", reason: "late" }]), { state: "done", reason: "late" });
    assert.deepEqual(outcome([{ state: "done" }]), { state: "done" });
  });

  it("a suspect runs until its tries are used up", () => {
    for (let attempts = 0; attempts < MAX_TRIES + 1; attempts++) {
      const { act } = reduce({ receipt: { ...receipt, attempts } }, { ...taken, suspect: "left", entries: [wants] });
      assert.equal(act.type, attempts + 1 < MAX_TRIES ? "run" : "release");
    }
  });

  it("what a step brings along is written with it", () => {
    const also = { do: "set", space: "s", key: "k", value: 1 } as const;
    assert.deepEqual(reduce({}, { type: "acted", run: "r", entry: { step: "s", at: 1, data: 2 }, also: [also] }).write, [{ do: "journal", run: "r", entry: { step: "s", at: 1, data: 2 } }, also]);
  });

  it("of several parts only the first goes out at once, and only into an idle chat", () => {
    const rows = [0, 1].map((part) => ({ key: `k${part}`, state: "planned" }) as NewOutboxRow);
    const states = (free: boolean) => reduce({}, { type: "planned", rows, free }).write.map((change) => (change.do === "outbox" ? change.row.state : ""));
    assert.deepEqual(states(true), ["sending", "planned"]);
    assert.deepEqual(states(false), ["planned", "planned"]);
  });

  it("a row is not sent before its time, and not after", () => {
    assert.deepEqual(reduce({ row: { ...row, dueAt: 1_001 } }, due), { write: [], wait: false, act: { type: "wait", untilMs: 1_001 } });
    for (const state of ["planned", "sending", "unknown"] as const) assert.equal(reduce({ row: { ...row, state, expiresAt: 999 } }, due).act.type, "mourn");
    assert.equal(reduce({ row: { ...row, state: "planned", expiresAt: 1_000 } }, due).act.type, "send");
  });

  it("an edit, a reaction, a removal and the final text of a placeholder are repeated without doubt", () => {
    for (const change of [{ op: "edit" }, { op: "react" }, { op: "remove" }, { op: "send", target: "m1" }] as const) {
      assert.deepEqual(reduce({ row: { ...row, ...change } }, { ...due, offers: { find: true } }), { write: [], wait: false, act: { type: "send" } });
    }
  });

  it("a key is trusted for as long as the platform honours it, counted from the first send", () => {
    const tried = (startedAt: number | undefined, now: number) => reduce({ row: { ...row, state: "unknown", ...(startedAt === undefined ? {} : { startedAt }) } }, { ...due, now, offers: { find: false, keyMs: 100 } }).act.type;
    assert.deepEqual([tried(1_000, 1_099), tried(1_000, 1_100), tried(undefined, 99), tried(undefined, 100)], ["send", "mourn", "send", "mourn"]);
  });

  it("markup that the platform does not take is sent as plain text, once", () => {
    const first = failed({}, { markup: true, retry: "no", answered: true });
    assert.deepEqual([set(first).draft, set(first).state, first.act.type], [{ text: "hi", plain: true }, "planned", "wait"]);
    assert.equal(failed({ draft: { text: "hi", plain: true } }, { markup: true, retry: "no", answered: true }).act.type, "mourn");
  });

  it("a wrong token keeps a row waiting, and what was in doubt stays in doubt", () => {
    const { act } = failed({}, { code: "CONN_002", retry: "no", answered: true });
    assert.ok(act.type === "wait" && act.untilMs > 1_000);
    assert.equal(set(failed({}, { code: "CONN_002", retry: "no", answered: true })).state, "planned");
    assert.notEqual(set(failed({ state: "unknown" }, { code: "CONN_002", retry: "no", answered: true })).state, "planned");
  });

  it("only what certainly did not arrive loses its doubt, one step of it", () => {
    const state = (before: "sending" | "unknown", fault: Partial<Fault>) => set(failed({ state: before }, fault)).state;
    for (const fault of [{ unsent: true }, { answered: true }, { code: "CONN_003" }] as const) assert.deepEqual([state("sending", fault), state("unknown", fault)], ["planned", "sending"]);
    assert.deepEqual([state("sending", {}), state("unknown", {})], ["sending", "unknown"]);
  });

  it("tries end, and so does the time for them", () => {
    assert.equal(failed({ attempts: MAX_SENDS - 2 }, {}).act.type, "wait");
    assert.equal(failed({ attempts: MAX_SENDS - 1 }, {}).act.type, "mourn");
    assert.equal(failed({ expiresAt: 1_500 }, { afterMs: 1_000 }).act.type, "mourn");
    assert.equal(reduce({ row: { ...row, state: "unknown", attempts: MAX_SENDS } }, { ...due, offers: { find: true } }).act.type, "mourn");
  });

  it("waits as long as the platform says, else 1, 2, 4 … 60 seconds, give or take a quarter", () => {
    const { act } = failed({}, { afterMs: 30_000 });
    assert.ok(act.type === "wait" && act.untilMs >= 31_000 && act.untilMs <= 33_000);
    assert.deepEqual([1, 2, 3, 7, 20].map((attempt) => backoffMs(attempt, 0.5)), [1_000, 2_000, 4_000, 60_000, 60_000]);
    assert.deepEqual([backoffMs(1, 0), backoffMs(1, 0.999_999) < 1_250], [750, true]);
  });
});
