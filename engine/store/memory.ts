/** A store without a disk: for tests, and for a gateway that shall remember nothing. Same contract, same order, same scrubbing; gone at the end of the process. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { StoreError } from "../errors.ts";
import type { Turn } from "../models/model.ts";
import { createMemoryUsage } from "./memory-usage.ts";
import { type InboxRecord, inboxRecord, inOrder, isIn, messageTexts, type OutboxRecord, outboxOf, outboxRecord, receiptOf, receiptSeqOf } from "./rows.ts";
import { bestOf, hitsIn } from "../words.ts";
import type { Change, CommitResult, Counts, JournalEntry, Note, Store, StoredTurn } from "./store.ts";

interface TurnRecord { readonly n: number; /** Number of the first turn of its commit. */ readonly first: number; readonly session: string; readonly run: string; readonly at: number; readonly data: string }
interface StepRecord { readonly run: string; readonly step: string; readonly at: number; readonly data: string }
type Act = () => number | undefined;

/** Values are kept as JSON text, so nobody shares a reference with the store and what JSON drops is dropped here too. */
export function createMemoryStore(): Store {
  const receipts = new Map<number, InboxRecord>();
  const seqByKey = new Map<string, number>();
  const pending = new Set<number>();
  const rows = new Map<string, OutboxRecord>();
  const unsent = new Set<OutboxRecord>();
  const journals = new Map<string, Map<string, StepRecord>>();
  const sessions = new Map<string, TurnRecord[]>();
  const spaces = new Map<string, Map<string, string>>();
  const books = new Map<string, Note[]>();
  const usage = createMemoryUsage();
  const last = { receipt: 0, row: 0, turn: 0, note: 0 };
  let closed = false;

  /** All that can fail happens here; what is returned cannot. */
  function prepare(change: Change): Act {
    switch (change.do) {
      case "receive": {
        const record = inboxRecord(change.receipt);
        return () => {
          if (seqByKey.has(record.key)) return undefined;
          const seq = ++last.receipt;
          seqByKey.set(record.key, seq);
          receipts.set(seq, { ...record, seq });
          pending.add(seq);
          return seq;
        };
      }
      case "receipt": {
        const { seq, state, attempts, message, reason } = change;
        const runs = change.runs === undefined ? undefined : JSON.stringify(change.runs);
        const words = message === undefined ? undefined : messageTexts(message);
        return () => {
          const found = receipts.get(seq);
          if (found === undefined || found.state === "done" || [state, attempts, runs, reason, words].every((part) => part === undefined)) return undefined;
          if (words !== undefined) { found.head = words.head; found.body = words.body; }
          if (attempts !== undefined) found.attempts = attempts;
          if (runs !== undefined) found.runs = runs;
          if (reason !== undefined) found.reason = reason;
          if (state !== undefined) {
            found.state = state;
            if (state === "pending") pending.add(seq); else pending.delete(seq);
            if (state === "done") found.body = null;
          }
          return seq;
        };
      }
      case "journal": {
        const { run, entry: { step, at, data } } = change;
        const record: StepRecord = { run, step, at, data: JSON.stringify(data) ?? "null" };
        return () => {
          const steps = journals.get(run) ?? new Map<string, StepRecord>();
          if (steps.has(step)) return undefined;
          journals.set(run, steps.set(step, record));
          return steps.size;
        };
      }
      case "turns": {
        const { session, run, at } = change;
        const texts = change.turns.map((turn) => JSON.stringify(turn));
        return () => {
          if (texts.length === 0) return undefined;
          const first = last.turn + 1;
          const entries = texts.map((data): TurnRecord => ({ n: ++last.turn, first, session, run, at, data }));
          sessions.set(session, [...sessions.get(session) ?? [], ...entries]);
          return first;
        };
      }
      case "forget-turns": return () => keepTurns(change.session, (turn) => change.run !== undefined && turn.run !== change.run);
      case "note": {
        const { book, at, tainted, text, most = Number.POSITIVE_INFINITY } = change;
        return () => {
          const notes = books.get(book) ?? [];
          if (notes.length >= most) return undefined;
          books.set(book, [{ n: ++last.note, at, tainted, text }, ...notes]);
          return last.note;
        };
      }
      case "forget-notes": {
        const { book, n } = change;
        return () => {
          const notes = books.get(book) ?? [];
          const left = notes.filter((note) => n !== undefined && note.n !== n);
          if (left.length === 0) books.delete(book); else books.set(book, left);
          return notes.length - left.length || undefined;
        };
      }
      case "outbox": {
        const record = outboxRecord(change.row);
        return () => {
          if (rows.has(record.key)) return undefined;
          const row = { ...record, seq: ++last.row };
          rows.set(row.key, row);
          index(row);
          return row.seq;
        };
      }
      case "outbox-update": {
        const { key, set } = change;
        const draft = set.draft === undefined ? undefined : JSON.stringify(set.draft);
        const error = set.error === undefined ? undefined : JSON.stringify(set.error);
        return () => {
          const row = rows.get(key);
          if (row === undefined || row.state === "sent" || Object.values(set).every((value) => value === undefined)) return undefined;
          if (set.dueAt !== undefined) row.due = set.dueAt;
          if (set.attempts !== undefined) row.attempts = set.attempts;
          if (set.startedAt !== undefined) row.started = set.startedAt;
          if (set.expiresAt !== undefined) row.expires = set.expiresAt;
          if (set.ref !== undefined) row.ref = set.ref;
          if (set.target !== undefined) row.target = set.target;
          if (error !== undefined) row.error = error;
          if (draft !== undefined) row.draft = draft;
          if (set.state !== undefined) row.state = set.state;
          if (row.state === "sent") row.draft = null;
          index(row);
          return row.seq;
        };
      }
      case "set": {
        const { space, key } = change;
        const text = JSON.stringify(change.value) as string | undefined;
        return () => {
          const entries = spaces.get(space) ?? new Map<string, string>();
          if (text === undefined) return entries.delete(key) ? 1 : undefined;
          spaces.set(space, entries.set(key, text));
          return undefined;
        };
      }
      case "usage": return usage.write(change);
      case "prune": return () => prune(change);
    }
  }
  function index(row: OutboxRecord): void {
    if (row.state !== "sent" && row.state !== "dead") unsent.add(row); else unsent.delete(row);
  }
  function keepTurns(session: string, keep: (turn: TurnRecord) => boolean): number | undefined {
    const before = sessions.get(session) ?? [];
    const after = before.filter(keep);
    if (after.length === 0) sessions.delete(session); else sessions.set(session, after);
    return before.length - after.length || undefined;
  }
  function prune({ before, turnsBefore, deadBefore = before, usageBefore = 0 }: Extract<Change, { do: "prune" }>): number | undefined {
    let removed = usage.prune(usageBefore, Number.POSITIVE_INFINITY);
    const gone = new Set<number>();
    for (const [seq, { key, state, at }] of receipts) {
      if (state === "pending" || at >= (state === "dead" ? deadBefore : before)) continue;
      seqByKey.delete(key);
      receipts.delete(seq);
      gone.add(seq);
    }
    for (const [run, steps] of journals) if (gone.has(receiptSeqOf(run)) && journals.delete(run)) removed += steps.size;
    removed += gone.size;
    for (const [key, row] of rows) if (!unsent.has(row) && row.due < (row.state === "dead" ? deadBefore : before) && rows.delete(key)) removed++;
    for (const session of [...sessions.keys()]) removed += keepTurns(session, ({ at }) => at >= turnsBefore) ?? 0;
    return removed || undefined;
  }
  /** Every call: refused after close, and never answered in the same turn. */
  async function open<T>(act: () => T | Promise<T>): Promise<T> {
    if (closed) throw new StoreError("STORE_001", { retry: "later" }, "Expected the store to be open, but it was closed.");
    await undefined;
    return act();
  }
  const some = <T>(all: readonly T[], limit: number): readonly T[] => all.slice(0, limit < 0 ? all.length : limit);
  const from = <T extends { seq: number }>(all: Iterable<T>, after: number, limit: number): readonly T[] => some([...all].filter(({ seq }) => seq > after).sort((a, b) => a.seq - b.seq), limit);

  return {
    async commit(changes): Promise<CommitResult> {
      let acts: Act[];
      try {
        acts = changes.map(prepare);
      } catch (error) {
        throw new StoreError("MSG_001", { cause: error }, `Expected plain JSON values, got: ${error instanceof Error ? error.message : String(error)}`);
      }
      return open(() => acts.map((act) => act()));
    },
    pending: (after, limit) => open(() => from([...pending].map((seq) => receipts.get(seq) as InboxRecord), after, limit).map(receiptOf)),
    receipt: (seq) => open(() => optional(receipts.get(seq), receiptOf)),
    dead: (limit) => open(() => some([...receipts.values()].filter(({ state }) => state === "dead").reverse(), limit).map(receiptOf)),
    unsent: (after, limit) => open(() => from(unsent, after, limit).map(outboxOf)),
    outboxRow: (key) => open(() => optional(rows.get(key), outboxOf)),
    sentAs: (at, ref) => open(() => [...rows.values()].filter((row) => row.ref === ref).map(outboxOf).filter(isIn(at))),
    journal: (run) => open(() => [...journals.get(run)?.values() ?? []].map(({ step, at, data }): JournalEntry => ({ step, at, data: JSON.parse(data) }))),
    turns: (session, limit) => open(() => (limit <= 0 ? [] : sessions.get(session) ?? []).slice(-limit)
      .map(({ n, run, at, data }): StoredTurn => ({ n, run, at, turn: JSON.parse(data) as Turn }))),
    findTurns: (session, asked, limit) => open(() => {
      const commits = Map.groupBy(sessions.get(session) ?? [], ({ first }) => first).values().map((rows) => rows.map(({ n, run, at, data }): StoredTurn => ({ n, run, at, turn: JSON.parse(data) as Turn }))).toArray();
      const texts = commits.map((rows, n) => ({ n, text: rows.map(({ turn }) => turn.text).join("\n") }));
      return bestOf(hitsIn(texts, asked), limit).map((n) => commits[n] as StoredTurn[]);
    }),
    notes: (book, asked, limit) => open(() => {
      const notes = books.get(book) ?? [];
      return asked === undefined ? notes.slice(0, limit) : bestOf(hitsIn(notes, asked), limit).map((n) => notes.find((note) => note.n === n) as Note);
    }),
    books: (limit) => open(() => [...books].map(([book, notes]) => ({ book, notes: notes.length, at: Math.max(...notes.map(({ at }) => at)) })).sort((a, b) => b.at - a.at).slice(0, limit)),
    get: (space, key) => open(() => optional(spaces.get(space)?.get(key), JSON.parse)),
    list: (space, prefix, { after, limit = -1, last = false } = {}) => open(() => {
      const all = [...spaces.get(space) ?? []].filter(([key]) => key.startsWith(prefix) && (after === undefined || inOrder(key, after) > 0)).sort(([a], [b]) => inOrder(a, b));
      const chosen = last ? some(all.reverse(), limit).toReversed() : some(all, limit);
      return chosen.map(([key, text]): [string, unknown] => [key, JSON.parse(text)]);
    }),
    usage: (query) => open(() => usage.sums(query)),
    usageRows: (query) => open(() => usage.rows(query)),
    lastUsage: () => open(() => usage.last()),
    counts: () => open((): Counts => {
      const dead = receipts.values().filter(({ state }) => state === "dead").toArray().length;
      const outbox = { planned: 0, sending: 0, unknown: 0, sent: 0, dead: 0 };
      for (const { state } of rows.values()) outbox[state as keyof typeof outbox]++;
      return { received: receipts.size, pending: pending.size, done: receipts.size - pending.size - dead, dead, outbox };
    }),
    /** Everything as JSON, to look at; it cannot be opened again. */
    backup: (file) => open(async () => {
      await mkdir(dirname(file), { recursive: true });
      const content = { receipts: [...receipts.values()], outbox: [...rows.values()], journals: [...journals.values()].flatMap((steps) => [...steps.values()]), turns: [...sessions.values()].flat(), notes: [...books], usage: usage.all(), spaces: [...spaces].map(([space, entries]) => ({ space, entries: [...entries] })) };
      await writeFile(file, JSON.stringify(content), { mode: 0o600 });
    }),
    async close() { closed = true; },
  };
}

const optional = <Row, T>(row: Row | undefined, make: (row: Row) => T): T | undefined => (row === undefined ? undefined : make(row));
