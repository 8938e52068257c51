/** What a person looks at: the usage of the last days, by agent, person and model, and all of it as a table. */
import { dollars, spanOf } from "../budget.ts";
import { USAGE_FIELDS, type Store, type UsageField, type UsageRow, type UsageSum } from "../store/store.ts";

const REPORTS = { agent: ["agent"], person: ["channel", "account", "person"], model: ["provider", "model"] } as const satisfies Record<string, readonly UsageField[]>;
export interface Overview { readonly today: UsageSum; readonly days: UsageSum; readonly by: Readonly<Record<keyof typeof REPORTS, readonly UsageSum[]>> }

/** Rows of a list that is looked at. */
const MOST_ROWS = 50;
const DAYS = 30;
const breath = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

function add(a: UsageSum, b: UsageSum, of: UsageSum["of"]): UsageSum {
  return { of, calls: a.calls + b.calls, input: a.input + b.input, output: a.output + b.output, cached: a.cached + b.cached, micros: a.micros + b.micros, unpriced: a.unpriced + b.unpriced, inexact: a.inexact + b.inexact };
}
export const NOTHING: UsageSum = { of: {}, calls: 0, input: 0, output: 0, cached: 0, micros: 0, unpriced: 0, inexact: 0 };
/** Sums of sums, the dearest first; of equal price the largest. */
export function sumsBy(sums: readonly UsageSum[], fields: readonly UsageField[]): UsageSum[] {
  const groups = new Map<string, UsageSum>();
  for (const sum of sums) {
    const of = Object.fromEntries(fields.map((field) => [field, sum.of[field] ?? ""]));
    const key = JSON.stringify(of);
    groups.set(key, add(groups.get(key) ?? NOTHING, sum, of));
  }
  return [...groups.values()].sort((a, b) => b.micros - a.micros || b.input + b.output - a.input - a.output);
}

/** Today and the 30 days up to now. A day is read at a time, so that others are served in between. */
export async function overview(store: Pick<Store, "usage">, zone: string, now: number): Promise<Overview> {
  const by = Object.values(REPORTS).flat();
  const sums: UsageSum[] = [];
  let today: readonly UsageSum[] | undefined;
  let span = spanOf("day", zone, now);
  for (let day = 0; day < DAYS; day++, span = spanOf("day", zone, span.from - 1)) {
    const found = await store.usage({ ...span, by });
    today ??= found;
    sums.push(...found);
    await breath();
  }
  const all = (of: readonly UsageSum[]): UsageSum => sumsBy(of, [])[0] ?? NOTHING;
  const list = (fields: readonly UsageField[]): UsageSum[] => sumsBy(sums, fields).slice(0, MOST_ROWS);
  return { today: all(today ?? []), days: all(sums), by: { agent: list(REPORTS.agent), person: list(REPORTS.person), model: list(REPORTS.model) } };
}

const COLUMNS = ["time", "message", ...USAGE_FIELDS, "input tokens", "output tokens", "cached tokens", "amount", "unit", "USD", "exact"] as const;
/** RFC 4180. What a spreadsheet would take for a formula gets an apostrophe in front: names and ids come from outside. */
function csvField(value: string): string {
  const text = /^[\s'"]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/.test(value) ? `'${value}` : value;
  return /[",;\r\n']/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
const line = (fields: readonly string[]): string => `${fields.join(",")}\r\n`;
function csvLine(row: UsageRow): string {
  const texts = [row.message, ...USAGE_FIELDS.map((field) => row[field])].map(csvField);
  return line([new Date(row.at).toISOString(), ...texts, String(row.input), String(row.output), String(row.cached), row.work === undefined ? "" : String(row.work.amount), row.work?.unit ?? "", row.micros === null ? "" : dollars(row.micros), row.exact ? "yes" : "no"]);
}

/** All calls of the last `days`, oldest first, in pieces. UTF-8 with the mark by which spreadsheets know it. */
export async function* usageCsv(store: Pick<Store, "usageRows">, now: number, days = DAYS): AsyncIterable<string> {
  yield `\uFEFF${line(COLUMNS)}`;
  const query = { from: now - days * 86_400_000, to: now + 1, limit: 500 };
  for (let after = 0; ;) {
    const rows = await store.usageRows({ ...query, after });
    if (rows.length > 0) yield rows.map(csvLine).join("");
    if (rows.length < query.limit) return;
    after = (rows.at(-1) as { n: number }).n;
    await breath();
  }
}
