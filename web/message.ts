/** One message as DOM. Its node stays while its content changes: from being previewed or sent until it is edited. */
import type { Entry, FileCard } from "../engine/channels/webchat/protocol.ts";
import type { Button } from "../engine/message.ts";
import { type Child, copyText, icon, iconButton, make, sizeText, textButton } from "./dom.ts";
import { type Files, isPicture, isSound } from "./files.ts";
import { createMarkdown, link, plain, safeAddress } from "./markdown.ts";
import type { Item, Outgoing } from "./model.ts";
import { menuOf, partsOf, pollOf } from "./parts.ts";
import type { Say } from "./strings.ts";

export interface MessageTools {
  readonly say: Say;
  readonly language: string;
  readonly files: Files;
  botName(): string;
  entry(ref: string): Entry | undefined;
  press(entry: Entry, button: Button): Promise<void>;
  choose(entry: Entry, values: readonly string[]): Promise<void>;
  vote(entry: Entry, options: readonly number[]): Promise<void>;
  /** What the reader votes for. */
  votes(entry: Entry): readonly number[];
  /** Whether the reader wrote it. */
  mine(entry: Entry): boolean;
  reply(ref: string): void;
  goTo(ref: string): void;
  retry(clientId: string): void;
  remove(clientId: string): void;
  fault(text: string): void;
}
export interface MessageView {
  readonly node: HTMLElement;
  /** `first`, `last`: among messages of the same side that stand together. */
  update(item: Item, first: boolean, last: boolean): void;
}

/** One to three emoji and nothing else. */
const BIG = /^(?:\p{Extended_Pictographic}(?:\uFE0F|\u200D\p{Extended_Pictographic}|\p{Emoji_Modifier})*\s*){1,3}$/u;

export function createMessage(tools: MessageTools): MessageView {
  const { say } = tools;
  const node = make("article", {});
  const text = make("div", { class: "text", dir: "auto" });
  const markdown = createMarkdown(text, say);
  let shownItem: Item | undefined;
  let shownQuote: Entry | undefined;
  let shownText: string | undefined;
  let shownVotes = "";
  let shownFirst = false;

  function showText(words: string, asTyped: boolean): void {
    const mark = `${asTyped}${words}`;
    if (mark === shownText) return;
    shownText = mark;
    text.classList.toggle("typed", asTyped);
    text.classList.toggle("huge", words.length < 30 && BIG.test(words));
    if (asTyped) text.replaceChildren(plain(words));
    else markdown(words);
  }

  return {
    node,
    update(item, first, last) {
      const other = item.type === "entry" && item.entry.from === "visitor" && !tools.mine(item.entry) ? item.entry.author : undefined;
      const from = other !== undefined ? "other" : item.type === "outgoing" || (item.type === "entry" && item.entry.from === "visitor") ? "visitor" : "bot";
      const state = item.type === "outgoing" ? item.outgoing.state : item.type === "preview" ? "growing" : "kept";
      node.className = ["message", from, state, first ? "first" : "", last ? "last" : ""].filter(Boolean).join(" ");
      const quoteRef = item.type === "entry" ? item.entry.replyTo : item.type === "outgoing" ? item.outgoing.replyTo : undefined;
      const quoted = quoteRef === undefined ? undefined : tools.entry(quoteRef);
      const votes = item.type === "entry" && item.entry.poll !== undefined ? tools.votes(item.entry).join() : "";
      if (item === shownItem && quoted === shownQuote && votes === shownVotes && first === shownFirst) return;
      shownVotes = votes;
      shownFirst = first;
      shownItem = item;
      shownQuote = quoted;
      if (item.type === "preview") {
        showText(item.preview.text, item.preview.plain);
        node.replaceChildren(make("div", { class: "bubble" }, text));
        return;
      }
      const { text: words, files = [] } = item.type === "entry" ? item.entry : item.outgoing;
      showText(words, from !== "bot" || (item.type === "entry" && item.entry.plain === true));
      const who = from === "visitor" ? say("youSaid") : say("said", { who: other?.name ?? tools.botName() });
      const bubble = make("div", { class: "bubble" },
        quoteRef === undefined ? undefined : quoteOf(quoteRef, quoted, tools),
        ...filesOf(files, tools),
        words === "" ? undefined : text,
        ...(item.type === "entry" ? partsOf(item.entry, tools) : []),
      );
      if (other !== undefined && first) bubble.prepend(make("p", { class: "author", dir: "auto", "aria-hidden": "true" }, other.name));
      const children: Child[] = [make("span", { class: "hidden" }, who), bubble];
      if (item.type === "entry") {
        const { entry } = item;
        node.dataset.ref = String(entry.seq);
        if (entry.reaction !== undefined) bubble.append(make("span", { class: "reaction" }, entry.reaction));
        if (entry.poll !== undefined) children.push(pollOf(entry, entry.poll, tools));
        if (entry.choices !== undefined) children.push(menuOf(entry, entry.choices, tools));
        if (entry.buttons !== undefined) children.push(buttonsOf(entry, tools));
        children.push(make("div", { class: "foot" }, metaOf(entry, tools), actsOf(entry, tools)));
      } else children.push(fateOf(item.outgoing, tools));
      const stops = () => [...node.querySelectorAll<HTMLElement>("button, a, [tabindex]")];
      const focused = stops().indexOf(document.activeElement as HTMLElement);
      node.replaceChildren(...children.filter((child) => child !== undefined));
      if (focused >= 0) stops()[focused]?.focus({ preventScroll: true });
    },
  };
}

