/** Recorded answers of real providers, served as the provider would, through the real SDKs, to our events. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { ErrorCode } from "../../engine/errors.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { openModel } from "../../engine/models/index.ts";
import type { ModelRequest } from "../../engine/models/model.ts";
import { json, type LlmStub, sse, startLlm, stream } from "../platforms/llm.ts";
import { dataFolder } from "../spec/telegram-schema.ts";
import { ask, at, callsOf, collect, endOf, failure, KEY, textOf, user, WIRE_NAMES, type WireName } from "./kit.ts";
import { readChat, readMessages, readResponses, type Recording } from "./read-recording.ts";

const CHAT: readonly (readonly [string, string])[] = [
  ["alibaba/alibaba-reasoning.json", "qwen"], ["alibaba/alibaba-text.json", "qwen"], ["alibaba/alibaba-tool-call.json", "qwen"],
  ["deepseek/deepseek-json.json", "deepseek"], ["deepseek/deepseek-reasoning.json", "deepseek"], ["deepseek/deepseek-text.json", "deepseek"], ["deepseek/deepseek-tool-call.json", "deepseek"],
  ["groq/groq-reasoning.json", "groq"], ["groq/groq-tool-call.chunks.txt", "groq"],
  ["mistral/mistral-reasoning.chunks.txt", "mistral"], ["mistral/mistral-text.chunks.txt", "mistral"], ["mistral/mistral-tool-call.chunks.txt", "mistral"],
  ["moonshotai/moonshotai-stream.chunks.txt", "moonshot"], ["moonshotai/moonshotai-tool-call.json", "moonshot"],
  ["openai-compatible/xai-text.chunks.txt", "openai-compatible"], ["openai-compatible/xai-tool-call.chunks.txt", "openai-compatible"],
  ["openai/azure-model-router.1.chunks.txt", "azure"], ["openai/openai-text.json", "openai"],
  ["perplexity/perplexity-citations.chunks.txt", "perplexity"], ["perplexity/perplexity-text.chunks.txt", "perplexity"],
  ["xai/xai-text.json", "xai"], ["xai/xai-tool-call.json", "xai"],
];
const MESSAGES: readonly string[] = [
  "advisor-20260301.1.json", "advisor-stop-reasons.json", "clear-thinking.1.chunks.txt", "clear-tool-uses.1.chunks.txt", "code-execution-20250825.1.chunks.txt",
  "code-execution-20250825.2.chunks.txt", "code-execution-20250825.pptx-skill.chunks.txt", "code-execution-20260120-prompt-cache.1.chunks.txt",
  "code-execution-file-upload.1.json", "combined-context-editing.1.json", "compaction.1.json", "fallback.json", "json-other-tool.1.json", "json-output-format.1.json",
  "json-tool.1.json", "mcp.1.chunks.txt", "memory-20250818.1.json", "programmatic-tool-calling.1.chunks.txt", "refusal-no-details.json", "refusal.json", "text.json",
  "tool-no-args.json", "tool-search-bm25.1.json", "tool-search-deferred-bm25.chunks.txt", "tool-search-deferred-regex.chunks.txt", "tool-search-regex.1.json",
  "web-fetch-tool-20260209.1.json", "web-fetch-tool.1.json", "web-fetch-tool.error.json", "web-search-tool.1.json",
].map((name) => `anthropic/anthropic-${name}`).concat("anthropic/spliced-message-start.chunks.txt");
/** Every answer of the Responses API among the recordings. */
const RESPONSES: readonly (readonly [string, string])[] = [
  ...["apply-patch-tool.1.chunks.txt", "client-tool-search.1.chunks.txt", "client-tool-search.2.chunks.txt", "code-interpreter-tool.1.chunks.txt", "compaction.1.json", "custom-tool.1.json", "error.1.chunks.txt",
    "file-search-tool.1.chunks.txt", "file-search-tool.2.chunks.txt", "image-generation-tool.1.json", "local-shell-tool.1.chunks.txt", "mcp-tool-approval.1.chunks.txt", "mcp-tool-approval.2.chunks.txt",
    "mcp-tool-approval.3.chunks.txt", "mcp-tool-approval.4.chunks.txt", "mcp-tool.1.json", "phase.1.json", "reasoning-encrypted-content.1.chunks.txt", "shell-container-multiturn.1.chunks.txt",
    "shell-container.1.chunks.txt", "shell-local-multiturn.1.chunks.txt", "shell-skills.1.chunks.txt", "shell-tool.1.chunks.txt", "tool-search.1.json", "web-search-tool.1.chunks.txt",
  ].map((name) => [`openai/openai-${name}`, "openai"] as const),
  ...["openai/parallel-tool-call-wrapper.1.chunks.txt", "openai/programmatic-tool-calling.1.chunks.txt", "openai/programmatic-tool-calling.2.chunks.txt", "openai/programmatic-tool-calling.3.chunks.txt"].map((name) => [name, "openai"] as const),
  ...["azure-code-interpreter-tool.1.json", "azure-image-generation-tool.1.chunks.txt", "azure-reasoning-encrypted-content.1.chunks.txt", "azure-text.1.chunks.txt", "azure-tool-call.1.chunks.txt", "azure-web-search-preview-tool.1.chunks.txt",
    "openai-file-search-tool.1.chunks.txt", "openai-file-search-tool.2.chunks.txt"].map((name) => [`azure/${name}`, "azure"] as const),
  ["open-responses/lmstudio-basic.1.json", "lmstudio"], ["open-responses/lmstudio-tool-call.1.json", "lmstudio"], ["open-responses/openai-pdf-input-file.1.chunks.txt", "openai"],
  ["xai/xai-file-search-tool.1.json", "xai"], ["xai/xai-image-generation-tool.1.json", "xai"], ["xai/xai-web-search-tool.1.json", "xai"],
];
/** Its server says zero, so the tokens are estimated. */
const UNCOUNTED = "openai/programmatic-tool-calling.2.chunks.txt";
/** Answers that only call tools which the provider itself would run, or wants to have run: we offer none of them. */
const FOREIGN_CALLS = ["apply-patch-tool.1.chunks.txt", "client-tool-search.1.chunks.txt", "custom-tool.1.json", "local-shell-tool.1.chunks.txt", "mcp-tool-approval.1.chunks.txt", "mcp-tool-approval.3.chunks.txt", "shell-tool.1.chunks.txt", "image-generation-tool.1.json"].map((name) => `openai/openai-${name}`);

