/** An e-mail as bytes, read by postal-mime: headers, texts, parts. Never throws for what a sender wrote; what cannot be read at all is MSG_001. */
import { createHash } from "node:crypto";
import { ClawError } from "../../errors.ts";

export interface MailPart {
  readonly name?: string;
  readonly mime: string;
  readonly inline: boolean;
  /** Method of a calendar part: REQUEST, REPLY, CANCEL. */
  readonly method?: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}
export interface Mailbox { readonly address: string; readonly name: string }
export interface Mail {
  /** Values of a header, topmost first, unfolded. Names in lower case. */
  headers(name: string): readonly string[];
  /** Names and values in the order they came. */
  readonly lines: readonly { readonly key: string; readonly value: string }[];
  readonly from: Mailbox | undefined;
  readonly to: readonly Mailbox[];
  readonly subject: string;
  /** Ids stand without angle brackets. A mail without one gets `none-<hash of its bytes>`. */
  readonly id: string;
  readonly references: readonly string[];
  readonly inReplyTo: string | undefined;
  /** Unix milliseconds. */
  readonly date: number | undefined;
  readonly text: string;
  readonly html: string;
  readonly parts: readonly MailPart[];
}

/** Characters of the longest text that is read; what is behind is left out. */
const TEXT_LIMIT = 500_000;
const ID_LIMIT = 500;
/** More is nobody's conversation. */
const MOST_REFERENCES = 200;

/** Throws ClawError MSG_001 for what is no mail (nested without end, headers without end). */
export async function parseMail(bytes: Uint8Array): Promise<Mail> {
  const { default: PostalMime } = await import("postal-mime");
  const email = await PostalMime.parse(bytes, { forceRfc822Attachments: true, maxNestingDepth: 50, maxHeadersSize: 1_000_000 })
    .catch((error: unknown) => { throw new ClawError("MSG_001", { cause: error }, `Expected a mail, got something that cannot be read: ${(error as Error).message}`); });
  const lines = email.headers.map(({ key, value }) => ({ key, value }));
  const boxes = (list: typeof email.to): Mailbox[] => (list ?? []).flatMap((each) => (each.group === undefined ? [each] : each.group)).flatMap(({ address, name }) => (address === undefined || address === "" ? [] : [{ address: plainAddress(address), name: name.trim() }]));
  const [from] = boxes(email.from === undefined ? [] : [email.from]);
  const own = ids(email.messageId ?? "")[0];
  const date = Date.parse(email.date ?? "");
  return {
    headers: (name) => lines.filter(({ key }) => key === name).map(({ value }) => value),
    lines, from, to: [...boxes(email.to), ...boxes(email.cc)],
    subject: oneLine(email.subject ?? "").slice(0, 1_000),
    id: own ?? `none-${createHash("sha256").update(bytes).digest("hex").slice(0, 32)}`,
    references: ids(email.references ?? "").slice(0, MOST_REFERENCES),
    inReplyTo: ids(email.inReplyTo ?? "")[0],
    date: Number.isNaN(date) ? undefined : date,
    text: (email.text ?? "").slice(0, TEXT_LIMIT),
    html: (email.html ?? "").slice(0, TEXT_LIMIT * 4),
    parts: email.attachments.map(({ filename, mimeType, disposition, related, method, content }) => ({
      ...(filename === null || filename === "" ? {} : { name: oneLine(filename).slice(0, 255) }),
      mime: /^[\w.+-]+\/[\w.+-]+$/.test(mimeType) ? mimeType : "application/octet-stream",
      inline: related === true || disposition === "inline",
      ...(method === undefined ? {} : { method }),
      bytes: typeof content === "string" ? new TextEncoder().encode(content) : new Uint8Array(content as ArrayBuffer),
    })),
  };
}

/** Message ids in a header, without their brackets. What some programs write without brackets counts where nothing else is there. */
export function ids(header: string): string[] {
  const found = [...header.slice(0, 100_000).matchAll(/<([^<>\s]{1,998})>/g)].map(([, id = ""]) => id.slice(0, ID_LIMIT));
  if (found.length > 0) return found;
  const bare = header.trim();
  return /^[^\s<>]{3,500}$/.test(bare) ? [bare] : [];
}

/** Names of people differ by letter case only to machines of long ago; every mail service of today takes both for one. */
export const plainAddress = (address: string): string => address.trim().toLowerCase().slice(0, 320);
export const isAddress = (text: string): boolean => /^[^\s@<>",;:\\[\]()\p{Cc}]{1,64}@[^\s@<>",;:\\()\p{Cc}]{1,255}$/u.test(text);
/** A line that can begin no other: control characters and line ends become blanks. */
export const oneLine = (text: string): string => text.replace(/[\p{Cc}\u2028\u2029]+/gu, " ").trim();
export const domainOf = (address: string): string => address.slice(address.lastIndexOf("@") + 1).toLowerCase();
