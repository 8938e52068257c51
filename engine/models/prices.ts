/** What tokens cost, by provider and model. A help to plan with: the provider's bill counts. */
import { SettingError } from "../errors.ts";
import type { Usage } from "./model.ts";

/** USD for a million tokens. A field that is left out costs as much as `input`. */
export interface Price {
  readonly input: number;
  readonly output: number;
  /** Input read from the provider's cache. */
  readonly cachedInput?: number;
  /** Input written into it. */
  readonly storedInput?: number;
  /** A request whose input has more tokens than `above` costs so many times as much, as a whole. */
  readonly long?: { readonly above: number; readonly input: number; readonly output: number };
}
/** `model` is the name, or its beginning where only a date, a version or "latest" may follow. */
export interface PriceRow extends Price { readonly provider: string; readonly model: string }
export interface PriceList { /** Day of the prices, as in 2026-09-23. */ readonly asOf: string; readonly rows: readonly PriceRow[]; /** Sound and pictures that are not paid by tokens. */ readonly units?: readonly UnitRow[] }

/** What a price is for: a minute that is heard or spoken, a million characters that are spoken, a picture. */
const PERS = ["minute", "million characters", "picture"] as const;
export interface UnitPrice {
  readonly per: (typeof PERS)[number];
  readonly usd: number;
  /** Seconds that are paid in any case. */
  readonly leastSeconds?: number;
  /** Pictures of these sizes cost so much; `usd` is for all others. */
  readonly sizes?: Readonly<Record<string, number>>;
}
export interface UnitRow extends UnitPrice { readonly provider: string; readonly model: string }
/** By tokens, or by what is heard, spoken or drawn. */
export type MediaPrice = Price | UnitPrice;
/** What was, or may be, heard, spoken or drawn. Each provider counts one of these. */
export interface Work { readonly seconds?: number; readonly characters?: number; readonly pictures?: number; /** As in 1024x1024. */ readonly size?: string; readonly tokens?: Usage }

type Short = readonly [model: string, input: number, output: number, cachedInput?: number, storedInput?: number];
const rows = (provider: string, list: readonly Short[], long?: Price["long"]): PriceRow[] => list.map(([model, input, output, cachedInput, storedInput]) => ({
  provider, model, input, output, ...(cachedInput === undefined ? {} : { cachedInput }), ...(storedInput === undefined ? {} : { storedInput }), ...(long === undefined ? {} : { long }),
}));

/**
 * Prices of the providers' own pages, as Pydantic collects them (genai-prices 0.1.8, MIT), for the standard tier and text.
 * Where the price depends on the time of day (DeepSeek), the higher one.
 */
