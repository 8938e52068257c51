/** From the events of a message stream, or a whole message, to ours. */
import { estimateUsage } from "../context/estimate.ts";
import { emptyAnswer, parseAnswer } from "./answers.ts";
import type { Collect } from "./exchange.ts";
import { ModelFault, modelFault } from "./faults.ts";
import type { ModelEvent, ModelRequest, ToolCall, Usage } from "./model.ts";
import type { Place } from "./place.ts";
import { readInput } from "./turns.ts";

/** A content block of any kind, also of kinds made after this was written: those are kept for the echo and otherwise passed over. */
interface Block { type: string; text?: string; thinking?: string; signature?: string; id?: string; name?: string; input?: unknown; [field: string]: unknown }
interface RawUsage { input_tokens?: number | null; output_tokens?: number | null; cache_read_input_tokens?: number | null; cache_creation_input_tokens?: number | null; output_tokens_details?: { thinking_tokens?: number | null } | null }
interface Message { content?: Block[]; stop_reason?: string | null; stop_details?: { explanation?: string | null } | null; usage?: RawUsage }
type WireEvent =
  | { type: "message_start"; message: Message }
  | { type: "content_block_start"; index: number; content_block: Block }
  | { type: "content_block_delta"; index: number; delta: { type: string; text?: string; thinking?: string; signature?: string; partial_json?: string } }
  | { type: "message_delta"; delta: { stop_reason?: string | null; stop_details?: Message["stop_details"] }; usage?: RawUsage }
  | { type: "content_block_stop" | "message_stop" | "ping" }
  | { type: "error"; error: unknown };
interface Open { block: Block; json: string }

