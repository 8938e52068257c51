/** Markdown to the markup a platform understands: one walk over the text, one small table per dialect. */
import { Lexer, type Token, type Tokens } from "marked";

/**
 * How one platform writes each piece. `inner` is text already in the dialect, `text` is plain. A row that a platform has no
 * markup for gives back its argument.
 */
export interface Dialect {
  /** Plain text as it stands inside a line. */
  escape(text: string): string;
  /** A whole paragraph, already in the dialect: what would mark at the beginning of a line is taken its meaning. */
  begin?(inner: string): string;
  strong(inner: string): string;
  em(inner: string): string;
  del(inner: string): string;
  code(text: string): string;
  fence(text: string, language: string): string;
  link(inner: string, href: string): string;
  heading(inner: string, depth: number): string;
  quote(inner: string): string;
  /** Already laid out in columns of equal width. */
  table(text: string): string;
  /** A bare web address; as it is where this is left out. */
  address?(url: string): string;
  paragraph?(inner: string): string;
  /** Items already hold their markers unless this is there. */
  list?(items: readonly string[], start: number | undefined): string;
  /** Between lines of one paragraph; "\n" where it is left out. */
  readonly line?: string;
  readonly bullet: string;
  readonly rule: string;
  readonly done: string;
  readonly undone: string;
}

