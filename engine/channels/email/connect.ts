/** A live mailbox: IMAP in, SMTP out, and the folder of sent mails as the proof of what went. */
import { Readable } from "node:stream";
import type { Account, ChannelContext, Connection } from "../channel.ts";
import { keepAfter, waitsFrom } from "../doubt.ts";
import { ChannelError, type ClawError } from "../../errors.ts";
import { type Author, compose, messageId } from "../mail/compose.ts";
import { parseMail } from "../mail/parse.ts";
import { openSent } from "../mail/sent.ts";
import { openThreads } from "../mail/threads.ts";
import { createTeller } from "../mail/replay.ts";
import { selfOf } from "../mail/to-message.ts";
import { text } from "../setting-text.ts";
import { fromImap } from "./errors.ts";
import { findId, type Imap, openImap, sentFolder } from "./imap.ts";
import { createLogin, type Login } from "./login.ts";
import { SOURCE_LIMIT, watch } from "./receive.ts";
import { addressOf, serverOf } from "./settings.ts";
import { createSmtp, type Smtp } from "./smtp.ts";

/** A server that files sent mails itself may take so long. */
const FILING_MS = 60_000;
/** The engine asks six times at most: a mail that never left must still be sent after that. */
const ASK_AGAIN_MS = 20_000;

const named = (account: Account): Connection["self"] => { const address = addressOf(account); return { id: address, name: text(account, "name") || address }; };

/** Proves both logins and the folder. */
export async function identify(account: Account, context: ChannelContext): Promise<Connection["self"]> {
  const login = createLogin(account, context);
  const client = await openImap(account, context, login);
  const smtp = createSmtp(account, context, login);
  try {
    await openFolder(client, account);
    await smtp.prove();
    return named(account);
  } finally {
    smtp.close();
    client.close();
  }
}

export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  context.status("connecting");
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  const lent = { ...context, signal };
  const login = createLogin(account, lent);
  const smtp = createSmtp(account, lent, login);
  const client = await openImap(account, lent, login).catch((error: unknown) => { smtp.close(); throw error; });
  try {
    await openFolder(client, account);
    await smtp.prove();
    return await serve({ account, context: lent, client, smtp, login }, () => own.abort());
  } catch (error) {
    own.abort();
    throw error;
  }
}

