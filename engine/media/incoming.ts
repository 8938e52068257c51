/** Files that come with a message: fetched once, kept in the media folder; one that does not come in time is marked, and its message goes on. */
import type { Connection } from "../channels/channel.ts";
import type { Clock } from "../clock.ts";
import { ClawError } from "../errors.ts";
import type { Spool } from "../media.ts";
import type { FileAttachment, Message } from "../message.ts";

/** A file holds its message back no longer than this. */
const MEDIA_WAIT_MS = 15_000;
/** A message that comes again within this time gets the same files. */
const REMEMBER_MS = 60_000;

export interface IncomingOptions {
  readonly clock: Clock;
  readonly spool: Spool;
  redact(text: string): string;
  /** The account's connection, and how many bytes are fetched from its platform at most. */
  link(account: string): { readonly connection: Connection | undefined; readonly most: number };
}

/** Resolves to the same message where there is nothing to fetch. Never rejects. */
export function createIncoming({ clock, spool, redact, link }: IncomingOptions): (message: Message) => Promise<Message> {
  const known = new Map<string, Promise<Message>>();

  async function fetchOne(file: FileAttachment, account: string): Promise<FileAttachment> {
    const { connection, most } = link(account);
    if (connection?.media === undefined) return { ...file, state: "failed", error: "the account cannot fetch files now" };
    // What the platform says of its size saves the way; what it says is not believed.
    if ((file.bytes ?? 0) > most) return { ...file, state: "failed", error: tooLarge(most) };
    const limit = new AbortController();
    const cancel = clock.after(MEDIA_WAIT_MS, () => limit.abort());
    try {
      const kept = await spool.save(upTo(most, await connection.media(file.media, limit.signal)), { ...(file.name === undefined ? {} : { name: file.name }), ...(file.mime === undefined ? {} : { mime: file.mime }), signal: limit.signal });
      return { ...file, state: "ready", media: `spool:${kept.id}`, mime: kept.mime, bytes: kept.bytes };
    } catch (error) {
      return { ...file, state: "failed", error: limit.signal.aborted ? "the platform took too long" : redact((error as Error).message) };
    } finally {
      cancel();
    }
  }
  return (message) => {
    const key = `${message.at.account}\n${message.id}`;
    let work = known.get(key);
    if (work === undefined) {
      if (!message.attachments.some(isRemote)) return Promise.resolve(message);
      work = Promise.all(message.attachments.map((file) => (isRemote(file) ? fetchOne(file, message.at.account) : file)))
        .then((attachments) => ({ ...message, attachments })).finally(() => clock.after(REMEMBER_MS, () => known.delete(key)));
      known.set(key, work);
    }
    return work;
  };
}

const tooLarge = (most: number): string => `it is larger than the ${most} bytes that are fetched from this platform`;
async function* upTo(most: number, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let seen = 0;
  for await (const piece of source) {
    seen += piece.byteLength;
    if (seen > most) throw new ClawError("MSG_003", {}, tooLarge(most));
    yield piece;
  }
}

function isRemote(file: Message["attachments"][number]): file is FileAttachment {
  return "state" in file && file.state === "remote";
}
