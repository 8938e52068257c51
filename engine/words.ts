/** Words for finding texts again: of every script, without case and accents. The same for what is kept and for what is asked, on every store. */

/** Scripts that put no blanks between words: their letters are found in pairs. */
const JOINED = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}\\p{Script=Thai}\\p{Script=Lao}\\p{Script=Khmer}\\p{Script=Myanmar}";
const PARTS = new RegExp(`[${JOINED}]+|(?:(?![${JOINED}])[\\p{L}\\p{N}])+`, "gu");
const HAS_JOINED = new RegExp(`[${JOINED}]`, "u");
const IS_JOINED = new RegExp(`^[${JOINED}]`, "u");
const PARTED = /[\p{L}\p{N}]+/gu;
/** What most texts are made of; the rest of the work is not needed for them. */
const PLAIN = /^[\0-\x7f]*$/;
const PLAIN_PARTS = /[a-z\d]+/g;
/** Longer texts are found by their beginning. */
const MOST_CHARS = 8_000;
const MOST_ASKED = 24;
const MOST_WORD = 40;

function parts(text: string): string[] {
  const beginning = text.slice(0, MOST_CHARS);
  if (PLAIN.test(beginning)) return beginning.toLowerCase().match(PLAIN_PARTS) ?? [];
  const folded = beginning.normalize("NFKD").replace(/\p{M}+/gu, "").normalize("NFC").toLowerCase().replaceAll("ß", "ss");
  return folded.match(HAS_JOINED.test(folded) ? PARTS : PARTED) ?? [];
}
const pairs = (letters: readonly string[]): string[] => letters.slice(1).map((letter, at) => `${letters[at]}${letter}`);

/** Words that say nothing of what a text is about; they are looked for only where a question has no others. */
const EMPTY = new Set(("a an and are as at be by for from has have her his how i in is it me my of on or our that the their this to was we what when where which who why with you your "
  + "aber als am auf aus bei bin bist da das dass dem den der des die dir du ein eine einem einen einer er es fur habe hat ich ihr im in ist ja mein mich mir mit nach sie sind so uber um und uns von war was wann wer wie wir wo zu zum").split(" "));

/** Every word as often as it stands there, for a search that counts. */
export function tokensOf(text: string): string[] {
  return parts(text).flatMap((part) => {
    if (!IS_JOINED.test(part)) return [part.slice(0, MOST_WORD)];
    const letters = [...part];
    return [...letters, ...pairs(letters)];
  });
}
/** Every word once. */
export const wordsOf = (text: string): string[] => [...new Set(tokensOf(text))];

/** A word to look for; `open`: longer ones that begin with it count too. */
export interface Asked { readonly word: string; readonly open: boolean }
/** What a question looks for. Endings are taken off, so that "dogs" finds "dog", and "Hunde" finds "Hund". */
export function askedIn(question: string): Asked[] {
  const found = new Map<string, boolean>();
  const all = parts(question);
  const telling = all.filter((part) => !EMPTY.has(part));
  for (const part of telling.length > 0 ? telling : all) {
    if (IS_JOINED.test(part)) {
      const letters = [...part];
      for (const word of letters.length === 1 ? letters : pairs(letters)) found.set(word, false);
    } else {
      const word = stem(part.slice(0, MOST_WORD));
      found.set(word, word.length >= 3);
    }
  }
  return [...found].slice(0, MOST_ASKED).map(([word, open]) => ({ word, open }));
}
function stem(word: string): string {
  if (word.length >= 6) return word.replace(/(ing|en|er|es|em|ed|s|e|n)$/, "");
  return word.length >= 4 ? word.replace(/[sen]$/, "") : word;
}

/** The `limit` numbers of what holds any of the words, those with the rarest and most words first, of equals the highest. `hits`: for each word the numbers of what holds it. */
export function bestOf(hits: readonly (readonly number[])[], limit: number): number[] {
  const scores = new Map<number, number>();
  for (const numbers of hits) for (const n of numbers) scores.set(n, 0);
  for (const numbers of hits) {
    const weight = Math.log(1 + scores.size / Math.max(1, numbers.length));
    for (const n of numbers) scores.set(n, (scores.get(n) as number) + weight);
  }
  // Thousands may hold a word that says little: only those that are good enough are put in order.
  const least = scores.size <= limit ? 0 : Float64Array.from(scores.values()).sort().at(-limit) as number;
  return [...scores].filter(([, score]) => score >= least).sort(([n, score], [m, other]) => other - score || m - n).slice(0, limit).map(([n]) => n);
}
/** The same for texts that are in no index: for each word the numbers of those that hold it. */
export function hitsIn(texts: readonly { readonly n: number; readonly text: string }[], asked: readonly Asked[]): number[][] {
  const all = texts.map(({ n, text }) => ({ n, words: ` ${tokensOf(text).join(" ")} ` }));
  return asked.map(({ word, open }) => all.filter(({ words }) => words.includes(open ? ` ${word}` : ` ${word} `)).map(({ n }) => n));
}

/** About `size` characters around the first place where one of the words stands. */
export function excerpt(text: string, asked: readonly Asked[], size: number): string {
  if (text.length <= size) return text;
  const plain = text.normalize("NFC").toLowerCase();
  const places = asked.map(({ word }) => plain.indexOf(word)).filter((place) => place >= 0);
  const from = Math.max(0, Math.min(...places.length > 0 ? places : [0], text.length - size) - Math.floor(size / 4));
  const cut = text.slice(from, from + size).toWellFormed().replaceAll("\uFFFD", "");
  return `${from > 0 ? "…" : ""}${cut}${from + size < text.length ? "…" : ""}`;
}
