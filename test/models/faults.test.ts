/** Everything a provider or the network can do wrong, over a real connection, to the right error. */
import assert from "node:assert/strict";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import type { ErrorCode, ModelError, Retry } from "../../engine/errors.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import type { ModelFault } from "../../engine/models/faults.ts";
import { FAULTS, type Fault, openModel, tryModel } from "../../engine/models/index.ts";
import type { ModelSettings } from "../../engine/models/model.ts";
import { type Answer, chatChunks, json, type LlmStub, messageEvents, responseEvents, sse, startLlm, stream, talk, wholeChat, wholeMessage, wholeResponse } from "../platforms/llm.ts";
import { ask, at, callsOf, collect, endOf, failure, KEY, textOf, user, WEATHER, WIRE_NAMES, type WireName } from "./kit.ts";

type Wire = WireName;
const EVENTS = { openai: chatChunks, responses: responseEvents, anthropic: messageEvents };
const WHOLE = { openai: wholeChat, responses: wholeResponse, anthropic: wholeMessage };
const NOTHING = { openai: wholeChat(""), responses: wholeResponse("", { output: [] }), anthropic: wholeMessage("", { content: [] }) };
/** The beginning of a stream that has begun to speak. */
const begun = (wire: Wire, text: string, count: number): string => sse(EVENTS[wire](text).slice(0, wire === "responses" ? count + 1 : count), wire).replace("data: [DONE]\n\n", "");
type Expect = readonly [ErrorCode, Retry, Fault];

