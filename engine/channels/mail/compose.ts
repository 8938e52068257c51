/** A draft as a mail: text and HTML, files streamed, headers that keep it in its conversation and keep machines from answering it. */
import { createHash } from "node:crypto";
import type { Readable } from "node:stream";
import type { ReadableStream as NodeStream } from "node:stream/web";
import type { ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { Address, Draft } from "../../message.ts";
import { render } from "../dialects.ts";
import { isNobody } from "./automatic.ts";
import { domainOf, isAddress, oneLine, plainAddress } from "./parse.ts";
import type { Thread } from "./threads.ts";

export interface Author { readonly address: string; readonly name: string; readonly account: string }
export interface Composed {
  /** Message-ID without brackets. */
  readonly id: string;
  readonly to: string;
  readonly subject: string;
  /** Root of the conversation it belongs to; its own id where it begins one. */
  readonly root: string;
  /** The mail's bytes, made anew with each call as far as its files can be read. */
  stream(): Readable;
}

/** Files together: what nearly every server takes, before base64 makes it a third more. */
export const UPLOAD_LIMIT = 18_000_000;
const SUBJECT_LIMIT = 200;
/** The id once more, for services that give mails a Message-ID of their own. */
export const KEY_HEADER = "X-ClawFlow-Id";

/** The Message-ID that a draft of this key has, now and after a crash: what was sent is found by it, and servers that drop doubles know it. */
export const messageId = (author: Author, key: string): string => `${createHash("sha256").update(`${author.account}\n${key}`).digest("hex").slice(0, 40)}@${domainOf(author.address)}`;

/** Throws ChannelError: MSG_002 for addresses that nobody reads, MSG_001 for what is none, MSG_003 for too large files. */
export async function compose(to: Address, draft: Draft, key: string, author: Author, thread: Thread | undefined, context: Pick<ChannelContext, "file" | "clock">, channel: string): Promise<Composed> {
  const recipient = plainAddress(to.chat);
  if (!isAddress(recipient)) throw new ChannelError("MSG_001", {}, "Expected an address such as ada@example.org as the chat, got something else.");
  if (isNobody(recipient)) throw new ChannelError("MSG_002", {}, `Expected somebody who reads mail at "${recipient}", got the address of a machine: it is never answered.`);
  if (thread?.machine === true) throw new ChannelError("MSG_002", {}, "The last mail of this conversation was written by a machine (out of office, bounce, list): it is never answered, or both would go on for ever.");
  const id = messageId(author, key);
  const subject = subjectOf(draft, thread);
  const before = thread === undefined ? (to.thread === undefined ? [] : [to.thread]) : [...new Set([thread.root, ...thread.ids])];
  const answered = draft.replyTo ?? before.at(-1);
  const references = [...new Set([...before.slice(0, 1), ...before.slice(1).slice(-9), ...(answered === undefined ? [] : [answered])])].filter(isId);
  const files = await Promise.all((draft.attachments ?? []).map((file) => context.file(file, { bytes: UPLOAD_LIMIT })));
  const size = files.reduce((sum, { bytes }) => sum + bytes, 0);
  if (size > UPLOAD_LIMIT) throw new ChannelError("MSG_003", {}, `Expected files of at most ${UPLOAD_LIMIT} bytes together, got ${size}.`);
  const { default: MailComposer } = await import("nodemailer/lib/mail-composer");
  const { Readable: Stream } = await import("node:stream");
  const native = headersOf(draft.native?.[channel]);
  return {
    id, to: recipient, subject, root: to.thread ?? id,
    stream: () => new MailComposer({
      from: { name: oneLine(author.name), address: author.address }, to: { name: "", address: recipient }, subject,
      messageId: `<${id}>`, date: new Date(context.clock.now()),
      ...(answered === undefined || !isId(answered) ? {} : { inReplyTo: `<${answered}>` }),
      ...(references.length === 0 ? {} : { references: references.map((each) => `<${each}>`).join(" ") }),
      // RFC 3834: what answers by itself says so, and nothing answers it.
      headers: { ...native, "Auto-Submitted": references.length === 0 ? "auto-generated" : "auto-replied", "X-Auto-Response-Suppress": "All", [KEY_HEADER]: id },
      text: draft.plain === true ? draft.text : render(draft.text, "plain"),
      ...(draft.plain === true ? {} : { html: `<!doctype html><html><body>${render(draft.text, "html")}</body></html>` }),
      attachments: files.map((file) => ({ filename: oneLine(file.name).replace(/["\\]/g, "_"), contentType: file.mime, content: Stream.fromWeb(file.stream() as unknown as NodeStream<Uint8Array>) })),
      disableFileAccess: true, disableUrlAccess: true, newline: "win",
    }).compile().createReadStream(),
  };
}

function subjectOf(draft: Draft, thread: Thread | undefined): string {
  const own = oneLine(draft.subject ?? "");
  if (own !== "") return own.slice(0, SUBJECT_LIMIT);
  const theirs = oneLine(thread?.subject ?? "").replace(/^(?:(?:re|aw|sv|antw?|rif|res|odp)(?:\[\d+\])?\s*:\s*)+/i, "");
  if (theirs !== "") return `Re: ${theirs}`.slice(0, SUBJECT_LIMIT);
  const [first = ""] = (draft.plain === true ? draft.text : render(draft.text, "plain")).trim().split("\n");
  const words = oneLine(first);
  return words === "" ? "Message" : words.length <= 78 ? words : `${words.slice(0, 75)}…`;
}

/** What may stand within the brackets of a Message-ID. */
const isId = (id: string): boolean => /^[^<>\s\p{Cc}]{1,500}$/u.test(id);

/** Headers of the user's own: `native.<channel>.headers`. What carries the mail's meaning stays ours. */
const OURS = /^(?:from|to|cc|bcc|sender|subject|date|message-id|in-reply-to|references|mime-version|content-.*|auto-submitted|return-path|received|dkim-.*)$/i;
function headersOf(native: Readonly<Record<string, unknown>> | undefined): Record<string, string> {
  const headers = native?.headers;
  if (typeof headers !== "object" || headers === null) return {};
  return Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (/^[A-Za-z][A-Za-z0-9-]{0,70}$/.test(name) && !OURS.test(name) && typeof value === "string" ? [[name, oneLine(value).slice(0, 900)]] : [])));
}
