/**
 * Patterns that users write, on an engine that reads the text once (RE2: no look-around, no back-references).
 * Whatever the pattern and the text, a match ends: the work is bounded by `MAX_STEPS`.
 */
import { RE2JS, RE2JSSyntaxException } from "re2js";
import { SettingError } from "./errors.ts";

/** Longest pattern in UTF-16 units. */
export const MAX_PATTERN = 1000;
/** Largest compiled pattern in instructions; repeats such as `.{300}` count in full. */
export const MAX_PROGRAM = 500;
/** Instructions times UTF-16 units of one match, about 40 ms at worst: a pattern of 20 instructions reads 100,000 units, the largest reads 4,000. */
const MAX_STEPS = 2_000_000;

export interface Pattern {
  readonly source: string;
  /** Is it anywhere in the text? */
  test(text: string): boolean;
}

const cache = new Map<string, Pattern>();
const CACHED = 200;

/**
 * Compiles a pattern; throws SettingError CONF_003 with the position of the fault. Options: `ignoreCase` (default false).
 * The last 200 are kept, so calling it again with the same text costs nothing.
 */
export function compilePattern(source: string, options: { readonly ignoreCase?: boolean } = {}): Pattern {
  const ignoreCase = options.ignoreCase === true;
  const key = `${ignoreCase ? "i" : ""}/${source}`;
  const known = cache.get(key);
  if (known !== undefined) {
    cache.delete(key);
    cache.set(key, known);
    return known;
  }
  const pattern = build(source, ignoreCase);
  cache.set(key, pattern);
  if (cache.size > CACHED) cache.delete(cache.keys().next().value as string);
  return pattern;
}

/** What is wrong with a pattern, as a sentence with a remedy, or undefined. */
export function checkPattern(source: string): string | undefined {
  try {
    compilePattern(source);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function build(source: string, ignoreCase: boolean): Pattern {
  if (source === "") throw invalid("Expected a pattern, got nothing. Write what the text shall contain, or remove the row.");
  if (source.length > MAX_PATTERN) {
    throw invalid(`Expected a pattern of at most ${MAX_PATTERN} characters, got ${source.length}. Use the test "is one of" for long lists.`);
  }
  const program = parse(source, ignoreCase);
  const size = program.programSize();
  if (size > MAX_PROGRAM) {
    throw invalid(`Expected a pattern of at most ${MAX_PROGRAM} steps, got ${size}. Lower the counts in { }, or split it into several rows.`);
  }
  const readable = Math.floor(MAX_STEPS / size);
  return { source, test: (text) => program.test(text.length > readable ? text.slice(0, readable) : text) };
}

function parse(source: string, ignoreCase: boolean): RE2JS {
  try {
    return RE2JS.compile(source, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
  } catch (error) {
    if (!(error instanceof RE2JSSyntaxException)) throw invalid(`Expected a pattern, got "${source}": ${(error as Error).message}.`, error);
    throw invalid(describe(source, error), error);
  }
}

function describe(source: string, error: RE2JSSyntaxException): string {
  const part = error.input;
  const at = part === null || part === "" ? -1 : source.lastIndexOf(part);
  const where = at < 0 ? "at its end" : `at character ${at + 1} ("${part}")`;
  return `Expected a pattern, got "${source}": ${error.error} ${where}. ${remedy(error.error.startsWith("duplicate") ? error.error : source.slice(Math.max(0, at)))}`;
}

/** How to say it otherwise, by what the faulty part begins with. */
const REMEDIES: readonly (readonly [begins: RegExp, remedy: string])[] = [
  [/^\(\?<?[=!]/, 'Look-around is not available; use a second row, with "not" where needed.'],
  [/^\\[1-9]/, "Back-references are not available; write the repeated part out."],
  [/^\\u/, "Write a character by its code as \\x{…}, or the character itself."],
  [/^\\/, "Write \\\\ for a backslash."],
  [/^\{\d/, "Repeat counts go up to 1000, and nested ones multiply."],
  [/^[*+?]/, "A repeat sign needs something before it; write \\ before it to mean the sign itself."],
  [/^duplicate/, "Give each group its own name."],
  [/^[([]/, "Close every bracket, or write \\ before it to mean the bracket itself."],
];
const remedy = (part: string): string => REMEDIES.find(([begins]) => begins.test(part))?.[1] ?? "Correct it, or write \\ before a special character to mean the character itself.";

const invalid = (text: string, cause?: unknown): SettingError => new SettingError("CONF_003", cause === undefined ? {} : { cause }, text);

/** One spelling for texts that read alike: upper and lower case, composed and decomposed accents. */
export function fold(text: string): string {
  return text.normalize("NFC").toLowerCase();
}

/**
 * Does the whole text fit the glob? `*` is any run of characters, `?` is one; all else stands for itself. Time: at most text times glob, no memory.
 */
export function glob(wildcard: string, text: string): boolean {
  let at = 0;
  let mark = 0;
  let star = -1;
  let resume = 0;
  while (at < text.length) {
    const expected = wildcard[mark];
    if (expected === "*") {
      star = mark++;
      resume = at;
    } else if (expected === "?" || (expected !== undefined && expected === text[at])) {
      at++;
      mark++;
    } else if (star >= 0) {
      mark = star + 1;
      at = ++resume;
    } else return false;
  }
  while (wildcard[mark] === "*") mark++;
  return mark === wildcard.length;
}
