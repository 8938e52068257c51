/** Sections cut into passages: as long as a model likes to read, by paragraphs, each with the end of the one before it. Pure. */
import type { Section } from "./read.ts";

/** Characters of a passage, and of what it repeats. */
export const PASSAGE_CHARS = 1_200;
const OVERLAP_CHARS = 160;

export function passagesOf(sections: readonly Section[]): Section[] {
  return sections.flatMap(({ place, text }) => cut(text).map((part) => ({ place, text: part })));
}

function cut(text: string): string[] {
  const passages: string[] = [];
  let now = "";
  for (const part of text.split(/\n{2,}/).flatMap(short)) {
    if (now !== "" && now.length + part.length + 2 > PASSAGE_CHARS) {
      passages.push(now);
      now = `${endOf(now)}\n\n${part}`;
    } else now = now === "" ? part : `${now}\n\n${part}`;
  }
  if (now.trim() !== "") passages.push(now);
  return passages;
}
/** A paragraph that is too long by itself, at its lines, sentences or words; where there are none, anywhere but inside a character. */
function short(paragraph: string): string[] {
  const most = PASSAGE_CHARS - OVERLAP_CHARS - 4;
  const parts: string[] = [];
  let rest = paragraph.trim();
  while (rest.length > most) {
    const head = rest.slice(0, most);
    const at = [/^[\s\S]*\n/, /^[\s\S]*(?:[.!?](?=\s)|[。！？])/, /^[\s\S]*\s/].map((pattern) => pattern.exec(head)?.[0].length ?? 0).find((length) => length > most / 3) ?? (/[\uD800-\uDBFF]$/.test(head) ? most - 1 : most);
    parts.push(rest.slice(0, at).trim());
    rest = rest.slice(at).trim();
  }
  if (rest !== "") parts.push(rest);
  return parts;
}
/** The end of a passage, from the beginning of a word. */
function endOf(text: string): string {
  const end = text.slice(-OVERLAP_CHARS);
  return text.length <= OVERLAP_CHARS ? text : end.replace(/^\S*\s+/, "").replace(/^[\uDC00-\uDFFF]/, "");
}
