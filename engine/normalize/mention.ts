/** Takes the bot's name out of a text that is said to it: "@bot turn on the light" → "turn on the light". */

/** Who the bot is at the platform. */
export interface Self { readonly id: string; readonly name: string; readonly handle?: string }

const literally = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

/** What mentions of this bot look like, over the dialects of the platforms; `opening`: "bot: …", as in IRC. Undefined when nothing is known about it. */
function mentionSource(self: Self | undefined, names: readonly string[]): { mention: string; opening: string } | undefined {
  const called = [...new Set([...names, self?.handle, self?.name].filter((name) => name !== undefined && name.trim() !== ""))].map((name) => literally((name as string).replace(/^@/, "")));
  const forms: string[] = [];
  const openings: string[] = [];
  if (self !== undefined && self.id !== "") {
    const id = literally(self.id);
    forms.push(`<@!?${id}(?:\\|[^>\\n]{0,100})?>`, `\\[[^\\]\\n]{0,100}\\]\\((?:tg:\\/\\/user\\?id=|https:\\/\\/matrix\\.to\\/#\\/)${id}\\)`);
  }
  if (called.length > 0) {
    const any = called.sort((a, b) => b.length - a.length).join("|");
    forms.push(`<at[^>\\n]{0,100}>(?:${any})<\\/at>`, `@(?:${any})(?![\\p{L}\\p{N}_-])`);
    openings.push(`(?:${any})[:,](?=\\s)`);
  }
  return forms.length === 0 ? undefined : { mention: forms.join("|"), opening: [...forms, ...openings].join("|") };
}

export type Strip = (text: string, self: Self | undefined) => string;

/** `names`: more names the bot goes by. `everywhere`: also within the text, not only at its start. Case does not count. */
export function mentionStripper(names: readonly string[], everywhere: boolean): Strip {
  let key: string | undefined;
  let patterns: { readonly start: RegExp; readonly inside: RegExp } | undefined;
  return (text, self) => {
    const asked = self === undefined ? "" : `${self.id}\n${self.name}\n${self.handle ?? ""}`;
    if (asked !== key) {
      key = asked;
      patterns = prepare(self, names);
    }
    if (patterns === undefined) return text;
    const begun = text.replace(patterns.start, "");
    return everywhere ? begun.replace(patterns.inside, "") : begun;
  };
}

function prepare(self: Self | undefined, names: readonly string[]): { start: RegExp; inside: RegExp } | undefined {
  const source = mentionSource(self, names);
  if (source === undefined) return undefined;
  return { start: new RegExp(`^\\s*(?:(?:${source.opening})[\\s,:;!]*)+`, "iu"), inside: new RegExp(`[ \\t]?(?:${source.mention})`, "giu") };
}