/** An error body as the wire writes it. */
const body = (wire: Wire, message: string, type = "", code: string | number | null = null): object => (wire !== "anthropic" ? { error: { message, type, code, param: null } } : { type: "error", error: { type: type || "invalid_request_error", message } });
const html: Answer = (response) => { response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Router login</title><p>Hi"); };

const BOTH: readonly (readonly [string, (wire: Wire) => Answer, Expect])[] = [
  ["401", (wire) => json(body(wire, `Incorrect API key provided: ${KEY}`, "authentication_error"), 401), ["MODEL_002", "no", "key refused"]],
  ["403 without right", (wire) => json(body(wire, "You do not have permission", "permission_error"), 403), ["MODEL_002", "no", "key refused"]],
  ["402", (wire) => json(body(wire, "Insufficient Balance", "billing_error"), 402), ["MODEL_009", "no", "no credit"]],
  ["404 of a model", (wire) => json(body(wire, "model: gpt-0 not found", "not_found_error", "model_not_found"), 404), ["MODEL_008", "no", "unknown model"]],
  ["404 of a path", () => (response) => { response.writeHead(404, { "content-type": "text/html" }).end("<h1>Not Found</h1>"); }, ["MODEL_001", "no", "wrong address"]],
  ["405", () => json({ detail: "Method Not Allowed" }, 405), ["MODEL_001", "no", "wrong address"]],
  ["400 of a parameter", (wire) => json(body(wire, "temperature: must be at most 1"), 400), ["MODEL_008", "no", "request refused"]],
  ["422", (wire) => json(body(wire, "Extra inputs are not permitted"), 422), ["MODEL_008", "no", "request refused"]],
  ["400 of length", (wire) => json(body(wire, "This model's maximum context length is 8192 tokens, however you requested 9000", "", "context_length_exceeded"), 400), ["MODEL_005", "no", "request refused"]],
  ["400 of a long prompt", (wire) => json(body(wire, "prompt is too long: 210000 tokens > 200000 maximum"), 400), ["MODEL_005", "no", "request refused"]],
  ["413", (wire) => json(body(wire, "Request exceeds the maximum size", "request_too_large"), 413), ["MODEL_005", "no", "request refused"]],
  ["408", (wire) => json(body(wire, "timeout", "timeout"), 408), ["MODEL_010", "later", "too slow"]],
  ["429", (wire) => json(body(wire, "Too many requests", "rate_limit_error"), 429), ["MODEL_003", "later", "rate limited"]],
  ["500", (wire) => json(body(wire, "Internal error", "api_error"), 500), ["MODEL_004", "later", "overloaded"]],
  ["502 of a proxy", () => (response) => { response.writeHead(502, { "content-type": "text/html" }).end("<html><title>Bad gateway</title></html>"); }, ["MODEL_004", "later", "overloaded"]],
  ["503 without body", () => (response) => { response.writeHead(503).end(); }, ["MODEL_004", "later", "overloaded"]],
  ["529", (wire) => json(body(wire, "Overloaded", "overloaded_error"), 529), ["MODEL_004", "later", "overloaded"]],
  ["a web page with 200", () => html, ["MODEL_001", "no", "wrong address"]],
  ["broken JSON", () => json('{"choices":[{"mess'), ["MODEL_007", "later", "bad answer"]],
  ["other JSON", () => json({ hello: "world" }), ["MODEL_007", "later", "bad answer"]],
  ["an empty body", () => (response) => { response.writeHead(200, { "content-type": "application/json" }).end(); }, ["MODEL_007", "later", "bad answer"]],
  ["an empty answer", (wire) => json(NOTHING[wire]), ["MODEL_007", "later", "bad answer"]],
  ["an error inside 200", (wire) => json(body(wire, "Provider returned error", "rate_limit_error", 429)), ["MODEL_003", "later", "rate limited"]],
  ["a reset before the head", () => (response) => { response.socket?.destroy(); }, ["MODEL_001", "later", "no network"]],
  ["a reset within the body", () => (response) => { response.writeHead(200, { "content-type": "application/json", "content-length": "1000" }); response.write('{"id":'); setTimeout(() => { response.socket?.destroy(); }, 10); }, ["MODEL_001", "later", "no network"]],
];
const OPENAI: readonly (readonly [string, Answer, Expect])[] = [
  ["429 insufficient_quota", json(body("openai", "You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota"), 429), ["MODEL_009", "no", "no credit"]],
  ["Google's 429, in a list", json([{ error: { code: 429, message: "You exceeded your current quota, please check your plan.", status: "RESOURCE_EXHAUSTED", details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34s" }] } }], 429), ["MODEL_003", "later", "rate limited"]],
  ["Google's refused key", json([{ error: { code: 400, message: "API key not valid. Please pass a valid API key.", status: "INVALID_ARGUMENT" } }], 400), ["MODEL_002", "no", "key refused"]],
  ["Ollama's unknown model", json({ error: { message: 'model "llama9" not found, try pulling it first', type: "api_error" } }, 404), ["MODEL_008", "no", "unknown model"]],
  ["OpenRouter's unknown model", json({ error: { message: "foo/bar is not a valid model ID", code: 400 } }, 400), ["MODEL_008", "no", "unknown model"]],
  ["a wrong path at OpenAI", json(body("openai", "Invalid URL (POST /v2/chat/completions)", "invalid_request_error"), 404), ["MODEL_001", "no", "wrong address"]],
  ["Azure's content filter", json(body("openai", "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.", "", "content_filter"), 400), ["MODEL_006", "no", "answer refused"]],
  ["a filtered answer", json(wholeChat("Part", { finish_reason: "content_filter" })), ["MODEL_006", "no", "answer refused"]],
  ["a refusal", json(wholeChat("", { message: { role: "assistant", content: null, refusal: "I can't help with that." } })), ["MODEL_006", "no", "answer refused"]],
  ["an answer of thoughts only", json(wholeChat("", { message: { role: "assistant", content: "", reasoning_content: "hm" }, finish_reason: "length" })), ["MODEL_007", "no", "bad answer"]],
];
/** The first of them are errors, which both of OpenAI's wires tell alike. */
const CHAT_ANSWERS = 7;
const ANTHROPIC: readonly (readonly [string, Answer, Expect])[] = [
  ["no credit, said with 400", json(body("anthropic", "Your credit balance is too low to access the Anthropic API."), 400), ["MODEL_009", "no", "no credit"]],
  ["a refusal", json(wholeMessage("", { content: [], stop_reason: "refusal" })), ["MODEL_006", "no", "answer refused"]],
  ["an answer of thoughts only", json(wholeMessage("", { content: [{ type: "thinking", thinking: "hm", signature: "s" }], stop_reason: "max_tokens" })), ["MODEL_007", "no", "bad answer"]],
];

describe("faults of models", () => {
  let stub: LlmStub;
  let fetch: Fetch;
  before(async () => {
    stub = await startLlm(talk("hi"));
    fetch = createFetch({ connectTimeoutMs: 2000 });
  });
  after(async () => {
    await fetch.destroy();
    await stub.close();
  });

  function check(error: ModelError, [code, retry]: Expect): void {
    assert.deepEqual([error.code, error.retry, error.name], [code, retry, "ModelError"], error.message);
    assert.doesNotMatch(inspect(error, { depth: 9, showHidden: true }), /CANARY/);
    assert.ok(error.message.length > 10 && error.message.length < 500, error.message);
  }

  for (const wire of WIRE_NAMES) {
    describe(`on the ${wire} wire`, () => {
      const open = (more: Partial<ModelSettings> = {}) => openModel(at(stub.url, wire, more), fetch);

      for (const [name, make, expected] of [...BOTH, ...(wire === "responses" ? OPENAI.slice(0, CHAT_ANSWERS) : wire === "openai" ? OPENAI : ANTHROPIC).map(([title, answer, expect]) => [title, () => answer, expect] as const)]) {
        it(`${name} → ${expected[0]}, ${expected[2]}`, async () => {
          assert.ok(FAULTS.includes(expected[2]));
          stub.answer = make(wire);
          for (const live of [false, true]) check(await failure(collect(await open(), ask({ live }))), expected);
          const trial = await tryModel(at(stub.url, wire), fetch, new AbortController().signal);
          // A small limit that was used up by thinking still proves the key.
          if (name === "an answer of thoughts only") assert.equal(trial.ok, true);
          else {
            assert.ok(!trial.ok);
            assert.deepEqual([trial.fault, trial.code], [expected[2], expected[0]], trial.text);
            assert.doesNotMatch(trial.text, /CANARY/);
          }
        });
      }

      it("reads every way to name a wait", async () => {
        const model = await open();
        const now = Date.now();
        for (const [headers, low, high] of [
          [{ "retry-after": "20" }, 20_000, 20_000], [{ "retry-after": "1.5" }, 1500, 1500], [{ "retry-after-ms": "250" }, 250, 250], [{ "retry-after-ms": "250", "retry-after": "9" }, 250, 250],
          [{ "retry-after": new Date(now + 60_000).toUTCString() }, 50_000, 61_000], [{ "retry-after": new Date(now - 60_000).toUTCString() }, 0, 0],
          [{ "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m30s" }, 90_000, 90_000], [{ "anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": new Date(now + 60_000).toISOString() }, 50_000, 61_000],
          [{ "retry-after": "31536000" }, 86_400_000, 86_400_000],
        ] as const) {
          stub.answer = json(body(wire, "slow down", "rate_limit_error"), 429, headers as Record<string, string>);
          const { afterMs = -1 } = await failure(collect(model, ask()));
          assert.ok(afterMs >= low && afterMs <= high, `${JSON.stringify(headers)} gave ${afterMs}`);
        }
        for (const [words, expected] of [["Please try again in 20s.", 20_000], ["Please try again in 6m0s", 360_000], ["try again in 1.2s", 1200], ["try again in 20ms", 20], ["Please retry after 59 seconds.", 59_000], ["nothing", undefined]] as const) {
          stub.answer = json(body(wire, words, "rate_limit_error"), 429);
          assert.equal((await failure(collect(model, ask()))).afterMs, expected, words);
        }
        stub.answer = json({ error: { message: "slow down", type: "rate_limit_error", details: [{ retryDelay: "34s" }] } }, 429);
        assert.equal((await failure(collect(model, ask()))).afterMs, 34_000);
        stub.answer = json(body(wire, "slow down", "rate_limit_error"), 429, { "retry-after": "soon" });
        assert.equal((await failure(collect(model, ask()))).afterMs, undefined);
      });

      it("obeys x-should-retry", async () => {
        stub.answer = json(body(wire, "no more", "rate_limit_error"), 429, { "x-should-retry": "false" });
        assert.equal((await failure(collect(await open(), ask()))).retry, "no");
        stub.answer = json(body(wire, "again", "invalid_request_error"), 400, { "x-should-retry": "true" });
        assert.equal((await failure(collect(await open(), ask()))).retry, "later");
      });

      it("asks once: it retries nothing by itself", async () => {
        stub.asked.length = 0;
        stub.answer = json(body(wire, "down", "api_error"), 500);
        await failure(collect(await open(), ask()));
        assert.equal(stub.asked.length, 1);
      });

      it("tells an unreachable server from a wrong name", async () => {
        const server = createServer();
        await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
        const { port } = server.address() as AddressInfo;
        await new Promise((done) => { server.close(done); });
        const error = await failure(collect(await open({ baseUrl: `http://127.0.0.1:${port}/secret-CANARY?x=CANARY` }), ask()));
        check(error, ["MODEL_001", "later", "no network"]);
        assert.match(error.message, /refused.*ECONNREFUSED/);
      });

      it("passes an abort before, while waiting and in the middle of a stream", async () => {
        const model = await open();
        const early = AbortSignal.abort(new Error("stopped"));
        await assert.rejects(collect(model, ask(), early), /^Error: stopped$/);
        for (const live of [false, true]) {
          let left!: () => void;
          const gone = new Promise<void>((done) => { left = done; });
          const stop = new AbortController();
          stub.answer = (response) => {
            response.on("close", left);
            setTimeout(() => { stop.abort(new Error("stopped")); }, 40);
            if (live) response.writeHead(200, { "content-type": "text/event-stream" }).write(begun(wire, "one two three", 4));
          };
          await assert.rejects(collect(model, ask({ live }), stop.signal), /^Error: stopped$/);
          await gone;
        }
      });

      it("ends the request when nobody reads on", async () => {
        let left!: () => void;
        const gone = new Promise<void>((done) => { left = done; });
        stub.answer = (response) => {
          response.on("close", left);
          response.writeHead(200, { "content-type": "text/event-stream" }).write(begun(wire, "one two three", 4));
        };
        for await (const event of (await open()).stream(ask({ live: true }), new AbortController().signal)) if (event.type === "text" && event.delta !== "") break;
        await gone;
      });

      it("gives up on a silent server before the first byte, and between two", async () => {
        const first = await open({ firstByteMs: 60 });
        for (const live of [false, true]) {
          stub.answer = () => undefined;
          check(await failure(collect(first, ask({ live }))), ["MODEL_010", "later", "too slow"]);
        }
        stub.answer = (response) => { response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders(); };
        check(await failure(collect(first, ask({ live: true }))), ["MODEL_010", "later", "too slow"]);
        stub.answer = (response) => { response.writeHead(200, { "content-type": "text/event-stream" }).write(begun(wire, "one two", 3)); };
        const error = await failure(collect(await open({ stallMs: 60 }), ask({ live: true })));
        check(error, ["MODEL_010", "later", "too slow"]);
        assert.match(error.message, /silent for 0\.06 s/);
      });

      it("tells a stream that breaks off: cut, or ended too early", async () => {
        const chunks = EVENTS[wire]("one two three");
        stub.answer = stream(sse(chunks.slice(0, 4), wire).replace("data: [DONE]\n\n", ""));
        check(await failure(collect(await open(), ask({ live: true }))), ["MODEL_004", "later", "overloaded"]);
        stub.answer = (response) => {
          response.writeHead(200, { "content-type": "text/event-stream" }).write(sse(chunks.slice(0, 4), wire).replace("data: [DONE]\n\n", ""));
          setTimeout(() => { response.socket?.destroy(); }, 20);
        };
        check(await failure(collect(await open(), ask({ live: true }))), ["MODEL_001", "later", "no network"]);
        stub.answer = stream(`${sse(chunks.slice(0, 3), wire).replace("data: [DONE]\n\n", "")}${wire === "anthropic" ? "event: content_block_delta\n" : ""}data: {"broken\n\n`);
        check(await failure(collect(await open(), ask({ live: true }))), ["MODEL_007", "later", "bad answer"]);
      });

      it("reads an error inside a stream", async () => {
        const before = begun(wire, "one two", 3);
        const error = wire !== "anthropic" ? 'data: {"error":{"message":"Overloaded now","code":503}}\n\n' : 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded now"}}\n\n';
        stub.answer = stream(before + error);
        const thrown = await failure(collect(await open(), ask({ live: true })));
        check(thrown, ["MODEL_004", "later", "overloaded"]);
        assert.match(thrown.message, /Overloaded now/);
        assert.equal((thrown as ModelFault).begun, true);
        stub.answer = json(body(wire, "Overloaded", "overloaded_error"), 529);
        assert.equal((await failure(collect(await open(), ask({ live: true }))) as ModelFault).begun, false);
      });

      it("takes a whole answer where a stream was asked for", async () => {
        stub.answer = json(WHOLE[wire]("All at once"));
        assert.equal(textOf(await collect(await open(), ask({ live: true }))), "All at once");
      });

      it("hands broken arguments on as they are, and none as none", async () => {
        for (const [text, expected] of [
          ['{"city":', { input: undefined, malformed: '{"city":' }], ["{'city':'Berlin'}", { input: undefined, malformed: "{'city':'Berlin'}" }], ['{"city":"Berlin"} trailing', { input: undefined, malformed: '{"city":"Berlin"} trailing' }],
          ['"str"', { input: "str" }], ["null", { input: {} }], ["", { input: {} }], ['{"city":"Berlin"}', { input: { city: "Berlin" } }],
        ] as const) {
          stub.answer = wire === "responses"
            ? json(wholeResponse("", { output: [{ type: "function_call", id: "fc", call_id: "c1", name: "weather", arguments: text }] }))
            : wire === "openai"
            ? json(wholeChat("", { message: { role: "assistant", content: null, tool_calls: [{ id: "c1", type: "function", function: { name: "weather", arguments: text } }] }, finish_reason: "tool_calls" }))
            : stream(sse([...messageEvents("").slice(0, 1), { type: "content_block_start", index: 0, content_block: { type: "tool_use", id: "c1", name: "weather", input: {} } }, { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: text } }, { type: "content_block_stop", index: 0 }, { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 1 } }, { type: "message_stop" }], "anthropic"));
          const events = await collect(await open(), ask({ live: wire === "anthropic", tools: [WEATHER] }));
          const { id: _, name, ...rest } = callsOf(events)[0] ?? { id: "", name: "" };
          assert.deepEqual([name, rest], ["weather", expected], text);
          assert.equal(endOf(events).reason, "calls");
          // A turn with such a call can be sent again.
          const call = callsOf(events)[0];
          assert.ok(call);
          stub.answer = talk("ok");
          await collect(await open(), ask({ tools: [WEATHER], turns: [user("w"), { role: "assistant", text: "", calls: [call] }, { role: "tool", call: call.id, name: "weather", text: "bad arguments", failed: true }] }));
        }
      });

      it("counts tokens itself where the provider does not", async () => {
        stub.answer = json({ ...WHOLE[wire]("x".repeat(40)), usage: undefined });
        const { usage } = endOf(await collect(await open(), ask({ system: "s".repeat(20), turns: [user("u".repeat(20))] })));
        // Four characters to a token, and four tokens around the prompt and around each turn.
        assert.deepEqual(usage, { input: 18, output: 10, guessed: true });
      });
    });
  }

  it("a header that holds a key shows in no error", async () => {
    stub.answer = (response, asked) => { json({ error: { message: `bad header ${String(asked.headers["x-secret"])} and ${encodeURIComponent(KEY)}` } }, 400)(response, asked); };
    const error = await failure(collect(await openModel(at(stub.url, "openai", { headers: { "X-Secret": "Token CANARY-77" } }), fetch), ask()));
    check(error, ["MODEL_008", "no", "request refused"]);
  });
});
