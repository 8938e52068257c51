/** MCP servers as sources of tools: the official everything server, both ways, and its lifetime. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemClock } from "../../engine/clock.ts";
import { createMcpSource, type ListedTool, offerOf, tryMcp, type McpSettings } from "../../engine/mcp/client.ts";
import type { McpServer } from "../../engine/mcp/link.ts";
import { toolDescription, toolName } from "../../engine/mcp/names.ts";
import { cleanSchema } from "../../engine/mcp/schema.ts";
import { checkInput } from "../../engine/tool-input.ts";
import { until } from "../kit/scripted.ts";
import { children, everything, everythingPath, freePort, rig } from "./source.ts";

describe("an MCP server as a source of tools", function () {
  this.timeout(300_000);

  it("over stdio: lists, calls, reads every kind of result, and leaves no process and no timer behind", async () => {
    const before = children().length;
    const one = rig(everything("stdio"));
    const names = (await one.listed()).map((tool) => tool.name);
    assert.ok(names.includes("t_echo") && names.includes("t_get-sum"), names.join(" "));
    assert.ok(one.tools().every((tool) => tool.talksOutside && tool.risk === "dangerous"), "what nobody has judged is dangerous, and all of it comes from outside");
    assert.equal((await one.call("t_echo", { message: "hello" })).text, "Echo: hello");
    assert.match((await one.call("t_get-sum", { a: 2, b: 40 })).text, /42/);
    const picture = await one.call("t_get-tiny-image");
    assert.match(picture.text, /\[image: image\/png, \d+ bytes, kept as spool:1\]/);
    assert.equal(one.kept[0]?.mime, "image/png");
    assert.match((await one.call("t_get-resource-links", { count: 2 })).text, /\[link: .+\]/);
    assert.match((await one.call("t_get-resource-reference", { resourceType: "Text", resourceId: 1 })).text, /\[demo:.+\]\n/);
    assert.match((await one.call("t_get-structured-content", { location: "New York" })).text, /temperature/);
    assert.equal(children().length, before + 1);
    await one.close();
    assert.equal(children().length, before);
    await until(() => !process.getActiveResourcesInfo().includes("ProcessWrap"), "the end of the handle");
  });

  it("tells progress, and stops a call that is taken back", async () => {
    await using one = rig(everything("stdio"));
    await one.listed();
    const abort = new AbortController();
    const running = one.call("t_trigger-long-running-operation", { duration: 30, steps: 100 }, abort.signal);
    setTimeout(() => abort.abort(), 300);
    await assert.rejects(running);
    assert.equal((await one.call("t_echo", { message: "still there" })).text, "Echo: still there");
  });

  it("knows its tools from the last time without starting the server, and starts it with the first call", async () => {
    const before = children().length;
    await using first = rig(everything("stdio"));
    await first.listed();
    await first.close();
    await using again = rig(everything("stdio"), {}, first.saved);
    await again.start();
    assert.equal(children().length, before);
    assert.deepEqual(again.tools().map((tool) => tool.name), first.tools().map((tool) => tool.name));
    assert.equal(again.states.at(-1)?.state, "idle");
    assert.equal((await again.call("t_echo", { message: "lazy" })).text, "Echo: lazy");
    assert.equal(children().length, before + 1);
    assert.equal(again.offers.length, 1, "nothing new was listed, so nothing was offered anew");
  });

  it("offers nothing once it was closed, not even what was on its way: the next node has its place", async () => {
    const known = Promise.withResolvers<readonly ListedTool[]>();
    const after: string[] = [];
    const source = createMcpSource({ server: everything("stdio"), prefix: "t", rows: [], fresh: "dangerous", timeoutMs: 60_000, tags: [], readsPrivate: false, shared: false }, {
      clock: systemClock, random: () => 0, version: "0", log: () => undefined, keep: async () => { throw new Error("no files"); }, load: () => known.promise, save: async () => undefined,
      onOffer: ({ tools }) => { after.push(...tools.map((tool) => tool.name)); }, onState: ({ state }) => { after.push(state); },
    });
    const started = source.start();
    await source.close();
    known.resolve([{ name: "late", description: "", print: "1", parameters: { type: "object" } }]);
    await started;
    assert.deepEqual(after, []);
  });

  it("over HTTP: only where the owner says that the host of the own network is meant", async () => {
    const port = await freePort();
    const server = spawn(process.execPath, [everythingPath, "streamableHttp"], { env: { ...process.env, PORT: String(port) }, stdio: "pipe" });
    try {
      await until(async () => fetch(`http://127.0.0.1:${port}/mcp`).then(() => true, () => false), "the server", 200_000);
      const url = `http://127.0.0.1:${port}/mcp`;
      await using refused = rig({ kind: "http", url, headers: {}, privateNetwork: false });
      await refused.start();
      const state = refused.states.at(-1);
      assert.equal(state?.state === "failed" && state.error.code, "SEC_003");
      await using one = rig({ kind: "http", url, headers: { authorization: "Bearer x" }, privateNetwork: true });
      await one.listed();
      assert.equal((await one.call("t_echo", { message: "by http" })).text, "Echo: by http");
      assert.match((await one.call("t_trigger-long-running-operation", { duration: 1, steps: 2 })).text, /completed/i);
      server.kill("SIGKILL");
      await assert.rejects(one.call("t_echo", { message: "gone" }));
    } finally {
      server.kill("SIGKILL");
    }
  });

  it("that cannot be started is said so once and not tried again; what breaks is tried again by the breaker", async () => {
    await using none = rig({ kind: "stdio", program: { command: "no-such-program-here", args: [], env: {} } });
    await none.start();
    const state = none.states.at(-1);
    assert.ok(state?.state === "failed" && /not found/.test(state.error.message), JSON.stringify(state));
    await using closed = rig({ kind: "http", url: `http://127.0.0.1:${await freePort()}/mcp`, headers: {}, privateNetwork: true });
    await closed.start();
    const waits = closed.states.at(-1);
    assert.ok(waits?.state === "waiting" && waits.error.code === "MCP_001" && (waits.nextTryAt ?? 0) > Date.now(), JSON.stringify(waits));
  });

  it("is given time where its program may have to fetch it first; another that says nothing is told so, and tried again", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "clawflow-npx-"));
    const slow = (name: string): McpServer => {
      const command = path.join(folder, name);
      writeFileSync(command, `#!/bin/sh\nsleep 1\nexec "${process.execPath}" "$@"\n`, { mode: 0o755 });
      return { kind: "stdio", program: { command, args: [everythingPath, "stdio"], env: { PATH: process.env["PATH"] ?? "" } } };
    };
    const limits = { hereMs: 300, fetchMs: 120_000 };
    try {
      await using fetched = rig(slow("npx"), {}, undefined, limits);
      assert.ok((await fetched.listed()).some((tool) => tool.name === "t_echo"));
      assert.deepEqual(fetched.states.map(({ state }) => state), ["connecting", "connected"]);
      await using silent = rig(slow("server"), {}, undefined, limits);
      await silent.start();
      const state = silent.states.at(-1);
      assert.ok(state?.state === "waiting" && state.error.code === "MCP_001" && /^Expected an answer of the MCP server within 0\.3 s, got none\./.test(state.error.message), JSON.stringify(state));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("is listed for a form, and nothing of the trial stays", async () => {
    const before = children().length;
    const listed = await tryMcp(everything("stdio"), { clock: systemClock, random: () => 0, version: "0", log: () => undefined });
    assert.ok(listed.some((tool) => tool.name === "echo" && tool.print.length === 32 && tool.description.length > 5));
    assert.equal(children().length, before);
  });
});

describe("what the owner decided of a server's tools", () => {
  const settings = (more: Partial<McpSettings>): McpSettings => ({ server: { kind: "http", url: "", headers: {}, privateNetwork: false }, prefix: "", rows: [], fresh: "off", timeoutMs: 1, tags: ["x"], readsPrivate: false, shared: false, ...more });
  const tool = (name: string, print = "p1") => ({ name, description: "", parameters: { type: "object" }, print });
  const offered = (more: Partial<McpSettings>, ...names: ReturnType<typeof tool>[]) => {
    const offer = offerOf(names, settings(more), async () => ({ text: "" }));
    return { tools: Object.fromEntries(offer.tools.map((one) => [one.name, one.risk])), fresh: offer.fresh };
  };
  it("holds for these tools as they were; new and changed ones are off, or dangerous", () => {
    const rows = [{ tool: "a", risk: "read", print: "p1" }, { tool: "b", risk: "off" }, { tool: "c", risk: "write", print: "old" }, { tool: "d", risk: "read" }] as const;
    const names = ["a", "b", "c", "d", "e"].map((name) => tool(name));
    assert.deepEqual(offered({ rows }, ...names), { tools: { a: "read", d: "read" }, fresh: ["c", "e"] });
    assert.deepEqual(offered({ rows, fresh: "dangerous" }, ...names), { tools: { a: "read", c: "dangerous", d: "read", e: "dangerous" }, fresh: ["c", "e"] });
    assert.deepEqual(offered({}, tool("__proto__"), tool("constructor")), { tools: {}, fresh: ["__proto__", "constructor"] });
  });
  it("names tools so that every provider takes them and no two are alike", () => {
    assert.equal(toolName("home", "get-state"), "home_get-state");
    assert.equal(toolName("", "plain"), "plain");
    const odd = ["a b", "a.b", "a/b", "a\u0000b", "x".repeat(150), `${"x".repeat(149)}y`, "1st", "Ünï", "a_b"].map((name) => toolName("p", name));
    assert.equal(new Set(odd).size, odd.length);
    for (const name of [...odd, toolName("", "1st"), toolName("", "")]) assert.match(name, /^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/);
  });
  it("takes hidden signs out of texts and cuts them", () => {
    assert.equal(toolDescription("a\u200bb\u202ec\u{e0041}d\u0000\ne"), "abcd\ne");
    assert.equal(toolDescription("x".repeat(5_000)).length, 1_024);
    assert.equal(toolDescription(undefined), "");
  });
  it("copies schemas without prototypes, patterns and foreign dialects; a property may still have such a name", () => {
    const given = JSON.parse('{"$schema":"x:y","type":"object","__proto__":{"a":1},"properties":{"pattern":{"type":"string","pattern":"^(a+)+$"},"id":{"type":"number"},"__proto__":{"type":"string"}},"required":["id"]}') as unknown;
    const cleaned = cleanSchema(given);
    assert.ok("schema" in cleaned);
    assert.deepEqual(cleaned.schema, { type: "object", properties: { pattern: { type: "string" }, id: { type: "number" } }, required: ["id"] });
    assert.equal(checkInput({ name: "t", parameters: cleaned.schema }, { id: 1, pattern: `${"a".repeat(60)}!` }), undefined);
  });
});