/** Answers that hold nothing to say. */
const NO_ANSWER: Readonly<Record<string, readonly [ErrorCode, RegExp]>> = {
  "anthropic/anthropic-refusal.json": ["MODEL_006", /violative cyber content/],
  "anthropic/anthropic-refusal-no-details.json": ["MODEL_006", /refused/],
  "anthropic/anthropic-advisor-stop-reasons.json": ["MODEL_007", /empty answer/],
  "openai/openai-error.1.chunks.txt": ["MODEL_009", /exceeded your current quota/],
  "openai/parallel-tool-call-wrapper.1.chunks.txt": ["MODEL_007", /broken JSON/],
  ...Object.fromEntries(FOREIGN_CALLS.map((name) => [name, ["MODEL_007", /Expected a text or a tool call/] as const])),
};
const REASONS: Readonly<Record<string, string>> = { stop: "stop", tool_calls: "calls", length: "length", end_turn: "stop", tool_use: "calls", max_tokens: "length" };

describe("recorded answers", () => {
  const folder = dataFolder("payloads", "llm");
  if (folder === undefined) {
    it.skip("the recordings are not on this machine (CLAWFLOW_SPECS)");
    return;
  }
  let stub: LlmStub;
  let fetch: Fetch;
  before(async () => {
    stub = await startLlm(json({}));
    fetch = createFetch();
  });
  after(async () => {
    await fetch.destroy();
    await stub.close();
    for (const wire of WIRE_NAMES) console.log(`      ${wire}: ${counts[wire].right} recorded answers came to the right result (${counts[wire].pieces} pieces), ${counts[wire].refused} to a clear error`);
  });

  const sentMessages = () => (stub.asked.at(-1) ?? assert.fail("nothing was asked")).body.messages as Record<string, unknown>[];
  /** Serves the recording, streamed in pieces of `size` bytes or whole as it was recorded. */
  function serve(recording: Recording, wire: WireName, size?: number): ModelRequest {
    stub.answer = recording.chunks ? stream(sse(recording.chunks, wire), size) : json(recording.whole);
    return ask({ live: recording.chunks !== undefined });
  }
  const counts = Object.fromEntries(WIRE_NAMES.map((wire) => [wire, { right: 0, refused: 0, pieces: 0 }])) as Record<WireName, { right: number; refused: number; pieces: number }>;
  async function replay(recording: Recording, wire: WireName, provider: string): Promise<void> {
    const model = await openModel({ ...at(stub.url, wire), provider }, fetch);
    const refused = NO_ANSWER[recording.name];
    if (refused !== undefined) {
      const error = await failure(collect(model, serve(recording.torn ? { ...recording, chunks: recording.torn } : recording, wire)));
      assert.equal(error.code, refused[0]);
      assert.match(error.message, refused[1]);
      counts[wire].refused++;
      return;
    }
    const { expected } = recording;
    for (const size of recording.chunks ? [1_000_000, 7] : [0]) {
      const events = await collect(model, serve(recording, wire, size));
      assert.equal(textOf(events), expected.text);
      assert.equal(textOf(events, "thought"), expected.thought);
      assert.deepEqual(callsOf(events).map(({ id, name, input }) => ({ id, name, input })), expected.calls);
      assert.ok(callsOf(events).every((call) => call.malformed === undefined));
      const end = endOf(events);
      assert.equal(events.filter((event) => event.type === "end").length, 1);
      assert.equal(end.reason, REASONS[expected.finish ?? ""]);
      assert.ok(expected.usage !== undefined);
      if (recording.name === UNCOUNTED) assert.ok(expected.usage.input === 0 && end.usage.input > 0);
      else assert.deepEqual({ input: end.usage.input, output: end.usage.output }, expected.usage);
      // Whatever must go back to the provider survives being stored.
      assert.deepEqual(JSON.parse(JSON.stringify(events)), events);
    }
    counts[wire].right++;
    counts[wire].pieces += recording.chunks?.length ?? 1;
  }

  describe("of the chat completions wire", () => {
    it("are at least 20", () => { assert.ok(CHAT.length >= 20); });
    for (const [file, provider] of CHAT) {
      for (const recording of readChat(folder, file)) {
        it(file, () => replay(recording, "openai", provider)).timeout(20_000);
      }
    }
  });

  describe("of the Anthropic wire", () => {
    it("are at least 30", () => { assert.ok(MESSAGES.length >= 30); });
    for (const file of MESSAGES) {
      for (const recording of readMessages(folder, file)) {
        it(recording.name, () => replay(recording, "anthropic", "anthropic")).timeout(20_000);
      }
    }
  });

  describe("of the Responses wire", () => {
    it("are at least 40", () => { assert.ok(RESPONSES.length >= 40); });
    for (const [file, provider] of RESPONSES) {
      for (const recording of readResponses(folder, file)) {
        it(recording.name, () => replay(recording, "responses", provider)).timeout(60_000);
      }
    }
    it("with several calls in one call become several, where their tools are known", async () => {
      const recording = readResponses(folder, "openai/parallel-tool-call-wrapper.1.chunks.txt")[0] as Recording;
      const tool = (name: string) => ({ name, description: "", parameters: { type: "object" } });
      const model = await openModel({ ...at(stub.url, "responses"), provider: "openai" }, fetch);
      const calls = async (names: readonly string[]) => callsOf(await collect(model, { ...serve(recording, "responses"), tools: names.map(tool) })).map(({ id, name, input }) => ({ id, name, input }));
      assert.deepEqual(await calls(["weather", "cityAttractions"]), [
        { id: "call_parallel", name: "weather", input: { location: "San Francisco" } }, { id: "call_parallel_1", name: "cityAttractions", input: { city: "Rome" } },
      ]);
      for (const names of [["weather"], ["weather", "cityAttractions", "parallel"]]) assert.deepEqual((await calls(names)).map(({ name }) => name), ["parallel"]);
    });
  });
  it("of errors become requests refused with the provider's words", async () => {
    const model = await openModel(at(stub.url, "openai"), fetch);
    for (const [file, words] of [["openai/reasoning-model-legacy-parameter-error.json", /Use 'max_completion_tokens' instead/], ["openai/gpt-image-response-format-error.json", /Unknown parameter: 'response_format'/]] as const) {
      stub.answer = json(readFileSync(path.join(folder, file), "utf8"), 400);
      const error = await failure(collect(model, ask()));
      assert.deepEqual([error.code, error.retry], ["MODEL_008", "no"]);
      assert.match(error.message, words);
    }
  });

  it("send back what the provider wants to see again", async () => {
    const thinking = readMessages(folder, "anthropic/spliced-message-start.chunks.txt")[0] as Recording;
    const model = await openModel({ ...at(stub.url, "anthropic"), provider: "anthropic" }, fetch);
    const events = await collect(model, serve(thinking, "anthropic"));
    const calls = callsOf(events);
    const turns = [user("Go"), { role: "assistant" as const, text: "", calls, echo: endOf(events).echo }, { role: "tool" as const, call: calls[0]?.id ?? "", name: "test-tool", text: "42", failed: false }];
    stub.answer = json({ content: [{ type: "text", text: "ok" }], stop_reason: "end_turn", usage: { input_tokens: 1, output_tokens: 1 } });
    await collect(model, ask({ turns }));
    assert.deepEqual(sentMessages()[1], {
      role: "assistant",
      content: [{ type: "thinking", thinking: "Let me call the tool.", signature: "sig-second" }, { type: "tool_use", id: "toolu_second", name: "test-tool", input: { value: "Sparkle Day" } }],
    });

    const reasoning = readChat(folder, "deepseek/deepseek-tool-call.json")[0] as Recording;
    const deepseek = await openModel({ ...at(stub.url, "openai"), provider: "deepseek" }, fetch);
    const thought = await collect(deepseek, serve(reasoning, "openai"));
    const call = callsOf(thought)[0];
    assert.ok(call);
    stub.answer = json({ choices: [{ message: { content: "ok" }, finish_reason: "stop" }] });
    const again = [user("Go"), { role: "assistant" as const, text: "", calls: [call], echo: endOf(thought).echo }, { role: "tool" as const, call: call.id, name: call.name, text: "rain", failed: false }];
    await collect(deepseek, ask({ turns: again }));
    const sent = sentMessages()[1];
    assert.equal(sent?.reasoning_content, reasoning.expected.thought);
    // After a failover another provider must not see it.
    await collect(await openModel(at(stub.url, "openai"), fetch), ask({ turns: again }));
    assert.equal("reasoning_content" in (sentMessages()[1] ?? {}), false);
    assert.equal(stub.asked.at(-1)?.headers.authorization, `Bearer ${KEY}`);
  });
});
