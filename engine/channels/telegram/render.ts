/** Markdown to Telegram's HTML (https://core.telegram.org/bots/api#html-style). */
import { DIALECTS } from "../dialects.ts";
import { isPlain, renderMarkdown } from "../markdown.ts";

export interface Rendered { readonly text: string; readonly parse_mode?: "HTML" }

/** `limit`: what Telegram takes, in UTF-16 units after its parsing. Layout (a table's columns) that grows beyond it is given up: the source goes as it is. */
export function renderText(markdown: string, limit: number): Rendered {
  if (isPlain(markdown)) return { text: markdown };
  try {
    const text = renderMarkdown(markdown, DIALECTS.telegram);
    const length = visibleLength(text);
    if (text !== markdown && length > 0 && length <= limit) return { text, parse_mode: "HTML" };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return { text: markdown };
}

function visibleLength(html: string): number {
  return html.replace(/<[^>]*>/g, "").replace(/&(?:amp|lt|gt|quot);/g, "x").length;
}
