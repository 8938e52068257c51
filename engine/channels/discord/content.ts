/** What a Discord message carries beside its sender and its place. */
import type { APIAttachment, APIEmbed, APIMessage, APIPoll, APIStickerItem } from "discord.js";
import type { Attachment, EmbedAttachment, FileAttachment, FileKind } from "../../message.ts";

const VOICE_MESSAGE = 1 << 13;
const CDN = "https://cdn.discordapp.com";

/** A message, or the snapshot of one that was passed on. */
export type Said = Partial<Pick<APIMessage, "content" | "attachments" | "embeds" | "sticker_items" | "poll" | "components" | "flags">>;

const words = (value: unknown): string => (typeof value === "string" ? value : "");
const list = <T>(value: readonly T[] | undefined): readonly T[] => (Array.isArray(value) ? value.filter((each) => typeof each === "object" && each !== null) : []);

/** Discord's content is Markdown. Messages of "components v2" have none, and their words in the components. */
export function textOf(said: Said): string {
  const content = words(said.content);
  return content !== "" ? content : spoken(said.components, 0).join("\n");
}
function spoken(components: unknown, depth: number): string[] {
  if (!Array.isArray(components) || depth > 5) return [];
  return components.flatMap((each: { type?: unknown; content?: unknown; components?: unknown } | null) => {
    if (typeof each !== "object" || each === null) return [];
    return each.type === 10 ? [words(each.content)] : spoken(each.components, depth + 1);
  }).filter((text) => text !== "");
}

/** `where`: channel and message, by which an address that has expired is asked for anew. */
export function attachmentsOf(said: Said, where: string): Attachment[] {
  return [
    ...list(said.attachments).map((each) => fileOf(each, said.flags ?? 0, where)),
    ...list(said.sticker_items).map(stickerOf),
    ...list(said.embeds).map(embedOf),
    ...(said.poll === undefined || said.poll === null ? [] : [pollOf(said.poll)]),
  ];
}

function fileOf(file: APIAttachment, flags: number, where: string): FileAttachment {
  const mime = words(file.content_type).split(";")[0] ?? "";
  const alt = words(file.description);
  const kind: FileKind = (flags & VOICE_MESSAGE) !== 0 ? "voice" : (["image", "video", "audio"] as const).find((each) => mime.startsWith(`${each}/`)) ?? "document";
  return {
    kind, media: `${words(file.url)}#${where}`, state: "remote",
    ...(mime === "" ? {} : { mime }),
    ...(words(file.filename) === "" ? {} : { name: words(file.filename) }),
    ...(typeof file.size === "number" ? { bytes: file.size } : {}),
    ...(typeof file.duration_secs === "number" ? { seconds: file.duration_secs } : {}),
    ...(alt === "" ? {} : { alt }),
  };
}

/** By `format_type`: PNG, APNG, Lottie, GIF (docs, "Sticker Format Types" and "Image Formatting"). */
const STICKERS: Readonly<Record<number, readonly [ending: string, mime: string]>> = { 1: ["png", "image/png"], 2: ["png", "image/apng"], 3: ["json", "application/json"], 4: ["gif", "image/gif"] };
function stickerOf({ id, name, format_type }: APIStickerItem): FileAttachment {
  const [ending, mime] = STICKERS[format_type] ?? ["png", "image/png"];
  const home = format_type === 4 ? "https://media.discordapp.net" : CDN;
  return { kind: "sticker", media: `${home}/stickers/${words(id)}.${ending}`, state: "remote", mime, ...(words(name) === "" ? {} : { alt: words(name) }) };
}

function embedOf({ type, title, description, url, fields }: APIEmbed): EmbedAttachment {
  const lines = [words(description), ...list(fields).map(({ name, value }) => `${words(name)}: ${words(value)}`)].filter((line) => line !== "");
  return {
    kind: "embed", type: words(type) || "rich",
    ...(words(title) === "" ? {} : { title: words(title) }),
    ...(lines.length === 0 ? {} : { text: lines.join("\n") }),
    ...(words(url) === "" ? {} : { url: words(url) }),
  };
}

/** The options in the order of their ids, which count from 1: a vote names them. */
function pollOf(poll: APIPoll): EmbedAttachment {
  return { kind: "embed", type: "poll", title: words(poll.question?.text), options: list(poll.answers).map((answer) => words(answer.poll_media?.text) || words(answer.poll_media?.emoji?.name)) };
}