export function collectMessage(place: Place, request: ModelRequest, freshId: (id: string | undefined) => string): Collect {
  const { party } = place;
  let blocks = new Map<number, Open>();
  let stop: string | undefined;
  let details: Message["stop_details"];
  let usage: RawUsage = {};
  let output = "";
  let text = "";

  function say(type: "text" | "thought", delta: string | undefined): ModelEvent[] {
    if (!delta) return [];
    output += delta;
    if (type === "text") text += delta;
    return [{ type, delta }];
  }

  function add(event: WireEvent): ModelEvent[] {
    switch (event.type) {
      case "message_start":
        // A provider that switches servers in the middle begins again: what was called before counts no more.
        blocks = new Map();
        // An answer to a tool that runs inside the provider's own code may come complete in its first event.
        return begin(event.message);
      case "content_block_start":
        return open(event.index, event.content_block);
      case "content_block_delta":
        return grow(blocks.get(event.index), event.delta);
      case "message_delta":
        if (event.delta.stop_reason) stop = event.delta.stop_reason;
        details = event.delta.stop_details ?? details;
        merge(event.usage);
        return [];
      case "error":
        throw modelFault({ error: event.error }, party);
      default:
        return [];
    }
  }

  function begin(message: Message): ModelEvent[] {
    stop = message.stop_reason ?? undefined;
    details = message.stop_details ?? details;
    merge(message.usage);
    return (message.content ?? []).flatMap((block, index) => open(index, block));
  }

  function open(index: number, given: Block): ModelEvent[] {
    const block = { ...given };
    blocks.set(index, { block, json: "" });
    return block.type === "text" ? say("text", block.text) : block.type === "thinking" ? say("thought", block.thinking) : [];
  }

  function grow(open: Open | undefined, delta: { type: string; text?: string; thinking?: string; signature?: string; partial_json?: string }): ModelEvent[] {
    if (open === undefined) return [];
    const { block } = open;
    switch (delta.type) {
      case "text_delta":
        block.text = (block.text ?? "") + (delta.text ?? "");
        return say("text", delta.text);
      case "thinking_delta":
        block.thinking = (block.thinking ?? "") + (delta.thinking ?? "");
        return say("thought", delta.thinking);
      case "signature_delta":
        block.signature = (block.signature ?? "") + (delta.signature ?? "");
        return [];
      case "input_json_delta":
        open.json += delta.partial_json ?? "";
        return [];
      default:
        return [];
    }
  }

  function merge(more: RawUsage | undefined): void {
    // Later figures are totals, not additions; null means: as before.
    for (const [key, value] of Object.entries(more ?? {})) if (value !== null && value !== undefined) usage = { ...usage, [key]: value };
  }

  function whole(answer: unknown): ModelEvent[] {
    const parsed = typeof answer === "string" ? parseAnswer(answer, party.name) : answer;
    if (typeof parsed !== "object" || parsed === null) throw new ModelFault("bad answer", `${party.name} sent an empty answer.`);
    const message = parsed as Message & { error?: unknown };
    if (message.error) {
      merge(message.usage);
      stop = "error";
      throw modelFault({ error: message.error }, party);
    }
    if (!Array.isArray(message.content)) throw new ModelFault("bad answer", `Expected a message from ${party.name}, got other JSON; is the base URL right?`);
    const events = begin(message);
    stop ??= "end_turn";
    return events;
  }

  function end(): ModelEvent[] {
    if (stop === undefined) throw new ModelFault("overloaded", `${party.name} broke off in the middle of its answer.`);
    if (stop === "refusal") throw new ModelFault("answer refused", `The model refused to answer${details?.explanation ? `: ${details.explanation.slice(0, 300)}` : "."}`);
    const length = stop === "max_tokens" || stop === "model_context_window_exceeded";
    const calls: ToolCall[] = [];
    const content: Block[] = [];
    for (const open of blocks.values()) {
      const { block, json } = open;
      if (block.type !== "tool_use") {
        // The wire refuses an empty text when it comes back.
        if (block.type !== "text" || (block.text ?? "").trim() !== "") content.push(json === "" ? block : { ...block, input: readInput(json).input ?? {} });
        continue;
      }
      const read = json === "" ? { input: block.input ?? {} } : readInput(json);
      const call: ToolCall = { id: freshId(block.id), name: block.name ?? "", ...read };
      output += json;
      calls.push(call);
      content.push({ ...block, id: call.id, input: typeof read.input === "object" ? read.input : {} });
    }
    if (text.trim() === "" && calls.length === 0) throw emptyAnswer(party.name, length);
    // Thinking must come back with the calls it led to; without calls the provider drops it anyway.
    const echo = calls.length > 0 && content.some((block) => block.type !== "text" && block.type !== "tool_use");
    return [
      ...calls.map((call): ModelEvent => ({ type: "call", call })),
      {
        type: "end",
        reason: length ? "length" : calls.length > 0 ? "calls" : "stop",
        usage: used() ?? estimateUsage(request, output),
        ...(echo ? { echo: { from: place.origin, data: content } } : {}),
      },
    ];
  }
  const used = (): Usage | undefined => (stop === undefined ? undefined : readUsage(usage, place.provider.id === "anthropic"));
  return { add, whole, end, used };
}

/** `input` is everything the model read, whether from its cache or not. Servers that do not count say zero; Anthropic means it. */
function readUsage(raw: RawUsage, trusted: boolean): Usage | undefined {
  if (typeof raw.input_tokens !== "number" || typeof raw.output_tokens !== "number") return undefined;
  if (!trusted && raw.input_tokens === 0 && raw.output_tokens === 0) return undefined;
  const { cache_read_input_tokens: cachedInput, cache_creation_input_tokens: storedInput } = raw;
  const reasoning = raw.output_tokens_details?.thinking_tokens;
  return {
    input: raw.input_tokens + (cachedInput ?? 0) + (storedInput ?? 0), output: raw.output_tokens,
    ...(typeof cachedInput === "number" ? { cachedInput } : {}), ...(typeof storedInput === "number" ? { storedInput } : {}), ...(typeof reasoning === "number" ? { reasoning } : {}),
  };
}
