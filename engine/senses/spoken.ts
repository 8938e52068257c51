/** An answer as it is spoken: without markup, code and addresses, which nobody can listen to. Pure. */
import { PLAIN_TEXT, renderMarkdown } from "../channels/markdown.ts";
import type { Draft } from "../message.ts";
import { MAX_SPOKEN } from "../models/media.ts";

const UNSPEAKABLE = /```[\s\S]*?(?:```|(?![\s\S]))|\bhttps?:\/\/[^\s<>()]+|^[ \t]*\|.*\|[ \t]*$/gm;

/** Undefined where nothing is left to be said. */
export function spokenText({ text, plain }: Pick<Draft, "text" | "plain">): string | undefined {
  const bare = text.replace(/\[([^[\]\n]*)\]\(https?:[^()\s]*\)/g, "$1").replace(UNSPEAKABLE, " ");
  const words = (plain === true ? bare : renderMarkdown(bare, PLAIN_TEXT)).replace(/[ \t]+/g, " ").replace(/\n{3,}/g, "\n\n").trim();
  if (!/[\p{L}\p{N}]/u.test(words)) return undefined;
  if (words.length <= MAX_SPOKEN) return words;
  const cut = words.slice(0, MAX_SPOKEN);
  return cut.slice(0, Math.max(cut.lastIndexOf(". "), cut.lastIndexOf("\n"), MAX_SPOKEN / 2) + 1).trim();
}

/** What cannot be told by voice alone is written as well. */
export function needsWords({ text, buttons, choices, cards, poll, form }: Draft): boolean {
  return text.length > MAX_SPOKEN || new RegExp(UNSPEAKABLE.source, "m").test(text) || [buttons, choices, cards, poll, form].some((part) => part !== undefined);
}