export const PRICES: PriceList = {
  asOf: "2026-09-23",
  rows: [
    ...rows("openai", [
      ["gpt-3.5-turbo", 0.5, 1.5], ["gpt-4", 30, 60], ["gpt-4-turbo", 10, 30], ["gpt-4.1", 2, 8, 0.5], ["gpt-4.1-mini", 0.4, 1.6, 0.1], ["gpt-4.1-nano", 0.1, 0.4, 0.025],
      ["gpt-4o", 2.5, 10, 1.25], ["gpt-4o-2024-05-13", 5, 15], ["gpt-4o-mini", 0.15, 0.6, 0.075],
      ["gpt-5", 1.25, 10, 0.125], ["gpt-5-chat", 1.25, 10, 0.125], ["gpt-5-codex", 1.25, 10, 0.125], ["gpt-5-mini", 0.25, 2, 0.025], ["gpt-5-nano", 0.05, 0.4, 0.005], ["gpt-5-pro", 15, 120],
      ["gpt-5.1", 1.25, 10, 0.125], ["gpt-5.1-chat", 1.25, 10, 0.125], ["gpt-5.1-codex", 1.25, 10, 0.125], ["gpt-5.1-codex-mini", 0.25, 2, 0.025], ["gpt-5.1-mini", 0.25, 2, 0.025],
      ["gpt-5.2", 1.75, 14, 0.175], ["gpt-5.2-chat", 1.75, 14, 0.175], ["gpt-5.2-pro", 21, 168], ["gpt-5.3", 1.75, 14, 0.175], ["gpt-5.3-chat", 1.75, 14, 0.175], ["gpt-5.3-codex", 1.75, 14, 0.175],
      ["gpt-5.4-mini", 0.75, 4.5, 0.075], ["gpt-5.4-nano", 0.2, 1.25, 0.02],
      ["o1", 15, 60, 7.5], ["o1-mini", 1.1, 4.4, 0.55], ["o1-pro", 150, 600], ["o3", 2, 8, 0.5], ["o3-mini", 1.1, 4.4, 0.55], ["o3-pro", 20, 80], ["o4-mini", 1.1, 4.4, 0.275],
    ]),
    ...rows("openai", [
      ["gpt-5.4", 2.5, 15, 0.25], ["gpt-5.4-pro", 30, 180], ["gpt-5.5", 5, 30, 0.5], ["gpt-5.5-pro", 30, 180],
      ["gpt-5.6", 4, 20, 0.4, 5], ["gpt-5.6-luna", 0.2, 1.2, 0.02, 0.25], ["gpt-5.6-sol", 4, 20, 0.4, 5], ["gpt-5.6-terra", 2, 12, 0.2, 2.5],
      ["gpt-6-astra", 10, 50, 1, 12.5], ["gpt-6-luna", 0.1, 0.5, 0.01, 0.125], ["gpt-6-sol", 2, 10, 0.2, 2.5],
    ], { above: 271_999, input: 2, output: 1.5 }),
    ...rows("anthropic", [
      ["claude-3-haiku", 0.25, 1.25, 0.03, 0.3], ["claude-3-opus", 15, 75, 1.5, 18.75], ["claude-3-5-haiku", 0.8, 4, 0.08, 1], ["claude-3-5-sonnet", 3, 15, 0.3, 3.75], ["claude-3-7-sonnet", 3, 15, 0.3, 3.75],
      ["claude-haiku-4-5", 1, 5, 0.1, 1.25], ["claude-sonnet-4", 3, 15, 0.3, 3.75], ["claude-sonnet-4-0", 3, 15, 0.3, 3.75], ["claude-sonnet-4-6", 3, 15, 0.3, 3.75], ["claude-sonnet-5", 2, 10, 0.2, 2.5],
      ["claude-opus-4", 15, 75, 1.5, 18.75], ["claude-opus-4-0", 15, 75, 1.5, 18.75], ["claude-opus-4-1", 15, 75, 1.5, 18.75], ["claude-opus-4-5", 5, 25, 0.5, 6.25], ["claude-opus-4-6", 5, 25, 0.5, 6.25],
      ["claude-opus-4-7", 5, 25, 0.5, 6.25], ["claude-opus-4-8", 5, 25, 0.5, 6.25], ["claude-opus-5", 5, 25, 0.5, 6.25], ["claude-opus-5-5", 4, 20, 0.2, 5],
      ["claude-fable-5", 10, 50, 1, 12.5], ["claude-fable-5-1", 10, 50, 0.25, 12.5],
    ]),
    ...rows("anthropic", [["claude-sonnet-4-5", 3, 15, 0.3, 3.75]], { above: 200_000, input: 2, output: 1.5 }),
    ...rows("gemini", [
      ["gemini-2.0-flash", 0.1, 0.4, 0.025], ["gemini-2.0-flash-lite", 0.075, 0.3], ["gemini-2.5-flash", 0.3, 2.5, 0.03], ["gemini-2.5-flash-lite", 0.1, 0.4, 0.01], ["gemini-3-flash", 0.5, 3, 0.05],
      ["gemini-3.1-flash-lite", 0.25, 1.5, 0.025], ["gemini-3.5-flash", 1.5, 9, 0.15], ["gemini-3.5-flash-lite", 0.3, 2.5, 0.03],
      ["gemini-3.6-flash", 0.75, 3.75, 0.075], ["gemini-3.7-flash", 0.75, 3.75, 0.075], ["gemini-3.8-flash", 0.75, 3.75, 0.075],
    ]),
    ...rows("gemini", [["gemini-2.5-pro", 1.25, 10, 0.125], ["gemini-3-pro", 2, 12, 0.2], ["gemini-3.1-pro", 2, 12, 0.2]], { above: 200_000, input: 2, output: 1.5 }),
    ...rows("deepseek", [["deepseek-chat", 0.27, 1.1, 0.07], ["deepseek-reasoner", 0.55, 2.19, 0.14], ["deepseek-v4-flash", 0.44, 1.32, 0.014], ["deepseek-v4-pro", 1.32, 3.96, 0.044]]),
    ...rows("mistral", [
      ["mistral-large", 2, 6], ["mistral-large-2512", 0.5, 1.5, 0.05], ["mistral-medium", 1.5, 7.5, 0.15], ["mistral-medium-2505", 0.4, 2, 0.04], ["mistral-medium-2508", 0.4, 2, 0.04], ["mistral-medium-3-5", 1.5, 7.5, 0.15],
      ["mistral-small-latest", 0.1, 0.3], ["mistral-small-2603", 0.15, 0.6, 0.015], ["mistral-nemo", 0.15, 0.15], ["open-mistral-nemo", 0.15, 0.15], ["codestral", 0.3, 0.9], ["devstral-2512", 0.4, 2, 0.04],
      ["magistral-medium", 2, 5], ["magistral-small", 0.5, 1.5], ["ministral-3b", 0.1, 0.1, 0.01], ["ministral-8b", 0.15, 0.15, 0.015], ["ministral-14b", 0.2, 0.2, 0.02],
    ]),
    ...rows("groq", [
      ["llama-3.1-8b-instant", 0.05, 0.08], ["llama-3.3-70b-versatile", 0.59, 0.79], ["meta-llama/llama-4-maverick-17b-128e-instruct", 0.2, 0.6], ["meta-llama/llama-4-scout-17b-16e-instruct", 0.11, 0.34],
      ["moonshotai/kimi-k2-instruct", 1, 3, 0.5], ["openai/gpt-oss-120b", 0.15, 0.6, 0.075], ["openai/gpt-oss-20b", 0.075, 0.3, 0.0375], ["qwen/qwen3-32b", 0.29, 0.59],
    ]),
    ...rows("xai", [
      ["grok-3", 3, 15, 0.75], ["grok-3-mini", 0.3, 0.5, 0.075], ["grok-4", 3, 15, 0.75], ["grok-4-fast", 0.2, 0.5, 0.05], ["grok-4-fast-reasoning", 0.2, 0.5, 0.05], ["grok-4-fast-non-reasoning", 0.2, 0.5, 0.05],
      ["grok-4-1-fast", 0.2, 0.5, 0.05], ["grok-4-1-fast-reasoning", 0.2, 0.5, 0.05], ["grok-4-1-fast-non-reasoning", 0.2, 0.5, 0.05], ["grok-code-fast-1", 0.2, 1.5, 0.02],
    ]),
    ...rows("xai", [["grok-4.20", 1.25, 2.5, 0.2], ["grok-4.3", 1.25, 2.5, 0.2], ["grok-4.5", 2, 6, 0.3], ["grok-4.6", 2, 6, 0.5], ["grok-build-0.1", 1, 2, 0.2]], { above: 199_999, input: 2, output: 2 }),
    ...rows("cerebras", [["gpt-oss-120b", 0.35, 0.75], ["gemma-4-31b", 0.99, 1.49], ["llama-3.3-70b", 0.85, 1.2], ["llama3.1-8b", 0.1, 0.1], ["qwen-3-32b", 0.4, 0.8], ["zai-glm-4.7", 2.25, 2.75]]),
    ...rows("fireworks", [
      ["accounts/fireworks/models/deepseek-v3p2", 0.56, 1.68, 0.28], ["accounts/fireworks/models/deepseek-v4-flash", 0.14, 0.28, 0.028], ["accounts/fireworks/models/deepseek-v4-pro", 1.74, 3.48, 0.145],
      ["accounts/fireworks/models/glm-5p2", 1.4, 4.4, 0.14], ["accounts/fireworks/models/gpt-oss-120b", 0.15, 0.6, 0.014], ["accounts/fireworks/models/gpt-oss-20b", 0.07, 0.3, 0.035],
      ["accounts/fireworks/models/kimi-k2p6", 0.95, 4, 0.16], ["accounts/fireworks/models/kimi-k3", 3, 15, 0.3], ["accounts/fireworks/models/minimax-m3", 0.3, 1.2, 0.06], ["accounts/fireworks/models/qwen3p7-plus", 0.4, 1.6, 0.08],
    ]),
    ...rows("moonshot", [
      ["kimi-k2", 0.6, 2.5, 0.15], ["kimi-k2-thinking", 0.6, 2.5, 0.15], ["kimi-k2-thinking-turbo", 1.15, 8, 0.15], ["kimi-k2.5", 0.6, 3, 0.1], ["kimi-k2.6", 0.95, 4, 0.16], ["kimi-k2.7-code", 0.95, 4, 0.19], ["kimi-k3", 3, 15, 0.3],
      ["moonshot-v1-8k", 0.2, 2], ["moonshot-v1-32k", 1, 3], ["moonshot-v1-128k", 2, 5],
    ]),
    ...rows("perplexity", [["sonar", 1, 1], ["sonar-pro", 3, 15], ["sonar-reasoning", 1, 5], ["sonar-reasoning-pro", 2, 8]]),
    // They run on the user's own machine.
    ...["practice", "ollama", "lmstudio", "vllm", "llamacpp"].map((provider): PriceRow => ({ provider, model: "*", input: 0, output: 0 })),
    // Pictures that are paid by tokens.
    ...rows("openai", [["gpt-image-1", 5, 40, 1.25], ["gpt-image-1-mini", 2, 8, 0.2], ["gpt-image-1.5", 5, 32, 1.25], ["gpt-image-2", 5, 30, 1.25]]),
  ],
  /**
   * From the same collection where it has them, else from the providers' pages. A minute by gpt-4o-transcribe and gpt-4o-mini-tts is OpenAI's own estimate of what its tokens come to.
   * Groq has more voices and Together more models, without a price here.
   */
  units: [
    { provider: "openai", model: "whisper-1", per: "minute", usd: 0.006 }, { provider: "openai", model: "gpt-transcribe", per: "minute", usd: 0.0045 },
    { provider: "openai", model: "gpt-4o-transcribe", per: "minute", usd: 0.006 }, { provider: "openai", model: "gpt-4o-mini-transcribe", per: "minute", usd: 0.003 },
    { provider: "groq", model: "whisper-large-v3", per: "minute", usd: 0.111 / 60, leastSeconds: 10 }, { provider: "groq", model: "whisper-large-v3-turbo", per: "minute", usd: 0.04 / 60, leastSeconds: 10 },
    { provider: "mistral", model: "voxtral-mini-latest", per: "minute", usd: 0.003 }, { provider: "mistral", model: "voxtral-mini-2602", per: "minute", usd: 0.003 },
    { provider: "openai", model: "gpt-4o-mini-tts", per: "minute", usd: 0.015 }, { provider: "openai", model: "tts-1", per: "million characters", usd: 15 }, { provider: "openai", model: "tts-1-hd", per: "million characters", usd: 30 },
    { provider: "openai", model: "dall-e-3", per: "picture", usd: 0.04, sizes: { "1024x1792": 0.08, "1792x1024": 0.08 } }, { provider: "openai", model: "dall-e-2", per: "picture", usd: 0.02 },
    { provider: "gemini", model: "imagen-4.0-generate-001", per: "picture", usd: 0.04 }, { provider: "gemini", model: "imagen-4.0-fast-generate-001", per: "picture", usd: 0.02 }, { provider: "gemini", model: "imagen-4.0-ultra-generate-001", per: "picture", usd: 0.06 },
  ],
};

