/** Words of an MCP server as a model gets them: names that every provider takes, texts without hidden signs. Pure. */
import { createHash } from "node:crypto";

/** What all providers take: OpenAI and Anthropic allow 64 characters of this kind. */
const MAX_NAME = 64;
const MAX_DESCRIPTION = 1_024;
const HASH = 6;

export const digest = (text: string, length: number): string => createHash("sha256").update(text).digest("hex").slice(0, length);

/**
 * `<prefix>_<name>`. Where a sign has to be left out or the name is too long, a hash of the server's own name follows: two tools never share a name,
 * in whatever order they come.
 */
export function toolName(prefix: string, name: string): string {
  const plain = `${prefix === "" ? "" : `${prefix}_`}${name.replace(/[^a-zA-Z0-9_-]+/g, "_")}`;
  const own = /^[a-zA-Z_]/.test(plain) ? plain : `_${plain}`;
  if (own.length <= MAX_NAME && own === `${prefix === "" ? "" : `${prefix}_`}${name}`) return own;
  return `${own.slice(0, MAX_NAME - HASH - 1)}_${digest(name, HASH)}`;
}

/** Signs nobody sees, which a text for a model can hide words in: controls, direction marks, zero widths, variations, tags. Line ends and tabs stay. */
const HIDDEN = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|\p{Variation_Selector}|[\u{e0000}-\u{e0fff}]/gu;
export const withoutHidden = (text: string): string => text.replace(HIDDEN, "");
/** What a terminal or a log would act on. */
export const withoutControls = (text: string): string => text.replace(/(?![\t\n\r])\p{Cc}/gu, "");

/** What a server says of its tool. */
export function toolDescription(text: unknown): string {
  const clean = withoutHidden(typeof text === "string" ? text.slice(0, 4 * MAX_DESCRIPTION) : "").trim();
  return clean.length > MAX_DESCRIPTION ? `${clean.slice(0, MAX_DESCRIPTION - 1)}…` : clean;
}
