/** From the pieces of a chat completion, or a whole one, to events. */
import { estimateUsage } from "../context/estimate.ts";
import { emptyAnswer, parseAnswer } from "./answers.ts";
import type { Collect } from "./exchange.ts";
import { modelFault, ModelFault } from "./faults.ts";
import type { ModelEvent, ModelRequest, ToolCall, Usage } from "./model.ts";
import type { Place } from "./place.ts";
import { thinkTags } from "./think-tags.ts";
import { readInput } from "./turns.ts";

/** What providers really send: every field may be missing, null or of another shape. */
interface Piece { choices?: Choice[] | null; usage?: RawUsage | null; x_groq?: { usage?: RawUsage | null } | null; error?: unknown }
interface Choice { delta?: Delta | null; message?: Delta | null; finish_reason?: string | null; error?: unknown; usage?: RawUsage | null }
interface Delta { content?: unknown; refusal?: string | null; tool_calls?: CallPiece[] | null; [field: string]: unknown }
interface CallPiece { index?: number; id?: string | null; function?: { name?: string | null; arguments?: unknown } | null; extra_content?: unknown }
interface RawUsage {
  prompt_tokens?: number; completion_tokens?: number; total_tokens?: number; cached_tokens?: number; prompt_cache_hit_tokens?: number;
  prompt_tokens_details?: { cached_tokens?: number | null; cache_write_tokens?: number | null } | null; completion_tokens_details?: { reasoning_tokens?: number | null } | null;
}

export function collectChat(place: Place, request: ModelRequest, freshId: (id: string | undefined) => string): Collect {
  const { party, provider } = place;
  const reasoning = [...new Set([provider.quirks?.reasoningField ?? "reasoning_content", "reasoning_content", "reasoning"])];
  const echoFields = provider.quirks?.echoFields ?? [];
  const echo: Record<string, unknown> = {};
  const calls: { id: string | undefined; name: string; text: string; extra: unknown }[] = [];
  const byIndex = new Map<number, (typeof calls)[number]>();
  const think = thinkTags();
  let finish: string | undefined;
  let usage: RawUsage | undefined;
  let refusal = "";
  let output = "";
  let text = "";

  function say(events: ModelEvent[], type: "text" | "thought", delta: string): void {
    if (delta === "") return;
    output += delta;
    if (type === "text") text += delta;
    events.push({ type, delta });
  }

  function take(events: ModelEvent[], delta: Delta): void {
    for (const field of reasoning) {
      const thought = delta[field];
      if (typeof thought !== "string" || thought === "") continue;
      say(events, "thought", thought);
      break;
    }
    for (const field of echoFields) if (delta[field] !== undefined && delta[field] !== null) echo[field] = joined(echo[field], delta[field]);
    if (typeof delta.content === "string") for (const part of think.add(delta.content)) say(events, part.type, part.text);
    else if (Array.isArray(delta.content)) for (const part of delta.content) say(events, (part as { type?: string })?.type === "thinking" ? "thought" : "text", textOf(part));
    if (typeof delta.refusal === "string") refusal += delta.refusal;
    for (const [at, piece] of (delta.tool_calls ?? []).entries()) takeCall(piece, piece.index ?? at);
  }

  function takeCall(piece: CallPiece, index: number): void {
    let call = byIndex.get(index);
    // Gemini gives parallel calls the same index; a new id with a new name is a new call.
    if (call === undefined || (piece.id && call.id && piece.id !== call.id && piece.function?.name)) {
      call = { id: piece.id ?? undefined, name: "", text: "", extra: undefined };
      calls.push(call);
      byIndex.set(index, call);
    }
    call.id ||= piece.id ?? undefined;
    // Some servers repeat the name in every piece.
    if (call.name === "") call.name = piece.function?.name ?? "";
    const args = piece.function?.arguments;
    if (typeof args === "string") call.text += args;
    else if (typeof args === "object" && args !== null) call.text += JSON.stringify(args);
    if (piece.extra_content !== undefined) call.extra = piece.extra_content;
    output += typeof args === "string" ? args : "";
  }

  function add(piece: Piece): ModelEvent[] {
    const choice = piece.choices?.[0];
    usage = piece.usage ?? piece.x_groq?.usage ?? choice?.usage ?? usage;
    if (piece.error) throw modelFault({ error: piece.error }, party);
    const events: ModelEvent[] = [];
    if (!choice) return events;
    if (choice.error) throw modelFault({ error: choice.error }, party);
    const delta = choice.delta ?? choice.message;
    if (delta) take(events, delta);
    if (choice.finish_reason) finish = choice.finish_reason;
    return events;
  }

  function whole(answer: unknown): ModelEvent[] {
    const parsed = typeof answer === "string" ? parseAnswer(answer, party.name) : answer;
    if (typeof parsed !== "object" || parsed === null) throw new ModelFault("bad answer", `${party.name} sent an empty answer.`);
    const piece = parsed as Piece;
    if (!piece.error && !Array.isArray(piece.choices)) throw new ModelFault("bad answer", `Expected a chat completion from ${party.name}, got other JSON; is the base URL right?`);
    finish = "stop";
    return add(piece);
  }

  function end(): ModelEvent[] {
    const events: ModelEvent[] = [];
    for (const part of think.end()) say(events, part.type, part.text);
    if (finish === undefined) throw new ModelFault("overloaded", `${party.name} broke off in the middle of its answer.`);
    if (finish === "content_filter") throw new ModelFault("answer refused", `${party.name} stopped the answer with its content filter.`);
    if (finish === "error") throw new ModelFault("overloaded", `${party.name} ended the answer with an error.`);
    if (refusal !== "" && text === "") throw new ModelFault("answer refused", `The model refused: ${refusal.slice(0, 300)}`);
    const length = finish === "length" || finish === "max_tokens";
    if (text.trim() === "" && calls.length === 0) throw emptyAnswer(party.name, length);
    const made = calls.map((call): ToolCall => ({
      id: freshId(call.id), name: call.name, ...readInput(call.text),
      ...(call.extra === undefined || call.extra === null ? {} : { echo: { from: place.origin, data: { extra_content: call.extra } } }),
    }));
    for (const call of made) events.push({ type: "call", call });
    events.push({
      type: "end",
      reason: length ? "length" : made.length > 0 ? "calls" : "stop",
      usage: used() ?? estimateUsage(request, output),
      ...(made.length > 0 && Object.keys(echo).length > 0 ? { echo: { from: place.origin, data: echo } } : {}),
    });
    return events;
  }
  const used = (): Usage | undefined => (finish === undefined ? undefined : readUsage(usage));
  return { add, whole, end, used };
}

