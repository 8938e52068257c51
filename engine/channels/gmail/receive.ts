/**
 * Mail in: everything that history.list tells since the stored historyId, oldest first, saved before the id moves. Gmail forgets history after a week or so; then
 * all mails since the day before the newest one are looked through again, and what is known is told by its Message-ID.
 * https://developers.google.com/gmail/api/guides/sync
 */
import type { Account, ChannelContext } from "../channel.ts";
import { asClawError, type ClawError } from "../../errors.ts";
import type { Message } from "../../message.ts";
import { type Mail, parseMail } from "../mail/parse.ts";
import type { Threads } from "../mail/threads.ts";
import { type Place, rawOf, type Self, toMessage } from "../mail/to-message.ts";
import { text } from "../setting-text.ts";
import { type Gmail, type Json, statusOf } from "./api.ts";

interface Cursor { readonly historyId: string; /** Unix milliseconds of the newest mail, by Gmail's clock. */ readonly at: number }
export interface Source {
  readonly gmail: Gmail;
  readonly account: Account;
  readonly context: Pick<ChannelContext, "receive" | "storage" | "clock" | "log" | "status">;
  readonly signal: AbortSignal;
  readonly self: Self;
  readonly threads: Threads;
  readonly doubted: NonNullable<Place["doubted"]>;
}
interface Named { readonly id: string; readonly labels: readonly string[] }
/** A message resource: developers.google.com/gmail/api/reference/rest/v1/users.messages#Message */
export interface Resource { readonly id?: unknown; readonly threadId?: unknown; readonly labelIds?: unknown; readonly internalDate?: unknown; readonly raw?: unknown }

const DAY_MS = 86_400_000;
const SKIPPED = new Set(["DRAFT", "SPAM", "TRASH", "CHAT"]);

/** Resolves to the error that ended it for good; undefined: the signal was given. */
export async function receive(source: Source, cursor: Cursor): Promise<ClawError | undefined> {
  const { account, context, signal } = source;
  const every = Number(account.settings.everySeconds || 10) * 1_000;
  let failed = false;
  let at = cursor;
  while (!signal.aborted) {
    try {
      at = await look(source, at);
      if (failed) { failed = false; context.status("connected"); }
      await rest(source, every);
    } catch (thrown) {
      if (signal.aborted) return undefined;
      const error = asClawError(thrown, "CONN_001", "later");
      if (error.code === "CONN_002") return error;
      // What could not be saved here is no fault of the link.
      if (!error.code.startsWith("STORE_")) { failed = true; context.status("reconnecting", error); }
      await rest(source, error.afterMs ?? Math.max(every, 2_000));
    }
  }
  return undefined;
}

/** The first time begins with what comes from now on. */
export async function begin({ storage, clock }: Pick<ChannelContext, "storage" | "clock">, historyId: string): Promise<Cursor> {
  const stored = (await storage.get("cursor")) as Cursor | undefined;
  if (typeof stored?.historyId === "string") return stored;
  const cursor = { historyId, at: clock.now() };
  await storage.set({ cursor });
  return cursor;
}

async function look(source: Source, from: Cursor): Promise<Cursor> {
  const { gmail, account, context, signal } = source;
  let cursor = from;
  let page: string | undefined;
  do {
    const answer: Json | undefined = await gmail.ask("GET", "history", { what: "the look for new mail", signal, query: { startHistoryId: from.historyId, historyTypes: "messageAdded", labelId: text(account, "label") || "INBOX", maxResults: "100", pageToken: page } })
      .catch(unlessGone);
    if (answer === undefined) return catchUp(source, from);
    for (const record of list(answer.history)) for (const added of list(record.messagesAdded)) cursor = await takeOne(source, named(added.message), cursor);
    page = pageOf(answer);
    if (page === undefined && typeof answer.historyId === "string") cursor = { ...cursor, historyId: answer.historyId };
  } while (page !== undefined && !signal.aborted);
  if (signal.aborted) return from;
  if (cursor.historyId !== from.historyId) await context.storage.set({ cursor });
  return cursor;
}

