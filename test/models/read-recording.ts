/** Reads a recorded answer of a provider by itself, without SDK and without our code: what the replay must come to. */
import { readFileSync } from "node:fs";

export interface Expected {
  readonly text: string;
  readonly thought: string;
  readonly calls: readonly { readonly id: string; readonly name: string; readonly input: unknown }[];
  /** As the provider wrote it. */
  readonly finish: string | undefined;
  readonly usage: { readonly input: number; readonly output: number } | undefined;
}
/** One HTTP answer: a whole JSON body, or the chunks of a stream. A file may hold several, one after the other. */
export interface Recording { readonly name: string; readonly chunks?: readonly Json[]; readonly whole?: Json; readonly expected: Expected; /** The lines as they are, where one of them is no JSON. */ readonly torn?: readonly string[] }
// biome-ignore lint/suspicious/noExplicitAny: recordings are JSON of many shapes
export type Json = any;

export function readChat(folder: string, file: string): Recording[] {
  const { whole, chunks } = load(folder, file);
  const pieces: Json[] = whole ? [{ ...whole, choices: whole.choices.map((choice: Json) => ({ ...choice, delta: choice.message })) }] : chunks;
  let text = "";
  let thought = "";
  let finish: string | undefined;
  let usage: Json;
  const calls = new Map<number, { id: string; name: string; args: string }>();
  for (const piece of pieces) {
    if (piece.usage) usage = piece.usage;
    for (const { delta, finish_reason } of piece.choices ?? []) {
      const parts = Array.isArray(delta?.content) ? delta.content : [{ type: "text", text: delta?.content ?? "" }];
      for (const part of parts) {
        if (part.type === "thinking") thought += part.thinking.map((each: Json) => each.text).join("");
        else text += part.text;
      }
      thought += delta?.reasoning_content ?? delta?.reasoning ?? "";
      for (const [at, call] of (delta?.tool_calls ?? []).entries()) {
        const index = whole ? at : (call.index ?? at);
        const known = calls.get(index) ?? { id: call.id, name: call.function.name, args: "" };
        calls.set(index, { ...known, args: known.args + (call.function.arguments ?? "") });
      }
      if (finish_reason) finish = finish_reason;
    }
  }
  const expected: Expected = {
    text, thought, finish,
    calls: [...calls.values()].map(({ id, name, args }) => ({ id, name, input: JSON.parse(args || "{}") })),
    usage: usage && { input: usage.prompt_tokens, output: besideReasoning(usage) ? usage.completion_tokens + usage.completion_tokens_details.reasoning_tokens : usage.completion_tokens },
  };
  return [whole ? { name: file, whole, expected } : { name: file, chunks, expected }];
}

/** Whether reasoning is counted beside the completion, as xAI does: the three then make the total. */
function besideReasoning({ prompt_tokens, completion_tokens, completion_tokens_details, total_tokens }: Json): boolean {
  const reasoning = completion_tokens_details?.reasoning_tokens ?? 0;
  return reasoning > 0 && prompt_tokens + completion_tokens + reasoning === total_tokens;
}

export function readMessages(folder: string, file: string): Recording[] {
  const { whole, chunks } = load(folder, file);
  if (whole) {
    const blocks: Json[] = whole.content;
    const of = (type: string): Json[] => blocks.filter((block) => block.type === type);
    const { input_tokens, output_tokens, cache_read_input_tokens = 0, cache_creation_input_tokens = 0 } = whole.usage;
    return [{
      name: file, whole,
      expected: {
        text: of("text").map((block) => block.text).join(""), thought: of("thinking").map((block) => block.thinking).join(""), finish: whole.stop_reason,
        calls: of("tool_use").map(({ id, name, input }) => ({ id, name, input })),
        usage: { input: input_tokens + (cache_read_input_tokens ?? 0) + (cache_creation_input_tokens ?? 0), output: output_tokens },
      },
    }];
  }
  const recordings: Recording[] = [];
  let own: Json[] = [];
  for (const chunk of chunks) {
    own.push(chunk);
    if (chunk.type !== "message_stop") continue;
    recordings.push({ name: recordings.length === 0 ? file : `${file} (${recordings.length + 1})`, chunks: own, expected: expectMessages(own) });
    own = [];
  }
  if (own.length > 0) throw new Error(`${file} does not end with message_stop`);
  return recordings;
}

