/** What an MCP server answers to a call, as the text a model reads. Pictures, sounds and files go to the spool and are named by their reference. */
import { ToolError } from "../errors.ts";
import type { ToolResult } from "../tool.ts";
import { withoutControls } from "./names.ts";

/** A model reads no more than this of one result. */
const MAX_TEXT = 50_000;
const MAX_PARTS = 200;
const MAX_FILES = 8;

/** Keeps bytes; resolves to their reference, `spool:<id>`, and what they are. */
export type Keep = (bytes: Uint8Array, about: { readonly mime: string; readonly name?: string }) => Promise<{ readonly media: string; readonly mime: string; readonly bytes: number }>;

interface Part { readonly type?: unknown; readonly text?: unknown; readonly data?: unknown; readonly mimeType?: unknown; readonly uri?: unknown; readonly name?: unknown; readonly resource?: { readonly uri?: unknown; readonly text?: unknown; readonly blob?: unknown; readonly mimeType?: unknown } }

/** Throws ToolError TOOL_003 with the server's words where it says that the tool failed. */
export async function resultText(result: { readonly content?: unknown; readonly structuredContent?: unknown; readonly isError?: unknown }, keep: Keep): Promise<ToolResult> {
  const parts = Array.isArray(result.content) ? (result.content as Part[]) : [];
  const texts: string[] = [];
  let files = 0;
  const file = async (data: unknown, mime: unknown, what: string): Promise<string> => {
    if (typeof data !== "string" || ++files > MAX_FILES) return `[${what}: left out]`;
    const kept = await keep(Buffer.from(data, "base64"), { mime: typeof mime === "string" ? mime.slice(0, 100) : "application/octet-stream" });
    return `[${what}: ${kept.mime}, ${kept.bytes} bytes, kept as ${kept.media}]`;
  };
  for (const part of parts.slice(0, MAX_PARTS)) {
    if (part?.type === "text") texts.push(String(part.text));
    else if (part?.type === "image" || part?.type === "audio") texts.push(await file(part.data, part.mimeType, part.type));
    else if (part?.type === "resource_link") texts.push(`[link: ${String(part.name ?? "")} ${String(part.uri)}]`);
    else if (part?.type === "resource") {
      const { uri, text, blob, mimeType } = part.resource ?? {};
      texts.push(typeof text === "string" ? `[${String(uri)}]\n${text}` : await file(blob, mimeType, `file ${String(uri)}`));
    }
  }
  if (texts.length === 0 && result.structuredContent !== undefined) texts.push(JSON.stringify(result.structuredContent));
  const text = capped(withoutControls(texts.join("\n")));
  if (result.isError === true) throw new ToolError("TOOL_003", {}, text === "" ? "the server says that the tool failed, without a reason" : text);
  return { text };
}

function capped(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}… (cut, ${text.length} characters)` : text;
}
