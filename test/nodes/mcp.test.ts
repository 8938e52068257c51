/** MCP in a real Node-RED: servers as tools of an agent, and our own tools for a client. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { LLMock } from "@copilotkit/aimock";
import { account, gateway, model, on, startHome, tab, type Home } from "../rigs/home.ts";
import { until } from "../kit/scripted.ts";
import { alive, everythingPath, freePort } from "../mcp/source.ts";

const TOKEN = "0123456789abcdef0123456789abcdef";
const func = (id: string, code: string, ...wires: string[][]) => on(id, "function", { func: code, outputs: wires.length || 1, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
const childrenOf = (pid: number): number[] => readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter((id) => id !== "").map(Number).filter(alive);

describe("MCP in a real Node-RED", function () {
  this.timeout(600_000);
  let mock: LLMock;
  before(async () => { mock = new LLMock({ port: 0 }); await mock.start(); });
  after(async () => { await mock.stop(); });

  it("gives an agent the tools of the everything server, over stdio and over HTTP, and ends its process with the node", async () => {
    const port = await freePort();
    const remote = spawn(process.execPath, [everythingPath, "streamableHttp"], { env: { ...process.env, PORT: String(port) }, stdio: "ignore" });
    const calls = [["ev_echo", { message: "hello" }], ["ev_get-sum", { a: 2, b: 40 }], ["ev_get-tiny-image", {}], ["web_echo", { message: "by http" }], ["ev_get-env", {}]] as const;
    mock.on({ userMessage: "go", hasToolResult: false }, { toolCalls: calls.map(([name, input]) => ({ name, arguments: JSON.stringify(input) })) });
    mock.on({ userMessage: "go", hasToolResult: true }, { content: "all done" });
    const row = (tool: string) => ({ tool, risk: "read" });
    const flow = (servers: boolean) => (sink: Parameters<typeof account>[0]) => [
      tab, gateway, account(sink), model({ provider: "openai", model: "gpt-4o", baseUrl: `${mock.url}/v1`, credentials: { key: "sk-test" } }),
      on("in", "clawflow-channel-in", { gateway: "gw", accounts: [] }, ["agent"], []), on("agent", "clawflow-agent", { gateway: "gw", model: "model", tools: [{ by: "all" }], live: false }, ["out"], []), on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }),
      ...servers ? [
        on("ev", "clawflow-mcp", { gateway: "gw", transport: "stdio", command: process.execPath, args: [everythingPath, "stdio"], prefix: "ev", rows: [row("echo"), row("get-sum"), row("get-tiny-image"), { tool: "get-env", risk: "off" }], shared: true, credentials: { env: "SECRET_OF_SERVER=opensesame1234" } }),
        on("web", "clawflow-mcp", { gateway: "gw", transport: "http", url: `http://127.0.0.1:${port}/mcp`, privateNetwork: true, prefix: "web", rows: [row("echo")], shared: true }),
        on("priv", "clawflow-mcp", { gateway: "gw", transport: "http", url: `http://127.0.0.1:${port}/mcp`, prefix: "priv", fresh: "dangerous" }),
        on("none", "clawflow-mcp", { gateway: "gw", transport: "stdio", command: "no-such-program-here", prefix: "none" }),
      ] : [],
    ];
    try {
      await using home: Home = await startHome(flow(true), { startMs: 280_000 });
      await home.red.waitForLog(/SEC_003/, 60_000);
      await home.red.waitForLog(/MCP_001.*no-such-program-here/, 60_000);
      await until(() => childrenOf(home.red.pid).length === 1, "the server's process", 60_000);
      const sees = async () => ((await home.red.admin<{ tools?: { tool: string }[] }>("POST", "/clawflow/try/mcp", { transport: "stdio", command: process.execPath, args: [everythingPath, "stdio"], prefix: "ev", credentials: {} })).tools ?? []).map(({ tool }) => tool);
      assert.ok((await sees()).includes("echo"));
      await home.say("go");
      assert.deepEqual(await home.heard(1, 120_000), ["all done"]);
      const last = mock.getRequests().at(-1)?.body as { tools: { function: { name: string } }[]; messages: { role: string; content: string }[] };
      assert.deepEqual(last.tools.map((tool) => tool.function.name).sort(), ["ev_echo", "ev_get-sum", "ev_get-tiny-image", "web_echo"], "what nobody allowed is not offered");
      const results = last.messages.filter((one) => one.role === "tool").map((one) => one.content);
      assert.equal(results[0], "Echo: hello");
      assert.match(results[1] ?? "", /42/);
      assert.match(results[2] ?? "", /image\/png, \d+ bytes, kept as spool:[0-9a-f]{32}/);
      assert.equal(results[3], "Echo: by http");
      assert.match(results[4] ?? "", /There is no tool "ev_get-env"/);
      const [child = 0] = childrenOf(home.red.pid);
      await home.red.deploy(flow(false)(home.sink), "nodes");
      await until(() => !alive(child), "the end of the server's process", 60_000);
      // The list is kept: after a restart the tools are there before any process is.
      await home.red.deploy(flow(true)(home.sink), "full");
      await home.red.restart();
      await home.say("go", { chat: "c2" });
      assert.equal((await home.heard(2, 120_000)).length, 2);
      assert.doesNotMatch(home.red.lines.join("\n"), /opensesame1234/);
    } finally {
      remote.kill("SIGKILL");
    }
  });

  it("offers its own tools to a client with the token, as runs on disk, judged by the policy, and to nobody else", async () => {
    await using home: Home = await startHome((sink) => [
      tab, gateway, account(sink), model(),
      on("t1", "clawflow-tool", { gateway: "gw", tool: "add", description: "Adds two numbers.", risk: "read", params: [{ name: "a", type: "number", required: true }, { name: "b", type: "number", required: true }] }, ["f1"]),
      func("f1", "node.warn('ADDED ' + msg.run.id); msg.payload = msg.payload.a + msg.payload.b; return msg;", ["o"]), on("o", "clawflow-tool-out", { field: "payload", fieldType: "msg" }),
      on("t2", "clawflow-tool", { gateway: "gw", tool: "unlock", description: "Opens the door.", risk: "dangerous", params: [] }, ["f2"]), func("f2", "node.warn('UNLOCKED'); return msg;", ["o"]),
      on("t3", "clawflow-tool", { gateway: "gw", tool: "hidden", description: "Not offered.", risk: "read", params: [] }, ["o"]),
      on("t4", "clawflow-tool", { gateway: "gw", tool: "slow", description: "Takes its time.", risk: "write", params: [] }, ["f4"]), func("f4", "node.warn('SLOW'); setTimeout(() => node.send(msg), 60000); return null;", ["o"]),
      on("srv", "clawflow-mcp-server", { gateway: "gw", tools: [{ by: "name", value: "add" }, { by: "name", value: "unlock" }, { by: "name", value: "slow" }], trust: "paired", credentials: { token: TOKEN } }),
    ], { startMs: 280_000 });
    const url = `${home.red.url}/clawflow/home/mcp`;
    const raw = (headers: Record<string, string>) => new Promise<number>((resolve, reject) => {
      const req = request(url, { method: "POST", headers: { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers } }, (res) => { res.resume(); resolve(res.statusCode ?? 0); });
      req.on("error", reject).end(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" }));
    });
    const auth = { authorization: `Bearer ${TOKEN}` };
    await until(async () => (await raw(auth)) === 200, "the server", 60_000);
    assert.equal(await raw({}), 401);
    assert.equal(await raw({ authorization: `Bearer ${TOKEN}x` }), 401);
    assert.equal(await raw({ ...auth, host: "evil.example" }), 403);
    assert.equal(await raw({ ...auth, origin: "http://evil.example" }), 403);
    assert.equal(await raw({ ...auth, origin: "http://192.0.2.1" }), 403);

    const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: "auto" } });
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: auth } }));
    const { tools } = await client.listTools();
    assert.deepEqual(tools.map((tool) => tool.name).sort(), ["add", "slow", "unlock"]);
    const text = (result: { content: { type: string; text?: string }[] }) => result.content.map((part) => part.text ?? "").join("");
    assert.equal(text(await client.callTool({ name: "add", arguments: { a: 2, b: 40 } }) as never), "42");
    assert.match(await home.red.waitForLog(/ADDED/), /ADDED \S+/);
    const wrong = await client.callTool({ name: "add", arguments: { a: "two" } });
    assert.ok(wrong.isError && /TOOL_001/.test(text(wrong as never)));
    const refused = await client.callTool({ name: "unlock", arguments: {} });
    assert.ok(refused.isError && /TOOL_004/.test(text(refused as never)), "there is no owner who could be asked");
    await assert.rejects(client.callTool({ name: "hidden", arguments: {} }), /no tool/);
    assert.doesNotMatch(home.red.lines.join("\n"), /UNLOCKED/);
    const { ownerCode } = await home.red.admin<{ ownerCode: string }>("POST", "/clawflow/gateway/gw/owner-code", {});
    await home.say(ownerCode);
    await home.heard(1, 60_000);
    const asked = client.callTool({ name: "unlock", arguments: {} }, { timeout: 120_000 });
    const question = (await home.heard(2, 60_000))[1] ?? "";
    assert.match(question, /unlock/);
    await home.say(`/approve ${/\/approve (\w+)/.exec(question)?.[1]}`);
    assert.ok(!(await asked).isError);
    assert.match(home.red.lines.join("\n"), /UNLOCKED/);
    // Killed in the middle: what changes something is not done a second time.
    client.callTool({ name: "slow", arguments: {} }).catch(() => undefined);
    await home.red.waitForLog(/SLOW/);
    await new Promise((resolve) => setTimeout(resolve, 500));
    await home.red.kill();
    await client.close().catch(() => undefined);
    await home.red.start();
    await until(async () => ((await home.red.admin<{ counts?: { pending: number } }>("GET", "/clawflow/gateway/gw")).counts?.pending ?? 1) === 0, "the end of the run", 60_000);
    assert.equal(home.red.lines.filter((line) => line.includes("SLOW")).length, 1);
  });
});