/** Makers as OpenRouter names them; it takes their price. */
const MAKERS: Readonly<Record<string, string>> = { openai: "openai", anthropic: "anthropic", google: "gemini", deepseek: "deepseek", mistralai: "mistral", "x-ai": "xai", moonshotai: "moonshot", perplexity: "perplexity" };
/** Whose price list a provider's models are on, where it sells those of others at their price. */
const RESELLERS: Readonly<Record<string, (model: string) => readonly [provider: string, model: string] | undefined>> = {
  azure: (model) => ["openai", model],
  // As in eu.anthropic.claude-sonnet-5-v1:0.
  bedrock: (model) => ["anthropic", model.replace(/^([a-z]+\.)?anthropic\./, "")],
  openrouter(model) {
    const [maker = "", name = ""] = model.split("/");
    const provider = Object.hasOwn(MAKERS, maker) ? MAKERS[maker] : undefined;
    return provider === undefined ? undefined : [provider, name];
  },
};
/** What may follow a name of the table: a day, a version, "latest" or "preview". Anything else is another model, with another price. */
const TAIL = /^([-@](latest|preview|\d{4}-\d\d-\d\d|\d{3,8}|\d{2}-\d{2,4}|v\d[\d:]*))*$/;
/** OpenRouter writes claude-sonnet-4.5 where Anthropic writes claude-sonnet-4-5. */
const plain = (name: string): string => name.trim().toLowerCase().replaceAll(".", "-");

