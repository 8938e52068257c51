/** Outbox: what is to be said is planned on disk, sent in order per chat, retried, and its fate recorded. */
import { hash } from "node:crypto";
import type { Channel, Connection, SentBefore } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";
import { asClawError, ChannelError, StoreError } from "./errors.ts";
import { NEVER, reduce, type Event, type Life, type Next } from "./life.ts";
import { createLive, placeholderKey, type Live, type OwnLive } from "./live.ts";
import type { Address, Draft } from "./message.ts";
import type { TellSend } from "./metrics.ts";
import { createPace } from "./pace.ts";
import { reached } from "./points.ts";
import { insist } from "./store/insist.ts";
import { isIn, receiptSeqOf } from "./store/rows.ts";
import { PRIORITIES, type Change, type NewOutboxRow, type OutboxOp, type OutboxRow, type OutboxUpdate, type Priority, type Store } from "./store/store.ts";
import { createTurns, offersNothing } from "./turns.ts";

/** What a flow learns of a delivery: the platform's ids, or that it waits, or why it failed. */
export type DeliveryReceipt =
  | { readonly state: "sent"; readonly ref: string; readonly refs: readonly string[] }
  | { readonly state: "queued"; readonly code?: string; readonly text?: string }
  | { readonly state: "failed"; readonly code: string; readonly text: string };

export interface Delivery {
  readonly run: string;
  /** Names this delivery for ever: the same step is never sent twice. */
  readonly step: string;
  readonly op: OutboxOp;
  readonly to: Address;
  readonly draft: Draft;
  /** The message an edit, reaction or removal is about. */
  readonly target?: string;
  readonly priority?: Priority;
  readonly dueAt?: number;
  readonly expiresAt?: number;
  /** It asks, and answers nothing. */
  readonly question?: true;
  /** Written together with the plan. */
  readonly also?: readonly Change[];
  /** Called when the plan is on disk. */
  planned?(): void;
}

/** An account as the outbox sees it: its channel always, its connection while there is one. */
export interface Line { readonly channel: Channel; readonly connection: Connection | undefined }

export interface OutboxOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: () => number;
  line(account: string): Line | undefined;
  /** Splits a draft into parts the channel takes. */
  split(draft: Draft, channel: Channel): Draft[];
  /** Makes the notice of a delivery that failed for good; undefined where nobody shall be told. */
  notice?(row: OutboxRow, code: string): NewOutboxRow | undefined;
  /** A delivery that failed for good. */
  onDead(row: OutboxRow): void;
  /** For whoever counts. */
  readonly tell?: TellSend;
  /** This run has ended, or there never was one. */
  isOver(run: string): Promise<boolean>;
  /** Takes secrets out of the text of a failure before it is recorded and told. */
  redact?(text: string): string;
  /** Rows sent at once over all chats. */
  readonly maxSending?: number;
}

export interface Outbox {
  /** Plans and, when it is its turn, sends. Resolves when the fate of all parts is known, or with `queued` once a part has to wait. */
  deliver(delivery: Delivery): Promise<DeliveryReceipt>;
  /** A short delivery as one row, to be committed together with what it is about. */
  row(delivery: Delivery): NewOutboxRow;
  /** Such a row is on disk: it is sent in its turn. Without `seq` it was there before, and is known here. */
  take(row: NewOutboxRow, seq: number | undefined): void;
  /** Shows an answer while it is written, under the key that `deliver` of the same step will use. */
  live(delivery: Omit<Delivery, "op" | "draft">): Live;
  /** Reads what an earlier process left unsent. */
  load(): Promise<void>;
  /** Runs of these ids are over: a placeholder of theirs that got no final text is taken away. */
  over(isIt: (run: string) => boolean): void;
  /** An account is connected again. */
  wake(account: string): void;
  /** Begins no more sends; resolves when those under way are recorded: whoever stops the process then doubles none. */
  hold(): Promise<void>;
  release(): void;
  close(): void;
}
/** The same part of the same step of the same run, whatever happens in between. Keys of one time stand together in the store's index: a hash alone would dirty a page of it for each row. */
export function outboxKey(delivery: Pick<Delivery, "run" | "step">, part: number): string {
  return `${receiptSeqOf(delivery.run)}.${hash("sha1", `${delivery.run}\n${delivery.step}`, "base64url")}.${part}`;
}
const chatOf = (to: Address) => `${to.account}\n${to.chat}\n${to.thread ?? ""}`;

