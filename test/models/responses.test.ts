/** What the Responses wire sends and takes beyond what the other wires have. */
import assert from "node:assert/strict";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { openModel } from "../../engine/models/index.ts";
import type { ModelSettings, Turn } from "../../engine/models/model.ts";
import { json, type LlmStub, responseEvents, sse, startLlm, stream, talk, wholeResponse } from "../platforms/llm.ts";
import { ask, at, callsOf, collect, endOf, failure, KEY, textOf, user, WEATHER } from "./kit.ts";

const reasoning = (n: number) => ({ type: "reasoning", id: `rs_${n}`, summary: [{ type: "summary_text", text: `Thought ${n}.` }], encrypted_content: `proof-${n}`, status: "completed" });
const call = (n: number) => ({ type: "function_call", id: `fc_${n}`, call_id: `call_${n}`, name: "weather", arguments: '{"city":"Berlin"}', status: "completed" });

describe("the Responses wire", () => {
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
  beforeEach(() => { stub.answer = talk("ok"); });
  const open = (more: Partial<ModelSettings> = {}) => openModel({ ...at(stub.url, "responses"), ...more }, fetch);
  const sent = () => stub.asked.at(-1) ?? assert.fail("nothing was asked");

  it("is taken where the model needs it, and where the user says so", async () => {
    for (const [more, path] of [
      [{ provider: "openai", model: "gpt-5.4" }, "/v1/responses"], [{ provider: "openai", model: "o3-pro" }, "/v1/responses"], [{ provider: "azure", model: "gpt-6-sol" }, "/v1/responses"],
      [{ provider: "openai", model: "gpt-5-mini" }, "/v1/chat/completions"], [{ provider: "openai", model: "gpt-4o" }, "/v1/chat/completions"],
      [{ provider: "openai", model: "gpt-5.4", api: "chat" }, "/v1/chat/completions"], [{ provider: "openai", model: "gpt-4o", api: "responses" }, "/v1/responses"],
      [{ provider: "openrouter", model: "openai/gpt-5.4" }, "/v1/chat/completions"], [{ provider: "deepseek", model: "deepseek-chat", api: "responses" }, "/v1/chat/completions"],
    ] as const) {
      await collect(await openModel({ ...at(stub.url, "openai"), ...more }, fetch), ask());
      assert.equal(sent().path, path, JSON.stringify(more));
    }
    await assert.rejects(openModel({ ...at(stub.url, "openai"), api: "both" as never }, fetch), /"api" to be chat or responses/);
    await assert.rejects(openModel({ ...at(stub.url, "openai"), effort: "lots" as never }, fetch), /"effort" to be one of none, .*got "lots"/);
  });

  it("keeps nothing at the provider, and says what was meant", async () => {
    const turns: Turn[] = [
      user("Weather?"), { role: "assistant", text: "I look.", calls: [{ id: "call_1", name: "weather", input: { city: "Berlin" } }, { id: "call_2", name: "weather", input: undefined, malformed: "{" }] },
      { role: "tool", call: "call_1", name: "weather", text: "rain", failed: false }, { role: "tool", call: "call_2", name: "weather", text: "bad", failed: true }, { role: "assistant", text: "Rain." },
      { role: "user", text: "And this?", files: [{ kind: "image", media: "data:image/png;base64,AAAA" }, { kind: "document", media: "spool:1", name: "a.pdf" }] },
    ];
    await collect(await open(), ask({ system: "Be kind.", turns, tools: [WEATHER], temperature: 0.2, maxTokens: 50 }));
    const { body, headers } = sent();
    assert.deepEqual(body, {
      model: "test-model", store: false, stream: false, instructions: "Be kind.", temperature: 0.2, max_output_tokens: 50,
      tools: [{ type: "function", name: "weather", description: "Weather of a city.", parameters: WEATHER.parameters, strict: false }],
      input: [
        { role: "user", content: "Weather?" }, { role: "assistant", content: "I look." },
        { type: "function_call", call_id: "call_1", name: "weather", arguments: '{"city":"Berlin"}' }, { type: "function_call", call_id: "call_2", name: "weather", arguments: "{" },
        { type: "function_call_output", call_id: "call_1", output: "rain" }, { type: "function_call_output", call_id: "call_2", output: "Error: bad" },
        { role: "assistant", content: "Rain." },
        { role: "user", content: [{ type: "input_text", text: 'And this?\n[document "a.pdf", not shown]' }, { type: "input_image", detail: "auto", image_url: "data:image/png;base64,AAAA" }] },
      ],
    });
    assert.equal(headers.authorization, `Bearer ${KEY}`);
  });

  it("asks models that think for their reasoning, and sends no temperature to them", async () => {
    await collect(await open({ provider: "openai", model: "gpt-5.5", effort: "high" }), ask({ temperature: 1 }));
    const { body } = sent();
    assert.deepEqual([body.include, body.reasoning, body.temperature, body.store], [["reasoning.encrypted_content"], { effort: "high" }, undefined, false]);
    assert.match(String(body.prompt_cache_key), /^[0-9a-f]{32}$/);
    await collect(await open({ provider: "openai", model: "gpt-4o" }), ask({ temperature: 1 }));
    assert.deepEqual([sent().body.include, sent().body.reasoning, sent().body.temperature], [undefined, undefined, 1]);
  });

  it("gives reasoning back with the calls it led to, in its order, and to this provider alone", async () => {
    const message = { type: "message", id: "msg_1", role: "assistant", status: "completed", phase: "commentary", content: [{ type: "output_text", text: "I look.", annotations: [] }] };
    const output = [reasoning(1), message, call(1), reasoning(2), call(2)];
    for (const live of [false, true]) {
      const events = [...output.map((item, output_index) => ({ type: "response.output_item.done", output_index, item })), { type: "response.completed", response: wholeResponse("", { output: [] }) }];
      stub.answer = live ? stream(sse(events, "responses")) : json(wholeResponse("", { output }));
      const got = await collect(await open(), ask({ live }));
      assert.deepEqual([textOf(got), textOf(got, "thought")], ["", "Thought 1.\n\nI look.\n\nThought 2."]);
      const calls = callsOf(got);
      assert.deepEqual(calls.map(({ id }) => id), ["call_1", "call_2"]);
      const turns: Turn[] = [user("go"), { role: "assistant", text: "", calls, echo: JSON.parse(JSON.stringify(endOf(got).echo)) }, ...calls.map(({ id, name }): Turn => ({ role: "tool", call: id, name, text: "rain", failed: false }))];
      stub.answer = talk("ok");
      await collect(await open(), ask({ turns }));
      const plainCall = (n: number) => ({ type: "function_call", call_id: `call_${n}`, name: "weather", arguments: '{"city":"Berlin"}' });
      const { status: _1, ...first } = reasoning(1);
      const { status: _2, ...second } = reasoning(2);
      assert.deepEqual((sent().body.input as unknown[]).slice(1, -2), [first, { type: "message", role: "assistant", content: "I look.", phase: "commentary" }, plainCall(1), second, plainCall(2)]);
      for (const other of [{ provider: "lmstudio" }, { api: "chat" as const }]) {
        await collect(await open(other), ask({ turns }));
        assert.doesNotMatch(JSON.stringify(sent().body), /proof|Thought/);
      }
    }
  });

  it("takes what servers leave out: pieces, items, counts", async () => {
    stub.answer = stream(sse([{ type: "response.completed", response: wholeResponse("All at once.") }], "responses"));
    assert.equal(textOf(await collect(await open(), ask({ live: true }))), "All at once.");
    const cut = responseEvents("One two three.").filter((event) => (event as { delta?: string }).delta !== "three.");
    stub.answer = stream(sse(cut, "responses"));
    assert.equal(textOf(await collect(await open(), ask({ live: true }))), "One two three.", "what was not sent in pieces");
    stub.answer = json(wholeResponse("Hi", { usage: { input_tokens: 100, output_tokens: 40, input_tokens_details: { cached_tokens: 64, cache_write_tokens: 32 }, output_tokens_details: { reasoning_tokens: 30 } } }));
    assert.deepEqual(endOf(await collect(await open(), ask())).usage, { input: 100, output: 40, cachedInput: 64, storedInput: 32, reasoning: 30 });
    stub.answer = json(wholeResponse("Hi", { usage: null }));
    assert.ok(endOf(await collect(await open(), ask())).usage.output > 0);
  });

  it("names every end that is no answer", async () => {
    const whole = (more: object) => json(wholeResponse("", { output: [], ...more }));
    const cases: readonly (readonly [object, string, RegExp])[] = [
      [{ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } }, "MODEL_007", /used up the token limit/],
      [{ status: "incomplete", incomplete_details: { reason: "content_filter" } }, "MODEL_006", /content filter/],
      [{ status: "failed", error: { code: "rate_limit_exceeded", message: "slow down" } }, "MODEL_003", /slow down/],
      [{ status: "failed", error: { code: "server_error", message: "oops" } }, "MODEL_004", /oops/],
      [{ status: "cancelled" }, "MODEL_004", /ended the answer with "cancelled"/],
      [{ output: [{ type: "message", content: [{ type: "refusal", refusal: "I will not." }] }] }, "MODEL_006", /I will not/],
      [{ output: [{ type: "web_search_call" }] }, "MODEL_007", /Expected a text or a tool call/],
      [{ output: undefined }, "MODEL_007", /does the server have the Responses API/],
    ];
    for (const [more, code, expected] of cases) {
      stub.answer = whole(more);
      const error = await failure(collect(await open(), ask()));
      assert.equal(error.code, code, JSON.stringify(more));
      assert.match(error.message, expected);
    }
    const events = responseEvents("One two three.");
    stub.answer = stream(sse(events.slice(0, -1), "responses"));
    assert.match((await failure(collect(await open(), ask({ live: true })))).message, /broke off in the middle/);
    stub.answer = stream(sse([...events.slice(0, 4), { type: "error", code: "server_error", message: "mid-way" }], "responses"));
    assert.match((await failure(collect(await open(), ask({ live: true })))).message, /mid-way/);
    stub.answer = stream(sse([...events.slice(0, 4), { type: "response.refusal.delta", output_index: 1, delta: "No." }, { type: "response.completed", response: wholeResponse("", { output: [] }) }], "responses"));
    assert.equal(textOf(await collect(await open(), ask({ live: true }))), "One ", "a refusal after words is no reason to throw them away");
    stub.answer = json(wholeResponse("Half", { status: "incomplete", incomplete_details: { reason: "max_output_tokens" } }));
    assert.equal(endOf(await collect(await open(), ask())).reason, "length");
  });
});

