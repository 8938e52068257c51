/**
 * The life of a message as one pure reducer: inbox → lane → journal → outbox → done or dead.
 *
 * `reduce(life, event)` says what is written and what is done then. Nothing else decides: inbox.ts, outbox.ts and the journal only carry out what
 * it says.
 *
 * The rules of carrying out: `write` goes to the store as one commit, and commits of one process reach the disk in the order they were made. With
 * `wait` the act begins when they are there. Without, it may begin at once, because whatever follows from it begins with a later commit.
 */
import type { Delivery } from "./channels/channel.ts";
import type { ClawError, ErrorCode } from "./errors.ts";
import type { Message } from "./message.ts";
import type { Change, JournalEntry, NewOutboxRow, NewReceipt, OutboxRow, OutboxUpdate, Receipt, RunEnd } from "./store/store.ts";

/** A message that was under way this often when its process broke off is what breaks it: it becomes a dead letter. */
export const MAX_TRIES = 3;
/** Tries of one send. With backoff and jitter the last is about six minutes after the first. */
export const MAX_SENDS = 12;
const TOKEN_MS = 60_000;
/** A piece of an answer that cannot be taken away for so long stays. */
const REMOVE_MS = 24 * 3_600_000;
/** A placeholder waits for its final text; its due time is never. */
export const NEVER = Number.MAX_SAFE_INTEGER;
/** Where the store keeps the questions that wait for an answer. */
export const QUESTIONS = "question";

/** What an event is about: the part of one message's record that is known where it happens. */
export interface Life {
  readonly receipt?: ReceiptView;
  /** Of one step of the journal: `begun` was written before an act that must not happen twice. */
  readonly step?: "begun" | "done";
  readonly row?: RowView;
  /** Of a question to a person: it waits for its answer, or has ended. */
  readonly question?: "open" | "ended";
  /** Makes the row that tells people of its death, by what went wrong; undefined where nobody shall be told. Asked only when it dies. */
  notice?(code: string): NewOutboxRow | undefined;
}
export type ReceiptView = Pick<Receipt, "seq" | "state" | "attempts" | "runs" | "receivedAt" | "reason">;
export type RowView = Pick<OutboxRow, "key" | "run" | "to" | "priority" | "op" | "state" | "attempts" | "plannedAt" | "dueAt" | "expiresAt" | "startedAt" | "target" | "draft" | "error">;
/** An entry node: does it listen to this account at all, does it want this message. */
export interface EntryView { readonly id: string; readonly covers: boolean; readonly matches: boolean }
/** What a channel offers against a doubled send, and whether its connection can look for a sent message now. */
export type Offers = Delivery & { readonly find: boolean };
export type Fault = Pick<ClawError, "code" | "message" | "retry" | "afterMs"> & { readonly markup?: boolean; readonly unsent?: boolean; readonly answered?: boolean };

/** It was the first of its lane already when an earlier process broke off. `tried`: this process began it and counted that; it was put back since, by a pause or a deploy. */
export type Suspect = "left" | "tried";

