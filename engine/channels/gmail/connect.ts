/** A live Gmail mailbox: history in, messages.send out, and a search by Message-ID as the proof of what went. */
import type { Account, ChannelContext, Connection } from "../channel.ts";
import { keepAfter, waitsFrom } from "../doubt.ts";
import { ChannelError, type ClawError } from "../../errors.ts";
import { type Author, type Composed, compose, KEY_HEADER, messageId } from "../mail/compose.ts";
import { ids, parseMail } from "../mail/parse.ts";
import { createTeller } from "../mail/replay.ts";
import { openSent } from "../mail/sent.ts";
import { openThreads } from "../mail/threads.ts";
import { selfOf } from "../mail/to-message.ts";
import { text } from "../setting-text.ts";
import { createGmail, type Gmail, type Json } from "./api.ts";
import { INLINE_LIMIT } from "./limits.ts";
import { begin, bytesOf, receive, type Resource } from "./receive.ts";

/** Until a sent mail is found by a search for sure. */
const INDEX_MS = 60_000;
/** The engine asks six times at most: a mail that never left must still be sent after that. */
const ASK_AGAIN_MS = 20_000;
/** By this host's name Google's own Authentication-Results are known. */
const HOST = "imap.gmail.com";

async function profile(gmail: Gmail): Promise<{ readonly address: string; readonly historyId: string }> {
  const { emailAddress, historyId } = await gmail.ask("GET", "profile", { what: "the profile" });
  if (typeof emailAddress !== "string" || (typeof historyId !== "string" && typeof historyId !== "number")) throw new ChannelError("CONN_001", { retry: "later" }, "Expected Gmail to say whose mailbox it is, got something else. Check the address of the API.");
  return { address: emailAddress.toLowerCase(), historyId: String(historyId) };
}
const named = (account: Account, address: string): Connection["self"] => ({ id: address, name: text(account, "name") || address });

export async function identify(account: Account, context: ChannelContext): Promise<Connection["self"]> {
  return named(account, (await profile(createGmail(account, context))).address);
}

export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  context.status("connecting");
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  const { storage, clock } = context;
  const gmail = createGmail(account, { ...context, signal });
  const { address, historyId } = await profile(gmail);
  const author: Author = { address, name: text(account, "name"), account: account.id };
  const threads = await openThreads(storage);
  const sent = await openSent(storage, clock);
  const cursor = await begin(context, historyId);
  const gone = Promise.withResolvers<ClawError>();
  context.status("connected");
  const self = selfOf(account, address, HOST);
  const ended = receive({ gmail, account, context, signal, threads, self, doubted: createTeller(context.log, self.inboxes) }, cursor).then((error) => {
    if (error === undefined || signal.aborted) return;
    context.status("error", error);
    gone.resolve(error);
  });

  return {
    self: named(account, address), gone: gone.promise,
    async send(to, draft, key) {
      const thread = to.thread === undefined ? undefined : threads.get(to.chat, to.thread);
      const mail = await compose(to, draft, key, author, thread, context, "gmail");
      const { id, threadId } = await post(gmail, mail, thread?.name);
      const ref = (await idOf(gmail, id).catch(() => undefined)) ?? mail.id;
      const change = threads.change(mail.to, to.thread ?? ref, { id: ref, subject: mail.subject, at: clock.now(), ...(typeof threadId === "string" ? { name: threadId } : {}) });
      await keepAfter(context, () => storage.set({ ...sent.change(mail.id, ref), ...change.changes }));
      change.apply();
      return ref;
    },
    async find(_to, asked) {
      const id = messageId(author, asked.key);
      const found = (await sent.find(id)) ?? (await searchSent(gmail, id, asked.startedAt));
      if (found === undefined && clock.now() - waitsFrom(asked) < INDEX_MS) throw new ChannelError("CONN_001", { retry: "later", afterMs: ASK_AGAIN_MS }, "Not yet found among the sent mails; they are looked through again.");
      return found;
    },
    async read(_to, ref) {
      for (const each of await search(gmail, `rfc822msgid:${ref}`)) await gmail.ask("POST", `messages/${encodeURIComponent(each)}/modify`, { what: "the mark as read", json: { removeLabelIds: ["UNREAD"] } });
    },
    async health(abort) { await gmail.ask("GET", "profile", { what: "the health check", signal: abort }); },
    async media(reference, abort) {
      const [, id = "", index = ""] = /^([\w-]{1,64})\/(\d{1,4})$/.exec(reference) ?? [];
      if (id === "") throw new ChannelError("MSG_002", {}, "Expected a file of a mail of this account, got something else.");
      const part = (await parseMail(bytesOf(await gmail.ask("GET", `messages/${id}`, { what: "a file", signal: abort, query: { format: "raw" } })))).parts[Number(index)];
      if (part === undefined) throw new ChannelError("MSG_002", {}, "The mail has no such file.");
      return new Blob([part.bytes]).stream();
    },
    async call(method, parameters) {
      const [, verb = "GET", path = ""] = /^(GET|POST|PUT|PATCH|DELETE) ([a-zA-Z][\w-]*(?:\/[\w-]+)*)$/.exec(method) ?? [];
      if (path === "") throw new ChannelError("MSG_001", {}, 'Expected a method such as "GET labels", below users/me of the Gmail API, got something else.');
      const query = Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, Array.isArray(value) ? value.map(String) : String(value)]));
      return gmail.ask(verb, path, { what: `${verb} ${path}`, ...(verb === "GET" || verb === "DELETE" ? { query } : { json: parameters }) });
    },
    async close() {
      own.abort();
      await ended;
    },
  };
}