export interface KnownPrice<P = Price> { readonly price: P; readonly asOf: string }

/** The price of a model's tokens; of several lists the first that has it counts. Undefined: nobody knows. */
export const findPrice = (provider: string, model: string, lists: readonly PriceList[] = [PRICES]): KnownPrice | undefined => findRow(provider, model, lists, ({ rows }) => rows);
/** The price of a model for sound or pictures, by whatever it counts. */
export const findMediaPrice = (provider: string, model: string, lists: readonly PriceList[] = [PRICES]): KnownPrice<MediaPrice> | undefined => findRow<PriceRow | UnitRow>(provider, model, lists, ({ rows, units = [] }) => [...units, ...rows]);

function findRow<R extends { readonly provider: string; readonly model: string }>(provider: string, model: string, lists: readonly PriceList[], of: (list: PriceList) => readonly R[]): KnownPrice<R> | undefined {
  const name = plain(model);
  for (const list of lists) {
    let best: R | undefined;
    for (const row of of(list)) {
      if (row.provider !== provider || (row.model !== "*" && !fits(name, plain(row.model)))) continue;
      if (best === undefined || row.model.length > best.model.length || best.model === "*") best = row;
    }
    if (best !== undefined) return { price: best, asOf: list.asOf };
  }
  const resold = Object.hasOwn(RESELLERS, provider) ? RESELLERS[provider]?.(model.trim().toLowerCase()) : undefined;
  return resold === undefined ? undefined : findRow(...resold, lists, of);
}