describe("a call and its result", () => {
  it("bear one id, also where a turn goes back as it came and the server's ids are longer or of other signs than the wire takes", async () => {
    const stub = await startLlm(talk("ok"));
    const fetch = createFetch();
    const id = `functions.weather:0/${"x".repeat(80)}`;
    const CASES = {
      anthropic: { answer: json({ id: "m", type: "message", role: "assistant", model: "m", stop_reason: "tool_use", usage: { input_tokens: 1, output_tokens: 1 }, content: [{ type: "thinking", thinking: "hm", signature: "s" }, { type: "tool_use", id, name: "weather", input: { city: "Berlin" } }] }), ids: /"(?:id|tool_use_id)":"([^"]{1,64})"/g },
      responses: { answer: json(wholeResponse("", { output: [reasoning(1), { ...call(1), call_id: id }] })), ids: /"call_id":"([^"]{1,64})"/g },
    } as const;
    try {
      for (const wire of ["anthropic", "responses"] as const) {
        const model = await openModel(at(stub.url, wire), fetch);
        stub.answer = CASES[wire].answer;
        const got = await collect(model, ask({ turns: [user("go")], tools: [WEATHER] }));
        const [made] = callsOf(got);
        assert.notEqual(endOf(got).echo, undefined);
        stub.answer = talk("ok");
        await collect(model, ask({ tools: [WEATHER], turns: [user("go"), { role: "assistant", text: "", calls: callsOf(got), echo: endOf(got).echo }, { role: "tool", call: made?.id ?? "", name: "weather", text: "rain", failed: false }] }));
        const { messages, input } = (stub.asked.at(-1) ?? assert.fail("nothing was asked")).body as { messages?: unknown; input?: unknown };
        const ids = [...JSON.stringify(messages ?? input).matchAll(CASES[wire].ids)].map(([, found]) => found).filter((found) => found !== "rs_1");
        assert.equal(ids.length, 2, `${wire}: ${JSON.stringify(messages ?? input)}`);
        assert.equal(ids[0], ids[1]);
      }
    } finally {
      await fetch.destroy();
      await stub.close();
    }
  });
});
