/** Cuts a long text into parts a channel takes, where a reader would: between paragraphs, lines, sentences, words. */
import { Buffer } from "node:buffer";
import type { Draft, DraftFile } from "../message.ts";
import type { Limits } from "./channel.ts";
import { render, type DialectName } from "./dialects.ts";

type Unit = Limits["unit"];

/** Length of a text in the unit a channel counts in. */
export function measure(text: string, unit: Unit): number {
  if (unit === "utf16") return text.length;
  if (unit === "bytes") return Buffer.byteLength(text);
  let points = 0;
  for (const _ of text) points += 1;
  return points;
}

/**
 * Markdown in, parts within `limits` out, in order, at least one ("" for a text
 * without anything to see). A code fence that must be cut is closed and opened
 * again with its language in the next part. White space at a cut is dropped, nothing else is. Never cuts a surrogate pair,
 * and no grapheme unless it is longer than a part.
 */
export function splitText(text: string, limits: Pick<Limits, "text" | "unit">): string[] {
  const { text: limit, unit } = limits;
  // Every unit counts at least half of the UTF-16 length: a long text need not be measured whole.
  if (text.length <= limit * 2 && measure(text, unit) <= limit) return [text];

  const lines = readLines(text, limit);
  const parts: string[] = [];
  let from = 0;
  let open: Fence | undefined;
  while (from < lines.length) {
    const taken = take(lines, from, open, limit, unit);
    const head = open === undefined ? [] : [open.opening];
    const body = [...lines.slice(from, taken.to).map((line) => line.text), ...taken.piece];
    if (taken.to > from) open = lines[taken.to - 1]?.open;
    from = taken.to;
    // A closing line that would stand alone in the next part closes this one.
    const ended = open !== undefined && lines[from]?.open === undefined && from < lines.length && !taken.more;
    const part = [...head, ...body, ...(open === undefined ? [] : [open.closing])].join("\n");
    if (ended) { open = undefined; from += 1; }
    const trimmed = trimCut(part);
    if (trimmed !== "") parts.push(trimmed);
  }
  return parts.length === 0 ? [""] : parts;
}

/** Markup may make a text longer than it was: then it is cut shorter, until each part fits as it is sent. Telegram alone counts what is left after its own parsing. */
function fittingTexts(text: string, limits: Limits, dialect: DialectName | undefined, most = limits.text): string[] {
  const parts = splitText(text, { ...limits, text: most });
  if (dialect === undefined || dialect === "telegram") return parts;
  return parts.flatMap((part) => {
    const length = measure(render(part, dialect), limits.unit);
    if (length <= limits.text || part.length < 2) return [part];
    return fittingTexts(part, limits, dialect, Math.max(1, Math.floor((measure(part, limits.unit) * limits.text * 0.9) / length)));
  });
}

/**
 * A draft as the visible parts a channel shows it in, in order, at least one: the reply mark stands on the first, buttons on the
 * last text, files under the last text where it is short enough for a caption; a poll, a place, a contact and a template stand alone.
 */
export function splitDraft(draft: Draft, limits: Limits, dialect?: DialectName): Draft[] {
  const { text, attachments = [], buttons, choices, cards, form, poll, location, contact, template, replyTo, ...always } = draft;
  const groups = albums(attachments, limits.files ?? 1);
  const bound = { ...(buttons === undefined ? {} : { buttons }), ...(choices === undefined ? {} : { choices }), ...(cards === undefined ? {} : { cards }), ...(form === undefined ? {} : { form }) };
  const cut = (whole: string, most: number): string[] => (draft.plain === true ? splitText(whole, { ...limits, text: most }) : fittingTexts(whole, { ...limits, text: most }, dialect));
  const texts = cut(text, limits.text);
  // What is pressed stands under the end of the text, which may have to be shorter for it.
  if (limits.controls !== undefined && Object.keys(bound).length > 0) texts.push(...cut(texts.pop() ?? "", limits.controls));
  const ending = texts.at(-1) ?? "";
  const [only] = groups;
  const rides = groups.length === 1 && only !== undefined && poll === undefined && location === undefined && text !== ""
    && measure(ending, limits.unit) <= (limits.caption ?? limits.text) && !(limits.bare ?? ["sticker"]).includes(only[0]?.kind ?? "sticker") && (buttons === undefined || only.length === 1);
  const parts: Draft[] = text === "" ? [] : texts.map((part) => ({ ...always, text: part }));
  if (rides) parts[parts.length - 1] = { ...always, text: ending, attachments: only };
  else for (const group of groups) parts.push({ ...always, text: "", attachments: group });
  if (text === "" && groups.length === 0 && Object.keys(bound).length > 0) parts.push({ ...always, text });
  if (poll !== undefined) parts.push({ ...always, text: "", poll });
  if (location !== undefined) parts.push({ ...always, text: "", location });
  if (contact !== undefined) parts.push({ ...always, text: "", contact });
  if (template !== undefined) parts.push({ ...always, text: "", template });
  if (parts.length === 0) parts.push({ ...always, text });
  const keys = text === "" ? Math.max(0, groups.length - 1) : texts.length - 1;
  return parts.map((part, index) => ({
    ...part,
    ...(index === 0 && replyTo !== undefined ? { replyTo } : {}),
    ...(index === keys ? bound : {}),
  }));
}