function fits(name: string, known: string): boolean {
  return name.startsWith(known) && TAIL.test(name.slice(known.length));
}

/** What a price leaves out of a provider's cache, by Anthropic's rule: what is kept for five minutes costs a quarter more, what is read from there a tenth. */
export const withCache = (price: Price): Price => ({ storedInput: price.input * 1.25, cachedInput: price.input / 10, ...price });

/** A millionth of a micro-USD: prices become whole numbers of it, so that nothing is lost before the one rounding. */
const PARTS = 1_000_000;

/** What one request costs, in whole micro-USD (a millionth of a dollar), rounded up: sums of it are exact, and never too low. */
export function costOf(price: Price, usage: Usage): number {
  const { long } = price;
  const [more, moreOut] = long !== undefined && usage.input > long.above ? [long.input, long.output] : [1, 1];
  // USD per million tokens is micro-USD per token.
  const parts = (perMillion: number): number => Math.round(perMillion * PARTS);
  const cached = Math.min(usage.cachedInput ?? 0, usage.input);
  const stored = Math.min(usage.storedInput ?? 0, usage.input - cached);
  const total = (usage.input - cached - stored) * parts(price.input * more) + cached * parts((price.cachedInput ?? price.input) * more)
    + stored * parts((price.storedInput ?? price.input) * more) + usage.output * parts(price.output * moreOut);
  return Math.ceil(total / PARTS);
}

