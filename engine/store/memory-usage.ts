/** What models used, in memory. */
import type { UsageTable } from "./sqlite-usage.ts";
import { inOrder } from "./rows.ts";
import { USAGE_FIELDS, type UsageRow, type UsageSum } from "./store.ts";

export function createMemoryUsage(): UsageTable & { all(): readonly (UsageRow & { readonly n: number })[] } {
  const kept = new Map<number, UsageRow>();
  const all = () => [...kept].map(([n, row]) => ({ ...row, n })).sort((a, b) => a.n - b.n);
  return {
    all,
    write({ n, row }) {
      const copy = row === undefined ? undefined : { ...row };
      return () => {
        const found = kept.get(n);
        if (found?.exact === true || (found === undefined && copy === undefined)) return undefined;
        if (copy === undefined) { kept.delete(n); return 1; }
        const { input, output, cached, micros, work, exact } = copy;
        const { work: _old, ...rest } = found ?? copy;
        kept.set(n, { ...rest, input, output, cached, micros, exact, ...(work === undefined ? {} : { work }) });
        return n;
      };
    },
    sums({ from, to, where = {}, by = [] }) {
      const groups = new Map<string, { -readonly [Field in keyof UsageSum]: UsageSum[Field] }>();
      const begin = (of: UsageSum["of"]) => ({ of, calls: 0, input: 0, output: 0, cached: 0, micros: 0, unpriced: 0, inexact: 0 });
      if (by.length === 0) groups.set("[]", begin({}));
      for (const row of kept.values()) {
        if (row.at < from || row.at >= to || USAGE_FIELDS.some((field) => where[field] !== undefined && where[field] !== row[field])) continue;
        const of = by.map((field) => row[field]);
        const key = JSON.stringify(of);
        const sum = groups.get(key) ?? begin(Object.fromEntries(by.map((field, at) => [field, of[at]])));
        groups.set(key, sum);
        sum.calls++;
        for (const field of ["input", "output", "cached"] as const) sum[field] += row[field];
        if (row.micros === null) sum.unpriced++; else sum.micros += row.micros;
        if (!row.exact) sum.inexact++;
      }
      const texts = ({ of }: UsageSum): string[] => by.map((field) => of[field] ?? "");
      return [...groups.values()].sort((a, b) => texts(a).map((text, at) => inOrder(text, texts(b)[at] ?? "")).find((order) => order !== 0) ?? 0);
    },
    rows: ({ from, to, after = 0, limit }) => all().filter(({ n, at }) => n > after && at >= from && at < to).slice(0, limit),
    last: () => all().at(-1)?.n ?? 0,
    prune(before, most) {
      const old = all().filter(({ at }) => at < before).slice(0, most);
      for (const { n } of old) kept.delete(n);
      return old.length;
    },
  };
}
