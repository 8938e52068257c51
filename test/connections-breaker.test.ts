/** When a broken link is tried again: the decisions alone, walked through. */
import assert from "node:assert/strict";
import { type Breaker, type BreakerEvent, CLOSED, MAX_FAULTS, nextBreaker, waitOf } from "../engine/connections/breaker.ts";

const FAULT: BreakerEvent = { type: "fault", permanent: false };
const FOR_GOOD: BreakerEvent = { type: "fault", permanent: true };
const TRY: BreakerEvent = { type: "try" };
const HELD: BreakerEvent = { type: "held" };
const walk = (events: readonly BreakerEvent[], from: Breaker = CLOSED): Breaker => events.reduce(nextBreaker, from);

describe("the breaker of a connection", () => {
  it("opens after five faults in a row, lets one trial through, and closes when a link has held", () => {
    const phases: string[] = [];
    let breaker = CLOSED;
    for (const event of [TRY, FAULT, TRY, FAULT, TRY, FAULT, TRY, FAULT, TRY, FAULT, TRY, FAULT, TRY, HELD, FAULT]) {
      breaker = nextBreaker(breaker, event);
      phases.push(breaker.phase);
    }
    assert.deepEqual(phases, ["closed", "closed", "closed", "closed", "closed", "closed", "closed", "closed", "closed", "open", "half-open", "open", "half-open", "closed", "closed"]);
    assert.equal(breaker.faults, 1);
  });

  it("waits 1, 2, 4, 8 s, then a minute, give or take a quarter", () => {
    const waits = Array.from({ length: 8 }, (_, faults) => waitOf(walk(Array.from({ length: faults + 1 }, () => FAULT)), 0.5));
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 60_000, 60_000, 60_000, 60_000]);
    const open = walk(Array.from({ length: MAX_FAULTS }, () => FAULT));
    assert.deepEqual([waitOf(open, 0), waitOf(open, 0.999_999)].map((ms) => Math.round((ms ?? 0) / 1000)), [45, 75]);
  });

  it("waits as long as the other side asks, a day at most, and does not believe nonsense", () => {
    const once = walk([FAULT]);
    assert.deepEqual([0, 500, 77_000, 1e12, Number.POSITIVE_INFINITY, -5, Number.NaN].map((asked) => waitOf(once, 0.5, asked)), [1_000, 1_000, 77_000, 86_400_000, 86_400_000, 1_000, 1_000]);
  });

  it("keeps to its rules whatever happens, in whatever order", () => {
    const events = [FAULT, TRY, HELD, FOR_GOOD];
    let seen = 0;
    const explore = (breaker: Breaker, depth: number, faults: number, stopped: boolean): void => {
      seen++;
      assert.equal(breaker.phase === "stopped", stopped);
      if (!stopped) assert.equal(breaker.phase === "closed", faults < MAX_FAULTS);
      assert.equal(waitOf(breaker, 0.5) === undefined, stopped);
      if (depth === 0) return;
      for (const event of events) {
        const next = nextBreaker(breaker, event);
        assert.ok(!(next.phase === "half-open" && event.type !== "try" && breaker.phase !== "half-open"), "half-open only by a try");
        explore(next, depth - 1, event.type === "held" ? 0 : event.type === "fault" ? faults + 1 : faults, stopped || event === FOR_GOOD);
      }
    };
    explore(CLOSED, 8, 0, false);
    assert.equal(seen, (4 ** 9 - 1) / 3);
  });
});