/** No character that marks inside a line, and no line that begins like a list, a heading or code. */
const NO_MARKS = /^[^\\`*_~[\]<>&|]*$/;
const LINE_MARKS = /^(?:[ \t]*(?:[-+=#]|\d{1,9}[.)])| {4}|\t)/m;

/** True when a text reads the same with and without Markdown: it needs no walk. */
export function isPlain(text: string): boolean {
  return NO_MARKS.test(text) && !LINE_MARKS.test(text);
}

/** Markdown (GFM) in, dialect out. HTML in the text is shown as it was written, never passed through. Throws RangeError on absurd nesting. */
export function renderMarkdown(text: string, dialect: Dialect): string {
  if (NESTED.test(text)) throw new RangeError("Expected a text whose quotes and lists are not nested that deep.");
  return blocks(new CalmLexer({ gfm: true }).lex(text), dialect).trimEnd();
}

/** A line that opens more quotes and lists than a person ever did: each level costs a walk over all that follows. */
const NESTED = /^(?:[ \t]*(?:>|[-+*]|\d{1,9}[.)])){24}/m;
/** Marks of emphasis in one paragraph; what pairs them takes time in the square of their number. */
const MOST_MARKS = 400;

/** Leaves a paragraph that is nothing but marks as it was written: it would hold up the process for seconds. */
class CalmLexer extends Lexer {
  override inlineTokens(src: string, tokens: Token[] = []): Token[] {
    let marks = 0;
    for (const letter of src) if (letter === "*" || letter === "_" || letter === "~") marks++;
    if (marks <= MOST_MARKS) return super.inlineTokens(src, tokens);
    tokens.push({ type: "escape", raw: src, text: src });
    return tokens;
  }
}

function blocks(tokens: readonly Token[], dialect: Dialect): string {
  return tokens.map((token) => block(token, dialect)).filter((text) => text !== "").join("\n\n");
}

function block(token: Token, dialect: Dialect): string {
  switch (token.type) {
    case "space":
    case "def":
      return "";
    case "heading":
      return dialect.heading(inline(token.tokens, dialect), token.depth as number);
    case "code":
      return dialect.fence(token.text as string, language(token.lang as string | undefined));
    case "blockquote":
      return dialect.quote(blocks(token.tokens ?? [], dialect));
    case "hr":
      return dialect.rule;
    case "list":
      return list(token as Tokens.List, dialect);
    case "table":
      return dialect.table(columns(token as Tokens.Table));
    case "html":
      return dialect.escape(token.raw.trimEnd());
    default:
      return paragraph("tokens" in token && token.tokens !== undefined ? inline(token.tokens, dialect) : dialect.escape(unescapeEntities(token.raw.trimEnd())), dialect);
  }
}

function paragraph(inner: string, dialect: Dialect): string {
  const whole = begun(inner, dialect);
  const lines = dialect.line === undefined ? whole : whole.replaceAll("\n", dialect.line);
  return inner === "" ? "" : (dialect.paragraph?.(lines) ?? lines);
}

function begun(inner: string, dialect: Dialect): string {
  return dialect.begin?.(inner) ?? inner;
}

function language(info: string | undefined): string {
  return /^[\w+#.-]{1,30}/.exec(info ?? "")?.[0] ?? "";
}

function list(token: Tokens.List, dialect: Dialect): string {
  const start = typeof token.start === "number" ? token.start : 1;
  const items = token.items.map((item, index) => {
    const marker = token.ordered ? `${start + index}.` : item.task ? (item.checked === true ? dialect.done : dialect.undone) : dialect.bullet;
    const parts = item.tokens.filter((part) => part.type !== "checkbox").map((part) => (part.type === "text" || part.type === "paragraph" ? begun(inline(part.tokens ?? [], dialect), dialect) : block(part, dialect)));
    const text = parts.filter((part) => part !== "").join("\n");
    if (dialect.list !== undefined) return item.task ? `${marker} ${text}` : text;
    return `${marker} ${text.replace(/\n/g, "\n  ")}`;
  });
  return dialect.list === undefined ? items.join("\n") : dialect.list(items, token.ordered ? start : undefined);
}

function inline(tokens: readonly Token[] | undefined, dialect: Dialect): string {
  let out = "";
  for (const token of tokens ?? []) out += span(token, dialect);
  return out;
}

function span(token: Token, dialect: Dialect): string {
  switch (token.type) {
    case "strong":
      return dialect.strong(inline(token.tokens, dialect));
    case "em":
      return dialect.em(inline(token.tokens, dialect));
    case "del":
      return dialect.del(inline(token.tokens, dialect));
    case "codespan":
      return dialect.code(token.text as string);
    case "br":
      return "\n";
    case "checkbox":
      return "";
    case "link": {
      const { href, text, raw } = token as Tokens.Link;
      // A bare address is left to the platform, which makes its own link of it.
      if (raw === text || raw === `<${text}>`) return dialect.address?.(text) ?? dialect.escape(text);
      return dialect.link(inline(token.tokens, dialect), href);
    }
    case "image": {
      const { href, text } = token as Tokens.Image;
      return dialect.link(dialect.escape(text === "" ? href : text), href);
    }
    case "escape":
      return dialect.escape(token.text as string);
    case "html":
      return dialect.escape(token.raw);
    default:
      return "tokens" in token && token.tokens !== undefined ? inline(token.tokens, dialect) : dialect.escape(unescapeEntities(token.raw));
  }
}

/** A table as lines of equal columns, for places that show it in a fixed-width font. */
function columns(table: Tokens.Table): string {
  const rows = [table.header, ...table.rows].map((row) => row.map((cell) => plain(cell.tokens).replace(/\s+/g, " ")));
  const widths = table.header.map((_, column) => Math.max(...rows.map((row) => [...(row[column] ?? "")].length)));
  const lines = rows.map((row) => row.map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - [...cell].length))).join(" | ").trimEnd());
  return [lines[0], widths.map((width) => "-".repeat(width)).join("-+-"), ...lines.slice(1)].join("\n");
}

const same = (text: string): string => text;
/** No markup at all: what a reader would see. */
export const PLAIN_TEXT: Dialect = {
  escape: same, strong: same, em: same, del: same, code: same, heading: same, table: same,
  fence: same, quote: (inner) => inner.replace(/^/gm, "> "),
  link: (inner, href) => (inner === href ? inner : `${inner} (${href})`),
  bullet: "•", rule: "———", done: "☑", undone: "☐",
};

function plain(tokens: readonly Token[]): string {
  return inline(tokens, PLAIN_TEXT);
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0", hellip: "…", mdash: "—", ndash: "–", copy: "©", deg: "°", euro: "€" };
function unescapeEntities(text: string): string {
  return text.includes("&") ? text.replace(/&(?:(#\d{1,7}|#x[\da-f]{1,6})|([a-z]{2,6}));/gi, (whole, code: string | undefined, name: string | undefined) => {
    if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? whole;
    const point = code?.[1] === "x" || code?.[1] === "X" ? Number.parseInt((code ?? "").slice(2), 16) : Number((code ?? "").slice(1));
    return point > 0 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) ? String.fromCodePoint(point) : whole;
  }) : text;
}

/** Somebody else's words within Markdown: they stay what they are. */
export function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_~[\]<>|]/g, "\\$&").replace(/^(\s*)([#+-])(?=\s)/gm, "$1\\$2");
}

/** For dialects that are HTML, text and attribute values alike. */
export function escapeHtml(text: string): string {
  return /[&<>"]/.test(text) ? text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;") : text;
}
