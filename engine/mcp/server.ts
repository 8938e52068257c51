/**
 * ClawFlow's own tools for other programs, by MCP's Streamable HTTP: stateless, each request is judged by itself. Who asks has to hold the token;
 * a page in somebody's browser is turned away by its Origin, a name that was bent to this machine by its Host
 * (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#security-warning).
 */
import { isIP } from "node:net";
import type { McpHttpHandler, Server } from "@modelcontextprotocol/server";
import type { WebhookAnswer, WebhookRequest } from "../channels/channel.ts";
import type { Tool } from "../tool.ts";
import { sameSecret } from "../verify.ts";

export interface McpServerOptions {
  readonly name: string;
  readonly version: string;
  /** Of at least MIN_TOKEN characters. */
  readonly token: string;
  /** Names under which this machine may be asked, beside localhost and addresses in numbers. */
  readonly hosts: readonly string[];
  /** What is offered; asked each time. */
  tools(): readonly Tool[];
  /** Resolves to what the tool said. */
  call(tool: string, input: unknown): Promise<{ readonly text: string; readonly failed: boolean }>;
  /** Somebody was turned away. */
  refused(why: string): void;
}
export interface McpServer {
  handle(request: WebhookRequest): Promise<WebhookAnswer>;
  /** The tools are others now. */
  changed(): void;
  close(): Promise<void>;
}

export const MIN_TOKEN = 24;
const MAX_BODY = 1024 * 1024;
const MAX_AT_ONCE = 16;
const LOCAL: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

export function createMcpServer(options: McpServerOptions): McpServer {
  let handler: Promise<McpHttpHandler> | undefined;
  let running = 0;

  async function load(): Promise<McpHttpHandler> {
    const sdk = await import("@modelcontextprotocol/server");
    return sdk.createMcpHandler(() => serverFor(sdk), { maxRequestBodySize: MAX_BODY });
  }
  function serverFor(sdk: typeof import("@modelcontextprotocol/server")): Server {
    const server = new sdk.Server({ name: options.name, version: options.version }, { capabilities: { tools: { listChanged: true } } });
    server.setRequestHandler("tools/list", () => ({
      tools: options.tools().map(({ name, description, parameters, risk }) => ({
        name, description, inputSchema: parameters as { type: "object" },
        annotations: { readOnlyHint: risk === "read", destructiveHint: risk === "dangerous" },
      })),
    }));
    server.setRequestHandler("tools/call", async ({ params }) => {
      if (!options.tools().some((tool) => tool.name === params.name)) throw new sdk.ProtocolError(sdk.ProtocolErrorCode.InvalidParams, `There is no tool "${params.name}".`);
      if (running >= MAX_AT_ONCE) return { content: [{ type: "text" as const, text: `At most ${MAX_AT_ONCE} calls at once. Try again.` }], isError: true };
      running++;
      try {
        const { text, failed } = await options.call(params.name, params.arguments ?? {});
        return { content: [{ type: "text" as const, text }], ...(failed ? { isError: true } : {}) };
      } finally {
        running--;
      }
    });
    return server;
  }

  return {
    async handle(request) {
      const problem = hostProblem(request, options.hosts);
      if (problem !== undefined) { options.refused(problem); return refusal(403, problem); }
      const given = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
      if (!sameSecret(given, options.token)) { options.refused("wrong token"); return refusal(401, "Expected the token as \"Authorization: Bearer …\".", { "www-authenticate": "Bearer" }); }
      if (request.body.byteLength > MAX_BODY) return refusal(413, `Expected a body of at most ${MAX_BODY} bytes.`);
      handler ??= load();
      const { fetch } = await handler;
      const body = request.method === "GET" || request.method === "HEAD" ? null : Buffer.from(request.body);
      const answer = await fetch(new Request("http://localhost/mcp", { method: request.method, headers: { ...request.headers }, body, signal: request.signal }));
      return { status: answer.status, headers: Object.fromEntries(answer.headers), ...(answer.body === null ? {} : { body: answer.body as unknown as AsyncIterable<Uint8Array> }) };
    },
    changed() { handler?.then(({ notify }) => notify.toolsChanged(), () => undefined); },
    async close() { await handler?.then((made) => made.close(), () => undefined); },
  };
}

/** An address in numbers cannot be bent to another machine; a name can, unless it is one of ours. */
function hostProblem({ headers }: WebhookRequest, hosts: readonly string[]): string | undefined {
  const host = URL.parse(`http://${headers.host ?? ""}`);
  if (host === null || headers.host === undefined) return "Expected a Host header.";
  const ours = (name: string): boolean => LOCAL.has(name) || hosts.includes(name);
  if (!ours(host.hostname) && isIP(host.hostname.replace(/^\[|\]$/g, "")) === 0) return `Expected a known host name, got "${host.hostname.slice(0, 100)}". List it in the MCP server node if it is this machine.`;
  if (headers.origin === undefined) return undefined;
  const origin = URL.parse(headers.origin);
  return origin !== null && (origin.host === host.host || ours(origin.hostname)) ? undefined : "Expected no request of another web site.";
}

function refusal(status: number, text: string, headers: Readonly<Record<string, string>> = {}): WebhookAnswer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify({ jsonrpc: "2.0", id: null, error: { code: -32_000, message: `[MCP_004] ${text}` } }) };
}
