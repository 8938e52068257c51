/** Between what the store hands out and what it keeps: pure, shared by all stores. */
import { type Draft, MESSAGE_VERSION, type Message } from "../message.ts";
import { type NewOutboxRow, type NewReceipt, type OutboxOp, type OutboxRow, type OutboxState, PRIORITIES, type Priority, type Receipt, type ReceiptState } from "./store.ts";
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
/** Never throws: a receipt that was damaged on disk comes back with the reason, with what is still known of it and no rights; dead, unless it is pending: then whoever takes it up ends it, and tells. */
export function receiptOf(row: InboxRecord): Receipt {
  const { seq, secret, lane, attempts } = row;
  try {
    const message: unknown = JSON.parse(row.body ?? row.head);
    const runs: unknown = row.runs === null ? {} : JSON.parse(row.runs);
    if (!isSoundReceipt(row) || !isMessage(message) || !isObject(runs) || !Object.values(runs).every(isRunEnd)) throw new TypeError(DAMAGED.text);
    return {
      seq, secret, lane, attempts, priority: row.priority as Priority, trust: row.trust as Trust, tainted: row.tainted === 1, receivedAt: row.at, state: row.state as ReceiptState,
      message, runs: runs as Receipt["runs"], ...(row.reason === null ? {} : { reason: row.reason }),
    };
  } catch {
    return {
      seq, secret: textOf(secret), lane: textOf(lane), attempts: numberOf(attempts), priority: "normal", trust: "stranger", tainted: true, receivedAt: numberOf(row.at),
      state: row.state === "pending" ? "pending" : "dead", message: stubIn(row) ?? lostMessage(row), runs: {}, reason: DAMAGED.text,
    };
  }
}
export const DAMAGED = { code: "STORE_002", text: "Its record was damaged on disk." };
function stubIn({ head }: InboxRecord): Message | undefined {
  try {
    const message: unknown = JSON.parse(head);
    return isMessage(message) ? message : undefined;
  } catch {
    return undefined;
  }
}
export function lostMessage(row: Pick<InboxRecord, "key" | "lane" | "at">): Message {
  const [channel = "", account = "", ...id] = textOf(row.key).split("\n");
  const address = { channel, account, chat: textOf(row.lane).split("\n")[2] ?? "", kind: "direct" } as const;
  return { version: MESSAGE_VERSION, id: id.join("\n"), ref: "", kind: "event", at: address, sender: { id: "", name: "", bot: false, self: false }, sentAt: numberOf(row.at), text: "", attachments: [], addressed: false };
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
/** Never throws: a row that was damaged on disk comes back dead. */
export function outboxOf(row: OutboxRecord): OutboxRow {
  const { key, seq, run, attempts } = row;
  try {
    const to: unknown = JSON.parse(row.address);
    const draft: unknown = row.draft === null ? EMPTY_DRAFT : JSON.parse(row.draft);
    const error: unknown = row.error === null ? undefined : JSON.parse(row.error);
    if (!isSoundRow(row) || !isAddress(to) || !isObject(draft) || (error !== undefined && !(isObject(error) && areTexts(error.code, error.text)))) throw new TypeError(DAMAGED.text);
    return {
      key, seq, run, attempts, op: row.op as OutboxOp, priority: row.priority as Priority, plannedAt: row.planned, dueAt: row.due,
      ...(row.target === null ? {} : { target: row.target }),
      ...(row.expires === null ? {} : { expiresAt: row.expires }),
      ...(row.started === null ? {} : { startedAt: row.started }),
      ...(row.ref === null ? {} : { ref: row.ref }),
      state: row.state as OutboxState, to, draft: draft as unknown as Draft, ...(error === undefined ? {} : { error: error as { code: string; text: string } }),
    };
  } catch {
    return {
      key: textOf(key), seq, run: textOf(run), attempts: numberOf(attempts), op: "send", priority: "normal", plannedAt: numberOf(row.planned), dueAt: numberOf(row.due),
      state: "dead", to: { channel: "", account: "", chat: "", kind: "direct" }, draft: EMPTY_DRAFT, error: DAMAGED,
    };
  }
}

/** Is this row of that chat? */
export const isIn = ({ account, chat }: Pick<OutboxRow["to"], "account" | "chat">) => ({ to }: OutboxRow): boolean => to.account === account && to.chat === chat;

/** A flipped bit can make any value of a row another one, and of another type; what is handed out is of the types it is said to be. */
const TRUST_LEVELS: readonly Trust[] = ["owner", "paired", "allowed", "stranger"];
const ROW_STATES: readonly OutboxState[] = ["planned", "sending", "unknown", "sent", "dead"];
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
const areTexts = (...values: readonly unknown[]): boolean => values.every((value) => typeof value === "string");
const areNumbers = (...values: readonly unknown[]): boolean => values.every((value) => typeof value === "number");
const isOf = (list: readonly string[], value: unknown): boolean => list.includes(value as string);
const orNull = (value: unknown, type: "string" | "number"): boolean => value === null || typeof value === type;
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
const numberOf = (value: unknown): number => (typeof value === "number" ? value : 0);
const isRunEnd = (value: unknown): boolean => isObject(value) && isOf(["done", "dead"], value.state) && (value.reason === undefined || typeof value.reason === "string");
function isSoundReceipt({ seq, key, state, at, attempts, secret, lane, priority, trust, tainted, reason }: InboxRecord): boolean {
  return areNumbers(seq, at, attempts) && areTexts(key, secret, lane) && isOf(["pending", "done", "dead"], state) && isOf(PRIORITIES, priority) && isOf(TRUST_LEVELS, trust) && (tainted === 0 || tainted === 1) && orNull(reason, "string");
}
function isSoundRow({ seq, key, state, due, planned, expires, started, attempts, run, op, priority, target, ref }: OutboxRecord): boolean {
  return areNumbers(seq, due, planned, attempts) && areTexts(key, run) && isOf(ROW_STATES, state) && isOf(["send", "edit", "react", "remove"], op)
    && isOf(PRIORITIES, priority) && orNull(target, "string") && orNull(ref, "string") && orNull(expires, "number") && orNull(started, "number");
}
function isAddress(value: unknown): value is OutboxRow["to"] {
  return isObject(value) && areTexts(value.channel, value.account, value.chat) && isOf(["direct", "group"], value.kind);
}
function isMessage(value: unknown): value is Message {
  return isObject(value) && areTexts(value.id, value.ref, value.kind, value.text) && typeof value.sentAt === "number" && isAddress(value.at)
    && isObject(value.sender) && areTexts(value.sender.id, value.sender.name) && Array.isArray(value.attachments);
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
