/** The words of blocks, for messages of other apps that have no text of their own. */
import { type NameOf, toMarkdown } from "./mrkdwn.ts";

interface Piece { readonly type?: string; readonly text?: string | Piece; readonly fields?: readonly Piece[]; readonly elements?: readonly Piece[]; readonly title?: string | Piece; readonly url?: string; readonly user_id?: string; readonly channel_id?: string; readonly name?: string; readonly style?: unknown; readonly value?: string }
const DEPTH = 12;

export function blockWords(blocks: readonly unknown[] | undefined, nameOf?: NameOf): string {
  return (blocks ?? []).map((block) => words(block as Piece, nameOf, 0)).filter((line) => line.trim() !== "").join("\n");
}

function words(piece: Piece, nameOf: NameOf | undefined, depth: number): string {
  if (typeof piece !== "object" || piece === null || depth > DEPTH) return "";
  const all = (pieces: readonly Piece[] | undefined, between: string) => (Array.isArray(pieces) ? pieces : []).map((each: Piece) => words(each, nameOf, depth + 1)).filter((line) => line !== "").join(between);
  switch (piece.type) {
    case "mrkdwn": return toMarkdown(String(piece.text ?? ""), nameOf);
    case "plain_text": case "text": case "markdown": return String(piece.text ?? "");
    case "user": return `@${nameOf?.(piece.user_id ?? "") ?? piece.user_id}`;
    case "channel": return `#${piece.channel_id}`;
    case "emoji": return `:${piece.name}:`;
    case "link": return typeof piece.text === "string" ? `[${piece.text}](${piece.url})` : (piece.url ?? "");
    case "rich_text_list": return (piece.elements ?? []).map((each) => `- ${words(each, nameOf, depth + 1)}`).join("\n");
    case "rich_text_preformatted": return `\`\`\`\n${all(piece.elements, "")}\n\`\`\``;
    case "rich_text_quote": return `> ${all(piece.elements, "").replaceAll("\n", "\n> ")}`;
    case "rich_text_section": return all(piece.elements, "");
    case "rich_text": return all(piece.elements, "\n");
    // What can be pressed is no text.
    case "button": case "static_select": case "actions": return "";
  }
  const own = [piece.title, piece.text].map((part) => (typeof part === "object" ? words(part, nameOf, depth + 1) : (part ?? "")));
  return [...own, all(piece.fields, "\n"), all(piece.elements, " ")].filter((line) => line !== "").join("\n");
}
