/** Telegram's HTML as its server reads it (https://core.telegram.org/bots/api#html-style), written apart from the code that makes it. */

const TAGS: Readonly<Record<string, readonly string[]>> = {
  b: [], strong: [], i: [], em: [], u: [], ins: [], s: [], strike: [], del: [], "tg-spoiler": [], pre: [],
  code: ["class"], a: ["href"], blockquote: ["expandable"], span: ["class"], "tg-emoji": ["emoji-id"],
};

/** The text a reader sees, or what Telegram would say about it. */
export function parseTelegramHtml(html: string): { text: string } | { error: string } {
  let text = "";
  const open: string[] = [];
  for (let at = 0; at < html.length; ) {
    const character = html[at] as string;
    if (character === "&") {
      const entity = /^&(?:lt|gt|amp|quot|#\d+|#x[\da-f]+);/i.exec(html.slice(at))?.[0];
      const value = entity === undefined ? undefined : { "&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"' }[entity];
      text += value ?? (entity === undefined ? "&" : "?");
      at += entity?.length ?? 1;
    } else if (character === "<") {
      const tag = /^<(\/?)([a-zA-Z][\w-]*)((?:\s+[\w-]+(?:="[^"<>]*")?)*)\s*>/.exec(html.slice(at));
      if (tag === null) return { error: `Unsupported start tag at byte offset ${Buffer.byteLength(html.slice(0, at))}` };
      const [whole, slash, name = "", attributes = ""] = tag;
      const allowed = TAGS[name];
      if (allowed === undefined) return { error: `Unsupported start tag "${name}" at byte offset ${Buffer.byteLength(html.slice(0, at))}` };
      if (slash === "/") {
        const expected = open.pop();
        if (expected !== name) return { error: `Unmatched end tag at byte offset ${Buffer.byteLength(html.slice(0, at))}, expected "</${expected ?? ""}>", found "</${name}>"` };
      } else {
        for (const [, attribute = ""] of attributes.matchAll(/([\w-]+)(?:=|\s|$)/g)) if (!allowed.includes(attribute)) return { error: `Attribute "${attribute}" of <${name}>` };
        if (name === "blockquote" && open.includes("blockquote")) return { error: "Nested blockquote" };
        open.push(name);
      }
      at += whole.length;
    } else {
      text += character;
      at += 1;
    }
  }
  return open.length === 0 ? { text } : { error: `Can't find end tag corresponding to start tag "${open.at(-1)}"` };
}
