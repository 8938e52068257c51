/** Changes as prepared statements. JSON is written before the transaction begins, so that only its caller pays for a value that is none. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { Op } from "./group.ts";
import { inboxRecord, messageTexts, outboxRecord } from "./rows.ts";
import { isEnd, type Prune, START } from "./sqlite-prune.ts";
import type { Turns } from "./sqlite-turns.ts";
import type { Words } from "./sqlite-words.ts";
import type { UsageTable } from "./sqlite-usage.ts";
import type { Change, NewOutboxRow, NewReceipt, OutboxUpdate } from "./store.ts";

type Of<Do extends Change["do"]> = Extract<Change, { do: Do }>;

/** The numbers given last, and how many rows there are (unknown until somebody asks). */
export interface Numbers { inbox: number; outbox: number; turn: number; stamp: number; receipts: number | undefined; rows: number | undefined }

export function readNumbers(db: DatabaseSync, now: number): Numbers {
  const number = (sql: string): number => Number((db.prepare(sql).get() as { value: number | null } | undefined)?.value ?? 0);
  const highest = (name: string, sql: string): number => Math.max(number(sql), number(`SELECT value FROM mark WHERE name = '${name}'`));
  return {
    inbox: highest("inbox", "SELECT max(seq) AS value FROM inbox"),
    outbox: highest("outbox", "SELECT max(seq) AS value FROM outbox"),
    // A row holds several turns; its length is more than enough, and is known of a damaged row too.
    turn: highest("turn", "SELECT n + length(data) AS value FROM turn ORDER BY n DESC LIMIT 1"),
    stamp: now, receipts: undefined, rows: undefined,
  };
}

/** Turns a change into what is run inside the transaction. Throws TypeError on a value that JSON cannot hold. */
export type Prepare = (change: Change) => Op;

export function createPrepare(db: DatabaseSync, numbers: Numbers, { turns, words, usage, prune }: { readonly turns: Turns; readonly words: Words; readonly usage: UsageTable; readonly prune: Prune }): Prepare {
  const cache = new Map<string, StatementSync>();
  /** For statements whose columns differ from call to call. */
  function statement(sql: string): StatementSync {
    const found = cache.get(sql) ?? db.prepare(sql);
    cache.set(sql, found);
    return found;
  }
  const insertReceipt = db.prepare("INSERT INTO inbox (seq, key, at, secret, lane, priority, trust, tainted, head, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
  const insertRow = db.prepare("INSERT INTO outbox (seq, key, state, due, planned, expires, run, op, priority, target, address, draft) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
  const insertStep = db.prepare("INSERT INTO journal (run, step, n, at, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING");
  const remove = db.prepare("DELETE FROM kv WHERE space = ? AND key = ?");
  const put = db.prepare("INSERT INTO kv (space, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value");

  function receive(receipt: NewReceipt): Op {
    const row = inboxRecord(receipt);
    return () => {
      if (insertReceipt.run(numbers.inbox + 1, row.key, row.at, row.secret, row.lane, row.priority, row.trust, row.tainted, row.head, row.body).changes === 0) return undefined;
      if (numbers.receipts !== undefined) numbers.receipts++;
      return ++numbers.inbox;
    };
  }
  function receipt({ seq, state, attempts, runs, reason, message }: Of<"receipt">): Op {
    let columns = "";
    const values: SQLInputValue[] = [];
    const assign = (column: string, value: SQLInputValue): void => { columns += `${columns === "" ? "" : ", "}${column} = ?`; values.push(value); };
    if (state !== undefined) assign("state", state);
    if (attempts !== undefined) assign("attempts", attempts);
    if (runs !== undefined) assign("runs", JSON.stringify(runs));
    if (reason !== undefined) assign("reason", reason);
    if (message !== undefined) {
      const { head, body } = messageTexts(message);
      assign("head", head);
      if (state !== "done") assign("body", body);
    }
    if (state === "done") assign("body", null);
    if (columns === "") return () => undefined;
    const update = statement(`UPDATE inbox SET ${columns} WHERE seq = ? AND state <> 'done'`);
    values.push(seq);
    return () => (update.run(...values).changes === 0 ? undefined : seq);
  }
  function outbox(planned: NewOutboxRow): Op {
    const row = outboxRecord(planned);
    return () => {
      const { changes } = insertRow.run(numbers.outbox + 1, row.key, row.state, row.due, row.planned, row.expires, row.run, row.op, row.priority, row.target, row.address, row.draft);
      if (changes === 0) return undefined;
      if (numbers.rows !== undefined) numbers.rows++;
      return ++numbers.outbox;
    };
  }
  function outboxUpdate(key: string, set: OutboxUpdate): Op {
    let columns = "";
    const values: SQLInputValue[] = [];
    const assign = (column: string, value: SQLInputValue): void => { columns += `${columns === "" ? "" : ", "}${column} = ?`; values.push(value); };
    if (set.state !== undefined) assign("state", set.state);
    if (set.dueAt !== undefined) assign("due", set.dueAt);
    if (set.attempts !== undefined) assign("attempts", set.attempts);
    if (set.startedAt !== undefined) assign("started", set.startedAt);
    if (set.expiresAt !== undefined) assign("expires", set.expiresAt);
    if (set.ref !== undefined) assign("ref", set.ref);
    if (set.target !== undefined) assign("target", set.target);
    if (set.error !== undefined) assign("error", JSON.stringify(set.error));
    if (set.state === "sent") assign("draft", null);
    else if (set.draft !== undefined) assign("draft", JSON.stringify(set.draft));
    if (columns === "") return () => undefined;
    const update = statement(`UPDATE outbox SET ${columns} WHERE key = ? AND state <> 'sent' RETURNING seq`);
    values.push(key);
    return () => (update.get(...values) as { seq: number } | undefined)?.seq;
  }
  function journal({ run, entry }: Of<"journal">): Op {
    const data = JSON.stringify(entry.data) ?? "null";
    return () => (insertStep.run(run, entry.step, ++numbers.stamp, entry.at, data).changes === 0 ? undefined : numbers.stamp);
  }
  function set({ space, key, value }: Of<"set">): Op {
    const text = value === undefined ? undefined : JSON.stringify(value);
    if (text === undefined) return () => Number(remove.run(space, key).changes) || undefined;
    return () => { put.run(space, key, text); return undefined; };
  }
  /** As a part of a larger commit: all portions at once. */
  function pruneAll(change: Of<"prune">): Op {
    return () => {
      let all = 0;
      for (let place = START; !isEnd(place);) {
        const { removed, next } = prune(change, place);
        all += removed;
        place = next;
      }
      return all || undefined;
    };
  }

  return (change) => {
    switch (change.do) {
      case "receive": return receive(change.receipt);
      case "receipt": return receipt(change);
      case "journal": return journal(change);
      case "turns": return turns.add(change);
      case "forget-turns": return turns.forget(change);
      case "note": return words.note(change);
      case "forget-notes": return words.forgetNotes(change);
      case "outbox": return outbox(change.row);
      case "outbox-update": return outboxUpdate(change.key, change.set);
      case "set": return set(change);
      case "usage": return usage.write(change);
      case "prune": return pruneAll(change);
    }
  };
}
