/** What a WhatsApp message carries beside text. Pure; whatever is missing or of another type is left out. */
import type { Attachment, EmbedAttachment, FileAttachment, FileKind } from "../../message.ts";
import type { Content, Media, SharedContact } from "./payload.ts";

/** A text, or undefined for anything else and for an empty one. `most`: characters kept. */
export const said = (value: unknown, most = 1_000): string | undefined => (typeof value === "string" && value !== "" ? value.slice(0, most) : undefined);
/** A number, also written as text; NaN for anything else. */
export const numeric = (value: unknown): number => (typeof value === "number" ? value : typeof value === "string" && value !== "" ? Number(value) : Number.NaN);
const number = (value: unknown): number | undefined => (Number.isFinite(numeric(value)) ? numeric(value) : undefined);
/** Without the fields that are undefined. */
export function filled<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> };
}

const MEDIA: Readonly<Record<string, (media: Media) => FileKind>> = {
  image: () => "image", video: () => "video", document: () => "document", sticker: () => "sticker", audio: ({ voice }) => (voice === true ? "voice" : "audio"),
};

function file(kind: FileKind, media: Media): FileAttachment | undefined {
  const id = said(media.id, 200);
  if (id === undefined) return undefined;
  return filled({ kind, media: id, state: "remote" as const, mime: said(media.mime_type, 200)?.split(";", 1)[0], name: said(media.filename) }) as FileAttachment;
}
const embed = (type: string, about: { title?: string | undefined; text?: string | undefined; url?: string | undefined; options?: string[] | undefined }): EmbedAttachment => ({ kind: "embed", type, ...filled(about) }) as EmbedAttachment;

/** The caption of a file, or the text. In WhatsApp's own marks. */
export function textOf(content: Content): string {
  const media = content[content.type as "image"];
  return said(content.text?.body, 1_000_000) ?? said(media?.caption, 100_000) ?? said(content.order?.text, 100_000) ?? said(content.system?.body) ?? "";
}

export function attachmentsOf(content: Content): Attachment[] {
  const { type = "", location, contacts, order, referral, context } = content;
  const kind = Object.hasOwn(MEDIA, type) ? MEDIA[type] : undefined;
  const media = content[type as "image"];
  const found: (Attachment | undefined)[] = [];
  if (kind !== undefined && typeof media === "object" && media !== null) found.push(file(kind(media), media));
  if (location !== undefined) found.push(place(location));
  if (Array.isArray(contacts)) found.push(...contacts.slice(0, 50).map(contact));
  if (order !== undefined) found.push(embed("order", { title: said(order.catalog_id), text: said(order.text), options: items(order) }));
  if (referral !== undefined) found.push(embed("referral", { title: said(referral.headline), text: said(referral.body, 4_000), url: said(referral.source_url, 4_000) }));
  if (context?.referred_product !== undefined) found.push(embed("product", { title: said(context.referred_product?.product_retailer_id) }));
  return found.filter((each) => each !== undefined);
}

function place(location: NonNullable<Content["location"]>): Attachment | undefined {
  const [latitude, longitude] = [number(location?.latitude), number(location?.longitude)];
  if (latitude === undefined || longitude === undefined || Math.abs(latitude) > 90 || Math.abs(longitude) > 180) return undefined;
  return filled({ kind: "location" as const, latitude, longitude, title: said(location.name), address: said(location.address) }) as Attachment;
}
function contact(shared: SharedContact): Attachment {
  const phone = shared?.phones?.[0];
  return filled({ kind: "contact" as const, name: said(shared?.name?.formatted_name) ?? "", phone: said(phone?.phone) ?? said(phone?.wa_id), email: said(shared?.emails?.[0]?.email) }) as Attachment;
}
function items({ product_items }: NonNullable<Content["order"]>): string[] | undefined {
  return Array.isArray(product_items) ? product_items.slice(0, 100).map((item) => `${number(item?.quantity) ?? 1} × ${said(item?.product_retailer_id) ?? "?"}: ${number(item?.item_price) ?? "?"} ${said(item?.currency) ?? ""}`.trim().slice(0, 1_000)) : undefined;
}

/** The fields of a form that was sent, each as text; lists are joined. */
export function formValues(json: unknown): Record<string, string> {
  let read: unknown;
  try { read = JSON.parse(said(json, 1_000_000) ?? "{}"); } catch { return {}; }
  if (typeof read !== "object" || read === null || Array.isArray(read)) return {};
  const words = (value: unknown): string => (Array.isArray(value) ? value.map(words).join(", ") : typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? ""));
  return Object.fromEntries(Object.entries(read).filter(([key]) => key !== "__proto__").slice(0, 200).map(([key, value]) => [key, words(value)]));
}
