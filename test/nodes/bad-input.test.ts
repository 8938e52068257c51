import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { until } from "../kit/scripted.ts";
import { startTelegram, type TelegramStub } from "../platforms/telegram.ts";
import { watchStatuses, type Statuses } from "../rigs/comms.ts";
import { account, gateway, on, startHome, tab, type Home, type Sink } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/node-red.ts";

type Json = Record<string, unknown>;
const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length || 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const out = (id = "out", more: Json = {}) => on(id, "clawflow-channel-out", { gateway: "gw", action: "reply", ...more }, []);
const gatewayOf = (slug: string, more: Json = {}): FlowNode => ({ ...gateway, id: `gw-${slug}`, name: slug, slug, ...more });
const telegram = (id: string, token: string, apiRoot: string): FlowNode => ({ id, type: "clawflow-account", name: `tg-${id}`, gateway: "gw", slug: `tg-${id}`, channel: "telegram", policy: "open", version: 1, settings: { mode: "polling", apiRoot }, credentials: { token } });

/** What a model's server may say in place of an answer, by the first part of the path. */
const NONSENSE: Record<string, (response: ServerResponse) => void> = {
  html: (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html><body>Sign in to the Wi-Fi</body></html>"),
  empty: (response) => response.writeHead(200, { "content-type": "text/event-stream" }).end(),
  cut: (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"half an ans"},"finish_reason":null}]}\n\n');
    setTimeout(() => response.destroy(), 50);
  },
  garbage: (response) => response.writeHead(200, { "content-type": "text/event-stream" }).end("data: {this is no json\n\ndata: [DONE]\n\n"),
  refused: (response) => response.writeHead(401, { "content-type": "application/json" }).end('{"error":{"message":"bad key","type":"invalid_request_error"}}'),
};
const KINDS = [...Object.keys(NONSENSE), "away"];

