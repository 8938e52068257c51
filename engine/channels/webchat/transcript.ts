/**
 * The durable record of every chat: what its visitor and the bot said, in order, each once.
 *
 *     chat/<chat>/<seq>            an Entry, or { change: ref } where an older entry was edited or removed
 *     key/<key>                    { seq, chat }: the bot's message with this idempotency key
 *     client/<chat>/<clientId>     { seq }: the visitor's message with this id
 *     pending/<chat>/<seq>         the Message of an entry whose receipt is not known yet
 *     votes/<chat>/<ref>           { <tag>: number[] }, the options each person votes for
 *     file/<id>                    see files.ts
 */
import type { Clock } from "../../clock.ts";
import type { Message } from "../../message.ts";
import type { AccountStorage } from "../channel.ts";
import type { Entry, ServerEvent } from "./protocol.ts";

export type NewEntry = Omit<Entry, "seq" | "at">;
interface Change { readonly change: string }
type Row = Entry | Change;

export interface Transcript {
  /** Adds the visitor's message once; `pending` holds its Message until `settle`. With `first` it is added, and seen by others, only after `first` said true; nothing is pending then. */
  addVisitor(chat: string, entry: NewEntry & { readonly clientId: string }, toMessage: (entry: Entry) => Message, first?: (message: Message) => Promise<boolean>): Promise<{ readonly entry: Entry | undefined; readonly pending: Message | undefined }>;
  /** The message was received. */
  settle(chat: string, seq: number): Promise<void>;
  /** The sender may not talk here: nothing of the message stays. */
  withdraw(chat: string, seq: number): Promise<void>;
  /** Adds the bot's message once; `also` is written with it. Resolves to the ref. */
  addBot(chat: string, entry: NewEntry & { readonly key: string }, also?: Readonly<Record<string, unknown>>): Promise<string>;
  byKey(key: string): Promise<string | undefined>;
  entry(chat: string, ref: string): Promise<Entry | undefined>;
  /** Sets what one person votes for, and the counts with it. Resolves to false when there is no such poll. */
  vote(chat: string, ref: string, tag: string, options: readonly number[]): Promise<boolean>;
  /** Replaces an entry by what `edit` makes of it; undefined removes it. Resolves to false when there is none. */
  change(chat: string, ref: string, edit: (entry: Entry) => Entry | undefined): Promise<boolean>;
  known(chat: string): Promise<boolean>;
  /** Hands over the events after `seq` (without it, the newest `limit` entries); nothing is added before `give` resolves. */
  resume(chat: string, after: number | undefined, limit: number, give: (page: Page) => Promise<void>): Promise<void>;
  history(chat: string): Promise<Entry[]>;
  /** Messages of an earlier process that were recorded, but perhaps not received. */
  pending(): Promise<{ readonly chat: string; readonly seq: number; readonly message: Message }[]>;
}
export interface Page { readonly fresh: boolean; readonly more: boolean; readonly head: number; readonly events: readonly { readonly event: ServerEvent; readonly id: number }[] }

/** 16 digits hold every millisecond until the year 318857. */
const digits = (seq: number) => String(seq).padStart(16, "0");
const rowKey = (chat: string, seq: number | string) => `chat/${chat}/${digits(Number(seq))}`;
const isEntry = (row: unknown): row is Entry => typeof row === "object" && row !== null && "from" in row;

/** Text of what a page gets at once, and of all it can ask for, in UTF-16 units. */
const PAGE_CHARS = 2_000_000;
const HISTORY_CHARS = 20_000_000;
/** The last entries whose texts together stay below `chars`, one at least. */
function newest(rows: readonly unknown[], chars: number): Entry[] {
  const entries = rows.filter(isEntry);
  let left = chars;
  let first = entries.length;
  while (first > 0 && (first === entries.length || left > 0)) left -= (entries[--first] as Entry).text.length;
  return entries.slice(first);
}

export interface TranscriptOptions {
  readonly storage: AccountStorage;
  readonly clock: Clock;
  /** Told inside the chat's own order. */
  tell(chat: string, event: ServerEvent, id?: number): void;
  /** Rows kept for each chat. */
  readonly keep?: number;
}

interface Lane { tail: Promise<unknown>; waiting: number; head: number | undefined; added: number }

