/** A mail as a Message. Pure; what a machine wrote becomes an event, what the server could not verify comes from nobody in particular. */
import { createHash } from "node:crypto";
import type { Account } from "../channel.ts";
import type { Action, Attachment, FileKind, Message } from "../../message.ts";
import { text as setting } from "../setting-text.ts";
import { type Automatic, automatic, reportOf } from "./automatic.ts";
import { htmlToText } from "./html.ts";
import { domainOf, isAddress, type Mail, type MailPart, plainAddress } from "./parse.ts";
import { type Doubt, doubtOf } from "./replay.ts";
import { replyOf } from "./reply.ts";
import { knownServers, verdict } from "./verified.ts";

export interface Self {
  readonly channel: string;
  readonly account: string;
  /** Addresses that are the bot's own. */
  readonly addresses: readonly string[];
  /** Addresses at which the bot is written to: its own, and that of the mailbox where it is another. */
  readonly inboxes: readonly string[];
  /** Names of the servers whose Authentication-Results are believed; see verified.ts. */
  readonly trusted: readonly string[];
  /** False: From is believed as it stands. */
  readonly verify: boolean;
}
/** Where the mail lies: `reference` begins the names of its files, `receivedAt` is the server's clock, `rootOf` knows conversations by one of their ids, `doubted` hears whom the server verified and what speaks against it all the same. */
export interface Place {
  readonly reference: string;
  readonly receivedAt: number | undefined;
  rootOf?(id: string): string | undefined;
  doubted?(sender: string, doubt: Doubt): void;
  /** Larger than what is read of a mail: files in it are not whole. */
  readonly cut?: boolean;
}

export function selfOf(account: Account, address: string, host: string): Self {
  const named = setting(account, "authserv").split(/[\s,]+/).filter((name) => name !== "");
  const addresses = [plainAddress(address)];
  return {
    channel: account.channel, account: account.id, addresses, inboxes: [...addresses, plainAddress(setting(account, "user"))].filter(isAddress),
    trusted: named.length > 0 ? named : knownServers(host), verify: account.settings.verified !== false,
  };
}

/** Signatures and keys of people: nothing to read. */
const UNREAD = /^application\/(?:(?:x-)?pkcs7-signature|pgp-signature|pgp-keys|pgp-encrypted|ms-tnef)$/;
const ENCRYPTED = /^(?:application\/(?:x-)?pkcs7-mime|application\/pgp-encrypted)$/;

