/** Between what the store hands out and what it keeps: pure, shared by all stores. */
import { type Draft, MESSAGE_VERSION, type Message } from "../message.ts";
import type { NewOutboxRow, NewReceipt, OutboxOp, OutboxRow, OutboxState, Priority, Receipt, ReceiptState } from "./store.ts";
import type { Trust } from "../tool.ts";

/** What stays of a sent row's draft. */
export const EMPTY_DRAFT: Draft = { text: "" };

/** Deduplication key of an inbound message. */
export function dedupeKey(message: Message): string {
  return `${message.at.channel}\n${message.at.account}\n${message.id}`;
}

/**
 * What stays of a done receipt's message: enough to know it again, to answer late to where it came from, and to know by whose right;
 * no words, no files, no names.
 */
export function stubOf(message: Message): Message {
  const { version, id, ref, kind, at, sender, sentAt, addressed, to } = message;
  return {
    version, id, ref, kind, at, sender: { id: sender.id, name: "", bot: sender.bot, self: sender.self }, sentAt, text: "", attachments: [], addressed,
    ...(to === undefined ? {} : { to }),
  };
}

export interface InboxRecord {
  seq: number; key: string; state: string; at: number; attempts: number; secret: string; lane: string; priority: string; trust: string; tainted: number;
  runs: string | null; reason: string | null; head: string; body: string | null;
}
/** Never throws: a receipt whose texts were damaged on disk comes back dead, with what its key still tells. */
export function receiptOf(row: InboxRecord): Receipt {
  const { seq, secret, lane, attempts } = row;
  const rest = { seq, secret, lane, attempts, priority: row.priority as Priority, trust: row.trust as Trust, tainted: row.tainted === 1, receivedAt: row.at };
  try {
    return {
      ...rest, state: row.state as ReceiptState, message: JSON.parse(row.body ?? row.head) as Message, runs: row.runs === null ? {} : JSON.parse(row.runs) as Receipt["runs"],
      ...(row.reason === null ? {} : { reason: row.reason }),
    };
  } catch {
    return { ...rest, state: "dead", message: lostMessage(row), runs: {}, reason: DAMAGED.text };
  }
}
const DAMAGED = { code: "STORE_002", text: "Its record was damaged on disk." };
function lostMessage({ key, lane, at }: InboxRecord): Message {
  const [channel = "", account = "", ...id] = key.split("\n");
  const address = { channel, account, chat: lane.split("\n")[2] ?? "", kind: "direct" } as const;
  return { version: MESSAGE_VERSION, id: id.join("\n"), ref: "", kind: "event", at: address, sender: { id: "", name: "", bot: false, self: false }, sentAt: at, text: "", attachments: [], addressed: false };
}
/** A message's two texts: what stays, and all of it. Throws TypeError when the message is no JSON. */
export function messageTexts(message: Message): { head: string; body: string } {
  return { head: JSON.stringify(stubOf(message)), body: JSON.stringify(message) };
}
/** The record of a new receipt, without `seq`. Throws TypeError when the message is no JSON. */
export function inboxRecord({ message, receivedAt, secret, lane, priority, trust, tainted }: NewReceipt): Omit<InboxRecord, "seq"> {
  return { key: dedupeKey(message), state: "pending", at: receivedAt, attempts: 0, secret, lane, priority, trust, tainted: tainted ? 1 : 0, runs: null, reason: null, ...messageTexts(message) };
}

export interface OutboxRecord {
  seq: number; key: string; state: string; due: number; planned: number; expires: number | null; started: number | null; attempts: number; run: string; op: string;
  priority: string; target: string | null; ref: string | null; error: string | null; address: string; draft: string | null;
}
/** Never throws: a row whose texts were damaged on disk comes back dead. */
export function outboxOf(row: OutboxRecord): OutboxRow {
  const { key, seq, run, attempts } = row;
  const rest = {
    key, seq, run, attempts, op: row.op as OutboxOp, priority: row.priority as Priority, plannedAt: row.planned, dueAt: row.due,
    ...(row.target === null ? {} : { target: row.target }),
    ...(row.expires === null ? {} : { expiresAt: row.expires }),
    ...(row.started === null ? {} : { startedAt: row.started }),
    ...(row.ref === null ? {} : { ref: row.ref }),
  };
  try {
    return {
      ...rest, state: row.state as OutboxState, to: JSON.parse(row.address) as OutboxRow["to"], draft: row.draft === null ? EMPTY_DRAFT : JSON.parse(row.draft) as Draft,
      ...(row.error === null ? {} : { error: JSON.parse(row.error) as { code: string; text: string } }),
    };
  } catch {
    return { ...rest, state: "dead", to: { channel: "", account: "", chat: "", kind: "direct" }, draft: EMPTY_DRAFT, error: DAMAGED };
  }
}

/** The record of a new row, without `seq`. Throws TypeError when the draft is no JSON. */
export function outboxRecord(row: NewOutboxRow): Omit<OutboxRecord, "seq"> {
  return {
    key: row.key, state: row.state, due: row.dueAt, planned: row.plannedAt, expires: row.expiresAt ?? null, started: null, attempts: 0, run: row.run, op: row.op,
    priority: row.priority, target: row.target ?? null, ref: null, error: null, address: JSON.stringify(row.to), draft: row.state === "sent" ? null : JSON.stringify(row.draft),
  };
}

/** The receipt a run belongs to; 0 when the id is of another make. Same rule as SQLite's `CAST(run AS INTEGER)`. */
export function receiptSeqOf(run: string): number {
  return Number(/^\d{1,15}/.exec(run)?.[0] ?? 0);
}

/** Order of keys in `list`: by code point, as SQLite has it. JavaScript's own order differs beyond U+FFFF. */
export function inOrder(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
