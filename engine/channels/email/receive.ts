/**
 * Mail in: everything behind the cursor, in the order of UIDs, saved before the cursor moves. New mail is told by IDLE; a server that has none is asked by NOOP,
 * and any server is looked at now and then, told or not.
 */
import type { Account, ChannelContext, Received } from "../channel.ts";
import { asClawError, ChannelError } from "../../errors.ts";
import type { Message } from "../../message.ts";
import { type Mail, parseMail } from "../mail/parse.ts";
import type { Threads } from "../mail/threads.ts";
import { type Place, rawOf, type Self, toMessage } from "../mail/to-message.ts";
import { everyMs, type Imap } from "./imap.ts";

interface Cursor { readonly validity: string; readonly uid: number; /** Unix milliseconds: the server's time of the newest mail. */ readonly at: number }
export interface Source {
  readonly client: Imap;
  readonly account: Account;
  readonly context: Pick<ChannelContext, "receive" | "storage" | "clock" | "log">;
  readonly signal: AbortSignal;
  readonly self: Self;
  readonly threads: Threads;
  readonly doubted: NonNullable<Place["doubted"]>;
}

/** Bytes that are read of one mail; of a larger one its beginning. */
export const SOURCE_LIMIT = 36_000_000;
const BEGINNING = 1_000_000;
const DAY_MS = 86_400_000;

/** Resolves once the cursor stands; `run` goes on until the connection ends or the signal is given. */
export async function watch(source: Source): Promise<{ readonly run: () => Promise<void> }> {
  const { client, account, context, signal } = source;
  let cursor = await begin(source);
  let fresh = false;
  const wake = (): void => {
    fresh = true;
    // Any command ends IDLE.
    if (client.idling) client.noop().catch(() => undefined);
  };
  client.on("exists", wake);

  async function drain(): Promise<void> {
    for (;;) {
      const found = await client.search({ uid: `${cursor.uid + 1}:*` }, { uid: true });
      // "n:*" names the last mail even where n is behind it.
      const uids = (Array.isArray(found) ? found : []).filter((uid) => uid > cursor.uid).sort((a, b) => a - b);
      if (uids.length === 0) return;
      for (const uid of uids) {
        if (signal.aborted) return;
        cursor = await takeOne(source, uid, cursor);
      }
    }
  }
  return {
    async run() {
      const every = everyMs(account);
      while (!signal.aborted && client.usable) {
        fresh = false;
        await drain();
        if (fresh || signal.aborted) continue;
        const cancel = context.clock.after(every, wake);
        try {
          await client.idle();
        } finally {
          cancel();
        }
      }
    },
  };
}

/** The first time begins with what comes from now on. A folder that was made anew (another UIDVALIDITY) is read again from the day before the newest mail; what is known is told by its id. */
async function begin({ client, context }: Source): Promise<Cursor> {
  const { mailbox } = client;
  if (typeof mailbox === "boolean") throw new ChannelError("CONN_001", { retry: "later" }, "Expected the folder of the account to be open, got none: the link to the mail server was lost.");
  const validity = String(mailbox.uidValidity);
  const stored = (await context.storage.get("cursor")) as Cursor | undefined;
  if (stored?.validity === validity) return stored;
  let uid = mailbox.uidNext - 1;
  if (stored !== undefined) {
    const found = await client.search({ since: new Date(stored.at - DAY_MS) }, { uid: true });
    const again = Array.isArray(found) ? found : [];
    uid = Math.min(uid, ...again.map((each) => each - 1));
    context.log("warn", `The server has numbered the folder anew: ${again.length} mails since the day before the newest one are looked through again.`);
  }
  const cursor = { validity, uid, at: stored?.at ?? context.clock.now() };
  await context.storage.set({ cursor });
  return cursor;
}

async function takeOne(source: Source, uid: number, before: Cursor): Promise<Cursor> {
  const { client, context, account, threads, signal } = source;
  const head = await client.fetchOne(String(uid), { uid: true, size: true, internalDate: true }, { uid: true });
  const receivedAt = head ? timeOf(head.internalDate) : undefined;
  const cut = head ? (head.size ?? 0) > SOURCE_LIMIT : false;
  const mail = head ? await client.fetchOne(String(uid), { uid: true, source: cut ? { start: 0, maxLength: BEGINNING } : true }, { uid: true }) : undefined;
  const cursor: Cursor = { ...before, uid, at: Math.max(before.at, receivedAt ?? 0) };
  // Without a source it was removed meanwhile by another program.
  const bytes = mail ? mail.source : undefined;
  if (bytes === undefined) { await context.storage.set({ cursor }); return cursor; }
  const reading = await read(source, bytes, { reference: `${before.validity}/${uid}`, receivedAt, cut });
  if (reading === undefined) { await context.storage.set({ cursor }); return cursor; }
  const { message, mail: { subject } } = reading;
  const received = await untilSaved({ context, signal }, account.settings.raw === true ? { ...message, ...rawOf(reading.mail) } : message);
  if (received === undefined) return before;
  // Whoever may not talk here leaves no trace in what is remembered.
  if (received === "refused" || message.sender.self) { await context.storage.set({ cursor }); return cursor; }
  const thread = threads.change(message.at.chat, message.at.thread ?? message.ref, { id: message.ref, subject, at: message.sentAt, machine: message.kind === "event" });
  await context.storage.set({ cursor, ...thread.changes });
  thread.apply();
  return cursor;
}

function timeOf(date: Date | string | undefined): number | undefined {
  const time = date === undefined ? Number.NaN : new Date(date).getTime();
  return Number.isNaN(time) ? undefined : time;
}

async function read({ context, self, threads, doubted }: Source, bytes: Uint8Array, place: { readonly reference: string; readonly receivedAt: number | undefined; readonly cut: boolean }): Promise<{ readonly message: Message; readonly mail: Mail } | undefined> {
  try {
    const mail = await parseMail(bytes);
    return { message: toMessage(mail, self, { ...place, rootOf: threads.rootOf, doubted }), mail };
  } catch (error) {
    context.log("warn", `MSG_001: a mail (${place.reference}) could not be read and is left out: ${(error as Error).message}`);
    return undefined;
  }
}

/** What comes behind it waits: the cursor moves only over what is saved. Undefined: the account closed before. */
async function untilSaved({ context, signal }: Pick<Source, "context" | "signal">, message: Message): Promise<Received | undefined> {
  while (!signal.aborted) {
    try {
      return await context.receive(message);
    } catch (thrown) {
      const { afterMs = 1_000 } = asClawError(thrown, "STORE_001", "later");
      await new Promise<void>((resolve) => {
        const end = (): void => { cancel(); signal.removeEventListener("abort", end); resolve(); };
        const cancel = context.clock.after(Math.max(10, afterMs), end);
        signal.addEventListener("abort", end, { once: true });
      });
    }
  }
  return undefined;
}
