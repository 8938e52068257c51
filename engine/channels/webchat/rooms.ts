/** The transcripts: what was said in each visitor's room, durable, and told to every open page of it. */
import type { ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { Draft, FileKind } from "../../message.ts";

export interface RoomFile { readonly id: string; readonly name: string; readonly mime: string; readonly bytes: number; readonly kind: FileKind }
/** One visible message as a page gets it. A change is the whole entry again under a new `seq`; `order` stays. */
export interface Entry {
  readonly seq: number;
  readonly order: number;
  readonly ref: string;
  readonly from: "visitor" | "bot";
  readonly text: string;
  /** Unix milliseconds. */
  readonly at: number;
  readonly clientId?: string;
  readonly key?: string;
  readonly buttons?: Draft["buttons"];
  readonly files?: readonly RoomFile[];
  readonly replyTo?: string;
  readonly edited?: boolean;
  readonly removed?: boolean;
  readonly reactions?: readonly string[];
}
export type Push = (event: string, data: unknown) => void;

export interface Rooms {
  /** The bot speaks. The same key gives the same ref, and nothing is said twice. */
  say(room: string, draft: Draft, key: string): Promise<string>;
  /** The visitor speaks: `receive` decides; what was taken is in the transcript before anything the bot answers. */
  hear<T extends string>(room: string, entry: Pick<Entry, "ref" | "text" | "clientId" | "files" | "replyTo">, receive: () => Promise<T>): Promise<T>;
  change(room: string, ref: string, change: Partial<Entry>): Promise<void>;
  /** Entries after `seq`, at most the last 300. */
  backlog(room: string, after: number): Promise<Entry[]>;
  join(room: string, push: Push): () => void;
  /** To the open pages only; kept nowhere. */
  tell(room: string, event: string, data: unknown): void;
  keepFile(file: RoomFile, room: string): Promise<void>;
  file(id: string, room: string): Promise<RoomFile | undefined>;
  media(reference: string): Promise<ReadableStream<Uint8Array>>;
  close(): void;
}

const BACKLOG = 300;
const pad = (seq: number) => String(seq).padStart(12, "0");

export function createRooms(_account: string, context: ChannelContext): Rooms {
  const { storage, clock } = context;
  const pages = new Map<string, Set<Push>>();
  const turns = new Map<string, Promise<unknown>>();
  const last = new Map<string, number>();

  /** One change of a room at a time: numbers are given in order, and order is what a page sees. */
  function inTurn<T>(room: string, act: () => Promise<T>): Promise<T> {
    const before = turns.get(room) ?? Promise.resolve();
    const mine = before.then(act, act);
    const settled = mine.catch(() => undefined);
    turns.set(room, settled);
    void settled.then(() => { if (turns.get(room) === settled) turns.delete(room); });
    return mine;
  }
  async function nextSeq(room: string): Promise<number> {
    let seq = last.get(room);
    if (seq === undefined) {
      const [row] = await storage.list(`log/${room}/`, { last: true, limit: 1 });
      seq = row === undefined ? 0 : (row[1] as Entry).seq;
    }
    last.set(room, seq + 1);
    return seq + 1;
  }
  async function append(room: string, entry: Entry, more: Record<string, unknown> = {}): Promise<void> {
    await storage.set({ [`log/${room}/${pad(entry.seq)}`]: entry, [`ref/${room}/${entry.ref}`]: entry, ...more });
    tell(room, "entry", entry);
  }
  function tell(room: string, event: string, data: unknown): void {
    for (const push of pages.get(room) ?? []) push(event, data);
  }

  async function filesOf(draft: Draft, room: string): Promise<RoomFile[]> {
    const files: RoomFile[] = [];
    for (const file of draft.attachments ?? []) {
      if (!file.media.startsWith("spool:")) continue;
      const kept: RoomFile = { id: file.media.slice(6), name: file.name ?? file.kind, mime: file.mime ?? "application/octet-stream", bytes: 0, kind: file.kind };
      await storage.set({ [`file/${room}/${kept.id}`]: kept });
      files.push(kept);
    }
    return files;
  }
  /** What a page cannot show as such is told in words. */
  function textOf(draft: Draft): string {
    const lines = [draft.text];
    if (draft.poll !== undefined) lines.push(`**${draft.poll.question}**`, ...draft.poll.options.map((option) => `- ${option}`));
    if (draft.location !== undefined) lines.push(`[${draft.location.latitude}, ${draft.location.longitude}](https://www.openstreetmap.org/?mlat=${draft.location.latitude}&mlon=${draft.location.longitude})`);
    for (const file of draft.attachments ?? []) if (!file.media.startsWith("spool:")) lines.push(`[${file.name ?? file.kind}](${file.media})`);
    return lines.filter((line) => line !== "").join("\n\n");
  }

  return {
    tell,
    say: (room, draft, key) => inTurn(room, async () => {
      const known = await storage.get(`key/${room}/${key}`);
      if (typeof known === "string") return known;
      const files = await filesOf(draft, room);
      const seq = await nextSeq(room);
      const ref = `b${seq}`;
      await append(room, { seq, order: seq, ref, from: "bot", text: textOf(draft), at: clock.now(), key, ...(draft.buttons === undefined ? {} : { buttons: draft.buttons }), ...(draft.replyTo === undefined ? {} : { replyTo: draft.replyTo }), ...(files.length === 0 ? {} : { files }) }, { [`key/${room}/${key}`]: ref });
      return ref;
    }),
    hear: (room, entry, receive) => inTurn(room, async () => {
      const received = await receive();
      if ((received === "saved" || received === "duplicate") && (await storage.get(`ref/${room}/${entry.ref}`)) === undefined) {
        const seq = await nextSeq(room);
        await append(room, { ...entry, seq, order: seq, from: "visitor", at: clock.now() });
      }
      return received;
    }),
    change: (room, ref, change) => inTurn(room, async () => {
      const known = (await storage.get(`ref/${room}/${ref}`)) as Entry | undefined;
      if (known === undefined) throw new ChannelError("MSG_002", { retry: "no" }, `Expected a message of this chat, got "${ref}".`);
      await append(room, { ...known, ...change, seq: await nextSeq(room) });
    }),
    async backlog(room, after) {
      const rows = await storage.list(`log/${room}/`, { after: `log/${room}/${pad(after)}`, limit: BACKLOG, last: true });
      return rows.map(([, value]) => value as Entry);
    },
    join(room, push) {
      let set = pages.get(room);
      if (set === undefined) pages.set(room, (set = new Set()));
      set.add(push);
      return () => { set.delete(push); if (set.size === 0) pages.delete(room); };
    },
    async keepFile(file, room) { await storage.set({ [`file/${room}/${file.id}`]: file }); },
    file: async (id, room) => (await storage.get(`file/${room}/${id}`)) as RoomFile | undefined,
    async media(reference) {
      const stream = await context.spool?.open(reference.replace(/^spool:/, ""));
      if (stream === undefined) throw new ChannelError("MSG_002", { retry: "no" }, "The file is not kept any more.");
      return stream;
    },
    close() { for (const set of pages.values()) for (const push of set) push("close", {}); pages.clear(); },
  };
}
