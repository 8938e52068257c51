/** What every model must do, whatever its wire. */
import assert from "node:assert/strict";
import type { Model, ModelEvent, ModelRequest, ToolSpec, Turn } from "../../engine/models/model.ts";

export interface ModelRig {
  readonly model: Model;
  /** A text that is answered by a text of several words. */
  readonly chat: string;
  /** A text that leads to one call of `tool`, with this input. */
  readonly wish: string;
  readonly tool: ToolSpec;
  readonly input: unknown;
  /** What that tool returns; the answer after it is a text. */
  readonly result: string;
  close(): Promise<void>;
}

export function modelContract(name: string, make: () => Promise<ModelRig>): void {
  describe(`${name} keeps the contract of a model`, () => {
    let rig: ModelRig;
    beforeEach(async () => { rig = await make(); });
    afterEach(() => rig.close());

    const request = (more: Partial<ModelRequest> = {}): ModelRequest => ({ system: "You are a test.", turns: [{ role: "user", text: rig.chat }], tools: [rig.tool], live: false, ...more });
    async function read(asked: ModelRequest, signal: AbortSignal = new AbortController().signal): Promise<ModelEvent[]> {
      const events: ModelEvent[] = [];
      for await (const event of rig.model.stream(asked, signal)) events.push(event);
      return events;
    }
    const text = (events: readonly ModelEvent[]): string => events.map((event) => (event.type === "text" ? event.delta : "")).join("");
    function checkShape(events: readonly ModelEvent[]): void {
      assert.equal(events.filter((event) => event.type === "end").length, 1, "one end");
      const end = events.at(-1);
      assert.ok(end?.type === "end", "the end is last");
      for (const count of [end.usage.input, end.usage.output]) assert.ok(Number.isInteger(count) && count >= 0, `tokens: ${count}`);
      assert.ok(end.usage.input > 0 && end.usage.output > 0);
      assert.deepEqual(JSON.parse(JSON.stringify(events)), events, "events can be stored as JSON");
      for (const event of events) if (event.type === "text" || event.type === "thought") assert.notEqual(event.delta, "");
    }

    it("says who it is", () => {
      assert.ok(rig.model.id !== "" && rig.model.provider !== "");
      assert.ok(rig.model.contextTokens > 1000);
    });

    it("answers in pieces when someone watches, and else with the same text", async () => {
      const whole = await read(request());
      const live = await read(request({ live: true }));
      for (const events of [whole, live]) {
        checkShape(events);
        assert.equal(events.at(-1)?.type === "end" && (events.at(-1) as { reason: string }).reason, "stop");
      }
      assert.ok(text(whole).length > 0);
      assert.equal(text(live), text(whole));
      assert.ok(live.filter((event) => event.type === "text").length > 1, "several pieces");
    });

    it("calls a tool, and answers with its result", async () => {
      for (const live of [false, true]) {
        const events = await read(request({ turns: [{ role: "user", text: rig.wish }], live }));
        checkShape(events);
        const calls = events.flatMap((event) => (event.type === "call" ? [event.call] : []));
        assert.deepEqual(calls.map((call) => [call.name, call.input, call.malformed]), [[rig.tool.name, rig.input, undefined]]);
        const call = calls[0];
        assert.ok(call && call.id.length > 0);
        const end = events.at(-1) as Extract<ModelEvent, { type: "end" }>;
        assert.equal(end.reason, "calls");
        const turns: Turn[] = [
          { role: "user", text: rig.wish }, { role: "assistant", text: text(events), calls, ...(end.echo === undefined ? {} : { echo: end.echo }) },
          { role: "tool", call: call.id, name: call.name, text: rig.result, failed: false },
        ];
        const after = await read(request({ turns, live }));
        checkShape(after);
        assert.ok(text(after).length > 0);
        assert.equal(after.some((event) => event.type === "call"), false);
      }
    });

    it("gives no call id twice in a session", async () => {
      const turns: Turn[] = [];
      const ids = new Set<string>();
      for (let round = 1; round <= 3; round++) {
        turns.push({ role: "user", text: rig.wish });
        const events = await read(request({ turns }));
        const calls = events.flatMap((event) => (event.type === "call" ? [event.call] : []));
        for (const call of calls) ids.add(call.id);
        assert.equal(ids.size, round);
        turns.push({ role: "assistant", text: text(events), calls }, ...calls.map((call): Turn => ({ role: "tool", call: call.id, name: call.name, text: rig.result, failed: false })), { role: "assistant", text: "Done." });
      }
    });

    it("answers a history that was cut or interrupted anywhere", async () => {
      const call = { id: "lost_1", name: rig.tool.name, input: rig.input };
      const histories: Turn[][] = [
        [{ role: "tool", call: "gone", name: rig.tool.name, text: "old", failed: false }, { role: "user", text: rig.chat }],
        [{ role: "assistant", text: "I began this talk." }, { role: "user", text: rig.chat }],
        [{ role: "user", text: "do" }, { role: "assistant", text: "", calls: [call] }, { role: "user", text: rig.chat }],
        [{ role: "user", text: "do" }, { role: "assistant", text: "", calls: [call, { ...call, id: "lost_2" }] }, { role: "tool", call: "lost_2", name: rig.tool.name, text: "ok", failed: false }, { role: "assistant", text: "done" }, { role: "user", text: rig.chat }],
        [{ role: "user", text: "do" }, { role: "assistant", text: "", calls: [{ ...call, input: undefined, malformed: "{broken" }] }, { role: "tool", call: call.id, name: rig.tool.name, text: "bad", failed: true }, { role: "user", text: "" }, { role: "assistant", text: " " }, { role: "user", text: rig.chat }],
      ];
      for (const turns of histories) assert.ok(text(await read(request({ turns }))).length > 0);
      assert.ok(text(await read(request({ turns: histories[2] ?? [], tools: [] }))).length > 0, "tools that are gone");
    });

    it("stops at once when aborted, with the signal's reason", async () => {
      const reason = new Error("enough");
      await assert.rejects(read(request(), AbortSignal.abort(reason)), reason);
      const stop = new AbortController();
      const seen: ModelEvent[] = [];
      await assert.rejects(async () => {
        for await (const event of rig.model.stream(request({ live: true }), stop.signal)) {
          seen.push(event);
          stop.abort(reason);
        }
      }, reason);
      assert.ok(seen.length > 0 && !seen.some((event) => event.type === "end"));
    });

    it("serves several requests at once", async () => {
      const [a, b, c] = await Promise.all([read(request()), read(request({ turns: [{ role: "user", text: rig.wish }] })), read(request({ live: true }))]);
      assert.equal(text(a), text(c));
      assert.equal(b.some((event) => event.type === "call"), true);
    });

    it("changes nothing of the request", async () => {
      const asked = request({ turns: [{ role: "user", text: rig.wish }], temperature: 0.5, maxTokens: 500 });
      const before = structuredClone(asked);
      await read(asked);
      assert.deepEqual(asked, before);
    });
  });
}
