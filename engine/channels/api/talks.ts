/**
 * Requests that wait for their answer. A place (chat and thread) has one at a time, as a lane has one message: so what is said there belongs to it.
 * Each is recorded before its message is received, with every part of its answer: a restart forgets none, and a request that comes again joins it.
 */
import { createHash } from "node:crypto";
import { ChannelError } from "../../errors.ts";
import type { Address, Message } from "../../message.ts";
import type { ChannelContext } from "../channel.ts";
import { ApiFault, type Head, type Usage } from "./answers.ts";

export interface Part { readonly key: string; readonly text: string }
/** As it is kept. `body`: hash of the request. `keyed`: it may come again. `endedAt`: Unix milliseconds. */
interface Record extends Head {
  readonly message: string;
  readonly at: Address;
  readonly body: string;
  readonly keyed: boolean;
  readonly parts: readonly Part[];
  readonly endedAt?: number;
  readonly usage?: Usage;
}
export interface Talk {
  readonly head: Head;
  /** What was said so far; the last may still grow. */
  texts(): readonly Part[];
  readonly ended: boolean;
  readonly usage: Usage;
  /** Its message had been answered before, and the answer is not kept any more. */
  readonly stale: boolean;
  /** Why its message was not taken: then nothing more comes. */
  readonly fault: unknown;
  /** Counts changes. */
  readonly version: number;
  /** Resolves when there is another version than `seen`, after `ms`, or when the signal aborts. */
  next(seen: number, ms: number, signal: AbortSignal): Promise<"changed" | "late" | "gone">;
  /** Somebody reads it, until the returned function is called. */
  read(): () => void;
}
export interface Begin { readonly message: Message; readonly body: Uint8Array; readonly keyed: boolean; readonly head: Head; readonly signal: AbortSignal }
export interface Talks {
  /** Resolves when it is this request's turn and its message is saved, or with the talk it repeats. Throws ApiFault, and what `receive` throws. */
  begin(request: Begin): Promise<Talk>;
  /** Throws ChannelError where nobody waits. */
  say(to: Address, text: string, key: string): Promise<string>;
  show(to: Address, text: string, key: string): void;
  find(key: string): Promise<string | undefined>;
  readonly closed: boolean;
  close(): void;
}

const PREFIX = "talk/";
const KEPT_MS = 24 * 3_600_000;
const MISSED_MS = 10 * 60_000;
/** Requests of one place that wait for the one before them. */
const MAX_WAITING = 8;
const NOTHING: Usage = { input: 0, output: 0 };
const keyOf = (message: string): string => PREFIX + createHash("sha256").update(message).digest("base64url");
const placeOf = ({ chat, thread }: Address): string => `${chat}\n${thread ?? ""}`;

interface Open extends Talk {
  version: number;
  record: Record;
  preview: Part | undefined;
  readers: number;
  /** Somebody read it, and may have gone. */
  wasRead: boolean;
  stale: boolean;
  fault: unknown;
  /** It was read from disk, where each stands before its message: that one may never have been saved. */
  readonly found: boolean;
  change(): void;
  readonly over: Promise<void>;
  finish(): void;
}