export type Event =
  /** The platform brought a message. */
  | { readonly type: "arrived"; readonly receipt: NewReceipt }
  /** The receipt is the first of its lane, and nothing is under way there. `onTrialMs`: how much longer another suspect has the process for itself. `maxAgeMs`: how long it waits for a flow. */
  | { readonly type: "taken"; readonly suspect: Suspect | undefined; readonly onTrialMs?: number; readonly entries: readonly EntryView[]; readonly now: number; readonly maxAgeMs: number; /** Why its run cannot go on. */ readonly broken?: string | undefined; /** Until when nothing begins in its chat. */ readonly pausedUntilMs?: number | undefined }
  /** The flow of one entry has settled; `others` are still under way. */
  | { readonly type: "settled"; readonly entry: string; readonly end: RunEnd; readonly others: boolean }
  /** A run of this receipt waits for a person. `others` of its runs do not, and work. */
  | { readonly type: "waits"; readonly others: boolean }
  /** A question ends, by an answer, a word that cancels, or its time: the first of them is how. `entry` says it; `seq`: the receipt of what was said. */
  | { readonly type: "answered"; readonly run: string; readonly question: string; readonly entry: JournalEntry; readonly seq?: number }
  /** A person ended it, under way (`entries`: its runs that have not ended) or waiting. */
  | { readonly type: "stopped"; readonly entries: readonly string[]; readonly reason: string }
  /** A newer message, `by`, takes its place before it was answered, and says both: `message`. */
  | { readonly type: "interrupted"; readonly entries: readonly string[]; readonly answered: boolean; readonly by: { readonly seq: number; readonly message: Message } }
  /** It was said while `run` was at work, and is answered by it. Written with the step of the run that has its words. */
  | { readonly type: "joined"; readonly run: string }
  /** A step of a run wants to happen. `once`: never twice, rather not at all. */
  | { readonly type: "asked"; readonly run: string; readonly step: string; readonly once: boolean; readonly now: number }
  /** It happened. `also` is written with it; `behind`: all that uses it commits to the same store. */
  | { readonly type: "acted"; readonly run: string; readonly entry: JournalEntry; readonly also?: readonly Change[]; readonly behind?: boolean }
  /** A delivery was split into rows; `free`: its chat is idle and the account is there, the first can go at once. `also` is written with them. */
  | { readonly type: "planned"; readonly rows: readonly NewOutboxRow[]; readonly free: boolean; readonly also?: readonly Change[] }
  /**
   * The row is the first of its chat and its connection is there. `left`: an earlier process left it, and it was not tried since. `fresh`: planned as "sending"
   * by this process, and not handed over yet.
   */
  | { readonly type: "due"; readonly now: number; readonly offers: Offers; readonly left: boolean; readonly fresh?: boolean }
  /** The platform was asked about a send of unknown outcome; `ref`: it has it. */
  | { readonly type: "looked"; readonly ref: string | undefined }
  /** The row is a placeholder, and its final text will never come. */
  | { readonly type: "abandoned"; readonly now: number }
  /** The platform said yes. */
  | { readonly type: "sent"; readonly ref: string }
  /** It said no, or nothing. `random` in [0, 1). */
  | { readonly type: "failed"; readonly fault: Fault; readonly now: number; readonly random: number };

export type Act =
  /** Tell the platform yes: the message is ours now. */
  | { readonly type: "confirm" }
  /** `alone`: no other suspect may be under way beside it. */
  | { readonly type: "run"; readonly entries: readonly string[]; readonly alone: boolean }
  | { readonly type: "wait"; readonly untilMs: number }
  /** This message is finished: the lane goes on. */
  | ({ readonly type: "release"; readonly state: "done" | "dead"; readonly reason?: string } & Partial<Death>)
  /** Nothing works on it until a person answers: its lane goes on, and it goes on beside the lane later. */
  | { readonly type: "step-aside" }
  /** Do the step now. */
  | { readonly type: "perform" }
  /** Go on with what the journal has. */
  | { readonly type: "use" }
  /** It began once and nobody knows how it ended: go on with just that knowledge. */
  | { readonly type: "tell-unknown" }
  | { readonly type: "send" }
  /** Ask the platform whether it has it. */
  | { readonly type: "look" }
  /** The row is final: tell the flow. */
  | { readonly type: "tell" }
  /** The row is a dead letter: tell the flow and people. */
  | ({ readonly type: "mourn" } & Death)
  | { readonly type: "none" };
/** It is a dead letter from now on. `notice`: the last of what is written; once it is on disk, it is sent in its turn. */
export interface Death { readonly code: ErrorCode; readonly notice?: NewOutboxRow }

export interface Next {
  readonly write: readonly Change[];
  readonly wait: boolean;
  readonly act: Act;
}

export function reduce(life: Life, event: Event): Next {
  const next = decide(life, event);
  const { act } = next;
  const notice = (act.type === "release" || act.type === "mourn") && act.code !== undefined ? life.notice?.(act.code) : undefined;
  // One commit with the end itself: no crash can come between a death and its notice.
  return notice === undefined ? next : { ...next, write: [...next.write, { do: "outbox", row: notice }], act: { ...act, notice } as Act };
}

