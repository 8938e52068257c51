/**
 * The contract of the store: everything that outlives a restart. One process owns a store; who else opens it gets STORE_004.
 * Changes that belong together are committed together; `commit` resolves when they are on disk.
 */
import type { Address, Draft, Message } from "../message.ts";
import type { Turn } from "../models/model.ts";
import type { Trust } from "../tool.ts";
import type { Asked } from "../words.ts";

export const PRIORITIES = ["urgent", "high", "normal", "low"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** `pending`: to be done, also after a restart in the middle. `done` and `dead` are final; the body of a done receipt is scrubbed. */
export type ReceiptState = "pending" | "done" | "dead";
/** How one entry node's run of a receipt ended; an entry that is missing has not ended. `reason` is for people. */
export interface RunEnd { readonly state: "done" | "dead"; readonly reason?: string }

/** An inbound message on its way. */
export interface Receipt {
  /** Order of arrival in this store, from 1. */
  readonly seq: number;
  /** Random part of the run ids made from this receipt: a wire cannot guess it. */
  readonly secret: string;
  readonly lane: string;
  readonly priority: Priority;
  readonly state: ReceiptState;
  readonly message: Message;
  readonly trust: Trust;
  /** Text that did not come from an owner or paired person. */
  readonly tainted: boolean;
  /** Unix milliseconds. */
  readonly receivedAt: number;
  /** How often a process took it up and did not finish. */
  readonly attempts: number;
  /** By entry node id. */
  readonly runs: Readonly<Record<string, RunEnd>>;
  /** How it ended; of a pending one: why it cannot be taken up any more. */
  readonly reason?: string;
}
export type NewReceipt = Omit<Receipt, "seq" | "state" | "attempts" | "runs" | "reason">;

/** A step that happened once and must not happen again: a model's reply, a tool's result, a decision. */
export interface JournalEntry { readonly step: string; readonly at: number; readonly data: unknown }
/** What a step came to: `data` for the journal, `also` committed with it. With `saving` the caller gets the commit itself, and does not wait for it. */
export interface Step<T> { readonly data: T; readonly also?: readonly Change[]; readonly saving?: (saved: Promise<unknown>) => void }

export type OutboxOp = "send" | "edit" | "react" | "remove";
/** `planned`: may be sent. `sending`: was handed to the platform, the answer is not known. `unknown`: was handed over again after that. `sent`, `dead`: final. */
export type OutboxState = "planned" | "sending" | "unknown" | "sent" | "dead";
/** One visible part, or one act on a message. */
export interface OutboxRow {
  /** Step and part: the idempotency key handed to the platform, at most 64 characters. */
  readonly key: string;
  /** Order of planning in this store. */
  readonly seq: number;
  readonly run: string;
  readonly op: OutboxOp;
  readonly to: Address;
  readonly draft: Draft;
  /** The message an edit, reaction or removal is about; for a send: its placeholder's ref. */
  readonly target?: string;
  readonly priority: Priority;
  readonly state: OutboxState;
  readonly plannedAt: number;
  /** Not before; scheduled sends and retries. Unix milliseconds. */
  readonly dueAt: number;
  /** Not after: then it is dead, reason "expired". */
  readonly expiresAt?: number;
  readonly startedAt?: number;
  readonly attempts: number;
  /** The platform's id of what was sent. */
  readonly ref?: string;
  readonly error?: { readonly code: string; readonly text: string };
}
export type NewOutboxRow = Omit<OutboxRow, "seq" | "attempts" | "ref" | "error" | "startedAt">;
export type OutboxUpdate = Partial<Pick<OutboxRow, "state" | "dueAt" | "attempts" | "ref" | "error" | "startedAt" | "target" | "draft" | "expiresAt">>;

export interface StoredTurn { readonly n: number; readonly run: string; readonly at: number; readonly turn: Turn }

/** Something an agent was told to remember, in a book of its own for each person, chat or gateway. */
export interface Note { readonly n: number; readonly at: number; readonly tainted: boolean; readonly text: string }
export interface Book { readonly book: string; readonly notes: number; /** Of its newest note. */ readonly at: number }
/** What one call of a model used. Written before the call with what it may use, and again with what it did. */
export interface UsageRow {
  /** Unix milliseconds at which the call began: its day is the day it counts for. */
  readonly at: number;
  readonly run: string;
  /** Id of the message that is answered, and whose it is: `person` is the sender's id in that account. */
  readonly message: string;
  readonly session: string;
  readonly channel: string;
  readonly account: string;
  readonly person: string;
  readonly agent: string;
  readonly provider: string;
  readonly model: string;
  /** Tokens; `cached` is the part of the input that came from the provider's cache. */
  readonly input: number;
  readonly output: number;
  readonly cached: number;
  /** Millionths of a US dollar, a whole number; null where the price is not known. */
  readonly micros: number | null;
  /** What was heard, spoken or drawn, where no tokens are counted: seconds, characters, pictures. */
  readonly work?: { readonly unit: "seconds" | "characters" | "pictures"; readonly amount: number };
  /** As the provider says. False: an estimate, or nobody knows how the call ended. */
  readonly exact: boolean;
}
export const USAGE_FIELDS = ["run", "session", "channel", "account", "person", "agent", "provider", "model"] as const;
export type UsageField = (typeof USAGE_FIELDS)[number];
/** `from` ≤ at < `to`. */
export interface UsageQuery { readonly from: number; readonly to: number; readonly where?: Readonly<Partial<Record<UsageField, string>>>; readonly by?: readonly UsageField[] }
export interface UsageSum {
  /** The fields of `by`. */
  readonly of: Readonly<Partial<Record<UsageField, string>>>;
  readonly calls: number;
  readonly input: number;
  readonly output: number;
  readonly cached: number;
  readonly micros: number;
  /** Calls whose price is not known, and calls whose figures are no more than an estimate. */
  readonly unpriced: number;
  readonly inexact: number;
}

/** All kinds of change. `receive` and `outbox` add only what is not there yet; their result tells. */
export type Change =
  | { readonly do: "receive"; readonly receipt: NewReceipt }
  | { readonly do: "receipt"; readonly seq: number; readonly state?: ReceiptState; readonly attempts?: number; readonly runs?: Readonly<Record<string, RunEnd>>; readonly reason?: string; readonly message?: Message }
  | { readonly do: "journal"; readonly run: string; readonly entry: JournalEntry }
  | { readonly do: "turns"; readonly session: string; readonly run: string; readonly at: number; readonly turns: readonly Turn[] }
  | { readonly do: "forget-turns"; readonly session: string; readonly run?: string }
  /** Its result is the note's number; undefined where the book holds `most` notes already. */
  | { readonly do: "note"; readonly book: string; readonly at: number; readonly tainted: boolean; readonly text: string; readonly most?: number }
  /** One note, or without `n` the whole book. */
  | { readonly do: "forget-notes"; readonly book: string; readonly n?: number }
  | { readonly do: "outbox"; readonly row: NewOutboxRow }
  | { readonly do: "outbox-update"; readonly key: string; readonly set: OutboxUpdate }
  | { readonly do: "set"; readonly space: string; readonly key: string; /** `undefined` removes. */ readonly value: unknown }
  /** Adds a row, or replaces one that is not exact yet; what is exact stays. `undefined` removes one that is not. `n` comes from whoever writes: see `lastUsage`. */
  | { readonly do: "usage"; readonly n: number; readonly row: UsageRow | undefined }
  /** Removes finished receipts, outbox rows and journals older than `before`, dead ones older than `deadBefore` (the same where it is left out), turns older than `turnsBefore`, and usage older than `usageBefore` (none where it is left out). */
  | { readonly do: "prune"; readonly before: number; readonly turnsBefore: number; readonly deadBefore?: number; readonly usageBefore?: number };
/** What a change came to, in the order of the changes. `seq` of a new receipt or row; `undefined` when it was there already or changed nothing. */
export type CommitResult = readonly (number | undefined)[];

export interface Counts { readonly received: number; readonly pending: number; readonly done: number; readonly dead: number; readonly outbox: Readonly<Record<OutboxState, number>> }

export interface Store {
  /** All or none, on disk when it resolves. Changes of several callers that fall into one turn of the event loop share one transaction. Throws StoreError. */
  commit(changes: readonly Change[]): Promise<CommitResult>;
  /** Unfinished receipts, oldest first, from after `after`; also those that were damaged on disk, with the reason. */
  pending(after: number, limit: number): Promise<Receipt[]>;
  receipt(seq: number): Promise<Receipt | undefined>;
  /** Finished badly, newest first. */
  dead(limit: number): Promise<Receipt[]>;
  /** Rows neither sent nor dead, in order of planning, from after `after`. */
  unsent(after: number, limit: number): Promise<OutboxRow[]>;
  outboxRow(key: string): Promise<OutboxRow | undefined>;
  /** Rows that were sent as this message of this chat. Goes through all rows: for doubtful cases alone. */
  sentAs(at: Pick<Address, "account" | "chat">, ref: string): Promise<OutboxRow[]>;
  journal(run: string): Promise<JournalEntry[]>;
  /** The last `limit` turns, oldest first. */
  turns(session: string, limit: number): Promise<StoredTurn[]>;
  /** The commits of turns of this session that hold any of the words, whole: the best fit first, of equals the newest (words.ts). */
  findTurns(session: string, asked: readonly Asked[], limit: number): Promise<StoredTurn[][]>;
  /** Newest first; with `asked` those that hold any of the words, the best fit first. */
  notes(book: string, asked: readonly Asked[] | undefined, limit: number): Promise<Note[]>;
  /** Those that hold notes, the one with the newest first. */
  books(limit: number): Promise<Book[]>;
  get(space: string, key: string): Promise<unknown>;
  list(space: string, prefix: string, options?: { readonly after?: string; readonly limit?: number; readonly last?: boolean }): Promise<[key: string, value: unknown][]>;
  /** Sums of what models used, one for each combination of `by` that occurs; without `by` always one. */
  usage(query: UsageQuery): Promise<UsageSum[]>;
  /** Single rows in the order of `n`, from after `after`. */
  usageRows(query: { readonly from: number; readonly to: number; readonly after?: number; readonly limit: number }): Promise<(UsageRow & { readonly n: number })[]>;
  /** The highest number a row has; 0: there is none. */
  lastUsage(): Promise<number>;
  counts(): Promise<Counts>;
  /** Bytes in use; what was removed does not count, also where the file keeps its place. */
  size?(): Promise<number>;
  /** Bytes it may grow to from now on; beyond it throws STORE_005 until something is removed. Undefined: no limit. */
  limit?(bytes: number | undefined): void;
  /** A consistent copy while everything goes on. */
  backup(file: string): Promise<void>;
  close(): Promise<void>;
}

/** `run` ids are `<seq>.<secret>.<entry node>`. */
export function runId(receipt: Pick<Receipt, "seq" | "secret">, entry: string): string {
  return `${receipt.seq}.${receipt.secret}.${entry}`;
}
export function parseRunId(run: string): { seq: number; secret: string; entry: string } | undefined {
  const match = /^(\d{1,15})\.([A-Za-z0-9_-]+)\.(.+)$/s.exec(run);
  return match ? { seq: Number(match[1]), secret: match[2] as string, entry: match[3] as string } : undefined;
}
