/** A document as a list of sections: where each stands (a page, a heading), and its text. */
import { htmlToText } from "../channels/mail/html.ts";

/** `place`: "page 3", or the headings above it, outermost first; "" before the first. */
export interface Section { readonly place: string; readonly text: string }
/** Why a document has no sections. */
export type Fault = "broken" | "encrypted" | "large" | "empty" | "stuck" | "unreadable";
export class DocumentFault extends Error {
  readonly fault: Fault;
  constructor(fault: Fault, cause?: unknown) {
    super(fault, { cause });
    this.fault = fault;
  }
}

export const ENDINGS = ["txt", "md", "markdown", "html", "htm", "pdf"] as const;
const MOST_PAGES = 3_000;
/** Characters of a heading; what is longer is none. */
const MOST_HEADING = 300;
/** Characters of one document. */
const MOST_CHARS = 10_000_000;

/** Throws DocumentFault. Gives way to others between pages. */
export async function readDocument(ending: string, bytes: Uint8Array, breath: () => Promise<void>): Promise<Section[]> {
  const sections = ending === "pdf" ? await readPdf(bytes, breath) : ending === "txt" ? [{ place: "", text: decode(bytes) }] : bySections(ending.startsWith("htm") ? fromHtml(decode(bytes)) : decode(bytes));
  const found = sections.map(({ place, text }) => ({ place, text: text.replace(/\r\n?/g, "\n").replace(/[^\S\n]+/g, " ").replace(/\n{3,}/g, "\n\n").trim() })).filter(({ text }) => text !== "");
  if (found.length === 0) throw new DocumentFault("empty");
  return found;
}

/** UTF-8, UTF-16 by its mark, and what older Windows programs wrote. */
function decode(bytes: Uint8Array): string {
  if (bytes.length > MOST_CHARS * 3) throw new DocumentFault("large");
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? "utf-16le" : bytes[0] === 0xfe && bytes[1] === 0xff ? "utf-16be" : undefined;
  if (encoding !== undefined) return new TextDecoder(encoding).decode(bytes);
  if (bytes.subarray(0, 8_000).includes(0)) throw new DocumentFault("broken");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** Headings as Markdown has them, so that both are cut alike. */
function fromHtml(html: string): string {
  return htmlToText(html.replace(/<h([1-6])\b[^>]{0,500}>/gi, (tag, level: string) => `${tag}${"#".repeat(Number(level))} `));
}

/** Cut at the headings (#), which are no headings inside a fenced block. */
function bySections(text: string): Section[] {
  const sections: { place: string; lines: string[] }[] = [{ place: "", lines: [] }];
  const path: string[] = [];
  let fence: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const mark = /^\s{0,3}(```|~~~)/.exec(line)?.[1];
    if (mark !== undefined) fence = fence === undefined ? mark : fence === mark ? undefined : fence;
    const [, signs, rest = ""] = (fence === undefined ? /^\s{0,3}(#{1,6})(?=\s)(.*)$/.exec(line) : null) ?? [];
    const title = withoutSigns(rest.trim());
    if (signs === undefined || title === "" || title.length > MOST_HEADING) { sections.at(-1)?.lines.push(line); continue; }
    path.length = Math.min(path.length, signs.length - 1);
    path[signs.length - 1] = title.replace(/[*_`]/g, "");
    sections.push({ place: path.filter((part) => part !== undefined && part !== "").join(" › "), lines: [] });
  }
  return sections.map(({ place, lines }) => ({ place, text: lines.join("\n") }));
}

/** "Heading ##" is "Heading", "C#" is itself. By hand: a pattern for it would try each way to part blanks and signs. */
function withoutSigns(text: string): string {
  let end = text.length;
  while (end > 0 && text.charAt(end - 1) === "#") end--;
  return end === 0 || /\s/.test(text.charAt(end - 1)) ? text.slice(0, end).trimEnd() : text;
}

interface PdfItem { readonly str?: string; readonly hasEOL?: boolean }
async function readPdf(bytes: Uint8Array, breath: () => Promise<void>): Promise<Section[]> {
  const { getDocumentProxy } = await import("unpdf");
  try {
    const pdf = await getDocumentProxy(new Uint8Array(bytes), { verbosity: 0 });
    try {
      if (pdf.numPages > MOST_PAGES) throw new DocumentFault("large");
      const sections: Section[] = [];
      let chars = 0;
      for (let number = 1; number <= pdf.numPages; number++) {
        const page = await pdf.getPage(number);
        const { items } = await page.getTextContent() as { items: PdfItem[] };
        const text = items.map(({ str = "", hasEOL }) => (hasEOL ? `${str}\n` : str)).join("");
        page.cleanup();
        chars += text.length;
        if (chars > MOST_CHARS) throw new DocumentFault("large");
        sections.push({ place: `page ${number}`, text });
        await breath();
      }
      return sections;
    } finally {
      await pdf.loadingTask.destroy();
    }
  } catch (thrown) {
    if (thrown instanceof DocumentFault) throw thrown;
    throw new DocumentFault((thrown as Error | undefined)?.name === "PasswordException" ? "encrypted" : "broken", thrown);
  }
}
