/** What a message holds beside text and files: menus, cards, polls, places, contacts. Elements are made by name; everything of a message is text. */
import type { CardView, Entry, Menu, PollView } from "../engine/channels/webchat/protocol.ts";
import { type Child, icon, make, textButton } from "./dom.ts";
import { createMarkdown, link, safeAddress } from "./markdown.ts";
import type { MessageTools } from "./message.ts";
import { isPicture } from "./files.ts";

/** More options than these are a list to choose from. */
const MOST_BUTTONS = 8;

/** Above what is pressed: what is read. */
export function partsOf(entry: Entry, tools: MessageTools): Child[] {
  const { cards = [], location, contact } = entry;
  return [...cards.map((card) => cardOf(card, tools)), location === undefined ? undefined : placeOf(location, tools), contact === undefined ? undefined : contactOf(contact)];
}

function cardOf({ title, text, url, image, color, fields = [], footer }: CardView, tools: MessageTools): HTMLElement {
  const address = url === undefined ? undefined : safeAddress(url);
  const words = make("div", { class: "text" });
  if (text !== undefined) createMarkdown(words, tools.say)(text);
  const heading = title === undefined ? undefined : make("p", { class: "show-title", dir: "auto" }, address === undefined ? title : link(address, title));
  const card = make("div", { class: "show" },
    heading,
    text === undefined ? undefined : words,
    fields.length === 0 ? undefined : make("dl", {}, ...fields.map(({ name, value, short }) => make("div", short === true ? { class: "short" } : {}, make("dt", { dir: "auto" }, name), make("dd", { dir: "auto" }, value)))),
    address !== undefined && title === undefined ? link(address, address) : undefined,
    footer === undefined ? undefined : make("p", { class: "show-foot", dir: "auto" }, footer),
  );
  if (image !== undefined && isPicture(image.mime)) {
    const picture = make("img", { alt: image.alt ?? title ?? "" });
    tools.files.address(image).then((found) => { picture.src = found; }, () => picture.remove());
    card.prepend(picture);
  }
  if (color !== undefined && /^#[0-9a-f]{6}$/i.test(color)) card.style.setProperty("--stripe", color);
  return card;
}

function placeOf({ latitude, longitude, title }: NonNullable<Entry["location"]>, { say }: MessageTools): Child {
  const map = link(`https://www.openstreetmap.org/?mlat=${latitude}&mlon=${longitude}#map=16/${latitude}/${longitude}`, icon("place"), title ?? say("location", { latitude, longitude }));
  map.classList.add("place");
  return map;
}

function contactOf({ name, phone }: NonNullable<Entry["contact"]>): HTMLElement {
  const digits = phone.replace(/[^+\d]/g, "");
  return make("div", { class: "contact" }, icon("person"), make("span", {}, make("strong", { dir: "auto" }, name), digits === "" ? phone : make("a", { href: `tel:${digits}` }, phone)));
}

/** Does something that takes a while, once at a time; what went wrong is said. Not `disabled`: a button that is takes the keyboard's focus away. */
function busy(node: HTMLElement, act: () => Promise<void>, { fault, say }: MessageTools): () => Promise<void> {
  return async () => {
    if (node.ariaBusy === "true") return;
    node.ariaBusy = "true";
    try {
      await act();
    } catch (error) {
      fault(say("pressFault", { text: (error as Error).message }));
    }
    node.ariaBusy = "false";
  };
}

export function menuOf(entry: Entry, menu: Menu, tools: MessageTools): HTMLElement {
  const { say, choose } = tools;
  const chosen = new Set(entry.chosen ?? []);
  const hint = menu.hint === undefined ? undefined : make("p", { class: "hint", dir: "auto" }, menu.hint);
  const box = make("div", { class: "choices", role: "group", "aria-label": menu.hint ?? menu.name ?? say("menu") });
  if (menu.multiple === true) {
    const boxes = menu.options.map(({ label, value, about }) => {
      const input = make("input", { type: "checkbox", checked: chosen.has(value) });
      return { value, input, row: make("label", { class: "tick" }, input, make("span", { dir: "auto" }, label, about === undefined ? undefined : make("small", {}, about))) };
    });
    const done = textButton(say("choose"), { class: "choice" }, () => void busy(done, async () => {
      const values = boxes.filter(({ input }) => input.checked).map(({ value }) => value);
      if (values.length > 0) await choose(entry, values);
    }, tools)());
    box.append(...boxes.map(({ row }) => row), done);
  } else if (menu.options.length > MOST_BUTTONS) {
    const list = make("select", { "aria-label": menu.hint ?? menu.name ?? say("menu") }, make("option", { value: "" }, menu.hint ?? say("menu")), ...menu.options.map(({ label, value, about }, index) => make("option", { value: String(index), selected: chosen.has(value) }, about === undefined ? label : `${label} – ${about}`)));
    list.addEventListener("change", () => {
      const option = menu.options[Number(list.value)];
      if (list.value !== "" && option !== undefined) void busy(list, () => choose(entry, [option.value]), tools)();
    });
    box.append(list);
    return box;
  } else {
    for (const { label, value, about } of menu.options) {
      const mine = chosen.has(value);
      const choice = textButton("", { class: mine ? "choice option chosen" : "choice option", "aria-pressed": mine ? "true" : "false" }, () => void busy(choice, () => choose(entry, [value]), tools)());
      choice.append(...(mine ? [icon("done")] : []), make("span", { dir: "auto" }, label, about === undefined ? undefined : make("small", {}, about)));
      box.append(choice);
    }
  }
  if (hint !== undefined) box.prepend(hint);
  return box;
}

/** An option that is pressed again takes the vote back. */
export function pollOf(entry: Entry, { question, options, multiple, counts }: PollView, tools: MessageTools): HTMLElement {
  const mine = tools.votes(entry);
  const total = Math.max(1, counts.reduce((sum, each) => sum + each, 0));
  const rows = options.map((label, index) => {
    const own = mine.includes(index);
    const count = counts[index] ?? 0;
    const row = make("button", { type: "button", class: own ? "vote chosen" : "vote", "aria-pressed": own ? "true" : "false" }, make("span", { class: "vote-label", dir: "auto" }, label), make("span", { class: "vote-count" }, own ? icon("done") : undefined, String(count)));
    row.style.setProperty("--part", `${Math.round((count / total) * 100)}%`);
    row.addEventListener("click", () => void busy(row, () => tools.vote(entry, own ? mine.filter((each) => each !== index) : multiple === true ? [...mine, index] : [index]), tools)());
    return row;
  });
  return make("div", { class: "poll", role: "group", "aria-label": question }, make("p", { class: "show-title", dir: "auto" }, question), ...rows);
}
