import assert from "node:assert/strict";
import { createGauge } from "../../engine/context/estimate.ts";
import { fitModel, gaugeKey } from "../../engine/context/fit.ts";
import type { Turn } from "../../engine/models/model.ts";
import { ask, collect, failure, user } from "../models/kit.ts";
import { openProvider, type Provider } from "./kit.ts";

const long = (count: number, chars = 400): Turn[] => Array.from({ length: count }, (_, n): Turn[] => [user(`${n} ${"q".repeat(chars)}`), { role: "assistant", text: `${n} ${"a".repeat(chars)}` }]).flat();

describe("a model that fits its requests", () => {
  let provider: Provider;
  afterEach(() => provider.close());

  it("sends what fits into the window the settings name, the newest always", async () => {
    provider = await openProvider(() => "ok", { most: 40_000 });
    const model = fitModel(await provider.open(8_000), createGauge());
    await collect(model, ask({ turns: [...long(60), user("the newest")] }));
    assert.deepEqual([provider.seen.length, provider.refused.length], [1, 0]);
    assert.equal(provider.seen[0]?.texts.at(-1), "the newest");
    assert.ok((provider.seen[0]?.chars ?? 0) > 10_000, "and no less than needed");
  });

  it("learns from what the provider counts: words that cost more leave less room", async () => {
    provider = await openProvider(() => "ok", { perToken: 1 });
    const gauge = createGauge();
    const model = fitModel(await provider.open(8_000), gauge);
    for (let n = 0; n < 4; n++) await collect(model, ask({ turns: [...long(60), user("the newest")] }));
    const chars = provider.seen.map((seen) => seen.chars);
    assert.ok(gauge.ratio(gaugeKey(model)) > 3, String(gauge.ratio(gaugeKey(model))));
    assert.ok((chars.at(-1) ?? 0) < 8_000 && (chars[0] ?? 0) > 16_000, chars.join());
  });

  it("asks once more with less when the provider takes less than the settings say, and plans with that from then on", async () => {
    provider = await openProvider(() => "ok", { most: 20_000 });
    const model = fitModel(await provider.open(100_000), createGauge());
    const request = ask({ turns: [...long(36), user("the newest")] });
    let said = "";
    for await (const event of model.stream(request, new AbortController().signal)) {
      if (event.type === "text") said += event.delta;
      if (event.type === "end") break;
    }
    assert.equal(said, "ok");
    assert.deepEqual([provider.seen.length, provider.refused.length], [1, 1]);
    assert.equal(provider.seen[0]?.texts.at(-1), "the newest");
    // As an agent reads: it leaves with the end.
    for (let n = 0; n < 3; n++) for await (const event of model.stream(request, new AbortController().signal)) if (event.type === "end") break;
    assert.equal(provider.seen.length, 4);
    assert.ok(provider.refused.length <= 2, `refused ${provider.refused.length} times`);
  });

  it("gives the fault on when less does not help: one try, no more", async () => {
    provider = await openProvider(() => "ok", { most: 100 });
    const model = fitModel(await provider.open(100_000), createGauge());
    assert.equal((await failure(collect(model, ask({ turns: [...long(10), user("n".repeat(500))] })))).code, "MODEL_005");
    assert.equal(provider.refused.length, 2);
    assert.equal((await failure(collect(model, ask({ turns: [user("n".repeat(500))] })))).code, "MODEL_005");
    assert.equal(provider.refused.length, 3, "there was nothing to leave out");
  });

  it("keeps a run of many tool rounds within the window", async () => {
    provider = await openProvider(() => "ok", { most: 32_000 });
    const model = fitModel(await provider.open(8_000), createGauge());
    const turns: Turn[] = [user("collect everything")];
    for (let n = 0; n < 60; n++) {
      turns.push({ role: "assistant", text: "", calls: [{ id: `c${n}`, name: "look", input: { n } }] }, { role: "tool", call: `c${n}`, name: "look", text: `result ${n} ${"r".repeat(6_000)}`, failed: false });
      await collect(model, ask({ turns: [...turns] }));
    }
    assert.equal(provider.refused.length, 0);
    assert.ok(provider.seen.every(({ texts }) => texts.includes("collect everything")));
    assert.match(provider.seen.at(-1)?.texts.at(-1) ?? "", /^result 59 r{6000}$/);
  });
});