export async function openTalks(context: ChannelContext): Promise<Talks> {
  const { storage, clock } = context;
  const active = new Map<string, Open>();
  /** By message, until what is on disk tells their end. */
  const known = new Map<string, Open>();
  const lines = new Map<string, { last: Promise<void>; count: number }>();
  /** Answers that nobody was there to read, by place; the newest. */
  const missed = new Map<string, Record>();
  let sweptAt = clock.monotonic();
  let closed = false;

  const keep = (record: Record): Promise<void> => storage.set({ [keyOf(record.message)]: record });
  const forget = (record: Record): Promise<void> => storage.set({ [keyOf(record.message)]: undefined });

  /** From here on what is said in its place is its answer. */
  function enter(talk: Open): void {
    active.set(placeOf(talk.record.at), talk);
    known.set(talk.record.message, talk);
  }
  /** Until the place is quiet. */
  function watch(talk: Open): void {
    const { at } = talk.record;
    if (context.quiet === undefined) return;
    context.quiet(at, context.signal).then(({ usage }) => end(talk, usage), () => { /* Closed: the next connection goes on with it. */ });
  }
  async function end(talk: Open, usage: Usage): Promise<void> {
    const { at, keyed } = talk.record;
    const kept = keyed || talk.readers === 0;
    talk.record = { ...talk.record, endedAt: clock.now(), usage };
    active.delete(placeOf(at));
    if (kept && !keyed) missed.set(placeOf(at), talk.record);
    talk.change();
    talk.finish();
    await (kept ? keep(talk.record) : forget(talk.record)).then(() => { if (known.get(talk.record.message) === talk) known.delete(talk.record.message); }, (error: Error) => context.log("warn", error.message));
    if (clock.monotonic() - sweptAt > KEPT_MS / 24) await sweep();
  }
  async function sweep(): Promise<void> {
    sweptAt = clock.monotonic();
    const old = (await storage.list(PREFIX)).filter(([, value]) => ((value as Record).endedAt ?? Number.POSITIVE_INFINITY) < clock.now() - KEPT_MS);
    for (const [, value] of old) missed.delete(placeOf((value as Record).at));
    for (const [message, { record: { endedAt = Number.POSITIVE_INFINITY } }] of known) if (endedAt < clock.now() - KEPT_MS) known.delete(message);
    if (old.length > 0) await storage.set(Object.fromEntries(old.map(([key]) => [key, undefined])));
  }

  /** What this request repeats: by its key, or because the one before broke off and it says the very same. */
  async function repeated({ message, keyed }: Begin, body: string): Promise<Open | undefined> {
    const here = known.get(message.id);
    if (here !== undefined) return same(here, body);
    const before = active.get(placeOf(message.at));
    if (before !== undefined && before.readers === 0 && (before.found || before.wasRead) && before.record.body === body) return before;
    const kept = (await storage.get(keyOf(message.id))) as Record | undefined;
    if (kept !== undefined) return same(made(kept, true), body);
    const unread = missed.get(placeOf(message.at));
    if (keyed || unread?.body !== body || (unread.endedAt ?? 0) < clock.now() - MISSED_MS) return undefined;
    missed.delete(placeOf(message.at));
    await forget(unread);
    return made(unread, true);
  }
  /** Ended, as far as it is known, without a word: perhaps its message was never saved. */
  async function isEmpty(talk: Open, signal: AbortSignal): Promise<boolean> {
    while (talk.found && !talk.ended && !closed && talk.texts().length === 0) if ((await talk.next(talk.version, KEPT_MS, signal)) === "gone") break;
    return talk.found && talk.ended && talk.texts().length === 0;
  }
  function same(talk: Open, body: string): Open {
    if (talk.record.body !== body) throw new ApiFault("MSG_001", { status: 422, word: "idempotency_error" }, "Expected a request with this Idempotency-Key to be the same as the first one, got another.");
    return talk;
  }

  async function turn(place: string, signal: AbortSignal): Promise<() => void> {
    const line = lines.get(place) ?? { last: active.get(place)?.over ?? Promise.resolve(), count: 0 };
    if (line.count >= MAX_WAITING) throw new ApiFault("CONN_003", { status: 429, type: "rate_limit_error", word: "too_many_requests", headers: { "retry-after": "2" } }, `Expected at most ${MAX_WAITING} requests that wait for the one before them in one conversation.`);
    const before = line.last;
    const own = Promise.withResolvers<void>();
    line.last = own.promise;
    line.count++;
    lines.set(place, line);
    const done = (): void => { own.resolve(); if (--line.count === 0) lines.delete(place); };
    const left = Promise.withResolvers<never>();
    const leave = (): void => left.reject(new ApiFault("CONN_001", { status: 499 }, "The client went away."));
    signal.addEventListener("abort", leave, { once: true });
    if (signal.aborted) leave();
    try {
      await Promise.race([before, left.promise]);
    } catch (error) {
      void before.then(done);
      throw error;
    } finally {
      signal.removeEventListener("abort", leave);
    }
    return done;
  }

  async function begin(request: Begin): Promise<Talk> {
    const { keyed, head, signal } = request;
    const body = createHash("sha256").update(request.body).digest("base64url");
    const early = await repeated(request, body);
    const empty = early !== undefined && (await isEmpty(early, signal));
    if (early !== undefined && !empty) return early;
    // It is offered once more under its own id: whether it was ever saved is known there.
    const message = early === undefined ? request.message : { ...request.message, id: early.record.message };
    const done = await turn(placeOf(message.at), signal);
    try {
      if (closed) throw new ApiFault("CONN_001", { status: 503, headers: { "retry-after": "1" } }, "The API is being restarted.");
      const now = await repeated({ ...request, message }, body);
      if (now !== undefined && !(await isEmpty(now, signal))) { done(); return now; }
      const talk = made({ ...head, message: message.id, at: message.at, body, keyed, parts: [] }, false);
      enter(talk);
      try {
        await keep(talk.record);
        const received = await context.receive(message);
        if (received === "refused") throw new ApiFault("SEC_001", { status: 403, word: "not_allowed" }, `Expected somebody who may talk here, got "${message.sender.id}". Put this id on the account's list.`);
        talk.stale = received === "duplicate" && !empty;
      } catch (error) {
        await drop(talk, error);
        throw error;
      }
      watch(talk);
      void talk.over.then(done);
      return talk;
    } catch (error) {
      done();
      throw error;
    }
  }
  async function drop(talk: Open, fault: unknown): Promise<void> {
    active.delete(placeOf(talk.record.at));
    known.delete(talk.record.message);
    talk.fault = fault;
    talk.change();
    await forget(talk.record).catch(() => { /* It has no message: the next start finds it quiet, and ends it. */ });
  }

  function made(first: Record, found: boolean): Open {
    let change = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    const talk: Open = {
      version: 0, record: first, preview: undefined, readers: 0, wasRead: false, stale: false, fault: undefined, found, over: over.promise, finish: over.resolve,
      get head() { const { id, model, created } = talk.record; return { id, model, created }; },
      get ended() { return talk.record.endedAt !== undefined; },
      get usage() { return talk.record.usage ?? NOTHING; },
      texts() {
        const { parts } = talk.record;
        return talk.preview === undefined || parts.some(({ key }) => key === talk.preview?.key) ? parts : [...parts, talk.preview];
      },
      change() { talk.version++; change.resolve(); change = Promise.withResolvers(); },
      async next(seen, ms, signal) {
        if (talk.version !== seen) return "changed";
        const waited = Promise.withResolvers<"late" | "gone">();
        const cancel = clock.after(ms, () => waited.resolve("late"));
        const gone = (): void => waited.resolve("gone");
        signal.addEventListener("abort", gone, { once: true });
        if (signal.aborted) gone();
        try {
          return await Promise.race([change.promise.then(() => "changed" as const), waited.promise]);
        } finally {
          cancel();
          signal.removeEventListener("abort", gone);
        }
      },
      read() {
        talk.readers++;
        talk.wasRead = true;
        let reads = true;
        return () => { if (reads) talk.readers--; reads = false; };
      },
    };
    return talk;
  }

  await sweep();
  for (const record of (await storage.list(PREFIX)).map(([, value]) => value as Record)) {
    if (record.endedAt === undefined) { const talk = made(record, true); enter(talk); watch(talk); }
    else if (!record.keyed) missed.set(placeOf(record.at), record);
  }

  return {
    begin,
    async say(to, text, key) {
      const talk = active.get(placeOf(to));
      if (talk === undefined) throw new ChannelError("MSG_002", { unsent: true }, "Expected a request that waits for an answer here, got none: an API speaks when it is asked.");
      const before = talk.record.parts.findIndex((part) => part.key === key);
      const number = before < 0 ? talk.record.parts.length + 1 : before + 1;
      if (before < 0) talk.record = { ...talk.record, parts: [...talk.record.parts, { key, text }] };
      // The same again is written again: perhaps the first try was not.
      await keep(talk.record);
      talk.change();
      return `${talk.record.id}.${number}`;
    },
    show(to, text, key) {
      const talk = active.get(placeOf(to));
      // One at a time: what grows elsewhere is shown when it is whole.
      if (talk === undefined || (talk.preview !== undefined && talk.preview.key !== key && !talk.record.parts.some((part) => part.key === talk.preview?.key))) return;
      talk.preview = { key, text };
      talk.change();
    },
    async find(key) {
      const records = [...[...active.values()].map(({ record }) => record), ...(await storage.list(PREFIX)).map(([, value]) => value as Record)];
      for (const { id, parts } of records) { const at = parts.findIndex((part) => part.key === key); if (at >= 0) return `${id}.${at + 1}`; }
      return undefined;
    },
    get closed() { return closed; },
    close() { closed = true; for (const talk of active.values()) { talk.finish(); talk.change(); } },
  };
}
