/** Spans, figures and limits by themselves; what holds them against real calls is in ledger.test.ts. */
import assert from "node:assert/strict";
import { believed, BudgetError, dollars, hold, nearBudget, newMeter, overBudget, settle, spanOf, type Measured } from "../engine/budget.ts";

const at = (text: string): number => Date.parse(text);
const HOUR = 3_600_000;

describe("days and months of budgets", () => {
  it("have 23, 24 or 25 hours, as the zone's clocks do", () => {
    for (const [zone, now, from, hours] of [
      ["Europe/Berlin", "2026-07-10T15:00Z", "2026-07-09T22:00Z", 24],
      ["Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00Z", 23],
      ["Europe/Berlin", "2026-10-25T00:30Z", "2026-10-24T22:00Z", 25],
      ["Asia/Kolkata", "2026-07-10T18:29Z", "2026-07-09T18:30Z", 24],
      // Midnight is skipped here, and comes twice there.
      ["America/Santiago", "2026-09-06T12:00Z", "2026-09-06T04:00Z", 23],
      ["America/Havana", "2026-11-01T12:00Z", "2026-11-01T04:00Z", 25],
    ] as const) assert.deepEqual(spanOf("day", zone, at(now)), { from: at(from), to: at(from) + hours * HOUR }, `${zone} ${now}`);
  });

  it("follow each other without a gap, every moment in exactly one, also where clocks go back over midnight", () => {
    for (const [zone, around] of [["Europe/Berlin", "2026-03-29T01:00Z"], ["America/Nuuk", "2023-10-29T01:00Z"], ["America/St_Johns", "2010-11-07T02:30Z"], ["Asia/Beirut", "2026-10-24T21:00Z"], ["Pacific/Apia", "2011-12-30T10:00Z"], ["America/Havana", "2026-11-01T05:00Z"]] as const) {
      let last = spanOf("day", zone, at(around) - 48 * HOUR);
      for (let now = at(around) - 48 * HOUR; now < at(around) + 48 * HOUR; now += HOUR / 4) {
        const span = spanOf("day", zone, now);
        assert.ok(span.from <= now && now < span.to, `${zone} ${new Date(now).toISOString()} is not in its own day`);
        if (span.from !== last.from) assert.equal(span.from, last.to, `${zone} ${new Date(now).toISOString()}`);
        last = span;
      }
    }
  });

  it("end with the month, and never for a run or a session", () => {
    assert.deepEqual(spanOf("month", "Europe/Berlin", at("2026-02-28T23:30Z")), { from: at("2026-02-28T23:00Z"), to: at("2026-03-31T22:00Z") });
    assert.deepEqual(spanOf("month", "UTC", at("2026-12-31T23:59:59Z")), { from: at("2026-12-01T00:00Z"), to: at("2027-01-01T00:00Z") });
    assert.deepEqual(spanOf("ever", "UTC", 5), { from: 0, to: Number.MAX_SAFE_INTEGER });
  });
});

describe("limits", () => {
  const measured = (max: object, used = 0, micros = 0): Measured => ({ name: "agentDay", span: { from: 0, to: 86_400_000 }, max, meter: newMeter({ tokens: used, micros }) });

  it("hold while something is left with what is reserved, in each unit", () => {
    const one = measured({ tokens: 100, micros: 50 });
    assert.equal(overBudget([one]), undefined);
    hold([one.meter], { tokens: 99, micros: 0 });
    assert.equal(overBudget([one]), undefined);
    hold([one.meter], { tokens: 1, micros: 0 });
    assert.deepEqual(overBudget([one]), { limit: "agentDay", unit: "tokens", used: 100, max: 100, until: 86_400_000 });
    settle([one.meter], { tokens: 100, micros: 0 }, { tokens: 10, micros: 51 });
    assert.deepEqual(overBudget([one]), { limit: "agentDay", unit: "micros", used: 51, max: 50, until: 86_400_000 });
    assert.deepEqual(one.meter.held, { tokens: 0, micros: 0 });
    assert.equal(overBudget([measured({}, 1e9, 1e9)]), undefined, "no limit, no end");
  });

  it("name the one that lasts longest", () => {
    const longer: Measured = { ...measured({ tokens: 1 }, 1), name: "month", span: { from: 0, to: 1e9 } };
    const ever: Measured = { ...measured({ tokens: 1 }, 1), name: "session", span: { from: 0, to: Number.MAX_SAFE_INTEGER } };
    assert.equal(overBudget([measured({ tokens: 1 }, 1), longer])?.limit, "month");
    assert.deepEqual(overBudget([longer, ever]), { limit: "session", unit: "tokens", used: 1, max: 1 });
    const error = new BudgetError({ limit: "day", unit: "micros", used: 1_250_000, max: 1_000_000, until: 0 });
    assert.deepEqual([error.code, error.retry], ["BUDGET_001", "no"]);
    assert.match(error.message, /"day", got 1\.25 USD of 1\.00 USD used or reserved until 1970-01-01T00:00:00\.000Z/);
  });

  it("warn once at 80 %, each unit by itself", () => {
    const one = measured({ tokens: 100, micros: 100 }, 79);
    assert.deepEqual(nearBudget([one]), []);
    settle([one.meter], { tokens: 0, micros: 0 }, { tokens: 1, micros: 0 });
    assert.deepEqual(nearBudget([one]).map(({ standing: { unit, used } }) => [unit, used]), [["tokens", 80]]);
    assert.deepEqual(nearBudget([one]), []);
    settle([one.meter], { tokens: 0, micros: 0 }, { tokens: 90, micros: 95 });
    assert.deepEqual(nearBudget([one]).map(({ standing: { unit } }) => unit), ["micros"]);
  });
});

describe("figures", () => {
  const estimate = { input: 100, output: 4096 };
  it("of a provider are believed where they can be true", () => {
    assert.deepEqual(believed({ input: 10, output: 5, cachedInput: 4, reasoning: 2 }, estimate), { usage: { input: 10, output: 5, cachedInput: 4, reasoning: 2 }, exact: true });
    assert.deepEqual(believed({ input: 1.2, output: 0 }, estimate).usage, { input: 2, output: 0 });
    for (const said of [{ input: -1, output: 5 }, { input: 5, output: Number.NaN }, { input: 1e15, output: 1 }, { input: 1, output: Number.POSITIVE_INFINITY }, { input: 5, output: 5, cachedInput: 6 }, { input: "7", output: 1 }, { input: null, output: 1 }, {}]) {
      assert.deepEqual(believed(said as never, estimate), { usage: estimate, exact: false }, JSON.stringify(said));
    }
  });
  it("of money are exact decimals", () => {
    for (const [micros, text] of [[0, "0.00"], [1, "0.000001"], [10_000, "0.01"], [1_234_567, "1.234567"], [500_000, "0.50"], [-2_500_000, "-2.50"], [9_007_199_254_740_991, "9007199254.740991"]] as const) assert.equal(dollars(micros), text);
  });
});
