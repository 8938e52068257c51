/** The store of a gateway: one SQLite file, every commit on disk before it is confirmed. */
import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { type Clock, systemClock } from "../clock.ts";
import { StoreError } from "../errors.ts";
import { createGroup } from "./group.ts";
import { createPrepare, readNumbers } from "./sqlite-changes.ts";
import { copy } from "./sqlite-copy.ts";
import { isAtLimit, isStoreFault, limitPages, openFile, resultCode, storeError, usedBytes } from "./sqlite-file.ts";
import { createPrune, isEnd, type Portion, START } from "./sqlite-prune.ts";
import { note, type StoreProblem } from "./sqlite-state.ts";
import { createTurns } from "./sqlite-turns.ts";
import { createWords } from "./sqlite-words.ts";
import { createUsageTable } from "./sqlite-usage.ts";
import { type InboxRecord, type OutboxRecord, inOrder, isIn, outboxOf, receiptOf } from "./rows.ts";
import type { Change, CommitResult, Counts, JournalEntry, Store } from "./store.ts";

export interface SqliteOptions {
  readonly clock?: Clock;
  /** NORMAL loses confirmed commits at a power cut; for tests of just that. */
  readonly synchronous?: "FULL" | "NORMAL";
  /** Size the file may grow to; then STORE_005 until something is removed. */
  readonly maxBytes?: number;
  /** Pages in the -wal before they are brought home; for tests that want that often. */
  readonly checkpointPages?: number;
}
export interface SqliteStore extends Store {
  /** What was found and repaired at opening. */
  readonly problems: readonly StoreProblem[];
}

/** SQLite's code for a full disk and for a file at its limit alike. */
const FULL = 13;

/** Everything that is asked of the database, prepared once. */
function start(db: DatabaseSync, clock: Clock) {
  const numbers = readNumbers(db, clock.now());
  const turns = createTurns(db, numbers);
  const words = createWords(db, turns);
  const usage = createUsageTable(db);
  const prune = createPrune(db, numbers, usage, clock.now);
  const prepare = createPrepare(db, numbers, { turns, words, usage, prune });
  const inbox = "SELECT * FROM inbox WHERE";
  const outbox = "SELECT * FROM outbox WHERE";
  const queries = {
    pending: db.prepare(`${inbox} state = 'pending' AND seq > ? ORDER BY seq LIMIT ?`),
    receipt: db.prepare(`${inbox} seq = ?`),
    dead: db.prepare(`${inbox} state = 'dead' ORDER BY seq DESC LIMIT ?`),
    unsent: db.prepare(`${outbox} state IN ('planned', 'sending', 'unknown') AND seq > ? ORDER BY seq LIMIT ?`),
    outboxRow: db.prepare(`${outbox} key = ?`),
    sentAs: db.prepare(`${outbox} ref = ?`),
    journal: db.prepare("SELECT step, at, data FROM journal WHERE run = ? ORDER BY n"),
    get: db.prepare("SELECT value FROM kv WHERE space = ? AND key = ?"),
    list: db.prepare("SELECT key, value FROM kv WHERE space = ? AND key >= ? AND key IS NOT ? AND key < ? ORDER BY key LIMIT ?"),
    listLast: db.prepare("SELECT key, value FROM kv WHERE space = ? AND key >= ? AND key IS NOT ? AND key < ? ORDER BY key DESC LIMIT ?"),
    pendingCount: db.prepare("SELECT count(*) AS n FROM inbox WHERE state = 'pending'"),
    deadCount: db.prepare("SELECT count(*) AS n FROM inbox WHERE state = 'dead'"),
    receipts: db.prepare("SELECT count(*) AS n FROM inbox"),
    unsentCount: db.prepare("SELECT state, count(*) AS n FROM outbox WHERE state IN ('planned', 'sending', 'unknown') GROUP BY state"),
    deadRows: db.prepare("SELECT count(*) AS n FROM outbox WHERE state = 'dead'"),
    rows: db.prepare("SELECT count(*) AS n FROM outbox"),
  };
  return { numbers, turns, words, usage, prune, prepare, queries, begin: db.prepare("BEGIN"), end: db.prepare("COMMIT"), undo: db.prepare("ROLLBACK") };
}

/**
 * Opens or begins the store in `folder` (made if missing, for its owner's eyes only). A damaged file is moved aside and named in `problems`.
 * Throws StoreError: STORE_001 it cannot be written, STORE_003 made by a newer version, STORE_004 another process or gateway has it.
 */
