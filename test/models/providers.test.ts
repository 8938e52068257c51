import assert from "node:assert/strict";
import { inspect } from "node:util";
import { SettingError } from "../../engine/errors.ts";
import { checkModel, findProvider, openModel, PROVIDERS, providerFields, tryModel } from "../../engine/models/index.ts";
import { fillBaseUrl, guessContext } from "../../engine/models/providers.ts";
import { startLlm, talk } from "../platforms/llm.ts";
import { at, KEY } from "./kit.ts";

const NAMES = ["openai", "anthropic", "gemini", "ollama", "openrouter", "deepseek", "huggingface", "bedrock", "litellm", "mistral", "groq", "xai", "together", "fireworks", "cerebras", "azure", "lmstudio", "vllm", "moonshot", "llamacpp", "practice"];

describe("the table of providers", () => {
  it("has every provider once, with a usable address", () => {
    for (const name of NAMES) assert.ok(findProvider(name), name);
    assert.equal(new Set(PROVIDERS.map((provider) => provider.id)).size, PROVIDERS.length);
    assert.equal(new Set(PROVIDERS.map((provider) => provider.label)).size, PROVIDERS.length);
    for (const provider of PROVIDERS) {
      assert.match(provider.id, /^[a-z0-9-]+$/);
      if (provider.baseUrl === "") continue;
      const url = new URL(fillBaseUrl(provider.baseUrl, Object.fromEntries(providerFields(provider).map((field) => [field, "x"]))));
      assert.ok(url.protocol === "https:" || url.hostname === "localhost", provider.id);
      assert.ok(provider.keyless === true || provider.env !== undefined, `${provider.id} has a key and no name for it`);
      // The Anthropic SDK appends /v1/messages itself.
      if (provider.wire === "anthropic") assert.doesNotMatch(url.pathname, /\/v1\/?$/);
    }
  });

  it("guesses context windows with care", () => {
    const of = (provider: string, model: string) => guessContext(findProvider(provider) ?? assert.fail(provider), model);
    assert.equal(of("openai", "gpt-4.1-mini"), 1_000_000);
    assert.equal(of("openai", "gpt-4-0613"), 8_192);
    assert.equal(of("openrouter", "anthropic/claude-sonnet-5"), 1_000_000);
    assert.deepEqual(["claude-sonnet-4-5-20250929", "claude-sonnet-4.6", "claude-opus-9"].map((name) => of("anthropic", name)), [200_000, 1_000_000, 200_000], "what is not known has its family's smallest");
    assert.equal(of("bedrock", "eu.anthropic.claude-opus-4-6-v1:0"), 1_000_000);
    assert.deepEqual(["moonshot-v1-8k", "moonshot-v1-32k", "kimi-k2.6", "kimi-k3"].map((name) => of("moonshot", name)), [8_192, 32_768, 262_144, 1_048_576]);
    assert.deepEqual(["gpt-5.3-chat", "gpt-5.4", "gpt-5.4-mini", "gpt-5.2-pro", "gpt-6-sol"].map((name) => of("openai", name)), [128_000, 1_050_000, 400_000, 400_000, 1_050_000]);
    assert.equal(of("groq", "something-new"), 32_000);
    assert.equal(of("ollama", "qwen3:8b"), 8_000);
  });
});