/** Neighbours that can be shown together: pictures and videos, or audio, or documents. */
function albums(files: readonly DraftFile[], most: number): DraftFile[][] {
  const family = ({ kind, mime }: DraftFile): string | undefined => (mime === "image/gif" || kind === "voice" || kind === "sticker" ? undefined : kind === "video" ? "image" : kind);
  const groups: DraftFile[][] = [];
  for (const file of files) {
    const last = groups.at(-1);
    const before = last?.[0];
    if (last !== undefined && before !== undefined && last.length < most && family(file) !== undefined && family(before) === family(file)) last.push(file);
    else groups.push([file]);
  }
  return groups;
}

interface Fence { readonly opening: string; readonly closing: string; readonly mark: string }
/** `open`: the fence that is open after this line. */
interface Line { text: string; readonly open: Fence | undefined }

const FENCE = /^([ \t]*)(`{3,}|~{3,})([^\n]*)$/;

function readLines(text: string, limit: number): Line[] {
  let open: Fence | undefined;
  return text.split("\n").map((line) => {
    const [, indent = "", mark = "", info = ""] = (line.length < 3 ? undefined : FENCE.exec(line)) ?? [];
    if (mark === "") return { text: line, open };
    if (open === undefined) {
      // A fence line that leaves no room for code is text.
      const fits = line.length + indent.length + mark.length + 2 < limit / 2;
      if (fits && !(mark.startsWith("`") && info.includes("`"))) open = { opening: line, closing: indent + mark, mark };
    } else if (mark.startsWith(open.mark) && info.trim() === "") open = undefined;
    return { text: line, open };
  });
}

/** What goes into the next part: the lines up to `to`, then `piece` of the line after them; `more` of that line is left. */
interface Taken { readonly to: number; readonly piece: readonly string[]; readonly more: boolean }

function take(lines: Line[], from: number, open: Fence | undefined, limit: number, unit: Unit): Taken {
  const reserve = (fence: Fence | undefined): number => (fence === undefined ? 0 : measure(fence.closing, unit) + 1);
  let used = open === undefined ? 0 : measure(open.opening, unit) + 1;
  let last = open;
  let best = { to: from, rank: -1 };
  let index = from;
  for (; index < lines.length; index += 1) {
    const line = lines[index] as Line;
    const length = line.text.length > limit * 2 ? line.text.length : measure(line.text, unit);
    if (used + length + reserve(line.open) > limit) break;
    used += length + 1;
    last = line.open;
    const late = used > limit * 0.4;
    const rank = line.open !== undefined ? 0 : !late ? 1 : line.text.trim() === "" ? 3 : 2;
    // Of equals the later one.
    if (rank >= best.rank) best = { to: index + 1, rank };
  }
  if (index === lines.length) return { to: index, piece: [], more: false };
  // A short beginning before a paragraph that fits no part of its own: fill this part with a piece of it.
  const next = lines[index] as Line;
  const alone = measureUpTo(next.text, limit, unit) + reserve(next.open) > limit - (last === undefined ? 0 : measure(last.opening, unit) + 1);
  if (best.to > from && !(alone && used < limit * 0.4 && best.rank <= 1)) return { to: best.to, piece: [], more: false };

  const cut = breakLine(next.text, limit - used - reserve(last), unit, last === undefined);
  const piece = next.text.slice(0, cut);
  next.text = next.text.slice(cut).replace(last === undefined ? /^\s+/ : /^$/, "");
  return { to: index, piece: [piece], more: true };
}

const measureUpTo = (text: string, limit: number, unit: Unit): number => (text.length > limit * 2 ? text.length : measure(text, unit));

function trimCut(part: string): string {
  return part.replace(/^(?:[ \t]*\n)+/, "").trimEnd();
}

/** How much of a line to take, in UTF-16 units: up to a sentence, else a word, else a grapheme; at least one character. */
function breakLine(line: string, room: number, unit: Unit, prose: boolean): number {
  const end = longestPrefix(line, room, unit);
  if (!prose || end >= line.length) return end;
  const sentence = Math.max(...[". ", "! ", "? ", "… ", "。", "！", "？"].map((stop) => line.lastIndexOf(stop, end - 1) + 1));
  if (sentence > end * 0.5) return sentence;
  const space = line.lastIndexOf(" ", end);
  return space > end * 0.3 ? space : end;
}

function longestPrefix(text: string, room: number, unit: Unit): number {
  let end = 0;
  if (unit === "utf16") end = Math.min(Math.max(room, 0), text.length);
  else {
    let used = 0;
    for (const character of text) {
      used += unit === "points" ? 1 : Buffer.byteLength(character);
      if (used > room) break;
      end += character.length;
    }
  }
  if (end >= text.length) return text.length;
  if (isLow(text.charCodeAt(end)) && isHigh(text.charCodeAt(end - 1))) end -= 1;
  if (end === 0) return (text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1;
  return graphemeStart(text, end);
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff;
const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

function graphemeStart(text: string, at: number): number {
  // Below U+0300 every character stands alone.
  if (text.charCodeAt(at) < 0x300 && text.charCodeAt(at - 1) < 0x300) return at;
  const from = Math.max(0, at - 200);
  const start = graphemes.segment(text.slice(from, at + 100)).containing(at - from)?.index ?? at - from;
  return start > 0 ? from + start : at;
}
