// biome-ignore-all lint/suspicious/noControlCharactersInRegex: to find them is what this file is for
// biome-ignore-all lint/suspicious/noMisleadingCharacterClass: the classes hold combining characters one by one
/** Takes out what a reader cannot see but a machine would act on, and leaves every script and emoji as its readers write it. */

/** Anything that needs a closer look; most texts have none of it. */
const SUSPECT = /[\p{Cc}\p{Cf}\p{Noncharacter_Code_Point}\p{Variation_Selector}\u034f\u115f\u1160\u17b4\u17b5\u2028\u2029\u3164\uffa0\ufff0-\ufffc]|\p{Mn}{11}/u;
const PLAIN = /^[\t\n\x20-\x7e]*$/;

/** Terminal commands: CSI (colours, cursor), OSC (window title), and two-character ones. */
const ANSI = /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b\n]*(?:\u0007|\u001b\\)|\u001b[@-Z\\-_]/g;
const LINE_BREAKS = /\r\n?|[\v\f\u0085\u2028\u2029]/g;
/** Controls but tab and line feed, non-characters, invisible fillers and operators, embedding, override and isolate marks, placeholders of objects. */
const NEVER = /[\0-\x08\x0e-\x1f\x7f-\x9f\u00ad\u034f\u17b4\u17b5\u200b\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffc]|\p{Noncharacter_Code_Point}/gu;
/** Left-to-right, right-to-left and Arabic letter mark: needed at punctuation in right-to-left text, a disguise elsewhere. */
const DIRECTION_MARKS = /[\u200e\u200f\u061c]/g;
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;
/** Plane 14 spells hidden ASCII, except in the flags of England, Scotland … and after a Han character, whose variant it chooses. */
const PLANE_14 = /(\u{1f3f4}[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]{3,6}\u{e007f}|\p{Script=Han}[\u{e0100}-\u{e01ef}])|[\u{e0000}-\u{e0fff}]/gu;
/** One variation selector behind what has variants; a row of them hides bytes. */
const VARIATIONS = /(\p{Emoji}[\ufe0e\ufe0f]|[^\0-\x7f\ufe00-\ufe0f][\ufe00-\ufe0f])|[\ufe00-\ufe0f]/gu;
const MONGOLIAN = /(?<!\p{Script=Mongolian})[\u180b-\u180f]/gu;
const JAMO_FILLER = /(?<![\u1100-\u11ff])[\u115f\u1160](?![\u1100-\u11ff])/g;
/** Joiners hold emoji families together and shape Arabic, Persian and Indic letters. */
const JOINERS = /(?<![\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f\p{L}\p{M}])[\u200c\u200d]|(?<=[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}])[\u200c\u200d]|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])(?:\u200c|\u200d(?!\p{Extended_Pictographic}))/gu;
const MARK_FLOOD = /(\p{Mn}{10})\p{Mn}+/gu;

/** Text as NFC, well formed, with plain line breaks, without what cannot be seen. Time: linear. */
export function cleanText(text: string): string {
  if (PLAIN.test(text)) return text;
  const composed = text.toWellFormed().normalize("NFC");
  if (!SUSPECT.test(composed)) return composed;
  const seen = composed
    .replace(ANSI, "").replace(LINE_BREAKS, "\n").replace(NEVER, "")
    .replace(PLANE_14, "$1").replace(VARIATIONS, "$1").replace(MONGOLIAN, "").replace(JAMO_FILLER, "").replace(JOINERS, "").replace(MARK_FLOOD, "$1").normalize("NFC");
  return RIGHT_TO_LEFT.test(seen) ? seen : seen.replace(DIRECTION_MARKS, "");
}

/** The same on one line, for names and labels. */
export function cleanLine(text: string): string {
  return trimText(cleanText(text).replace(/[\n\t]+/g, " "));
}

const isBlank = (unit: string | undefined): boolean => unit !== undefined && /[\s\u200b\u2060\ufeff\u200e\u200f]/.test(unit);

/** Without space at both ends, invisible space included. */
export function trimText(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text[start])) start++;
  while (end > start && isBlank(text[end - 1])) end--;
  return text.slice(start, end);
}

/** At most `max` UTF-16 units, `mark` included; never within a character that people see as one. Undefined when it fits. */
export function cutText(text: string, max: number, mark: string): string | undefined {
  if (text.length <= max) return undefined;
  const room = Math.max(0, max - mark.length);
  // The longest emoji sequences have about 35 units.
  const from = Math.max(0, room - 64);
  let keep = from;
  for (const { index, segment } of new Intl.Segmenter("en", { granularity: "grapheme" }).segment(text.slice(from, room + 64))) {
    if (from + index + segment.length > room) break;
    keep = from + index + segment.length;
  }
  return text.slice(0, keep) + mark.slice(0, max);
}
