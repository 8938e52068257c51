/** Telegram's entities to Markdown. */
import type { MessageEntity } from "grammy/types";

/** Marks around a stretch of text; entities not listed (mention, url, hashtag, underline, spoiler, …) read right without any. */
const AROUND: Readonly<Record<string, string>> = { bold: "**", italic: "*", strikethrough: "~~" };

interface Mark { readonly at: number; readonly text: string; readonly open: boolean; readonly length: number; readonly order: number }

/** What the person typed stays as it is, marks are only added: offsets are in UTF-16 units, as in JavaScript. */
export function toMarkdown(text: string, entities: readonly MessageEntity[] | undefined): string {
  if (entities === undefined || entities.length === 0) return text;
  const marks: Mark[] = [];
  const quotes: { from: number; to: number }[] = [];
  for (const [order, entity] of entities.entries()) {
    const around = AROUND[entity.type];
    let from = entity.offset;
    let to = entity.offset + entity.length;
    const inner = text.slice(from, to);
    let open = around;
    let close = around;
    if (around !== undefined) {
      // "** bold**" is no Markdown: white space stays outside.
      from += inner.length - inner.trimStart().length;
      to -= inner.length - inner.trimEnd().length;
    } else if (entity.type === "code") {
      const ticks = fenceFor(inner, 1);
      const pad = inner.startsWith("`") || inner.endsWith("`") ? " " : "";
      open = ticks + pad;
      close = pad + ticks;
    } else if (entity.type === "pre") {
      const ticks = fenceFor(inner, 3);
      open = `${from > 0 && text[from - 1] !== "\n" ? "\n" : ""}${ticks}${entity.language ?? ""}\n`;
      close = `${inner.endsWith("\n") ? "" : "\n"}${ticks}${to < text.length && text[to] !== "\n" ? "\n" : ""}`;
    } else if (entity.type === "text_link" || entity.type === "text_mention") {
      open = "[";
      close = `](${address(entity.type === "text_link" ? entity.url : `tg://user?id=${entity.user.id}`)})`;
    } else if (entity.type === "blockquote" || entity.type === "expandable_blockquote") quotes.push({ from, to });
    if (open === undefined || close === undefined || from >= to) continue;
    marks.push({ at: from, text: open, open: true, length: to - from, order }, { at: to, text: close, open: false, length: to - from, order });
  }
  // At one place: close before open; the longer opens first and closes last.
  marks.sort((a, b) => a.at - b.at || Number(a.open) - Number(b.open) || (a.open ? b.length - a.length || a.order - b.order : a.length - b.length || b.order - a.order));
  const opens = new Map<number, string>();
  const closes = new Map<number, string>();
  for (const mark of marks) {
    const side = mark.open ? opens : closes;
    side.set(mark.at, (side.get(mark.at) ?? "") + mark.text);
  }
  return assemble(text, opens, closes, quotes);
}

function assemble(text: string, opens: ReadonlyMap<number, string>, closes: ReadonlyMap<number, string>, quotes: readonly { from: number; to: number }[]): string {
  const places = new Set([0, text.length, ...opens.keys(), ...closes.keys(), ...quotes.flatMap(({ from, to }) => [from, to])]);
  const sorted = [...places].filter((at) => at >= 0 && at <= text.length).sort((a, b) => a - b);
  let out = "";
  for (const [index, at] of sorted.entries()) {
    const end = sorted[index + 1] ?? text.length;
    const starts = quotes.some((quote) => quote.from === at);
    const quoted = quotes.some((quote) => quote.from <= at && at < quote.to);
    const ended = !starts && quotes.some((quote) => quote.to === at) && at < text.length;
    out += closes.get(at) ?? "";
    // Without an empty line the next one would still belong to the quote.
    if (ended) out += text.startsWith("\n\n", at) ? "" : text[at] === "\n" ? "\n" : "\n\n";
    if (starts) out += `${out === "" || out.endsWith("\n") ? "" : "\n"}> `;
    out += opens.get(at) ?? "";
    const piece = text.slice(at, end);
    out += quoted ? piece.replace(/\n(?=.|\n)/g, "\n> ") : piece;
  }
  return out;
}

/** A run of backticks that the text does not hold. */
function fenceFor(text: string, least: number): string {
  let longest = 0;
  for (const run of text.match(/`+/g) ?? []) longest = Math.max(longest, run.length);
  return "`".repeat(longest >= least ? longest + 1 : least);
}

function address(url: string): string {
  return /[()\s<>]/.test(url) ? `<${url.replace(/[<>\s]/g, (character) => encodeURIComponent(character))}>` : url;
}
