/** What a platform cannot show is told in words, so that a reader loses nothing and knows what to do. Pure. */
import type { Button, Card, Choices, Draft, DraftFile } from "../message.ts";
import type { Shows } from "./channel.ts";

/** Says what there is to say without the parts that `shows` lacks. A form or template has no words of its own: its texts are told. */
export function degrade(draft: Draft, shows: Shows): Draft {
  const { text, buttons, choices, cards, poll, location, contact, form, attachments = [], subject, ...rest } = draft;
  const told: string[] = [text];
  const kept: { -readonly [K in keyof Draft]?: Draft[K] } = {};
  const files = attachments.filter((file) => (shows.files ?? []).includes(file.kind));

  if (subject !== undefined) { if (shows.subject === true) kept.subject = subject; else told.unshift(strong(subject)); }
  if (cards !== undefined) { if (shows.cards === true) kept.cards = cards; else { told.push(...cards.map(cardText)); if ((shows.files ?? []).includes("image")) files.push(...cards.flatMap(cardImage)); } }
  for (const file of attachments) if (!files.includes(file)) told.push(fileText(file));
  const pressed = (buttons ?? []).flat();
  const most = shows.buttons ?? 0;
  const labels = shows.buttonLabel ?? Number.POSITIVE_INFINITY;
  const fit = pressed.length <= most && pressed.every((button) => [...button.label].length <= labels && (button.url === undefined || shows.links === true));
  if (pressed.length > 0) { if (fit && buttons !== undefined) kept.buttons = buttons; else told.push(buttonsText(pressed)); }
  if (choices !== undefined) { if (choices.options.length <= (shows.choices ?? 0)) kept.choices = choices; else told.push(choicesText(choices)); }
  if (poll !== undefined) { if (shows.poll === true) kept.poll = poll; else told.push([strong(poll.question), ...numbered(poll.options)].join("\n")); }
  if (location !== undefined) { if (shows.location === true) kept.location = location; else told.push(placeText(location)); }
  if (contact !== undefined) { if (shows.contact === true) kept.contact = contact; else told.push(`${contact.name}: ${contact.phone}`); }
  if (form !== undefined) { if (shows.form === true) kept.form = form; else told.push([strong(form.title), ...form.fields.map((field) => `• ${field.label}${field.options === undefined ? "" : `: ${field.options.map(({ label }) => label).join(" / ")}`}`)].join("\n")); }
  return { ...rest, ...kept, ...(files.length > 0 ? { attachments: files } : {}), text: told.filter((part) => part.trim() !== "").join("\n\n") };
}

const strong = (text: string): string => (text.trim() === "" ? "" : `**${text.trim().replaceAll("*", "\\*")}**`);
const numbered = (options: readonly string[]): string[] => options.map((option, index) => `${index + 1}. ${option}`);

/** A number can be typed as the answer; a link stands as it is. */
function buttonsText(buttons: readonly Button[]): string {
  let number = 0;
  return buttons.map(({ label, url }) => (url === undefined ? `${++number}. ${label}` : `${label}: ${url}`)).join("\n");
}
function choicesText({ hint, options }: Choices): string {
  return [hint ?? "", ...numbered(options.map(({ label, about }) => (about === undefined ? label : `${label}: ${about}`)))].filter((line) => line !== "").join("\n");
}
function cardText({ title, text, url, fields = [], footer }: Card): string {
  const head = title === undefined ? "" : strong(title);
  return [head, text ?? "", ...fields.map(({ name, value }) => `${strong(name)}: ${value}`), url ?? "", footer ?? ""].filter((line) => line !== "").join("\n");
}
function cardImage({ image, title }: Card): DraftFile[] {
  return image === undefined ? [] : [{ kind: "image", media: image, ...(title === undefined ? {} : { alt: title }) }];
}
function fileText({ kind, media, name, alt }: DraftFile): string {
  const about = [name, alt].filter((part) => part !== undefined && part !== "").join(": ") || kind;
  return /^https?:/i.test(media) ? `${about}: ${media}` : `[${about}]`;
}
function placeText({ latitude, longitude, title, address }: NonNullable<Draft["location"]>): string {
  return [title, address, `https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=16/${latitude}/${longitude}`].filter((part) => part !== undefined).join("\n");
}
