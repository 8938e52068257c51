/**
 * What can still be read of a damaged store, carried over into a new file. SQLite itself reads it, so it is the last committed content or nothing; a
 * row that cannot be read, or is not what a row must be, is skipped. Where its key is still known it stays known: what is lost is not done twice.
 */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { DAMAGED, EMPTY_DRAFT, type InboxRecord, lostMessage, type OutboxRecord, outboxOf, receiptOf, stubOf } from "./rows.ts";
import { COPIED, isJson, transaction } from "./sqlite-repair.ts";

/** `lost`: rows whose key or number alone is known. `complete`: all tables were read to their end without a fault. */
export interface Rescued { readonly messages: number; readonly waiting: number; readonly parts: number; readonly turns: number; readonly values: number; readonly lost: number; readonly complete: boolean }

type Row = Record<string, SQLInputValue>;
const PAGE_ROWS = 200;
/** Numbers that fail one after the other before larger steps are made: more than the rows below one page of numbers. */
const PATIENCE = 20_000;
/** New numbers begin so far behind the highest that was found, because higher ones may be lost. */
const GAP = 1_000_000;

/** A number beyond is a damaged one. */
const MOST = 1e14;

export async function rescue(from: DatabaseSync, to: DatabaseSync, now: number): Promise<Rescued> {
  let faults = 0;
  /** Undefined where it cannot be read. */
  function all(sql: string, ...values: SQLInputValue[]): Row[] | undefined {
    try {
      return from.prepare(sql).all(...values) as Row[];
    } catch {
      faults++;
      return undefined;
    }
  }
  /** Rows of one make. How many were not there yet. */
  function put(table: string, rows: readonly Row[]): number {
    const [first] = rows;
    if (first === undefined) return 0;
    const columns = Object.keys(first);
    const insert = to.prepare(`INSERT OR IGNORE INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`);
    return transaction(to, () => rows.reduce((added, row) => added + Number(insert.run(...Object.values(row)).changes), 0));
  }
  const breath = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

  /** All that can be read of a table with numbers; around what cannot, number by number. */
  async function walk(table: string, id: string, take: (rows: Row[]) => void): Promise<void> {
    const byIndex = { turn: "SELECT max(n) AS top FROM turn_index", note: "SELECT max(n) AS top FROM note INDEXED BY note_book WHERE book > ''", usage: "SELECT max(n) AS top FROM usage INDEXED BY usage_time WHERE at > 0" }[table];
    const top = Math.max(0, ...[`SELECT max(${id}) AS top FROM ${table}`, byIndex ?? `SELECT max(seq) AS top FROM ${table} INDEXED BY sqlite_autoindex_${table}_1 WHERE key > ''`, `SELECT value AS top FROM mark WHERE name = '${table}'`]
      .map((sql) => Number(all(sql)?.[0]?.top ?? 0)).filter((number) => number < MOST));
    let failed = 0;
    for (let at = 0; ;) {
      const page = all(`SELECT * FROM ${table} WHERE ${id} > ? ORDER BY ${id} LIMIT ${PAGE_ROWS}`, at);
      if (page !== undefined) {
        take(page);
        if (page.length < PAGE_ROWS) return;
        at = Number(page.at(-1)?.[id]);
        failed = 0;
      } else {
        // One by one up to the row that cannot be read, and past it.
        const end = at + PAGE_ROWS;
        const found: Row[] = [];
        for (; at < end && at < top; at += failed > PATIENCE ? PAGE_ROWS : 1) {
          const row = all(`SELECT * FROM ${table} WHERE ${id} = ?`, at + 1);
          failed = row === undefined ? failed + 1 : 0;
          if (row !== undefined) found.push(...row);
        }
        take(found);
        if (at >= top || failed > 2 * PATIENCE) return;
      }
      await breath();
    }
  }
  /** A table that is ordered by texts, from both ends up to where it cannot be read. */
  async function fromBothEnds(table: string, a: string, b: string, take: (rows: Row[]) => void): Promise<void> {
    for (const [order, sign, first] of [["ASC", ">", [""]], ["DESC", "<", ["\u{10FFFF}"]]] as const) {
      let last: readonly [SQLInputValue, SQLInputValue] = [first[0], first[0]];
      for (let size = PAGE_ROWS; ;) {
        const page = all(`SELECT * FROM ${table} WHERE (${a}, ${b}) ${sign} (?, ?) ORDER BY ${a} ${order}, ${b} ${order} LIMIT ${size}`, ...last);
        if (page === undefined && size === 1) break;
        if (page === undefined) { size = 1; continue; }
        take(page);
        if (page.length === 0) { if (order === "ASC") return; break; }
        last = [page.at(-1)?.[a] ?? "", page.at(-1)?.[b] ?? ""];
        await breath();
      }
    }
  }
  /** What indexes still tell of rows whose record is gone: key by number, and which of them were not finished; undefined where an index cannot be read. */
  function keysOf(table: "inbox" | "outbox"): Map<number, string> | undefined {
    const rows = all(`SELECT seq, key FROM ${table} INDEXED BY sqlite_autoindex_${table}_1 WHERE key > ''`);
    return rows && new Map(rows.flatMap(({ seq, key }) => (typeof seq === "number" && seq < MOST && typeof key === "string" ? [[seq, key] as const] : [])));
  }
  function unfinished(table: "inbox" | "outbox"): Set<number> | undefined {
    const rows = all(table === "inbox" ? "SELECT seq FROM inbox INDEXED BY inbox_pending WHERE state = 'pending'" : "SELECT seq FROM outbox INDEXED BY outbox_unsent WHERE state IN ('planned', 'sending', 'unknown')");
    return rows && new Set(rows.map(({ seq }) => Number(seq)));
  }

  const found = { messages: 0, waiting: 0, parts: 0, turns: 0, values: 0, lost: 0 };
  const top = { inbox: 0, outbox: 0, turn: 0 };
  const known = { inbox: keysOf("inbox"), outbox: keysOf("outbox") };
  const keys = { inbox: known.inbox ?? new Map<number, string>(), outbox: known.outbox ?? new Map<number, string>() };
  const open = { inbox: unfinished("inbox"), outbox: unfinished("outbox") };
  const begun: number[] = [];

  /** Sound rows of a page; those whose key is another one than the index says are not. */
  function sound(table: "inbox" | "outbox", rows: readonly Row[], isSound: (row: Row) => boolean): Row[] {
    const fine = rows.filter((row) => isSound(row) && Number(row.seq) < MOST && (keys[table].get(Number(row.seq)) ?? row.key) === row.key);
    for (const { seq } of fine) {
      keys[table].delete(Number(seq));
      top[table] = Math.max(top[table], Number(seq));
    }
    if (fine.length < rows.length) faults++;
    return fine;
  }

  const before = faults;
  await walk("outbox", "seq", (rows) => { found.parts += put("outbox", sound("outbox", rows, (row) => row.state === "dead" || outboxOf(row as unknown as OutboxRecord).state !== "dead")); });
  const allParts = known.outbox !== undefined || faults === before;
  await walk("inbox", "seq", (rows) => {
    const fine = sound("inbox", rows, (row) => row.state === "dead" || receiptOf(row as unknown as InboxRecord).reason !== DAMAGED.text);
    for (const { seq, state } of fine) if (state === "pending") begun.push(Number(seq));
    found.messages += put("inbox", fine);
  });

  // A message whose steps are not all known must not be done again: a tool might run twice, a part be sent twice.
  for (const seq of begun) {
    const steps = all("SELECT * FROM journal WHERE run > ? AND run < ? ORDER BY n", `${seq}.`, `${seq}/`);
    if (steps?.every(({ data }) => isJson(data)) && (steps.length === 0 || allParts)) {
      put("journal", steps);
      found.waiting++;
    } else to.prepare("UPDATE inbox SET state = 'dead', reason = ? WHERE seq = ?").run(DAMAGED.text, seq);
  }
  for (const table of ["inbox", "outbox"] as const) for (const seq of keys[table].keys()) top[table] = Math.max(top[table], seq);
  for (const [seq, key] of keys.inbox) {
    const waited = open.inbox?.has(seq) ?? true;
    const head = JSON.stringify(stubOf(lostMessage({ key, lane: "", at: now })));
    found.lost += put("inbox", [{ seq, key, state: waited ? "dead" : "done", at: now, secret: "", lane: "", priority: "normal", trust: "stranger", tainted: 1, reason: waited ? DAMAGED.text : null, head }]);
  }
  for (const [seq, key] of keys.outbox) {
    const waited = open.outbox?.has(seq) ?? true;
    const address = JSON.stringify({ channel: "", account: "", chat: "", kind: "direct" });
    found.lost += put("outbox", [{ seq, key, state: waited ? "dead" : "sent", due: now, planned: now, run: "", op: "send", priority: "normal", address, draft: waited ? JSON.stringify(EMPTY_DRAFT) : null, error: waited ? JSON.stringify(DAMAGED) : null }]);
  }
  await walk("turn", "n", (rows) => {
    const fine = rows.filter(({ n, session, at, run, data }) => typeof n === "number" && n < MOST && typeof session === "string" && typeof at === "number" && typeof run === "string" && isJson(data));
    for (const { n } of fine) top.turn = Math.max(top.turn, Number(n));
    found.turns += put("turn", fine);
    if (fine.length < rows.length) faults++;
  });
  // A store of before version 2 has none. Their words are gathered anew at the opening.
  if (all("SELECT 1 FROM sqlite_schema WHERE name = 'note'")?.length !== 0) {
    await walk("note", "n", (rows) => {
      const fine = rows.filter(({ n, book, at, tainted, text }) => typeof n === "number" && n < MOST && typeof book === "string" && typeof at === "number" && (tainted === 0 || tainted === 1) && typeof text === "string");
      found.values += put("note", fine);
      if (fine.length < rows.length) faults++;
    });
  }
  if (all("SELECT 1 FROM sqlite_schema WHERE name = 'usage'")?.length !== 0) await walk("usage", "n", (rows) => {
    const fine = rows.filter(({ n, micros, ...row }) => typeof n === "number" && n < MOST && (micros === null || typeof micros === "number") && ["at", "input", "output", "cached", "exact"].every((field) => typeof row[field] === "number") && ["run", "session", "person", "agent", "model"].every((field) => typeof row[field] === "string"));
    put("usage", fine);
    if (fine.length < rows.length) faults++;
  });
  await fromBothEnds("kv", "space", "key", (rows) => {
    const fine = rows.filter(({ space, key, value }) => typeof space === "string" && typeof key === "string" && isJson(value));
    found.values += put("kv", fine);
    if (fine.length < rows.length) faults++;
  });
  put("mark", [...Object.entries(top).map(([name, value]) => ({ name, value: value + GAP })), ...all("SELECT name, value FROM mark WHERE name = ?", COPIED) ?? []]);
  return { ...found, complete: faults === 0 };
}
