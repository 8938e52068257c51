import assert from "node:assert/strict";
import { SettingError } from "../../engine/errors.ts";
import { findProvider, openModel } from "../../engine/models/index.ts";
import { costOf, findMediaPrice, findPrice, parsePrices, type Price, priceOf, PRICES, type Work, workCost } from "../../engine/models/prices.ts";
import { addUsage } from "../../engine/models/usage.ts";

const of = (provider: string, model: string) => findPrice(provider, model)?.price;

describe("prices", () => {
  it("are of providers we have, each model once, no price missing a day", () => {
    assert.match(PRICES.asOf, /^\d{4}-\d\d-\d\d$/);
    const seen = new Set<string>();
    for (const { provider, model, input, output, cachedInput } of PRICES.rows) {
      assert.ok(findProvider(provider), provider);
      assert.equal(seen.size, seen.add(`${provider} ${model}`).size - 1, `${provider} ${model} twice`);
      assert.ok(input >= 0 && output >= input * 0.9 && (cachedInput ?? input) <= input, `${provider} ${model}`);
    }
    assert.ok(seen.size > 100);
    for (const { provider, model, usd } of PRICES.units ?? []) {
      assert.ok(findProvider(provider), provider);
      assert.equal(seen.size, seen.add(`${provider} ${model}`).size - 1, `${provider} ${model} twice`);
      assert.ok(usd > 0, `${provider} ${model}`);
    }
  });

  it("of Claude, given without its cache, cost a quarter more for what is stored and a tenth for what is read from there", async () => {
    const open = (provider: string, price: Price) => openModel({ provider, model: "claude-of-ours", key: "k", price }, fetch);
    const usage = { input: 1_000_000, output: 0, cachedInput: 400_000, storedInput: 400_000 };
    assert.equal(costOf((await open("anthropic", { input: 3, output: 15 })).price ?? assert.fail("no price"), usage), 600_000 + 120_000 + 1_500_000);
    assert.deepEqual((await open("anthropic", { input: 3, output: 15, cachedInput: 0.2, storedInput: 6 })).price, { input: 3, output: 15, cachedInput: 0.2, storedInput: 6 }, "what is given counts");
    assert.deepEqual((await open("openai", { input: 3, output: 15 })).price, { input: 3, output: 15 });
  });

  it("are found by the name with its date or version, and by no other name", () => {
    const same: readonly (readonly [string, string, string])[] = [
      ["openai", "gpt-5", "gpt-5"], ["openai", "gpt-4o-2024-08-06", "gpt-4o"], ["openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini"], ["openai", "o3-2025-04-16", "o3"], ["openai", " GPT-5.1 ", "gpt-5.1"],
      ["anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"], ["anthropic", "claude-opus-4-20250514", "claude-opus-4"], ["anthropic", "claude-opus-4-1-20250805", "claude-opus-4-1"],
      ["gemini", "gemini-2.5-flash-preview-09-2025", "gemini-2.5-flash"], ["gemini", "gemini-3-pro-preview", "gemini-3-pro"], ["mistral", "mistral-large-2411", "mistral-large"], ["mistral", "mistral-large-2512", "mistral-large-2512"],
      ["azure", "gpt-4.1-mini", "gpt-4.1-mini"], ["bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"], ["bedrock", "anthropic.claude-opus-5", "claude-opus-5"],
      ["openrouter", "anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"], ["openrouter", "openai/gpt-5-mini", "gpt-5-mini"], ["openrouter", "x-ai/grok-4", "grok-4"],
    ];
    for (const [provider, model, row] of same) assert.equal((of(provider, model) as { model?: string } | undefined)?.model, row, `${provider} ${model}`);
    for (const [provider, model] of [["openai", "gpt-5.7"], ["openai", "gpt-5-ultra"], ["openai", "gpt-4o-audio-preview"], ["anthropic", "claude-opus-9"], ["azure", "my-deployment"], ["openrouter", "meta-llama/llama-4"], ["openrouter", "deepseek/deepseek-chat:free"], ["openrouter", "__proto__/x"], ["nobody", "gpt-5"]]) {
      assert.equal(of(provider ?? "", model ?? ""), undefined, `${provider} ${model}`);
    }
    assert.equal(priceOf("ollama", "qwen3:8b", { input: 1000, output: 1000 }), 0);
  });

  it("come to whole micro-dollars, rounded up once", () => {
    assert.equal(priceOf("openai", "gpt-4o-mini", { input: 1_000_000, output: 1_000_000 }), 750_000);
    assert.equal(priceOf("openai", "gpt-4o-mini", { input: 1, output: 0 }), 1, "0.15 is rounded up");
    assert.equal(priceOf("openai", "gpt-4o-mini", { input: 0, output: 0 }), 0);
    // 0.1 + 0.2 in floating point would be a little more, and so a whole unit more.
    assert.equal(costOf({ input: 0.1, output: 0.2 }, { input: 10, output: 5 }), 2);
    assert.equal(priceOf("nobody", "m", { input: 1, output: 1 }), undefined);
  });

  it("take what came from the cache and went into it at its own price", () => {
    const price = { input: 3, output: 15, cachedInput: 0.3, storedInput: 3.75 };
    assert.equal(costOf(price, { input: 10_000, output: 100, cachedInput: 6_000, storedInput: 2_000 }), 2_000 * 3 + 6_000 * 0.3 + 2_000 * 3.75 + 100 * 15);
    assert.equal(costOf({ input: 3, output: 15 }, { input: 10_000, output: 0, cachedInput: 6_000 }), 30_000, "no price for the cache: the full one");
    assert.equal(costOf(price, { input: 10, output: 0, cachedInput: 99, storedInput: 99 }), 3, "a provider that counts wrongly makes no negative price");
  });

  it("rise for long requests, as a whole", () => {
    const edge = { input: 200_000, output: 1_000 };
    assert.equal(priceOf("gemini", "gemini-2.5-pro", edge), 260_000);
    assert.equal(priceOf("gemini", "gemini-2.5-pro", { ...edge, input: 200_001 }), Math.ceil(200_001 * 2.5) + 15_000);
  });

  it("of the user count before ours", async () => {
    const own = parsePrices('{"asOf":"2026-11-01","prices":[{"provider":"openai","model":"gpt-5","input":9,"output":10,"cachedInput":1,"long":{"above":5,"input":2,"output":2}},{"provider":"groq","model":"*","input":1,"output":1}]}', "prices.json");
    assert.equal(priceOf("openai", "gpt-5", { input: 1, output: 0 }, [own, PRICES]), 9);
    assert.equal(priceOf("openai", "gpt-5-mini", { input: 4, output: 0 }, [own, PRICES]), 1);
    assert.equal(priceOf("groq", "anything", { input: 4, output: 0 }, [own, PRICES]), 4);
    assert.equal(findPrice("openai", "gpt-5", [own, PRICES])?.asOf, "2026-11-01");
    const open = (more: object) => openModel({ provider: "openai", model: "gpt-5", key: "sk-0123456789", ...more }, fetch, { prices: [own] });
    assert.equal((await open({})).price?.input, 9);
    assert.equal((await open({ price: { input: 3, output: 4 } })).price?.input, 3, "the node's own price counts most");
    assert.equal((await open({ model: "gpt-unheard-of" })).price, undefined);
  });

  it("of sound and pictures are for a minute, for characters or for a picture, in whole micro-dollars", () => {
    const costs = (provider: string, model: string, work: Work): number | undefined => { const known = findMediaPrice(provider, model); return known && workCost(known.price, work); };
    assert.equal(costs("openai", "whisper-1", { seconds: 60 }), 6_000, "0.6 cents");
    assert.equal(costs("openai", "whisper-1", { seconds: 0.1 }), 10);
    assert.equal(costs("azure", "whisper-1", { seconds: 90 }), 9_000);
    assert.equal(costs("openai", "gpt-4o-mini-transcribe-2025-12-15", { seconds: 20 }), 1_000);
    assert.equal(costs("groq", "whisper-large-v3-turbo", { seconds: 1 }), 112, "10 s are paid in any case: 0.04 / 360 USD");
    assert.equal(costs("groq", "whisper-large-v3-turbo", { seconds: 3600 }), 40_000);
    assert.equal(costs("openai", "tts-1", { characters: 1_000 }), 15_000);
    assert.equal(costs("openai", "tts-1-hd", { characters: 1 }), 30);
    assert.equal(costs("openai", "gpt-4o-mini-tts", { characters: 9, seconds: 4 }), 1_000);
    assert.deepEqual(["1024x1024", "1024x1792", "1792x1024", undefined].map((size) => costs("openai", "dall-e-3", { pictures: 1, ...(size === undefined ? {} : { size }) })), [40_000, 80_000, 80_000, 40_000]);
    assert.equal(costs("openai", "gpt-image-1", { pictures: 1, tokens: { input: 10, output: 1_056 } }), 50 + 42_240);
    assert.equal(costs("gemini", "imagen-4.0-generate-001", { pictures: 3 }), 120_000);
    for (const local of ["ollama", "vllm"]) assert.equal(costs(local, "whisper", { seconds: 100 }), 0);
    assert.equal(costs("groq", "canopylabs/orpheus-v1-english", { characters: 9 }), undefined, "nobody knows");
    assert.equal(costs("openai", "whisper-1", {}), undefined, "how long it was, nobody knows");
    assert.equal(costs("openai", "gpt-image-1", { pictures: 1 }), undefined);
    assert.equal(findPrice("openai", "whisper-1"), undefined, "a chat has no price by the minute");
    const own = parsePrices('{"asOf":"2026-11-01","prices":[{"provider":"openai-compatible","model":"*","per":"minute","usd":0},{"provider":"openai","model":"dall-e-3","per":"picture","usd":1,"sizes":{"9x9":2}},{"provider":"groq","model":"x","per":"minute","usd":6,"leastSeconds":5}]}', "prices.json");
    const mine = (provider: string, model: string, work: Work) => workCost(findMediaPrice(provider, model, [own, PRICES])?.price ?? assert.fail(model), work);
    assert.deepEqual([mine("openai-compatible", "at home", { seconds: 9 }), mine("openai", "dall-e-3", { pictures: 1, size: "9x9" }), mine("groq", "x", { seconds: 1 }), mine("openai", "whisper-1", { seconds: 60 })], [0, 2_000_000, 500_000, 6_000]);
  });

  it("that cannot be read are refused with what is wrong", () => {
    for (const [text, expected] of [
      ["{", /Expected JSON in my\.json/], ["[]", /"asOf" to be a day such as .* in my\.json, got nothing/], ['{"asOf":"2026-11-01"}', /"prices" to be a list/],
      ['{"asOf":"2026-11-01","prices":[{"provider":"openai","model":"m","input":"1","output":1}]}', /"input" of price 1 to be USD for a million tokens.*got "1"/],
      ['{"asOf":"2026-11-01","prices":[{"provider":"openai","model":"","input":1,"output":1}]}', /"model" of price 1 to be a name/],
      ['{"asOf":"2026-11-01","prices":[{"provider":"openai","model":"m","input":1,"output":1,"long":{}}]}', /"long\.above"/],
      ['{"asOf":"2026-11-01","prices":[{"provider":"openai","model":"m","per":"hour","usd":1}]}', /"per" of price 1 to be one of minute, million characters, picture in my\.json, got "hour"/],
      ['{"asOf":"2026-11-01","prices":[{"provider":"openai","model":"m","per":"minute","usd":-1}]}', /"usd" of price 1 to be USD for a minute/],
      ['{"asOf":"2026-11-01","prices":[{"provider":"openai","model":"m","per":"picture","usd":1,"sizes":{"1x1":"2"}}]}', /"sizes\.1x1" of price 1/],
      ['{"asOf":"2026-11-01","prices":[null]}', /"provider" of price 1/],
    ] as const) assert.throws(() => parsePrices(text, "my.json"), (error: unknown) => error instanceof SettingError && expected.test(error.message), text);
  });
});

describe("sums of usage", () => {
  it("keep every count that is there", () => {
    assert.deepEqual(addUsage({ input: 1, output: 2 }, { input: 3, output: 4 }), { input: 4, output: 6 });
    assert.deepEqual(addUsage({ input: 1, output: 2, cachedInput: 5 }, { input: 3, output: 4, storedInput: 1, reasoning: 2 }), { input: 4, output: 6, cachedInput: 5, storedInput: 1, reasoning: 2 });
  });
});
