import assert from "node:assert/strict";
import { ModelError } from "../../engine/errors.ts";
import { capTokens } from "../../engine/models/cap.ts";
import type { Model } from "../../engine/models/model.ts";

describe("capTokens", () => {
  const request = { system: "", turns: [], tools: [], live: false } as const;
  const signal = new AbortController().signal;
  let asked = 0;
  const model: Model = {
    id: "m", provider: "p", contextTokens: 1000,
    async *stream() {
      asked++;
      yield { type: "text", delta: "hello" };
      yield { type: "end", reason: "stop", usage: { input: 30, output: 20 } };
    },
  };
  const texts = async (capped: Model) => { const got = []; for await (const event of capped.stream(request, signal)) got.push(event.type); return got; };

  it("passes everything on, counts, and refuses before it asks once the meter is full", async () => {
    const meter = { used: 0, max: 60 };
    const capped = capTokens(model, meter);
    assert.deepEqual([capped.id, capped.provider, capped.contextTokens], ["m", "p", 1000]);
    assert.deepEqual(await texts(capped), ["text", "end"]);
    assert.equal(meter.used, 50);
    assert.deepEqual(await texts(capped), ["text", "end"], "below the cap an answer is whole");
    assert.equal(meter.used, 100);
    await assert.rejects(texts(capped), (error) => error instanceof ModelError && error.code === "MODEL_009" && error.retry === "no" && /60 tokens/.test(error.message));
    assert.equal(asked, 2);
  });
});
