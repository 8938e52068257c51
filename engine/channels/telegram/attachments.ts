/** What a Telegram message carries beside text. */
import type { Message as TelegramMessage, Poll } from "grammy/types";
import type { Attachment, EmbedAttachment, FileAttachment, FileKind } from "../../message.ts";

interface File { file_id: string; file_size?: number; mime_type?: string; file_name?: string; duration?: number }

function file(kind: FileKind, from: File, more: { mime?: string | undefined; name?: string | undefined; alt?: string | undefined } = {}): FileAttachment {
  const mime = from.mime_type ?? more.mime;
  const name = from.file_name ?? more.name;
  return {
    kind, media: from.file_id, state: "remote",
    ...(mime === undefined ? {} : { mime }),
    ...(name === undefined ? {} : { name }),
    ...(from.file_size === undefined ? {} : { bytes: from.file_size }),
    ...(from.duration === undefined ? {} : { seconds: from.duration }),
    ...(more.alt === undefined ? {} : { alt: more.alt }),
  };
}
const embed = (type: string, about: Omit<EmbedAttachment, "kind" | "type">): EmbedAttachment => ({ kind: "embed", type, ...about });
const location = (at: { latitude: number; longitude: number }, about: { title?: string; address?: string } = {}): Attachment => ({ kind: "location", latitude: at.latitude, longitude: at.longitude, ...about });

/** One row per kind of content, by the field of Telegram's Message that holds it. The rows are the list of content that is understood. */
type Content = { [Field in keyof TelegramMessage]?: (value: NonNullable<TelegramMessage[Field]>) => Attachment[] };
const CONTENT: Content = {
  photo: (sizes) => sizes.slice(-1).map((size) => file("image", size, { mime: "image/jpeg" })),
  // A document field comes beside an animation, for old clients.
  animation: (value) => [file("video", value)],
  live_photo: (value) => [file("video", value)],
  video: (value) => [file("video", value)],
  video_note: (value) => [file("video", value, { mime: "video/mp4" })],
  voice: (value) => [file("voice", value, { mime: "audio/ogg" })],
  audio: (value) => [file("audio", value, { name: [value.performer, value.title].filter(Boolean).join(" - ") || undefined })],
  document: (value) => [file("document", value)],
  sticker: (value) => [file("sticker", value, { alt: value.emoji, mime: value.is_animated ? "application/x-tgsticker" : value.is_video ? "video/webm" : "image/webp" })],
  // A location field comes beside a venue.
  venue: ({ location: at, title, address }) => [location(at, { title, address })],
  location: (value) => [location(value)],
  contact: ({ first_name, last_name, phone_number }) => [{ kind: "contact", name: fullName(first_name, last_name), phone: phone_number }],
  poll: (value) => [pollEmbed(value)],
  dice: ({ emoji, value }) => [embed("dice", { title: emoji, text: String(value) })],
  game: ({ title, description }) => [embed("game", { title, text: description })],
  invoice: ({ title, description }) => [embed("invoice", { title, text: description })],
  checklist: ({ title, tasks }) => [embed("checklist", { title, options: tasks.map((task) => task.text) })],
  story: ({ chat }) => [embed("story", chat.title === undefined ? {} : { title: chat.title })],
  giveaway: ({ chats, winner_count, prize_description }) => [embed("giveaway", { title: chats.map((chat) => chat.title ?? "").join(", "), text: prize_description ?? `${winner_count}` })],
  paid_media: ({ star_count }) => [embed("paid_media", { text: String(star_count) })],
  web_app_data: ({ data, button_text }) => [embed("web_app_data", { title: button_text, text: data })],
};
const ROWS = Object.entries(CONTENT);
/** Fields that repeat another one. */
const INSTEAD: Readonly<Record<string, keyof TelegramMessage>> = { document: "animation", location: "venue", photo: "live_photo" };

export function attachmentsOf(message: TelegramMessage): Attachment[] {
  const found: Attachment[] = [];
  for (const [field, read] of ROWS) {
    const value = message[field as keyof TelegramMessage];
    const instead = INSTEAD[field];
    if (value === undefined || (instead !== undefined && message[instead] !== undefined)) continue;
    found.push(...(read as (value: unknown) => Attachment[])(value));
  }
  const quoted = message.quote?.text;
  if (quoted !== undefined) found.push(embed("quote", { text: quoted }));
  return found;
}

export function isContent(field: string): boolean {
  return Object.hasOwn(CONTENT, field);
}

export function pollEmbed(poll: Poll): EmbedAttachment {
  return embed("poll", { title: poll.question, options: poll.options.map((option) => option.text) });
}

export function fullName(first: string | undefined, last: string | undefined): string {
  return [first, last].filter((part) => part !== undefined && part !== "").join(" ");
}

interface RichBlock { text?: unknown; blocks?: unknown[]; items?: unknown[]; cells?: unknown[][]; label?: string }

/** The words of a rich message, one line per block. */
export function richText(blocks: readonly unknown[] | undefined, depth = 0): string {
  if (depth > 20) return "";
  return (blocks ?? []).map((each) => {
    const { text, blocks: inner, items, cells, label } = each as RichBlock;
    if (cells !== undefined) return cells.map((row) => row.map((cell) => words((cell as RichBlock).text)).join(" | ")).join("\n");
    return [label, words(text), richText(inner ?? items, depth + 1)].filter((part) => part !== undefined && part !== "").join(" ");
  }).filter((line) => line !== "").join("\n");
}
function words(text: unknown, depth = 0): string {
  if (typeof text === "string") return text;
  if (typeof text !== "object" || text === null || depth > 20) return "";
  return Array.isArray(text) ? text.map((part) => words(part, depth + 1)).join("") : words((text as RichBlock).text, depth + 1);
}
