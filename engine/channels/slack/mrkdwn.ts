/** Slack's mrkdwn to Markdown: https://docs.slack.dev/messaging/formatting-message-text. What a person typed stays, as far as Markdown reads it the same. */

/** A person's or channel's name by its id, where it is known. */
export type NameOf = (id: string) => string | undefined;

const TOKENS = /```[\s\S]*?```|`[^`\n]+`|<[^<>\n]{1,4000}>/g;
/** Stands for a token while the text around it is marked; a private character of Unicode that means nothing. */
const MARK = "\ue000";

export function toMarkdown(text: string, nameOf: NameOf = () => undefined): string {
  if (!/[*~`<&•]/.test(text)) return text;
  const kept: string[] = [];
  const bare = text.replaceAll(MARK, "").replace(TOKENS, (token) => `${MARK}${kept.push(token.startsWith("`") ? code(token) : reference(token.slice(1, -1), nameOf)) - 1}${MARK}`);
  const marked = unescaped(bare)
    .replace(/(^|[^\w*])\*(?=\S)([^*\n]*[^*\s])\*(?![\w*])/g, "$1**$2**")
    .replace(/(^|[^\w~])~(?=\S)([^~\n]*[^~\s])~(?![\w~])/g, "$1~~$2~~")
    .replace(/^([ \t]*)[•◦▪] +/gm, "$1- ");
  return marked.replace(new RegExp(`${MARK}(\\d+)${MARK}`, "g"), (_, index: string) => kept[Number(index)] ?? "");
}

/** Ids of the people named in a text. */
export function mentionsIn(text: string): string[] {
  return [...new Set([...text.matchAll(/<@([A-Z0-9]{2,32})(?:\|[^<>\n]*)?>/g)].map((match) => match[1] as string))];
}

function unescaped(text: string): string {
  return text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
}

function code(token: string): string {
  const plain = unescaped(token.replace(/<(?:[^<>|\n]*\|)?([^<>\n]*)>/g, "$1"));
  if (!plain.startsWith("```")) return plain;
  const inner = plain.slice(3, -3);
  return `\`\`\`\n${inner.replace(/^\n/, "").replace(/\n$/, "")}\n\`\`\``;
}

/** What stands between < and >. */
function reference(inner: string, nameOf: NameOf): string {
  const bar = inner.indexOf("|");
  const target = bar < 0 ? inner : inner.slice(0, bar);
  const label = bar < 0 ? "" : unescaped(inner.slice(bar + 1));
  const id = target.slice(1);
  switch (target[0]) {
    case "@": { const name = nameOf(id) ?? (label === "" ? undefined : label); return name === undefined ? `<@${id}>` : `@${name.replace(/^@/, "")}`; }
    case "#": return `#${label || nameOf(id) || id}`;
    case "!": return label !== "" ? (label.startsWith("@") || target.startsWith("!date") ? label : `@${label}`) : `@${id.split("^").at(-1) ?? ""}`;
  }
  const url = unescaped(target);
  if (label === "" || label === url || `mailto:${label}` === url || `tel:${label}` === url || url.replace(/^https?:\/\//, "") === label) return url.replace(/^(?:mailto|tel):/, "");
  return `[${label.replace(/[[\]]/g, "\\$&")}](${/[()\s]/.test(url) ? `<${url}>` : url})`;
}
