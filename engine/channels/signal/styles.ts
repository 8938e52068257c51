/** Signal's styles and mentions, which stand beside the text by place (UTF-16 units), as Markdown. Pure. */
import type { Mention } from "./to-message.ts";

const MARKS: Readonly<Record<string, string>> = { BOLD: "**", ITALIC: "*", STRIKETHROUGH: "~~", MONOSPACE: "`" };
/** Stands in a text where somebody is named. */
const NAMED = "\ufffc";

export function toMarkdown(text: string, styles: readonly { readonly start?: number; readonly length?: number; readonly style?: string }[], mentions: readonly Mention[]): string {
  const cuts = new Map<number, { close: string; open: string }>();
  const at = (place: number) => { const cut = cuts.get(place) ?? { close: "", open: "" }; cuts.set(place, cut); return cut; };
  // The longer opens first and closes last.
  for (const { start = 0, length = 0, style = "" } of [...styles].sort((a, b) => (b.length ?? 0) - (a.length ?? 0))) {
    const mark = MARKS[style];
    // White space at an edge would keep the mark from being one.
    const from = start + (/^\s*/.exec(text.slice(start, start + length))?.[0].length ?? 0);
    const to = start + text.slice(start, start + length).trimEnd().length;
    if (mark === undefined || to <= from || to > text.length) continue;
    at(from).open += mark;
    at(to).close = mark + at(to).close;
  }
  const names = new Map(mentions.map(({ start, name, number }) => [start, `@${name || number || "?"}`]));
  let out = "";
  for (let place = 0; place <= text.length; place++) {
    const cut = cuts.get(place);
    if (cut !== undefined) out += cut.close + cut.open;
    const unit = text[place] ?? "";
    out += unit === NAMED ? (names.get(place) ?? unit) : unit;
  }
  return out;
}
