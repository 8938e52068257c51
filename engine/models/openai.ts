/** The chat completions wire, through the `openai` SDK. Source: OpenAI's API reference, chat/create; what differs elsewhere is in the quirks. */
import type OpenAI from "openai";
import type { DraftFile } from "../message.ts";
import type { Extras } from "./extras.ts";
import { exchange } from "./exchange.ts";
import { jsonMode, strictSchema } from "./json-answer.ts";
import { openaiClient } from "./openai-client.ts";
import { collectChat } from "./openai-collect.ts";
import type { JsonSchema, Model, ModelEvent, ModelRequest, ToolSpec, Turn } from "./model.ts";
import { cacheKey, isReasoner, type Place } from "./place.ts";
import { dropKeywords, echoOf, fitId, freshIds, readFiles, saidText, tidyTurns } from "./turns.ts";

type ChatMessage = OpenAI.Chat.Completions.ChatCompletionMessageParam;
type ChatTool = OpenAI.Chat.Completions.ChatCompletionTool;
type ChatRequest = OpenAI.Chat.Completions.ChatCompletionCreateParams;

export async function openaiModel(place: Place, fetch: typeof globalThis.fetch, extras: Extras): Promise<Model> {
  const client = await openaiClient(place, fetch);
  const { settings, provider } = place;
  const encodeTool = toolEncoder(provider.quirks?.dropSchemaKeywords ?? []);

  async function* stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent> {
    signal.throwIfAborted();
    const body = await chatBody(place, request, encodeTool, extras, signal);
    yield* exchange(place, request.live, { clock: extras.clock, signal }, {
      collect: collectChat(place, request, freshIds(request, extras.newId)),
      pieces: (signal) => client.chat.completions.create({ ...body, stream: true }, { signal }).withResponse(),
      whole: async (signal) => (await client.chat.completions.create({ ...body, stream: false }, { signal }).asResponse()).text(),
    });
  }
  return { id: settings.model, provider: provider.id, contextTokens: place.contextTokens, stream };
}

async function chatBody(place: Place, request: ModelRequest, encodeTool: (tool: ToolSpec) => ChatTool, extras: Extras, signal: AbortSignal): Promise<ChatRequest> {
  const { quirks = {} } = place.provider;
  const messages: ChatMessage[] = [];
  if (request.system !== "") messages.push({ role: quirks.systemRole ?? "system", content: request.system });
  for (const turn of tidyTurns(request.turns)) messages.push(turn.role === "user" && turn.files?.length ? await seenMessage(saidText(turn), turn.files, quirks.images !== false, extras, signal) : chatMessage(turn, place));
  const body: ChatRequest & Record<string, unknown> = { model: place.settings.model, messages };
  if (request.tools.length > 0) body.tools = request.tools.map(encodeTool);
  if (request.temperature !== undefined && !(quirks.reasoners !== undefined && isReasoner(place))) body.temperature = request.temperature;
  if (place.settings.effort !== undefined) body.reasoning_effort = place.settings.effort;
  const json = request.schema === undefined ? "prompt" : jsonMode(place, request);
  if (json === "schema") body.response_format = { type: "json_schema", json_schema: { name: "answer", schema: { ...request.schema }, strict: strictSchema(request.schema) } };
  if (json === "object") body.response_format = { type: "json_object" };
  if (quirks.cacheKey) body.prompt_cache_key = cacheKey(place, request);
  if (request.maxTokens !== undefined) body[quirks.maxTokensParam ?? "max_tokens"] = request.maxTokens;
  if (request.live && quirks.streamUsage !== false) body.stream_options = { include_usage: true };
  for (const name of quirks.dropParams ?? []) delete body[name];
  return body;
}

/** What the user said, with files; those the model cannot see are named. */
async function seenMessage(said: string, files: readonly DraftFile[], images: boolean, extras: Extras, signal: AbortSignal): Promise<ChatMessage> {
  const { text, pictures } = await readFiles(said, files, images, extras, signal);
  if (pictures.length === 0) return { role: "user", content: text };
  return {
    role: "user",
    content: [
      ...(text === "" ? [] : [{ type: "text" as const, text }]),
      ...pictures.map((picture) => ({ type: "image_url" as const, image_url: { url: `data:${picture.mime};base64,${picture.base64}` } })),
    ],
  };
}

function chatMessage(turn: Turn, place: Place): ChatMessage {
  const quirks = place.provider.quirks ?? {};
  const id = (own: string): string => (quirks.toolIdRule === "nine-alphanumerics" ? fitId(own, /^[a-zA-Z0-9]{9}$/, 9) : fitId(own, /^[\s\S]{1,64}$/, 40));
  if (turn.role === "tool") return { role: "tool", tool_call_id: id(turn.call), content: turn.failed ? `Error: ${turn.text}` : turn.text };
  if (turn.role === "user") return { role: "user", content: saidText(turn) };
  if (!turn.calls?.length) return { role: "assistant", content: turn.text };
  return {
    role: "assistant",
    content: turn.text === "" ? null : turn.text,
    tool_calls: turn.calls.map((call) => ({
      id: id(call.id),
      type: "function" as const,
      function: { name: call.name, arguments: call.malformed ?? JSON.stringify(call.input ?? {}) },
      ...((echoOf(call.echo, place.origin) as object | undefined) ?? {}),
    })),
    ...((echoOf(turn.echo, place.origin) as object | undefined) ?? {}),
  };
}

/** Tools stay the same from turn to turn: each is encoded once. */
function toolEncoder(drop: readonly string[]): (tool: ToolSpec) => ChatTool {
  const known = new WeakMap<ToolSpec, ChatTool>();
  return (tool) => {
    let encoded = known.get(tool);
    if (encoded === undefined) {
      encoded = { type: "function", function: { name: tool.name, description: tool.description, parameters: dropKeywords(tool.parameters, drop) as JsonSchema & Record<string, unknown> } };
      known.set(tool, encoded);
    }
    return encoded;
  };
}