export function createTranscript({ storage, clock, tell, keep = 1_000 }: TranscriptOptions): Transcript {
  const lanes = new Map<string, Lane>();
  const TRIM_EVERY = Math.max(1, Math.min(64, keep));

  /** One thing at a time in one chat; other chats go on. */
  async function inLane<T>(chat: string, act: (lane: Lane) => Promise<T>): Promise<T> {
    const own = lanes.get(chat) ?? { tail: Promise.resolve(), waiting: 0, head: undefined, added: 0 };
    lanes.set(chat, own);
    own.waiting++;
    const done = own.tail.then(() => act(own));
    own.tail = done.catch(() => undefined);
    try {
      return await done;
    } finally {
      own.waiting--;
      if (own.waiting === 0 && lanes.size > 1_000) lanes.delete(chat);
    }
  }
  async function headOf(chat: string, lane: Lane): Promise<number> {
    if (lane.head !== undefined) return lane.head;
    const [last] = await storage.list(`chat/${chat}/`, { limit: 1, last: true });
    lane.head = last === undefined ? 0 : Number(last[0].slice(-16));
    return lane.head;
  }
  /** By the clock, so that a place is not used again after its entry was withdrawn and the process began anew. */
  async function nextSeq(chat: string, lane: Lane): Promise<number> {
    return Math.max((await headOf(chat, lane)) + 1, clock.now());
  }
  async function write(chat: string, lane: Lane, seq: number, changes: Record<string, unknown>): Promise<void> {
    await storage.set(changes);
    lane.head = seq;
    if (++lane.added % TRIM_EVERY === 0) await trim(chat);
  }
  async function trim(chat: string): Promise<void> {
    const [first] = await storage.list(`chat/${chat}/`, { limit: keep, last: true });
    const old = await storage.list(`chat/${chat}/`, { limit: 500 });
    const gone: Record<string, undefined> = {};
    for (const [key, row] of old) {
      if (first === undefined || key >= first[0]) break;
      gone[key] = undefined;
      if (!isEntry(row)) continue;
      if (row.key !== undefined) gone[`key/${row.key}`] = undefined;
      if (row.clientId !== undefined) gone[`client/${chat}/${row.clientId}`] = undefined;
      for (const file of [...(row.files ?? []), ...(row.cards ?? []).flatMap(({ image }) => image ?? [])]) gone[`file/${file.id}`] = undefined;
      if (row.poll !== undefined) gone[`votes/${chat}/${row.seq}`] = undefined;
    }
    if (Object.keys(gone).length > 0) await storage.set(gone);
  }
  async function entry(chat: string, ref: string): Promise<Entry | undefined> {
    if (!/^\d{1,16}$/.test(ref)) return undefined;
    const row = await storage.get(rowKey(chat, ref));
    return isEntry(row) ? row : undefined;
  }
  async function byKey(key: string): Promise<string | undefined> {
    const found = (await storage.get(`key/${key}`)) as { seq: number } | undefined;
    return found === undefined ? undefined : String(found.seq);
  }
  async function eventOf(chat: string, row: Row): Promise<ServerEvent> {
    if (isEntry(row)) return { type: "entry", entry: row };
    return { type: "change", ref: row.change, entry: (await entry(chat, row.change)) ?? null };
  }

  return {
    addVisitor: (chat, draft, toMessage, first) => inLane(chat, async (lane) => {
      const clientKey = `client/${chat}/${draft.clientId}`;
      const found = (await storage.get(clientKey)) as { seq: number } | undefined;
      if (found !== undefined) {
        const pending = (await storage.get(`pending/${chat}/${digits(found.seq)}`)) as Message | undefined;
        return { entry: await entry(chat, String(found.seq)), pending };
      }
      const seq = await nextSeq(chat, lane);
      const added: Entry = { seq, at: clock.now(), ...draft };
      const message = toMessage(added);
      if (first !== undefined && !(await first(message))) return { entry: undefined, pending: undefined };
      await write(chat, lane, seq, { [rowKey(chat, seq)]: added, [clientKey]: { seq }, ...(first === undefined ? { [`pending/${chat}/${digits(seq)}`]: message } : {}) });
      tell(chat, { type: "entry", entry: added }, seq);
      return { entry: added, pending: first === undefined ? message : undefined };
    }),
    settle: (chat, seq) => storage.set({ [`pending/${chat}/${digits(seq)}`]: undefined }),
    withdraw: (chat, seq) => inLane(chat, async () => {
      const gone = await entry(chat, String(seq));
      if (gone === undefined) return;
      await storage.set({ [rowKey(chat, seq)]: undefined, [`client/${chat}/${gone.clientId}`]: undefined, [`pending/${chat}/${digits(seq)}`]: undefined });
      tell(chat, { type: "change", ref: String(seq), entry: null });
    }),
    addBot: (chat, draft, also = {}) => inLane(chat, async (lane) => {
      const before = await byKey(draft.key);
      if (before !== undefined) return before;
      const seq = await nextSeq(chat, lane);
      const added: Entry = { seq, at: clock.now(), ...draft };
      await write(chat, lane, seq, { ...also, [rowKey(chat, seq)]: added, [`key/${draft.key}`]: { seq, chat } });
      tell(chat, { type: "entry", entry: added }, seq);
      return String(seq);
    }),
    byKey,
    entry,
    vote: (chat, ref, tag, options) => inLane(chat, async (lane) => {
      const old = await entry(chat, ref);
      if (old?.poll === undefined) return false;
      const votes = new Map(Object.entries(((await storage.get(`votes/${chat}/${old.seq}`)) ?? {}) as Record<string, readonly number[]>));
      if (options.length === 0) votes.delete(tag);
      else votes.set(tag, options);
      const all = [...votes.values()].flat();
      const changed: Entry = { ...old, poll: { ...old.poll, counts: old.poll.options.map((_, index) => all.filter((each) => each === index).length) } };
      const seq = await nextSeq(chat, lane);
      await write(chat, lane, seq, { [rowKey(chat, ref)]: changed, [`votes/${chat}/${old.seq}`]: Object.fromEntries(votes), [rowKey(chat, seq)]: { change: ref } satisfies Change });
      tell(chat, { type: "change", ref, entry: changed }, seq);
      return true;
    }),
    change: (chat, ref, edit) => inLane(chat, async (lane) => {
      const old = await entry(chat, ref);
      if (old === undefined) return false;
      const changed = edit(old);
      const seq = await nextSeq(chat, lane);
      // Another question, or none: nobody has voted there.
      const votes = old.poll !== undefined && changed?.poll !== old.poll ? { [`votes/${chat}/${old.seq}`]: undefined } : {};
      await write(chat, lane, seq, { [rowKey(chat, ref)]: changed, ...votes, [rowKey(chat, seq)]: { change: ref } satisfies Change });
      tell(chat, { type: "change", ref, entry: changed ?? null }, seq);
      return true;
    }),
    known: async (chat) => (await storage.list(`chat/${chat}/`, { limit: 1, last: true })).length > 0,
    resume: (chat, after, limit, give) => inLane(chat, async (lane) => {
      const head = await headOf(chat, lane);
      const events: { event: ServerEvent; id: number }[] = [];
      // A place after our last one was given out by a store that is gone: the page begins anew.
      if (after === undefined || after > head) {
        const rows = await storage.list(`chat/${chat}/`, { limit: limit + 1, last: true });
        const shown = newest(rows.slice(-limit).map(([, row]) => row), PAGE_CHARS);
        for (const entry of shown) events.push({ event: { type: "entry", entry }, id: entry.seq });
        return give({ fresh: true, more: rows.length > limit || shown.length < rows.filter(([, row]) => isEntry(row)).length, head, events });
      }
      for (let from = rowKey(chat, after); ; ) {
        const rows = await storage.list(`chat/${chat}/`, { after: from, limit: 500 });
        for (const [key, row] of rows) events.push({ event: await eventOf(chat, row as Row), id: Number(key.slice(-16)) });
        if (rows.length < 500) break;
        from = rows.at(-1)?.[0] ?? from;
      }
      return give({ fresh: false, more: false, head, events });
    }),
    async history(chat) {
      const rows = await storage.list(`chat/${chat}/`, { limit: keep + TRIM_EVERY, last: true });
      return newest(rows.map(([, row]) => row), HISTORY_CHARS);
    },
    async pending() {
      const rows = await storage.list("pending/", { limit: 1_000 });
      return rows.map(([key, message]) => {
        const [, chat = "", seq = "0"] = key.split("/");
        return { chat, seq: Number(seq), message: message as Message };
      });
    },
  };
}
