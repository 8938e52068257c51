/** The list of a provider's models, for the form. */
import assert from "node:assert/strict";
import { systemClock } from "../../engine/clock.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { listModels } from "../../engine/models/index.ts";
import type { ModelSettings } from "../../engine/models/model.ts";
import { json, type LlmStub, startLlm } from "../platforms/llm.ts";
import { at, failure, KEY } from "./kit.ts";

describe("the models a provider offers", () => {
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
  const list = (settings: ModelSettings, signal = AbortSignal.timeout(60_000)) => listModels(settings, fetch, systemClock, signal);
  const names = async (settings: ModelSettings) => (await list(settings)).map(({ id }) => id);
  const sent = () => stub.asked.at(-1) ?? assert.fail("nothing was asked");

  it("are read in every shape, each once and in order", async () => {
    for (const body of [{ object: "list", data: [{ id: "b" }, { id: "a" }, { id: "a" }, { id: "" }, { id: 7 }, null] }, [{ id: "a" }, { id: "b" }], { data: [{ id: "models/a" }, { id: "models/b" }] }]) {
      stub.answer = json(body);
      assert.deepEqual(await names(at(stub.url, "openai")), ["a", "b"]);
    }
    stub.answer = json({ data: Array.from({ length: 3_000 }, (_, n) => ({ id: `m${n}` })) });
    assert.equal((await list(at(stub.url, "openai"))).length, 2_000);
    assert.deepEqual(await list({ provider: "practice", model: "" }), []);
  });

  it("come with the size of their window where the list tells one that can be true", async () => {
    stub.answer = json({ data: [{ id: "a", context_length: 131_072 }, { id: "b", max_model_len: 8_192, context_length: 99 }, { id: "c", context_window: "32k" }, { id: "d", max_input_tokens: -1 }, { id: "e", max_context_length: 1e30 }, { id: "f", max_context_length: 262_144, loaded_context_length: 4_096 }] });
    assert.deepEqual((await list(at(stub.url, "openai"))).map(({ contextTokens }) => contextTokens), [131_072, 8_192, undefined, undefined, undefined, 4_096]);
  });

  it("are asked for in each wire's way, with the key and the user's headers", async () => {
    stub.answer = json({ data: [] });
    await list(at(stub.url, "openai", { headers: { "X-Team": "blue" } }));
    assert.deepEqual([sent().path, sent().headers.authorization, sent().headers["x-team"]], ["/v1/models", `Bearer ${KEY}`, "blue"]);
    await list(at(stub.url, "responses"));
    assert.equal(sent().path, "/v1/models");
    await list({ ...at(stub.url, "anthropic"), provider: "anthropic" });
    assert.deepEqual([sent().path, sent().headers["x-api-key"], sent().headers.authorization, sent().headers["anthropic-version"]], ["/v1/models?limit=1000", KEY, undefined, "2023-06-01"]);
    const { key: _, ...keyless } = at(stub.url, "openai");
    await list(keyless);
    assert.equal(sent().headers.authorization, undefined);
  });

  it("are missing for a reason that is said, without the key", async () => {
    for (const [answer, code, words] of [
      [json("Not Found", 404), "MODEL_001", /offers no list of models \(404\)/], [json({ error: { message: `bad key ${KEY}` } }, 401), "MODEL_002", /refused the key/],
      [json({ hello: 1 }), "MODEL_007", /Expected a list of models/], [json("<html>", 200), "MODEL_007", /Expected a list of models/], [json({ error: { message: "slow down" } }, 429), "MODEL_003", /slow down/],
    ] as const) {
      stub.answer = answer;
      const error = await failure(list(at(stub.url, "openai")));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      assert.doesNotMatch(error.message, /CANARY/);
    }
    stub.answer = (response) => {
      response.writeHead(200);
      const pour = (): void => { while (!response.destroyed && response.write("x".repeat(1_000_000))); };
      response.on("drain", pour);
      pour();
    };
    assert.match((await failure(list(at(stub.url, "openai")))).message, /does not end/);
    stub.answer = () => undefined;
    assert.match((await failure(list(at(stub.url, "openai"), AbortSignal.timeout(50)))).message, /not send its list of models in time/);
    assert.equal((await failure(list(at("http://127.0.0.1:1", "openai")))).code, "MODEL_001");
  });
});