function decide(life: Life, event: Event): Next {
  switch (event.type) {
    case "arrived":
      return next([{ do: "receive", receipt: event.receipt }], { type: "confirm" });
    case "taken": return taken(life.receipt as ReceiptView, event);
    case "settled": return settled(life.receipt as ReceiptView, event);
    case "waits": return waits(life.receipt as ReceiptView, event);
    case "stopped": return stopped(life.receipt as ReceiptView, event);
    case "interrupted": return interrupted(life.receipt as ReceiptView, event);
    case "joined": return joined(life.receipt as ReceiptView, event);
    case "answered": return answered(life.question, event);
    case "asked":
      if (life.step === "done") return next([], { type: "use" });
      if (life.step === "begun") return next([], { type: "tell-unknown" });
      if (!event.once) return next([], { type: "perform" });
      return next([{ do: "journal", run: event.run, entry: { step: begun(event.step), at: event.now, data: true } }], { type: "perform" });
    case "acted":
      return next([{ do: "journal", run: event.run, entry: event.entry }, ...(event.also ?? [])], { type: "use" }, event.behind !== true);
    case "planned": {
      const rows = event.rows.map((row, part): Change => ({ do: "outbox", row: part === 0 && event.free ? { ...row, state: "sending" } : row }));
      return next([...rows, ...(event.also ?? [])], { type: event.free ? "send" : "none" });
    }
    case "due": return due(life.row as RowView, event);
    case "looked": {
      const { key } = life.row as RowView;
      return event.ref === undefined ? next([], { type: "send" }) : next([update(key, { state: "sent", ref: event.ref })], { type: "tell" }, false);
    }
    case "sent":
      return next([update((life.row as RowView).key, { state: "sent", ref: event.ref })], { type: "tell" }, false);
    case "failed": return failed(life.row as RowView, event);
    case "abandoned": return abandoned(life.row as RowView, event);
  }
}

/** Name of the journal entry that says a step has begun. */
export const begun = (step: string): string => `${step} begun`;

function next(write: readonly Change[], act: Act, wait = true): Next { return { write, act, wait: wait && write.length > 0 }; }
function update(key: string, set: OutboxUpdate): Change { return { do: "outbox-update", key, set }; }

type Of<T extends Event["type"]> = Extract<Event, { type: T }>;

/** Of those that were under way when two processes broke off, each is tried without the others: what then breaks the third is it, and none of them. */
function taken(receipt: ReceiptView, { suspect, entries, now, maxAgeMs, onTrialMs = 0, broken, pausedUntilMs }: Of<"taken">): Next {
  if (receipt.state !== "pending") return next([], { type: "release", state: receipt.state });
  // Damaged on disk.
  if (receipt.reason !== undefined) return ended(receipt, { state: "dead", reason: receipt.reason }, "STORE_002");
  if (broken !== undefined) return ended(receipt, { state: "dead", reason: broken });
  if (pausedUntilMs !== undefined) return next([], { type: "wait", untilMs: pausedUntilMs });
  const open = entries.filter((entry) => entry.matches && receipt.runs[entry.id] === undefined).map((entry) => entry.id);
  if (open.length > 0) {
    if (suspect === undefined) return next([], { type: "run", entries: open, alone: false });
    const attempts = receipt.attempts + (suspect === "tried" ? 0 : 1);
    const alone = attempts > 1;
    if (attempts >= MAX_TRIES) return ended(receipt, { state: "dead", reason: `gave up after ${MAX_TRIES} interrupted tries` }, "MSG_006");
    if (alone && onTrialMs > 0) return next([], { type: "wait", untilMs: now + onTrialMs });
    return next(suspect === "tried" ? [] : [{ do: "receipt", seq: receipt.seq, attempts }], { type: "run", entries: open, alone });
  }
  const ends = Object.values(receipt.runs);
  if (ends.length > 0) return ended(receipt, outcome(ends), "MSG_006");
  if (entries.some((entry) => entry.covers)) return ended(receipt, { state: "done", reason: "no channel in wants this kind of message" });
  const untilMs = receipt.receivedAt + maxAgeMs;
  return now >= untilMs ? ended(receipt, { state: "dead", reason: "no flow takes messages of this account" }) : next([], { type: "wait", untilMs });
}

