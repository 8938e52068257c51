/** The conformance suite of the protocol (npm @modelcontextprotocol/conformance): our client and our server, in those scenarios that speak of what we offer. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createMcpServer } from "../../engine/mcp/server.ts";
import { ToolError } from "../../engine/errors.ts";
import type { Tool } from "../../engine/tool.ts";
import type { WebhookAnswer } from "../../engine/channels/channel.ts";

const suite = new URL("../../node_modules/@modelcontextprotocol/conformance/dist/index.js", import.meta.url).pathname;
const client = new URL("conformance-client.ts", import.meta.url).pathname;

/** What does not apply: OAuth (a token or header is given in the form), questions to the user (`elicitation`), and what only a server with prompts, resources or pictures has. */
const CLIENT = ["initialize", "tools_call", "sse-retry"];
const SERVER = ["server-initialize", "ping", "tools-list", "tools-call-simple-text", "tools-call-error", "json-schema-2020-12", "dns-rebinding-protection"];

interface Check { readonly id: string; readonly status: string; readonly errorMessage?: string }
/** Runs one scenario; resolves to its checks. */
function run(args: readonly string[]): Promise<Check[]> {
  const out = mkdtempSync(path.join(tmpdir(), "clawflow-conformance-"));
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [suite, ...args, "-o", out], { timeout: 580_000, env: { ...process.env, NO_COLOR: "1" } }, (_error, stdout, stderr) => {
      try {
        const files = (readdirSync(out, { recursive: true }) as string[]).filter((name) => name.endsWith("checks.json"));
        assert.equal(files.length, 1, `${stdout}\n${stderr}`);
        resolve(JSON.parse(readFileSync(path.join(out, files[0] ?? ""), "utf8")) as Check[]);
      } catch (error) {
        reject(error as Error);
      } finally {
        rmSync(out, { recursive: true, force: true });
      }
    });
  });
}
const failed = (checks: readonly Check[]): string[] => checks.filter(({ status }) => status === "FAILURE").map(({ id, errorMessage }) => `${id}: ${errorMessage ?? ""}`);
const passed = (checks: readonly Check[]): number => checks.filter(({ status }) => status === "SUCCESS").length;

describe("the conformance suite of MCP", function () {
  this.timeout(600_000);
  let count = 0;
  let scenarios = 0;
  after(() => { console.log(`    ${scenarios} of ${CLIENT.length + SERVER.length} scenarios that apply passed, ${count} checks`); });
  const judge = (checks: readonly Check[]): void => {
    assert.deepEqual(failed(checks), []);
    assert.ok(passed(checks) > 0, "nothing was checked");
    count += passed(checks);
    scenarios++;
  };

  for (const scenario of CLIENT) {
    it(`client: ${scenario}`, async () => {
      const linger = scenario === "sse-retry" ? "LINGER_MS=6000 " : "";
      judge(await run(["client", "--command", `${linger}${process.execPath} --disable-warning=ExperimentalWarning ${client}`, "--scenario", scenario, "--timeout", "120000"]));
    });
  }

  describe("server", () => {
    let http: Server;
    const TOKEN = "conformance-token-0123456789";
    const schema2020 = {
      $schema: "https://json-schema.org/draft/2020-12/schema", type: "object", additionalProperties: false,
      $defs: { address: { type: "object", properties: { street: { type: "string" }, city: { type: "string" } } } },
      properties: { name: { type: "string" }, address: { $ref: "#/$defs/address" } },
    };
    const tool = (name: string, parameters: object, text: () => string): Tool => ({ name, description: `${name}.`, parameters: parameters as never, tags: [], risk: "read", readsPrivate: false, talksOutside: false, shared: false, timeoutMs: 1_000, call: async () => ({ text: text() }) });
    const tools = [
      tool("test_simple_text", { type: "object" }, () => "This is a simple text response for testing."),
      tool("test_error_handling", { type: "object" }, () => { throw new ToolError("TOOL_003", {}, "This tool intentionally returns an error for testing"); }),
      tool("json_schema_2020_12_tool", schema2020, () => "ok"),
    ];
    before(async () => {
      const server = createMcpServer({
        name: "conformance", version: "1", token: TOKEN, hosts: [], tools: () => tools, refused: () => undefined,
        call: async (name, input) => tools.find((one) => one.name === name)?.call(input, undefined as never, AbortSignal.timeout(1_000)).then(({ text }) => ({ text, failed: false }), (error: Error) => ({ text: error.message, failed: true })) ?? { text: "none", failed: true },
      });
      // The suite has no token: it is put in here, as a client of ours would.
      http = createServer((req, res) => {
        const chunks: Buffer[] = [];
        req.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => {
          const headers: Record<string, string> = { ...Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, String(value)])), authorization: `Bearer ${TOKEN}` };
          void server.handle({ method: req.method ?? "", path: "/", query: new URLSearchParams(), headers, body: Buffer.concat(chunks), remote: "", signal: new AbortController().signal }).then(async ({ status, headers: own, body }: WebhookAnswer) => {
            res.writeHead(status, own);
            if (body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array)) for await (const chunk of body) res.write(chunk);
            else if (body !== undefined) res.write(body);
            res.end();
          });
        });
      }).listen(0, "127.0.0.1");
      await new Promise((resolve) => http.once("listening", resolve));
    });
    after(() => { http.closeAllConnections(); http.close(); });
    const url = (): string => `http://localhost:${(http.address() as AddressInfo).port}/mcp`;

    for (const scenario of SERVER) it(scenario, async () => judge(await run(["server", "--url", url(), "--scenario", scenario])));

    it("is stateless: there is no stream to listen to", async () => {
      const status = await new Promise<number>((resolve, reject) => { request(url(), { method: "GET", headers: { accept: "text/event-stream" } }, (res) => { res.resume(); resolve(res.statusCode ?? 0); }).on("error", reject).end(); });
      assert.equal(status, 405);
    });
  });
});
