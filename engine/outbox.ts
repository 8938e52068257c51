/** Outbox: what is to be said is planned on disk, sent in order per chat, retried, and its fate recorded. */
import { hash } from "node:crypto";
import type { Channel, Connection } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";
import { asClawError, ChannelError, type ClawError } from "./errors.ts";
import type { Address, Draft } from "./message.ts";
import { afterCrash, afterFailure } from "./run.ts";
import { receiptSeqOf } from "./store/rows.ts";
import type { Change, NewOutboxRow, OutboxOp, OutboxRow, OutboxUpdate, Priority, Store } from "./store/store.ts";

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
  /** A delivery that failed for good. */
  onDead(row: OutboxRow): void;
  /** Takes secrets out of the text of a failure before it is recorded and told. */
  redact?(text: string): string;
  /** Rows sent at once over all chats. */
  readonly maxSending?: number;
}

export interface Outbox {
  /** Plans and, when it is its turn, sends. Resolves when the fate of all parts is known, or with `queued` once a part has to wait. */
  deliver(delivery: Delivery): Promise<DeliveryReceipt>;
  /** Shows an answer while it is written, under the key that `deliver` of the same step will use. */
  live(delivery: Omit<Delivery, "op" | "draft">): Live;
  /** Reads what an earlier process left unsent. */
  load(): Promise<void>;
  /** An account is connected again. */
  wake(account: string): void;
  /** Begins no more sends; resolves when those under way are recorded: whoever stops the process then doubles none. */
  hold(): Promise<void>;
  release(): void;
  close(): void;
}
export interface Live {
  show(text: string): void;
  /** No more is shown; `deliver` of the same step puts the final text in its place. */
  stop(): Promise<void>;
  /** There will be no final text: what was shown is taken away. */
  abandon(): Promise<void>;
}

/** A live placeholder waits for its final text; its due time is never. */
const NEVER = Number.MAX_SAFE_INTEGER;

/** The same part of the same step of the same run, whatever happens in between. Keys of one time stand together in the store's index: a hash alone would dirty a page of it for each row. */
export function outboxKey(delivery: Pick<Delivery, "run" | "step">, part: number): string {
  return `${receiptSeqOf(delivery.run)}.${hash("sha1", `${delivery.run}\n${delivery.step}`, "base64url")}.${part}`;
}
const chatOf = (to: Address) => `${to.account}\n${to.chat}\n${to.thread ?? ""}`;

interface Chat { readonly rows: OutboxRow[]; busy: boolean; cancel: (() => void) | undefined }

