/** Keeps what a translation must not touch: code, links, addresses, handles and the names the user listed. Pure. */

export interface Protected { readonly text: string; readonly kept: readonly string[] }
/** A piece begins where none of its kind stands before it: else a long word is read anew from each of its letters. */
const KEPT = /```[\s\S]*?```|`[^`\n]+`|\bhttps?:\/\/[^\s<>()]+|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+|<@[^>\s]{1,80}>|(?<![\w@])[@#][\p{L}\p{N}_]{2,}|(?<!\S)\/[A-Za-z][\w-]*/gu;
const mark = (index: number): string => `⟦${index}⟧`;

/** `names`: words that stay as they are, whole and to the letter. Marks that stand in the text already are kept too. */
export function protect(text: string, names: readonly string[] = []): Protected {
  const kept: string[] = [];
  const keep = (found: string): string => mark(kept.push(found) - 1);
  const listed = names.filter((name) => name.trim() !== "").sort((a, b) => b.length - a.length).map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const pattern = new RegExp([String.raw`⟦\d*⟧`, KEPT.source, ...(listed.length === 0 ? [] : [`(?<![\\p{L}\\p{N}])(?:${listed.join("|")})(?![\\p{L}\\p{N}])`])].join("|"), "gu");
  return { text: text.replace(pattern, keep), kept };
}

/** Puts back what was kept; undefined where the translation has lost or doubled some of it. */
export function restore(translated: string, kept: readonly string[]): string | undefined {
  const seen = new Map<number, number>();
  const text = translated.replace(/⟦(\d+)⟧/g, (whole, digits: string) => {
    const index = Number(digits);
    seen.set(index, (seen.get(index) ?? 0) + 1);
    return kept[index] ?? whole;
  });
  return seen.size === kept.length && [...seen].every(([index, times]) => index < kept.length && times === 1) ? text : undefined;
}