/** The history is gone. What comes while this looks is told by the new one. */
async function catchUp(source: Source, from: Cursor): Promise<Cursor> {
  const { gmail, account, context, signal } = source;
  const { historyId } = await gmail.ask("GET", "profile", { what: "the profile", signal });
  const found: Named[] = [];
  let page: string | undefined;
  do {
    const answer: Json = await gmail.ask("GET", "messages", { what: "the look for missed mail", signal, query: { q: `after:${Math.floor((from.at - DAY_MS) / 1_000)}`, labelIds: text(account, "label") || "INBOX", maxResults: "100", pageToken: page } });
    found.push(...list(answer.messages).map(named));
    page = pageOf(answer);
  } while (page !== undefined);
  context.log("warn", `Gmail has forgotten what happened since the last look: ${found.length} mails since the day before the newest one are looked through again.`);
  let cursor = from;
  for (const each of found.reverse()) cursor = await takeOne(source, each, cursor);
  if (signal.aborted) return from;
  cursor = { ...cursor, historyId: String(historyId) };
  await context.storage.set({ cursor });
  return cursor;
}

/** Rejects when it could not be saved: then it is told again, with all since the stored id. */
async function takeOne(source: Source, { id, labels }: Named, cursor: Cursor): Promise<Cursor> {
  const { gmail, account, context, signal, self, threads, doubted } = source;
  if (signal.aborted || id === "" || labels.some((label) => SKIPPED.has(label))) return cursor;
  const resource: Resource | undefined = await gmail.ask("GET", `messages/${encodeURIComponent(id)}`, { what: "a mail", signal, query: { format: "raw" } }).catch(unlessGone);
  if (resource === undefined) return cursor;
  const reading = await read(resource, self, { rootOf: threads.rootOf, doubted }).catch((error: Error) => { context.log("warn", `MSG_001: a mail (${id}) could not be read and is left out: ${error.message}`); return undefined; });
  if (reading === undefined) return cursor;
  const { message, subject, mail } = reading;
  const received = await context.receive(account.settings.raw === true ? { ...message, ...rawOf(mail) } : message);
  // Whoever may not talk here leaves no trace in what is remembered.
  if (received !== "refused" && !message.sender.self) {
    const thread = threads.change(message.at.chat, message.at.thread ?? message.ref, { id: message.ref, subject, at: message.sentAt, machine: message.kind === "event", ...(typeof resource.threadId === "string" ? { name: resource.threadId } : {}) });
    await context.storage.set(thread.changes);
    thread.apply();
  }
  return { ...cursor, at: Math.max(cursor.at, message.sentAt) };
}

/** A message resource of format RAW as a Message. Throws ClawError MSG_001. */
export async function read(resource: Resource, self: Self, about: Pick<Place, "rootOf" | "doubted"> = {}): Promise<{ readonly message: Message; readonly subject: string; readonly mail: Mail }> {
  const mail = await parseMail(bytesOf(resource));
  const time = Number(resource.internalDate);
  const message = toMessage(mail, self, { reference: String(resource.id), receivedAt: Number.isFinite(time) && time > 0 ? time : undefined, ...about });
  const labels = (Array.isArray(resource.labelIds) ? resource.labelIds : []).filter((label): label is string => typeof label === "string").slice(0, 50).map((label) => `label:${label}`);
  return { message: { ...message, tags: [...(message.tags ?? []), ...labels] }, subject: mail.subject, mail };
}
export const bytesOf = ({ raw }: Resource): Uint8Array => Buffer.from(typeof raw === "string" ? raw : "", "base64url");

const unlessGone = (error: unknown): undefined => { if (statusOf(error) !== 404) throw error; };
const pageOf = ({ nextPageToken }: Json): string | undefined => (typeof nextPageToken === "string" && nextPageToken !== "" ? nextPageToken : undefined);
const list = (value: unknown): readonly Json[] => (Array.isArray(value) ? value.filter((each): each is Json => typeof each === "object" && each !== null) : []);
const named = (value: unknown): Named => {
  const { id, labelIds } = (value ?? {}) as Resource;
  return { id: typeof id === "string" ? id : "", labels: Array.isArray(labelIds) ? labelIds.map(String) : [] };
};

function rest({ context, signal }: Source, ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => { cancel(); signal.removeEventListener("abort", end); resolve(); };
    const cancel = context.clock.after(ms, end);
    signal.addEventListener("abort", end, { once: true });
  });
}