export function createOutbox(options: OutboxOptions): Outbox {
  const { store, clock, random, maxSending = 200, redact = (text: string) => text } = options;
  const chats = new Map<string, Chat>();
  const watchers = new Map<string, (row: OutboxRow) => void>();
  /** A flood answer of one chat or account blocks just that. */
  const blocked = new Map<string, number>();
  const lives = new Map<string, { ref: Promise<string | undefined> }>();
  let sending = 0;
  let closed = false;
  let held = false;
  const quiet: (() => void)[] = [];

  function sendingEnded(): void {
    sending--;
    if (sending === 0) for (const resolve of quiet.splice(0)) resolve();
  }

  function chatFor(key: string): Chat {
    let chat = chats.get(key);
    if (chat === undefined) {
      chat = { rows: [], busy: false, cancel: undefined };
      chats.set(key, chat);
    }
    return chat;
  }

  function enqueue(row: OutboxRow): void {
    const key = chatOf(row.to);
    const chat = chatFor(key);
    // Rows of one run keep their order; a more urgent run goes before those that have not begun.
    const rank = ["urgent", "high", "normal", "low"].indexOf(row.priority);
    let place = chat.rows.length;
    while (place > 0) {
      const before = chat.rows[place - 1] as OutboxRow;
      if (before.run === row.run || before.state === "sending" || ["urgent", "high", "normal", "low"].indexOf(before.priority) <= rank) break;
      place--;
    }
    chat.rows.splice(place, 0, row);
    void drain(key, chat);
  }

  async function drain(key: string, chat: Chat): Promise<void> {
    if (chat.busy || closed || held) return;
    const row = chat.rows[0];
    if (row === undefined) { chats.delete(key); return; }
    const now = clock.now();
    const wait = Math.max(row.dueAt, blocked.get(row.to.account) ?? 0) - now;
    const line = options.line(row.to.account);
    if (wait > 0) {
      tellWaiting(chat, row.error ?? { code: "CONN_003", text: "waits for its time" });
      return later(key, chat, wait);
    }
    if (row.expiresAt !== undefined && now > row.expiresAt) {
      chat.busy = true;
      await settle(row, { state: "dead", error: { code: "MSG_002", text: "expired before it could be sent" } });
      chat.rows.shift();
      chat.busy = false;
      return drain(key, chat);
    }
    if (line?.connection === undefined || sending >= maxSending) {
      if (line?.connection === undefined) tellWaiting(chat, { code: "CONN_001", text: "the account is not connected" });
      return later(key, chat, line?.connection === undefined ? 30_000 : 20);
    }
    chat.busy = true;
    sending++;
    try {
      const next = await attempt(row, line.channel, line.connection);
      if (next === undefined) chat.rows.shift();
      else {
        chat.rows[0] = next;
        // A long wait of this row does not hold back rows of other runs behind it.
        if (next.dueAt > clock.now() + 1_000) yieldPlace(chat);
      }
    } finally {
      sendingEnded();
      chat.busy = false;
    }
    return drain(key, chat);
  }

  /** Flows behind these rows need not wait: what they get is "queued". */
  function tellWaiting(chat: Chat, error: { readonly code: string; readonly text: string }): void {
    for (const row of chat.rows) watchers.get(row.key)?.({ ...row, state: "planned", error });
  }

  /** Moves a waiting row (and the rows of its run) behind rows of other runs that are due, unless the whole chat is blocked by a flood answer. */
  function yieldPlace(chat: Chat): void {
    const head = chat.rows[0] as OutboxRow;
    if (head.error?.code === "CONN_003") return;
    const own = chat.rows.filter((row) => row.run === head.run);
    const others = chat.rows.filter((row) => row.run !== head.run);
    chat.rows.splice(0, chat.rows.length, ...others, ...own);
  }

  function later(key: string, chat: Chat, ms: number): void {
    chat.cancel?.();
    chat.cancel = clock.after(Math.min(ms, 60_000), () => { chat.cancel = undefined; void drain(key, chat); });
  }

  async function record(row: OutboxRow, set: OutboxUpdate): Promise<OutboxRow> {
    await store.commit([{ do: "outbox-update", key: row.key, set }]);
    return { ...row, ...set };
  }

  /** Records a row's end, however long the store needs to take it: a sent row must not stay "sending". */
  async function settle(row: OutboxRow, set: OutboxUpdate): Promise<OutboxRow> {
    for (let wait = 250; ; wait = Math.min(wait * 2, 5_000)) {
      try {
        const done = await record(row, set);
        if (done.state === "dead") options.onDead(done);
        watchers.get(row.key)?.(done);
        return done;
      } catch (error) {
        if (closed) throw error;
        await new Promise<void>((resolve) => { clock.after(wait, resolve); });
      }
    }
  }

  /** The platform has it: its flow goes on at once. Nothing else can be sent before this is on disk, because commits keep their order and each send begins with one. */
  function sent(row: OutboxRow, ref: string): void {
    sending++;
    settle(row, { state: "sent", ref }).catch(() => { /* Closed: the next process looks what came of it. */ }).finally(sendingEnded);
    watchers.get(row.key)?.({ ...row, state: "sent", ref });
  }

  /** One try. Resolves to the row as it still has to be done, or undefined when it is final. */
  async function attempt(row: OutboxRow, channel: Channel, connection: Connection): Promise<OutboxRow | undefined> {
    let current = row;
    try {
      if (row.attempts > 0 && row.startedAt !== undefined && afterCrash(row, { find: connection.find !== undefined }) === "find") {
        const ref = await connection.find?.(row.to, { key: row.key, draft: row.draft, startedAt: row.startedAt });
        if (ref !== undefined) { await settle(row, { state: "sent", ref }); return undefined; }
      }
      if (row.state !== "sending") current = await record(row, { state: "sending", startedAt: clock.now() });
      const ref = await act(current, channel, connection);
      sent(current, ref);
      return undefined;
    } catch (thrown) {
      const error = failure(thrown);
      if (error.code === "CONN_003" && error.afterMs !== undefined && error.afterMs > 0) blockAccountFor(row, error);
      const failed = afterFailure(current, error, clock.now(), random());
      const set = failed.error === undefined ? failed : { ...failed, error: { ...failed.error, text: redact(failed.error.text) } };
      if (set.state === "dead") { await settle(current, set); return undefined; }
      return await settle(current, set);
    }
  }

  /** Telegram and others answer a flood per chat; only a very long one concerns the account. */
  function blockAccountFor(row: OutboxRow, error: ClawError): void {
    if ((error.afterMs ?? 0) > 300_000) blocked.set(row.to.account, clock.now() + (error.afterMs ?? 0));
  }

  async function act(row: OutboxRow, channel: Channel, connection: Connection): Promise<string> {
    const missing = (what: string): never => { throw new ChannelError("MSG_005", {}, `${channel.label} cannot ${what}.`); };
    switch (row.op) {
      case "send":
        if (row.target === undefined) return connection.send(row.to, row.draft, row.key);
        await (connection.edit ?? missing("edit messages"))(row.to, row.target, row.draft);
        return row.target;
      case "edit":
        await (connection.edit ?? missing("edit messages"))(row.to, row.target ?? "", row.draft);
        return row.target ?? "";
      case "react":
        await (connection.react ?? missing("react to messages"))(row.to, row.target ?? "", row.draft.text);
        return row.target ?? "";
      case "remove":
        await (connection.remove ?? missing("remove messages"))(row.to, row.target ?? "");
        return row.target ?? "";
    }
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
    const rows = plan(delivery, line);
    const now = clock.now();
    const first = rows[0] as NewOutboxRow;
    const live = lives.get(first.key);
    const placeholder = live === undefined ? undefined : await live.ref;
    // Nothing waits before it and the account is there: "planned" and "sending" are one commit.
    const idle = placeholder === undefined && live === undefined && chats.get(chatOf(delivery.to)) === undefined && line?.connection !== undefined && first.dueAt <= now && sending < maxSending && !held;
    const planned = rows.map((row, part) => (part === 0 && idle ? { ...row, state: "sending" as const, startedAt: now } : row));
    const fates = rows.map((row) => new Promise<OutboxRow>((resolve) => watchers.set(row.key, resolve)));
    try {
      const changes: Change[] = planned.map((row) => ({ do: "outbox", row }));
      const seqs = await store.commit(changes);
      for (const [part, row] of planned.entries()) {
        const seq = seqs[part];
        if (seq !== undefined) enqueue({ ...row, seq, attempts: 0 });
        else await rejoin(row, part === 0 ? placeholder : undefined);
      }
      const ended = await Promise.all(fates);
      return receiptOf(ended);
    } finally {
      for (const row of rows) watchers.delete(row.key);
      lives.delete(first.key);
    }
  }

  /** The row was planned before: by an earlier pass of this run, or as the placeholder of a live answer that now gets its final text. */
  async function rejoin(row: NewOutboxRow, placeholder: string | undefined): Promise<void> {
    const found = await store.outboxRow(row.key);
    if (found === undefined) return;
    if (found.dueAt === NEVER) {
      const target = placeholder ?? found.target;
      const set: OutboxUpdate = { draft: row.draft, dueAt: row.dueAt, state: "planned", ...(target === undefined ? {} : { target }) };
      await store.commit([{ do: "outbox-update", key: row.key, set }]);
      return enqueue({ ...found, ...set });
    }
    if (found.state === "sent" || found.state === "dead") watchers.get(row.key)?.(found);
    else if (![...(chats.get(chatOf(found.to))?.rows ?? [])].some((queued) => queued.key === found.key)) enqueue(found);
  }

  function live(delivery: Omit<Delivery, "op" | "draft">): Live {
    const { to } = delivery;
    const key = outboxKey(delivery, 0);
    const everyMs = options.line(to.account)?.channel.limits.editEveryMs ?? 150;
    let text = "";
    let shown = "";
    let cancel: (() => void) | undefined;
    let usePreview = true;
    let target: string | undefined;
    let done = false;
    let work: Promise<void> = Promise.resolve();

    async function flush(): Promise<void> {
      cancel = undefined;
      const line = options.line(to.account);
      const connection = line?.connection;
      if (done || held || connection === undefined || line === undefined || text === shown || text.trim() === "") return;
      const part = options.split({ text }, line.channel)[0]?.text ?? text;
      shown = text;
      sending++;
      try {
        if (usePreview && connection.preview !== undefined) return await connection.preview(to, { text: part }, key);
        if (connection.edit === undefined) return;
        if (target !== undefined) return await connection.edit(to, target, { text: part });
        target = await placeholder(connection, part);
      } catch (thrown) {
        const error = failure(thrown);
        if (error.code === "MSG_005" && usePreview) { usePreview = false; shown = ""; return; }
        if (error.retry === "no") done = true;
      } finally {
        sendingEnded();
      }
    }
    /** The row is on disk before the placeholder is visible, and knows its ref right after: the final edit finds it even after a crash. */
    async function placeholder(connection: Connection, part: string): Promise<string | undefined> {
      const now = clock.now();
      const row: NewOutboxRow = { key, run: delivery.run, op: "send", to, draft: { text: part }, priority: "normal", state: "planned", plannedAt: now, dueAt: NEVER };
      const [seq] = await store.commit([{ do: "outbox", row }]);
      if (seq === undefined) {
        const found = await store.outboxRow(key);
        if (found?.dueAt !== NEVER) { done = true; return undefined; }
        if (found.target !== undefined) return found.target;
      }
      const ref = await connection.send(to, { text: part }, key);
      await store.commit([{ do: "outbox-update", key, set: { target: ref } }]);
      return ref;
    }
    const own = { ref: Promise.resolve<string | undefined>(undefined) };
    lives.set(key, own);
    return {
      show(next) {
        text = next;
        if (cancel !== undefined || done) return;
        cancel = clock.after(everyMs, () => { work = work.then(flush); });
      },
      async stop() {
        done = true;
        cancel?.();
        own.ref = work.then(() => target);
        await work;
        if (target === undefined) lives.delete(key);
      },
      async abandon() {
        await this.stop();
        lives.delete(key);
        if (target === undefined) return;
        await store.commit([{ do: "outbox-update", key, set: { state: "dead", error: { code: "MSG_002", text: "the answer was given up while it was written" } } }]);
        await deliver({ run: delivery.run, step: `${delivery.step}/abandon`, op: "remove", to, draft: { text: "" }, target });
      },
    };
  }

  return {
    deliver,
    live,
    async load() {
      for (let after = 0; ; ) {
        const page = await store.unsent(after, 500);
        for (const row of page) if (row.dueAt !== NEVER) enqueue(row.state === "sending" ? { ...row, attempts: row.attempts + 1 } : row);
        after = page.at(-1)?.seq ?? after;
        if (page.length < 500) return;
      }
    },
    wake(account) {
      for (const [key, chat] of chats) if (chat.rows[0]?.to.account === account) { chat.cancel?.(); chat.cancel = undefined; void drain(key, chat); }
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
    close() { closed = true; for (const chat of chats.values()) chat.cancel?.(); },
  };
}

function failure(thrown: unknown): ClawError {
  return asClawError(thrown, "MSG_002", "no");
}

function receiptOf(rows: readonly OutboxRow[]): DeliveryReceipt {
  const dead = rows.find((row) => row.state === "dead");
  if (dead !== undefined) return { state: "failed", code: dead.error?.code ?? "MSG_002", text: dead.error?.text ?? "not delivered" };
  const waiting = rows.find((row) => row.state !== "sent");
  if (waiting !== undefined) return { state: "queued", ...(waiting.error === undefined ? {} : waiting.error) };
  const refs = rows.map((row) => row.ref ?? "");
  return { state: "sent", ref: refs[0] ?? "", refs };
}