interface Chat { readonly rows: OutboxRow[]; busy: boolean; cancel: (() => void) | undefined }

/** A chat is looked at again this often while its account is away or too much is on its way out. */
const AWAY_MS = 30_000;
const CROWDED_MS = 20;
const LONGEST_SLEEP_MS = 60_000;

export function createOutbox(options: OutboxOptions): Outbox {
  const { store, clock, random, maxSending = 200, redact = (text: string) => text } = options;
  const chats = new Map<string, Chat>();
  const watchers = new Map<string, (row: OutboxRow) => void>();
  const lives = new Map<string, OwnLive>();
  /** Runs of placeholders that wait for their final text, by key. */
  const placeholders = new Map<string, string>();
  const pace = createPace();
  const turns = createTurns(clock);
  let sending = 0;
  let closed = false;
  let held = false;
  const quiet: (() => void)[] = [];

  async function counted<T>(act: () => Promise<T>): Promise<T> {
    sending++;
    try {
      return await act();
    } finally {
      sending--;
      if (sending === 0) for (const resolve of quiet.splice(0)) resolve();
    }
  }

  function enqueue(row: OutboxRow): void {
    const key = chatOf(row.to);
    let chat = chats.get(key);
    if (chat === undefined) {
      chat = { rows: [], busy: false, cancel: undefined };
      chats.set(key, chat);
    }
    // Rows of one run keep their order; a more urgent run goes before those that have not begun, and the first has begun while the chat is busy.
    let place = chat.rows.length;
    for (const first = chat.busy ? 1 : 0; place > first; place--) {
      const before = chat.rows[place - 1] as OutboxRow;
      if (before.run === row.run || before.state !== "planned" || PRIORITIES.indexOf(before.priority) <= PRIORITIES.indexOf(row.priority)) break;
    }
    chat.rows.splice(place, 0, row);
    void drain(key, chat);
  }

  /** Does the first row of a chat, then the next. */
  async function drain(key: string, chat: Chat): Promise<void> {
    while (!chat.busy && !closed && !held) {
      if (chat.rows.length === 0) { chats.delete(key); return; }
      const row = foremost(chat, clock.now());
      const line = options.line(row.to.account);
      if (!isExpired(row, clock.now())) {
        const notNow = (ms: number): void => { turns.leave(row.key); later(key, chat, ms); };
        const wait = Math.max(row.dueAt - clock.now(), pace.wait(row.to, clock.now()));
        if (wait > 0) {
          tellWaiting(chat, row.error ?? { code: "CONN_003", text: "waits for its time" });
          return notNow(wait);
        }
        if (line?.connection === undefined) {
          tellWaiting(chat, { code: "CONN_001", text: "the account is not connected" });
          return notNow(AWAY_MS);
        }
        if (sending >= maxSending) return notNow(CROWDED_MS);
        if (canDouble(row, line) && !turns.enter(row.key, () => { void drain(key, chat); })) return;
      }
      chat.busy = true;
      try {
        await counted(() => step(chat, row, line));
      } catch (error) {
        // The store does not take it now: the row stays as it is.
        later(key, chat, error instanceof StoreError ? (error.afterMs ?? 1_000) : 1_000);
        return;
      } finally {
        chat.busy = false;
        if (!recording.has(row.key)) turns.leave(row.key);
      }
    }
  }

  /** One try of the first row of a chat. Throws only what the store throws. */
  async function step(chat: Chat, first: OutboxRow, line: Line | undefined): Promise<void> {
    const connection = line?.connection;
    let row = first;
    const life = (): Life => ({ row, notice: (code) => options.notice?.(row, code) });
    let next = reduce(life(), { type: "due", now: clock.now(), offers: { ...line?.channel.delivery, find: connection?.find !== undefined }, left: left.has(row.key), fresh: own.has(row.key) });
    const go = async (event: Event): Promise<void> => { next = reduce(life(), event); row = await carryOut(row, next); };
    row = await carryOut(row, next);
    // Only now: where the store did not take it, it is still what it was.
    left.delete(row.key);
    own.delete(row.key);
    try {
      if (next.act.type === "look" && connection?.find !== undefined) await go({ type: "looked", ref: await connection.find(row.to, sentBefore(row)) });
      if (next.act.type === "send" && line !== undefined && connection !== undefined) {
        pace.took(row.to, line.channel.limits, clock.now());
        FAULT: await reached("after-sending", row.run);
        const ref = await act(row, line.channel, connection);
        FAULT: await reached("before-record", row.run);
        await go({ type: "sent", ref });
      }
    } catch (thrown) {
      if (thrown instanceof StoreError) {
        // It may have been handed over: from now on it is in doubt here as it is on disk.
        chat.rows[0] = row;
        throw thrown;
      }
      const looked = next.act.type === "look";
      const error = asClawError(thrown, "MSG_002", looked ? "later" : "no");
      if (error.code === "CONN_003") pace.flooded(row.to, clock.now(), error.afterMs);
      await go({ type: "failed", fault: told(error), now: clock.now(), random: random() });
      if (next.act.type === "wait") options.tell?.("retried", row.to, error.code);
      if (row.state !== "planned" && !looked) silent.set(row.key, clock.now());
    }
    if (next.act.type !== "wait") {
      chat.rows.shift();
      silent.delete(row.key);
      unplaced.delete(row.key);
      FAULT: if (chat.rows[0]?.run === row.run) await reached("between-parts", row.run);
      return;
    }
    chat.rows[0] = row;
    watchers.get(row.key)?.(row);
  }

  /** Writes what the reducer wants written, and tells who waits for a row's end. Resolves to the row as it is then. */
  async function carryOut(row: OutboxRow, next: Next): Promise<OutboxRow> {
    let now = row;
    for (const change of next.write) if (change.do === "outbox-update") now = { ...now, ...change.set };
    const { act } = next;
    const final = act.type === "tell" || act.type === "mourn";
    if (act.type === "send" || act.type === "look") {
      await store.commit(next.write);
    } else if (next.write.length > 0) {
      if (final) recording.set(row.key, now);
      // It happened already: it must be on disk some time, and no send begins before it is.
      const saved = counted(() => insist(store, clock, next.write, () => closed)).then((seqs) => {
        recording.delete(row.key);
        turns.leave(row.key);
        if (act.type === "mourn" && act.notice !== undefined) outbox.take(act.notice, seqs.at(-1));
      });
      if (next.wait) await saved;
      else saved.catch(() => { /* Closed: the next process finds out what came of it. */ });
    }
    if (final) options.tell?.(act.type === "mourn" ? "dead" : "sent", now.to, act.type === "mourn" ? now.error?.code : undefined);
    if (act.type === "mourn") options.onDead(now);
    if (final) watchers.get(row.key)?.(now);
    return now;
  }
  function told(error: ReturnType<typeof asClawError>) {
    const { code, retry, afterMs, markup, unsent, answered } = error as ReturnType<typeof asClawError> & Partial<ChannelError>;
    return { code, retry, afterMs, message: redact(error.message), ...(markup === undefined ? {} : { markup }), ...(unsent === undefined ? {} : { unsent }), ...(answered === undefined ? {} : { answered }) };
  }

  function sentBefore({ key, to, draft, startedAt, plannedAt }: OutboxRow): SentBefore {
    const silentAt = silent.get(key);
    return {
      key, draft, startedAt: startedAt ?? plannedAt, ...(silentAt === undefined ? {} : { silentAt }),
      isTaken: async (ref) => [...recording.values(), ...(await store.sentAs(to, ref))].some((other) => other.key !== key && other.ref === ref && isIn(to)(other)),
    };
  }

  /** Flows behind these rows need not wait: what they get is "queued". */
  function tellWaiting(chat: Chat, error: { readonly code: string; readonly text: string }): void {
    for (const row of chat.rows) watchers.get(row.key)?.({ ...row, state: "planned", error });
  }

  function later(key: string, chat: Chat, ms: number): void {
    chat.cancel?.();
    chat.cancel = clock.after(Math.min(ms, LONGEST_SLEEP_MS), () => { chat.cancel = undefined; void drain(key, chat); });
  }

  async function act(row: OutboxRow, channel: Channel, connection: Connection): Promise<string> {
    const missing = (what: string): never => { throw new ChannelError("MSG_005", {}, `${channel.label} cannot ${what}.`); };
    // What is meant for one person is never shown to a whole group.
    if (row.draft.only !== undefined && row.to.kind === "group" && channel.shows?.only !== true && (row.op === "send" || row.op === "edit")) missing("show a message to one person of a group");
    const say = async ({ to, draft, key }: OutboxRow, target: string | undefined): Promise<string> => {
      if (target === undefined) return connection.send(to, draft, key);
      await (connection.edit ?? missing("edit messages"))(to, target, draft);
      return target;
    };
    switch (row.op) {
      case "send":
        return say(row, row.target ?? (await placeOf(row, connection)));
      case "edit":
        return say(row, row.target ?? "");
      case "react":
        await (connection.react ?? missing("react to messages"))(row.to, row.target ?? "", row.draft.text);
        return row.target ?? "";
      case "remove":
        await (connection.remove ?? missing("remove messages"))(row.to, row.target ?? "");
        return row.target ?? "";
    }
  }

  /** Where the placeholder of this row stands, if nobody was told when it was put there. */
  async function placeOf(row: OutboxRow, connection: Connection): Promise<string | undefined> {
    const shown = unplaced.get(row.key);
    if (shown === undefined || connection.edit === undefined) return undefined;
    const key = placeholderKey(row.key);
    const { channel } = options.line(row.to.account) ?? {};
    const ref = channel?.delivery.keyMs !== undefined && clock.now() - shown.plannedAt < channel.delivery.keyMs
      ? await connection.send(row.to, shown.draft, key)
      : await connection.find?.(row.to, { ...sentBefore(shown), key });
    if (ref !== undefined) await store.commit([{ do: "outbox-update", key: row.key, set: { target: ref } }]);
    return ref;
  }

  function plan(delivery: Delivery, line: Line | undefined): NewOutboxRow[] {
    const now = clock.now();
    const { draft } = delivery;
    const whole = delivery.op === "react" || delivery.op === "remove" || line === undefined;
    const parts = whole ? [draft] : options.split(draft, line.channel);
    const base = { run: delivery.run, to: delivery.to, priority: delivery.priority ?? "normal", state: "planned" as const, plannedAt: now, dueAt: delivery.dueAt ?? now, ...(delivery.expiresAt === undefined ? {} : { expiresAt: delivery.expiresAt }) };
    return parts.map((part, index) => {
      // What an edit has no room for follows as messages of its own.
      const op = index > 0 && delivery.op === "edit" ? "send" : delivery.op;
      return { ...base, op, key: outboxKey(delivery, index), draft: part, ...(delivery.target === undefined || op !== delivery.op ? {} : { target: delivery.target }) };
    });
  }

  async function deliver(delivery: Delivery): Promise<DeliveryReceipt> {
    const line = options.line(delivery.to.account);
    const planned = plan(delivery, line);
    const now = clock.now();
    const first = planned[0] as NewOutboxRow;
    const live = lives.get(first.key);
    const chat = chatOf(delivery.to);
    const free = live === undefined && chats.get(chat) === undefined && !beginning.has(chat) && line?.connection !== undefined && first.dueAt <= now && sending < maxSending && !held && pace.wait(delivery.to, now) === 0
      && (!canDouble(first, line) || turns.enter(first.key));
    const before = beginning.get(chat);
    const fates = planned.map((row) => new Promise<OutboxRow>((resolve) => watchers.set(row.key, resolve)));
    try {
      const begun = (async () => { await before; await begin(delivery, planned, free, await live?.ref); })();
      // Whoever delivers hears of a fault; what comes behind need only know that it is over.
      const settled = begun.catch(() => undefined);
      beginning.set(chat, settled);
      await begun.finally(() => {
        if (beginning.get(chat) === settled) beginning.delete(chat);
        if (free && !isQueued(first) && !recording.has(first.key)) turns.leave(first.key);
      });
      return receiptOf(await Promise.all(fates));
    } finally {
      for (const row of planned) watchers.delete(row.key);
      lives.delete(first.key);
    }
  }
  async function begin({ run, also = [], ...delivery }: Delivery, planned: readonly NewOutboxRow[], free: boolean, placeholder: string | undefined): Promise<void> {
    FAULT: await reached("before-outbox", run);
    const { write } = reduce({}, { type: "planned", rows: planned, free, also });
    const seqs = await store.commit(write);
    delivery.planned?.();
    FAULT: await reached("after-outbox", run);
    for (const [part, change] of write.entries()) {
      if (change.do !== "outbox") continue;
      const { row } = change;
      const seq = seqs[part];
      if (seq === undefined) { await rejoin(row, part === 0 ? placeholder : undefined); continue; }
      if (row.state === "sending") own.add(row.key);
      enqueue({ ...row, seq, attempts: 0 });
    }
  }
  /** Deliveries that are being planned, the last of each chat: it is not idle any more, though nothing is queued there yet, and the next comes behind. */
  const beginning = new Map<string, Promise<void>>();
  /** Rows whose end is known here and not on disk yet. */
  const recording = new Map<string, OutboxRow>();
  /** Rows that this process planned as "sending" and has not handed over yet. */
  const own = new Set<string>();
  /** When the platform fell silent about a row that is in doubt. */
  const silent = new Map<string, number>();
  /** Placeholders that may stand somewhere, until their final text is sent. */
  const unplaced = new Map<string, OutboxRow>();
  /** Rows of an earlier process, until they are tried. */
  const left = new Set<string>();

  /** The row was planned before: by an earlier pass of this run, or as the placeholder of a live answer that now gets its final text. */
  async function rejoin(row: NewOutboxRow, placeholder: string | undefined): Promise<void> {
    const ended = recording.get(row.key);
    if (ended !== undefined) { watchers.get(row.key)?.(ended); return; }
    if (isQueued(row)) return;
    const found = await store.outboxRow(row.key);
    if (found === undefined) return;
    if (found.dueAt === NEVER) {
      placeholders.delete(row.key);
      const target = placeholder ?? found.target;
      const set: OutboxUpdate = { draft: row.draft, dueAt: row.dueAt, state: "planned", ...(row.expiresAt === undefined ? {} : { expiresAt: row.expiresAt }), ...(target === undefined ? {} : { target }) };
      if (target === undefined) unplaced.set(row.key, found);
      await store.commit([{ do: "outbox-update", key: row.key, set }]);
      return enqueue({ ...found, ...set });
    }
    if (found.state === "sent" || found.state === "dead") watchers.get(row.key)?.(found);
    else if (!isQueued(found)) enqueue(found);
  }
  function isQueued({ to, key }: Pick<OutboxRow, "to" | "key">): boolean {
    return chats.get(chatOf(to))?.rows.some((queued) => queued.key === key) === true;
  }

  /** Reads the row first: it may have got its final text, or have no placeholder at all. Where the store cannot be read, the next process does it. */
  function abandon(key: string): Promise<void> { return tryAbandon(key).catch(() => undefined); }
  async function tryAbandon(key: string): Promise<void> {
    const row = await store.outboxRow(key);
    const { write } = row === undefined ? NOTHING : reduce({ row }, { type: "abandoned", now: clock.now() });
    const seqs = write.length === 0 ? [] : await insist(store, clock, write, () => closed);
    placeholders.delete(key);
    for (const [place, change] of write.entries()) {
      const seq = seqs[place];
      if (change.do === "outbox" && seq !== undefined) enqueue({ ...change.row, seq, attempts: 0 });
    }
  }

  const outbox: Outbox = {
    deliver,
    row: (delivery) => plan(delivery, options.line(delivery.to.account))[0] as NewOutboxRow,
    take(row, seq) { if (seq !== undefined) enqueue({ ...row, seq, attempts: 0 }); },
    live(delivery) {
      const key = outboxKey(delivery, 0);
      const line = () => options.line(delivery.to.account);
      const made = createLive(delivery, key, {
        store, clock, line, isHeld: () => held, sending: counted, inTurn: turns.during,
        cut: (draft) => { const channel = line()?.channel; return (channel === undefined ? undefined : options.split(draft, channel)[0]) ?? draft; },
        flooded(afterMs) { pace.flooded(delivery.to, clock.now(), afterMs); },
        forget: () => { lives.delete(key); },
        placed: () => { placeholders.set(key, delivery.run); },
        abandon: () => abandon(key),
      });
      lives.set(key, made);
      return made;
    },
    async load() {
      for (let after = 0; ; ) {
        const page = await store.unsent(after, 500);
        for (const row of page) {
          if (row.dueAt === NEVER) {
            placeholders.set(row.key, row.run);
            if (await options.isOver(row.run)) void abandon(row.key);
            continue;
          }
          left.add(row.key);
          enqueue(row);
        }
        after = page.at(-1)?.seq ?? after;
        if (page.length < 500) return;
      }
    },
    over(isIt) {
      for (const [key, run] of placeholders) if (isIt(run)) void (lives.get(key)?.stop() ?? Promise.resolve()).then(() => abandon(key));
    },
    wake(account) {
      for (const [key, chat] of chats) {
        const first = chat.rows[0];
        if (first?.to.account !== account) continue;
        chat.cancel?.();
        chat.cancel = undefined;
        // Its token was refused, and now one is taken.
        if (!chat.busy && first.error?.code === "CONN_002") chat.rows[0] = { ...first, dueAt: Math.min(first.dueAt, clock.now()) };
        void drain(key, chat);
      }
    },
    hold() {
      held = true;
      return sending === 0 ? Promise.resolve() : new Promise((resolve) => { quiet.push(resolve); });
    },
    release() {
      if (!held) return;
      held = false;
      for (const [key, chat] of chats) void drain(key, chat);
    },
    close() {
      closed = true;
      turns.close();
      for (const chat of chats.values()) chat.cancel?.();
    },
  };
  return outbox;
}

