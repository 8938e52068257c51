/** WhatsApp's own marks as Markdown: https://faq.whatsapp.com/539178204879377. Italics, code, quotes and lists are written alike in both. */

/** Text between backticks stays as it is. */
const CODE = /(```[\s\S]*?```|`[^`\n]+`)/;
/** A mark counts at the edge of a word, around something that neither begins nor ends with white space. */
const marked = (mark: string): RegExp => new RegExp(`(?<![\\p{L}\\p{N}${mark}])${mark}(?=[^\\s${mark}])([^\\n${mark}]{0,4095}[^\\s${mark}])${mark}(?![\\p{L}\\p{N}${mark}])`, "gu");
const BOLD = marked("\\*");
const STRUCK = marked("~");

export function toMarkdown(text: string): string {
  if (!/[*~]/.test(text)) return text;
  return text.split(CODE).map((piece, index) => (index % 2 === 1 ? piece : piece.replace(BOLD, "**$1**").replace(STRUCK, "~~$1~~"))).join("");
}
