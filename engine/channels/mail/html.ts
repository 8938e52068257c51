/** HTML of a mail as text: what a reader sees, in order, and nothing else. One walk, in time linear to its length; no markup passes through. */

const VOID = new Set(["br", "hr", "img", "input", "meta", "link", "col", "area", "base", "wbr", "embed", "source", "track", "param"]);
/** Content that nobody sees. */
const SILENT = new Set(["script", "style", "head", "title", "template", "noscript", "object", "svg", "math", "select", "textarea", "iframe", "xml"]);
const BLOCKS = new Set(["p", "div", "section", "article", "header", "footer", "table", "tr", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "address", "center", "dl", "dt", "dd", "fieldset", "form", "hr"]);
/** Blocks with an empty line around. */
const APART = new Set(["p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "ul", "ol", "pre", "table"]);
/** Ways to write what no reader shall see; it is how orders to a model are hidden. */
const HIDDEN = /display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d]*[1-9])|opacity\s*:\s*0(?![.\d]*[1-9])|mso-hide\s*:\s*all|max-height\s*:\s*0(?![.\d]*[1-9])/i;
const SHOWN: Readonly<Record<string, string>> = { br: "\n", hr: "\n\n———\n\n", li: "\n- ", td: " ", th: " " };
const NAMED: Readonly<Record<string, string>> = {
  amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " ", copy: "©", reg: "®", trade: "™", hellip: "…", mdash: "—", ndash: "–", lsquo: "‘", rsquo: "’", ldquo: "“", rdquo: "”", laquo: "«", raquo: "»", bull: "•", middot: "·", euro: "€", pound: "£", zwnj: "", zwj: "", shy: "",
  auml: "ä", ouml: "ö", uuml: "ü", Auml: "Ä", Ouml: "Ö", Uuml: "Ü", szlig: "ß", eacute: "é", egrave: "è", ecirc: "ê", agrave: "à", acirc: "â", ccedil: "ç", ntilde: "ñ", oacute: "ó", iacute: "í", aacute: "á", uacute: "ú", times: "×", deg: "°", sect: "§",
};
const TAG = /<!--[\s\S]*?(?:-->|$)|<!\[[^>]*>|<(\/?)([a-zA-Z][\w:-]*)((?:[^<>"']|"[^"]*"|'[^']*')*)>|<[!?][^>]*>/g;

/** Signs without a shape, which senders put between letters and before previews; those that join emoji stay. */
const UNSEEN = /\u200b|\u2060|\ufeff|\u00ad|\u034f|\u200e|\u200f/g;
/** Beginnings of what was written before: Gmail, Outlook on the web, Yahoo, Thunderbird. */
const QUOTE = /\bclass\s*=\s*["']?[^"'>]*\b(?:gmail_quote|yahoo_quoted|moz-cite-prefix|protonmail_quote|zmail_extra)\b|\bid\s*=\s*["']?(?:divRplyFwdMsg|appendonsend|mail-editor-reference-message-container)\b/i;

/** `quotes: false` ends at the quoted history. Quoted blocks stand behind "> ". */
export function htmlToText(html: string, { quotes = true }: { readonly quotes?: boolean } = {}): string {
  const out: string[] = [];
  let at = 0;
  let silent: { readonly name: string; depth: number } | undefined;
  let quoted = 0;
  const links: { readonly href: string; readonly from: number }[] = [];
  const say = (text: string): void => { if (silent === undefined && text !== "") out.push(text); };
  const gap = (name: string): void => say(APART.has(name) ? "\n\n" : "\n");

  for (const found of html.matchAll(TAG)) {
    say(plain(html.slice(at, found.index)));
    at = found.index + found[0].length;
    const [, slash, tag, attributes = ""] = found;
    if (tag === undefined) continue;
    const name = tag.toLowerCase();
    if (silent !== undefined) {
      if (name === silent.name && !attributes.endsWith("/")) silent.depth += slash === "/" ? -1 : 1;
      if (silent.depth <= 0) silent = undefined;
      continue;
    }
    if (slash === "/") close(name);
    else if (!quotes && QUOTE.test(attributes)) { at = html.length; break; }
    else if (!VOID.has(name) && (SILENT.has(name) || HIDDEN.test(attributes) || /(?:^|\s)hidden(?:[\s=]|$)/i.test(attributes))) { if (!attributes.endsWith("/")) silent = { name, depth: 1 }; }
    else open(name, attributes);
  }
  if (at < html.length) say(plain(html.slice(at)));
  return tidy(out.join(""));

  function open(name: string, attributes: string): void {
    if (name === "img") { const alt = value(attributes, "alt"); say(alt === "" ? "" : `[${alt}]`); }
    else if (name === "a") links.push({ href: value(attributes, "href"), from: out.length });
    else if (name === "blockquote") { quoted++; say("\n\n\uE000"); }
    else if (Object.hasOwn(SHOWN, name)) say(SHOWN[name] as string);
    else if (BLOCKS.has(name)) gap(name);
  }
  function close(name: string): void {
    if (name === "a") {
      const link = links.pop();
      if (link === undefined) return;
      const shown = out.slice(link.from).join("").trim();
      // A reader sees where it leads; a text that is itself the address says it already.
      if (/^(?:https?|mailto):/i.test(link.href) && shown !== "" && link.href.replace(/^mailto:|\/$/gi, "") !== shown.replace(/\/$/, "")) say(` (${link.href.slice(0, 2_000)})`);
    } else if (name === "blockquote") { if (quoted > 0) { quoted--; say("\uE001\n\n"); } } else if (BLOCKS.has(name) && name !== "li") gap(name);
  }
}

function value(attributes: string, name: string): string {
  const [, double, single, bare] = new RegExp(`(?:^|\\s)${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)'|([^\\s"'>]+))`, "i").exec(attributes) ?? [];
  return plain(double ?? single ?? bare ?? "").trim();
}

/** Entities read, blanks joined. The signs that mark quotes here are private: a sender's own are dropped. */
function plain(text: string): string {
  return text.replace(/[\uE000\uE001]/g, "").replace(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-zA-Z]{2,8}));?/g, (whole, decimal?: string, hex?: string, name?: string) => {
    if (name !== undefined) return Object.hasOwn(NAMED, name) ? (NAMED[name] as string) : whole;
    const point = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number(decimal);
    return point < 32 || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? " " : String.fromCodePoint(point);
  }).replace(/[\t\r\n\f ]+/g, " ");
}

function tidy(text: string): string {
  let depth = 0;
  const lines = text.split("\n").map((line) => {
    const opens = line.split("\uE000").length - 1;
    const closes = line.split("\uE001").length - 1;
    depth += opens;
    const clean = line.replace(/[\uE000\uE001]/g, "").replace(UNSEEN, "").replaceAll("\u00a0", " ").replace(/ {2,}/g, " ").trim();
    const shown = depth > 0 ? `${"> ".repeat(Math.min(depth, 20))}${clean}`.trimEnd() : clean;
    depth = Math.max(0, depth - closes);
    return shown;
  });
  return lines.join("\n").replace(/(?:\n[> ]*){3,}(?=\n)/g, "\n").replace(/\n{3,}/g, "\n\n").trim();
}
