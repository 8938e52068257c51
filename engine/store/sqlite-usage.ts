/** What models used, in SQLite. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Op } from "./group.ts";
import { type Change, USAGE_FIELDS, type UsageField, type UsageQuery, type UsageRow, type UsageSum } from "./store.ts";

type Numbered = UsageRow & { readonly n: number };
export interface UsageTable {
  write(change: Extract<Change, { do: "usage" }>): Op;
  sums(query: UsageQuery): UsageSum[];
  rows(query: { readonly from: number; readonly to: number; readonly after?: number; readonly limit: number }): Numbered[];
  last(): number;
  /** Removes at most `most` rows older than `before`. How many. */
  prune(before: number, most: number): number;
}

const COLUMNS = ["at", "run", "message", "session", "channel", "account", "person", "agent", "provider", "model", "input", "output", "cached", "micros"] as const satisfies readonly (keyof UsageRow)[];

export function createUsageTable(db: DatabaseSync): UsageTable {
  const put = db.prepare(`INSERT INTO usage (n, ${COLUMNS.join(", ")}, unit, amount, exact) VALUES (?, ${COLUMNS.map(() => "?").join(", ")}, ?, ?, ?)
    ON CONFLICT DO UPDATE SET input = excluded.input, output = excluded.output, cached = excluded.cached, micros = excluded.micros, unit = excluded.unit, amount = excluded.amount, exact = excluded.exact WHERE exact = 0`);
  const remove = db.prepare("DELETE FROM usage WHERE n = ? AND exact = 0");
  const old = db.prepare("DELETE FROM usage WHERE n IN (SELECT n FROM usage WHERE at < ? ORDER BY at LIMIT ?)");
  const page = db.prepare(`SELECT n, ${COLUMNS.join(", ")}, unit, amount, exact FROM usage WHERE at >= ? AND at < ? AND n > ? ORDER BY n LIMIT ?`);
  const highest = db.prepare("SELECT max(n) AS n FROM usage");
  const cache = new Map<string, StatementSync>();
  function statement(sql: string): StatementSync {
    const found = cache.get(sql) ?? db.prepare(sql);
    cache.set(sql, found);
    return found;
  }

  return {
    write({ n, row }) {
      if (row === undefined) return () => Number(remove.run(n).changes) || undefined;
      const values = COLUMNS.map((column) => row[column]);
      return () => (put.run(n, ...values, row.work?.unit ?? null, row.work?.amount ?? null, Number(row.exact)).changes === 0 ? undefined : n);
    },
    sums({ from, to, where = {}, by = [] }) {
      const fields = USAGE_FIELDS.filter((field) => where[field] !== undefined);
      const conditions = ["at >= ?", "at < ?", ...fields.map((field) => `${field} = ?`)].join(" AND ");
      const sums = "count(*) AS calls, total(input) AS input, total(output) AS output, total(cached) AS cached, total(micros) AS micros, count(*) - count(micros) AS unpriced, total(exact = 0) AS inexact";
      const select = statement(`SELECT ${[...by, sums].join(", ")} FROM usage WHERE ${conditions}${by.length === 0 ? "" : ` GROUP BY ${by.join(", ")} ORDER BY ${by.join(", ")}`}`);
      const found = select.all(from, to, ...fields.map((field) => where[field] as string)) as unknown as (Omit<UsageSum, "of"> & Record<UsageField, string>)[];
      return found.map((row) => sumOf(row, Object.fromEntries(by.map((field) => [field, row[field]]))));
    },
    rows({ from, to, after = 0, limit }) {
      const found = page.all(from, to, after, limit) as unknown as (Omit<Numbered, "exact" | "work"> & { exact: number; unit: NonNullable<UsageRow["work"]>["unit"] | null; amount: number | null })[];
      return found.map(({ unit, amount, exact, ...row }) => ({ ...row, exact: exact === 1, ...(unit === null || amount === null ? {} : { work: { unit, amount } }) }));
    },
    last: () => (highest.get() as { n: number | null }).n ?? 0,
    prune: (before, most) => Number(old.run(before, most).changes),
  };
}
const sumOf = ({ calls, input, output, cached, micros, unpriced, inexact }: Omit<UsageSum, "of">, of: UsageSum["of"]): UsageSum => ({ of, calls, input, output, cached, micros, unpriced, inexact });