export async function openSqliteStore(folder: string, options: SqliteOptions = {}): Promise<SqliteStore> {
  const clock = options.clock ?? systemClock;
  const { maxBytes, checkpointPages } = options;
  const { db, problems, file, started } = await openFile(folder, { now: clock.now(), synchronous: options.synchronous ?? "FULL", ...(maxBytes === undefined ? {} : { maxBytes }), ...(checkpointPages === undefined ? {} : { checkpointPages }) }, (found) => start(found, clock));
  const { numbers, turns, words, usage, prune, prepare, queries, begin, end, undo } = started;
  let closed = false;
  let damaged = false;
  let copying: Promise<void> | undefined;
  let limited = maxBytes !== undefined;

  /** In our words; damage is noted, so that the next start looks at all of the file. */
  function fault(error: unknown): StoreError {
    if (resultCode(error) === FULL && limited && isAtLimit(db)) return new StoreError("STORE_005", { retry: "later", afterMs: 5_000, cause: error }, `Expected ${file} to stay below its limit, got no room for more. Raise the limit of the gateway, or wait until what is under way is finished.`);
    const found = error instanceof SyntaxError ? new StoreError("STORE_002", { cause: error }, `Expected JSON in ${file}, got a damaged row.`) : storeError(error, file);
    if (found.code === "STORE_002" && !damaged) {
      damaged = true;
      note(folder, { state: "damaged" });
    }
    return found;
  }
  let saved = { ...numbers };
  const group = createGroup({
    begin() { saved = { ...numbers }; begin.run(); turns.begin(); },
    commit() { end.run(); turns.end(true); },
    rollback() {
      turns.end(false);
      try { undo.run(); } catch { /* SQLite rolled back itself, or the transaction never began. */ }
      Object.assign(numbers, saved);
    },
    blame: (error) => (isStoreFault(error) ? "store" : "caller"),
    wrap: fault,
  });
  const count = (query: keyof typeof queries): number => (queries[query].get() as { n: number }).n;
  /** Every read: refused after close, faults in our words. */
  async function read<T>(act: () => T): Promise<T> {
    if (closed) throw closedError(file);
    try {
      return act();
    } catch (error) {
      throw fault(error);
    }
  }

  /** Rows that came back dead were damaged on disk: they are left out, and written off so that nobody waits for them. */
  function page<T extends { readonly seq: number; readonly state: string }>(fetch: (after: number, limit: number) => T[], after: number, limit: number, writeOff: (row: T) => Change): T[] {
    const found: T[] = [];
    for (let from = after; ;) {
      const wanted = limit - found.length;
      const rows = fetch(from, wanted);
      for (const row of rows) {
        if (row.state === "dead") commit([writeOff(row)]).catch(() => { /* Tried again at the next look. */ });
        else found.push(row);
      }
      if (rows.length < wanted || found.length >= limit) return found;
      from = (rows.at(-1) as T).seq;
    }
  }

  async function commit(changes: readonly Change[]): Promise<CommitResult> {
    if (closed) throw closedError(file);
    const [first] = changes;
    if (first === undefined) return [];
    if (first.do === "prune" && changes.length === 1) return [await pruneAlone(first)];
    let ops: ReturnType<typeof prepare>[];
    try {
      ops = changes.map(prepare);
    } catch (error) {
      throw storeError(error, file);
    }
    return group.add(ops);
  }
  /** In portions, so that others are served in between. */
  async function pruneAlone(change: Extract<Change, { do: "prune" }>): Promise<number | undefined> {
    let all = 0;
    for (let place = START; !isEnd(place) && !closed;) {
      let portion: Portion | undefined;
      await group.add([() => { portion = prune(change, place); return undefined; }]);
      const { removed, next } = portion as unknown as Portion;
      all += removed;
      place = next;
    }
    return all || undefined;
  }
  async function backup(target: string): Promise<void> {
    if (closed) throw closedError(file);
    const path = resolve(target);
    if (path === resolve(file) || (existsSync(path) && realpathSync(path) === realpathSync(file))) throw new StoreError("STORE_001", {}, `Expected another file than the store itself for a backup, got ${path}.`);
    const release = group.hold();
    try {
      await copy(db, path, clock.now(), release);
      note(folder, { backup: path });
    } catch (error) {
      const found = fault(error);
      throw found.code === "STORE_002" ? found : new StoreError("STORE_001", { retry: "later", cause: error }, `Expected to write a backup to ${path}, got "${error instanceof Error ? error.message : String(error)}".`);
    } finally {
      release();
    }
  }

  return {
    problems,
    commit,
    pending: (after, limit) => read(() => (queries.pending.all(after, limit) as unknown as InboxRecord[]).map(receiptOf)),
    receipt: (seq) => read(() => optional(queries.receipt.get(seq) as unknown as InboxRecord | undefined, receiptOf)),
    dead: (limit) => read(() => (queries.dead.all(limit) as unknown as InboxRecord[]).map(receiptOf)),
    unsent: (after, limit) => read(() => page((from, count) => (queries.unsent.all(from, count) as unknown as OutboxRecord[]).map(outboxOf), after, limit,
      ({ key, error = { code: "STORE_002", text: "" } }) => ({ do: "outbox-update", key, set: { state: "dead", error } }))),
    outboxRow: (key) => read(() => optional(queries.outboxRow.get(key) as unknown as OutboxRecord | undefined, outboxOf)),
    sentAs: (at, ref) => read(() => (queries.sentAs.all(ref) as unknown as OutboxRecord[]).map(outboxOf).filter(isIn(at))),
    journal: (run) => read(() => (queries.journal.all(run) as unknown as { step: string; at: number; data: string }[])
      .map(({ step, at, data }): JournalEntry => ({ step, at, data: JSON.parse(data) }))),
    turns: (session, limit) => read(() => turns.read(session, limit)),
    async findTurns(session, asked, limit) {
      for (;;) {
        const { rows, index } = await read(() => words.find(session, asked, limit));
        const indexed = index === undefined || closed ? undefined : group.add([index]);
        // What cannot be written is told to whoever writes next.
        if (rows !== undefined) indexed?.catch(() => undefined);
        if (rows !== undefined) return read(() => rows.map((n) => turns.row(session, n)).filter((row) => row.length > 0));
        await indexed;
      }
    },
    notes: (book, asked, limit) => read(() => words.notes(book, asked, limit)),
    books: (limit) => read(() => words.books(limit)),
    get: (space, key) => read(() => optional(queries.get.get(space, key) as { value: string } | undefined, ({ value }) => JSON.parse(value) as unknown)),
    list: (space, prefix, { after, limit = -1, last = false } = {}) => read(() => {
      const from = after !== undefined && inOrder(prefix, after) < 0 ? after : prefix;
      const rows = queries[last ? "listLast" : "list"].all(space, from, after ?? null, `${prefix}\u{10FFFF}`, limit) as unknown as { key: string; value: string }[];
      const pairs = rows.map(({ key, value }): [string, unknown] => [key, JSON.parse(value)]);
      return last ? pairs.reverse() : pairs;
    }),
    usage: (query) => read(() => usage.sums(query)),
    usageRows: (query) => read(() => usage.rows(query)),
    lastUsage: () => read(() => usage.last()),
    counts: () => read(() => {
      numbers.receipts ??= count("receipts");
      numbers.rows ??= count("rows");
      const [pending, dead, deadRows] = [count("pendingCount"), count("deadCount"), count("deadRows")];
      const unsent = queries.unsentCount.all() as unknown as { state: string; n: number }[];
      const [planned, sending, unknown] = ["planned", "sending", "unknown"].map((state) => unsent.find((row) => row.state === state)?.n ?? 0) as [number, number, number];
      return { received: numbers.receipts, pending, done: numbers.receipts - pending - dead, dead, outbox: { planned, sending, unknown, sent: numbers.rows - planned - sending - unknown - deadRows, dead: deadRows } } satisfies Counts;
    }),
    size: () => read(() => usedBytes(db)),
    limit(bytes) {
      if (closed) return;
      limited = bytes !== undefined;
      limitPages(db, bytes);
    },
    backup: (target) => copying = (copying ?? Promise.resolve()).catch(() => {}).then(() => backup(target)),
    async close() {
      if (closed) return;
      closed = true;
      await copying?.catch(() => {});
      group.flush();
      try {
        // From here on the -wal may be gone.
        note(folder, { log: false });
        db.close();
        if (!damaged) note(folder, { state: "closed" });
      } catch (error) {
        throw storeError(error, file);
      }
    },
  };
}

const optional = <Row, T>(row: Row | undefined, make: (row: Row) => T): T | undefined => (row === undefined ? undefined : make(row));
const closedError = (file: string): StoreError => new StoreError("STORE_001", { retry: "later" }, `Expected ${file} to be open, but it was closed.`);
