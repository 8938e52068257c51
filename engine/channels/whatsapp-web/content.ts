/** What a WhatsApp Web message holds (WAProto's Message), whatever it is wrapped in. Pure. */
import type { Attachment, FileAttachment, FileKind } from "../../message.ts";
import { filled, numeric, said } from "../whatsapp/content.ts";
import type { Bytes } from "./library.ts";

export type Content = Readonly<Record<string, unknown>>;
type Part = Readonly<Record<string, unknown>>;

/** A message for a time, to be seen once, with a caption, for an own device: what is in it counts. */
const WRAPPERS = ["ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension", "documentWithCaptionMessage", "editedMessage", "associatedChildMessage", "groupMentionedMessage"];
/** Stand beside what was said. */
const BESIDE = new Set(["messageContextInfo", "senderKeyDistributionMessage"]);

export const part = (value: unknown): Part | undefined => (typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Part) : undefined);

/** The name of what was said, and itself. */
export function unwrap(content: unknown, depth = 0): { readonly type: string; readonly body: unknown } | undefined {
  const message = part(content);
  if (message === undefined || depth > 5) return undefined;
  for (const wrapper of WRAPPERS) {
    const inner = part(message[wrapper]);
    if (inner !== undefined) return unwrap(inner["message"], depth + 1);
  }
  const own = part(part(message["deviceSentMessage"])?.["message"]);
  if (own !== undefined) return unwrap(own, depth + 1);
  const found = Object.entries(message).find(([name, value]) => value !== null && value !== undefined && !BESIDE.has(name));
  return found === undefined ? undefined : { type: found[0], body: found[1] };
}

/** `of`: the name Baileys gives the kind when it is fetched. */
const FILES: Readonly<Record<string, { readonly kind: FileKind; readonly of: string }>> = {
  imageMessage: { kind: "image", of: "image" }, videoMessage: { kind: "video", of: "video" }, ptvMessage: { kind: "video", of: "video" }, audioMessage: { kind: "audio", of: "audio" }, documentMessage: { kind: "document", of: "document" }, stickerMessage: { kind: "sticker", of: "sticker" },
};

interface Place { readonly directPath?: string; readonly url?: string }
export interface Reference extends Place { readonly of: string; readonly mediaKey: Bytes }

/** Of what the sender says of where a file lies, what leads to WhatsApp's own servers: Baileys appends the path to a host's name, takes the host from the address, and asks no guard. */
function placeAtWhatsApp({ directPath = "", url = "" }: Place): Place {
  const { protocol, hostname, port } = URL.parse(url) ?? {};
  const known = protocol === "https:" && port === "" && /^(?:[^.]+\.)*whatsapp\.net$/.test(hostname ?? "");
  return { ...(/^\/(?!\/)/.test(directPath) ? { directPath } : {}), ...(known ? { url } : {}) };
}

/** Everything that is needed to fetch a file later, in one word: WhatsApp's key of it, and where it lies. */
export function reference({ of, mediaKey, ...said }: Reference): string {
  const { directPath, url } = placeAtWhatsApp(said);
  return Buffer.from(JSON.stringify([of, Buffer.from(mediaKey).toString("base64"), directPath ?? "", url ?? ""])).toString("base64url");
}
/** Undefined for what is no such word. */
export function fromReference(word: string): Reference | undefined {
  try {
    const [of, mediaKey, directPath, url] = JSON.parse(Buffer.from(word, "base64url").toString()) as string[];
    if (!Object.values(FILES).some((file) => file.of === of) || typeof mediaKey !== "string") return undefined;
    return { of: of as string, mediaKey: Buffer.from(mediaKey, "base64"), ...placeAtWhatsApp({ ...(directPath === undefined ? {} : { directPath }), ...(url === undefined ? {} : { url }) }) };
  } catch {
    return undefined;
  }
}

/** A count; Baileys gives large ones as Long. NaN for anything else. */
export function counted(value: unknown): number {
  const { toNumber } = part(value) ?? {};
  return typeof toNumber === "function" ? numeric((toNumber as () => unknown).call(value)) : numeric(value);
}
const number = (value: unknown): number | undefined => (counted(value) >= 0 && Number.isFinite(counted(value)) ? counted(value) : undefined);

export function textOf(type: string, body: unknown): string {
  if (type === "conversation") return said(body, 1_000_000) ?? "";
  const { text, caption, comment, title } = part(body) ?? {};
  return (type === "extendedTextMessage" ? said(text, 1_000_000) : undefined) ?? said(caption, 100_000) ?? (type === "liveLocationMessage" ? said(comment) : undefined) ?? (type === "eventMessage" ? said(title) : undefined) ?? "";
}

export function attachmentsOf(type: string, body: unknown): Attachment[] {
  const it = part(body);
  if (it === undefined) return [];
  const known = Object.hasOwn(FILES, type) ? FILES[type] : undefined;
  if (known !== undefined) return fileOf(known.of, type === "audioMessage" && it["ptt"] === true ? "voice" : known.kind, it);
  switch (type) {
    case "locationMessage":
    case "liveLocationMessage": return place(it);
    case "contactMessage": return [contact(it)];
    case "contactsArrayMessage": return Array.isArray(it["contacts"]) ? it["contacts"].slice(0, 50).map((each) => contact(part(each) ?? {})) : [];
    case "pollCreationMessage":
    case "pollCreationMessageV2":
    case "pollCreationMessageV3": return [filled({ kind: "embed" as const, type: "poll", title: said(it["name"]), options: Array.isArray(it["options"]) ? it["options"].slice(0, 50).map((each) => said(part(each)?.["optionName"]) ?? "") : undefined }) as Attachment];
    default: return [];
  }
}

function fileOf(of: string, kind: FileKind, it: Part): FileAttachment[] {
  const key = it["mediaKey"];
  if (!(key instanceof Uint8Array)) return [];
  const media = reference(filled({ of, mediaKey: key, directPath: said(it["directPath"], 2_000), url: said(it["url"], 2_000) }) as Reference);
  return [filled({ kind, media, state: "remote" as const, mime: said(it["mimetype"], 200)?.split(";", 1)[0], name: said(it["fileName"]), bytes: number(it["fileLength"]), seconds: number(it["seconds"]) }) as FileAttachment];
}
function place(it: Part): Attachment[] {
  const { degreesLatitude: latitude, degreesLongitude: longitude, name, address } = it;
  if (typeof latitude !== "number" || typeof longitude !== "number" || !(Math.abs(latitude) <= 90) || !(Math.abs(longitude) <= 180)) return [];
  return [filled({ kind: "location" as const, latitude, longitude, title: said(name), address: said(address) }) as Attachment];
}
function contact(it: Part): Attachment {
  const vcard = said(it["vcard"], 20_000) ?? "";
  const line = (field: string): string | undefined => said(new RegExp(`^(?:item\\d+\\.)?${field}(?:;[^:\\r\\n]{0,200})?:([^\\r\\n]{1,200})`, "im").exec(vcard)?.[1]?.trim());
  return filled({ kind: "contact" as const, name: said(it["displayName"]) ?? line("FN") ?? "", phone: line("TEL"), email: line("EMAIL") }) as Attachment;
}