async function post(gmail: Gmail, mail: Composed, threadId: string | undefined): Promise<{ readonly id: string; readonly threadId: unknown }> {
  const pieces: Buffer[] = [];
  for await (const piece of mail.stream()) pieces.push(piece as Buffer);
  const bytes = Buffer.concat(pieces);
  const about = threadId === undefined ? {} : { threadId };
  const answer = bytes.length <= INLINE_LIMIT
    ? await gmail.ask("POST", "messages/send", { what: "the mail", json: { ...about, raw: bytes.toString("base64url") } })
    : await gmail.ask("POST", "messages/send", { what: "the mail", upload: true, query: { uploadType: "multipart" }, body: related(bytes, about) });
  if (typeof answer.id !== "string") throw new ChannelError("CONN_001", { retry: "later" }, "Expected Gmail to name the mail it sent, got nothing.");
  return { id: answer.id, threadId: answer.threadId };
}

/** multipart/related: what is said about the mail, and the mail. */
function related(bytes: Buffer, about: Json): { readonly type: string; readonly bytes: Uint8Array<ArrayBuffer> } {
  const boundary = `clawflow-${crypto.randomUUID()}`;
  const parts = [`--${boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n${JSON.stringify(about)}\r\n--${boundary}\r\nContent-Type: message/rfc822\r\n\r\n`, bytes, `\r\n--${boundary}--\r\n`];
  return { type: `multipart/related; boundary=${boundary}`, bytes: new Uint8Array(Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)))) };
}

async function search(gmail: Gmail, q: string): Promise<readonly string[]> {
  const { messages } = await gmail.ask("GET", "messages", { what: "a search", query: { q, maxResults: "20" } });
  return (Array.isArray(messages) ? (messages as Resource[]) : []).flatMap(({ id }) => (typeof id === "string" ? [id] : []));
}
async function headersOf(gmail: Gmail, id: string): Promise<ReadonlyMap<string, string>> {
  const { payload } = await gmail.ask("GET", `messages/${encodeURIComponent(id)}`, { what: "a mail", query: { format: "metadata", metadataHeaders: ["Message-ID", KEY_HEADER] } });
  const { headers } = (payload ?? {}) as { headers?: unknown };
  return new Map((Array.isArray(headers) ? (headers as { name?: unknown; value?: unknown }[]) : []).map(({ name, value }) => [String(name).toLowerCase(), String(value)]));
}
/** The Message-ID that the mail bears in truth: Gmail may have given it one of its own. */
async function idOf(gmail: Gmail, id: string): Promise<string | undefined> { return ids((await headersOf(gmail, id)).get("message-id") ?? "")[0]; }

async function searchSent(gmail: Gmail, id: string, startedAt: number): Promise<string | undefined> {
  if ((await search(gmail, `rfc822msgid:${id}`)).length > 0) return id;
  for (const each of await search(gmail, `in:sent after:${Math.floor(startedAt / 1_000) - 60}`)) {
    const headers = await headersOf(gmail, each);
    const [own] = ids(headers.get("message-id") ?? "");
    if (own === undefined) continue;
    if (own === id || headers.get(KEY_HEADER.toLowerCase()) === id) return own;
  }
  return undefined;
}
