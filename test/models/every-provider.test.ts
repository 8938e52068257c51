/** Every row of the table, through its wire and over HTTP, against an emulator; every request is judged by the provider's own description. */
import { LLMock } from "@copilotkit/aimock";
import assert from "node:assert/strict";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { openModel, PROVIDERS } from "../../engine/models/index.ts";
import { jsonModel } from "../../engine/models/json-answer.ts";
import type { Model, ModelRequest, Provider, Turn } from "../../engine/models/model.ts";
import { anthropicJudge } from "../spec/anthropic-schema.ts";
import { openaiJudge } from "../spec/openai-schema.ts";
import { ask, callsOf, collect, endOf, KEY, textOf, user, WEATHER, type WireName } from "./kit.ts";

const PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const CITY = { type: "object", properties: { city: { type: "string" }, people: { type: "integer" } }, required: ["city", "people"], additionalProperties: false };
const USAGE = { prompt_tokens: 20, completion_tokens: 8, total_tokens: 28, input_tokens: 20, output_tokens: 8 };
const PATHS: Readonly<Record<WireName, string>> = { openai: "/chat/completions", responses: "/responses", anthropic: "/v1/messages" };

type Row = readonly [provider: Provider, wire: WireName];
const ROWS: readonly Row[] = PROVIDERS.flatMap((provider): Row[] => {
  if (provider.wire === "practice") return [];
  return [[provider, provider.wire], ...(provider.quirks?.responses === undefined ? [] : [[provider, "responses"] as const])];
});

describe("every provider", () => {
  const judges = { openai: openaiJudge(), responses: openaiJudge("CreateResponse"), anthropic: anthropicJudge() };
  let mock: LLMock;
  let fetch: Fetch;
  let asked: { path: string; body: Record<string, unknown> }[] = [];
  const watched = (async (input: string | URL | Request, init?: RequestInit) => {
    asked.push({ path: new URL(String(input)).pathname, body: JSON.parse(String(init?.body)) as Record<string, unknown> });
    return fetch(input as string, init);
  }) as typeof globalThis.fetch;
  const judged: Record<WireName, number> = { openai: 0, responses: 0, anthropic: 0 };

  before(async () => {
    mock = new LLMock({ port: 0 });
    mock.on({ userMessage: "weather", hasToolResult: true }, { content: "It rains in Berlin today." });
    mock.onMessage("weather", { toolCalls: [{ name: "weather", arguments: '{"city":"Berlin"}' }], usage: USAGE } as never);
    mock.onMessage("no JSON", { content: '{"city":"Rome","people":3}', usage: USAGE } as never);
    mock.onMessage("Which city", { content: "Rome, I believe.", usage: USAGE } as never);
    mock.onMessage("picture", { content: "A pixel.", usage: USAGE } as never);
    mock.onMessage("Hello", { content: "Hi there, and welcome.", usage: USAGE } as never);
    await mock.start();
    fetch = createFetch();
  });
  after(async () => {
    await fetch.destroy();
    await mock.stop();
    console.log(`      judged requests: ${Object.entries(judged).map(([wire, count]) => `${wire} ${count}`).join(", ")}; rows: ${ROWS.length} of ${PROVIDERS.length} providers`);
  });
  beforeEach(() => { asked = []; });

  /** Everything that went out since the last look. */
  function judge(wire: WireName, count: number): Record<string, unknown>[] {
    assert.equal(asked.length, count);
    const bodies = asked.map(({ path, body }) => {
      assert.ok(path.endsWith(PATHS[wire]), path);
      assert.deepEqual(judges[wire]?.(body) ?? [], [], JSON.stringify(body));
      judged[wire]++;
      return body;
    });
    asked = [];
    return bodies;
  }
  const open = (provider: Provider, wire: WireName): Promise<Model> => openModel({
    provider: provider.id, model: "test-model", key: KEY, baseUrl: wire === "anthropic" ? mock.url : `${mock.url}/v1`, ...(wire === "anthropic" ? {} : { api: wire === "responses" ? "responses" : "chat" }),
  }, watched);

  for (const [provider, wire] of ROWS) {
    it(`${provider.id} (${wire}) talks, calls, sees and answers as JSON`, async () => {
      const model = await open(provider, wire);
      // Servers of Anthropic's older API version take a temperature, which the newest reference does not know.
      const isOld = wire === "anthropic" && provider.id !== "anthropic";
      for (const live of [true, false]) {
        const events = await collect(model, ask({ system: "You are kind.", live, maxTokens: 300, ...(isOld ? {} : { temperature: 0.5 }) }));
        assert.equal(textOf(events), "Hi there, and welcome.");
        assert.ok(endOf(events).usage.input > 0 && endOf(events).usage.output > 0);
      }
      judge(wire, 2);

      const wish = user("What is the weather?");
      const called = await collect(model, ask({ turns: [wish], tools: [WEATHER], live: true }));
      const [call] = callsOf(called);
      assert.deepEqual([call?.name, call?.input, endOf(called).reason], ["weather", { city: "Berlin" }, "calls"]);
      const echo = endOf(called).echo;
      const turns: Turn[] = [wish, { role: "assistant", text: textOf(called), calls: callsOf(called), ...(echo === undefined ? {} : { echo }) }, { role: "tool", call: call?.id ?? "", name: "weather", text: "rain", failed: false }];
      assert.equal(textOf(await collect(model, ask({ turns, tools: [WEATHER], live: true }))), "It rains in Berlin today.");
      judge(wire, 2);

      const seen: ModelRequest = ask({ turns: [{ role: "user", text: "What is in the picture?", files: [{ kind: "image", media: PIXEL, name: "a.png" }] }] });
      assert.equal(textOf(await collect(model, seen)), "A pixel.");
      assert.equal(JSON.stringify(judge(wire, 1)).includes("iVBORw0KGgo"), provider.quirks?.images !== false);

      const answer = textOf(await collect(jsonModel(model, CITY), ask({ turns: [user("Which city is it?")], tools: [WEATHER], live: true })));
      assert.deepEqual(JSON.parse(answer), { city: "Rome", people: 3 });
      judge(wire, 2);
      await collect(jsonModel(model, CITY), ask({ turns: [user("Say it with no JSON")] }));
      const [body = {}] = judge(wire, 1);
      const forced = body.response_format ?? body.text ?? body.output_config;
      assert.equal(forced !== undefined, (provider.quirks?.json ?? "prompt") !== "prompt" && (wire !== "responses" || provider.quirks?.json?.startsWith("schema") === true), JSON.stringify(forced));
    }).timeout(20_000);
  }
});