export function excerpt(entry: Pick<Entry, "text" | "files" | "cards" | "poll">): string {
  const words = entry.text.replace(/```[\s\S]*?```/g, " … ").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/[*_`#>~]+/g, "").replace(/\s+/g, " ").trim();
  return (words || (entry.files?.[0]?.name ?? entry.poll?.question ?? entry.cards?.[0]?.title ?? "")).slice(0, 140);
}

function quoteOf(ref: string, quoted: Entry | undefined, { say, botName, goTo, mine }: MessageTools): HTMLElement {
  if (quoted === undefined) return make("p", { class: "quote gone" }, say("quoteGone"));
  const button = make("button", { type: "button", class: "quote" }, make("strong", {}, quoted.from === "bot" ? botName() : mine(quoted) ? say("you") : (quoted.author?.name ?? "")), make("span", { dir: "auto" }, excerpt(quoted)));
  button.addEventListener("click", () => goTo(ref));
  return button;
}

function filesOf(files: readonly FileCard[], tools: MessageTools): HTMLElement[] {
  return files.map((file) => {
    const load = (): Promise<void> => tools.files.download(file).catch((error: Error) => tools.fault(tools.say("fileGone", { text: error.message })));
    if (isSound(file.mime)) {
      const player = make("audio", { class: "sound", controls: true, "aria-label": file.name });
      tools.files.address(file).then((address) => { player.src = address; }, (error: Error) => tools.fault(tools.say("fileGone", { text: error.message })));
      return player;
    }
    if (!isPicture(file.mime)) {
      const card = make("button", { type: "button", class: "file", "aria-label": tools.say("download", { name: file.name }) }, icon("file"), make("span", { class: "file-words" }, make("span", { class: "file-name", dir: "auto" }, file.name), file.bytes === undefined ? undefined : make("span", { class: "file-size" }, sizeText(file.bytes, tools.language))));
      card.addEventListener("click", () => void load());
      return card;
    }
    const image = make("img", { alt: file.alt ?? file.name });
    const frame = make("button", { type: "button", class: "picture", "aria-label": tools.say("download", { name: file.name }) }, image);
    tools.files.address(file).then((address) => { image.src = address; }, () => frame.replaceChildren(icon("picture"), make("span", {}, file.name)));
    frame.addEventListener("click", () => void load());
    return frame;
  });
}

function buttonsOf(entry: Entry, { say, press, fault }: MessageTools): HTMLElement {
  const rows = (entry.buttons ?? []).map((row) => make("div", { class: "choice-row" }, ...row.map((button): Child => {
    if (button.url !== undefined) {
      const address = safeAddress(button.url);
      if (address === undefined) return make("span", { class: "choice dead" }, button.label);
      const anchor = link(address, button.label);
      anchor.classList.add("choice");
      return anchor;
    }
    const chosen = entry.pressed === (button.value ?? button.label);
    const choice = textButton(button.label, { class: chosen ? "choice chosen" : "choice", "aria-pressed": chosen ? "true" : "false" }, async () => {
      // Not `disabled`: a button that is takes the keyboard's focus away.
      if (choice.ariaBusy === "true") return;
      choice.ariaBusy = "true";
      try {
        await press(entry, button);
      } catch (error) {
        fault(say("pressFault", { text: (error as Error).message }));
      }
      choice.ariaBusy = "false";
    });
    if (chosen) choice.prepend(icon("done"));
    return choice;
  })));
  return make("div", { class: "choices" }, ...rows);
}

function actsOf(entry: Entry, { say, reply }: MessageTools): HTMLElement {
  const copy = iconButton("copy", say("copy"), { class: "act" }, async () => {
    if (!(await copyText(entry.text))) return;
    copy.replaceChildren(icon("done"));
    setTimeout(() => copy.replaceChildren(icon("copy")), 1_500);
  });
  return make("div", { class: "acts" }, iconButton("reply", say("reply"), { class: "act" }, () => reply(String(entry.seq))), entry.text === "" ? undefined : copy);
}

function metaOf(entry: Entry, { say, language }: MessageTools): HTMLElement {
  const time = make("time", { datetime: new Date(entry.at).toISOString(), title: new Intl.DateTimeFormat(language, { dateStyle: "full", timeStyle: "short" }).format(entry.at) }, new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit" }).format(entry.at));
  return make("p", { class: "meta" }, time, entry.edited === true ? ` · ${say("edited")}` : undefined);
}

function fateOf({ clientId, state, note }: Outgoing, { say, retry, remove }: MessageTools): HTMLElement {
  if (state === "sending" || state === "sent") return make("p", { class: "meta" }, say("sending"));
  return make("p", { class: "meta fault" }, make("span", {}, state === "refused" ? say("notDelivered") : (note ?? "")), textButton(say("retry"), { class: "link" }, () => retry(clientId)), textButton(say("remove"), { class: "link" }, () => remove(clientId)));
}
