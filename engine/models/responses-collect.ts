/** From the events of a response stream, or a whole response, to ours. */
import { estimateUsage } from "../context/estimate.ts";
import { emptyAnswer, parseAnswer } from "./answers.ts";
import type { Collect } from "./exchange.ts";
import { ModelFault, modelFault } from "./faults.ts";
import type { ModelEvent, ModelRequest, ToolCall, Usage } from "./model.ts";
import type { Place } from "./place.ts";
import { readInput } from "./turns.ts";

/** An item of the output of any kind, also of kinds made after this was written: those are passed over. */
interface Item {
  type: string; id?: string; phase?: string | null; content?: Part[] | null; summary?: Part[] | null; encrypted_content?: string | null;
  call_id?: string; name?: string; arguments?: unknown; [field: string]: unknown;
}
interface Part { type?: string; text?: string; refusal?: string }
interface RawUsage {
  input_tokens?: number; output_tokens?: number;
  input_tokens_details?: { cached_tokens?: number | null; cache_write_tokens?: number | null } | null; output_tokens_details?: { reasoning_tokens?: number | null } | null;
}
interface Response { status?: string | null; output?: Item[] | null; error?: unknown; incomplete_details?: { reason?: string | null } | null; usage?: RawUsage | null }
interface WireEvent { type?: string; output_index?: number; summary_index?: number; delta?: unknown; item?: Item; response?: Response; error?: unknown; code?: unknown; message?: unknown }

export function collectResponse(place: Place, request: ModelRequest, freshId: (id: string | undefined) => string): Collect {
  const { party } = place;
  /** By place in the output: what has begun, and how much of it was shown. */
  const items = new Map<number, { item: Item; args: string; shown: string; refusal: string }>();
  let response: Response | undefined;
  let output = "";
  let text = "";
  let thought = "";
  /** Two messages, or two parts of the reasoning, are two paragraphs. */
  let gapBefore: "text" | "thought" | "" = "";

  function say(type: "text" | "thought", delta: string): ModelEvent[] {
    if (delta === "") return [];
    const gap = gapBefore;
    gapBefore = "";
    const before = type === "text" ? text : thought;
    const full = before !== "" && gap === type ? `\n\n${delta}` : delta;
    output += full;
    if (type === "text") text += full;
    else thought += full;
    return [{ type, delta: full }];
  }
  function at(index: number | undefined, item?: Item) {
    const where = index ?? items.size;
    let open = items.get(where);
    if (open === undefined) {
      open = { item: item ?? { type: "message" }, args: "", shown: "", refusal: "" };
      items.set(where, open);
      gapBefore = kindOf(open.item);
    }
    return open;
  }

  function add(event: WireEvent): ModelEvent[] {
    const piece = typeof event.delta === "string" ? event.delta : "";
    switch (event.type) {
      case "response.output_item.added":
        at(event.output_index, event.item);
        return [];
      case "response.output_text.delta": {
        const open = at(event.output_index);
        open.shown += piece;
        return say(kindOf(open.item), piece);
      }
      case "response.reasoning_summary_part.added":
        gapBefore = "thought";
        return [];
      case "response.reasoning_summary_text.delta":
      case "response.reasoning_text.delta":
        at(event.output_index, { type: "reasoning" }).shown += piece;
        return say("thought", piece);
      case "response.refusal.delta":
        at(event.output_index).refusal += piece;
        return [];
      case "response.function_call_arguments.delta":
        at(event.output_index, { type: "function_call" }).args += piece;
        output += piece;
        return [];
      case "response.output_item.done":
        return event.item === undefined ? [] : done(event.output_index, event.item);
      case "response.completed":
      case "response.incomplete":
      case "response.failed":
      case "response.cancelled":
        return close(event.response ?? {});
      case "error":
        throw modelFault({ error: event.error ?? { code: event.code, message: event.message } }, party);
      default:
        return [];
    }
  }

  /** The item as it is in the end; what a server did not send in pieces is shown now. */
  function done(index: number | undefined, item: Item): ModelEvent[] {
    const open = at(index, item);
    open.item = item;
    const parts = item.type === "message" ? (item.content ?? []) : item.type === "reasoning" ? [...(item.summary ?? []), ...(item.content ?? [])] : [];
    open.refusal ||= parts.map((part) => part.refusal ?? "").join("");
    if (open.shown !== "") {
      const full = parts.map((part) => part.text ?? "").join("");
      const rest = item.type === "message" && full.startsWith(open.shown) ? full.slice(open.shown.length) : "";
      open.shown += rest;
      return say(kindOf(item), rest);
    }
    const events = parts.flatMap((part, at) => {
      if (at > 0 && item.type === "reasoning") gapBefore = "thought";
      return say(kindOf(item), part.text ?? "");
    });
    open.shown = parts.map((part) => part.text ?? "").join("");
    return events;
  }

  function close(final: Response): ModelEvent[] {
    response = final;
    if (items.size > 0) return [];
    return (final.output ?? []).flatMap((item, index) => done(index, item));
  }

  function whole(answer: unknown): ModelEvent[] {
    const parsed = typeof answer === "string" ? parseAnswer(answer, party.name) : answer;
    if (typeof parsed !== "object" || parsed === null) throw new ModelFault("bad answer", `${party.name} sent an empty answer.`);
    const given = parsed as Response;
    if (!given.error && !Array.isArray(given.output)) throw new ModelFault("bad answer", `Expected a response from ${party.name}, got other JSON; is the base URL right, and does the server have the Responses API?`);
    return close({ status: "completed", ...given });
  }

  function end(): ModelEvent[] {
    if (response === undefined) throw new ModelFault("overloaded", `${party.name} broke off in the middle of its answer.`);
    const { status, error } = response;
    if (error) throw modelFault({ error }, party);
    if (status === "failed" || status === "cancelled") throw new ModelFault("overloaded", `${party.name} ended the answer with "${status}".`);
    if (response.incomplete_details?.reason === "content_filter") throw new ModelFault("answer refused", `${party.name} stopped the answer with its content filter.`);
    const length = status === "incomplete";
    const refusal = [...items.values()].map((open) => open.refusal).join("");
    if (refusal !== "" && text === "") throw new ModelFault("answer refused", `The model refused: ${refusal.slice(0, 300)}`);
    const calls: ToolCall[] = [];
    const echo: Item[] = [];
    for (const [, { item, args }] of [...items].sort(([a], [b]) => a - b)) {
      if (item.type === "function_call") {
        for (const part of unwrap(item, textOf(item.arguments, args), request)) {
          const call: ToolCall = { id: freshId(part.id), name: part.name, ...readInput(part.text) };
          calls.push(call);
          echo.push({ type: "function_call", call_id: call.id, name: call.name, arguments: part.text });
        }
      } else echo.push(...echoItem(item));
    }
    if (text.trim() === "" && calls.length === 0) throw emptyAnswer(party.name, length);
    // Reasoning must come back with the calls it led to; without calls the provider drops it anyway.
    const wanted = calls.length > 0 && echo.some((item) => item.type === "reasoning");
    return [
      ...calls.map((call): ModelEvent => ({ type: "call", call })),
      {
        type: "end", reason: length ? "length" : calls.length > 0 ? "calls" : "stop", usage: used() ?? estimateUsage(request, output),
        ...(wanted ? { echo: { from: place.origin, data: echo } } : {}),
      },
    ];
  }
  const used = (): Usage | undefined => readUsage(response?.usage);
  return { add, whole, end, used };
}

