/**
 * The life of a receipt and of an outbox row as pure functions: what is known, what happened, what follows.
 * inbox.ts and outbox.ts only carry out what these say.
 */
import type { ClawError } from "./errors.ts";
import type { OutboxRow, OutboxUpdate, Receipt, RunEnd } from "./store/store.ts";

/** A receipt taken up this often without an end kills its process each time: it becomes a dead letter. */
export const MAX_ATTEMPTS = 3;

export type Verdict =
  | { readonly act: "run"; readonly entries: readonly string[] }
  | { readonly act: "end"; readonly state: "done" | "dead"; readonly reason?: string }
  | { readonly act: "wait"; readonly untilMs: number };

export interface EntryView { readonly id: string; /** Listens to this account at all. */ readonly covers: boolean; /** Wants this message. */ readonly matches: boolean }

/** What to do with the receipt at the head of its lane, given the entry nodes there are. `maxAgeMs`: how long it waits for a flow. */
export function verdict(receipt: Receipt, entries: readonly EntryView[], now: number, maxAgeMs: number): Verdict {
  if (receipt.attempts > MAX_ATTEMPTS) return { act: "end", state: "dead", reason: `gave up after ${MAX_ATTEMPTS} interrupted tries` };
  const open = entries.filter((entry) => entry.matches && receipt.runs[entry.id] === undefined).map((entry) => entry.id);
  if (open.length > 0) return { act: "run", entries: open };
  const ends = Object.values(receipt.runs);
  if (ends.length > 0) return { act: "end", ...outcome(ends) };
  if (entries.some((entry) => entry.covers)) return { act: "end", state: "done", reason: "no channel in wants this kind of message" };
  const untilMs = receipt.receivedAt + maxAgeMs;
  return now >= untilMs ? { act: "end", state: "dead", reason: "no flow takes messages of this account" } : { act: "wait", untilMs };
}

/** A receipt is done when all its runs are; one dead run makes it a dead letter. */
export function outcome(ends: readonly RunEnd[]): { state: "done" | "dead"; reason?: string } {
  const worst = ends.find((end) => end.state === "dead") ?? ends.find((end) => end.reason !== undefined) ?? ends[0];
  if (worst === undefined) return { state: "done" };
  return { state: worst.state, ...(worst.reason === undefined ? {} : { reason: worst.reason }) };
}

/** 1, 2, 4 … 60 s, give or take a quarter; `random` in [0, 1). */
export function backoffMs(attempt: number, random: number): number {
  return Math.min(60_000, 1000 * 2 ** Math.max(0, attempt - 1)) * (0.75 + random / 2);
}

export const MAX_SENDS = 12;

/** What follows from a failed send: another try later, a plain-text try at once, or the end. */
export function afterFailure(row: OutboxRow, error: ClawError & { readonly markup?: boolean }, now: number, random: number): OutboxUpdate & { readonly state: "planned" | "dead" } {
  const told = { code: error.code, text: error.message };
  const attempts = row.attempts + 1;
  if (error.markup === true && row.draft.plain !== true) return { state: "planned", attempts, dueAt: now, draft: { ...row.draft, plain: true }, error: told };
  if (error.retry === "no" || attempts >= MAX_SENDS) return { state: "dead", attempts, error: told };
  const dueAt = now + Math.max(error.afterMs ?? 0, error.afterMs === undefined ? backoffMs(attempts, random) : 0);
  if (row.expiresAt !== undefined && dueAt > row.expiresAt) return { state: "dead", attempts, error: { code: error.code, text: `expired while waiting: ${error.message}` } };
  return { state: "planned", attempts, dueAt, error: told };
}

/** What a send of unknown outcome needs: a look where the platform allows one; an edit can be repeated; the rest is sent again with the same key. */
export function afterCrash(row: OutboxRow, can: { readonly find: boolean }): "find" | "again" {
  return row.op === "send" && row.target === undefined && can.find ? "find" : "again";
}
