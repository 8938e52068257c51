/** Removing what is old, in portions: a table is walked from its oldest row to the first that is young. */
import type { DatabaseSync } from "node:sqlite";
import type { Numbers } from "./sqlite-changes.ts";
import type { UsageTable } from "./sqlite-usage.ts";
import type { Change } from "./store.ts";

/** Rows of each table looked at in one portion: about 15 ms of work. */
const PORTION = 1000;
/** A row from further in the future was written under a wrong clock and does not end the walk. */
const CLOCK_ERROR_MS = 24 * 60 * 60 * 1000;

const TABLES = ["inbox", "outbox", "turn"] as const;
type Table = (typeof TABLES)[number];
/** How far each table was walked; undefined: to the end. */
export type Place = Readonly<Partial<Record<Table | "usage", number>>>;
export const START: Place = { inbox: 0, outbox: 0, turn: 0, usage: 0 };
export interface Portion { readonly removed: number; readonly next: Place }

export type Prune = (change: Extract<Change, { do: "prune" }>, place: Place) => Portion;

export function createPrune(db: DatabaseSync, numbers: Numbers, usage: UsageTable, now: () => number): Prune {
  const walks = {
    inbox: walk("inbox", "seq", "at", `(state = 'done' AND at < ? OR state = 'dead' AND at < ?)`, [
      "DELETE FROM journal WHERE run IN (SELECT journal.run FROM inbox CROSS JOIN journal ON journal.run > inbox.seq || '.' AND journal.run < inbox.seq || '/' WHERE seq > ? AND seq <= ? AND (state = 'done' AND inbox.at < ? OR state = 'dead' AND inbox.at < ?))",
    ]),
    outbox: walk("outbox", "seq", "planned", "(state = 'sent' AND due < ? OR state = 'dead' AND due < ?)", []),
    turn: walk("turn", "n", "at", "at < ?", ["DELETE FROM turn_word WHERE rowid IN (SELECT n FROM turn WHERE n > ? AND n <= ? AND at < ?)", "DELETE FROM turn_index WHERE (session, n) IN (SELECT session, n FROM turn WHERE n > ? AND n <= ? AND at < ?)"]),
  };
  const keep = db.prepare("INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value WHERE value < excluded.value");

  function walk(table: Table, id: string, at: string, old: string, before: readonly string[]) {
    const range = `${id} > ? AND ${id} <= ?`;
    const last = db.prepare(`SELECT max(${id}) AS last, count(*) AS rows FROM (SELECT ${id} FROM ${table} WHERE ${id} > ? ORDER BY ${id} LIMIT ${PORTION})`);
    const young = db.prepare(`SELECT 1 FROM ${table} WHERE ${range} AND ${at} BETWEEN ? AND ? LIMIT 1`);
    const removals = [...before, `DELETE FROM ${table} WHERE ${range} AND ${old}`].map((sql) => db.prepare(sql));
    /** `olds`: for each state what is older goes. */
    return (from: number, limit: number, ...olds: number[]): { removed: number; journals: number; next: number | undefined } => {
      const { last: to, rows } = last.get(from) as { last: number | null; rows: number };
      if (to === null) return { removed: 0, journals: 0, next: undefined };
      const end = rows < PORTION || young.get(from, to, limit, now() + CLOCK_ERROR_MS) !== undefined;
      const changes = removals.map((removal) => Number(removal.run(from, to, ...olds).changes));
      return { removed: changes.at(-1) as number, journals: table === "inbox" ? changes[0] as number : 0, next: end ? undefined : to };
    };
  }

  return ({ before, turnsBefore, deadBefore = before, usageBefore = 0 }, place) => {
    // Numbers are not given twice, even when the rows that bore them are gone.
    for (const name of TABLES) keep.run(name, numbers[name]);
    const next: Partial<Record<Table | "usage", number>> = {};
    let removed = place.usage === undefined ? 0 : usage.prune(usageBefore, PORTION);
    if (removed === PORTION) next.usage = 0;
    for (const table of TABLES) {
      const from = place[table];
      if (from === undefined) continue;
      const portion = table === "turn" ? walks.turn(from, turnsBefore, turnsBefore) : walks[table](from, Math.max(before, deadBefore), before, deadBefore);
      removed += portion.removed + portion.journals;
      if (portion.next !== undefined) next[table] = portion.next;
      if (table === "inbox" && numbers.receipts !== undefined) numbers.receipts -= portion.removed;
      if (table === "outbox" && numbers.rows !== undefined) numbers.rows -= portion.removed;
    }
    return { removed, next };
  };
}
export const isEnd = (place: Place): boolean => Object.keys(place).length === 0;
