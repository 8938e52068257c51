/** What a platform cannot show is told in words, so that a reader loses nothing and knows what to do. Pure. */
import type { Button, Card, Choices, Draft, DraftFile } from "../message.ts";
import type { Shows } from "./channel.ts";
import { escapeMarkdown } from "./markdown.ts";

/** How words are put: in Markdown, where what was no markup stays none, or as they are where the draft is plain. */
interface Words { strong(text: string): string; plain(text: string): string }
const MARKDOWN: Words = { strong: (text) => (text.trim() === "" ? "" : `**${escapeMarkdown(text.trim())}**`), plain: escapeMarkdown };
const PLAIN: Words = { strong: (text) => text.trim(), plain: (text) => text };

/** Says what there is to say without the parts that `shows` lacks. A form or template has no words of its own: its texts are told. */
export function degrade(draft: Draft, shows: Shows): Draft {
  const { text, buttons, choices, cards, poll, location, contact, form, attachments = [], subject, ...rest } = draft;
  const words = draft.plain === true ? PLAIN : MARKDOWN;
  const told: string[] = [text];
  const kept: { -readonly [K in keyof Draft]?: Draft[K] } = {};
  const files = attachments.filter((file) => (shows.files ?? []).includes(file.kind));

  if (subject !== undefined) { if (shows.subject === true) kept.subject = subject; else told.unshift(words.strong(subject)); }
  if (cards !== undefined) { if (shows.cards === true) kept.cards = cards; else { told.push(...cards.map((card) => cardText(card, words))); if ((shows.files ?? []).includes("image")) files.push(...cards.flatMap(cardImage)); else told.push(...cards.flatMap(({ image = "", title }) => (/^https?:/i.test(image) ? [`${words.plain(title ?? "image")}: ${image}`] : []))); } }
  for (const file of attachments) if (!files.includes(file)) told.push(fileText(file, words));
  const pressed = (buttons ?? []).flat();
  if (pressed.length > 0) { if (fitsButtons(pressed, shows) && buttons !== undefined) kept.buttons = buttons; else told.push(...buttonsText(pressed, words)); }
  if (choices !== undefined) { if (choices.options.length <= (shows.choices ?? 0)) kept.choices = choices; else told.push(choicesText(choices, words)); }
  if (poll !== undefined) { if (shows.poll === true) kept.poll = poll; else told.push([words.strong(poll.question), ...numbered(poll.options.map(words.plain))].join("\n")); }
  if (location !== undefined) { if (shows.location === true) kept.location = location; else told.push(placeText(location, words)); }
  if (contact !== undefined) { if (shows.contact === true) kept.contact = contact; else told.push(`${words.plain(contact.name)}: ${contact.phone}`); }
  if (form !== undefined) { if (shows.form === true) kept.form = form; else told.push([words.strong(form.title), ...form.fields.map((field) => `• ${words.plain(field.label)}${field.options === undefined ? "" : `: ${field.options.map(({ label }) => words.plain(label)).join(" / ")}`}`)].join("\n")); }
  return { ...rest, ...kept, ...(files.length > 0 ? { attachments: files } : {}), text: told.filter((part) => part.trim() !== "").join("\n\n") };
}

/** Does the platform show all of these buttons as buttons? */
export function fitsButtons(buttons: readonly Button[], shows: Shows): boolean {
  const labels = shows.buttonLabel ?? Number.POSITIVE_INFINITY;
  return buttons.length <= (shows.buttons ?? 0) && buttons.every(({ label, url }) => [...label].length <= labels && (url === undefined || shows.links === true));
}

const numbered = (options: readonly string[]): string[] => options.map((option, index) => `${index + 1}. ${option}`);

/** A number can be typed as the answer; a link stands as it is. */
function buttonsText(buttons: readonly Button[], words: Words): string[] {
  const links = buttons.filter(({ url }) => url !== undefined).map(({ label, url }) => `${words.plain(label)}: ${url}`);
  return [numbered(buttons.filter(({ url }) => url === undefined).map(({ label }) => words.plain(label))).join("\n"), links.join("\n")];
}
function choicesText({ hint, options }: Choices, words: Words): string {
  return [words.plain(hint ?? ""), ...numbered(options.map(({ label, about }) => words.plain(about === undefined ? label : `${label}: ${about}`)))].filter((line) => line !== "").join("\n");
}
function cardText({ title, text, url, fields = [], footer }: Card, words: Words): string {
  const head = title === undefined ? "" : words.strong(title);
  return [head, text ?? "", ...fields.map(({ name, value }) => `${words.strong(name)}: ${value}`), url ?? "", words.plain(footer ?? "")].filter((line) => line !== "").join("\n");
}
function cardImage({ image, title }: Card): DraftFile[] {
  return image === undefined ? [] : [{ kind: "image", media: image, ...(title === undefined ? {} : { alt: title }) }];
}
function fileText({ kind, media, name, alt }: DraftFile, words: Words): string {
  const about = words.plain([name, alt].filter((part) => part !== undefined && part !== "").join(": ") || kind);
  return /^https?:/i.test(media) ? `${about}: ${media}` : `(${about})`;
}
function placeText({ latitude, longitude, title, address }: NonNullable<Draft["location"]>, words: Words): string {
  return [...[title, address].filter((part) => part !== undefined).map(words.plain), `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=16/${latitude}/${longitude}`].join("\n");
}
