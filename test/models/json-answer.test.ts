/** Answers that are JSON: how they are asked for, read, checked and mended. */
import assert from "node:assert/strict";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { openModel } from "../../engine/models/index.ts";
import { jsonModel, readJson, strictSchema } from "../../engine/models/json-answer.ts";
import type { Model, ModelEvent, ModelRequest, ModelSettings } from "../../engine/models/model.ts";
import { type LlmStub, startLlm, talk } from "../platforms/llm.ts";
import { ask, at, callsOf, collect, endOf, failure, textOf, user, WEATHER, type WireName } from "./kit.ts";

const CITY = { type: "object", properties: { city: { type: "string" }, people: { type: "integer" } }, required: ["city", "people"], additionalProperties: false };
const LOOSE = { type: "object", properties: { city: { type: "string", minLength: 1 } } };

/** A model that says these things one after the other, and keeps what it was asked. */
function scripted(...answers: readonly (string | readonly ModelEvent[])[]): Model & { asked: ModelRequest[] } {
  const asked: ModelRequest[] = [];
  return {
    id: "m", provider: "scripted", contextTokens: 10_000, asked,
    async *stream(request) {
      const answer = answers[asked.length] ?? assert.fail("asked too often");
      asked.push(request);
      if (typeof answer !== "string") yield* answer;
      else yield* [{ type: "text", delta: answer.slice(0, 3) }, { type: "text", delta: answer.slice(3) }, { type: "end", reason: "stop", usage: { input: 10, output: 5 } }] as const;
    },
  };
}

