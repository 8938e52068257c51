import assert from "node:assert/strict";
import { explore, exploreDeep, type Machine } from "./explore.ts";

/** Counts up by 1 or 2 to `end`; `wrong` is a number that must not be reached. */
function counter(end: number, wrong?: number): Machine<number> {
  return {
    initial: 0,
    moves: (at) => [1, 2].filter((by) => at + by <= end).map((by) => ({ label: `+${by}`, next: at + by })),
    key: String,
    check: (at, atRest) => (at === wrong ? `wrong: ${at}` : atRest && at !== end ? "stuck" : undefined),
  };
}

describe("explore", () => {
  it("sees every state once, in both orders", () => {
    for (const all of [explore(counter(10_000)), exploreDeep(counter(10_000))]) {
      assert.deepEqual([all.states, all.transitions, all.rests, all.complete, all.violation], [10_001, 19_999, 1, true, undefined]);
    }
  });
  it("finds what is wrong, breadth first by a shortest way", () => {
    assert.deepEqual(explore(counter(100, 7)).violation, { text: "wrong: 7", trace: ["+1", "+2", "+2", "+2"] });
    const deep = exploreDeep(counter(100, 7)).violation;
    assert.equal(deep?.trace.reduce((sum, step) => sum + Number(step), 0), 7);
  });
  it("knows a state at rest from one that only a fault could change", () => {
    const machine: Machine<number> = { initial: 0, key: String, moves: (at) => (at === 0 ? [{ label: "crash", next: 1, fault: true }] : []), check: (at, atRest) => (atRest && at === 0 ? "stuck" : undefined) };
    assert.equal(explore(machine).violation?.text, "stuck");
    assert.equal(exploreDeep(machine).violation?.text, "stuck");
  });
  it("finds what goes round for ever, depth first", () => {
    const round: Machine<number> = { initial: 0, key: String, moves: (at) => [{ label: `from ${at}`, next: at === 3 ? 1 : at + 1 }], check: () => undefined };
    assert.deepEqual(exploreDeep(round).violation, { text: "progress: this goes round for ever", trace: ["from 0", "from 1", "from 2", "from 3"] });
    const still: Machine<number> = { ...round, moves: (at) => [{ label: "nothing", next: at }] };
    assert.equal(exploreDeep(still).violation?.trace.length, 1);
  });
  it("ends at the number of states it is given, and says so", () => {
    for (const cut of [explore(counter(1_000), 10), exploreDeep(counter(1_000), 10)]) assert.ok(!cut.complete && cut.states <= 13);
  });
});
