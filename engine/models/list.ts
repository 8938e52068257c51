/** The models a provider offers, for the form. Source: `GET /models` of OpenAI's and of Anthropic's API references. */
import { ModelError } from "../errors.ts";
import { ModelFault, modelFault } from "./faults.ts";
import type { ModelSettings } from "./model.ts";
import { type Place, placeOf } from "./place.ts";
import { findProvider } from "./providers.ts";
import type { Clock } from "../clock.ts";

/** More names help nobody, and OpenRouter alone has 700. */
const MAX_NAMES = 2_000;
const MAX_BYTES = 5_000_000;
/** Where lists tell the size: what a server was started with goes before what its model could have. LM Studio; vLLM; Mistral, LM Studio; OpenRouter, Together, Moonshot; Groq; Anthropic. */
const WINDOWS = ["loaded_context_length", "max_model_len", "max_context_length", "context_length", "context_window", "max_input_tokens"] as const;
const MOST_TOKENS = 100_000_000;

/** `contextTokens`: the size of its window, where the provider's list tells it. */
export interface OfferedModel { readonly id: string; readonly contextTokens?: number }

/** In alphabetical order of the names. Throws ModelError where the provider offers no list, or does not answer. The practice model has none. */
export async function listModels(settings: ModelSettings, fetch: typeof globalThis.fetch, clock: Clock, signal: AbortSignal): Promise<OfferedModel[]> {
  const provider = findProvider(settings.provider);
  if (provider === undefined || provider.wire === "practice") return [];
  const place = placeOf(settings, provider, clock);
  try {
    const response = await fetch(addressOf(place), { headers: headersOf(place), signal });
    if (response.status === 404 || response.status === 405) throw new ModelFault("wrong address", `${place.party.name} offers no list of models (${response.status}).`);
    const text = await limitedText(response, place);
    if (!response.ok) throw { status: response.status, error: asJson(text) ?? text, headers: response.headers };
    return modelsOf(asJson(text), place);
  } catch (thrown) {
    if (signal.aborted && !(thrown instanceof ModelError)) throw new ModelFault("too slow", `${place.party.name} did not send its list of models in time.`);
    throw modelFault(thrown, place.party);
  }
}

function addressOf({ provider, baseUrl }: Place): string {
  const base = baseUrl.replace(/\/+$/, "");
  return provider.wire === "anthropic" ? `${base}/v1/models?limit=1000` : `${base}/models`;
}

function headersOf({ provider, settings }: Place): Record<string, string> {
  const { key } = settings;
  const keyed = key === undefined || key === "" ? {} : { authorization: `Bearer ${key}`, ...(provider.wire === "anthropic" ? { "x-api-key": key } : {}) };
  // Anthropic takes one of the two headers, not both.
  const one = provider.id === "anthropic" && key ? { "x-api-key": key } : keyed;
  return { accept: "application/json", ...(provider.wire === "anthropic" ? { "anthropic-version": "2023-06-01" } : {}), ...one, ...provider.headers, ...settings.headers };
}

async function limitedText(response: Response, { party }: Place): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += piece.length;
    if (size > MAX_BYTES) throw new ModelFault("bad answer", `${party.name} sent a list of models that does not end.`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `{data: [{id}]}`; Together sends the bare list, Gemini puts "models/" before each name. */
function modelsOf(answer: unknown, { party }: Place): OfferedModel[] {
  const list = Array.isArray(answer) ? answer : (answer as { data?: unknown } | undefined)?.data;
  if (!Array.isArray(list)) throw new ModelFault("bad answer", `Expected a list of models from ${party.name}, got something else; is the base URL right?`);
  const found = new Map<string, OfferedModel>();
  for (const entry of list as (Record<string, unknown> | null)[]) {
    const id = typeof entry?.id === "string" ? entry.id.replace(/^models\//, "") : "";
    if (id === "" || found.has(id)) continue;
    const size = WINDOWS.map((field) => entry?.[field]).find((value): value is number => Number.isSafeInteger(value) && Number(value) > 0 && Number(value) <= MOST_TOKENS);
    found.set(id, { id, ...(size === undefined ? {} : { contextTokens: size }) });
  }
  return [...found.values()].sort((a, b) => a.id.localeCompare(b.id, "en")).slice(0, MAX_NAMES);
}
