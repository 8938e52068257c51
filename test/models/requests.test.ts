/** What we send, judged by the providers' own descriptions. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { openModel, PROVIDERS } from "../../engine/models/index.ts";
import type { ModelRequest, ModelSettings, ToolSpec, Turn } from "../../engine/models/model.ts";
import { type LlmStub, startLlm, talk } from "../platforms/llm.ts";
import { anthropicJudge } from "../spec/anthropic-schema.ts";
import { openaiJudge } from "../spec/openai-schema.ts";
import { ask, at, collect, KEY, user, WEATHER } from "./kit.ts";

const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const TALK: Turn[] = [
  user("What is the weather in Berlin and in Rome?"),
  { role: "assistant", text: "I look.", calls: [{ id: "call_00_9V0vrf86Pc9aelHCJMZqnJBo", name: "weather", input: { city: "Berlin" } }, { id: "toolu_01", name: "weather", input: { city: "Rome" } }] },
  { role: "tool", call: "call_00_9V0vrf86Pc9aelHCJMZqnJBo", name: "weather", text: "rain", failed: false },
  { role: "tool", call: "toolu_01", name: "weather", text: "no such city", failed: true },
  { role: "assistant", text: "Rain in Berlin." },
  { role: "user", text: "And this?", files: [{ kind: "image", media: `data:image/png;base64,${PIXEL}`, name: "a.png" }, { kind: "document", media: "spool:1", name: "report.pdf" }] },
];
const DEEP: ToolSpec = {
  name: "deep", description: "Takes a nested thing.",
  parameters: { $schema: "x", type: "object", additionalProperties: false, properties: { examples: { type: "object", additionalProperties: false, properties: { additionalProperties: { type: "string", examples: ["a"] } } } } },
};
/** What an engine may ask of a model. */
const REQUESTS: readonly (readonly [string, Partial<ModelRequest>])[] = [
  ["a first word", {}],
  ["a prompt and limits", { system: "Be kind.", temperature: 0.3, maxTokens: 100, live: true }],
  ["a long talk with tools and files", { system: "Be kind.", turns: TALK, tools: [WEATHER, DEEP], live: true }],
  ["a talk whose tools are gone", { turns: TALK.slice(0, 4) }],
  ["a history cut in the middle", { turns: TALK.slice(2), tools: [WEATHER] }],
  ["calls without results", { turns: [TALK[0] as Turn, TALK[1] as Turn, user("hello?")], tools: [WEATHER] }],
  ["calls with broken arguments", { turns: [user("go"), { role: "assistant", text: "", calls: [{ id: "", name: "weather", input: undefined, malformed: "{" }, { id: "x y", name: "weather", input: "str" }] }], tools: [WEATHER] }],
  ["what holds for the newest message", { system: "Be kind.", tools: [WEATHER], turns: [user("hi"), { role: "assistant", text: "yes?" }, { role: "user", text: "and now?", context: "It is ten." }, { role: "assistant", text: "", calls: [{ id: "c1", name: "weather", input: {} }] }, { role: "tool", call: "c1", name: "weather", text: "rain", failed: false }] }],
  ["nothing but what holds for it", { system: "Be kind.", turns: [{ role: "user", text: "", context: "It is ten." }] }],
  ["empty texts", { turns: [user(""), { role: "assistant", text: "" }, user("  ")] }],
  ["nothing of the user", { turns: [{ role: "assistant", text: "Good morning" }] }],
];

