/** A draft as the body of a message. Pure: files are given by name only, what is uploaded comes beside. */
import { hash } from "node:crypto";
import { ChannelError } from "../../errors.ts";
import type { Card, Draft } from "../../message.ts";
import { render } from "../dialects.ts";
import { componentsOf } from "./components.ts";
import { isSnowflake, TEXT_LIMIT } from "./limits.ts";

export type Body = Record<string, unknown>;
/** Flags of a message (docs, "Message Flags"). */
export const FLAGS = { noEmbeds: 1 << 2, ephemeral: 1 << 6, silent: 1 << 12 } as const;
const EMBED_TOTAL = 6_000;
const CARDS = 10;
const CARD_FIELDS = 25;
const POLL_ANSWERS = 10;

/** At most 25 characters; the same key, the same nonce. */
export function nonceOf(key: string): string {
  return hash("sha256", key, "base64url").slice(0, 25);
}

/** Shown only while it says nothing more: a link's preview is fetched from an address the model may have made up. */
export function flagsOf(draft: Draft): number {
  return ((draft.cards ?? []).length === 0 ? FLAGS.noEmbeds : 0) | (draft.silent === true ? FLAGS.silent : 0);
}

export interface BodyOptions {
  /** Names of the files uploaded with it, in order; pictures of cards are among them. */
  readonly files?: readonly { readonly name: string; readonly alt?: string }[];
  /** By the media of a card's picture: its address, or "attachment://name". */
  readonly pictures?: ReadonlyMap<string, string>;
}

/** What a new message, an edit and an answer to an interaction have in common. Nobody is pinged by a text. */
export function contentOf(draft: Draft, { files = [], pictures }: BodyOptions = {}): Body {
  const content = draft.plain === true ? draft.text : render(draft.text, "discord");
  if (content.length > TEXT_LIMIT) throw new ChannelError("MSG_003", {}, `Expected a text of at most ${TEXT_LIMIT} characters, got ${content.length}.`);
  const embeds = (draft.cards ?? []).map((card) => embedOf(card, pictures));
  check(embeds);
  return {
    content, embeds, components: componentsOf(draft) ?? [], allowed_mentions: { parse: [], replied_user: false },
    ...(draft.poll === undefined ? {} : { poll: pollOf(draft.poll) }),
    ...(files.length === 0 ? {} : { attachments: files.map(({ name, alt }, index) => ({ id: String(index), filename: name, ...(alt === undefined || alt === "" ? {} : { description: alt.slice(0, 1024) }) })) }),
    ...draft.native?.["discord"],
  };
}

/** The body of a new message in a channel. */
export function messageOf(draft: Draft, key: string, options: BodyOptions = {}): Body {
  return {
    nonce: nonceOf(key), enforce_nonce: true, flags: flagsOf(draft),
    // A reply to a message that is gone is still worth sending.
    ...(isSnowflake(draft.replyTo) ? { message_reference: { message_id: draft.replyTo, fail_if_not_exists: false } } : {}),
    ...lean(contentOf(draft, options)),
  };
}

/** Without the empty lists that only an edit needs. */
export function lean(body: Body): Body {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => !(Array.isArray(value) && value.length === 0) && value !== ""));
}

function embedOf({ title, text, url, image, color, fields = [], footer }: Card, pictures: BodyOptions["pictures"]): Body {
  const picture = image === undefined ? undefined : (pictures?.get(image) ?? image);
  if (fields.length > CARD_FIELDS) throw new ChannelError("MSG_003", {}, `Expected at most ${CARD_FIELDS} fields on a card, got ${fields.length}.`);
  return {
    ...(title === undefined ? {} : { title: most(title, 256, "title") }),
    ...(text === undefined ? {} : { description: most(render(text, "discord"), 4096, "text") }),
    ...(url === undefined ? {} : { url }),
    ...(picture === undefined ? {} : { image: { url: picture } }),
    ...(color === undefined || !/^#[\da-f]{6}$/i.test(color) ? {} : { color: Number.parseInt(color.slice(1), 16) }),
    // An empty name or value is refused; a zero-width space is how Discord itself writes nothing.
    ...(fields.length === 0 ? {} : { fields: fields.map(({ name, value, short }) => ({ name: most(name, 256, "field's name") || "\u200b", value: most(render(value, "discord"), 1024, "field's value") || "\u200b", ...(short === true ? { inline: true } : {}) })) }),
    ...(footer === undefined ? {} : { footer: { text: most(footer, 2048, "footer") } }),
  };
}

function most(text: string, limit: number, what: string): string {
  if (text.length <= limit) return text;
  throw new ChannelError("MSG_003", {}, `Expected a card's ${what} of at most ${limit} characters, got ${text.length}.`);
}

function check(embeds: readonly Body[]): void {
  if (embeds.length > CARDS) throw new ChannelError("MSG_003", {}, `Expected at most ${CARDS} cards in one message, got ${embeds.length}.`);
  const texts = (value: unknown, key = ""): number => (typeof value === "string" ? (["title", "description", "name", "value", "text"].includes(key) ? value.length : 0) : Array.isArray(value) ? value.reduce((sum: number, each) => sum + texts(each), 0) : typeof value === "object" && value !== null ? Object.entries(value).reduce((sum, [own, each]) => sum + texts(each, own), 0) : 0);
  const total = texts(embeds);
  if (total > EMBED_TOTAL) throw new ChannelError("MSG_003", {}, `Expected the cards of one message to hold at most ${EMBED_TOTAL} characters, got ${total}.`);
}

function pollOf({ question, options, multiple }: NonNullable<Draft["poll"]>): Body {
  if (options.length > POLL_ANSWERS) throw new ChannelError("MSG_003", {}, `Expected at most ${POLL_ANSWERS} answers in a poll, got ${options.length}.`);
  return {
    question: { text: most(question, 300, "question") }, answers: options.map((text) => ({ poll_media: { text: most(text, 55, "answer") } })),
    ...(multiple === undefined ? {} : { allow_multiselect: multiple }),
  };
}

/** The name of a forum post: the first line of its text, without marks. */
export function postName(text: string): string {
  const line = text.split("\n").find((each) => each.trim() !== "") ?? "";
  return [...line.replace(/^[#>\s]+|[*_~`]/g, "").trim()].slice(0, 100).join("") || "…";
}
