/**
 * Markdown to elements. Nothing of the text becomes markup: elements are made by name, everything else is text. Raw HTML is
 * shown as it was written; pictures of other places are shown as links, so that reading a message asks no foreign server.
 */
import { marked, type Token, type Tokens } from "marked";
import { copyText, icon, make } from "./dom.ts";
import type { Say } from "./strings.ts";

/** Deeper nesting, and longer texts, are shown as they were written: both cost more than they tell. */
const MAX_DEPTH = 16;
const MAX_LENGTH = 20_000;
/** The parser's time grows with the square of these: 20,000 characters "_a*_a*…" would hold the page for seconds. */
const MAX_MARKS = 2_000;

/** An absolute http, https or mailto address, else undefined. */
export function safeAddress(href: string): string | undefined {
  if (!URL.canParse(href)) return undefined;
  const url = new URL(href);
  return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : undefined;
}

export function link(href: string, ...children: (Node | string)[]): HTMLAnchorElement {
  return make("a", { href, target: "_blank", rel: "noopener noreferrer", title: href }, ...children);
}

/** Text as it was typed, with addresses of the web as links. */
export function plain(text: string): DocumentFragment {
  const made = document.createDocumentFragment();
  let end = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"'`]+[^\s<>"'`.,;:!?)\]}*_]/g)) {
    const href = safeAddress(match[0]);
    if (href === undefined) continue;
    made.append(text.slice(end, match.index), link(href, match[0]));
    end = match.index + match[0].length;
  }
  made.append(text.slice(end));
  return made;
}

/** Keeps an element's content equal to a text that may grow: blocks that did not change stay, and with them a selection. */
export function createMarkdown(target: HTMLElement, say: Say): (text: string) => void {
  let shown: string[] = [];
  return (text) => {
    const tokens = tokensOf(text);
    if (tokens === undefined) {
      shown = [];
      target.replaceChildren(make("p", { class: "plain" }, text));
      return;
    }
    const blocks = tokens.filter((token) => token.type !== "space" && token.type !== "def");
    let same = 0;
    while (same < shown.length && same < blocks.length && shown[same] === blocks[same]?.raw) same++;
    if (shown.length === 0) target.replaceChildren();
    while (target.childNodes.length > same) target.lastChild?.remove();
    for (const token of blocks.slice(same)) target.append(block(token, say, 0));
    shown = blocks.map((token) => token.raw);
  };
}

function tokensOf(text: string): Token[] | undefined {
  if (text.length > MAX_LENGTH || (text.match(/[*_~]+/g)?.length ?? 0) > MAX_MARKS) return undefined;
  try {
    return marked.lexer(text, { gfm: true, breaks: true });
  } catch {
    return undefined; // nested deeper than the parser's stack
  }
}

function block(given: Token, say: Say, depth: number): Node {
  if (depth > MAX_DEPTH) return make("p", { class: "plain" }, given.raw);
  const inner = (tokens: readonly Token[] | undefined) => (tokens ?? []).filter((token) => token.type !== "space").map((token) => block(token, say, depth + 1));
  switch (given.type) {
    case "heading": {
      const { depth: level, tokens } = given as Tokens.Heading;
      // The page's own heading is the first level.
      return make(`h${Math.min(6, level + 1)}` as "h2", {}, ...inline(tokens, depth));
    }
    case "code": return codeBlock(given as Tokens.Code, say);
    case "blockquote": return make("blockquote", {}, ...inner((given as Tokens.Blockquote).tokens));
    case "list": {
      const list = given as Tokens.List;
      const items = list.items.map((item) => {
        const marker = item.task ? make("input", { type: "checkbox", disabled: true, checked: item.checked === true, "aria-label": item.checked === true ? "✓" : "–" }) : undefined;
        return make("li", { class: item.task ? "task" : undefined }, marker, ...inner(item.tokens.filter((token) => (token.type as string) !== "checkbox")));
      });
      return list.ordered ? make("ol", { start: list.start === "" || list.start === 1 ? undefined : String(list.start) }, ...items) : make("ul", {}, ...items);
    }
    case "table": return table(given as Tokens.Table, say, depth);
    case "hr": return make("hr");
    case "paragraph": return make("p", {}, ...inline((given as Tokens.Paragraph).tokens, depth));
    case "text": {
      const { tokens } = given as Tokens.Text;
      return make("span", {}, ...(tokens === undefined ? [decoded((given as Tokens.Text).text)] : inline(tokens, depth)));
    }
    case "html": return make("p", { class: "plain" }, given.raw.replace(/\n+$/, ""));
    default: return make("p", { class: "plain" }, given.raw);
  }
}

function inline(tokens: readonly Token[] | undefined, depth: number): (Node | string)[] {
  return (tokens ?? []).map((given): Node | string => {
    if (depth > MAX_DEPTH) return given.raw;
    const inner = () => inline((given as { tokens?: Token[] }).tokens, depth + 1);
    switch (given.type) {
      case "strong": return make("strong", {}, ...inner());
      case "em": return make("em", {}, ...inner());
      case "del": return make("del", {}, ...inner());
      case "codespan": return make("code", {}, (given as Tokens.Codespan).text);
      case "br": return make("br");
      case "escape": return (given as Tokens.Escape).text;
      case "link": {
        const href = safeAddress((given as Tokens.Link).href);
        return href === undefined ? given.raw : link(href, ...inner());
      }
      case "image": {
        const { href, text } = given as Tokens.Image;
        const safe = safeAddress(href);
        return safe === undefined ? given.raw : link(safe, text === "" ? safe : text);
      }
      case "text": {
        const { text, tokens: parts } = given as Tokens.Text;
        return parts === undefined ? decoded(text) : make("span", {}, ...inner());
      }
      default: return given.raw;
    }
  });
}

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", hellip: "…", ndash: "–", mdash: "—", deg: "°", euro: "€" };
/** The character references that models write. */
function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]{2,6}));/gi, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return NAMED[name] ?? whole;
    const code = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

function codeBlock({ text, lang }: Tokens.Code, say: Say): HTMLElement {
  const language = /^[\w+#.-]{1,24}/.exec(lang ?? "")?.[0] ?? "";
  const label = make("span", {}, say("copy"));
  const button = make("button", { type: "button", class: "code-copy", "aria-label": say("copyCode") }, icon("copy"), label);
  button.addEventListener("click", async () => {
    if (!(await copyText(text))) return;
    label.textContent = say("copied");
    setTimeout(() => { label.textContent = say("copy"); }, 2_000);
  });
  const pre = make("pre", { tabindex: "0", role: "region", "aria-label": language === "" ? say("code") : `${say("code")}: ${language}` }, make("code", {}, text));
  return make("div", { class: "code" }, make("div", { class: "code-bar" }, make("span", { class: "code-language" }, language), button), pre);
}

function table({ header, rows, align }: Tokens.Table, say: Say, depth: number): HTMLElement {
  const side = (column: number) => (align[column] === "right" || align[column] === "center" ? `to-${align[column]}` : undefined);
  const head = make("tr", {}, ...header.map((cell, column) => make("th", { scope: "col", class: side(column) }, ...inline(cell.tokens, depth))));
  const body = rows.map((row) => make("tr", {}, ...row.map((cell, column) => make("td", { class: side(column) }, ...inline(cell.tokens, depth)))));
  return make("div", { class: "table", tabindex: "0", role: "region", "aria-label": say("table") }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...body)));
}
