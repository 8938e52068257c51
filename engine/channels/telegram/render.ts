/** Markdown to Telegram's HTML (https://core.telegram.org/bots/api#html-style). */
import { escapeHtml, isPlain, renderMarkdown, type Dialect } from "../markdown.ts";

const TELEGRAM_HTML: Dialect = {
  escape: escapeHtml,
  strong: (inner) => `<b>${inner}</b>`,
  em: (inner) => `<i>${inner}</i>`,
  del: (inner) => `<s>${inner}</s>`,
  code: (text) => `<code>${escapeHtml(text)}</code>`,
  fence: (text, language) => (language === "" ? `<pre>${escapeHtml(text)}</pre>` : `<pre><code class="language-${language}">${escapeHtml(text)}</code></pre>`),
  link: (inner, href) => (/^(?:https?|tg|mailto|tel):/i.test(href) && inner !== "" ? `<a href="${escapeHtml(href)}">${inner}</a>` : `${inner}${href === "" ? "" : ` (${escapeHtml(href)})`}`),
  heading: (inner) => `<b>${inner}</b>`,
  // A quote cannot hold another one.
  quote: (inner) => `<blockquote>${inner.replace(/<\/?blockquote>/g, "")}</blockquote>`,
  table: (text) => `<pre>${escapeHtml(text)}</pre>`,
  bullet: "•",
  rule: "———",
  done: "☑",
  undone: "☐",
};

export interface Rendered { readonly text: string; readonly parse_mode?: "HTML" }

/** `limit`: what Telegram takes, in UTF-16 units after its parsing. Layout (a table's columns) that grows beyond it is given up: the source goes as it is. */
export function renderText(markdown: string, limit: number): Rendered {
  if (isPlain(markdown)) return { text: markdown };
  try {
    const text = renderMarkdown(markdown, TELEGRAM_HTML);
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
