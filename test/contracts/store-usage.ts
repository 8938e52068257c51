/** What every store must do with the usage of models. */
import assert from "node:assert/strict";
import type { Change, Store, UsageRow } from "../../engine/store/store.ts";

export const AT = 1_790_000_000_000;
export function usageRow(more: Partial<UsageRow> = {}): UsageRow {
  return { at: AT, run: "1.s.in", message: "m1", session: "s1", channel: "telegram", account: "home", person: "42", agent: "helper", provider: "openai", model: "gpt", input: 100, output: 20, cached: 10, micros: 1_234_567, exact: true, ...more };
}
const add = (n: number, more: Partial<UsageRow> = {}): Change => ({ do: "usage", n, row: usageRow(more) });
const ALL = { from: 0, to: Number.MAX_SAFE_INTEGER };
const NOTHING = { of: {}, calls: 0, input: 0, output: 0, cached: 0, micros: 0, unpriced: 0, inexact: 0 };

export function usageContract(store: () => Store): void {
  describe("usage", () => {
    it("keeps a row as it was given, under its number", async () => {
      assert.equal(await store().lastUsage(), 0);
      assert.deepEqual(await store().commit([add(7), add(3, { micros: null, exact: false, person: "ü\n" })]), [7, 3]);
      assert.deepEqual(await store().usageRows({ ...ALL, limit: 10 }), [{ n: 3, ...usageRow({ micros: null, exact: false, person: "ü\n" }) }, { n: 7, ...usageRow() }]);
      assert.equal(await store().lastUsage(), 7);
    });

    it("replaces the figures of what is not exact, and leaves what is", async () => {
      await store().commit([add(1, { exact: false, micros: null }), add(2, { exact: false })]);
      assert.deepEqual(await store().commit([add(1, { input: 5, output: 6, cached: 7, micros: 8, at: 1, person: "other" }), add(1, { input: 99 }), { do: "usage", n: 1, row: undefined }]), [1, undefined, undefined]);
      assert.deepEqual(await store().commit([{ do: "usage", n: 2, row: undefined }, { do: "usage", n: 2, row: undefined }]), [1, undefined]);
      assert.deepEqual(await store().usageRows({ ...ALL, limit: 10 }), [{ n: 1, ...usageRow({ input: 5, output: 6, cached: 7, micros: 8 }) }]);
    });

    it("keeps what was heard, spoken or drawn, and what it came to in the end", async () => {
      const work = { unit: "seconds", amount: 12.345 } as const;
      await store().commit([add(1, { work, exact: false }), add(2, { work }), add(3, { exact: false })]);
      await store().commit([add(1, { work: { unit: "seconds", amount: 3 } }), add(2, { work: { unit: "seconds", amount: 9 } }), add(3, { work: { unit: "pictures", amount: 1 } })]);
      assert.deepEqual((await store().usageRows({ ...ALL, limit: 10 })).map((row) => row.work), [{ unit: "seconds", amount: 3 }, work, { unit: "pictures", amount: 1 }]);
    });

    it("sums by time, by what is asked for, and apart what has no price or is not exact", async () => {
      await store().commit([
        add(1, { at: AT - 1 }), add(2), add(3, { person: "7", micros: null }), add(4, { agent: "other", exact: false }), add(5, { at: AT + 1 }), add(6, { at: AT + 2 }), add(7, { person: "7", account: "work" }),
      ]);
      const one = { calls: 1, input: 100, output: 20, cached: 10, micros: 1_234_567, unpriced: 0, inexact: 0 };
      assert.deepEqual(await store().usage({ from: AT, to: AT + 2 }), [{ of: {}, calls: 5, input: 500, output: 100, cached: 50, micros: 4 * 1_234_567, unpriced: 1, inexact: 1 }]);
      assert.deepEqual(await store().usage({ from: AT + 3, to: AT + 4 }), [NOTHING]);
      assert.deepEqual(await store().usage({ from: AT, to: AT + 1, where: { person: "7" }, by: ["account", "person"] }), [
        { of: { account: "home", person: "7" }, ...one, micros: 0, unpriced: 1 }, { of: { account: "work", person: "7" }, ...one },
      ]);
      assert.deepEqual((await store().usage({ ...ALL, by: ["agent"] })).map(({ of, calls }) => [of.agent, calls]), [["helper", 6], ["other", 1]]);
      assert.deepEqual(await store().usage({ ...ALL, where: { session: "nobody's" }, by: ["agent"] }), []);
      assert.equal((await store().usage({ ...ALL, where: { run: "1.s.in", session: "s1", channel: "telegram", account: "home", person: "42", agent: "helper", provider: "openai", model: "gpt" } }))[0]?.calls, 4);
    });

    it("gives rows in pages", async () => {
      await store().commit([1, 2, 3, 4, 5].map((n) => add(n, { at: AT + n })));
      const numbers = async (query: object) => (await store().usageRows({ ...ALL, limit: 2, ...query })).map(({ n }) => n);
      assert.deepEqual([await numbers({}), await numbers({ after: 2 }), await numbers({ after: 4 }), await numbers({ from: AT + 4 }), await numbers({ to: AT + 2 })], [[1, 2], [3, 4], [5], [4, 5], [1]]);
    });

    it("forgets what is old only when told so", async () => {
      await store().commit(Array.from({ length: 2500 }, (_, n) => add(n + 1, { at: n < 2400 ? AT - 1 : AT })));
      const prune = { do: "prune", before: AT, turnsBefore: AT } as const;
      assert.deepEqual(await store().commit([prune]), [undefined]);
      assert.deepEqual(await store().commit([{ ...prune, usageBefore: AT }]), [2400]);
      assert.equal((await store().usage(ALL))[0]?.calls, 100);
      assert.equal(await store().lastUsage(), 2500);
    });
  });
}
