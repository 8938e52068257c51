/** A Draft as text, blocks and attachments of Slack (Block Kit). Pure. */
import type { webApi } from "@slack/bolt";
import { render } from "../dialects.ts";
import { splitDraft } from "../split.ts";
import { ChannelError } from "../../errors.ts";
import type { Button, Card, Choices, ChoiceOption, Draft } from "../../message.ts";
import { BLOCKS_LIMIT, BUTTON_URL_LIMIT, BUTTON_VALUE_LIMIT, FIELD_LIMIT, ID_LIMIT, LABEL_LIMIT, OPTION_VALUE_LIMIT, OPTIONS_LIMIT, PLACEHOLDER_LIMIT, ROW_LIMIT, SECTION_LIMIT, TEXT_LIMIT } from "./limits.ts";
import { MENU } from "./to-action.ts";

type Args = webApi.ChatPostMessageArguments;
type BlockOf = Extract<Args, { blocks: unknown }>["blocks"][number];
type MessageAttachment = Extract<Args, { attachments: unknown }>["attachments"][number];
type PlainText = { type: "plain_text"; text: string; emoji: boolean };
export type KnownBlock = Extract<BlockOf, { type: "section" | "actions" | "context" | "image" | "header" | "input" }>;

export interface Content { readonly text: string; readonly blocks: KnownBlock[]; readonly attachments: MessageAttachment[] }

/** Text alone has no blocks: then `text` is what is seen; else it is what a notification says. */
export function contentOf(draft: Draft): Content {
  const { text, plain = false, buttons = [], choices, cards = [] } = draft;
  const pressed = buttons.filter((row) => row.length > 0);
  const bare = pressed.length === 0 && choices === undefined && cards.length === 0;
  const shown = plain ? escapeText(text) : mrkdwn(text);
  if (shown.length > TEXT_LIMIT) throw tooLong("a text", TEXT_LIMIT, shown.length);
  if (bare && !plain) return { text: shown, blocks: [], attachments: [] };
  const colored = cards.filter(({ color }) => color !== undefined);
  const blocks = [
    ...(plain ? plainSections(text) : sections(text)),
    ...cards.filter(({ color }) => color === undefined).flatMap(cardBlocks),
    ...pressed.flatMap(rowBlocks),
    ...(choices === undefined ? [] : [menuBlock(choices)]),
  ];
  if (blocks.length > BLOCKS_LIMIT) throw tooLong("a message", BLOCKS_LIMIT, blocks.length, "blocks");
  const told = shown.trim() === "" ? escapeText([...cards.map(({ title = "" }) => title), ...pressed.flat().map(({ label }) => label), choices?.hint ?? ""].filter((word) => word !== "").join(", ")) : shown;
  return { text: told, blocks, attachments: colored.map((card) => ({ color: card.color as string, fallback: card.title ?? card.text ?? "", blocks: cardBlocks(card) })) };
}

