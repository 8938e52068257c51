import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { LLMock } from "@copilotkit/aimock";
import { PRICES } from "../../engine/models/prices.ts";
import type { FlowNode } from "../rigs/node-red.ts";
import { account, gateway, model, on, startHome, tab, type Home, type Sink } from "../rigs/home.ts";
import { until } from "../kit/scripted.ts";

const channelIn = (more: Record<string, unknown> = {}, ...wires: string[][]) => on("in", "clawflow-channel-in", { gateway: "gw", accounts: [], ...more }, ...wires);
const channelOut = (id = "out", more: Record<string, unknown> = {}, ...wires: string[][]) => on(id, "clawflow-channel-out", { gateway: "gw", action: "reply", ...more }, ...wires);
const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length || 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const house = (sink: Sink) => [tab, gateway, account(sink), model()];
const lines = (home: Home) => home.red.lines.join("\n");

describe("nodes in a real Node-RED", function () {
  this.timeout(60_000);
  let mock: LLMock;
  before(async () => { mock = new LLMock({ port: 0 }); await mock.start(); });
  after(async () => { await mock.stop(); });
  beforeEach(() => { mock.clearFixtures(); mock.clearRequests(); });
  const aimock = () => model({ provider: "openai", model: "gpt-4o", baseUrl: `${mock.url}/v1`, credentials: { key: "sk-test" } });

  it("answers in the chat it was asked in, once per event, in order", async () => {
    await using home = await startHome((sink) => [...house(sink), channelIn({}, ["f"], []), func("f", "msg.payload = 'you said ' + msg.payload; return msg;", ["out"]), channelOut()]);
    assert.equal(await home.say("one", { id: "x1" }), "saved");
    assert.equal(await home.say("one", { id: "x1" }), "duplicate");
    await home.say("two", { chat: "c2" });
    await home.heard(2);
    assert.deepEqual(home.sink.said.map((one) => [one.to.chat, one.draft?.text]), [["c1", "you said one"], ["c2", "you said two"]]);
  });

  it("still knows its run when a function node returns a new object", async () => {
    await using home = await startHome((sink) => [...house(sink), channelIn({}, ["f"], []), func("f", "return { payload: 'fresh' };", ["out"]), channelOut()]);
    await home.say("one");
    assert.deepEqual(await home.heard(1), ["fresh"]);
  });

  it("lets an agent answer with a tool that is a flow: tool out, and a stock link out that returns", async () => {
    mock.on({ userMessage: "lights", hasToolResult: false }, { toolCalls: [{ name: "read_light", arguments: JSON.stringify({ room: "hall" }) }, { name: "by_link", arguments: "{}" }] });
    mock.on({ userMessage: "lights", hasToolResult: true }, { content: "The hall is lit." });
    await using home = await startHome((sink) => [
      tab, gateway, account(sink), aimock(), channelIn({}, ["agent"], []),
      on("agent", "clawflow-agent", { gateway: "gw", model: "model", system: "You are Home.", tools: [{ by: "all" }], live: false }, ["out"], ["dbg"]), channelOut(),
      on("t1", "clawflow-tool", { gateway: "gw", tool: "read_light", risk: "read", shared: true, params: [{ name: "room", type: "string", required: true }] }, ["t1f"]),
      func("t1f", "msg.payload = { room: msg.payload.room, on: true }; return msg;", ["t1o"]), on("t1o", "clawflow-tool-out", { field: "payload", fieldType: "msg" }),
      on("t2", "clawflow-tool", { gateway: "gw", tool: "by_link", risk: "read", shared: true, params: [] }, ["t2f"]),
      func("t2f", "msg.payload = 'came by link'; return msg;", ["t2l"]), on("t2l", "link out", { mode: "return", links: [] }),
    ]);
    await home.say("lights?");
    assert.deepEqual(await home.heard(1), ["The hall is lit."]);
    const last = mock.getRequests().at(-1)?.body as { messages: { role: string; content: string }[] };
    assert.deepEqual(last.messages.filter((one) => one.role === "tool").map((one) => one.content), ['{"room":"hall","on":true}', "came by link"]);
    assert.equal(last.messages[0]?.content, "You are Home.");
  });

  it("gives an object where JSON is wanted, and a fault where none comes", async () => {
    mock.on({ userMessage: "Answer again" }, { content: "Still words." });
    mock.onMessage("order", { content: 'Here: {"wish":"tea","count":2}' });
    mock.onMessage("nonsense", { content: "Just words." });
    await using home = await startHome((sink) => [
      tab, gateway, account(sink), aimock(), channelIn({}, ["agent"], []),
      on("agent", "clawflow-agent", { gateway: "gw", model: "model", json: true, params: [{ name: "wish", type: "string", required: true }, { name: "count", type: "integer", required: true }] }, ["f"], []),
      func("f", "msg.payload = msg.payload.count + ' of ' + msg.payload.wish + ' ' + msg.text; return msg;", ["out"]), channelOut(),
      on("catch", "catch", { scope: ["agent"] }, ["cf"]), func("cf", "msg.payload = 'CAUGHT ' + msg.error.message; return msg;", ["out"]),
    ]);
    await home.say("order, please");
    assert.deepEqual(await home.heard(1, 30_000), ['2 of tea {"wish":"tea","count":2}']);
    const asked = (mock.getRequests().at(-1) ?? assert.fail("nothing was asked")).body as { response_format?: { type: string; json_schema: { strict: boolean; schema: { required: string[] } } } };
    const format = asked.response_format ?? assert.fail("no form was asked for");
    assert.deepEqual([format.type, format.json_schema.strict, format.json_schema.schema.required], ["json_schema", true, ["wish", "count"]]);
    await home.say("nonsense");
    assert.match((await home.heard(2, 30_000))[1] ?? "", /CAUGHT .*MODEL_007/s);
  });

  it("offers the provider's models and the price in the form, the user's own prices first", async () => {
    await using home = await startHome((sink) => [...house(sink)]);
    const ask = async (path: string, body: object) => (await home.red.fetch(`/clawflow/${path}`, { method: "POST", headers: { "content-type": "application/json", origin: home.red.url }, body: JSON.stringify(body) })).json() as Promise<Record<string, unknown>>;
    const offered = await ask("try/models", { provider: "openai", baseUrl: `${mock.url}/v1`, credentials: { key: "sk-test" } });
    assert.ok(Array.isArray(offered.models) && offered.models.length > 0 && offered.problem === undefined, JSON.stringify(offered));
    assert.deepEqual(await ask("try/models", { provider: "openai", credentials: {} }), { models: [], problem: "Expected a key of OpenAI, got none." });
    assert.match(String((await ask("try/models", { provider: "openai", baseUrl: "http://127.0.0.1:1/v1", credentials: { key: "sk-test" } })).problem), /could not be reached|Could not reach/);
    const known = await ask("model/price", { provider: "openai", model: "gpt-4o" });
    assert.deepEqual([(known.price as { input: number }).input, known.asOf], [2.5, PRICES.asOf]);
    assert.deepEqual(await ask("model/price", { provider: "openai", model: "nobody" }), {});
    mkdirSync(path.join(home.red.userDir, "clawflow"), { recursive: true });
    const file = path.join(home.red.userDir, "clawflow", "prices.json");
    writeFileSync(file, '{"asOf":"2026-11-02","prices":[{"provider":"openai","model":"gpt-4o","input":9,"output":9}]}');
    assert.equal((await ask("model/price", { provider: "openai", model: "gpt-4o" })).asOf, "2026-11-02");
    writeFileSync(file, "{");
    assert.match(JSON.stringify(await ask("model/price", { provider: "openai", model: "gpt-4o" })), /CONF_001.*Expected JSON in/);
  });

  it("tells the model when a tool flow throws, is caught, never answers, or answers twice", async () => {
    const names = ["throws", "caught", "silent", "twice"];
    mock.on({ userMessage: "go", hasToolResult: false }, { toolCalls: names.map((name) => ({ name, arguments: "{}" })) });
    mock.on({ userMessage: "go", hasToolResult: true }, { content: "done" });
    const tool = (name: string, next: string) => on(`tool-${name}`, "clawflow-tool", { gateway: "gw", tool: name, risk: "read", shared: true, params: [], timeoutSeconds: 2 }, [next]);
    await using home = await startHome((sink) => [
      tab, gateway, account(sink), aimock(), channelIn({}, ["agent"], []),
      on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [{ by: "all" }], live: false }, ["out"], []), channelOut(),
      tool("throws", "f1"), func("f1", "throw new Error('the bridge is offline');", ["o1"]), on("o1", "clawflow-tool-out"),
      tool("caught", "f2"), func("f2", "node.error('broken', msg); return null;", []), on("catch", "catch", { scope: ["f2"] }, ["f2c"]), func("f2c", "msg.payload = 'caught it'; return msg;", ["o1"]),
      tool("silent", "f3"), func("f3", "return null;", []),
      tool("twice", "f4"), func("f4", "return [[msg, RED.util.cloneMessage(msg)]];", ["o1"]),
    ]);
    await home.say("go");
    await home.heard(1, 15_000);
    const last = mock.getRequests().at(-1)?.body as { messages: { role: string; content: string }[] };
    const results = last.messages.filter((one) => one.role === "tool").map((one) => one.content);
    assert.match(results[0] ?? "", /TOOL_003.*bridge is offline/);
    assert.equal(results[1], "caught it");
    assert.match(results[2] ?? "", /TOOL_002.*2 s/);
    assert.equal(results[3], "{}");
    assert.match(lines(home), /second time/);
  });

  it("gives errors to Catch with code and remedy, and shows nothing of them in the chat", async () => {
    mock.on({ userMessage: "x" }, { error: { message: "bad key sk-test", type: "invalid_request_error" }, status: 401 } as never);
    await using home = await startHome((sink) => [
      tab, gateway, account(sink), aimock(), channelIn({}, ["agent"], []), on("agent", "clawflow-agent", { gateway: "gw", model: "model", live: false }, ["out"], []), channelOut(),
      on("catch", "catch", { scope: ["agent"] }, ["cf"]), func("cf", "node.warn('CAUGHT ' + msg.error.message); return null;", []),
    ]);
    await home.say("x");
    const caught = await home.red.waitForLog(/CAUGHT/);
    assert.match(caught, /MODEL_002/);
    assert.doesNotMatch(lines(home), /sk-test/);
    assert.deepEqual(home.texts(), []);
    await home.say("y");
  });

  it("goes on where it was when Node-RED is killed in the middle, and calls no finished step again", async () => {
    mock.on({ userMessage: "slow" }, { content: "patience pays" });
    await using home = await startHome((sink) => [
      tab, gateway, account(sink), aimock(), channelIn({}, ["agent"], []), on("agent", "clawflow-agent", { gateway: "gw", model: "model", live: false }, ["wait"], []),
      on("wait", "delay", { pauseType: "delay", timeout: "2", timeoutUnits: "seconds", rate: "1", nbRateUnits: "1", rateUnits: "second", outputs: 1 }, ["out"]), channelOut(),
    ]);
    await home.say("slow", { id: "k1" });
    await until(() => mock.getRequests().length === 1, "the model's call");
    await new Promise((resolve) => setTimeout(resolve, 300));
    await home.red.kill();
    assert.deepEqual(home.texts(), []);
    await home.red.start();
    assert.deepEqual(await home.heard(1, 15_000), ["patience pays"]);
    assert.equal(mock.getRequests().length, 1, "the model's answer came from the journal");
    assert.equal(await home.say("slow", { id: "k1" }), "duplicate");
  });

  it("loses nothing and doubles nothing over deploys of every kind in the middle of a run", async () => {
    const flow = (sink: Sink, mark: string): FlowNode[] => [
      ...house(sink), channelIn({}, ["f"], []), func("f", `await new Promise((r) => setTimeout(r, 700)); msg.payload = 'said ${mark === "" ? "" : ""}' + msg.payload; return msg;${mark}`, ["out"]), channelOut(),
    ];
    await using home = await startHome((sink) => flow(sink, ""));
    for (const [n, type] of (["full", "flows", "nodes"] as const).entries()) {
      await home.say(`m${n}`);
      await new Promise((resolve) => setTimeout(resolve, 150));
      await home.red.deploy(flow(home.sink, ` // ${type}`), type);
      assert.equal((await home.heard(n + 1)).at(-1), `said m${n}`, type);
    }
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.deepEqual(home.texts(), ["said m0", "said m1", "said m2"]);
  });

  it("tells the model at once of tools whose flow a deploy took away, and that nobody knows whether one that changes something did it", async () => {
    mock.on({ userMessage: "go", hasToolResult: false }, { toolCalls: ["looks", "does"].map((name) => ({ name, arguments: "{}" })) });
    mock.on({ userMessage: "go", hasToolResult: true }, { content: "done" });
    const tool = (name: string, risk: string) => on(`tool-${name}`, "clawflow-tool", { gateway: "gw", tool: name, risk, shared: true, params: [], timeoutSeconds: 600 }, [`${name}-waits`]);
    const slow = (name: string, mark: string) => func(`${name}-waits`, `node.warn("AT WORK ${name}"); await new Promise(() => {});${mark}`, ["end"]);
    const flow = (sink: Sink, mark: string): FlowNode[] => [
      tab, gateway, account(sink), aimock(), channelIn({}, ["agent"], []), on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [{ by: "all" }], live: false }, ["out"], []), channelOut(),
      tool("looks", "read"), slow("looks", mark), tool("does", "write"), slow("does", mark), on("end", "clawflow-tool-out"),
    ];
    await using home = await startHome((sink) => flow(sink, ""));
    await home.red.admin("POST", "/clawflow/gateway/gw/people", { channel: "echo", account: "echo", id: "hal", name: "hal", trust: "paired" });
    for (const [n, type] of (["nodes", "flows", "full"] as const).entries()) {
      await home.say("go", { from: "hal", chat: `c${n}` });
      await until(() => lines(home).split("AT WORK").length === 3 + 2 * n, "both tools to be at work", 20_000);
      await home.red.deploy(flow(home.sink, ` // ${type}`), type);
      assert.equal((await home.heard(n + 1)).at(-1), "done", type);
      const { messages } = (mock.getRequests().at(-1) ?? assert.fail("nothing was asked")).body as { messages: { role: string; content: string }[] };
      const [looked = "", did = ""] = messages.filter(({ role }) => role === "tool").map(({ content }) => content);
      assert.match(looked, /TOOL_003.*stopped by a deploy.*call it again/, type);
      assert.match(did, /TOOL_005.*unknown: its flow was stopped by a deploy.*Do not repeat/, type);
    }
  });

  it("lets an answer that is on its way arrive when a deploy changes its account, and sends it no second time", async () => {
    const flow = (sink: Sink, closeMs: number): FlowNode[] => [tab, gateway, account(sink, { settings: { sink: sink.url, closeMs } }), channelIn({}, ["out"], []), channelOut()];
    await using home = await startHome((sink) => flow(sink, 0));
    const answer = Promise.withResolvers<undefined>();
    let asked = 0;
    home.sink.fault = () => { asked++; return answer.promise; };
    await home.say("first");
    await until(() => asked === 1, "an answer on its way");
    await home.red.deploy(flow(home.sink, 1), "nodes");
    await new Promise((resolve) => { setTimeout(resolve, 500); });
    answer.resolve(undefined);
    await home.heard(1);
    await home.say("second");
    await home.heard(2);
    assert.deepEqual([home.texts(), asked], [["first", "second"], 2]);
  });

  it("keeps a message that comes while no flow is there until one is deployed", async () => {
    await using home = await startHome((sink) => [...house(sink)]);
    assert.equal(await home.say("early"), "saved");
    await home.red.deploy([...house(home.sink), channelIn({}, ["out"], []), channelOut()]);
    assert.deepEqual(await home.heard(1), ["early"]);
  });

  it("sends strangers to the second output and nowhere else, until the owner lets them in", async () => {
    await using home = await startHome((sink) => [tab, gateway, account(sink, { policy: "owner" }), channelIn({}, ["out"], ["f"]), func("f", "node.warn('REFUSED ' + msg.message.sender.id); return null;", []), channelOut()]);
    assert.equal(await home.say("hi", { from: "eve" }), "refused");
    await home.red.waitForLog(/REFUSED eve/);
    const { ownerCode } = await home.red.admin<{ ownerCode: string }>("GET", "/clawflow/gateway/gw/owner-code");
    assert.equal(await home.say(ownerCode, { from: "me" }), "saved");
    await home.heard(1);
    assert.equal(await home.say("I am in", { from: "me" }), "saved");
    assert.equal((await home.heard(2))[1], "I am in");
    await home.red.admin("POST", "/clawflow/gateway/gw/people", { channel: "echo", account: "echo", id: "eve", name: "Eve", trust: "allowed" });
    assert.equal(await home.say("me too", { from: "eve" }), "saved");
    assert.equal((await home.heard(3))[2], "me too");
  });

  it("tells the truth in the receipt: sent with the id, queued, or failed and why", async () => {
    await using home = await startHome((sink) => [...house(sink), channelIn({}, ["out"], []), channelOut("out", {}, ["f"]), func("f", "node.warn('RECEIPT ' + JSON.stringify(msg.receipt)); return null;", [])]);
    await home.say("fine");
    assert.match(await home.red.waitForLog(/RECEIPT/), /"state":"sent","ref":"m1"/);
    home.sink.fault = () => ({ code: "MSG_002", retry: "no", text: "kicked" });
    let from = home.red.lines.length;
    await home.say("bad");
    assert.match(await home.red.waitForLog(/RECEIPT/, 5_000, from), /"state":"failed","code":"MSG_002","text":"kicked"/);
    home.sink.fault = () => ({ code: "CONN_003", retry: "later", afterMs: 500, text: "slow down" });
    from = home.red.lines.length;
    await home.say("flood");
    assert.match(await home.red.waitForLog(/RECEIPT/, 5_000, from), /"state":"queued"/);
    home.sink.fault = undefined;
    assert.deepEqual(await home.heard(2), ["fine", "flood"]);
  });

  it("routes by rules, says why, and takes the else port", async () => {
    const rules = [{ id: "r1", name: "help", rows: [{ field: "text", test: "startsWith", value: "help" }] }, { id: "r2", name: "group", rows: [{ field: "place", test: "is", value: "group" }] }];
    await using home = await startHome((sink) => [
      ...house(sink), channelIn({ addressed: false }, ["route"], []), on("route", "clawflow-route", { mode: "first", rules, hasElse: true, outputs: 3 }, ["a"], ["b"], ["c"]),
      func("a", "msg.payload = 'A ' + msg.route.rule; return msg;", ["out"]), func("b", "msg.payload = 'B ' + msg.route.rule; return msg;", ["out"]), func("c", "msg.payload = 'C ' + msg.route.rule; return msg;", ["out"]), channelOut(),
    ]);
    await home.say("help me");
    await home.say("hello", { where: "group", chat: "g1" });
    await home.say("hello", { chat: "c9" });
    assert.deepEqual((await home.heard(3)).sort(), ["A help", "B group", "C else"]);
  });

  it("names a missing gateway, a missing account and a missing model, and goes on", async () => {
    await using home = await startHome((sink) => [
      ...house(sink), channelIn({}, ["agent", "out"], []), channelOut(),
      on("agent", "clawflow-agent", { gateway: "gw", model: "gone" }, [], []), on("lost", "clawflow-channel-out", { gateway: "nowhere" }),
      on("catch", "catch", { scope: null }, ["cf"]), func("cf", "node.warn('CAUGHT ' + msg.error.message); return null;", []),
    ]);
    await home.say("still here");
    assert.deepEqual(await home.heard(1), ["still here"]);
    assert.match(await home.red.waitForLog(/CAUGHT/), /CONF_002.*model/);
  });

  it("does not start twice on one store: the second names it, and takes over when the first is gone", async () => {
    await using home = await startHome((sink) => [...house(sink), channelIn({}, ["out"], []), channelOut()]);
    const { startNodeRed } = await import("../rigs/node-red.ts");
    const { cpSync, mkdtempSync, symlinkSync, rmSync } = await import("node:fs");
    const { tmpdir } = await import("node:os");
    const path = await import("node:path");
    const other = mkdtempSync(path.join(tmpdir(), "second-"));
    cpSync(path.join(home.red.userDir, "node_modules"), path.join(other, "node_modules"), { recursive: true, verbatimSymlinks: true });
    symlinkSync(path.join(home.red.userDir, "clawflow"), path.join(other, "clawflow"));
    await using second = await startNodeRed({ userDir: other, clawflow: false, flows: [...house(home.sink), channelIn({}, ["out"], []), channelOut()] });
    await second.waitForLog(/STORE_004/);
    await home.red.kill();
    await until(async () => ((await second.admin<{ counts?: object }>("GET", "/clawflow/gateway/gw")).counts !== undefined), "the takeover", 15_000);
    rmSync(other, { recursive: true, force: true });
  });
});