function expectMessages(chunks: readonly Json[]): Expected {
  // What was called before a second message_start is void.
  const start = chunks.findLastIndex((chunk) => chunk.type === "message_start");
  const deltas = (type: string, among = chunks): Json[] => among.filter((chunk) => chunk.type === "content_block_delta" && chunk.delta.type === type);
  const last = chunks.slice(start);
  // A message may begin with blocks in it already.
  const given: Json[] = last[0].message.content.filter((block: Json) => block.type === "tool_use");
  const usage: Json = {};
  for (const chunk of chunks) Object.assign(usage, Object.fromEntries(Object.entries(chunk.message?.usage ?? chunk.usage ?? {}).filter(([, value]) => typeof value === "number")));
  return {
    text: chunks.map((chunk) => (chunk.type === "content_block_start" && chunk.content_block.type === "text" ? chunk.content_block.text : chunk.delta?.type === "text_delta" ? chunk.delta.text : "")).join(""),
    thought: deltas("thinking_delta").map((chunk) => chunk.delta.thinking).join(""),
    finish: chunks.findLast((chunk) => chunk.type === "message_delta")?.delta.stop_reason ?? last[0].message.stop_reason,
    calls: given.map(({ id, name, input }) => ({ id, name, input })).concat(last.filter((chunk) => chunk.type === "content_block_start" && chunk.content_block.type === "tool_use").map(({ index, content_block: { id, name, input } }) => {
      const args = deltas("input_json_delta", last).filter((chunk) => chunk.index === index).map((chunk) => chunk.delta.partial_json).join("");
      return { id, name, input: args === "" ? input : JSON.parse(args) };
    })),
    usage: { input: usage.input_tokens + (usage.cache_read_input_tokens ?? 0) + (usage.cache_creation_input_tokens ?? 0), output: usage.output_tokens },
  };
}

/** A file may hold several responses; the last event of each carries the whole of it, which the pieces must come to. */
export function readResponses(folder: string, file: string): Recording[] {
  const { whole, chunks, torn } = load(folder, file);
  if (whole) return [{ name: file, whole, expected: expectResponse(whole, whole.output) }];
  const recordings: Recording[] = [];
  let own: Json[] = [];
  for (const chunk of chunks) {
    own.push(chunk);
    if (!["response.completed", "response.failed", "response.incomplete"].includes(chunk.type)) continue;
    const output = chunk.response.output.length > 0 ? chunk.response.output : own.filter((event) => event.type === "response.output_item.done").map((event) => event.item);
    // One recording was shortened in its pieces only: what was shown counts.
    const shown = (index: number): string => own.filter((event) => event.type === "response.output_text.delta" && event.output_index === index).map((event) => event.delta).join("");
    const seen = output.map((item: Json, index: number) => (item.type === "message" && shown(index) !== "" ? { ...item, content: [{ text: shown(index) }] } : item));
    recordings.push({ name: recordings.length === 0 ? file : `${file} (${recordings.length + 1})`, chunks: own, expected: expectResponse(chunk.response, seen), ...(torn ? { torn } : {}) });
    own = [];
  }
  if (own.length > 0) throw new Error(`${file} does not end with a response`);
  return recordings;
}

function expectResponse({ status, usage }: Json, output: readonly Json[]): Expected {
  const parts = (item: Json): string => item.content.map((part: Json) => part.text ?? "").join("");
  const isAside = (item: Json): boolean => item.type === "reasoning" || item.phase === "commentary";
  const asides = output.filter(isAside).flatMap((item) => (item.type === "reasoning" ? [...item.summary, ...(item.content ?? [])].map((part: Json) => part.text) : [parts(item)]));
  const calls = output.filter((item) => item.type === "function_call");
  return {
    text: output.filter((item) => item.type === "message" && !isAside(item)).map(parts).join("\n\n"), thought: asides.join("\n\n"),
    calls: calls.map((call) => ({ id: call.call_id, name: call.name, input: JSON.parse(call.arguments) })),
    finish: status === "completed" ? (calls.length > 0 ? "tool_calls" : "stop") : status,
    usage: usage && { input: usage.input_tokens, output: usage.output_tokens },
  };
}

function load(folder: string, file: string): { whole?: Json; chunks: Json[]; torn?: string[] } {
  const text = readFileSync(`${folder}/${file}`, "utf8");
  if (file.endsWith(".json")) return { whole: JSON.parse(text), chunks: [] };
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  try {
    return { chunks: lines.map((line) => JSON.parse(line)) };
  } catch {
    // One recording has lost the last brace of two lines.
    return { chunks: lines.map((line) => { try { return JSON.parse(line); } catch { return JSON.parse(`${line}}`); } }), torn: lines };
  }
}
