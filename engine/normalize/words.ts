/** A list of words that shall not appear. One pass over the text, however long the list is. */
import { fold } from "../patterns.ts";

const WORD = /[\p{L}\p{M}\p{N}_]+/gu;
/** Scripts that put no space between words: there an entry is found within other text. */
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;

/**
 * Replaces whole words and phrases; upper and lower case read alike. `replacement`: what stands instead; one character is repeated to the length of the word
 * ("*" → "****"). Returns the same text where nothing was found.
 */
export function wordFilter(entries: readonly string[], replacement: string): (text: string) => string {
  const phrases = new Map<string, string[][]>();
  const inner: string[] = [];
  for (const entry of entries) {
    const words = fold(entry).match(WORD) ?? [];
    const [first] = words;
    if (first === undefined) continue;
    if (UNSPACED.test(entry)) inner.push(entry.trim());
    else phrases.set(first, [...(phrases.get(first) ?? []), words].sort((a, b) => b.length - a.length));
  }
  const instead = (found: string): string => ([...replacement].length === 1 ? replacement.repeat([...found].length) : replacement);
  return (text) => {
    let masked = phrases.size === 0 ? text : replacePhrases(text, phrases, instead);
    for (const entry of inner) masked = masked.replaceAll(entry, () => instead(entry));
    return masked;
  };
}

function replacePhrases(text: string, phrases: ReadonlyMap<string, readonly (readonly string[])[]>, instead: (found: string) => string): string {
  const words = [...text.matchAll(WORD)].map((match) => ({ word: fold(match[0]), start: match.index, end: match.index + match[0].length }));
  let out = "";
  let done = 0;
  for (let index = 0; index < words.length; index++) {
    const start = words[index] as (typeof words)[number];
    const found = phrases.get(start.word)?.find((phrase) => phrase.every((word, offset) => words[index + offset]?.word === word));
    if (found === undefined) continue;
    const end = (words[index + found.length - 1] as (typeof words)[number]).end;
    out += text.slice(done, start.start) + instead(text.slice(start.start, end));
    done = end;
    index += found.length - 1;
  }
  return done === 0 ? text : out + text.slice(done);
}