describe("bad input", function () {
  this.timeout(60_000);
  let userDir: string;
  let home: Home;
  let statuses: Statuses;
  let telegramStub: TelegramStub;
  let modelServer: Server;
  const folder = (slug: string) => path.join(userDir, "clawflow", slug);

  function flow(sink: Sink): FlowNode[] {
    const modelUrl = `http://127.0.0.1:${(modelServer.address() as AddressInfo).port}`;
    const modelNode = (id: string, baseUrl: string, more: Json = {}): FlowNode => ({ id, type: "clawflow-model", name: `the ${id}`, gateway: "gw", provider: "openai", model: "gpt", baseUrl, version: 1, credentials: { key: "sk-test" }, ...more });
    const agent = (id: string, model: string, more: Json = {}) => on(id, "clawflow-agent", { gateway: "gw", model, live: false, ...more }, ["out"], []);
    const tool = (id: string, name: string, more: Json = {}) => on(id, "clawflow-tool", { gateway: "gw", tool: name, risk: "read", shared: true, params: [], ...more }, []);
    const channelIn = (id: string, more: Json = {}) => on(id, "clawflow-channel-in", { gateway: "gw", accounts: [], ...more }, ["out"], []);
    const talks = ["template", "off", "toolless", ...KINDS];
    return [
      tab, gateway, gatewayOf("corrupt"), gatewayOf("newer"), gatewayOf("blocked"), gatewayOf("off", { d: true }), gatewayOf("future", { version: 99 }),
      account(sink), account(sink, { id: "acc-twin" }), account(sink, { id: "acc-unknown", slug: "unknown", channel: "carrier-pigeon" }), account(sink, { id: "acc-off", slug: "off", d: true }),
      ...["corrupt", "newer", "blocked"].map((slug) => account(sink, { id: `acc-${slug}`, gateway: `gw-${slug}` })),
      telegram("wrong-token", "987654321:AAHwrongWRONGwrongWRONGwrongWRONG", telegramStub.url), telegram("no-network", telegramStub.token, "http://127.0.0.1:9"), telegram("no-token", "", telegramStub.url),
      on("in", "clawflow-channel-in", { gateway: "gw", accounts: ["acc"] }, ["switch"], []),
      func("switch", `const at = ${JSON.stringify(talks)}.indexOf(msg.message.at.chat);\nconst outs = new Array(${talks.length + 1}).fill(null);\nif (at < 0) msg.payload = 'got ' + msg.payload.length;\nouts[at < 0 ? ${talks.length} : at] = msg; return outs;`, ...talks.map((chat) => [`agent-${chat}`]), ["out"]),
      agent("agent-template", "model-html", { system: "You are {{ name | nonsense }}" }), agent("agent-off", "model-off"), agent("agent-toolless", "model-practice", { tools: [{ by: "all" }] }),
      ...KINDS.map((kind) => agent(`agent-${kind}`, `model-${kind}`)), ...Object.keys(NONSENSE).map((kind) => modelNode(`model-${kind}`, `${modelUrl}/${kind}/v1`)),
      modelNode("model-away", "http://127.0.0.1:9/v1"), modelNode("model-off", `${modelUrl}/html/v1`, { d: true }), modelNode("model-practice", "", { provider: "practice" }), out(),
      channelIn("in-none", { gateway: "" }), channelIn("in-off", { gateway: "gw-off" }), channelIn("in-future", { gateway: "gw-future" }), channelIn("in-new", { version: 2 }), channelIn("in-lost", { accounts: ["acc-off"] }),
      channelIn("in-telegram", { accounts: ["wrong-token", "no-network"] }), ...["corrupt", "newer", "blocked"].map((slug) => channelIn(`in-${slug}`, { gateway: `gw-${slug}` })),
      tool("tool-json", "broken_json", { schemaMode: true, schema: "{ no" }), tool("tool-schema", "broken_schema", { schemaMode: true, schema: '{"type":"objekt"}' }), tool("tool-name", "no name!"), tool("tool-one", "twin"), tool("tool-two", "twin"),
      on("hook-one", "clawflow-webhook", { gateway: "gw", path: "same", verify: "bearer", credentials: { secret: "s3cret-s3cret" } }, []), on("hook-two", "clawflow-webhook", { gateway: "gw", path: "/same/", verify: "bearer", credentials: { secret: "s3cret-s3cret" } }, []),
      on("hook-secret", "clawflow-webhook", { gateway: "gw", path: "secretless", verify: "hmac", header: "x-signature" }, []),
      on("rules", "clawflow-route", { mode: "first", rules: [{ id: "r", name: "r", rows: [{ field: "text", test: "pattern", value: "(?=a)b(" }] }], outputs: 2 }, [], []),
      on("catch", "catch", { scope: null }, ["caught"]), func("caught", "node.warn('CAUGHT ' + JSON.stringify({ id: msg.error.source.id, text: msg.error.message, chat: msg.message?.at.chat })); return null;"),
    ];
  }

  before(async () => {
    userDir = mkdtempSync(path.join(tmpdir(), "clawflow-bad-"));
    mkdirSync(folder("corrupt"), { recursive: true });
    writeFileSync(path.join(folder("corrupt"), "store.sqlite"), "this is no database ".repeat(1000));
    mkdirSync(folder("newer"), { recursive: true });
    const newer = new DatabaseSync(path.join(folder("newer"), "store.sqlite"));
    newer.exec("CREATE TABLE future (a); PRAGMA user_version = 999");
    newer.close();
    // A file in the folder's place: nobody can read it as a folder, whoever runs this.
    writeFileSync(folder("blocked"), "in the way");
    telegramStub = await startTelegram();
    modelServer = createServer((request, response) => { request.resume(); (NONSENSE[(request.url ?? "").split("/")[1] ?? ""] ?? ((other) => other.writeHead(404).end()))(response); });
    await new Promise<void>((resolve) => { modelServer.listen(0, "127.0.0.1", resolve); });
    home = await startHome(flow, { userDir });
    statuses = await watchStatuses(home.red);
  });
  after(async () => {
    statuses?.[Symbol.dispose]();
    await home?.[Symbol.asyncDispose]();
    await telegramStub?.close();
    await new Promise((resolve) => { modelServer.closeAllConnections(); modelServer.close(resolve); });
    rmSync(userDir, { recursive: true, force: true });
  });
  afterEach(async () => { assert.equal((await home.red.fetch("/settings")).status, 200, "Node-RED goes on"); });

  interface Overview { readonly deployed: boolean; readonly accounts: { id: string; state: string; code?: string; text?: string }[]; readonly problems: { code: string; text: string }[]; readonly counts?: { received: number; pending: number; done: number; dead: number; outbox: Json } }
  const overview = (id = "gw") => home.red.admin<Overview>("GET", `/clawflow/gateway/${id}`);
  const line = (pattern: RegExp) => home.red.waitForLog(pattern);
  const caught = () => home.red.lines.flatMap((one) => (one.includes("CAUGHT ") ? [JSON.parse(one.slice(one.indexOf("CAUGHT ") + 7)) as { id: string; text: string; chat?: string }] : []));
  async function agentSays(chat: string): Promise<string> {
    assert.equal(await home.say("hello", { chat }), "saved");
    await until(() => caught().some((one) => one.id === `agent-${chat}`), `the error of ${chat}`, 20_000);
    return caught().find((one) => one.id === `agent-${chat}`)?.text ?? "";
  }
  /** Posts to the echo account of another gateway. */
  const knock = (slug: string) => home.red.fetch(`/clawflow/${slug}/echo`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id: "k1", text: "kept?" }) });

  it("a wrong token, no network, no token, an unknown channel, a name twice", async () => {
    const stateOf = async (id: string) => (await overview()).accounts.find((one) => one.id === id);
    await until(async () => (await stateOf("no-network"))?.code !== undefined && (await stateOf("wrong-token"))?.code !== undefined, "both faults", 15_000);
    const wrong = await stateOf("wrong-token");
    assert.deepEqual([wrong?.state, wrong?.code], ["failed", "CONN_002"]);
    assert.match(wrong?.text ?? "", /BotFather/);
    for (const id of ["no-token", "acc-unknown", "acc-twin"]) assert.deepEqual([(await stateOf(id))?.state, (await stateOf(id))?.code], ["failed", "CONF_001"], id);
    const away = await stateOf("no-network");
    assert.equal(away?.code, "CONN_001");
    await statuses.wait("in-telegram", /CONN_002: tg-wrong-token/);
    assert.match(await line(/clawflow-account:tg-no-token/), /\[CONF_001\] .*token is missing.*Open the node/);
    assert.match(await line(/carrier-pigeon/), /\[CONF_001\] .*Is its package installed\?/);
    assert.match(await line(/"echo" twice/), /\[CONF_001\]/);
    assert.doesNotMatch(home.red.log(), /AAHwrong/);
    assert.equal((await stateOf("acc"))?.state, "connected");
  });

  it("a flow without a gateway, a disabled gateway, account or model, a node of a newer ClawFlow", async () => {
    for (const [node, code] of [["in-none", /CONF_002.*none/], ["in-off", /CONF_002.*missing or disabled/], ["in-lost", /CONF_002.*missing or disabled/], ["in-new", /CONF_001.*made by a newer ClawFlow/], ["in-future", /CONF_001.*made by a newer ClawFlow/], ["gw-future", /CONF_001.*made by a newer ClawFlow/]] as const) {
      assert.match(await line(new RegExp(`\\[error\\] \\[clawflow-[a-z-]+:${node === "gw-future" ? "future" : node}\\]`)), code);
    }
    for (const [node, code] of [["in-none", /CONF_002/], ["in-off", /CONF_002/], ["in-lost", /CONF_002/], ["in-new", /CONF_001/], ["in-future", /CONF_001/]] as const) await statuses.wait(node, code);
    await statuses.wait("agent-off", /CONF_002/);
    assert.match(await agentSays("off"), /\[CONF_002\] Expected a model to be chosen and enabled.*deploy/);
  });

  it("a path that is taken, a webhook without a secret", async () => {
    await statuses.wait("hook-two", /CONF_004/);
    assert.match(await line(/clawflow-webhook:hook-two/), /\[CONF_004\] .*"hooks\/same".*Choose another path/);
    assert.match(await line(/clawflow-webhook:hook-secret/), /\[CONF_001\] .*[Nn]o secret.*refused/);
    const post = (hook: string) => home.red.fetch(`/clawflow/hooks/${hook}`, { method: "POST", headers: { authorization: "Bearer s3cret-s3cret", "content-type": "application/json" }, body: '{"text":"x"}' });
    assert.deepEqual([(await post("same")).status, (await post("secretless")).status], [202, 404]);
  });

  it("a tool with an invalid schema or name, and two of one name", async () => {
    for (const [node, text] of [["tool-json", /JSON/], ["tool-schema", /objekt|schema/i], ["tool-name", /letters/], ["tool-two", /"twin" twice/]] as const) {
      await statuses.wait(node, /TOOL_006/);
      assert.match(await line(new RegExp(`clawflow-tool:${node}\\]`)), text);
    }
    assert.equal(await home.say("help", { chat: "toolless" }), "saved");
    await until(() => home.texts().some((text) => text.includes("practice model")), "the answer");
    assert.match(home.texts().find((text) => text.includes("practice model")) ?? "", /tools of this flow:\s+[-•`]+ ?`?twin/);
    assert.doesNotMatch(home.texts().join("\n"), /broken_|no name/);
  });

  it("a template error, a rule that is no pattern", async () => {
    await statuses.wait("agent-template", /AGENT_002/);
    assert.match(await agentSays("template"), /\[AGENT_002\] .*nonsense.*Correct the Liquid template/);
    await statuses.wait("rules", /CONF_003/);
    assert.match(await line(/clawflow-route:rules/), /\[CONF_003\] /);
  });

  for (const [kind, code] of [["html", "MODEL_00[17]"], ["empty", "MODEL_007"], ["cut", "MODEL_00[147]"], ["garbage", "MODEL_007"], ["refused", "MODEL_002"], ["away", "MODEL_001"]] as const) {
    it(`a model that answers nonsense: ${kind}`, async () => {
      const text = await agentSays(kind);
      assert.match(text, new RegExp(`^Error: \\[${code}\\] .+[.;] .+\\.$`, "s"));
      await until(() => new RegExp(code).test(statuses.of(`agent-${kind}`).at(-1)?.text ?? ""), "the code as the node's status, and as its last");
      assert.doesNotMatch(text, /sk-test/);
      assert.ok(!home.texts().some((one) => one.includes("half an ans")), "nothing half is said");
    });
  }

  it("a message of 1 MB, and one far too large", async () => {
    assert.equal(await home.say("x".repeat(1_000_000), { chat: "big" }), "saved");
    await until(() => home.texts().includes("got 1000000"), "the answer");
    const response = await home.red.fetch("/clawflow/home/echo", { method: "POST", headers: { "content-type": "application/json" }, body: "x".repeat(33 * 1024 * 1024) }).catch((error: Error) => error);
    if (response instanceof Response) assert.deepEqual([response.status, ((await response.json()) as { error: { code: string } }).error.code], [413, "MSG_003"]);
    assert.equal(await home.say("still there?", { chat: "small" }), "saved");
    await until(() => home.texts().includes("got 12"), "the next answer");
  });

  it("a store that is damaged is moved aside, and a new one works", async () => {
    assert.match(await line(/STORE_002/), /moved/);
    const { problems, deployed } = await overview("gw-corrupt");
    assert.deepEqual([deployed, problems[0]?.code], [true, "STORE_002"]);
    assert.ok(readdirSync(folder("corrupt")).length > 1, "the old file is still there");
    const response = await knock("corrupt");
    assert.deepEqual(await response.json(), { received: "saved" });
  });

  it("a store of a newer version is left alone and named on every node; nothing is taken from a platform meanwhile", async () => {
    assert.match(await line(/STORE_003/), /Update ClawFlow, or choose another folder/);
    await statuses.wait("in-newer", /STORE_003/);
    assert.equal((await overview("gw-newer")).problems[0]?.code, "STORE_003");
    const response = await knock("newer");
    assert.deepEqual([response.status, response.headers.get("retry-after")], [503, "5"]);
    const store = new DatabaseSync(path.join(folder("newer"), "store.sqlite"), { readOnly: true });
    assert.equal((store.prepare("PRAGMA user_version").get() as { user_version: number }).user_version, 999);
    store.close();
  });

  it("a folder that cannot be used is named, and used as soon as it can", async () => {
    assert.match(await line(/STORE_001/), /blocked.*rights/);
    await statuses.wait("in-blocked", /STORE_001/);
    assert.equal((await knock("blocked")).status, 503);
    rmSync(folder("blocked"));
    await until(async () => (await knock("blocked")).status === 200, "the gateway", 10_000);
    assert.deepEqual((await overview("gw-blocked")).problems, []);
    assert.equal(home.red.lines.filter((one) => one.includes("STORE_001")).length, 1, "told once, though it was tried again and again");
  });

  it("loses nothing: every message that was taken came to its end", async () => {
    await until(async () => (await overview()).counts?.pending === 0, "the end of all runs");
    const { counts } = await overview();
    assert.equal((counts?.done ?? 0) + (counts?.dead ?? 0), counts?.received);
    assert.deepEqual([counts?.dead, counts?.outbox.planned, counts?.outbox.sending], [0, 0, 0]);
    assert.ok((counts?.received ?? 0) >= KINDS.length + 5, JSON.stringify(counts));
  });
});
