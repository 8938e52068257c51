/** The conversation on the page: messages by day, what is being written, and where the reader has scrolled to. */
import { arrange, icon, make } from "./dom.ts";
import { createMessage, type MessageTools, type MessageView } from "./message.ts";
import type { Item } from "./model.ts";

export interface LogParts { readonly log: HTMLElement; readonly live: HTMLElement; readonly scroll: HTMLElement; readonly latest: HTMLButtonElement }
export interface Log {
  draw(items: readonly Item[]): void;
  /** Somebody writes; ends by itself. */
  typing(): void;
  stopTyping(): void;
  toEnd(): void;
  goTo(ref: string): void;
  /** So many messages came that the reader has not scrolled to. */
  news(count: number): void;
}

/** Messages of one side nearer than this stand together. */
const TOGETHER_MS = 5 * 60_000;
const TYPING_MS = 8_000;
/** This near the end counts as the end. */
const END_PX = 80;

export function createLog({ log, live, scroll, latest }: LogParts, tools: MessageTools): Log {
  const { say, language } = tools;
  const views = new Map<string, MessageView>();
  const days = new Map<string, HTMLElement>();
  const dots = make("div", { class: "message bot first last dots" }, make("div", { class: "bubble" }, make("i"), make("i"), make("i")));
  let atEnd = true;
  let unread = 0;
  let typingTimer: ReturnType<typeof setTimeout> | undefined;
  let growing: Node[] = [];

  function day(at: number): HTMLElement {
    const key = new Date(at).toDateString();
    const node = days.get(key) ?? make("p", { class: "day" });
    days.set(key, node);
    const words = dayText(at, language, say("today"), say("yesterday"));
    if (node.textContent !== words) node.textContent = words;
    return node;
  }
  function drawLive(): void {
    arrange(live, growing.length === 0 && typingTimer !== undefined ? [dots] : growing);
    if (atEnd) toEnd();
  }
  function toEnd(): void {
    atEnd = true;
    scroll.scrollTop = scroll.scrollHeight;
    showLatest();
  }
  function showLatest(): void {
    if (atEnd) unread = 0;
    latest.hidden = atEnd;
    const words = unread > 0 ? say("news", { n: unread }) : "";
    latest.setAttribute("aria-label", words === "" ? say("latest") : `${say("latest")}, ${words}`);
    latest.replaceChildren(...(words === "" ? [] : [words]), icon("down"));
  }

  latest.addEventListener("click", toEnd);
  let lastTop = 0;
  scroll.addEventListener("scroll", () => {
    // Only a way up leaves the end: content that grows below does not.
    if (scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < END_PX) atEnd = true;
    else if (scroll.scrollTop < lastTop - 2) atEnd = false;
    lastTop = scroll.scrollTop;
    showLatest();
  }, { passive: true });
  const follow = new ResizeObserver(() => { if (atEnd) toEnd(); });
  for (const part of [log, live, scroll]) follow.observe(part);

  return {
    draw(items) {
      const rows: Node[] = [];
      growing = [];
      const used = new Set<string>();
      for (const [at, item] of items.entries()) {
        const before = items[at - 1];
        const view = views.get(item.id) ?? createMessage(tools);
        views.set(item.id, view);
        used.add(item.id);
        view.update(item, !together(before, item), !together(item, items[at + 1]));
        if (item.type === "preview") { growing.push(view.node); continue; }
        if (before === undefined || new Date(before.at).toDateString() !== new Date(item.at).toDateString()) rows.push(day(item.at));
        rows.push(view.node);
      }
      for (const id of views.keys()) if (!used.has(id)) views.delete(id);
      arrange(log, rows);
      drawLive();
    },
    typing() {
      clearTimeout(typingTimer);
      typingTimer = setTimeout(() => { typingTimer = undefined; drawLive(); }, TYPING_MS);
      drawLive();
    },
    stopTyping() {
      clearTimeout(typingTimer);
      typingTimer = undefined;
      drawLive();
    },
    toEnd,
    goTo(ref) {
      const node = log.querySelector<HTMLElement>(`[data-ref="${CSS.escape(ref)}"]`);
      if (node === null) return;
      atEnd = false;
      node.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      node.classList.add("found");
      setTimeout(() => node.classList.remove("found"), 1_600);
    },
    news(count) {
      if (!atEnd) unread += count;
      showLatest();
    },
  };
}

/** In a room everybody is a side of his own. */
function sideOf(item: Item): string { return item.type === "entry" ? `${item.entry.from}${item.entry.author?.tag ?? ""}` : item.type === "outgoing" ? "visitor" : "bot"; }
function together(one: Item | undefined, next: Item | undefined): boolean {
  return one !== undefined && next !== undefined && sideOf(one) === sideOf(next) && next.at - one.at < TOGETHER_MS
    && new Date(one.at).toDateString() === new Date(next.at).toDateString() && !(one.type === "entry" && (one.entry.buttons !== undefined || one.entry.choices !== undefined || one.entry.poll !== undefined));
}
function dayText(at: number, language: string, today: string, yesterday: string): string {
  const now = new Date();
  const date = new Date(at);
  if (date.toDateString() === now.toDateString()) return today;
  if (date.toDateString() === new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1).toDateString()) return yesterday;
  return new Intl.DateTimeFormat(language, { weekday: "long", day: "numeric", month: "long", ...(date.getFullYear() === now.getFullYear() ? {} : { year: "numeric" }) }).format(at);
}
