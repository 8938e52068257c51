/** A draft as the answer to an inline query: the list of results that a person picks from (https://core.telegram.org/bots/api#answerinlinequery). */
import { ChannelError } from "../../errors.ts";
import type { Address, Card, ChoiceOption, Draft, DraftFile, FileKind } from "../../message.ts";
import { degrade } from "../degrade.ts";
import { keyboard } from "./keyboard.ts";
import { TEXT_LIMIT } from "./limits.ts";
import { renderText } from "./render.ts";

/** Thread of a person's queries; `inline:<id>` is one of them. */
export const INLINE = "inline";
const MOST = 50;
const ID_BYTES = 64;

type Result = Record<string, unknown>;

/** Id of the query that an address means. */
export function queryOf(to: Address): string | undefined {
  return to.thread?.startsWith(`${INLINE}:`) === true ? to.thread.slice(INLINE.length + 1) : undefined;
}

/** One result for each card, option of the menu, file, place and contact; the text is one only where it stands alone. The answer is kept for that person only. */
export function inlineAnswer(id: string, draft: Draft): Record<string, unknown> {
  const { cards = [], choices, attachments = [], location, contact, buttons, text, native } = draft;
  const markup = keyboard(buttons === undefined ? {} : { buttons });
  const results: Result[] = [
    ...cards.map(ofCard), ...(choices?.options ?? []).map(ofOption), ...attachments.map(ofFile),
    ...(location === undefined ? [] : [{ type: "location", title: location.title ?? location.address ?? "📍", latitude: location.latitude, longitude: location.longitude }]),
    ...(contact === undefined ? [] : [{ type: "contact", first_name: contact.name, phone_number: contact.phone }]),
  ];
  if (results.length === 0 && text.trim() !== "") results.push(article(firstLine(text), draft.plain === true ? { message_text: text } : said(text)));
  if (results.length > MOST) throw new ChannelError("MSG_003", {}, `Expected at most ${MOST} results for an inline query, got ${results.length}.`);
  const used = new Set<string>();
  return {
    inline_query_id: id,
    is_personal: true,
    results: results.map(({ id: wished, ...result }, index) => {
      const own = typeof wished === "string" && wished !== "" && Buffer.byteLength(wished) <= ID_BYTES && !used.has(wished) ? wished : `#${index}`;
      used.add(own);
      return { ...result, id: own, ...(markup === undefined ? {} : { reply_markup: markup }) };
    }),
    ...native?.["telegram"],
  };
}

function article(title: string, content: Record<string, unknown>, more: Result = {}): Result {
  return { type: "article", title, input_message_content: content, ...more };
}
function said(markdown: string): { message_text: string; parse_mode?: "HTML"; link_preview_options: unknown } {
  if (markdown.length > TEXT_LIMIT) throw new ChannelError("MSG_003", {}, `Expected a result of at most ${TEXT_LIMIT} characters, got ${markdown.length}.`);
  const { text, ...mode } = renderText(markdown, TEXT_LIMIT);
  return { message_text: text, ...mode, link_preview_options: { is_disabled: true } };
}
const firstLine = (text: string): string => [...(text.trim().split("\n")[0] ?? "")].slice(0, 64).join("");

function ofCard(card: Card): Result {
  const { image, ...words } = card;
  const { title, text = "", url } = words;
  const { text: told } = degrade({ text: "", cards: [words] }, {});
  const content = { ...said(told), ...(image !== undefined && /^https:/i.test(image) ? { link_preview_options: { url: image, prefer_large_media: true, show_above_text: true } } : {}) };
  const name = title ?? (firstLine(text) || "…");
  return article(name, content, {
    ...(text === "" ? {} : { description: [...text].slice(0, 200).join("") }),
    ...(url === undefined ? {} : { url }),
    ...(image !== undefined && /^https:/i.test(image) ? { thumbnail_url: image } : {}),
  });
}

/** The value is what is said when it is picked, and names the result in `chosen_inline_result`. */
function ofOption({ label, value = label, about }: ChoiceOption): Result {
  return article(label, { message_text: value, link_preview_options: { is_disabled: true } }, { id: value, ...(about === undefined ? {} : { description: about }) });
}

const CACHED: Readonly<Record<FileKind, { readonly type: string; readonly field: string; readonly titled: boolean }>> = {
  image: { type: "photo", field: "photo_file_id", titled: false }, video: { type: "video", field: "video_file_id", titled: true },
  audio: { type: "audio", field: "audio_file_id", titled: false }, voice: { type: "voice", field: "voice_file_id", titled: true },
  document: { type: "document", field: "document_file_id", titled: true }, sticker: { type: "sticker", field: "sticker_file_id", titled: false },
};
function ofFile({ kind, media, name, alt }: DraftFile): Result {
  if (/^(?:spool:|https?:)/i.test(media)) throw new ChannelError("MSG_005", {}, "Expected the files of an inline answer to be known to Telegram. Send them to a chat once and use the id Telegram gives them.");
  const { type, field, titled } = CACHED[kind];
  return { type, [field]: media, ...(titled ? { title: alt ?? name ?? kind } : {}) };
}
