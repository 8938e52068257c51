/** Channel out in a real Node-RED: the platform's own methods, and every part of a draft. */
import assert from "node:assert/strict";
import type { FlowNode } from "../rigs/node-red.ts";
import { account, gateway, on, startHome, tab, type Sink } from "../rigs/home.ts";
import { until } from "../kit/scripted.ts";

const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length || 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const flow = (sink: Sink, ...nodes: FlowNode[]) => [tab, gateway, account(sink), on("in", "clawflow-channel-in", { gateway: "gw", accounts: [], version: 1 }, ["make"], []), ...nodes];
const out = (id: string, more: Record<string, unknown>, ...wires: string[][]) => on(id, "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1, ...more }, ...wires);

describe("channel out", function () {
  this.timeout(60_000);

  it("calls the platform's own methods, and gives their answer or why not", async () => {
    await using home = await startHome((sink) => flow(sink,
      func("make", "msg.method = msg.payload; msg.payload = { topic: 'News', n: 1 }; return msg;", ["call"]),
      out("call", { action: "call", method: "method", methodType: "msg" }, ["tell"]),
      func("tell", "msg.payload = JSON.stringify([msg.payload, msg.receipt.state, msg.receipt.code]); return msg;", ["out"]), out("out", {}),
    ));
    home.sink.fault = (said) => {
      const { op, method } = said as unknown as { op: string; method?: string };
      if (op !== "call") return undefined;
      return method === "rename" ? { ref: { renamed: true } } : { code: "MSG_002", retry: "no", text: "no such method" };
    };
    await home.say("rename");
    await home.say("nonsense");
    assert.deepEqual((await home.heard(2)).map((text) => JSON.parse(text) as unknown), [[{ renamed: true }, "sent", null], [null, "failed", "MSG_002"]]);
  });

  it("wants a method and an object of parameters", async () => {
    await using home = await startHome((sink) => flow(sink,
      func("make", "msg.method = msg.payload === 'list' ? 'x' : ''; msg.payload = [1]; return msg;", ["call"]),
      out("call", { action: "call", method: "method", methodType: "msg" }, ["out"]),
      on("catch", "catch", { scope: null, uncaught: false }, ["told"]), func("told", "msg.payload = msg.error.message; return msg;", ["out"]), out("out", {}),
    ));
    await home.say("list");
    await home.say("none");
    const texts = await home.heard(2);
    assert.match(texts[0] ?? "", /MSG_001.*object of the method's parameters, got a list/);
    assert.match(texts[1] ?? "", /MSG_001.*name of a method/);
  });

  it("sends every part of a draft, also where there is no text", async () => {
    const parts: Record<string, unknown>[] = [
      { choices: { options: [{ label: "A" }] } }, { cards: [{ title: "T" }] }, { contact: { name: "Ada", phone: "1" } }, { form: { name: "f", title: "F", fields: [] } }, { template: { name: "t", language: "en" } },
      { native: { echo: { x: 1 } } }, { location: { latitude: 1, longitude: 2 } }, { poll: { question: "Q", options: ["a"] } }, { buttons: [[{ label: "B" }]] }, { attachments: [{ kind: "image", media: "spool:x" }] }, { text: "t", only: "u1", silent: true, replyTo: "5", subject: "S", plain: true },
    ];
    await using home = await startHome((sink) => flow(sink, func("make", "msg.draft = JSON.parse(msg.payload); msg.payload = ''; return msg;", ["out"]), out("out", {})));
    for (const part of parts) await home.say(JSON.stringify(part));
    await until(() => home.sink.said.length === parts.length, "all drafts", 20_000);
    assert.deepEqual(home.sink.said.map(({ draft }) => draft), parts.map((part) => ({ text: "", ...part })));
    await home.say(JSON.stringify({ text: "", cards: [], choices: null }));
    await home.say(JSON.stringify({ text: "the end" }));
    await until(() => home.sink.said.length > parts.length, "the last");
    assert.deepEqual(home.sink.said.at(-1)?.draft, { text: "the end" });
  });
});
