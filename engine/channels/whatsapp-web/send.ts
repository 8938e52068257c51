/** A Draft as what Baileys sends. Pure but for the file's stream. */
import { Readable } from "node:stream";
import { render } from "../dialects.ts";
import type { ReadyFile } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { Draft, FileKind } from "../../message.ts";
import { CAPTION_LIMIT, TEXT_LIMIT } from "./limits.ts";

type Json = Record<string, unknown>;
export interface SentFile { readonly ready: ReadyFile; readonly kind: FileKind }

export function contentOf(draft: Draft, file?: SentFile): Json {
  return { ...body(draft, file), ...draft.native?.["whatsapp-web"] };
}

function body(draft: Draft, file: SentFile | undefined): Json {
  const { location, contact } = draft;
  if (location !== undefined) return { location: { degreesLatitude: location.latitude, degreesLongitude: location.longitude, ...(location.title === undefined ? {} : { name: location.title }), ...(location.address === undefined ? {} : { address: location.address }) } };
  if (contact !== undefined) return { contacts: { displayName: contact.name, contacts: [{ displayName: contact.name, vcard: vcard(contact) }] } };
  if (file !== undefined) return fileOf(draft, file);
  return textContent(draft);
}

/** Without a preview of links: a preview fetches an address the model may have made up. */
export function textContent(draft: Draft): Json {
  return { text: words(draft, TEXT_LIMIT, "a text"), linkPreview: null };
}

function fileOf(draft: Draft, { ready, kind }: SentFile): Json {
  const content = { stream: Readable.fromWeb(ready.stream() as Parameters<typeof Readable.fromWeb>[0]) };
  if (kind === "audio" || kind === "voice" || kind === "sticker") {
    if (draft.text !== "") throw new ChannelError("MSG_005", {}, "Expected a voice message, audio or sticker without a text, got one with it. Send them one after the other.");
    if (kind === "sticker") return { sticker: content };
    return kind === "voice" ? { audio: content, ptt: true, mimetype: "audio/ogg; codecs=opus" } : { audio: content, mimetype: ready.mime };
  }
  const caption = words(draft, CAPTION_LIMIT, "a text under a file");
  const more = caption === "" ? {} : { caption };
  if (kind === "document") return { document: content, mimetype: ready.mime, fileName: ready.name, ...more };
  return { [kind]: content, mimetype: ready.mime, ...more };
}

function words(draft: Draft, limit: number, what: string): string {
  const text = draft.plain === true ? draft.text : render(draft.text, "whatsapp");
  if (text.length > limit) throw new ChannelError("MSG_003", {}, `Expected ${what} of at most ${limit} characters, got ${text.length}.`);
  return text;
}

/** RFC 2426; a line that a name could end is made part of it. */
function vcard({ name, phone }: NonNullable<Draft["contact"]>): string {
  const escaped = name.replace(/[\\;,]/g, "\\$&").replace(/[\r\n]+/g, " ");
  const digits = phone.replace(/\D/g, "");
  return ["BEGIN:VCARD", "VERSION:3.0", `FN:${escaped}`, `TEL;type=CELL;type=VOICE${digits === "" ? "" : `;waid=${digits}`}:${phone.replace(/[\r\n]+/g, " ")}`, "END:VCARD"].join("\n");
}
