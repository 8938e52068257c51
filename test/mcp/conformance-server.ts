/** The server that the conformance suite examines: ours, with the tools that its scenarios call. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { WebhookAnswer } from "../../engine/channels/channel.ts";
import { ToolError } from "../../engine/errors.ts";
import { createMcpServer } from "../../engine/mcp/server.ts";
import type { Tool } from "../../engine/tool.ts";

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

export async function startServer(): Promise<{ readonly url: string; close(): void }> {
  const server = createMcpServer({
    name: "conformance", version: "1", token: TOKEN, hosts: [], tools: () => tools, refused: () => undefined,
    call: async (name, input) => tools.find((one) => one.name === name)?.call(input, undefined as never, AbortSignal.timeout(1_000)).then(({ text }) => ({ text, failed: false }), (error: Error) => ({ text: error.message, failed: true })) ?? { text: "none", failed: true },
  });
  // The suite has no token: it is put in here, as a client of ours would.
  const http: Server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on("data", (chunk: Buffer) => chunks.push(chunk)).on("end", () => {
      const gone = new AbortController();
      res.on("close", () => gone.abort());
      const headers: Record<string, string> = { ...Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, String(value)])), authorization: `Bearer ${TOKEN}` };
      void server.handle({ method: req.method ?? "", path: "/", query: new URLSearchParams(), headers, body: Buffer.concat(chunks), remote: "", signal: gone.signal }).then(async ({ status, headers: own, body }: WebhookAnswer) => {
        res.writeHead(status, own);
        if (body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array)) for await (const chunk of body) res.write(chunk);
        else if (body !== undefined) res.write(body);
        res.end();
      });
    });
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => http.once("listening", resolve));
  return { url: `http://localhost:${(http.address() as AddressInfo).port}/mcp`, close: () => { http.closeAllConnections(); http.close(); } };
}
