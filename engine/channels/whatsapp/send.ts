/** A Draft as the one request that shows it. Pure. */
import { degrade } from "../degrade.ts";
import { render } from "../dialects.ts";
import { ChannelError } from "../../errors.ts";
import type { Address, Button, Choices, Draft, FileKind } from "../../message.ts";
import { BODY_LIMIT, BUTTON_LABEL, BUTTON_LIMIT, BUTTON_VALUE, CAPTION_LIMIT, ROW_ABOUT, ROW_LIMIT, ROW_TITLE, ROW_VALUE, SHOWS, TEXT_LIMIT } from "./limits.ts";

export type Json = Record<string, unknown>;
/** A file at WhatsApp. */
export interface Uploaded { readonly id: string; readonly kind: FileKind; readonly name?: string }
/** What WhatsApp calls a file's field. A voice message is audio with a mark. */
const FIELD: Readonly<Record<FileKind, string>> = { image: "image", video: "video", audio: "audio", voice: "audio", document: "document", sticker: "sticker" };
/** Files that take a text, and may stand over buttons. */
const CAPTIONED: ReadonlySet<FileKind> = new Set<FileKind>(["image", "video", "document"]);
/** Stands where WhatsApp wants words and the draft has none. */
const DOTS = "…";

/** `key` comes back with every status of the message (biz_opaque_callback_data). Throws ChannelError for what WhatsApp cannot show as one message. */
export function sendRequest(to: Address, draft: Draft, key: string, file?: Uploaded): Json {
  const request: Json = { messaging_product: "whatsapp", ...recipient(to), ...body(draft, file), biz_opaque_callback_data: key };
  if (draft.replyTo !== undefined) request["context"] = { message_id: draft.replyTo };
  return { ...request, ...draft.native?.["whatsapp"] };
}

/** A phone number, a person's id within this business (people with a user name may hide their number), or a group's id. */
export function recipient(to: Address): Json {
  if (to.kind === "group") return { recipient_type: "group", to: to.chat };
  if (/^[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}$/.test(to.chat)) return { recipient_type: "individual", recipient: to.chat };
  const number = to.chat.replace(/[\s()./-]/g, "").replace(/^\+/, "");
  if (!/^\d{5,20}$/.test(number)) throw new ChannelError("MSG_002", {}, `Expected a WhatsApp chat to be a phone number with its country code, such as 4915112345678, got "${to.chat.slice(0, 40)}".`);
  return { recipient_type: "individual", to: number };
}

function body(whole: Draft, file: Uploaded | undefined): Json {
  const { template, location, contact } = whole;
  if (template !== undefined) return { type: "template", template: templateOf(template) };
  if (location !== undefined) {
    const { latitude, longitude, title, address } = location;
    return { type: "location", location: { latitude: String(latitude), longitude: String(longitude), ...(title === undefined ? {} : { name: title }), ...(address === undefined ? {} : { address }) } };
  }
  if (contact !== undefined) return { type: "contacts", contacts: [contactOf(contact)] };
  const draft = pressable(whole, file);
  const pressed = (draft.buttons ?? []).flat();
  if (pressed.length > 0) return interactive(draft, file, buttonsOf(pressed));
  if (draft.choices !== undefined) return interactive(draft, undefined, listOf(draft.choices));
  if (file !== undefined) return fileOf(draft, file);
  return { type: "text", text: { body: words(draft, TEXT_LIMIT, "a text"), preview_url: false } };
}

/** What cannot stand together is told in words: buttons beside an address, a menu beside buttons or under a file, buttons under a voice message. */
function pressable(draft: Draft, file: Uploaded | undefined): Draft {
  const pressed = (draft.buttons ?? []).flat();
  const mixed = pressed.length > 1 && pressed.some(({ url }) => url !== undefined);
  const buttons = pressed.length > 0 && pressed.length <= BUTTON_LIMIT && !mixed && (file === undefined || CAPTIONED.has(file.kind));
  const choices = draft.choices !== undefined && draft.choices.options.length > 0 && draft.choices.options.length <= ROW_LIMIT && pressed.length === 0 && file === undefined;
  if ((buttons || pressed.length === 0) && (choices || draft.choices === undefined)) return draft;
  const { replyTo, native, ...told } = degrade(draft, { ...SHOWS, buttons: buttons ? BUTTON_LIMIT : 0, choices: choices ? ROW_LIMIT : 0 });
  return told;
}