describe("requests to models", () => {
  let stub: LlmStub;
  let fetch: Fetch;
  before(async () => {
    stub = await startLlm(talk("ok"));
    fetch = createFetch();
  });
  after(async () => {
    await fetch.destroy();
    await stub.close();
  });
  async function send(settings: ModelSettings, request: ModelRequest) {
    await collect(await openModel(settings, fetch), request);
    const asked = stub.asked.at(-1);
    assert.ok(asked);
    return asked;
  }

  describe("on the chat completions wire", () => {
    const judge = openaiJudge();
    if (judge === undefined) {
      it.skip("OpenAI's description is not on this machine (CLAWFLOW_SPECS)");
      return;
    }
    for (const [name, more] of REQUESTS) {
      it(`${name} fits OpenAI's description`, async () => {
        for (const provider of ["openai", "openai-compatible", "mistral", "azure", "groq"]) {
          const { body, path: where } = await send({ ...at(stub.url, "openai"), provider }, ask(more));
          assert.deepEqual(judge(body), [], provider);
          assert.equal(where, "/v1/chat/completions");
        }
      });
    }
    it("the judge sees planted faults", () => {
      const good = { model: "m", messages: [{ role: "user", content: "hi" }] };
      assert.deepEqual(judge(good), []);
      for (const bad of [{ ...good, model: undefined }, { ...good, messages: [] }, { ...good, temperature: 3 }, { ...good, extra: 1 }, { ...good, messages: [{ role: "tool", content: "x" }] }, { ...good, tools: [{ type: "function", function: {} }] }]) assert.notDeepEqual(judge(JSON.parse(JSON.stringify(bad))), []);
    });
    it("every call is answered right after it, whatever the history", async () => {
      for (const [, more] of REQUESTS) {
        const { body } = await send(at(stub.url, "openai"), ask(more));
        const messages = body.messages as { role: string; tool_calls?: { id: string }[]; tool_call_id?: string }[];
        for (const [at_, message] of messages.entries()) {
          const ids = (message.tool_calls ?? []).map((call) => call.id);
          assert.deepEqual(messages.slice(at_ + 1, at_ + 1 + ids.length).map((each) => each.tool_call_id), ids);
        }
        assert.equal(messages.filter((each) => each.role === "tool").length, messages.flatMap((each) => each.tool_calls ?? []).length);
      }
    });
    it("says what was meant", async () => {
      const { body, headers } = await send({ ...at(stub.url, "openai"), provider: "openai" }, ask({ system: "Be kind.", turns: TALK, tools: [WEATHER], maxTokens: 50, temperature: 0.2, live: true }));
      assert.match(String(body.prompt_cache_key), /^[0-9a-f]{32}$/);
      delete body.prompt_cache_key;
      assert.deepEqual(body, {
        model: "test-model", stream: true, stream_options: { include_usage: true }, max_completion_tokens: 50, temperature: 0.2,
        tools: [{ type: "function", function: { name: "weather", description: "Weather of a city.", parameters: WEATHER.parameters } }],
        messages: [
          { role: "system", content: "Be kind." }, { role: "user", content: "What is the weather in Berlin and in Rome?" },
          { role: "assistant", content: "I look.", tool_calls: [["call_00_9V0vrf86Pc9aelHCJMZqnJBo", "Berlin"], ["toolu_01", "Rome"]].map(([id, city]) => ({ id, type: "function", function: { name: "weather", arguments: JSON.stringify({ city }) } })) },
          { role: "tool", tool_call_id: "call_00_9V0vrf86Pc9aelHCJMZqnJBo", content: "rain" }, { role: "tool", tool_call_id: "toolu_01", content: "Error: no such city" },
          { role: "assistant", content: "Rain in Berlin." },
          { role: "user", content: [{ type: "text", text: 'And this?\n[document "report.pdf", not shown]' }, { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } }] },
        ],
      });
      assert.equal(headers.authorization, `Bearer ${KEY}`);
    });
    it("obeys the quirks: ids of nine characters, no usage option, keywords left out, names of properties kept", async () => {
      const mistral = (await send({ ...at(stub.url, "openai"), provider: "mistral" }, ask({ turns: TALK, live: true, maxTokens: 5 }))).body;
      const ids = (mistral.messages as { tool_calls?: { id: string }[] }[]).flatMap((message) => message.tool_calls ?? []).map((call) => call.id);
      assert.ok(ids.length === 2 && ids[0] !== ids[1] && ids.every((id) => /^[a-zA-Z0-9]{9}$/.test(id)));
      assert.deepEqual([mistral.stream_options, mistral.max_tokens], [undefined, 5]);
      const gemini = (await send({ ...at(stub.url, "openai"), provider: "gemini" }, ask({ tools: [DEEP] }))).body;
      assert.deepEqual((gemini.tools as { function: { parameters: unknown } }[])[0]?.function.parameters, { type: "object", properties: { examples: { type: "object", properties: { additionalProperties: { type: "string" } } } } });
      const blind = (await send({ ...at(stub.url, "openai"), provider: "deepseek" }, ask({ turns: TALK }))).body;
      assert.match(JSON.stringify(blind.messages), /image \\"a.png\\", not shown/);
    });
    it("sends no key where there is none, and the user's own headers", async () => {
      const { key: _, ...keyless } = at(stub.url, "openai", { headers: { "X-Team": "blue" } });
      const { headers } = await send(keyless, ask());
      assert.deepEqual([headers.authorization, headers["x-team"]], [undefined, "blue"]);
      const { headers: signed } = await send({ ...keyless, headers: { Authorization: "Basic abc" } }, ask());
      assert.equal(signed.authorization, "Basic abc");
    });
  });

  describe("on the Responses wire", () => {
    const judge = openaiJudge("CreateResponse");
    if (judge === undefined) {
      it.skip("OpenAI's description is not on this machine (CLAWFLOW_SPECS)");
      return;
    }
    for (const [name, more] of REQUESTS) {
      it(`${name} fits OpenAI's description`, async () => {
        for (const provider of ["openai", "openai-compatible", "azure", "xai"]) {
          const { body, path: where } = await send({ ...at(stub.url, "responses"), provider }, ask(more));
          assert.deepEqual(judge(body), [], provider);
          assert.equal(where, "/v1/responses");
          const input = body.input as { type?: string; call_id?: string }[];
          const ids = (type: string) => input.filter((item) => item.type === type).map((item) => item.call_id);
          assert.deepEqual(ids("function_call_output"), ids("function_call"), "every call has its result");
        }
      });
    }
    it("the judge sees planted faults", () => {
      const good = { model: "m", input: [{ role: "user", content: "hi" }] };
      assert.deepEqual(judge(good), []);
      for (const bad of [{ ...good, input: 1 }, { ...good, input: [{ type: "function_call", name: "x" }] }, { ...good, temperature: 3 }, { ...good, messages: [] }, { ...good, tools: [{ type: "function", function: { name: "x" } }] }]) assert.notDeepEqual(judge(bad), []);
    });
  });

  describe("on the Anthropic wire", () => {
    const judge = anthropicJudge();
    for (const [name, more] of REQUESTS) {
      it(`${name} fits Anthropic's reference`, async () => {
        for (const provider of ["anthropic", "bedrock"]) {
          const { temperature: _, ...rest } = ask(more);
          const { body, path: where } = await send({ ...at(stub.url, "anthropic"), provider }, rest);
          assert.deepEqual(judge(body), []);
          assert.equal(where, "/v1/messages");
        }
      });
    }
    it("the judge sees planted faults", () => {
      const good = { model: "m", max_tokens: 1, messages: [{ role: "user", content: "hi" }] };
      assert.deepEqual(judge(good), []);
      for (const bad of [{ ...good, messages: [] }, { ...good, messages: [{ role: "assistant", content: "x" }] }, { ...good, messages: [{ role: "user", content: " " }] }, { ...good, temperature: 1 }, { ...good, tools: [{ name: "a b", input_schema: { type: "object" } }] }]) assert.notDeepEqual(judge(bad), []);
      const used = { type: "tool_use", id: "a", name: "t", input: {} };
      assert.deepEqual(judge({ ...good, messages: [...good.messages, { role: "assistant", content: [used] }, { role: "user", content: "x" }] }), ["call a has no result"]);
      const marked = { type: "text", text: "x", cache_control: { type: "ephemeral" } };
      assert.deepEqual(judge({ ...good, system: [marked, marked, marked, marked, marked] }), ["5 marks for the cache"]);
    });
    it("says what was meant", async () => {
      const { body, headers } = await send({ ...at(stub.url, "anthropic"), provider: "anthropic" }, ask({ system: "Be kind.", turns: TALK, tools: [WEATHER], maxTokens: 50, temperature: 0.2 }));
      assert.deepEqual(body, {
        model: "test-model", max_tokens: 50, stream: false, system: [{ type: "text", text: "Be kind.", cache_control: { type: "ephemeral" } }],
        tools: [{ name: "weather", description: "Weather of a city.", input_schema: WEATHER.parameters, cache_control: { type: "ephemeral" } }],
        messages: [
          { role: "user", content: "What is the weather in Berlin and in Rome?" },
          { role: "assistant", content: [{ type: "text", text: "I look." }, { type: "tool_use", id: "call_00_9V0vrf86Pc9aelHCJMZqnJBo", name: "weather", input: { city: "Berlin" } }, { type: "tool_use", id: "toolu_01", name: "weather", input: { city: "Rome" } }] },
          { role: "user", content: [{ type: "tool_result", tool_use_id: "call_00_9V0vrf86Pc9aelHCJMZqnJBo", content: "rain" }, { type: "tool_result", tool_use_id: "toolu_01", content: "no such city", is_error: true }] },
          { role: "assistant", content: "Rain in Berlin." },
          { role: "user", content: [{ type: "image", source: { type: "base64", media_type: "image/png", data: PIXEL } }, { type: "text", text: 'And this?\n[document "report.pdf", not shown]', cache_control: { type: "ephemeral" } }] },
        ],
      });
      assert.equal(headers.authorization, `Bearer ${KEY}`);
      assert.match(String(headers["anthropic-version"]), /^2026-/);
    });
    it("marks what stands before the words that hold for the newest message alone: the next run begins with it too", async () => {
      const CACHE = { cache_control: { type: "ephemeral" } };
      const { body } = await send({ ...at(stub.url, "anthropic"), provider: "anthropic" }, ask({ turns: [user("hi"), { role: "assistant", text: "yes?" }, { role: "user", text: "and now?", context: "It is ten." }] }));
      assert.deepEqual(body.messages, [
        { role: "user", content: "hi" },
        { role: "assistant", content: [{ type: "text", text: "yes?", ...CACHE }] },
        { role: "user", content: [{ type: "text", text: "<context>\nIt is ten.\n</context>\n\nand now?", ...CACHE }] },
      ]);
    });
    it("speaks to servers that are only like Anthropic in the older way", async () => {
      const { body, headers } = await send(at(stub.url, "anthropic"), ask({ temperature: 1.7 }));
      assert.deepEqual([headers["x-api-key"], headers["anthropic-version"], body.temperature], [KEY, "2023-06-01", 1]);
      const { key: _, ...keyless } = at(stub.url, "anthropic");
      const { headers: none } = await send(keyless, ask());
      assert.deepEqual([none.authorization, none["x-api-key"]], [undefined, undefined]);
    });
  });

  it("opens pictures through the engine, and only names those it cannot show", async () => {
    const png = Buffer.from(PIXEL, "base64");
    const opened: string[] = [];
    const model = await openModel(at(stub.url, "openai"), fetch, {
      async readFile(media) {
        opened.push(media);
        if (media === "spool:gone") throw new Error("gone");
        return { bytes: media === "spool:big" ? new Uint8Array(6_000_000) : png, mime: media === "spool:svg" ? "image/svg+xml" : "image/png" };
      },
    });
    const files = ["ok", "gone", "big", "svg"].map((name) => ({ kind: "image" as const, media: `spool:${name}`, name }));
    await collect(model, ask({ turns: [{ role: "user", text: "Look", files: [...files, { kind: "voice", media: "spool:voice", alt: "hello" }] }] }));
    assert.deepEqual(opened, ["spool:ok", "spool:gone", "spool:big", "spool:svg"]);
    assert.deepEqual(((stub.asked.at(-1) ?? assert.fail()).body.messages as { content: unknown }[])[0]?.content, [
      { type: "text", text: 'Look\n[image "gone", no longer there]\n[image "big", too large to show]\n[image "svg", not shown]\n[voice: hello, not shown]' },
      { type: "image_url", image_url: { url: `data:image/png;base64,${PIXEL}` } },
    ]);
  });

  it("reach every provider of the table at its own address", async () => {
    for (const provider of PROVIDERS) {
      if (provider.wire === "practice") continue;
      const seen: string[] = [];
      const catcher = (async (input: string | URL | Request) => {
        seen.push(String(input));
        throw new TypeError("caught");
      }) as typeof globalThis.fetch;
      const own = provider.baseUrl === "" ? { baseUrl: "http://own.example/base" } : {};
      const model = await openModel({ provider: provider.id, model: "m", key: "k-1234567890", fields: { region: "eu-west-1", resource: "acme" }, ...own }, catcher);
      await assert.rejects(collect(model, ask()));
      const base = (own.baseUrl ?? provider.baseUrl).replace("{region}", "eu-west-1").replace("{resource}", "acme").replace(/\/$/, "");
      assert.deepEqual(seen, [`${base}${provider.wire === "openai" ? "/chat/completions" : "/v1/messages"}`]);
    }
  });

  it("load no SDK before a model of its wire is opened", () => {
    const text = readFileSync(path.join(import.meta.dirname, "../../engine/models/index.ts"), "utf8");
    assert.doesNotMatch(text, /^import (?!type).*(openai|anthropic|practice)/m);
  });
});