interface Line { readonly account: Account; readonly context: ChannelContext; readonly client: Imap; readonly smtp: Smtp; readonly login: Login }
async function serve({ account, context, client, smtp, login }: Line, abort: () => void): Promise<Connection> {
  const { signal, storage, clock } = context;
  const self = named(account);
  const author: Author = { address: self.id, name: text(account, "name"), account: account.id };
  const threads = await openThreads(storage);
  const sent = await openSent(storage, clock);
  const reader = selfOf(account, self.id, serverOf(account, "imap").host);
  const source = { client, account, context, signal, threads, self: reader, doubted: createTeller(context.log, reader.inboxes) };
  const receiving = await watch(source).catch((error: unknown) => { throw fromImap(error, "The look into the folder"); });
  const gone = Promise.withResolvers<ClawError>();
  context.status("connected");
  const ended = receiving.run().catch((error: unknown) => error).then((why: unknown) => {
    if (signal.aborted) return;
    const error = why === undefined ? new ChannelError("CONN_001", { retry: "later" }, "The IMAP server ended the connection.") : fromImap(why, "The look for new mail");
    context.status("error", error);
    client.close();
    gone.resolve(error);
  });
  let folder: Promise<string | undefined> | undefined;

  /** Never fails: the mail is on its way. */
  async function file(mail: Buffer): Promise<void> {
    try {
      folder ??= sentFolder(account, client).then(async (path) => path ?? (await client.mailboxCreate("Sent")).path);
      const path = await folder;
      if (path !== undefined) await client.append(path, mail, ["\\Seen"], new Date(clock.now()));
    } catch (error) {
      folder = undefined;
      if (!signal.aborted) context.log("warn", `A mail was sent, and could not be put into the folder of sent mails: ${fromImap(error, "The copy").message}`);
    }
  }

  return {
    self, gone: gone.promise,
    async send(to, draft, key) {
      const mail = await compose(to, draft, key, author, to.thread === undefined ? undefined : threads.get(to.chat, to.thread), context, "email");
      const keeps = text(account, "sent") !== "server";
      const bytes = keeps ? await bytesOf(mail.stream()) : undefined;
      await smtp.send({ to: mail.to, stream: () => (bytes === undefined ? mail.stream() : Readable.from([bytes])) });
      const now = clock.now();
      const thread = threads.change(mail.to, mail.root, { id: mail.id, subject: mail.subject, at: now });
      // On disk at once: the copy in the folder takes its time.
      await keepAfter(context, () => storage.set({ ...sent.change(mail.id, mail.id), ...thread.changes }));
      thread.apply();
      if (bytes !== undefined) await file(bytes);
      return mail.id;
    },
    async find(_to, asked) {
      const id = messageId(author, asked.key);
      if ((await sent.find(id)) !== undefined) return id;
      if (await isFiled(account, context, login, id)) return id;
      // A server that files itself may still be at it.
      if (text(account, "sent") === "server" && clock.now() - waitsFrom(asked) < FILING_MS) throw new ChannelError("CONN_001", { retry: "later", afterMs: ASK_AGAIN_MS }, "Not yet found among the sent mails; they are looked through again.");
      return undefined;
    },
    async read(_to, ref) {
      try {
        const uids = await findId(client, ref);
        if (uids.length > 0) await client.messageFlagsAdd([...uids].join(","), ["\\Seen"], { uid: true });
      } catch (error) {
        throw fromImap(error, "The mark as read");
      }
    },
    async health() { await client.noop().catch((error: unknown) => { throw fromImap(error, "The health check"); }); },
    media: (reference) => media(client, reference),
    async close() {
      abort();
      smtp.close();
      client.close();
      await ended;
    },
  };
}

async function openFolder(client: Imap, account: Account): Promise<void> {
  await client.mailboxOpen(text(account, "mailbox") || "INBOX").catch((error: unknown) => { throw fromImap(error, `"${text(account, "mailbox") || "INBOX"}"`); });
}

/** By a connection of its own: the first one stays with new mail. */
async function isFiled(account: Account, context: ChannelContext, login: Login, id: string): Promise<boolean> {
  const client = await openImap(account, context, login);
  try {
    const path = await sentFolder(account, client);
    if (path === undefined) return false;
    await client.mailboxOpen(path, { readOnly: true });
    return (await findId(client, id)).length > 0;
  } catch (error) {
    throw fromImap(error, "The look among the sent mails");
  } finally {
    client.close();
  }
}

/** A file of a mail, by UIDVALIDITY, UID and its place among the mail's files. */
async function media(client: Imap, reference: string): Promise<ReadableStream<Uint8Array>> {
  const [, validity, uid = "", index = ""] = /^(\d{1,20})\/(\d{1,10})\/(\d{1,4})$/.exec(reference) ?? [];
  if (validity === undefined) throw new ChannelError("MSG_002", {}, "Expected a file of a mail of this account, got something else.");
  const { mailbox } = client;
  if (typeof mailbox === "boolean" || String(mailbox.uidValidity) !== validity) throw new ChannelError("MSG_002", {}, "The server has numbered the folder anew: this file cannot be found any more.");
  const mail = await client.fetchOne(uid, { uid: true, source: { start: 0, maxLength: SOURCE_LIMIT } }, { uid: true }).catch((error: unknown) => { throw fromImap(error, "The file of a mail"); });
  const bytes = mail === false ? undefined : mail?.source;
  const part = bytes === undefined ? undefined : (await parseMail(bytes)).parts[Number(index)];
  if (part === undefined) throw new ChannelError("MSG_002", {}, "The mail of this file is gone from the server.");
  return new Blob([part.bytes]).stream();
}

async function bytesOf(stream: Readable): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