describe("checkModel", () => {
  it("accepts what can work", () => {
    assert.deepEqual(checkModel({ provider: "practice", model: "" }), []);
    assert.deepEqual(checkModel({ provider: "openai", model: "gpt-5", key: ` ${KEY}\n` }), []);
    assert.deepEqual(checkModel({ provider: "ollama", model: "qwen3" }), []);
    assert.deepEqual(checkModel({ provider: "azure", model: "d", key: KEY, fields: { resource: "acme" } }), []);
    assert.deepEqual(checkModel({ provider: "openai", model: "m", headers: { "api-key": "abc" } }), []);
  });

  it("names each problem, without the secret", () => {
    const cases: readonly (readonly [Parameters<typeof checkModel>[0], RegExp])[] = [
      [{ provider: "nope", model: "m" }, /known provider, got "nope"/],
      [{ provider: "openai", model: " ", key: KEY }, /name of a model/],
      [{ provider: "openai", model: "m" }, /Expected a key of OpenAI/],
      [{ provider: "openai", model: "m", key: "CANARY key" }, /one word/],
      [{ provider: "openai", model: "m", key: "“CANARY”" }, /one word/],
      [{ provider: "azure", model: "m", key: KEY }, /value for "resource"/],
      [{ provider: "openai-compatible", model: "m" }, /base URL such as/],
      [{ provider: "openai-compatible", model: "m", baseUrl: "user:CANARY@host" }, /begin with http/],
      [{ provider: "openai-compatible", model: "m", baseUrl: "ftp://CANARY/" }, /begin with http/],
      [{ provider: "openai-compatible", model: "m", baseUrl: "https://user:CANARY@host/v1" }, /bare address, got a user name or password .* into the key/],
      [{ provider: "openai-compatible", model: "m", baseUrl: "https://host/v1?key=CANARY" }, /got a secret \("key"\)/],
      [{ provider: "openai-compatible", model: "m", baseUrl: "https://host/bot123456789:CANARYcccccccccccccccccccccccccccc/v1" }, /looks like a token/],
      [{ provider: "ollama", model: "m", headers: { "X-A": "CANARY\nB: c" } }, /header "X-A"/],
      [{ provider: "ollama", model: "m", headers: { "CANARY name": "x" } }, /header names/],
      [{ provider: "ollama", model: "m", contextTokens: -1 }, /"contextTokens".*above 0, got -1/],
      [{ provider: "ollama", model: "m", firstByteMs: Number.NaN }, /"firstByteMs"/],
    ];
    for (const [settings, expected] of cases) {
      const problems = checkModel(settings);
      assert.equal(problems.length, 1, JSON.stringify(settings));
      assert.match(problems[0] ?? "", expected);
      assert.doesNotMatch(problems.join(), /CANARY/);
    }
  });

  it("openModel refuses the same, as a setting that is wrong", async () => {
    await assert.rejects(openModel({ provider: "openai", model: "" }, fetch), (error: unknown) => {
      assert.ok(error instanceof SettingError);
      assert.equal(error.code, "CONF_001");
      assert.match(error.message, /name of a model.*key of OpenAI/);
      return true;
    });
  });
});

describe("tryModel", () => {
  const signal = new AbortController().signal;
  it("says what the model said", async () => {
    const stub = await startLlm(talk("OK then"));
    try {
      assert.deepEqual(await tryModel(at(stub.url, "openai", { key: ` ${KEY} ` }), fetch, signal), { ok: true, note: "The model said: OK then" });
      assert.deepEqual(await tryModel(at(stub.url, "anthropic"), fetch, signal), { ok: true, note: "The model said: OK then" });
      assert.equal(stub.asked[0]?.headers.authorization, `Bearer ${KEY}`);
      await assert.rejects(tryModel(at(stub.url, "openai"), fetch, AbortSignal.abort(new Error("left"))), /^Error: left$/);
    } finally {
      await stub.close();
    }
  });
  it("needs no network for the practice model, and is honest about it", async () => {
    const trial = await tryModel({ provider: "practice", model: "" }, () => assert.fail("a request"), signal);
    assert.deepEqual(trial, { ok: true, note: "Answers by simple rules; nothing leaves this machine." });
  });
  it("tells bad settings from faults", async () => {
    const trial = await tryModel({ provider: "openai", model: "m", key: "CANARY KEY" }, fetch, signal);
    assert.ok(!trial.ok);
    assert.deepEqual([trial.fault, trial.code], ["bad settings", "CONF_001"]);
    assert.doesNotMatch(inspect(trial), /CANARY/);
  });
});
