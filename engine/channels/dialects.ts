/**
 * The one table of dialects: how each family of platforms writes what Markdown says. Adapters name a row (`Channel.dialect`) and call `render`.
 * What cannot be marked reads well as plain text; nothing a person wrote becomes markup by accident where the platform knows an escape.
 */
import { escapeHtml, isPlain, PLAIN_TEXT, renderMarkdown, type Dialect } from "./markdown.ts";

const fixed = (text: string) => `\`\`\`\n${text}\n\`\`\``;
const quoted = (inner: string) => inner.replace(/^/gm, "> ");
const named = (inner: string, href: string) => (href === "" || inner === href ? inner : inner === "" ? href : `${inner} (${href})`);
const isLink = (href: string) => /^(?:https?|mailto|tel):/i.test(href);

/** https://core.telegram.org/bots/api#html-style */
const telegram: Dialect = {
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
  bullet: "•", rule: "———", done: "☑", undone: "☐",
};

/** https://support.discord.com/hc/en-us/articles/210298617; a mention in a text never rings: that is set by the request (allowed_mentions). */
const discord: Dialect = {
  // A backslash works before every mark, and before no letter or figure.
  escape: (text) => text.replace(/[\\*_~`|<>[\]]/g, "\\$&"),
  begin: (inner) => inner.replace(/^([ \t]*)(-#|#{1,3}|[-+])(?=[ \t])/gm, "$1\\$2").replace(/^([ \t]*\d+)([.)])(?=[ \t])/gm, "$1\\$2"),
  strong: (inner) => `**${inner}**`,
  em: (inner) => `*${inner}*`,
  del: (inner) => `~~${inner}~~`,
  code: (text) => (text.includes("`") ? `\`\` ${text} \`\`` : `\`${text}\``),
  fence: (text, language) => `\`\`\`${language}\n${text.replaceAll("```", "`\u200b``")}\n\`\`\``,
  link: (inner, href) => (/^https?:/i.test(href) && inner !== "" ? `[${inner}](<${href.replace(/[<>\s]/g, encodeURIComponent)}>)` : named(inner, href)),
  heading: (inner, depth) => (depth <= 3 ? `${"#".repeat(depth)} ${inner}` : `**${inner}**`),
  quote: quoted,
  table: fixed,
  address: (url) => url,
  bullet: "-", rule: "———", done: "☑", undone: "☐",
};

/** Slack's own markup, https://docs.slack.dev/messaging/formatting-message-text: only & < > can be escaped. */
const mrkdwn: Dialect = {
  escape: (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;"),
  strong: (inner) => `*${inner}*`,
  em: (inner) => `_${inner}_`,
  del: (inner) => `~${inner}~`,
  code: (text) => `\`${mrkdwnText(text)}\``,
  fence: (text) => fixed(mrkdwnText(text)),
  link: (inner, href) => (isLink(href) ? `<${href.replace(/[<>|\s]/g, encodeURIComponent)}${inner === "" ? "" : `|${inner.replaceAll("|", "¦")}`}>` : named(inner, mrkdwnText(href))),
  heading: (inner) => `*${inner.replace(/^\*(.*)\*$/, "$1")}*`,
  quote: quoted,
  table: (text) => fixed(mrkdwnText(text)),
  bullet: "•", rule: "———", done: "☑", undone: "☐",
};
function mrkdwnText(text: string): string { return mrkdwn.escape(text); }

/** https://faq.whatsapp.com/539178204879377: no escape, no links with words of their own. */
const whatsapp: Dialect = {
  ...PLAIN_TEXT,
  strong: (inner) => `*${inner}*`,
  em: (inner) => `_${inner}_`,
  del: (inner) => `~${inner}~`,
  code: (text) => `\`${text}\``,
  fence: (text) => `\`\`\`${text}\`\`\``,
  link: named,
  heading: (inner) => `*${inner.replace(/^\*(.*)\*$/, "$1")}*`,
  quote: quoted,
  table: (text) => `\`\`\`${text}\`\`\``,
};

/**
 * signal-cli-rest-api, text_mode "styled" (src/utils/textstyleparser.go): *italic*, **bold**, ~strike~, `mono`, a backslash before any of these signs keeps it. Marks count inside
 * of mono too, and a kept sign right before a closing mark would swallow it.
 */
const signalText = (text: string) => text.replace(/[*~`|]/g, "\\$&");
const signalMark = (mark: string) => (inner: string) => (inner === "" || /\\[*~`|]$|\\$/.test(inner) ? inner : mark + inner + mark);
const signalMono = (text: string) => signalMark("`")(signalText(text));
const signal: Dialect = {
  ...PLAIN_TEXT,
  escape: signalText,
  strong: signalMark("**"),
  em: signalMark("*"),
  del: signalMark("~"),
  code: signalMono,
  fence: signalMono,
  link: named,
  heading: (inner) => signalMark("**")(inner.replace(/^\*\*(.*)\*\*$/, "$1")),
  table: signalMono,
  address: signalText,
};

/** A part of an HTML page or mail. Styles stand in it: mail programs take no sheet. */
const html: Dialect = {
  escape: escapeHtml,
  strong: (inner) => `<strong>${inner}</strong>`,
  em: (inner) => `<em>${inner}</em>`,
  del: (inner) => `<del>${inner}</del>`,
  code: (text) => `<code>${escapeHtml(text)}</code>`,
  fence: (text) => `<pre style="background:#f4f4f5;padding:8px;border-radius:4px;overflow:auto"><code>${escapeHtml(text)}</code></pre>`,
  link: (inner, href) => (isLink(href) ? `<a href="${escapeHtml(href)}">${inner === "" ? escapeHtml(href) : inner}</a>` : named(inner, escapeHtml(href))),
  heading: (inner, depth) => `<h${Math.min(6, depth)}>${inner}</h${Math.min(6, depth)}>`,
  quote: (inner) => `<blockquote style="margin:0 0 0 8px;padding-left:8px;border-left:2px solid #d4d4d8">${inner}</blockquote>`,
  table: (text) => `<pre>${escapeHtml(text)}</pre>`,
  address: (url) => `<a href="${escapeHtml(url.includes("@") && !url.includes(":") ? `mailto:${url}` : url)}">${escapeHtml(url)}</a>`,
  paragraph: (inner) => `<p>${inner}</p>`,
  list: (items, start) => (start === undefined ? `<ul>${items.map((item) => `<li>${item}</li>`).join("")}</ul>` : `<ol start="${start}">${items.map((item) => `<li>${item}</li>`).join("")}</ol>`),
  line: "<br>\n",
  bullet: "•", rule: "<hr>", done: "☑", undone: "☐",
};

export const DIALECTS = { plain: PLAIN_TEXT, telegram, discord, mrkdwn, whatsapp, signal, html } as const satisfies Readonly<Record<string, Dialect>>;
export type DialectName = keyof typeof DIALECTS;

/** Markdown as a platform writes it. A text without marks stays as it is; absurd nesting goes as its source, escaped. */
export function render(markdown: string, name: DialectName): string {
  const dialect: Dialect = DIALECTS[name];
  if (isPlain(markdown) && dialect.paragraph === undefined) return dialect.escape(markdown);
  try {
    return renderMarkdown(markdown, dialect);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    const plain = dialect.escape(markdown);
    return dialect.begin?.(plain) ?? plain;
  }
}
