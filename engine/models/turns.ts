/** What every wire needs to make a session's turns fit to send: matching calls and results, ids, pictures. */
import { createHash } from "node:crypto";
import type { DraftFile } from "../message.ts";
import type { Extras } from "./extras.ts";
import type { JsonSchema, ModelRequest, ToolCall, Turn } from "./model.ts";

const LOST = "No result: the call was interrupted.";

/**
 * Providers refuse a request whose calls and results do not match, so after a cut history or a crash every further request would fail.
 * Results of calls that are no longer there are left out; a call without a result gets one that says so; results follow their calls.
 */
export function tidyTurns(turns: readonly Turn[]): readonly Turn[] {
  if (isTidy(turns)) return turns;
  const tidy: Turn[] = [];
  for (let i = 0; i < turns.length; i++) {
    const turn = turns[i] as Turn;
    if (turn.role === "tool") continue;
    tidy.push(turn);
    if (turn.role !== "assistant" || !turn.calls?.length) continue;
    const results = new Map<string, Turn>();
    for (let j = i + 1; j < turns.length; j++) {
      const later = turns[j] as Turn;
      if (later.role === "assistant") break;
      if (later.role === "tool" && !results.has(later.call)) results.set(later.call, later);
    }
    for (const call of turn.calls) tidy.push(results.get(call.id) ?? { role: "tool", call: call.id, name: call.name, text: LOST, failed: true });
  }
  return tidy;
}

function isTidy(turns: readonly Turn[]): boolean {
  let waiting: readonly ToolCall[] = [];
  let at = 0;
  for (const turn of turns) {
    if (turn.role === "tool") {
      if (waiting[at]?.id !== turn.call) return false;
      at++;
      continue;
    }
    if (at !== waiting.length) return false;
    waiting = turn.role === "assistant" ? (turn.calls ?? []) : [];
    at = 0;
  }
  return at === waiting.length;
}

/** An id in a provider's own form; ids of another provider are replaced by a stable hash. */
export function fitId(id: string, allowed: RegExp, length: number): string {
  if (allowed.test(id)) return id;
  return createHash("sha256").update(id).digest("base64").replace(/[^a-zA-Z0-9]/g, "x").slice(0, length);
}

/** Gives each call an id that is new in this session: some servers send none, or count from zero in every answer. */
export function freshIds(request: ModelRequest, newId: () => string): (id: string | undefined) => string {
  let used: Set<string> | undefined;
  return (id) => {
    if (used === undefined) {
      used = new Set();
      for (const turn of request.turns) if (turn.role === "assistant") for (const call of turn.calls ?? []) used.add(call.id);
    }
    const fresh = id === undefined || id === "" || used.has(id) ? `call_${newId()}` : id;
    used.add(fresh);
    return fresh;
  };
}

/** What a model wrote as arguments. No text at all, or `null`, means no arguments. */
export function readInput(text: string): { readonly input: unknown; readonly malformed?: string } {
  if (text.trim() === "") return { input: {} };
  try {
    const input: unknown = JSON.parse(text);
    return { input: input === null ? {} : input };
  } catch {
    return { input: undefined, malformed: text };
  }
}

/** Provider's data on a turn or call, with its origin: after a failover another provider must not get it. */
export interface Echo { readonly from: string; readonly data: unknown }
export function echoOf(echo: unknown, from: string): unknown {
  return typeof echo === "object" && echo !== null && (echo as Echo).from === from ? (echo as Echo).data : undefined;
}

/** A schema without some keywords, at every depth. Names of properties are no keywords. */
export function dropKeywords(schema: JsonSchema, keywords: readonly string[]): JsonSchema {
  const walk = (value: unknown, names: boolean): unknown => {
    if (Array.isArray(value)) return value.map((each) => walk(each, false));
    if (typeof value !== "object" || value === null) return value;
    const kept: Record<string, unknown> = {};
    for (const [key, part] of Object.entries(value)) {
      if (!names && keywords.includes(key)) continue;
      kept[key] = walk(part, !names && (key === "properties" || key === "$defs" || key === "definitions"));
    }
    return kept;
  };
  return keywords.length === 0 ? schema : (walk(schema, false) as JsonSchema);
}

/** A user's words, with what holds for them by the agent's settings before them. */
export function saidText({ text, context }: Extract<Turn, { role: "user" }>): string {
  return context === undefined ? text : `<context>\n${context}\n</context>\n\n${text}`;
}

export interface Picture { readonly mime: string; readonly base64: string }
/** What every provider with eyes takes. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
/** Anthropic's limit per picture; the lowest we know. */
const MAX_PICTURE_BYTES = 5_000_000;

/** The pictures of a user's turn, and its text with a line for each file the model cannot see. */
export async function readFiles(text: string, files: readonly DraftFile[], images: boolean, extras: Extras, signal: AbortSignal): Promise<{ text: string; pictures: Picture[] }> {
  const pictures: Picture[] = [];
  const lines: string[] = [];
  for (const file of files) {
    const picture = images && file.kind === "image" ? await readPicture(file, extras, signal) : "not shown";
    if (typeof picture === "string") lines.push(`[${file.kind}${file.name === undefined ? "" : ` "${file.name}"`}${file.alt === undefined ? "" : `: ${file.alt}`}, ${picture}]`);
    else pictures.push(picture);
  }
  return { text: [...(text === "" ? [] : [text]), ...lines].join("\n"), pictures };
}

async function readPicture(file: DraftFile, extras: Extras, signal: AbortSignal): Promise<Picture | string> {
  const inline = /^data:([\w/+.-]+);base64,(.*)$/s.exec(file.media);
  if (inline) return PICTURES.has(inline[1] as string) ? { mime: inline[1] as string, base64: inline[2] as string } : "not shown";
  if (extras.readFile === undefined) return "not shown";
  try {
    const { bytes, mime = file.mime ?? "" } = await extras.readFile(file.media, signal);
    if (!PICTURES.has(mime)) return "not shown";
    if (bytes.length > MAX_PICTURE_BYTES) return "too large to show";
    return { mime, base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64") };
  } catch (thrown) {
    if (signal.aborted) throw thrown;
    return "no longer there";
  }
}
