/** The contract of a model for each wire; the providers behind the SDKs are played by an emulator. */
import { LLMock } from "@copilotkit/aimock";
import assert from "node:assert/strict";
import { systemClock } from "../../engine/clock.ts";
import { createFetch } from "../../engine/http.ts";
import { openModel } from "../../engine/models/index.ts";
import type { ToolSpec } from "../../engine/models/model.ts";
import { type ModelRig, modelContract } from "../contracts/model.ts";
import { ask, at, callsOf, collect, endOf, failure, textOf, user, WEATHER, WIRE_NAMES } from "./kit.ts";

const LIGHT: ToolSpec = {
  name: "switch_light", description: "Switches a light on or off.",
  parameters: { type: "object", properties: { light: { type: "string", enum: ["kitchen", "hall"] }, on: { type: "boolean" } }, required: ["light", "on"] },
};

modelContract("practice", async () => ({
  model: await openModel({ provider: "practice", model: "" }, fetch, { clock: { ...systemClock, after: (ms, act) => systemClock.after(ms / 30, act) } }),
  chat: "Hello there", wish: "Turn on the kitchen light", tool: LIGHT, input: { light: "kitchen", on: true }, result: "The kitchen light is on.",
  async close() { /* nothing is open */ },
}));

for (const wire of WIRE_NAMES) {
  modelContract(wire, async (): Promise<ModelRig> => {
    const mock = new LLMock({ port: 0 });
    mock.onToolResult("weather", { content: "It rains in Berlin today, sadly." });
    mock.on({ userMessage: "weather", hasToolResult: true }, { content: "It rains in Berlin today, sadly." });
    mock.onMessage("weather", { toolCalls: [{ name: "weather", arguments: '{"city":"Berlin"}' }], usage: { prompt_tokens: 20, completion_tokens: 8, total_tokens: 28, input_tokens: 20, output_tokens: 8 } } as never);
    mock.onMessage("Hello", { content: "Hi there, this is a longer text that comes in several pieces.", usage: { prompt_tokens: 9, completion_tokens: 12, total_tokens: 21, input_tokens: 9, output_tokens: 12 } } as never);
    await mock.start();
    const own = createFetch();
    return {
      model: await openModel(at(mock.url, wire), own), chat: "Hello there", wish: "What is the weather in Berlin?", tool: WEATHER, input: { city: "Berlin" }, result: "rain",
      async close() {
        await own.destroy();
        await mock.stop();
      },
    };
  });

  describe(`${wire} against an emulator`, () => {
    let mock: LLMock;
    const own = createFetch();
    beforeEach(async () => {
      mock = new LLMock({ port: 0 });
      await mock.start();
    });
    afterEach(() => mock.stop());
    after(() => own.destroy());

    it("streams word by word and counts tokens", async () => {
      mock.onMessage("Hello", { content: "One two three four five six seven.", usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18, input_tokens: 11, output_tokens: 7 } } as never);
      const events = await collect(await openModel(at(mock.url, wire), own), ask({ live: true }));
      assert.equal(textOf(events), "One two three four five six seven.");
      assert.deepEqual(endOf(events).usage.input, 11);
    });

    it("takes several calls of one answer", async () => {
      mock.onMessage("Hello", { toolCalls: [{ name: "weather", arguments: '{"city":"Rome"}' }, { name: "weather", arguments: '{"city":"Oslo"}' }] });
      for (const live of [false, true]) {
        const calls = callsOf(await collect(await openModel(at(mock.url, wire), own), ask({ live, tools: [WEATHER] })));
        assert.deepEqual(calls.map((call) => call.input), [{ city: "Rome" }, { city: "Oslo" }]);
        assert.notEqual(calls[0]?.id, calls[1]?.id);
      }
    });

    it("names the emulator's errors", async () => {
      const model = await openModel(at(mock.url, wire), own);
      for (const [status, type, code] of [[401, "authentication_error", "MODEL_002"], [429, "rate_limit_error", "MODEL_003"], [500, "api_error", "MODEL_004"], [400, "invalid_request_error", "MODEL_008"]] as const) {
        mock.clearFixtures();
        mock.onMessage("Hello", { error: { message: "told by the emulator", type }, status });
        for (const live of [false, true]) assert.equal((await failure(collect(model, ask({ live })))).code, code, `${status}`);
      }
    });

    it("notices a stream that is cut after some chunks", async () => {
      mock.onMessage("Hello", { content: "One two three four five six seven eight nine ten eleven twelve thirteen fourteen." }, { truncateAfterChunks: 3 });
      const error = await failure(collect(await openModel(at(mock.url, wire), own), ask({ live: true })));
      assert.ok(["MODEL_001", "MODEL_004"].includes(error.code), error.code);
      assert.equal(error.retry, "later");
    });

    it("survives everything the emulator's chaos does", async () => {
      mock.onMessage("Hello", { content: "Fine." });
      const model = await openModel(at(mock.url, wire, { firstByteMs: 2000, stallMs: 2000 }), own);
      const seen = new Set<string>();
      for (const chaos of [{ dropRate: 1 }, { malformedRate: 1 }, { disconnectRate: 1 }, { rateLimitRate: 1 }]) {
        mock.setChaos(chaos as never);
        for (const live of [false, true]) seen.add((await failure(collect(model, ask({ live, turns: [user("Hello")] })))).code);
      }
      mock.clearChaos();
      assert.equal(textOf(await collect(model, ask())), "Fine.");
      assert.ok(seen.size >= 3, [...seen].join(" "));
    });
  });
}
