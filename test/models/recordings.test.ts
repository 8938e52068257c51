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
import { ask, at, callsOf, collect, endOf, failure, KEY, textOf, user } from "./kit.ts";
import { readChat, readMessages, type Recording } from "./read-recording.ts";

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

/** Answers that hold nothing to say. */
const NO_ANSWER: Readonly<Record<string, readonly [ErrorCode, RegExp]>> = {
  "anthropic/anthropic-refusal.json": ["MODEL_006", /violative cyber content/],
  "anthropic/anthropic-refusal-no-details.json": ["MODEL_006", /refused/],
  "anthropic/anthropic-advisor-stop-reasons.json": ["MODEL_007", /empty answer/],
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
  });

  const sentMessages = () => (stub.asked.at(-1) ?? assert.fail("nothing was asked")).body.messages as Record<string, unknown>[];
  /** Serves the recording, streamed in pieces of `size` bytes or whole as it was recorded. */
  function serve(recording: Recording, wire: "openai" | "anthropic", size?: number): ModelRequest {
    stub.answer = recording.chunks ? stream(sse(recording.chunks, wire), size) : json(recording.whole);
    return ask({ live: recording.chunks !== undefined });
  }
  async function replay(recording: Recording, wire: "openai" | "anthropic", provider: string): Promise<void> {
    const model = await openModel({ ...at(stub.url, wire), provider }, fetch);
    const refused = NO_ANSWER[recording.name];
    if (refused !== undefined) {
      const error = await failure(collect(model, serve(recording, wire)));
      assert.equal(error.code, refused[0]);
      assert.match(error.message, refused[1]);
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
      assert.deepEqual({ input: end.usage.input, output: end.usage.output }, expected.usage);
      // Whatever must go back to the provider survives being stored.
      assert.deepEqual(JSON.parse(JSON.stringify(events)), events);
    }
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