describe("a model whose answers are JSON", () => {
  it("gives the object alone, in one piece, whatever stands around it", async () => {
    for (const text of ['{"city":"Rome","people":3}', ' \n{"city": "Rome", "people": 3}\n', 'Sure!\n```json\n{"city":"Rome","people":3}\n```\nAnything else?', 'Here: {"city":"Rome","people":3}. Done.', '```\n{"city":"Rome","people":3}```']) {
      const events = await collect(jsonModel(scripted(text), CITY), ask());
      assert.deepEqual(events.map((event) => event.type), ["text", "end"]);
      assert.equal(textOf(events), '{"city":"Rome","people":3}');
    }
    assert.equal(readJson("no"), undefined);
    assert.equal(readJson("{"), undefined);
    assert.deepEqual(readJson("[1]"), [1]);
  });

  it("asks in words behind the prompt, and by the schema", async () => {
    const model = scripted('{"city":"Rome","people":3}');
    await collect(jsonModel(model, CITY), ask({ system: "Be kind." }));
    assert.equal(model.asked[0]?.schema, CITY);
    assert.match(model.asked[0]?.system ?? "", /^Be kind\.\n\nAnswer with one JSON object and nothing else.*"people":\{"type":"integer"\}/s);
  });

  it("gives a wrong answer back once, with what is wrong, and counts both requests", async () => {
    const model = scripted('{"city":"Rome"}', '{"city":"Rome","people":3}');
    const events = await collect(jsonModel(model, CITY), ask());
    assert.equal(textOf(events), '{"city":"Rome","people":3}');
    assert.deepEqual(endOf(events).usage, { input: 20, output: 10 });
    assert.deepEqual(model.asked[1]?.turns.slice(-2).map(({ role, text }) => [role, text]), [
      ["assistant", '{"city":"Rome"}'], ["user", "The answer does not fit the schema: answer must have required property 'people'. Answer again, with the corrected JSON object alone."],
    ]);
  });

  it("gives up with a clear error after the second", async () => {
    const error = await failure(collect(jsonModel(scripted("Rome.", '{"city":1,"people":3}'), CITY), ask()));
    assert.equal(error.code, "MODEL_007");
    assert.match(error.message, /after one correction\. The answer does not fit the schema: \/city must be string\. Got: \{"city":1/);
    const cut = [{ type: "text", delta: '{"city":"Ro' }, { type: "end", reason: "length", usage: { input: 1, output: 1 } }] as const;
    assert.match((await failure(collect(jsonModel(scripted(cut), CITY), ask()))).message, /reached the token limit before it was complete/);
    await failure(collect(jsonModel(scripted([{ type: "text", delta: "{}" }]), CITY), ask()));
  });

  it("lets calls, thoughts and what must be echoed pass", async () => {
    const call = { id: "c", name: "weather", input: {} };
    const events = await collect(jsonModel(scripted([{ type: "thought", delta: "hm" }, { type: "text", delta: "I look." }, { type: "call", call }, { type: "end", reason: "calls", usage: { input: 1, output: 1 }, echo: { from: "x", data: 1 } }]), CITY), ask());
    assert.deepEqual([textOf(events), textOf(events, "thought"), callsOf(events), endOf(events).echo], ["I look.", "hm", [call], { from: "x", data: 1 }]);
  });
});

describe("a schema", () => {
  it("can be held to by force only where it is closed and plain", () => {
    for (const good of [CITY, { ...CITY, properties: { city: { anyOf: [{ type: "string" }, { type: "null" }] }, people: { type: "array", items: { $ref: "#/$defs/x" } } }, $defs: { x: { enum: [1] } } }]) assert.ok(strictSchema(good));
    for (const bad of [LOOSE, { ...CITY, required: ["city"] }, { ...CITY, additionalProperties: true }, { ...CITY, properties: { city: { type: "string", pattern: "x" }, people: {} } }, { ...CITY, properties: { ...CITY.properties, city: { type: "object", properties: { a: {} } } } }, { ...CITY, items: true }]) assert.equal(strictSchema(bad), false, JSON.stringify(bad));
  });
});

describe("how a provider is asked for JSON, and for thought", () => {
  let stub: LlmStub;
  let fetch: Fetch;
  before(async () => {
    stub = await startLlm(talk('{"city":"Rome","people":3}'));
    fetch = createFetch();
  });
  after(async () => {
    await fetch.destroy();
    await stub.close();
  });
  async function send(wire: WireName, more: Partial<ModelSettings>, request: Partial<ModelRequest>): Promise<Record<string, unknown>> {
    await collect(await openModel({ ...at(stub.url, wire), ...more }, fetch), ask({ turns: [user("go")], ...request }));
    return (stub.asked.at(-1) ?? assert.fail()).body;
  }
  const strict = { type: "json_schema", json_schema: { name: "answer", schema: CITY, strict: true } };

  it("differs by wire, provider, model, schema and tools", async () => {
    const chat = async (provider: string, model = "m", more: Partial<ModelRequest> = {}) => (await send("openai", { provider, model }, { schema: CITY, ...more })).response_format;
    assert.deepEqual(await chat("openai", "gpt-5"), strict);
    assert.deepEqual(await chat("openai", "gpt-5", { tools: [WEATHER] }), strict);
    assert.deepEqual(await chat("openai", "gpt-5", { schema: LOOSE }), { ...strict, json_schema: { name: "answer", schema: LOOSE, strict: false } });
    assert.equal(await chat("openai", "gpt-3.5-turbo"), undefined);
    assert.deepEqual([await chat("gemini"), await chat("gemini", "m", { tools: [WEATHER] })], [strict, undefined]);
    assert.deepEqual([await chat("deepseek"), await chat("deepseek", "m", { tools: [WEATHER] })], [{ type: "json_object" }, undefined]);
    assert.equal(await chat("openai-compatible"), undefined);
    assert.deepEqual((await send("responses", { provider: "openai" }, { schema: CITY })).text, { format: { type: "json_schema", name: "answer", schema: CITY, strict: true } });
    const claude = async (provider: string, model: string, schema: object) => (await send("anthropic", { provider, model }, { schema: schema as never })).output_config;
    assert.deepEqual(await claude("anthropic", "claude-sonnet-5", CITY), { format: { type: "json_schema", schema: CITY } });
    for (const [provider, model, schema] of [["anthropic", "claude-sonnet-5", LOOSE], ["anthropic", "claude-3-5-haiku-latest", CITY], ["bedrock", "claude-sonnet-5", CITY]] as const) assert.equal(await claude(provider, model, schema), undefined);
  });

  it("says how much to think in each wire's words, and drops what a model that thinks refuses", async () => {
    const openai = await send("openai", { provider: "openai", model: "gpt-5-mini", effort: "low" }, { temperature: 0.7, maxTokens: 9 });
    assert.deepEqual([openai.reasoning_effort, openai.temperature, openai.max_completion_tokens, openai.max_tokens], ["low", undefined, 9, undefined]);
    const quick = await send("openai", { provider: "openai", model: "gpt-5.1", api: "chat", effort: "none" }, { temperature: 0.7 });
    assert.deepEqual([quick.reasoning_effort, quick.temperature], ["none", 0.7]);
    assert.equal((await send("openai", { provider: "openai", model: "gpt-5-chat-latest" }, { temperature: 0.7 })).temperature, 0.7);
    assert.equal((await send("openai", { provider: "openai", model: "o4-mini" }, { temperature: 0.7 })).temperature, undefined);
    assert.deepEqual((({ temperature, reasoning_effort }) => [temperature, reasoning_effort])(await send("openai", { provider: "groq", effort: "high" }, { temperature: 0.7 })), [0.7, "high"]);
    const claude = async (effort?: ModelSettings["effort"]) => (({ thinking, output_config }) => [thinking, output_config])(await send("anthropic", { provider: "anthropic", ...(effort === undefined ? {} : { effort }) }, {}));
    assert.deepEqual(await claude(), [undefined, undefined]);
    assert.deepEqual(await claude("none"), [{ type: "disabled" }, undefined]);
    assert.deepEqual(await claude("minimal"), [undefined, { effort: "low" }]);
    assert.deepEqual(await claude("max"), [undefined, { effort: "max" }]);
  });

  it("marks for the cache what stays the same, and brings requests that begin alike to one cache", async () => {
    const key = async (system: string, tools: ModelRequest["tools"] = []) => (await send("openai", { provider: "openai" }, { system, tools })).prompt_cache_key;
    const long = "You are the cook. ".repeat(30);
    assert.equal(await key(`${long} It is Monday.`), await key(`${long} It is Tuesday.`));
    assert.notEqual(await key(long), await key("You are the waiter."));
    assert.notEqual(await key(long), await key(long, [WEATHER]));
    assert.equal((await send("openai", {}, { system: long })).prompt_cache_key, undefined);
    const marks = (body: Record<string, unknown>) => JSON.stringify(body).split('"cache_control"').length - 1;
    assert.equal(marks(await send("anthropic", { provider: "anthropic" }, { system: "x", tools: [WEATHER] })), 3);
    assert.equal(marks(await send("anthropic", {}, { system: "x", tools: [WEATHER] })), 0);
  });
});
