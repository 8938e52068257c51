/** A Draft as the one Bot API call that shows it. */
import { ChannelError } from "../../errors.ts";
import type { Address, Draft, DraftFile, FileKind } from "../../message.ts";
import { degrade } from "../degrade.ts";
import { INLINE, queryOf } from "./inline.ts";
import { keyboard } from "./keyboard.ts";
import { ALBUM_LIMIT, CAPTION_LIMIT, SHOWS, TEXT_LIMIT } from "./limits.ts";
import { renderText } from "./render.ts";

/** Stands where a keyboard has no words over it: Telegram sends no empty text. */
const DOTS = "…";

export type SendMethod = "sendMessage" | "sendPhoto" | "sendVideo" | "sendAnimation" | "sendAudio" | "sendVoice" | "sendDocument" | "sendSticker" | "sendMediaGroup" | "sendPoll" | "sendLocation" | "sendVenue" | "sendContact";
export interface Call { readonly method: SendMethod; readonly payload: Record<string, unknown> }

interface FileWay { readonly method: SendMethod; readonly field: string; /** Files of one group make an album together. */ readonly album?: string; readonly caption: boolean }
const FILES: Readonly<Record<FileKind | "animation", FileWay>> = {
  image: { method: "sendPhoto", field: "photo", album: "seen", caption: true },
  video: { method: "sendVideo", field: "video", album: "seen", caption: true },
  animation: { method: "sendAnimation", field: "animation", caption: true },
  audio: { method: "sendAudio", field: "audio", album: "audio", caption: true },
  document: { method: "sendDocument", field: "document", album: "document", caption: true },
  voice: { method: "sendVoice", field: "voice", caption: true },
  sticker: { method: "sendSticker", field: "sticker", caption: false },
};

/**
 * Cards as text with their picture, what a menu says about its options as lines: Telegram has neither. One message still: pictures
 * that cannot stand under this text are told in words.
 */
export function told(draft: Draft): Draft {
  const { choices, cards } = draft;
  const told = choices === undefined ? draft : { ...draft, text: [draft.text, ...aboutLines(draft), choices.hint ?? ""].filter((part) => part.trim() !== "").join("\n\n") };
  if (cards === undefined) return told;
  const { cards: _, ...shows } = SHOWS;
  const shown = degrade(told, shows);
  const most = draft.buttons === undefined && choices === undefined ? ALBUM_LIMIT : 1;
  const files = shown.attachments ?? [];
  return files.length <= most && (files.length === 0 || shown.text.length <= CAPTION_LIMIT) ? shown : degrade(told, { ...shows, files: [] });
}
function aboutLines({ choices, plain = false }: Draft): string[] {
  const lines = (choices?.options ?? []).flatMap(({ label, about }) => (about === undefined ? [] : [plain ? `${label}: ${about}` : `**${label}**: ${about}`]));
  return lines.length === 0 ? [] : [lines.join("\n")];
}

/** `file`: what stands for the file in the request: an address, Telegram's own file id, or an upload. Throws ChannelError for what Telegram cannot show as one message. */
export function sendCall(to: Address, draft: Draft, file: (file: DraftFile) => unknown): Call {
  const { method, payload } = plainCall(to, draft, file);
  return { method, payload: { ...payload, ...draft.native?.["telegram"] } };
}

function plainCall(to: Address, draft: Draft, file: (file: DraftFile) => unknown): Call {
  const { attachments = [], poll, location, contact, text } = draft;
  const single = [attachments.length > 0, poll !== undefined, location !== undefined, contact !== undefined].filter(Boolean).length;
  if (single > 1) throw cannot("Expected files, a poll, a location or a contact, got several of them in one message. Send them one after the other.");
  const common = { ...place(to), ...options(draft) };
  if (poll !== undefined) return { method: "sendPoll", payload: { ...common, ...pollFields(poll, draft) } };
  if (location !== undefined) {
    if (text !== "") throw cannot("A location takes no text. Send them one after the other.");
    const { latitude, longitude, title, address } = location;
    const name = title ?? address;
    return name === undefined ? { method: "sendLocation", payload: { ...common, latitude, longitude } } : { method: "sendVenue", payload: { ...common, latitude, longitude, title: name, address: address ?? name } };
  }
  if (contact !== undefined) {
    if (text !== "") throw cannot("A contact takes no text. Send them one after the other.");
    return { method: "sendContact", payload: { ...common, phone_number: contact.phone, first_name: contact.name } };
  }
  if (attachments.length > 1) return album(common, draft, attachments, file);
  const [first] = attachments;
  if (first === undefined) return { method: "sendMessage", payload: { ...common, ...textFields(text.trim() === "" && "reply_markup" in common ? { ...draft, text: DOTS } : draft) } };
  const way = FILES[kindOf(first)];
  if (!way.caption && text !== "") throw cannot("A sticker takes no text. Send them one after the other.");
  return { method: way.method, payload: { ...common, [way.field]: file(first), ...(text === "" ? {} : captionFields(draft)) } };
}

