/** The messages wire, through `@anthropic-ai/sdk`. Source: Anthropic's API reference, messages/create and messages streaming. */
import type Anthropic from "@anthropic-ai/sdk";
import { collectMessage } from "./anthropic-collect.ts";
import { exchange } from "./exchange.ts";
import type { Extras } from "./extras.ts";
import { jsonMode, strictSchema } from "./json-answer.ts";
import type { Model, ModelEvent, ModelRequest, ToolCall, ToolSpec, Turn } from "./model.ts";
import { NO_TIMEOUT_MS, type Place } from "./place.ts";
import { dropKeywords, echoOf, fitId, freshIds, readFiles, saidText, tidyTurns } from "./turns.ts";

type Block = Anthropic.ContentBlockParam;
type MessageParam = Anthropic.MessageParam;
type MessageRequest = Anthropic.MessageCreateParamsNonStreaming;
interface Said { role: "user" | "assistant"; content: Block[] }

/** The wire wants a limit; this is room for a long chat answer and the thinking before it, which counts too. */
const DEFAULT_MAX_TOKENS = 16_000;
const EMPTY = "(no text)";

export async function anthropicModel(place: Place, fetch: typeof globalThis.fetch, extras: Extras): Promise<Model> {
  const { default: Client } = await import("@anthropic-ai/sdk");
  const { settings, provider } = place;
  const keyless = settings.key === undefined || settings.key === "";
  const client = new Client({
    // A value even without a key: else the SDK looks for one in the process environment and in files.
    apiKey: keyless ? "none" : settings.key, webhookKey: null,
    baseURL: place.baseUrl.replace(/\/+$/, ""),
    defaultHeaders: { ...keyHeaders(settings.key, provider.id), ...provider.headers, ...settings.headers },
    fetch, maxRetries: 0, timeout: NO_TIMEOUT_MS, logLevel: "off", openTelemetry: false,
  });
  const encodeTool = toolEncoder(provider.quirks?.dropSchemaKeywords ?? []);

  async function* stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent> {
    signal.throwIfAborted();
    const body = await messageBody(place, request, encodeTool, extras, signal);
    yield* exchange(place, request.live, { clock: extras.clock, signal }, {
      collect: collectMessage(place, request, freshIds(request, extras.newId)),
      pieces: (signal) => client.messages.create({ ...body, stream: true }, { signal }).withResponse(),
      whole: (signal) => client.messages.create({ ...body, stream: false }, { signal }),
    });
  }
  return { id: settings.model, provider: provider.id, contextTokens: place.contextTokens, maxTokens: DEFAULT_MAX_TOKENS, stream };
}

/** The SDK sends the key as a bearer; servers that only speak like Anthropic mostly still look for `x-api-key`. */
function keyHeaders(key: string | undefined, provider: string): Record<string, string | null> {
  if (key === undefined || key === "") return { authorization: null, "x-api-key": null };
  return provider === "anthropic" ? {} : { "x-api-key": key };
}

async function messageBody(place: Place, request: ModelRequest, encodeTool: (tool: ToolSpec) => Anthropic.Tool, extras: Extras, signal: AbortSignal): Promise<MessageRequest> {
  const { provider: { quirks = {} }, settings: { effort } } = place;
  const messages: Said[] = [];
  let settled: Block | undefined;
  for (const turn of tidyTurns(request.turns)) {
    if (turn.role === "user" && turn.context !== undefined) settled = messages.at(-1)?.content.at(-1);
    const content = await blocksOf(turn, place, extras, signal);
    const role = turn.role === "assistant" ? "assistant" : "user";
    const last = messages.at(-1);
    // Results and the user's next words are one message; the wire alternates.
    if (last?.role === role) last.content.push(...content);
    else messages.push({ role, content });
  }
  if (messages[0]?.role !== "user") messages.unshift({ role: "user", content: [{ type: "text", text: EMPTY }] });
  const tools = request.tools.length > 0 ? request.tools.map(encodeTool) : pastTools(request.turns);
  const body: MessageRequest = { model: place.settings.model, max_tokens: request.maxTokens ?? DEFAULT_MAX_TOKENS, messages: (quirks.promptCache ? messages.map((said) => marked(said, settled)) : messages).map(compact) };
  if (request.system.trim() !== "") body.system = request.system;
  if (tools.length > 0) body.tools = tools;
  if (request.tools.length === 0 && tools.length > 0) body.tool_choice = { type: "none" };
  // Gone from the newest API version and so from the SDK's types; servers of the older one take 0 to 1.
  if (request.temperature !== undefined) Object.assign(body, { temperature: Math.min(1, request.temperature) });
  // Thinking is on by default or not, depending on the model; effort says how much.
  if (effort === "none") body.thinking = { type: "disabled" };
  const format = request.schema !== undefined && jsonMode(place, request) === "schema" && strictSchema(request.schema) ? { format: { type: "json_schema" as const, schema: { ...request.schema } } } : {};
  const output = { ...(effort === undefined || effort === "none" ? {} : { effort: effort === "minimal" ? "low" as const : effort }), ...format };
  if (Object.keys(output).length > 0) body.output_config = output;
  if (quirks.promptCache) markCache(body);
  for (const name of quirks.dropParams ?? []) delete (body as unknown as Record<string, unknown>)[name];
  return body;
}

