/** What the ledger holds of calls that brought no answer, over a real connection: the provider's own figures, the reserve, or nothing. */
import assert from "node:assert/strict";
import { USAGE_LEAST_MS, createLedger } from "../../engine/ledger.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { chargeModel } from "../../engine/models/charge.ts";
import { openModel } from "../../engine/models/index.ts";
import type { ModelRequest } from "../../engine/models/model.ts";
import { createMemoryStore } from "../../engine/store/memory.ts";
import { manualClock, settle } from "../kit/scripted.ts";
import { type Answer, chatChunks, json, type LlmStub, messageEvents, responseEvents, sse, startLlm, stream, talk, wholeChat, wholeMessage, wholeResponse } from "../platforms/llm.ts";
import { ask, at, collect, failure, WIRE_NAMES, type WireName } from "./kit.ts";

const COUNTED = { input: 10, output: 5, exact: true };
const MOST = 77;

/** Answers that are none and yet are counted (10 tokens in, 5 out), whole and in pieces. */
const chat = (message: object, finish: string): Answer => (response, asked) => {
  const pieces = chatChunks("").map((chunk) => ({ ...chunk, choices: (chunk as { choices: object[] }).choices.length === 0 ? [] : [{ index: 0, delta: message, finish_reason: finish }] }));
  return (asked.body.stream === true ? stream(sse(pieces, "openai")) : json(wholeChat("", { message, finish_reason: finish })))(response, asked);
};
const messages = (stop: string): Answer => (response, asked) => {
  const pieces = messageEvents("").map((event) => ("delta" in event && (event as { type?: string }).type === "message_delta" ? { ...event, delta: { stop_reason: stop } } : event));
  return (asked.body.stream === true ? stream(sse(pieces, "anthropic")) : json(wholeMessage("", { content: [], stop_reason: stop })))(response, asked);
};
const responses = (more: object): Answer => (response, asked) => {
  const final = wholeResponse("", { output: [], ...more });
  return (asked.body.stream === true ? stream(sse([...responseEvents("").slice(0, 1), { type: "response.completed", response: final }], "responses")) : json(final))(response, asked);
};
const NONE: Readonly<Record<WireName, Readonly<Record<string, Answer>>>> = {
  openai: {
    "an empty answer": chat({ role: "assistant", content: "" }, "stop"), "thoughts up to the limit": chat({ role: "assistant", content: "", reasoning_content: "hm" }, "length"),
    "a filtered answer": chat({ role: "assistant", content: "Part" }, "content_filter"), "a refusal": chat({ role: "assistant", content: null, refusal: "I can't help with that." }, "stop"),
  },
  anthropic: { "an empty answer": messages("end_turn"), "thoughts up to the limit": messages("max_tokens"), "a refusal": messages("refusal") },
  responses: {
    "an empty answer": responses({}), "thoughts up to the limit": responses({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } }),
    "a filtered answer": responses({ status: "incomplete", incomplete_details: { reason: "content_filter" } }), "a failure": responses({ status: "failed" }),
    "a refusal": responses({ output: [{ type: "message", role: "assistant", content: [{ type: "refusal", refusal: "I can't help with that." }] }] }),
  },
};

