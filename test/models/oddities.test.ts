/** Ways in which servers differ from the reference without telling. */
import assert from "node:assert/strict";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { openModel } from "../../engine/models/index.ts";
import { thinkTags } from "../../engine/models/think-tags.ts";
import type { Turn } from "../../engine/models/model.ts";
import { watch } from "../../engine/models/watch.ts";
import { json, type LlmStub, sse, startLlm, stream, talk, wholeChat } from "../platforms/llm.ts";
import { ask, at, callsOf, collect, endOf, textOf, user } from "./kit.ts";

const chunk = (delta: object, finish: string | null = null): object => ({ id: "c", object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finish }] });
const call = (id: string | null, name: string, args: unknown, more: object = {}): object => ({ ...(id === null ? {} : { id }), type: "function", function: { name, arguments: args }, ...more });

describe("odd answers of the chat completions wire", () => {
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
  let next = 0;
  const open = (provider = "openai-compatible") => openModel({ ...at(stub.url, "openai"), provider }, fetch, { newId: () => `new${++next}` });
  async function streamed(chunks: readonly object[], provider?: string, size?: number, turns: readonly Turn[] = [user("go")]) {
    stub.answer = stream(sse(chunks, "openai"), size);
    return collect(await open(provider), ask({ live: true, turns }));
  }
  const sent = () => (stub.asked.at(-1) ?? assert.fail("nothing was asked")).body.messages as Record<string, unknown>[];

  it("keeps thoughts between tags out of the text, wherever the stream cuts them", async () => {
    const text = "\n<think>Let me <b>see</b>. </thin</think>\n\nHello <think> world";
    for (let size = 1; size <= text.length; size++) {
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
      const events = await streamed([...pieces.map((content) => chunk({ content })), chunk({}, "stop")]);
      assert.equal(textOf(events), "Hello <think> world", `cut every ${size}`);
      assert.equal(textOf(events, "thought"), "Let me <b>see</b>. </thin", `cut every ${size}`);
    }
    stub.answer = json(wholeChat("<think>hm</think>Yes"));
    assert.equal(textOf(await collect(await open(), ask())), "Yes");
    for (const plain of ["<", "<th", "<thinker> x", "  < b", "no <think>tag</think>"]) {
      const tags = thinkTags();
      assert.equal([...tags.add(plain), ...tags.end()].map((part) => `${part.type}:${part.text}`).join(""), `text:${plain}`);
    }
  });

  it("takes calls without ids, with an id that was used before, and with arguments as an object", async () => {
    const before: Turn[] = [user("a"), { role: "assistant", text: "", calls: [{ id: "call_0", name: "t", input: {} }] }, { role: "tool", call: "call_0", name: "t", text: "x", failed: false }, user("b")];
    const events = await streamed([chunk({ tool_calls: [call("call_0", "t", { a: 1 }, { index: 0 })] }), chunk({ tool_calls: [call(null, "t", '{"b":2}', { index: 1 })] }), chunk({}, "stop")], undefined, undefined, before);
    assert.deepEqual(callsOf(events).map(({ id: _, ...rest }) => rest), [{ name: "t", input: { a: 1 } }, { name: "t", input: { b: 2 } }]);
    const ids = callsOf(events).map((each) => each.id);
    assert.ok(ids.every((id) => /^call_new\d+$/.test(id)) && ids[0] !== ids[1], ids.join(" "));
    assert.equal(endOf(events).reason, "calls");
  });

  it("takes parallel calls under one index, and a name that is repeated in every piece", async () => {
    const events = await streamed([chunk({ tool_calls: [call("a", "one", "{}", { index: 0 })] }), chunk({ tool_calls: [call("b", "two", "{}", { index: 0 })] }), chunk({}, "tool_calls")]);
    assert.deepEqual(callsOf(events).map((each) => [each.id, each.name]), [["a", "one"], ["b", "two"]]);
    const repeated = await streamed([chunk({ tool_calls: [call("a", "one", '{"x":', { index: 0 })] }), chunk({ tool_calls: [call("a", "one", "1}", { index: 0 })] }), chunk({}, "tool_calls")]);
    assert.deepEqual(callsOf(repeated).map((each) => [each.name, each.input]), [["one", { x: 1 }]]);
  });

  it("gives proofs of thought back unchanged: Google's with the call, OpenRouter's with the turn", async () => {
    const signature = { extra_content: { google: { thought_signature: "sig" } } };
    const google = await streamed([chunk({ tool_calls: [call("g", "t", "{}", { index: 0, ...signature })] }), chunk({}, "tool_calls")], "gemini");
    const again = (events: typeof google): Turn[] => [user("go"), { role: "assistant", text: "", calls: callsOf(events), ...(endOf(events).echo === undefined ? {} : { echo: endOf(events).echo }) }, { role: "tool", call: callsOf(events)[0]?.id ?? "", name: "t", text: "x", failed: false }];
    stub.answer = talk("ok");
    await collect(await open("gemini"), ask({ turns: again(google) }));
    assert.deepEqual((sent()[1] as { tool_calls: object[] }).tool_calls[0], { id: "g", type: "function", function: { name: "t", arguments: "{}" }, ...signature });

    const details = [{ type: "reasoning.text", text: "First ", index: 0, signature: null }, { type: "reasoning.text", text: "this", index: 0, signature: "s" }, { type: "reasoning.encrypted", data: "abc", index: 1 }];
    const router = await streamed([...details.map((each) => chunk({ reasoning_details: [each], reasoning: "x" })), chunk({ tool_calls: [call("r", "t", "{}", { index: 0 })] }), chunk({}, "tool_calls")], "openrouter");
    stub.answer = talk("ok");
    await collect(await open("openrouter"), ask({ turns: again(router) }));
    assert.deepEqual(sent()[1]?.reasoning_details, [{ type: "reasoning.text", text: "First this", index: 0, signature: "s" }, { type: "reasoning.encrypted", data: "abc", index: 1 }]);
    await collect(await open("gemini"), ask({ turns: again(router) }));
    assert.equal(sent()[1]?.reasoning_details, undefined);
  });

  it("reads comments, CRLF and events without a blank line at the end", async () => {
    const text = `: OPENROUTER PROCESSING\r\n\r\ndata: ${JSON.stringify(chunk({ content: "Grüße 🌍" }))}\r\n\r\n: keep\r\n\r\ndata: ${JSON.stringify(chunk({}, "stop"))}`;
    for (const size of [1, 2, 3, 5, 1000]) {
      stub.answer = stream(text, size);
      assert.equal(textOf(await collect(await open(), ask({ live: true }))), "Grüße 🌍", `pieces of ${size}`);
    }
  });

  it("takes JSON that says it is something else, and an answer that is cut by the limit", async () => {
    stub.answer = (response) => { response.writeHead(200, { "content-type": "text/plain" }).end(JSON.stringify(wholeChat("plain"))); };
    assert.equal(textOf(await collect(await open(), ask())), "plain");
    stub.answer = json(wholeChat("cut off", { finish_reason: "length" }));
    assert.equal(endOf(await collect(await open(), ask())).reason, "length");
    stub.answer = json(wholeChat("no reason", { finish_reason: null }));
    assert.equal(endOf(await collect(await open(), ask())).reason, "stop");
  });
});

