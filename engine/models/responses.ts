/** OpenAI's Responses wire, through the `openai` SDK: for models that chat completions do not reach, or not with tools. Nothing is kept at the provider. Source: OpenAI's API reference, responses/create. */
import type OpenAI from "openai";
import { exchange } from "./exchange.ts";
import type { Extras } from "./extras.ts";
import { jsonMode, strictSchema } from "./json-answer.ts";
import type { Model, ModelEvent, ModelRequest, ToolSpec, Turn } from "./model.ts";
import { openaiClient } from "./openai-client.ts";
import { cacheKey, isReasoner, type Place } from "./place.ts";
import { collectResponse } from "./responses-collect.ts";
import { dropKeywords, echoOf, fitId, freshIds, readFiles, saidText, tidyTurns } from "./turns.ts";

type Item = OpenAI.Responses.ResponseInputItem;
type Tool = OpenAI.Responses.FunctionTool;
type Body = OpenAI.Responses.ResponseCreateParams;

export async function responsesModel(place: Place, fetch: typeof globalThis.fetch, extras: Extras): Promise<Model> {
  const client = await openaiClient(place, fetch);
  const { settings, provider } = place;

  async function* stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent> {
    signal.throwIfAborted();
    const body = await responseBody(place, request, extras, signal);
    yield* exchange(place, request.live, { clock: extras.clock, signal }, {
      collect: collectResponse(place, request, freshIds(request, extras.newId)),
      pieces: (signal) => client.responses.create({ ...body, stream: true }, { signal }).withResponse(),
      whole: async (signal) => (await client.responses.create({ ...body, stream: false }, { signal }).asResponse()).text(),
    });
  }
  return { id: settings.model, provider: provider.id, contextTokens: place.contextTokens, stream };
}

async function responseBody(place: Place, request: ModelRequest, extras: Extras, signal: AbortSignal): Promise<Body> {
  const { provider: { quirks = {} }, settings } = place;
  const input: Item[] = [];
  for (const turn of tidyTurns(request.turns)) input.push(...(await itemsOf(turn, place, extras, signal)));
  const body: Body & Record<string, unknown> = { model: settings.model, input, store: false };
  if (request.system !== "") body.instructions = request.system;
  if (request.tools.length > 0) body.tools = request.tools.map((tool) => encodeTool(tool, quirks.dropSchemaKeywords ?? []));
  if (request.maxTokens !== undefined) body.max_output_tokens = request.maxTokens;
  if (isReasoner(place)) body.include = ["reasoning.encrypted_content"];
  else if (request.temperature !== undefined) body.temperature = request.temperature;
  if (settings.effort !== undefined) body.reasoning = { effort: settings.effort };
  if (request.schema !== undefined && jsonMode(place, request) === "schema") body.text = { format: { type: "json_schema", name: "answer", schema: { ...request.schema }, strict: strictSchema(request.schema) } };
  if (quirks.cacheKey) body.prompt_cache_key = cacheKey(place, request);
  for (const name of quirks.dropParams ?? []) delete body[name];
  return body;
}

async function itemsOf(turn: Turn, place: Place, extras: Extras, signal: AbortSignal): Promise<Item[]> {
  const id = (own: string): string => fitId(own, /^[\s\S]{1,64}$/, 40);
  if (turn.role === "tool") return [{ type: "function_call_output", call_id: id(turn.call), output: turn.failed ? `Error: ${turn.text}` : turn.text }];
  if (turn.role === "assistant") {
    const echo = echoOf(turn.echo, place.origin);
    // Its output names the id as it is sent.
    if (Array.isArray(echo)) return (echo as Item[]).map((item) => (item.type === "function_call" ? { ...item, call_id: id(item.call_id) } : item));
    const calls = (turn.calls ?? []).map((call): Item => ({ type: "function_call", call_id: id(call.id), name: call.name, arguments: call.malformed ?? JSON.stringify(call.input ?? {}) }));
    return turn.text === "" && calls.length > 0 ? calls : [{ role: "assistant", content: turn.text }, ...calls];
  }
  if (!turn.files?.length) return [{ role: "user", content: saidText(turn) }];
  const { text, pictures } = await readFiles(saidText(turn), turn.files, place.provider.quirks?.images !== false, extras, signal);
  if (pictures.length === 0) return [{ role: "user", content: text }];
  return [{
    role: "user",
    content: [
      ...(text === "" ? [] : [{ type: "input_text" as const, text }]),
      ...pictures.map((picture) => ({ type: "input_image" as const, detail: "auto" as const, image_url: `data:${picture.mime};base64,${picture.base64}` })),
    ],
  }];
}

/** `strict` is named because this wire takes a schema as strict unless told otherwise, and refuses most of them then. */
function encodeTool(tool: ToolSpec, drop: readonly string[]): Tool {
  return { type: "function", name: tool.name, description: tool.description, parameters: { ...dropKeywords(tool.parameters, drop) }, strict: false };
}
