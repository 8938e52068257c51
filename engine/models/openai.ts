/** The chat completions wire, through the `openai` SDK. Source: OpenAI's API reference, chat/create; what differs elsewhere is in the quirks. */
import type OpenAI from "openai";
import type { DraftFile } from "../message.ts";
import type { Extras } from "./extras.ts";
import { ModelFault, modelFault } from "./faults.ts";
import { collectChat } from "./openai-collect.ts";
import type { JsonSchema, Model, ModelEvent, ModelRequest, ToolSpec, Turn } from "./model.ts";
import { NO_TIMEOUT_MS, type Place, patience } from "./place.ts";
import { dropKeywords, echoOf, fitId, freshIds, readFiles, tidyTurns } from "./turns.ts";
import { watch } from "./watch.ts";

type ChatMessage = OpenAI.Chat.Completions.ChatCompletionMessageParam;
type ChatTool = OpenAI.Chat.Completions.ChatCompletionTool;
type ChatRequest = OpenAI.Chat.Completions.ChatCompletionCreateParams;

export async function openaiModel(place: Place, fetch: typeof globalThis.fetch, extras: Extras): Promise<Model> {
  const { default: Client } = await import("openai");
  const { settings, provider, party } = place;
  const keyless = settings.key === undefined || settings.key === "";
  const client = new (leanClient(Client, fetch))({
    apiKey: keyless ? "none" : settings.key,
    baseURL: place.baseUrl,
    // Named, so that nothing of the process environment finds its way to another provider.
    organization: null, project: null, webhookSecret: null, adminAPIKey: null,
    defaultHeaders: { ...(keyless ? { authorization: null } : {}), ...provider.headers, ...settings.headers },
    fetch, maxRetries: 0, timeout: NO_TIMEOUT_MS, logLevel: "off",
  });
  const encodeTool = toolEncoder(provider.quirks?.dropSchemaKeywords ?? []);

  async function* stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent> {
    signal.throwIfAborted();
    const body = await chatBody(place, request, encodeTool, extras, signal);
    const { firstByteMs, stallMs } = patience(settings, request.live);
    const patient = watch(signal, extras.clock, firstByteMs, stallMs);
    const collect = collectChat(place, request, freshIds(request, extras.newId));
    try {
      if (request.live) {
        const { data, response } = await client.chat.completions.create({ ...body, stream: true }, { signal: patient.signal }).withResponse();
        const type = response.headers.get("content-type") ?? "";
        if (/json|html/.test(type)) yield* collect.whole(await response.text());
        else {
          for await (const chunk of data) {
            patient.heard();
            yield* collect.add(chunk as never);
            patient.wait();
          }
        }
      } else {
        const response = await client.chat.completions.create({ ...body, stream: false }, { signal: patient.signal }).asResponse();
        yield* collect.whole(await response.text());
      }
      // The SDK ends an aborted stream as if it were complete.
      if (patient.signal.aborted) throw patient.signal.reason;
      yield* collect.end();
    } catch (thrown) {
      if (signal.aborted) throw signal.reason;
      const late = patient.late();
      throw late === undefined ? modelFault(thrown, party) : new ModelFault("too slow", `${party.name} was silent for ${late / 1000} s.`);
    } finally {
      patient.end();
    }
  }
  return { id: settings.model, provider: provider.id, contextTokens: place.contextTokens, stream };
}

/**
 * The SDK's client for one address, without what it does anew for each request although nothing changes: the headers are built once,
 * and the signal goes to fetch as it is, because retries and limits of time are ours. A fifth of the time of a short turn.
 */
function leanClient(Client: typeof OpenAI, fetch: typeof globalThis.fetch): typeof OpenAI {
  return class extends Client {
    #first: { readonly url: string; readonly timeout: number; readonly headers: Headers; readonly sent: Record<string, string> } | undefined;

    override async buildRequest(...[options, retry]: Parameters<OpenAI["buildRequest"]>): ReturnType<OpenAI["buildRequest"]> {
      if (this.#first === undefined) {
        const { req, url, timeout } = await super.buildRequest({ ...options, body: {} }, retry);
        // The x-stainless headers tell the provider about this machine.
        const sent = Object.fromEntries([...req.headers].filter(([name]) => !name.startsWith("x-stainless-")));
        this.#first = { url, timeout, headers: req.headers, sent };
      }
      const { url, timeout, headers } = this.#first;
      return { url, timeout, req: { method: options.method, headers, body: JSON.stringify(options.body), ...(options.signal ? { signal: options.signal } : {}) } };
    }
    override fetchWithTimeout(...[url, init]: Parameters<OpenAI["fetchWithTimeout"]>): Promise<Response> {
      return fetch(url as string, { ...init, ...(this.#first === undefined ? {} : { headers: this.#first.sent }) });
    }
  };
}

async function chatBody(place: Place, request: ModelRequest, encodeTool: (tool: ToolSpec) => ChatTool, extras: Extras, signal: AbortSignal): Promise<ChatRequest> {
  const { quirks = {} } = place.provider;
  const messages: ChatMessage[] = [];
  if (request.system !== "") messages.push({ role: quirks.systemRole ?? "system", content: request.system });
  for (const turn of tidyTurns(request.turns)) messages.push(turn.role === "user" && turn.files?.length ? await seenMessage(turn.text, turn.files, quirks.images !== false, extras, signal) : chatMessage(turn, place));
  const body: Record<string, unknown> & ChatRequest = { model: place.settings.model, messages };
  if (request.tools.length > 0) body.tools = request.tools.map(encodeTool);
  if (request.temperature !== undefined) body.temperature = request.temperature;
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
  if (turn.role === "user") return { role: "user", content: turn.text };
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