function settled(receipt: ReceiptView, { entry, end, others }: Of<"settled">): Next {
  const runs = { ...receipt.runs, [entry]: end };
  return others ? next([{ do: "receipt", seq: receipt.seq, runs }], { type: "none" }, false) : ended({ ...receipt, runs }, outcome(Object.values(runs)), "MSG_006");
}

/** The end of a message that was under way is the end of all its runs. What is final stays as it is. */
function stopped(receipt: ReceiptView, { entries, reason }: Of<"stopped">): Next {
  if (receipt.state !== "pending") return next([], { type: "none" });
  const end: RunEnd = { state: "done", reason };
  return ended({ ...receipt, runs: { ...receipt.runs, ...Object.fromEntries(entries.map((entry) => [entry, end])) } }, end);
}

/** One commit: no crash can come between the end of the old message and the new one's having its words. What was answered is not taken back. */
function interrupted(receipt: ReceiptView, { entries, answered, by }: Of<"interrupted">): Next {
  if (answered) return next([], { type: "none" });
  const { write, act } = stopped(receipt, { type: "stopped", entries, reason: "a newer message took its place" });
  return next(act.type === "release" ? [...write, { do: "receipt", seq: by.seq, message: by.message }] : [], act, false);
}

function joined({ seq, state }: ReceiptView, { run }: Of<"joined">): Next {
  if (state !== "pending") return next([], { type: "none" });
  const end: RunEnd = { state: "done", reason: `joined run ${run}` };
  return next([{ do: "receipt", seq, ...end }], { type: "release", ...end });
}

/** Whoever waits breaks no process: tries that were counted before are forgotten. */
function waits({ seq, attempts }: ReceiptView, { others }: Of<"waits">): Next {
  return next(attempts > 0 ? [{ do: "receipt", seq, attempts: 0 }] : [], { type: others ? "none" : "step-aside" }, false);
}

function answered(question: Life["question"], { run, question: key, entry, seq }: Of<"answered">): Next {
  const open = question === "open";
  const said: Change[] = seq === undefined ? [] : [{ do: "receipt", seq, state: "done", reason: open ? "it answered a question" : "it answered a question that had ended" }];
  return open ? next([...said, { do: "journal", run, entry }, { do: "set", space: QUESTIONS, key, value: undefined }], { type: "use" }) : next(said, { type: "none" }, false);
}

/** The lane need not wait for the disk: after a crash the run begins again, finds every step done, and the lane is in the same order. */
function ended({ seq, runs }: ReceiptView, end: RunEnd, code: ErrorCode = "MSG_004"): Next {
  return next([{ do: "receipt", seq, runs, ...end }], { type: "release", ...end, ...(end.state === "dead" ? { code } : {}) }, false);
}

/** A flow that failed where no Catch node took the fault: a message that got no answer by it is a dead letter, so that somebody hears of it. */
export function endOf(fault: string, answered: boolean): RunEnd {
  return { state: answered ? "done" : "dead", reason: fault };
}

/** A receipt is done when all its runs are; one dead run makes it a dead letter. */
export function outcome(ends: readonly RunEnd[]): RunEnd {
  return ends.find((end) => end.state === "dead") ?? ends.find((end) => end.reason !== undefined) ?? { state: "done" };
}

/**
 * Of a send that was handed over and never answered, nobody knows whether it arrived: in doubt. An edit, reaction or removal can be repeated. Else the
 * platform is asked where it can tell, or given the same key again where it honours keys. Where it offers nothing, the message is sent
 * once more (`unknown`), and once more after each process that broke off, so one copy too many is seen at most for each of these. Silence after that
 * ends as a dead letter, not as a third copy.
 */