function album(common: Record<string, unknown>, draft: Draft, attachments: readonly DraftFile[], file: (file: DraftFile) => unknown): Call {
  const ways = attachments.map((each) => FILES[kindOf(each)]);
  const group = ways[0]?.album;
  if (group === undefined || ways.some((way) => way.album !== group)) throw cannot("An album holds images and videos, or audio alone, or documents alone. Send the others one after the other.");
  if (attachments.length > ALBUM_LIMIT) throw new ChannelError("MSG_003", {}, `Expected at most ${ALBUM_LIMIT} files in one message, got ${attachments.length}.`);
  const { reply_markup, ...rest } = common;
  if (reply_markup !== undefined) throw cannot("An album takes no buttons. Send them with a text of their own.");
  const media = attachments.map((each, index) => ({ type: ways[index]?.field, media: file(each), ...(index === 0 && draft.text !== "" ? captionFields(draft) : {}) }));
  return { method: "sendMediaGroup", payload: { ...rest, media } };
}

/** An image that is no photo to Telegram goes as what it is. */
function kindOf(file: DraftFile): FileKind | "animation" {
  if (file.kind !== "image" || file.mime === undefined) return file.kind;
  if (file.mime === "image/gif") return "animation";
  return ["image/jpeg", "image/png", "image/webp"].includes(file.mime) ? "image" : "document";
}

/** Chat and thread of an address, as parameters. */
export function place(to: Address): { chat_id: number | string; message_thread_id?: number; direct_messages_topic_id?: number } {
  const id = /^-?\d{1,16}$/.test(to.chat) ? Number(to.chat) : /^@\w+$/.test(to.chat) ? to.chat : undefined;
  if (id === undefined) throw new ChannelError("MSG_002", {}, `Expected a Telegram chat to be a number or an @name, got "${to.chat}".`);
  if (to.thread === undefined || to.thread === INLINE) return { chat_id: id };
  if (queryOf(to) !== undefined) throw cannot("An inline query takes one answer and nothing else.");
  if (to.thread.startsWith("dm:")) return { chat_id: id, direct_messages_topic_id: Number(to.thread.slice(3)) };
  return { chat_id: id, message_thread_id: numeric(to.thread, "thread") };
}

/** A ref or thread as Telegram's number. */
export function numeric(text: string, what: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ChannelError("MSG_002", {}, `Expected a Telegram ${what} to be a number, got "${text}".`);
}

function options(draft: Draft): Record<string, unknown> {
  const markup = keyboard(draft);
  return {
    ...(draft.silent === true ? { disable_notification: true } : {}),
    // A reply to a message that is gone is still worth sending.
    ...(draft.replyTo === undefined ? {} : { reply_parameters: { message_id: numeric(draft.replyTo, "message"), allow_sending_without_reply: true } }),
    ...(markup === undefined ? {} : { reply_markup: markup }),
  };
}

function words(draft: Draft, limit: number, what: string): { text: string; parse_mode?: "HTML" } {
  if (draft.text.length > limit) throw new ChannelError("MSG_003", {}, `Expected ${what} of at most ${limit} characters, got ${draft.text.length}.`);
  return draft.plain === true ? { text: draft.text } : renderText(draft.text, limit);
}

/** Text of a message, without a preview of its links: a preview fetches an address the model may have made up. */
export function textFields(draft: Draft): Record<string, unknown> {
  return { ...words(draft, TEXT_LIMIT, "a text"), link_preview_options: { is_disabled: true } };
}

export function captionFields(draft: Draft): Record<string, unknown> {
  const { text, ...mode } = words(draft, CAPTION_LIMIT, "a text under a file");
  return { caption: text, ...mode };
}

function pollFields(poll: NonNullable<Draft["poll"]>, draft: Draft): Record<string, unknown> {
  const about = draft.text === "" ? undefined : words(draft, CAPTION_LIMIT, "a text with a poll");
  return {
    question: poll.question,
    options: poll.options.map((text) => ({ text })),
    ...(poll.anonymous === undefined ? {} : { is_anonymous: poll.anonymous }),
    ...(poll.multiple === undefined ? {} : { allows_multiple_answers: poll.multiple }),
    ...(about === undefined ? {} : { description: about.text, ...(about.parse_mode === undefined ? {} : { description_parse_mode: about.parse_mode }) }),
  };
}

function cannot(text: string): ChannelError {
  return new ChannelError("MSG_005", {}, text);
}