describe("odd answers of the Anthropic wire", () => {
  it("forgets calls of a message that was begun again with fewer", async () => {
    const start = { type: "message_start", message: { content: [], usage: { input_tokens: 3, output_tokens: 1 } } };
    const use = (index: number, id: string): object[] => [{ type: "content_block_start", index, content_block: { type: "tool_use", id, name: "t", input: {} } }, { type: "content_block_stop", index }];
    const stub = await startLlm(stream(sse([start, ...use(0, "old_a"), ...use(1, "old_b"), start, ...use(0, "new_a"), { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: { output_tokens: 5 } }, { type: "message_stop" }], "anthropic")));
    const fetch = createFetch();
    try {
      const events = await collect(await openModel(at(stub.url, "anthropic"), fetch), ask({ live: true }));
      assert.deepEqual(callsOf(events).map((each) => each.id), ["new_a"]);
    } finally {
      await fetch.destroy();
      await stub.close();
    }
  });
});

describe("watch", () => {
  it("counts only the time that is waited, by the given clock", () => {
    let now = 0;
    let timers: { at: number; act: () => void }[] = [];
    const pass = (ms: number): void => {
      now += ms;
      for (;;) {
        const due = timers.filter((timer) => timer.at <= now);
        if (due.length === 0) return;
        timers = timers.filter((timer) => timer.at > now);
        for (const timer of due) timer.act();
      }
    };
    const clock = { now: () => now, monotonic: () => now, after: (ms: number, act: () => void) => { const timer = { at: now + ms, act }; timers.push(timer); return () => { timers = timers.filter((each) => each !== timer); }; } };
    const caller = new AbortController();
    const patient = watch(caller.signal, clock, 1000, 100);
    pass(900);
    assert.equal(patient.signal.aborted, false);
    patient.heard();
    pass(5000);
    assert.equal(patient.late(), undefined, "a slow reader is not the provider's fault");
    patient.wait();
    pass(90);
    patient.heard();
    patient.wait();
    pass(90);
    assert.equal(patient.signal.aborted, false);
    pass(110);
    assert.deepEqual([patient.late(), patient.signal.aborted, timers.length], [100, true, 0]);

    const other = watch(caller.signal, clock, 1000, 100);
    other.end();
    assert.equal(timers.length, 0);
    caller.abort();
    assert.equal(other.signal.aborted, false, "nothing listens after the end");
    const late = watch(caller.signal, clock, 1000, 100);
    assert.deepEqual([late.signal.aborted, late.late()], [true, undefined]);
    late.end();
  });
});
