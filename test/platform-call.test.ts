/** Calls of a platform's own API: once, and truthful about what came of them. */
import assert from "node:assert/strict";
import type { Connection } from "../engine/channels/channel.ts";
import { ChannelError } from "../engine/errors.ts";
import { createGateway, type Gateway } from "../engine/gateway.ts";
import type { Run } from "../engine/inbox.ts";
import { type CallOutcome, callPlatform } from "../engine/platform-call.ts";
import { createMemoryStore } from "../engine/store/memory.ts";
import type { Store } from "../engine/store/store.ts";
import { manualClock, message, scriptedChannel, settle, until } from "./kit/scripted.ts";

type Call = NonNullable<Connection["call"]>;

describe("calls of a platform's own methods", () => {
  async function open(store: Store, call: Call | undefined): Promise<{ gateway: Gateway; runs: Run[]; make(run: Run): Promise<CallOutcome>; receive(): Promise<unknown> }> {
    const channel = scriptedChannel();
    const opening = channel.open.bind(channel);
    channel.open = async (account, context) => ({ ...(await opening(account, context)), ...(call === undefined ? {} : { call }) });
    const gateway = await createGateway({ store, clock: manualClock(), random: () => 0.5, spool: { save: async () => undefined, open: async () => undefined, sweep: async () => 0 } as never, fetchFor: async () => fetch, texts: { claimed: "", notice: () => "" }, log: () => undefined });
    await gateway.setAccounts([{ account: { id: "acc", channel: "scripted", name: "Bot", settings: {}, policy: { policy: "open", allow: [] } }, channel }]);
    await settle();
    const runs: Run[] = [];
    gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: () => true, emit: (run) => { runs.push(run); } });
    gateway.start();
    return {
      gateway, runs,
      make: (run) => callPlatform(gateway, { run: run.id, step: gateway.step(run.id, "out", "", run.pass), account: "acc", method: "chat.rename", parameters: { name: "New" } }),
      async receive() { await channel.context?.receive(message()); await until(() => runs.length === 1, "the run"); },
    };
  }

  it("give the answer as plain data, and once for a step however often its flow runs", async () => {
    const asked: unknown[][] = [];
    const { gateway, runs, make, receive } = await open(createMemoryStore(), async (...given) => { asked.push(given); return { ok: true, at: new Date(0), count: asked.length }; });
    await receive();
    const [run] = runs as [Run];
    assert.deepEqual(await make(run), { state: "done", result: { ok: true, at: "1970-01-01T00:00:00.000Z", count: 1 } });
    const step = { run: run.id, step: "/out", account: "acc", method: "chat.rename", parameters: {} };
    assert.deepEqual(await callPlatform(gateway, step), { state: "done", result: { ok: true, at: "1970-01-01T00:00:00.000Z", count: 1 } });
    assert.deepEqual(asked, [["chat.rename", { name: "New" }]]);
    await gateway.close();
  });

  it("are not repeated after a crash: that nobody knows is told, for good", async () => {
    const store = createMemoryStore();
    let calls = 0;
    const first = await open(store, () => { calls++; return new Promise(() => undefined); });
    await first.receive();
    void first.make(first.runs[0] as Run);
    await until(() => calls === 1, "the call");
    // The process is gone; another one reads what it left, and its flow comes to the same step.
    const second = await open(store, async () => { calls++; return {}; });
    await until(() => second.runs.length === 1, "the run of the next process");
    const told = await second.make(second.runs[0] as Run);
    assert.deepEqual([told.state, told.state !== "done" && told.code, calls], ["unknown", "MSG_007", 1]);
    assert.match(told.state === "done" ? "" : told.text, /^chat\.rename was under way.*not done again/);
    await second.gateway.close();
  });

  it("tell a refusal, a silence and a platform without methods apart, and repeat none of them", async () => {
    const rows: readonly (readonly [Error, string, string])[] = [
      [new ChannelError("MSG_002", { answered: true }, "no such chat"), "failed", "MSG_002"],
      [new ChannelError("CONN_001", { retry: "later", answered: true }, "502"), "failed", "CONN_001"],
      [new ChannelError("CONN_001", { retry: "later", unsent: true }, "refused"), "failed", "CONN_001"],
      [new ChannelError("CONN_003", { retry: "later", afterMs: 10 }, "slow down"), "failed", "CONN_003"],
      [new ChannelError("CONN_001", { retry: "later" }, "reset"), "unknown", "MSG_007"],
      [new Error("boom"), "unknown", "MSG_007"],
    ];
    for (const [fault, state, code] of rows) {
      let calls = 0;
      const { gateway, runs, make, receive } = await open(createMemoryStore(), async () => { calls++; throw fault; });
      await receive();
      const told = await make(runs[0] as Run);
      assert.deepEqual([told.state, told.state !== "done" && told.code], [state, code], fault.message);
      assert.deepEqual(await callPlatform(gateway, { run: (runs[0] as Run).id, step: "/out", account: "acc", method: "x", parameters: {} }), told);
      assert.equal(calls, 1);
      await gateway.close();
    }
    const bare = await open(createMemoryStore(), undefined);
    await bare.receive();
    const told = await bare.make(bare.runs[0] as Run);
    assert.deepEqual(told, { state: "failed", code: "MSG_005", text: "Scripted lends no methods of its own." });
    const gone = await callPlatform(bare.gateway, { run: "", step: "", account: "nobody", method: "x", parameters: {} });
    assert.deepEqual([gone.state, gone.state !== "done" && gone.code], ["failed", "CONN_001"]);
    await bare.gateway.close();
  });

  it("keep no answer that is enormous, and say that it was done", async () => {
    const { gateway, runs, make, receive } = await open(createMemoryStore(), async () => "x".repeat(1_000_001));
    await receive();
    const told = await make(runs[0] as Run);
    assert.deepEqual([told.state, told.state !== "done" && told.code], ["failed", "MSG_003"]);
    assert.match(told.state === "done" ? "" : told.text, /was done/);
    await gateway.close();
  });
});