/** A content part of Mistral: `{type:"text",text}`, or `{type:"thinking",thinking:[{text}]}`. */
function textOf(part: unknown): string {
  if (typeof part === "string") return part;
  const { text, thinking } = (part ?? {}) as { text?: unknown; thinking?: unknown };
  if (typeof text === "string") return text;
  return Array.isArray(thinking) ? thinking.map(textOf).join("") : typeof thinking === "string" ? thinking : "";
}

/** Pieces of a field that must go back whole: texts are joined; of lists (OpenRouter's reasoning_details) entries of one index are joined. */
function joined(before: unknown, piece: unknown): unknown {
  if (typeof piece === "string") return typeof before === "string" ? before + piece : piece;
  if (!Array.isArray(piece)) return piece;
  const list: Record<string, unknown>[] = Array.isArray(before) ? [...before] : [];
  for (const entry of piece as Record<string, unknown>[]) {
    const last = list.at(-1);
    if (last === undefined || entry.index === undefined || last.index !== entry.index || last.type !== entry.type) {
      list.push({ ...entry });
      continue;
    }
    for (const [key, value] of Object.entries(entry)) {
      const grows = ["text", "summary", "data"].includes(key) && typeof last[key] === "string" && typeof value === "string";
      if (value !== null) last[key] = grows ? `${last[key] as string}${value as string}` : value;
    }
  }
  return list;
}

function readUsage(raw: RawUsage | undefined): Usage | undefined {
  if (raw === undefined || typeof raw.prompt_tokens !== "number") return undefined;
  // Servers that do not count say zero.
  if (raw.prompt_tokens === 0 && !raw.completion_tokens) return undefined;
  const cachedInput = raw.prompt_tokens_details?.cached_tokens ?? raw.prompt_cache_hit_tokens ?? raw.cached_tokens;
  const storedInput = raw.prompt_tokens_details?.cache_write_tokens;
  const reasoning = raw.completion_tokens_details?.reasoning_tokens;
  const output = raw.completion_tokens ?? 0;
  // Gemini and xAI count reasoning beside the completion, and only the total holds it. It is paid like the rest.
  const beside = (raw.total_tokens ?? 0) - raw.prompt_tokens;
  return {
    input: raw.prompt_tokens, output: Math.max(output, beside),
    ...(typeof cachedInput === "number" ? { cachedInput } : {}), ...(typeof storedInput === "number" ? { storedInput } : {}), ...(typeof reasoning === "number" ? { reasoning } : {}),
  };
}