/** What this work costs, in whole micro-USD, rounded up. Undefined where the price is for what nobody has counted. */
export function workCost(price: MediaPrice, { seconds, characters, pictures, size, tokens }: Work): number | undefined {
  if (!("per" in price)) return tokens === undefined ? (price.input === 0 && price.output === 0 ? 0 : undefined) : costOf(price, tokens);
  const { per, usd, leastSeconds = 0, sizes = {} } = price;
  const amount = per === "minute" ? (seconds === undefined ? undefined : Math.max(seconds, leastSeconds) / 60) : per === "million characters" ? (characters === undefined ? undefined : characters / 1e6) : pictures;
  const each = per === "picture" && size !== undefined && Object.hasOwn(sizes, size) ? sizes[size] as number : usd;
  // Far below a micro-USD lies what floating point adds.
  return amount === undefined ? undefined : Math.ceil(Math.round(amount * each * 1e6 * PARTS) / PARTS);
}

/** Micro-USD as whole number, rounded up; undefined where the price is not known. */
export function priceOf(provider: string, model: string, usage: Usage, lists?: readonly PriceList[]): number | undefined {
  const known = findPrice(provider, model, lists);
  return known === undefined ? undefined : costOf(known.price, usage);
}

/** Reads a price list of the user's: `{"asOf": "2026-11-01", "prices": [{"provider", "model", "input", "output", …}]}` as in PriceRow, or `{"provider", "model", "per": "minute", "usd": 0.006}` as in UnitRow. Throws SettingError (CONF_001). */
export function parsePrices(text: string, file: string): PriceList {
  const wrong = (expected: string, got: unknown): SettingError => new SettingError("CONF_001", {}, `Expected ${expected} in ${file}, got ${JSON.stringify(got) ?? "nothing"}.`);
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch (error) {
    throw new SettingError("CONF_001", {}, `Expected JSON in ${file}: ${(error as Error).message}`);
  }
  const { asOf, prices } = (typeof read === "object" && read !== null ? read : {}) as { asOf?: unknown; prices?: unknown };
  if (typeof asOf !== "string" || !/^\d{4}-\d\d-\d\d$/.test(asOf)) throw wrong('"asOf" to be a day such as "2026-11-01"', asOf);
  if (!Array.isArray(prices)) throw wrong('"prices" to be a list', prices);
  const all = prices.map((row, at) => parseRow(row, (field, expected, got) => wrong(`"${field}" of price ${at + 1} to be ${expected}`, got)));
  return { asOf, rows: all.filter((row): row is PriceRow => !("per" in row)), units: all.filter((row): row is UnitRow => "per" in row) };
}

function parseRow(row: unknown, wrong: (field: string, expected: string, got: unknown) => SettingError): PriceRow | UnitRow {
  const fields = (typeof row === "object" && row !== null ? row : {}) as Record<string, unknown>;
  const amount = (value: unknown, field: string, what = "USD for a million tokens"): number => {
    if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw wrong(field, `${what}, a number from 0`, value);
    return value;
  };
  for (const field of ["provider", "model"]) if (typeof fields[field] !== "string" || fields[field] === "") throw wrong(field, "a name", fields[field]);
  if (fields.per !== undefined) {
    const per = PERS.find((known) => known === fields.per);
    if (per === undefined) throw wrong("per", `one of ${PERS.join(", ")}`, fields.per);
    const sizes = fields.sizes === undefined ? undefined : Object.fromEntries(Object.entries(fields.sizes as object).map(([size, usd]) => [size, amount(usd, `sizes.${size}`, "USD for a picture")]));
    return {
      provider: String(fields.provider), model: String(fields.model), per, usd: amount(fields.usd, "usd", `USD for a ${per}`),
      ...(fields.leastSeconds === undefined ? {} : { leastSeconds: amount(fields.leastSeconds, "leastSeconds", "seconds") }), ...(sizes === undefined ? {} : { sizes }),
    };
  }
  const long = fields.long as Record<string, unknown> | undefined;
  return {
    provider: String(fields.provider), model: String(fields.model), input: amount(fields.input, "input"), output: amount(fields.output, "output"),
    ...(fields.cachedInput === undefined ? {} : { cachedInput: amount(fields.cachedInput, "cachedInput") }),
    ...(fields.storedInput === undefined ? {} : { storedInput: amount(fields.storedInput, "storedInput") }),
    ...(long === undefined ? {} : { long: { above: amount(long?.above, "long.above"), input: amount(long?.input, "long.input"), output: amount(long?.output, "long.output") } }),
  };
}