function interactive(draft: Draft, file: Uploaded | undefined, part: Json): Json {
  const field = file === undefined ? undefined : FIELD[file.kind];
  const header = file === undefined || field === undefined ? {} : { header: { type: field, [field]: { id: file.id, ...(file.kind === "document" && file.name !== undefined ? { filename: file.name } : {}) } } };
  return { type: "interactive", interactive: { ...part, ...header, body: { text: words(draft, BODY_LIMIT, "a text with buttons or a menu") || (draft.choices?.hint ?? DOTS) } } };
}

function buttonsOf(buttons: readonly Button[]): Json {
  const [first] = buttons;
  if (first?.url !== undefined) return { type: "cta_url", action: { name: "cta_url", parameters: { display_text: labelled(first.label), url: first.url } } };
  return { type: "button", action: { buttons: buttons.map(({ label, value }) => ({ type: "reply", reply: { id: valued(value ?? label, BUTTON_VALUE, label), title: labelled(label) } })) } };
}
function labelled(label: string): string {
  const title = label.trim();
  if (title === "" || [...title].length > BUTTON_LABEL) throw new ChannelError("MSG_003", {}, `Expected the label of a button to be 1 to ${BUTTON_LABEL} characters, got ${[...title].length}.`);
  return title;
}
function valued(value: string, most: number, label: string): string {
  const trimmed = value.trim();
  if (trimmed === "" || trimmed.length > most) throw new ChannelError("MSG_003", {}, `Expected the value of "${label}" to be 1 to ${most} characters, got ${trimmed.length}. Use a short id for it.`);
  return trimmed;
}

/** A row's title is short: what does not fit stands whole below it. */
function listOf({ hint, options }: Choices): Json {
  const rows = options.map(({ label, value, about }) => {
    const long = [...label].length > ROW_TITLE;
    const below = [...(long ? [label] : []), ...(about === undefined || about === "" ? [] : [about])].join(": ");
    return { id: valued(value ?? label, ROW_VALUE, label), title: cut(label, ROW_TITLE), ...(below === "" ? {} : { description: cut(below, ROW_ABOUT) }) };
  });
  return { type: "list", action: { button: hint === undefined || hint.trim() === "" ? "☰" : cut(hint, BUTTON_LABEL), sections: [{ rows }] } };
}
function cut(text: string, most: number): string {
  const points = [...text.trim()];
  return points.length <= most ? points.join("") : `${points.slice(0, most - 1).join("").trimEnd()}…`;
}

function fileOf(draft: Draft, file: Uploaded): Json {
  const field = FIELD[file.kind];
  if (!CAPTIONED.has(file.kind)) {
    if (draft.text !== "") throw new ChannelError("MSG_005", {}, "Expected a voice message, audio or sticker without a text, got one with it. Send them one after the other.");
    return { type: field, [field]: { id: file.id, ...(file.kind === "voice" ? { voice: true } : {}) } };
  }
  const caption = words(draft, CAPTION_LIMIT, "a text under a file");
  return { type: field, [field]: { id: file.id, ...(caption === "" ? {} : { caption }), ...(file.kind === "document" && file.name !== undefined ? { filename: file.name } : {}) } };
}

function words(draft: Draft, limit: number, what: string): string {
  const text = draft.plain === true ? draft.text : render(draft.text, "whatsapp");
  if (text.length > limit) throw new ChannelError("MSG_003", {}, `Expected ${what} of at most ${limit} characters, got ${text.length}.`);
  return text;
}

/** Approved texts are named and filled in order: …/whatsapp/templates. A header, buttons or named values go by `native`. */
function templateOf({ name, language, values = [] }: NonNullable<Draft["template"]>): Json {
  return {
    name, language: { policy: "deterministic", code: language },
    ...(values.length === 0 ? {} : { components: [{ type: "body", parameters: values.map((text) => ({ type: "text", text })) }] }),
  };
}

function contactOf({ name, phone }: NonNullable<Draft["contact"]>): Json {
  const number = phone.replace(/\D/g, "");
  return { name: { formatted_name: name, first_name: name }, phones: [{ phone, ...(phone.trim().startsWith("+") && number !== "" ? { wa_id: number } : {}) }] };
}