/** Markdown as mrkdwn. People and channels may be named by id, `<@U012AB3CD>`; what rings everybody (`<!here>`, `<!channel>`, a group) stays words. */
export function mrkdwn(markdown: string): string {
  return render(markdown, "mrkdwn").replace(/&lt;([@#][A-Z0-9]{2,32})&gt;/g, "<$1>");
}
function escapeText(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

/** In a section nothing is guessed (`verbatim`), or "@here" would ring: so addresses are marked as links by us. */
function sections(markdown: string): KnownBlock[] {
  if (markdown.trim() === "") return [];
  return splitDraft({ text: markdown }, { text: SECTION_LIMIT, unit: "utf16" }, "mrkdwn").map(({ text }) => section(mrkdwn(text)));
}
function section(text: string): KnownBlock {
  const linked = text.replace(/(^|[\s(])(https?:\/\/[^\s<>|]*[^\s<>|.,;:!?)'"*_~`\]])/g, "$1<$2>");
  return { type: "section", text: { type: "mrkdwn", text: linked.length <= SECTION_LIMIT ? linked : text, verbatim: true } };
}
function plainSections(text: string): KnownBlock[] {
  if (text.trim() === "") return [];
  return splitDraft({ text, plain: true }, { text: SECTION_LIMIT, unit: "utf16" }).map((part) => ({ type: "section", text: words(part.text, SECTION_LIMIT, false) }));
}

export function words(text: string, limit: number, emoji = true): PlainText {
  return { type: "plain_text", text: cut(text, limit), emoji };
}
/** A label that is too long is shortened; what comes back by pressing it stays whole. */
function cut(text: string, limit: number): string {
  if (text.length <= limit) return text;
  return `${text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

function rowBlocks(row: readonly Button[], index: number): KnownBlock[] {
  const rows: KnownBlock[] = [];
  for (let from = 0; from < row.length; from += ROW_LIMIT) rows.push({ type: "actions", elements: row.slice(from, from + ROW_LIMIT).map((button, place) => buttonElement(button, `button-${index}-${from + place}`)) });
  return rows;
}
function buttonElement({ label, value = label, url, style }: Button, action_id: string) {
  const shown = { type: "button" as const, action_id, text: words(label, LABEL_LIMIT), ...(style === undefined ? {} : { style }) };
  if (url !== undefined) {
    if (url.length > BUTTON_URL_LIMIT) throw tooLong(`the address of button "${label}"`, BUTTON_URL_LIMIT, url.length);
    return { ...shown, url };
  }
  if (value.length > BUTTON_VALUE_LIMIT) throw tooLong(`the value of button "${label}"`, BUTTON_VALUE_LIMIT, value.length);
  return { ...shown, value };
}

function menuBlock({ name = "", hint, multiple = false, options }: Choices): KnownBlock {
  if (options.length > OPTIONS_LIMIT) throw tooLong("a menu", OPTIONS_LIMIT, options.length, "options");
  const element = { action_id: cut(`${MENU}${name}`, ID_LIMIT), ...(hint === undefined ? {} : { placeholder: words(hint, PLACEHOLDER_LIMIT) }), options: options.map(optionOf) };
  return { type: "actions", elements: [multiple ? { type: "multi_static_select", ...element } as never : { type: "static_select", ...element }] };
}
export function optionOf({ label, value = label, about }: ChoiceOption): { text: PlainText; value: string; description?: PlainText } {
  if (value.length > OPTION_VALUE_LIMIT) throw tooLong(`the value of option "${cut(label, 40)}"`, OPTION_VALUE_LIMIT, value.length);
  return { text: words(label, LABEL_LIMIT), value, ...(about === undefined ? {} : { description: words(about, LABEL_LIMIT) }) };
}

/** A picture is fetched by Slack: it needs a public address, and is left out without. */
function cardBlocks({ title, text, url, image, fields = [], footer }: Card): KnownBlock[] {
  const head = title === undefined ? (url ?? "") : url === undefined ? `**${title}**` : `**[${title}](${url})**`;
  const rows: KnownBlock[] = [];
  for (let from = 0; from < fields.length; from += 10) rows.push({ type: "section", fields: fields.slice(from, from + 10).map(({ name, value }) => ({ type: "mrkdwn", text: cut(`*${escapeText(name)}*\n${mrkdwn(value)}`, FIELD_LIMIT), verbatim: true })) });
  return [
    ...sections([head, text ?? ""].filter((part) => part !== "").join("\n")),
    ...rows,
    ...(image !== undefined && /^https?:/i.test(image) ? [{ type: "image" as const, image_url: image, alt_text: cut(title ?? "picture", FIELD_LIMIT) }] : []),
    ...(footer === undefined ? [] : [{ type: "context" as const, elements: [{ type: "mrkdwn" as const, text: cut(mrkdwn(footer), FIELD_LIMIT), verbatim: true }] }]),
  ];
}

export function tooLong(what: string, limit: number, got: number, unit = "characters"): ChannelError {
  return new ChannelError("MSG_003", {}, `Expected ${what} of at most ${limit} ${unit}, got ${got}.`);
}
