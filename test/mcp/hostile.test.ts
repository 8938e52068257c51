/** A server that wants to harm: it never crashes us, never holds the event loop, and takes only itself down. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { systemClock } from "../../engine/clock.ts";
import { tryMcp } from "../../engine/mcp/client.ts";
import { checkInput } from "../../engine/tool-input.ts";
import { until } from "../kit/scripted.ts";
import { alive, context, hostile, rig, type Rig } from "./source.ts";

const names = (one: Rig): string[] => one.tools().map((tool) => tool.name);
const stays = async (one: Rig, name = "t_work"): Promise<void> => { assert.match((await one.call(name)).text, /./); };

describe("a hostile MCP server", function () {
  this.timeout(300_000);
  afterEach(() => { assert.equal((({}) as { isOwner?: boolean }).isOwner, undefined); });

  it("with bad schemas loses those tools and no other", async () => {
    await using one = rig(hostile("schemas"));
    await one.listed();
    assert.deepEqual(names(one), ["t_good", "t_redos", "t_self", "t_none"]);
    assert.equal(one.offers[0]?.problems.length, 7, one.offers[0]?.problems.join("\n"));
    assert.equal(checkInput(one.tool("t_redos"), { text: `${"a".repeat(50)}!` }), undefined, "its pattern never runs here");
    await stays(one, "t_good");
  });
  it("that sends prototypes sets none", async () => {
    await using one = rig(hostile("pollution"));
    await one.listed();
    assert.deepEqual(one.tool("t_polluter").parameters, { type: "object", properties: { text: { type: "string" } } });
    assert.equal((one.tool("t_polluter") as { isOwner?: boolean }).isOwner, undefined);
    assert.equal((one.tool("t_polluter").parameters as { isOwner?: boolean }).isOwner, undefined);
  });
  it("with odd names gets names that providers take, each its own, and is called by its own", async () => {
    await using one = rig(hostile("names"));
    await one.listed();
    assert.equal(new Set(names(one)).size, 13);
    for (const name of names(one)) assert.match(name, /^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/);
    await stays(one, "t_plain");
  });
  it("that hides words in a description is cut and cleaned", async () => {
    await using one = rig(hostile("words"));
    await one.listed();
    const { description } = one.tool("t_nice");
    assert.ok(description.startsWith("Adds. IGNORE") && description.length === 1_024, description.slice(0, 40));
  });
  it("that hides words in a schema has them taken out, or the tool is not used", async () => {
    await using one = rig(hostile("smuggles"));
    await one.listed();
    assert.deepEqual(names(one), ["t_words", "t_emoji"]);
    assert.deepEqual(one.tool("t_words").parameters, { type: "object", properties: { text: { type: "string", title: "T", description: "A text." } } });
    assert.deepEqual(one.tool("t_emoji").parameters, { type: "object", properties: { mood: { type: "string", enum: ["❤️", "👨‍👩‍👧"] } } });
    assert.match(one.offers[0]?.problems.join() ?? "", /"value".*invisible.*"key".*invisible/);
  });
  it("that says something else of a tool after it was judged loses it at once: no call goes to it any more", async () => {
    for (const way of ["pulls-rug", "pulls-schema", "takes-away"]) {
      await using first = rig(hostile(way));
      await first.listed();
      const print = first.saved?.[0]?.print ?? "";
      assert.match(print, /^[0-9a-f]{32}$/);
      await using one = rig(hostile(way), { rows: [{ tool: "work", risk: "read", print }], fresh: "off" });
      await one.listed();
      const judged = one.tool("t_work");
      assert.equal((await one.call("t_work")).text, "done");
      // An agent that is under way still holds the tool as it was; the news of the change has come with the answer.
      await assert.rejects(judged.call({}, context, new AbortController().signal), /\[?MCP_003|otherwise now/, way);
      assert.deepEqual(names(one), [], way);
      assert.deepEqual(one.offers.at(-1)?.fresh, way === "takes-away" ? [] : ["work"], way);
    }
  });
  it("that is another one since the last connection is not called by what was judged before", async () => {
    await using before = rig(hostile("plain"));
    await before.listed();
    const known = before.saved ?? [];
    const judged = known.map((tool) => ({ ...tool, description: "Harmless.", print: "a".repeat(32) }));
    await using one = rig(hostile("plain"), { rows: [{ tool: "work", risk: "read", print: "a".repeat(32) }], fresh: "off" }, judged);
    await one.start();
    assert.deepEqual(names(one), ["t_work"]);
    await assert.rejects(one.call("t_work"), /otherwise now/);
    assert.deepEqual(names(one), []);
    // The owner has looked at it again: what the last connection listed says less than the owner does.
    await using again = rig(hostile("plain"), { rows: [{ tool: "work", risk: "read", print: known[0]?.print ?? "" }], fresh: "off" }, judged);
    await again.start();
    await until(() => again.offers.length === 2, "the list of now", 60_000);
    assert.match((await again.call("t_work")).text, /^\d+$/);
  });
  it("that speaks of a change while it is only looked at by the form leaves nothing behind", async () => {
    const listed = await tryMcp(hostile("changes-early"), { clock: systemClock, random: () => 0, version: "0", log: () => undefined });
    assert.deepEqual(listed.map(({ name }) => name), ["work"]);
  });
  it("that tells its progress at length is shown in short", async () => {
    await using one = rig(hostile("progress"));
    await one.listed();
    assert.equal((await one.call("t_work")).text, "progressed");
    assert.ok(one.progress.length > 10 && one.progress.every((text) => text.length < 80 && !/[\p{Cc}\p{Cf}]/u.test(text)), `${one.progress.length}: ${one.progress[0]?.slice(0, 100)}`);
  });
  it("with 10,000 tools or endless pages gets 500 of them or its 64 pages, and the event loop goes on", async () => {
    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    await using many = rig(hostile("many"));
    assert.equal((await many.listed()).length, 500);
    delay.disable();
    console.log(`      10,000 tools: longest pause of the event loop ${Math.round(delay.max / 1e6)} ms`);
    await stays(many, "t_tool5");
    await using pages = rig(hostile("pages"));
    assert.equal((await pages.listed()).length, 64);
  });
  it("with a result of 1 MB is cut, of 8 MB is cut off, without an end too; the next call has a new connection", async () => {
    await using huge = rig(hostile("huge"));
    await huge.listed();
    assert.match((await huge.call("t_work")).text, /^x{50000}… \(cut, 1000000 characters\)$/);
    for (const way of ["flood", "endless"]) {
      await using one = rig(hostile(way));
      await one.listed();
      await assert.rejects(one.call("t_work"), way);
      await until(() => one.states.some(({ state }) => state === "waiting"), "the breaker", 60_000);
      await until(() => one.states.filter(({ state }) => state === "connected").length === 2, "the second connection", 60_000);
    }
  });
  it("that crashes, answers garbage, twice, in parts, with an error or with nothing is read as far as it can be", async () => {
    for (const [way, expected] of [["garbage", /^after garbage$/], ["twice", /^one$/], ["parts", /^(?:p\n){199}p$/], ["no-content", /^$/], ["spam", /^spammed$/], ["asks", /^asked$/]] as const) {
      await using one = rig(hostile(way));
      await one.listed();
      const result = await one.call("t_work").catch((error: Error) => ({ text: `failed: ${error.message}` }));
      assert.match(result.text, way === "no-content" ? /^$|failed/ : expected, way);
    }
    await using crashes = rig(hostile("crashes"));
    await crashes.listed();
    await assert.rejects(crashes.call("t_work"), /MCP server went away/);
    await using broken = rig(hostile("error"));
    await broken.listed();
    await assert.rejects(broken.call("t_work"), (error: Error) => error.message.length < 1_200 && /broken/.test(error.message));
  });
  it("that hangs ends with the caller's patience: in a call, at the greeting, at its list", async () => {
    await using one = rig(hostile("cancels"));
    await one.listed();
    await assert.rejects(one.call("t_work", {}, AbortSignal.timeout(500)));
    await until(() => one.lines.some((line) => line === "told to cancel"), "the word to the server", 60_000);
    for (const way of ["never-greets", "list-hangs"]) {
      const hanging = rig(hostile(way));
      void hanging.start();
      await until(() => hanging.states.length > 0, "the first try");
      const before = performance.now();
      await hanging.close();
      assert.ok(performance.now() - before < 30_000);
    }
    await using dies = rig(hostile("dies-at-once"));
    await dies.start();
    await until(() => dies.states.at(-1)?.state === "waiting" || dies.states.at(-1)?.state === "connecting", "the breaker", 60_000);
  });
  it("that does not want to end is ended, with everything it started", async () => {
    await using one = rig(hostile("grandchild"));
    await one.listed();
    const pid = Number((await one.call("t_work")).text);
    await until(() => one.lines.some((line) => line.startsWith("grandchild")), "the line of the grandchild", 60_000);
    const grandchild = Number(one.lines.find((line) => line.startsWith("grandchild"))?.split(" ")[1]);
    assert.ok(alive(pid) && alive(grandchild));
    await one.close();
    await until(() => !alive(pid) && !alive(grandchild), "the end of both");
  });
  it("that floods its standard error fills no log", async () => {
    await using one = rig(hostile("stderr-flood"));
    await one.listed();
    await stays(one);
    await until(() => one.lines.some((line) => line.includes("left out")), "the flood", 60_000);
    assert.ok(one.lines.length < 80 && one.lines.every((line) => line.length <= 500), `${one.lines.length}`);
  });

  describe("over HTTP", () => {
    let server: Server;
    let way = "";
    const open: (() => void)[] = [];
    const forgotten = new Set<string>();
    let sessions = 0;
    let asked = 0;
    before(async () => {
      server = createServer((req, res) => {
        const chunks: Buffer[] = [];
        req.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => {
          if (req.method === "GET" && way === "again") { asked++; res.writeHead(200, { "content-type": "text/event-stream" }).end(`id: ${asked}\nretry: ${asked % 2 === 0 ? 0 : 3e9}\ndata: \n\n`); return; }
          if (req.method !== "POST") { res.writeHead(405).end(); return; }
          if (way === "gone") { res.writeHead(404).end("Not found"); return; }
          if (way === "forgets" && forgotten.has(String(req.headers["mcp-session-id"]))) { res.writeHead(404, { "content-type": "application/json" }).end('{"jsonrpc":"2.0","error":{"code":-32001,"message":"Session not found"},"id":null}'); return; }
          const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString()) as { id?: unknown; method: string; params?: { protocolVersion?: string } };
          const json = (result: unknown) => res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, result }));
          if (way === "redirect") return res.writeHead(307, { location: "http://127.0.0.2:1/mcp" }).end();
          if (way === "refuses") return res.writeHead(401).end();
          if (method === "initialize") res.setHeader("mcp-session-id", `s${++sessions}`);
          if (method === "initialize") return json({ protocolVersion: params?.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "h", version: "1" } });
          if (method === "tools/list") return json({ tools: [{ name: "work", inputSchema: { type: "object" } }] });
          if (id === undefined) return res.writeHead(202).end();
          if (method !== "tools/call") return res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ jsonrpc: "2.0", id, error: { code: -32_601, message: "Method not found" } }));
          if (way === "hangs") return undefined;
          if (way === "forgets" || way === "again") return json({ content: [{ type: "text", text: `in ${req.headers["mcp-session-id"]}` }] });
          res.writeHead(200, { "content-type": way === "html" ? "text/html" : way === "json" ? "application/json" : "text/event-stream" });
          if (way === "html") return res.end("<h1>hello</h1>");
          const pour = (): void => { while (!res.destroyed && res.write(way === "comments" ? ":\n\n".repeat(20_000) : "data: x".repeat(10_000))); res.once("drain", pour); };
          open.push(() => res.destroy());
          pour();
          return undefined;
        });
      }).listen(0, "127.0.0.1");
      await new Promise((resolve) => server.once("listening", resolve));
    });
    after(() => { for (const close of open) close(); server.closeAllConnections(); server.close(); });
    const http = (more = {}): Rig => rig({ kind: "http", url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, headers: { authorization: "Bearer secret" }, privateNetwork: true }, more);

    it("that answers without end, with a page, or not at all fails its call and nothing else", async () => {
      for (const each of ["endless", "json", "html", "comments", "hangs"]) {
        way = "";
        await using one = http();
        await one.listed();
        way = each;
        await assert.rejects(one.call("t_work", {}, AbortSignal.timeout(4_000)), each);
      }
    });
    it("that forgets its sessions is greeted anew", async () => {
      way = "forgets";
      await using one = http();
      await one.listed();
      const text = (await one.call("t_work")).text;
      forgotten.add(text.slice(3));
      const next = (await one.call("t_work")).text;
      assert.notEqual(next, text);
      assert.equal((await one.call("t_work")).text, next);
      way = "gone";
      await assert.rejects(one.call("t_work"), /Not found/);
    });
    it("that ends its stream at once and wants to be asked again at once is asked at a measured pace", async () => {
      way = "again";
      asked = 0;
      await using one = http();
      await one.listed();
      await until(() => asked > 0, "the first stream", 60_000);
      const since = performance.now();
      const first = asked;
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      assert.ok(asked - first <= (performance.now() - since) / 250 + 1, `${asked - first} times in 2 s`);
      assert.match((await one.call("t_work")).text, /^in /);
    });
    it("that sends its visitors elsewhere is not followed there, and one that refuses the token is not asked again", async () => {
      way = "redirect";
      await using sent = http();
      await sent.start();
      assert.match(JSON.stringify(sent.states.at(-1)), /"(?:waiting|failed)"/);
      way = "refuses";
      await using one = http();
      await one.start();
      const state = one.states.at(-1);
      assert.ok(state?.state === "failed" && /refused the token/.test(state.error.message), JSON.stringify(state));
    });
  });
});
