/** Opens models by their settings. The SDK of a wire is loaded when the first model of that wire is opened. */
import { ModelError, SettingError } from "../errors.ts";
import { secretInAddress } from "../secrets/address.ts";
import { type Extras, fillExtras, type ModelExtras } from "./extras.ts";
import { type Fault, ModelFault, scrub } from "./faults.ts";
import { EFFORTS, type Model, type ModelSettings, type Wire } from "./model.ts";
import { baseUrlOf, type Place, placeOf } from "./place.ts";
import { findPrice, PRICES, withCache } from "./prices.ts";
import { findProvider } from "./providers.ts";

export { FAULTS, type Fault } from "./faults.ts";
export type { ModelExtras } from "./extras.ts";
export { listModels } from "./list.ts";
export { findMediaPrice, findPrice, parsePrices, type PriceList, PRICES } from "./prices.ts";
export { findProvider, PROVIDERS, providerFields } from "./providers.ts";

type Open = (place: Place, fetch: typeof globalThis.fetch, extras: Extras) => Promise<Model>;
const WIRES: Readonly<Record<Wire, () => Promise<Open>>> = {
  openai: async () => (await import("./openai.ts")).openaiModel,
  responses: async () => (await import("./responses.ts")).responsesModel,
  anthropic: async () => (await import("./anthropic.ts")).anthropicModel,
  practice: async () => (await import("./practice.ts")).practiceModel,
};

/** Throws SettingError (CONF_001) where `checkModel` has something to say. No request is made. */
export async function openModel(settings: ModelSettings, fetch: typeof globalThis.fetch, extras?: ModelExtras): Promise<Model> {
  const clean = trimmed(settings);
  const problems = checkModel(clean);
  const provider = findProvider(clean.provider);
  if (problems.length > 0 || provider === undefined) throw new SettingError("CONF_001", {}, problems.join(" "));
  const filled = fillExtras(extras);
  const place = placeOf(clean, provider, filled.clock);
  const open = await WIRES[place.wire]();
  const price = clean.price ?? findPrice(clean.provider, clean.model, [...(filled.prices ?? []), PRICES])?.price;
  const model = await open(place, fetch, filled);
  return price === undefined ? model : { ...model, price: provider.quirks?.promptCache ? withCache(price) : price };
}

/** Keys and addresses are pasted, often with a blank or line end. */
function trimmed(settings: ModelSettings): ModelSettings {
  return { ...settings, model: settings.model.trim(), ...(settings.key === undefined ? {} : { key: settings.key.trim() }) };
}

/** What is wrong with the settings, each as a sentence a person can act on; no I/O, and never a secret in it. */
export function checkModel(settings: ModelSettings): string[] {
  const provider = findProvider(settings.provider);
  if (provider === undefined) return [`Expected a known provider, got "${settings.provider}". Choose one from the list.`];
  if (provider.wire === "practice") return [];
  const problems: string[] = [];
  if (settings.model.trim() === "") problems.push(`Expected the name of a model at ${provider.label}, got none.`);
  const key = settings.key?.trim() ?? "";
  const signed = Object.keys(settings.headers ?? {}).some((name) => /authorization|api-key/i.test(name));
  if (key === "" && !provider.keyless && !signed) problems.push(`Expected a key of ${provider.label}, got none.`);
  // HTTP headers carry visible ASCII only; a key with anything else was copied wrongly.
  if (/[^\x21-\x7e]/.test(key)) problems.push("Expected the key to be one word, got blanks, line ends or other characters in it. Copy it again.");
  problems.push(...checkBaseUrl(baseUrlOf(settings, provider)));
  for (const [name, value] of Object.entries(settings.headers ?? {})) {
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) problems.push("Expected header names of letters, digits and dashes, got another character.");
    else if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) problems.push(`Expected the header "${name}" to be one line of plain characters.`);
  }
  if (settings.api !== undefined && settings.api !== "chat" && settings.api !== "responses") problems.push(`Expected "api" to be chat or responses, got "${String(settings.api)}".`);
  if (settings.effort !== undefined && !EFFORTS.includes(settings.effort)) problems.push(`Expected "effort" to be one of ${EFFORTS.join(", ")}, got "${String(settings.effort)}".`);
  for (const field of ["contextTokens", "firstByteMs", "stallMs"] as const) {
    const value = settings[field];
    if (value !== undefined && !(Number.isFinite(value) && value > 0)) problems.push(`Expected "${field}" to be a number above 0, got ${String(value)}.`);
  }
  return problems;
}

function checkBaseUrl(url: string): string[] {
  if (url === "") return ["Expected a base URL such as http://192.168.1.5:8000/v1, got none."];
  const missing = [...url.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
  if (missing.length > 0) return [`Expected a value for "${missing.join('", "')}" in the base URL, got none.`];
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) return ["Expected the base URL to begin with http:// or https://."];
  const secret = secretInAddress("Base URL", url, 'Put it into the key, or as "Authorization: Basic …" or a header of the provider into the headers: both are kept as credentials.');
  return secret === undefined ? [] : [secret];
}

export type ModelTrial = { readonly ok: true; readonly note?: string } | { readonly ok: false; readonly fault: Fault; readonly code: string; readonly text: string };

/** Asks the model for one word, to see whether address, key, model and credit are right. Throws only when `signal` aborts. */
export async function tryModel(settings: ModelSettings, fetch: typeof globalThis.fetch, signal: AbortSignal, extras?: ModelExtras): Promise<ModelTrial> {
  const secrets = [settings.key ?? "", ...Object.values(settings.headers ?? {})];
  const bad = (fault: Fault, code: string, text: string): ModelTrial => ({ ok: false, fault, code, text: scrub(text, secrets) });
  const problems = checkModel(settings);
  if (problems.length > 0) return bad("bad settings", "CONF_001", problems.join(" "));
  if (findProvider(settings.provider)?.wire === "practice") return { ok: true, note: "Answers by simple rules; nothing leaves this machine." };
  try {
    const model = await openModel({ firstByteMs: 30_000, stallMs: 30_000, ...settings }, fetch, extras);
    let said = "";
    const request = { system: "", turns: [{ role: "user", text: "Say the word OK." }], tools: [], maxTokens: 64, live: false } as const;
    for await (const event of model.stream(request, signal)) if (event.type === "text") said += event.delta;
    return { ok: true, note: `The model said: ${scrub(said, secrets).replace(/\s+/g, " ").trim().slice(0, 80)}` };
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    // A model that only thought before the small limit was reached has proved everything that was asked.
    if (thrown instanceof ModelFault && thrown.code === "MODEL_007" && thrown.retry === "no") return { ok: true, note: "The model answers." };
    if (thrown instanceof ModelFault) return bad(thrown.fault, thrown.code, thrown.message);
    if (thrown instanceof ModelError || thrown instanceof SettingError) return bad("bad settings", thrown.code, thrown.message);
    return bad("no network", "MODEL_001", thrown instanceof Error ? thrown.message : String(thrown));
  }
}
