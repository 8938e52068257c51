/**
 * The practice model: embedded, offline, deterministic, and honest about being one. It lets a newcomer see a whole flow at work without
 * an account: it calls the tools a text names and says what they returned. It guesses nothing that changes something.
 */
import type { Clock } from "../clock.ts";
import type { Extras } from "./extras.ts";
import type { Model, ModelEvent, ModelRequest, ToolCall, ToolSpec, Turn, Usage } from "./model.ts";
import type { Place } from "./place.ts";
import { fillSchema } from "./practice-json.ts";
import { planCalls } from "./practice-match.ts";
import { askBack, chat, type Outcome, report, STILL_NEED } from "./practice-speak.ts";
import { type Language, languageOf } from "./practice-words.ts";
import { saidText } from "./turns.ts";

/** Milliseconds between two words of a live answer. */
const WORD_MS = 30;
const CONTEXT_TOKENS = 8_000;
/** Characters of a text that are looked at: a wish is short. */
const LONGEST = 2_000;

export async function practiceModel(place: Place, _fetch: unknown, extras: Extras): Promise<Model> {
  async function* stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent> {
    signal.throwIfAborted();
    const { text, calls } = answer(request, extras.newId);
    for (const [at, piece] of (request.live ? text.split(/(?<=\s)(?=\S)/) : text === "" ? [] : [text]).entries()) {
      if (at > 0) await pause(WORD_MS, extras.clock, signal);
      if (piece !== "") yield { type: "text", delta: piece };
    }
    for (const call of calls) yield { type: "call", call };
    yield { type: "end", reason: calls.length > 0 ? "calls" : "stop", usage: usageOf(request, text + (calls.length > 0 ? JSON.stringify(calls) : "")) };
  }
  return { id: place.settings.model || "practice", provider: place.provider.id, contextTokens: place.settings.contextTokens ?? CONTEXT_TOKENS, stream };
}

const toolSizes = new WeakMap<ToolSpec, number>();
/** Tools stay the same from round to round: each is counted once. */
function toolChars(tool: ToolSpec): number {
  const known = toolSizes.get(tool);
  if (known !== undefined) return known;
  const size = tool.name.length + tool.description.length + JSON.stringify(tool.parameters).length;
  toolSizes.set(tool, size);
  return size;
}

/** Its tokens are four characters, of whatever script. */
function usageOf(request: ModelRequest, output: string): Usage {
  let input = request.system.length;
  for (const turn of request.turns) input += (turn.role === "user" ? saidText(turn) : turn.text).length + (turn.role === "assistant" && turn.calls ? JSON.stringify(turn.calls).length : 0);
  for (const tool of request.tools) input += toolChars(tool);
  return { input: Math.ceil(input / 4), output: Math.ceil(output.length / 4) };
}

function answer(request: ModelRequest, newId: () => string): { text: string; calls: ToolCall[] } {
  const { turns, tools } = request;
  const at = turns.findLastIndex((turn) => turn.role === "user");
  const text = (turns[at]?.text ?? "").slice(0, LONGEST);
  const language = languageOfTurns(turns, at);
  const results = turns.slice(at + 1).filter((turn) => turn.role === "tool");
  if (results.length > 0) {
    const said = report(text, outcomes(turns, results), language);
    return { text: request.schema === undefined ? said : JSON.stringify(fillSchema(request.schema, said)), calls: [] };
  }

  const wish = wishOf(turns, at, text);
  const { calls, missing } = planCalls(wish, tools, lastInputs(turns));
  if (calls.length > 0) return { text: "", calls: calls.map(({ tool, input }): ToolCall => ({ id: `call_${newId()}`, name: tool.name, input })) };
  if (request.schema !== undefined) return { text: JSON.stringify(fillSchema(request.schema, text)), calls: [] };
  return { text: missing === undefined ? chat(text, tools, language) : askBack(missing, language), calls: [] };
}

/** The answer to our own question back belongs to the wish before it. */
function wishOf(turns: readonly Turn[], at: number, text: string): string {
  const before = turns[at - 1];
  const wish = turns[at - 2];
  const asked = before?.role === "assistant" && Object.values(STILL_NEED).some((begin) => before.text.startsWith(begin));
  return asked && wish?.role === "user" ? `${wish.text.slice(0, LONGEST).replace(/[.!?]$/, "")} ${text}` : text;
}

/** A short text such as "21" speaks no language; the talk before it does. */
function languageOfTurns(turns: readonly Turn[], at: number): Language {
  for (let i = at; i >= 0; i--) {
    const turn = turns[i];
    const language = turn?.role === "user" ? languageOf(turn.text) : undefined;
    if (language !== undefined) return language;
  }
  return "en";
}

function outcomes(turns: readonly Turn[], results: readonly Turn[]): Outcome[] {
  const inputs = new Map<string, unknown>();
  for (const turn of turns) if (turn.role === "assistant") for (const call of turn.calls ?? []) inputs.set(call.id, call.input);
  return results.flatMap((turn) => (turn.role === "tool" ? [{ name: turn.name, input: inputs.get(turn.call), text: turn.text, failed: turn.failed }] : []));
}

function lastInputs(turns: readonly Turn[]): Map<string, Record<string, unknown>> {
  const last = new Map<string, Record<string, unknown>>();
  for (const turn of turns) {
    if (turn.role !== "assistant") continue;
    for (const call of turn.calls ?? []) if (typeof call.input === "object" && call.input !== null) last.set(call.name, call.input as Record<string, unknown>);
  }
  return last;
}

/** Waits by the given clock; an abort ends the wait with the signal's reason. */
function pause(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = (): void => { cancel(); reject(signal.reason); };
    const cancel = clock.after(ms, () => { signal.removeEventListener("abort", stop); resolve(); });
    signal.addEventListener("abort", stop, { once: true });
  });
}