/** It puts a message there that nobody could recognise as the same, if it came again. */
const canDouble = ({ op, target }: Pick<NewOutboxRow, "op" | "target">, line: Line | undefined): boolean =>
  op === "send" && target === undefined && line?.connection !== undefined && offersNothing(line.channel, line.connection);

const isExpired = ({ dueAt, expiresAt }: OutboxRow, now: number): boolean => dueAt <= now && expiresAt !== undefined && expiresAt < now;

/** The row whose turn it is, put first. What is scheduled for later holds nobody up; what is tried again keeps its place, so that a chat reads in order. */
function foremost(chat: Chat, now: number): OutboxRow {
  const { rows } = chat;
  // Its time is over whatever stands before it.
  const expired = rows.findIndex((row) => isExpired(row, now));
  if (expired >= 0) {
    rows.unshift(...rows.splice(expired, 1));
    return rows[0] as OutboxRow;
  }
  const isScheduled = (row: OutboxRow): boolean => row.dueAt > now && row.state === "planned" && row.attempts === 0 && row.error === undefined;
  const place = rows.findIndex((row) => !isScheduled(row));
  if (place > 0) rows.unshift(...rows.splice(place, 1));
  if (place < 0) rows.sort((a, b) => a.dueAt - b.dueAt || a.seq - b.seq);
  return rows[0] as OutboxRow;
}

const NOTHING: Next = { write: [], wait: false, act: { type: "none" } };

function receiptOf(rows: readonly OutboxRow[]): DeliveryReceipt {
  const dead = rows.find((row) => row.state === "dead");
  if (dead !== undefined) return { state: "failed", code: dead.error?.code ?? "MSG_002", text: dead.error?.text ?? "not delivered" };
  const waiting = rows.find((row) => row.state !== "sent");
  if (waiting !== undefined) return { state: "queued", ...(waiting.error === undefined ? {} : waiting.error) };
  const refs = rows.map((row) => row.ref ?? "");
  return { state: "sent", ref: refs[0] ?? "", refs };
}