export function toMessage(mail: Mail, self: Self, place: Place): Message {
  const machine = automatic(mail);
  const address = mail.from !== undefined && isAddress(mail.from.address) ? mail.from.address : "unknown";
  const own = self.addresses.includes(address);
  const { verified: vouched, tags } = verdict(mail, self.trusted);
  const doubt = vouched ? doubtOf(mail, self.inboxes, place.receivedAt) : undefined;
  if (doubt !== undefined && self.verify && !own) place.doubted?.(address, doubt);
  const verified = vouched && doubt === undefined;
  const known = verified || !self.verify;
  const root = rootOf(mail, place);
  const reading = textOf(mail);
  const parts = mail.parts.map((part, index) => ({ part, index })).filter(({ part }) => !UNREAD.test(part.mime) && !(machine === "bounce" && /^(?:message|text)\//.test(part.mime)));
  const text = reading.text !== "" || parts.length > 0 || mail.references.length > 0 ? reading.text : mail.subject;
  const action = machine === undefined ? commandOf(text) : statusOf(mail, machine);
  const encrypted = mail.parts.some(({ mime }) => ENCRYPTED.test(mime)) && /^(?:multipart\/encrypted|application\/(?:x-)?pkcs7-mime)/i.test(mail.headers("content-type")[0] ?? "") && !/signed-data/i.test(mail.headers("content-type")[0] ?? "");
  const all = [...(machine === undefined ? [] : ["automatic", machine]), ...tags, ...(verified ? ["verified"] : ["unverified"]), ...(encrypted ? ["encrypted"] : []), ...(place.cut === true ? ["cut"] : [])];
  return {
    // An id that a stranger chose must not stand in the way of a mail that comes later.
    version: 1, id: known ? mail.id : `unverified:${mail.id}`, ref: mail.id, kind: machine === undefined ? "message" : "event",
    at: { channel: self.channel, account: self.account, chat: address, thread: root, kind: "direct" },
    sender: { id: known ? address : stranger(mail, address, machine), name: mail.from?.name.slice(0, 200) || address, handle: address, bot: machine !== undefined, self: own },
    sentAt: place.receivedAt ?? mail.date ?? 0,
    text,
    attachments: [...heading(mail, root), ...parts.flatMap(({ part, index }) => attachments(part, `${place.reference}/${index}`, place.cut === true))],
    ...(mail.inReplyTo === undefined ? {} : { replyTo: mail.inReplyTo }),
    ...(reading.forwarded === undefined ? {} : { forwarded: reading.forwarded }),
    ...(action === undefined ? {} : { action }),
    addressed: machine === undefined && !own,
    tags: all,
  };
}

/**
 * The name of somebody whom nobody vouches for. It changes with every mail, so that no trust once given (the owner's code, pairing, an allow-list) can be had
 * again by whoever writes the same From. Events keep theirs: they open no door, and a list may name a server that reports.
 */
function stranger(mail: Mail, address: string, machine: Automatic | undefined): string {
  return machine === undefined ? `unverified:${address}#${createHash("sha256").update(mail.id).digest("hex").slice(0, 16)}` : `unverified:${address}`;
}

/** The first mail of the conversation. */
function rootOf(mail: Mail, { rootOf: known }: Place): string {
  for (const id of [...mail.references, ...(mail.inReplyTo === undefined ? [] : [mail.inReplyTo])]) {
    const root = known?.(id);
    if (root !== undefined) return root;
  }
  return mail.references[0] ?? mail.inReplyTo ?? mail.id;
}

function textOf(mail: Mail): ReturnType<typeof replyOf> {
  if (mail.text.trim() !== "") return replyOf(mail.text, mail.subject);
  const reading = replyOf(htmlToText(mail.html), mail.subject);
  if (reading.forwarded !== undefined) return reading;
  // What the markup calls a quote is cut first; where nothing is left, the rules for words decide alone.
  const shorter = replyOf(htmlToText(mail.html, { quotes: false }), mail.subject);
  return shorter.text === "" ? reading : shorter;
}

function commandOf(text: string): Action | undefined {
  const [, name, args = ""] = /^\/([A-Za-z]\w{0,31})(?:\s+([\s\S]*))?$/.exec(text) ?? [];
  return name === undefined ? undefined : { type: "command", name: name.toLowerCase(), args: args.trim() };
}

function statusOf(mail: Mail, machine: Automatic): Action | undefined {
  if (machine !== "bounce") return undefined;
  const { id, state, text, to } = reportOf(mail);
  if (id === undefined || state === undefined) return undefined;
  return { type: "status", ref: id, state, ...(text === undefined && to === undefined ? {} : { text: [to, text].filter((each) => each !== undefined).join(": ").slice(0, 500) }) };
}

/** The subject, once for a conversation: answers repeat it. */
function heading(mail: Mail, root: string): Attachment[] {
  return mail.subject === "" || root !== mail.id ? [] : [{ kind: "embed", type: "subject", title: mail.subject }];
}

const KINDS: readonly (readonly [RegExp, FileKind])[] = [[/^image\/(?!svg|vnd)/, "image"], [/^video\//, "video"], [/^audio\//, "audio"]];
function attachments(part: MailPart, media: string, cut: boolean): Attachment[] {
  const kind = KINDS.find(([pattern]) => pattern.test(part.mime))?.[1] ?? "document";
  const name = part.name ?? (part.mime === "text/calendar" ? "invite.ics" : part.mime === "message/rfc822" ? "mail.eml" : undefined);
  const file: Attachment = {
    kind, media, mime: part.mime, bytes: part.bytes.length, ...(name === undefined ? {} : { name }),
    ...(cut ? { state: "failed", error: "The mail is larger than what is read of one." } : { state: "remote" }),
  };
  return part.mime === "text/calendar" ? [...invitation(part), file] : [file];
}

/** RFC 5545, as far as a reader needs it: what, when, where, from whom. */
function invitation({ bytes, method }: MailPart): Attachment[] {
  const lines = new TextDecoder().decode(bytes.subarray(0, 100_000)).replace(/\r?\n[ \t]/g, "").split(/\r?\n/);
  const event = lines.slice(Math.max(0, lines.indexOf("BEGIN:VEVENT")));
  const field = (name: string): string => { const line = event.find((each) => each.startsWith(`${name}:`) || each.startsWith(`${name};`)); return line === undefined ? "" : line.slice(line.indexOf(":") + 1).replace(/\\n/gi, " ").replace(/\\([,;\\])/g, "$1").slice(0, 500); };
  const time = (name: string): string => field(name).replace(/^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)\d\d(Z?))?$/, (_, y: string, m: string, d: string, h?: string, min?: string, z?: string) => `${y}-${m}-${d}${h === undefined ? "" : ` ${h}:${min}${z === "Z" ? " UTC" : ""}`}`);
  const title = field("SUMMARY");
  if (title === "") return [];
  const about = [[time("DTSTART"), time("DTEND")].filter((each) => each !== "").join(" – "), field("LOCATION"), method === undefined ? "" : method.toLowerCase()].filter((each) => each !== "").join("; ");
  return [{ kind: "embed", type: "event", title, ...(about === "" ? {} : { text: about }) }];
}

/** What stands in `raw` where it is wanted: the mail as a whole, without its files. */
export function rawOf(mail: Mail, limit = 65_536): { readonly raw: unknown } | undefined {
  const raw = { headers: mail.lines, text: mail.text, html: mail.html, from: mail.from?.address ?? "", domain: domainOf(mail.from?.address ?? "") };
  return JSON.stringify(raw).length <= limit ? { raw } : JSON.stringify(mail.text).length <= limit / 2 ? { raw: { text: mail.text } } : undefined;
}
