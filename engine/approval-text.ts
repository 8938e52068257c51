/** What an owner reads before a tool runs: made of the call itself, never by the model. Whoever wrote the arguments may be hostile. Pure. */
import type { Risk, Trust } from "./tool.ts";

/** Says a word of the language; values are numbers and codes alone, so that nobody else's words are ever read as a placeholder. */
export type ApprovalWords = (key: string, values?: Readonly<Record<string, string | number>>) => string;

export interface ApprovalAbout {
  readonly tool: string;
  readonly risk: Risk;
  readonly input: unknown;
  readonly who: { readonly name: string; readonly trust: Trust; readonly channel: string };
  readonly tainted: boolean;
  /** Texts in the talk that neither the owner nor a paired person wrote. */
  readonly outside: readonly string[];
  readonly code: string;
  readonly waitMs: number;
}

const MAX_VALUE = 200;
const MAX_NAME = 64;
const MAX_LINES = 12;
/** An equal run of so many characters is no accident. */
const COPY = 12;
const MAX_COMPARED = 200_000;

/** The same text for the same value, whatever the order of its keys. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  return `{${Object.entries(value).filter(([, one]) => one !== undefined).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`).join(",")}}`;
}

/** Controls, format and tag characters, variation selectors, blanks that are no space, what Unicode does not know; letters that show nothing. */
const HIDDEN = /\u034f|[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Cs}\p{Zl}\p{Zp}\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]|[\u180b-\u180f\ufe00-\ufe0f\u{e0100}-\u{e01ef}]|(?! )\p{Zs}/gu;
/** Nothing in it hides, turns the line round, or begins another line. */
export function visible(text: string): string {
  return text.replace(HIDDEN, (hidden) => `⟨U+${(hidden.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

function shown(value: unknown, say: ApprovalWords): string {
  const whole = typeof value === "string" ? value : canonical(value);
  const points = [...whole];
  const part = points.length > MAX_VALUE ? points.slice(0, MAX_VALUE).join("") : whole;
  return `${visible(typeof value === "string" ? JSON.stringify(part) : part)}${points.length > MAX_VALUE ? ` … ${say("length", { count: points.length })}` : ""}`;
}
function named(name: string): string {
  const points = [...name];
  return visible(points.length > MAX_NAME ? `${points.slice(0, MAX_NAME).join("")}…` : name);
}

const plain = (text: string): string => text.normalize("NFKC").toLowerCase().replace(/\s+/gu, " ");
/** Is a piece of at least twelve characters of this value a copy from one of these texts? */
export function isCopied(value: unknown, outside: readonly string[]): boolean {
  const text = plain(typeof value === "string" ? value : canonical(value)).slice(0, MAX_COMPARED / 10);
  if (text.length < COPY) return false;
  const pieces = new Set<string>();
  for (let at = 0; at + COPY <= text.length; at++) pieces.add(text.slice(at, at + COPY));
  let left = MAX_COMPARED;
  for (const one of outside) {
    const other = plain(one.slice(0, left));
    left -= Math.min(left, one.length);
    for (let at = 0; at + COPY <= other.length; at++) if (pieces.has(other.slice(at, at + COPY))) return true;
  }
  return false;
}

/** One fact a line; the arguments stand between a heading and the code, so that none of them passes for another line. */
export function approvalText(about: ApprovalAbout, say: ApprovalWords): string {
  const input = typeof about.input === "object" && about.input !== null && !Array.isArray(about.input) ? Object.entries(about.input).sort(([a], [b]) => (a < b ? -1 : 1)) : [["", about.input] as const];
  const lines = input.slice(0, MAX_LINES).map(([name, value]) => `• ${named(name)}: ${shown(value, say)}${about.tainted && isCopied(value, about.outside) ? ` ⚠ ${say("copied")}` : ""}`);
  const more = input.length - lines.length;
  return [
    say("title"),
    `${say("tool")}: ${named(about.tool)} (${say(`risk.${about.risk}`)})`,
    `${say("by")}: ${JSON.stringify(named(about.who.name))}, ${say(`trust.${about.who.trust}`)}, ${named(about.who.channel)}`,
    lines.length === 0 ? say("noArguments") : `${say("arguments")}:`,
    ...lines,
    ...(more > 0 ? [`• ${say("more", { count: more })}`] : []),
    ...(about.tainted ? [`⚠ ${say("tainted")}`] : []),
    say("code", { code: about.code, minutes: Math.max(1, Math.round(about.waitMs / 60_000)) }),
  ].join("\n");
}

/** One line of a call that is always allowed, for the gateway's dialog. */
export function callText(input: unknown): string {
  const points = [...canonical(input)];
  return visible(points.length > MAX_VALUE ? `${points.slice(0, MAX_VALUE).join("")}… (${points.length})` : points.join(""));
}