function due(row: RowView, { now, offers, left, fresh = false }: Of<"due">): Next {
  if (row.dueAt > now) return next([], { type: "wait", untilMs: row.dueAt });
  const inDoubt = row.state !== "planned" && !fresh;
  if (row.expiresAt !== undefined && now > row.expiresAt) return buried(row, inDoubt ? "expired before its outcome could be found out" : "expired before it could be sent");
  if (!inDoubt) return next(fresh ? [] : [update(row.key, { state: "sending", startedAt: now })], { type: "send" });
  if (row.op !== "send" || row.target !== undefined) return next([], { type: "send" });
  const keyed = offers.keyMs !== undefined && now - (row.startedAt ?? row.plannedAt) < offers.keyMs;
  if (row.attempts + 1 >= MAX_SENDS) return buried(row, "the platform never answered");
  const again = [update(row.key, { state: "unknown", attempts: row.attempts + 1 })];
  if (offers.find) return next(again, { type: "look" });
  // What waited in a backup was most likely sent after the backup was made: without proof of the contrary it is not sent again.
  if (row.state === "unknown" && row.error?.code === "STORE_006" && !keyed) return buried(row, "it waited when the backup was made that was put back, and may have been sent since", "STORE_006");
  if (row.state === "unknown" && !keyed && !left) return buried(row, "the platform never answered, and a third copy would be too many");
  return next(again, { type: "send" });
}

/** People are told before it is on disk, so that they are told at all: a crash in between lets the next process decide, and tell, again. */
function buried(row: RowView, text: string, code: ErrorCode = "MSG_002", attempts = row.attempts): Next {
  return next([update(row.key, { state: "dead", attempts, error: { code, text } })], { type: "mourn", code }, false);
}

/** What was shown is taken away, by a row of its own that is written with the end of the placeholder. Where nobody knows its place, it stays. */
function abandoned(row: RowView, { now }: Of<"abandoned">): Next {
  if (row.dueAt !== NEVER) return next([], { type: "none" });
  const end = update(row.key, { state: "dead", dueAt: now, error: { code: "MSG_002", text: "the answer was given up while it was written" } });
  if (row.target === undefined) return next([end], { type: "none" });
  const removal: NewOutboxRow = { key: `${row.key}-`, run: row.run, op: "remove", to: row.to, draft: { text: "" }, target: row.target, priority: row.priority, state: "planned", plannedAt: now, dueAt: now, expiresAt: now + REMOVE_MS };
  return next([end, { do: "outbox", row: removal }], { type: "send" });
}

/** Another try later, a plain-text try at once, or the end. */
function failed(row: RowView, { fault, now, random }: Of<"failed">): Next {
  const error = { code: fault.code, text: fault.message };
  const attempts = row.attempts + 1;
  const write = (set: OutboxUpdate): Change[] => [update(row.key, set)];
  // This try posted nothing: what is left is the doubt of the tries before it.
  const withoutIt = row.state === "unknown" ? "sending" : "planned";
  if (fault.markup === true && row.draft.plain !== true) return next(write({ state: "planned", attempts, dueAt: now, draft: { ...row.draft, plain: true }, error }), { type: "wait", untilMs: now });
  // The token is wrong now and may be right after the next deploy: the row waits for that until it expires.
  if (fault.code === "CONN_002") return next(write({ state: withoutIt, dueAt: now + TOKEN_MS, error }), { type: "wait", untilMs: now + TOKEN_MS });
  if (fault.retry === "no" || attempts >= MAX_SENDS) return buried(row, fault.message, fault.code, attempts);
  // A named wait is kept, and not by all chats to the very millisecond; "at once" is no wait.
  const dueAt = now + (fault.afterMs === undefined || fault.afterMs <= 0 ? backoffMs(attempts, random) : fault.afterMs * (1 + random / 20));
  if (row.expiresAt !== undefined && dueAt > row.expiresAt) return buried(row, `expired while waiting: ${fault.message}`, fault.code, attempts);
  // Without an answer it stays in doubt.
  const state = postedNothing(fault) ? withoutIt : row.state;
  return next(write({ state, attempts, dueAt, error }), { type: "wait", untilMs: dueAt });
}

/** It never left, or the platform answered: what was tried is certainly not there. Only silence is doubt. */
export function postedNothing(fault: Pick<Fault, "code" | "unsent" | "answered">): boolean {
  return fault.unsent === true || fault.answered === true || fault.code === "CONN_003";
}

/** 1, 2, 4 … 60 s, give or take a quarter; `random` in [0, 1). */
export function backoffMs(attempt: number, random: number): number {
  return Math.min(60_000, 1000 * 2 ** Math.max(0, attempt - 1)) * (0.75 + random / 2);
}
