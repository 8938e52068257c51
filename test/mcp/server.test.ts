/** Our own MCP server against whoever should not be served, and against requests made to harm. */
import assert from "node:assert/strict";
import type { WebhookAnswer } from "../../engine/channels/channel.ts";
import { createMcpServer, MIN_TOKEN } from "../../engine/mcp/server.ts";
import type { Tool } from "../../engine/tool.ts";

const TOKEN = "t".repeat(MIN_TOKEN);
const RIGHT = { host: "localhost:1880", authorization: `Bearer ${TOKEN}`, "content-type": "application/json", accept: "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25" };
const tool: Tool = { name: "work", description: "Works.", parameters: { type: "object" }, tags: [], risk: "read", readsPrivate: false, talksOutside: false, shared: false, timeoutMs: 1_000, call: async () => ({ text: "" }) };

function rig(call: (tool: string, input: unknown) => Promise<{ text: string; failed: boolean }> = async () => ({ text: "worked", failed: false })) {
  const calls: unknown[] = [];
  const refused: string[] = [];
  const server = createMcpServer({ name: "s", version: "1", token: TOKEN, hosts: ["home.example.org"], tools: () => [tool], refused: (why) => { refused.push(why); }, call: (name, input) => { calls.push(input); return call(name, input); } });
  const ask = async (body: string, headers: Record<string, string | undefined> = {}, method = "POST"): Promise<{ status: number; text: string }> => {
    const all = Object.fromEntries(Object.entries({ ...RIGHT, ...headers }).filter((pair): pair is [string, string] => pair[1] !== undefined));
    return textOf(await server.handle({ method, path: "/", query: new URLSearchParams(), headers: all, body: Buffer.from(body), remote: "", signal: new AbortController().signal }));
  };
  return { calls, refused, ask, server };
}
async function textOf({ status, body }: WebhookAnswer): Promise<{ status: number; text: string }> {
  if (body === undefined || typeof body === "string") return { status, text: body ?? "" };
  if (body instanceof Uint8Array) return { status, text: Buffer.from(body).toString() };
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk as Uint8Array));
  return { status, text: Buffer.concat(chunks).toString() };
}
const calling = (args: string, id = 1): string => `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"work","arguments":${args}}}`;

describe("our MCP server", function () {
  this.timeout(120_000);
  afterEach(() => { assert.equal((({}) as { isOwner?: boolean }).isOwner, undefined); });

  it("serves whoever holds the token and came by a name of this machine", async () => {
    const { ask, calls, refused } = rig();
    for (const headers of [{}, { host: "127.0.0.1:1880" }, { host: "[::1]:1880" }, { host: "192.0.2.7:1880" }, { host: "home.example.org" }, { host: "HOME.example.org:443" }, { origin: "http://localhost:1880" }, { origin: "https://home.example.org" }, { authorization: `bearer ${TOKEN}` }]) {
      const { status, text } = await ask(calling("{}"), headers);
      assert.ok(status === 200 && text.includes("worked"), `${JSON.stringify(headers)}: ${status} ${text}`);
    }
    assert.deepEqual([calls.length, refused], [9, []]);
  });

  it("serves nobody else, and says so", async () => {
    const { ask, calls, refused } = rig();
    const wrong: readonly (readonly [number, Record<string, string | undefined>])[] = [
      [401, { authorization: undefined }], [401, { authorization: "" }], [401, { authorization: TOKEN }], [401, { authorization: `Basic ${TOKEN}` }], [401, { authorization: "Bearer " }], [401, { authorization: `Bearer ${TOKEN}t` }], [401, { authorization: `Bearer ${TOKEN.slice(1)}` }],
      [401, { authorization: `Bearer ${TOKEN}, Bearer ${TOKEN}` }], [401, { authorization: `Bearer ${TOKEN.toUpperCase()}` }],
      [403, { host: undefined }], [403, { host: "evil.example" }], [403, { host: "localhost.evil.example" }], [403, { host: "127.0.0.1.evil.example" }], [403, { host: "localhost@evil.example" }], [403, { host: "home.example.org.evil.example" }], [403, { host: "a b" }],
      [403, { origin: "null" }], [403, { origin: "" }], [403, { origin: "http://evil.example" }], [403, { origin: "http://localhost.evil.example" }], [403, { origin: "http://192.0.2.1", host: "192.0.2.7" }], [403, { origin: "http://evil.example", host: "evil.example" }],
    ];
    for (const [expected, headers] of wrong) {
      const { status, text } = await ask(calling("{}"), headers);
      assert.equal(status, expected, `${JSON.stringify(headers)}: ${text}`);
      assert.match(text, /MCP_004/);
      assert.ok(!text.includes(TOKEN));
    }
    assert.deepEqual([calls.length, refused.length], [0, wrong.length]);
  });

  it("lives through requests made to harm", async () => {
    const { ask, calls } = rig();
    const deep = (levels: number): string => `${'{"a":'.repeat(levels)}1${"}".repeat(levels)}`;
    for (const body of ["", "null", "[]", "7", "{", "[".repeat(400_000), deep(100_000), '{"jsonrpc":"2.0"}', calling("[]"), calling("null"), calling('"text"'), calling(deep(50_000)), '{"jsonrpc":"2.0","id":1,"method":"__proto__"}', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"__proto__"}}', '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"constructor","arguments":{}}}', `[${Array.from({ length: 1_000 }, (_, n) => calling("{}", n)).join(",")}]`]) {
      const { status } = await ask(body).catch((error: Error) => assert.fail(`${body.slice(0, 60)}: ${error.message}`));
      assert.ok(status >= 200 && status < 500, `${body.slice(0, 60)}: ${status}`);
    }
    assert.equal((await ask(`"${"x".repeat(1024 * 1024)}"`)).status, 413);
    for (const method of ["PUT", "PATCH", "OPTIONS", "HEAD", "DELETE", "GET"]) assert.ok((await ask("", {}, method)).status >= 400, method);
    calls.length = 0;
    assert.equal((await ask(calling('{"__proto__":{"isOwner":true},"constructor":{"prototype":{"isOwner":true}}}'))).status, 200);
    assert.equal((calls[0] as { isOwner?: boolean } | undefined)?.isOwner, undefined);
  });

  it("has 16 calls at work at once, and room again when one has ended", async () => {
    const ends: (() => void)[] = [];
    const { ask } = rig(() => new Promise((resolve) => { ends.push(() => resolve({ text: "worked", failed: false })); }));
    const running = Array.from({ length: 16 }, (_, n) => ask(calling("{}", n)));
    while (ends.length < 16) await new Promise((resolve) => setImmediate(resolve));
    assert.match((await ask(calling("{}"))).text, /At most 16 calls at once/);
    ends[0]?.();
    await running[0];
    const next = ask(calling("{}"));
    while (ends.length < 17) await new Promise((resolve) => setImmediate(resolve));
    for (const end of ends) end();
    assert.ok((await next).text.includes("worked"));
    for (const { text } of await Promise.all(running)) assert.ok(text.includes("worked"), text);
  });

  it("tells of a tool's failure as MCP wants it, and offers only what is listed", async () => {
    const { ask, calls } = rig(async () => { throw new Error("broken"); });
    assert.match((await ask('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"other","arguments":{}}}')).text, /There is no tool/);
    assert.equal(calls.length, 0);
    assert.match((await ask('{"jsonrpc":"2.0","id":1,"method":"tools/list"}')).text, /"name":"work"/);
    assert.equal((await ask(calling("{}"))).status, 200);
  });
});