const CACHE = { cache_control: { type: "ephemeral" as const } };
/**
 * Tools and prompt are the same in every request of an agent, all turns are the same in the next one of this run, and those before what holds for the newest message
 * alone (`settled`) in the next run too. The wire reads tools, prompt, turns in this order; a mark stores everything up to it (4 marks at most, and below about
 * 1,000 tokens none counts).
 */
function marked({ role, content }: Said, settled: Block | undefined): Said {
  const at = settled === undefined ? -1 : content.indexOf(settled);
  return at < 0 || !canMark(settled) ? { role, content } : { role, content: content.with(at, { ...settled, ...CACHE }) };
}
const canMark = (block: Block | undefined): block is Anthropic.TextBlockParam | Anthropic.ToolResultBlockParam | Anthropic.ImageBlockParam => block?.type === "text" || block?.type === "tool_result" || block?.type === "image";
function markCache(body: MessageRequest): void {
  const tools = body.tools ?? [];
  const lastTool = tools.at(-1);
  if (lastTool !== undefined) body.tools = [...tools.slice(0, -1), { ...lastTool, ...CACHE }];
  if (typeof body.system === "string") body.system = [{ type: "text", text: body.system, ...CACHE }];
  const last = body.messages.at(-1);
  if (last === undefined) return;
  const blocks: Block[] = typeof last.content === "string" ? [{ type: "text", text: last.content }] : last.content;
  const block = blocks.at(-1);
  if (canMark(block)) body.messages = [...body.messages.slice(0, -1), { role: last.role, content: [...blocks.slice(0, -1), { ...block, ...CACHE }] } as MessageParam];
}

function compact({ role, content }: Said): MessageParam {
  const only = content.length === 1 ? content[0] : undefined;
  return { role, content: only?.type === "text" && only.cache_control === undefined ? only.text : content };
}

async function blocksOf(turn: Turn, place: Place, extras: Extras, signal: AbortSignal): Promise<Block[]> {
  const id = (own: string): string => fitId(own, /^[a-zA-Z0-9_-]{1,64}$/, 40);
  if (turn.role === "tool") return [{ type: "tool_result", tool_use_id: id(turn.call), content: turn.text.trim() === "" ? EMPTY : turn.text, ...(turn.failed ? { is_error: true } : {}) }];
  if (turn.role === "assistant") {
    const echo = echoOf(turn.echo, place.origin);
    // Its result names the id as it is sent.
    if (Array.isArray(echo)) return (echo as Block[]).map((block) => (block.type === "tool_use" ? { ...block, id: id(block.id) } : block));
    const calls = (turn.calls ?? []).map((call): Block => ({ type: "tool_use", id: id(call.id), name: call.name, input: inputOf(call) }));
    return turn.text.trim() === "" && calls.length > 0 ? calls : [textBlock(turn.text), ...calls];
  }
  if (!turn.files?.length) return [textBlock(saidText(turn))];
  const { text, pictures } = await readFiles(saidText(turn), turn.files, place.provider.quirks?.images !== false, extras, signal);
  const images = pictures.map((picture): Block => ({ type: "image", source: { type: "base64", media_type: picture.mime as "image/png", data: picture.base64 } }));
  return text.trim() === "" && images.length > 0 ? images : [...images, textBlock(text)];
}

/** The wire refuses a text without a visible character. */
function textBlock(text: string): Anthropic.TextBlockParam {
  return { type: "text", text: text.trim() === "" ? EMPTY : text };
}

/** The wire wants an object, whatever the model once wrote. */
function inputOf(call: ToolCall): unknown {
  return typeof call.input === "object" && call.input !== null && !Array.isArray(call.input) ? call.input : {};
}

/** A history with tool calls is refused unless tools are named, even when none may be called any more. */
function pastTools(turns: readonly Turn[]): Anthropic.Tool[] {
  const names = new Set<string>();
  for (const turn of turns) if (turn.role === "assistant") for (const call of turn.calls ?? []) names.add(call.name);
  return [...names].map((name) => ({ name, input_schema: { type: "object" } }));
}

/** Tools stay the same from turn to turn: each is encoded once. */
function toolEncoder(drop: readonly string[]): (tool: ToolSpec) => Anthropic.Tool {
  const known = new WeakMap<ToolSpec, Anthropic.Tool>();
  return (tool) => {
    let encoded = known.get(tool);
    if (encoded === undefined) {
      encoded = { name: tool.name, description: tool.description, input_schema: { ...dropKeywords(tool.parameters, drop), type: "object" } };
      known.set(tool, encoded);
    }
    return encoded;
  };
}
