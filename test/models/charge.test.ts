/** What the ledger holds of calls that brought no answer, over a real connection: the provider's own figures, the reserve, or nothing. */
import assert from "node:assert/strict";
import { USAGE_LEAST_MS, createLedger } from "../../engine/ledger.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { chargeModel } from "../../engine/models/charge.ts";
import { openModel } from "../../engine/models/index.ts";
import type { ModelRequest } from "../../engine/models/model.ts";
import { createMemoryStore } from "../../engine/store/memory.ts";
import { manualClock, settle } from "../kit/scripted.ts";
import { type Answer, json, type LlmStub, startLlm, talk } from "../platforms/llm.ts";
import { ask, at, collect, failure, WIRE_NAMES, type WireName } from "./kit.ts";

const MOST = 77;

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

      it("the reserve where an error came as a whole answer", async () => {
        const error = { message: "Provider returned error", type: "rate_limit_error", code: 429 };
        for (const live of [false, true]) {
          const outcome = await booked(wire, json({ error }), { live });
          assert.equal(outcome.error.code, "MODEL_003");
          isReserve(outcome, `live ${live}`);
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