/** What models say on their way ("I look it up") is marked as commentary, and is no answer. */
function kindOf(item: Item): "text" | "thought" {
  return item.type === "reasoning" || item.phase === "commentary" ? "thought" : "text";
}

function textOf(args: unknown, collected: string): string {
  if (typeof args === "string" && args !== "") return args;
  return typeof args === "object" && args !== null ? JSON.stringify(args) : collected;
}

/** Items without what belongs to the provider's own store, which we do not use. Reasoning without its proof means nothing to it. */
function echoItem(item: Item): Item[] {
  if (item.type === "reasoning") return item.encrypted_content ? [{ type: "reasoning", id: item.id ?? "", summary: item.summary ?? [], encrypted_content: item.encrypted_content }] : [];
  if (item.type !== "message") return [];
  const text = (item.content ?? []).map((part) => part.text ?? "").join("");
  return text === "" ? [] : [{ type: "message", role: "assistant", content: text as never, ...(item.phase ? { phase: item.phase } : {}) }];
}

interface CallText { readonly id: string | undefined; readonly name: string; readonly text: string }
/** Some models write several calls as one call of a tool "parallel" that nobody offered. Source: the recorded answer of gpt-5.4. */
function unwrap(item: Item, text: string, request: ModelRequest): CallText[] {
  const one = { id: item.call_id ?? item.id, name: item.name ?? "", text };
  if (!/^(multi_tool_use\.)?parallel$/.test(one.name) || request.tools.some((tool) => tool.name === one.name)) return [one];
  const uses = (readInput(text).input as { tool_uses?: unknown } | undefined)?.tool_uses;
  if (!Array.isArray(uses) || uses.length === 0) return [one];
  const calls = uses.map(({ recipient_name: name, parameters }: { recipient_name?: unknown; parameters?: unknown }, index) => ({
    id: index === 0 ? one.id : `${one.id ?? "call"}_${index}`, name: String(name).replace(/^functions\./, ""), text: JSON.stringify(parameters ?? {}),
  }));
  return calls.every((call) => request.tools.some((tool) => tool.name === call.name)) ? calls : [one];
}

function readUsage(raw: RawUsage | null | undefined): Usage | undefined {
  if (!raw || typeof raw.input_tokens !== "number" || (raw.input_tokens === 0 && !raw.output_tokens)) return undefined;
  const cachedInput = raw.input_tokens_details?.cached_tokens;
  const storedInput = raw.input_tokens_details?.cache_write_tokens;
  const reasoning = raw.output_tokens_details?.reasoning_tokens;
  return {
    input: raw.input_tokens, output: raw.output_tokens ?? 0,
    ...(typeof cachedInput === "number" ? { cachedInput } : {}), ...(typeof storedInput === "number" ? { storedInput } : {}), ...(typeof reasoning === "number" ? { reasoning } : {}),
  };
}
