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
export interface Recording { readonly name: string; readonly chunks?: readonly Json[]; readonly whole?: Json; readonly expected: Expected }
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

function load(folder: string, file: string): { whole?: Json; chunks: Json[] } {
  const text = readFileSync(`${folder}/${file}`, "utf8");
  if (file.endsWith(".json")) return { whole: JSON.parse(text), chunks: [] };
  return { chunks: text.split("\n").filter((line) => line.trim() !== "").map((line) => JSON.parse(line)) };
}