describe("what is booked where no answer came", () => {
  let stub: LlmStub;
  let fetch: Fetch;
  before(async () => {
    stub = await startLlm(talk("hi"));
    fetch = createFetch({ connectTimeoutMs: 2_000 });
  });
  after(async () => {
    await fetch.destroy();
    await stub.close();
  });

  /** Rows of one call at a provider that answers so. */
  async function booked(wire: WireName, answer: Answer, more: Partial<ModelRequest> = {}, url = stub.url) {
    stub.answer = answer;
    const store = createMemoryStore();
    const ledger = await createLedger({ store, clock: manualClock(USAGE_LEAST_MS), zone: () => "UTC", budgets: () => ({ day: { tokens: 1e9 } }), log: (text) => assert.fail(text) });
    const payer = ledger.payer({ subject: { run: "r", message: "m", session: "s", channel: "c", account: "a", person: "p", agent: "g" }, since: 0, budgets: {} });
    const error = await failure(collect(chargeModel(await openModel(at(url, wire), fetch)), ask({ maxTokens: MOST, payer, ...more })));
    payer.close();
    await settle();
    const rows = (await store.usageRows({ from: 0, to: Number.MAX_SAFE_INTEGER, limit: 9 })).map(({ input, output, exact }) => ({ input, output, exact }));
    return { rows, error };
  }
  const isReserve = ({ rows, error }: Awaited<ReturnType<typeof booked>>, about: string): void => assert.deepEqual(rows.map(({ output, exact }) => [output, exact]), [[MOST, false]], `${about}: ${error.message}`);

  for (const wire of WIRE_NAMES) {
    describe(`on the ${wire} wire`, () => {
      for (const [name, answer] of Object.entries(NONE[wire])) {
        it(`${name}: what the provider counted`, async () => {
          for (const live of [false, true]) {
            const { rows, error } = await booked(wire, answer, { live });
            assert.deepEqual(rows, [COUNTED], `live ${live}: ${error.message}`);
          }
        });
      }

      it("nothing at a wrong address, where no provider read it", async () => {
        const page: Answer = (response) => { response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Router login</title>"); };
        const lost: Answer = (response) => { response.writeHead(404, { "content-type": "text/html" }).end("<h1>Not Found</h1>"); };
        for (const [answer, url] of [[page], [lost], [json({ detail: "Method Not Allowed" }, 405)], [talk("hi"), stub.url.replace("http:", "https:")]] as const) {
          for (const live of [false, true]) {
            const { rows, error } = await booked(wire, answer, { live }, url);
            assert.deepEqual([error.code, rows], ["MODEL_001", []], error.message);
          }
        }
      });

      it("the reserve where a gateway gave up waiting, nothing where the provider did not begin", async () => {
        for (const status of [504, 520, 521, 522, 523, 524]) {
          const outcome = await booked(wire, (response) => { response.writeHead(status, { "content-type": "text/html" }).end("<title>Timed out</title>"); });
          assert.deepEqual([outcome.error.code, outcome.error.retry], ["MODEL_004", "later"]);
          isReserve(outcome, String(status));
        }
        for (const status of [429, 500, 502, 503, 529]) {
          const { rows } = await booked(wire, json({ error: { message: "not now" } }, status));
          assert.deepEqual(rows, [], String(status));
        }
      });

      it("the reserve where an error came as a whole answer, or what is counted in it", async () => {
        const error = { message: "Provider returned error", type: "rate_limit_error", code: 429 };
        for (const live of [false, true]) {
          const outcome = await booked(wire, json({ error }), { live });
          assert.equal(outcome.error.code, "MODEL_003");
          isReserve(outcome, `live ${live}`);
          const whole = { openai: wholeChat, responses: wholeResponse, anthropic: wholeMessage }[wire]("Part");
          assert.deepEqual((await booked(wire, json({ ...whole, error }), { live })).rows, [COUNTED]);
        }
      });

      it("holds before the call what the wire asks for", async () => {
        for (const maxTokens of [undefined, 500]) {
          const { rows } = await booked(wire, (response) => { response.socket?.destroy(); }, maxTokens === undefined ? { maxTokens } as never : { maxTokens });
          const { max_tokens, max_output_tokens } = (stub.asked.at(-1)?.body ?? {}) as { max_tokens?: number; max_output_tokens?: number };
          assert.deepEqual(rows.map(({ output, exact }) => [output, exact]), [[max_tokens ?? max_output_tokens ?? 4_096, false]]);
          assert.equal(max_tokens ?? max_output_tokens, maxTokens ?? (wire === "anthropic" ? 16_000 : undefined));
        }
      });
    });
  }
});
