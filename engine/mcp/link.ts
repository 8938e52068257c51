/**
 * The link to one MCP server: opened when it is first needed, one attempt for all who ask, tried again by the breaker of the connections, closed whole.
 * Protocol: https://modelcontextprotocol.io/specification, by the official SDK, which is loaded with the first link.
 */
import path from "node:path";
import type { Client, RequestOptions, Transport } from "@modelcontextprotocol/client";
import type { Clock } from "../clock.ts";
import { type Breaker, CLOSED, nextBreaker, waitOf } from "../connections/breaker.ts";
import { asClawError, type ClawError, ToolError } from "../errors.ts";
import type { Program } from "../process-group.ts";
import { guardedFetch } from "./fetch.ts";
import { stdioTransport } from "./stdio.ts";

export type McpServer =
  | { readonly kind: "stdio"; readonly program: Program }
  | { readonly kind: "http"; readonly url: string; readonly headers: Readonly<Record<string, string>>; readonly privateNetwork: boolean };

export type LinkState = { readonly state: "idle" | "connecting" | "connected" } | { readonly state: "waiting" | "failed"; readonly error: ClawError; readonly nextTryAt?: number };
/** Milliseconds until a server has answered its greeting: one that is here, one that may have to be fetched. */
export interface StartLimits { readonly hereMs: number; readonly fetchMs: number }
export interface LinkDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly version: string;
  readonly limits?: StartLimits;
  log(level: "debug" | "info" | "warn", text: string): void;
  onState(state: LinkState): void;
  /** Each time a connection stands, and when the server says that its tools are others now: they are to be read when `when` resolves. Where that fails, the connection is given up. */
  onTools(client: Client, when: Promise<void>): Promise<void>;
}
export interface Link {
  /** The connected client. Throws MCP_001 at once while the breaker waits, and for good when trying again changes nothing. */
  ready(): Promise<Client>;
  /** A call went well: the link is sound. */
  held(): void;
  /** The server wants a new session: this connection is over, the next one who asks gets another. */
  renew(client: Client): void;
  close(): Promise<void>;
}

export const CONNECT_MS = 60_000;
/** A package with a hundred others behind it takes minutes on a small machine, and what is ended in the middle of that begins anew. */
const LIMITS: StartLimits = { hereMs: CONNECT_MS, fetchMs: 600_000 };
/** Programs that fetch the server first where it is not here yet. */
const FETCHERS: ReadonlySet<string> = new Set(["bun", "bunx", "deno", "docker", "npm", "npx", "pipx", "pnpm", "pnpx", "podman", "uv", "uvx", "yarn"]);
export const mayFetch = (server: McpServer): boolean => server.kind === "stdio" && FETCHERS.has(path.basename(server.program.command).replace(/\.(cmd|exe)$/i, ""));
/** However often a server says that its tools have changed, they are read no more often than this. */
const CHANGED_MS = 2_000;
/** A server says when its stream is to be asked for again. At once, without end, would keep this machine busy; Node takes a wait of more than 24 days for none. */
const AGAIN_MS = { least: 250, most: 3_600_000 };
const MAX_LOG = 500;
export const OPTIONS: RequestOptions = { timeout: CONNECT_MS };

export function createLink(server: McpServer, deps: LinkDeps): Link {
  const { clock } = deps;
  let breaker: Breaker = CLOSED;
  let current: Open | undefined;
  let opening: Promise<Client> | undefined;
  let fault: ClawError | undefined;
  let nextTryAt = 0;
  let closed = false;
  let cancelTry = (): void => undefined;
  const end = new AbortController();

  async function open(): Promise<Client> {
    breaker = nextBreaker(breaker, { type: "try" });
    deps.onState({ state: "connecting" });
    const opened = await connect(server, { ...deps, plain: (breaker.faults % 2 === 0) === (server.kind === "stdio"), signal: end.signal, onEnd: (error) => lost(opened, error) }).catch((thrown: unknown) => { throw fail(thrown); });
    if (closed) {
      await opened.close();
      throw stopped();
    }
    current = opened;
    fault = undefined;
    deps.onState({ state: "connected" });
    deps.onTools(opened.client, Promise.resolve()).catch((error: Error) => lost(opened, error));
    return opened.client;
  }
  /** An unexpected end. */
  function lost(ended: Open, error: Error): void {
    if (closed || current !== ended) return;
    current = undefined;
    void ended.close();
    fail(error);
  }
  function fail(thrown: unknown): ClawError {
    const error = asFault(thrown, server);
    fault = error;
    breaker = nextBreaker(breaker, { type: "fault", permanent: error.retry === "no" });
    const waitMs = closed ? undefined : waitOf(breaker, deps.random());
    cancelTry();
    if (waitMs === undefined) {
      if (!closed) deps.onState({ state: "failed", error });
      return error;
    }
    nextTryAt = clock.monotonic() + waitMs;
    deps.onState({ state: "waiting", error, nextTryAt: clock.now() + waitMs });
    cancelTry = clock.after(waitMs, () => { begin().catch(() => undefined); });
    return error;
  }
  function begin(): Promise<Client> {
    opening ??= open().finally(() => { opening = undefined; });
    return opening;
  }

  return {
    async ready() {
      if (closed) throw stopped();
      if (current !== undefined) return current.client;
      if (opening === undefined && fault !== undefined && (breaker.phase === "stopped" || clock.monotonic() < nextTryAt)) throw fault;
      return begin();
    },
    held() { breaker = nextBreaker(breaker, { type: "held" }); },
    renew(client) {
      if (current?.client !== client) return;
      void current.close();
      current = undefined;
    },
    async close() {
      closed = true;
      cancelTry();
      end.abort();
      await opening?.catch(() => undefined);
      const last = current;
      current = undefined;
      await last?.close();
    },
  };
}

interface Open { readonly client: Client; close(): Promise<void> }

/** `plain`: without asking for the newest revision first. Programs speak the older one too, and some end on a request they do not know; whatever failed is tried the other way next time. */
async function connect(server: McpServer, deps: LinkDeps & { readonly plain: boolean; readonly signal: AbortSignal; onEnd(error: Error): void }): Promise<Open> {
  const sdk = await import("@modelcontextprotocol/client");
  const guarded = server.kind === "http" ? await guardedFetch(server) : undefined;
  const transport: Transport = server.kind === "stdio"
    ? stdioTransport(server.program, { clock: deps.clock, sdk, log: (line) => deps.log("info", line) })
    : new sdk.StreamableHTTPClientTransport(new URL(server.url), {
      requestInit: { headers: { ...server.headers } }, ...(guarded === undefined ? {} : { fetch: guarded }),
      reconnectionScheduler: (reconnect, delayMs) => deps.clock.after(Math.min(Math.max(delayMs, AGAIN_MS.least), AGAIN_MS.most), reconnect),
    });
  const over = new AbortController();
  let waits = false;
  const { hereMs, fetchMs } = deps.limits ?? LIMITS;
  const client = new sdk.Client({ name: "ClawFlow", version: deps.version }, {
    capabilities: {},
    versionNegotiation: deps.plain ? { mode: "legacy" } : { mode: "auto" },
    // What a server says of its answers binds nobody here, and its schemas are not compiled.
    jsonSchemaValidator: { getValidator: () => (input) => ({ valid: true, data: input as never, errorMessage: undefined }) },
    listChanged: { tools: { autoRefresh: false, debounceMs: 0, onChanged: () => {
      if (waits || over.signal.aborted) return;
      waits = true;
      const when = new Promise<void>((resolve, reject) => {
        const cancel = deps.clock.after(CHANGED_MS, () => { waits = false; resolve(); });
        over.signal.addEventListener("abort", () => { cancel(); reject(over.signal.reason as Error); }, { once: true });
      });
      when.catch(() => undefined);
      deps.onTools(client, when).catch((error: Error) => { if (!over.signal.aborted) deps.onEnd(error); });
    } } },
  });
  let last: Error | undefined;
  client.onerror = (error) => { last = error; deps.log("debug", error.message.slice(0, MAX_LOG)); };
  const close = async (): Promise<void> => {
    over.abort(new ToolError("MCP_001", { retry: "later" }, "the connection was closed"));
    client.onclose = () => undefined;
    // A server with sessions is told that this one is over; one that does not answer is not waited for.
    if (transport instanceof sdk.StreamableHTTPClientTransport) await Promise.race([transport.terminateSession().catch(() => undefined), new Promise<void>((resolve) => { deps.clock.after(1_000, resolve); })]);
    await client.close().catch(() => undefined);
    await transport.close().catch(() => undefined);
    await guarded?.close();
  };
  try {
    await client.connect(transport, { timeout: mayFetch(server) ? fetchMs : hereMs, signal: deps.signal });
  } catch (thrown) {
    await close();
    throw last !== undefined && !(thrown as { status?: unknown }).status && /closed/i.test((thrown as Error).message) ? last : thrown;
  }
  client.onclose = () => deps.onEnd(last ?? new ToolError("MCP_001", { retry: "later" }, "the connection was closed"));
  return { client, close };
}

const stopped = (): ToolError => new ToolError("MCP_001", {}, "Expected a connection to the MCP server, but its node was stopped.");
const PERMANENT: ReadonlySet<unknown> = new Set(["ENOENT", "EACCES", 401, 403, 404]);

/** What went wrong, by what trying again would change. */
function asFault(thrown: unknown, server: McpServer): ClawError {
  const error = asClawError(thrown, "MCP_001");
  if (error.code !== "MCP_001") return error;
  const { code, status, path, name, data } = (thrown ?? {}) as { code?: unknown; status?: unknown; path?: unknown; name?: unknown; data?: { timeout?: number } };
  const text = code === "ENOENT" ? `Expected the program "${String(path)}" to be installed, but it was not found.` : code === "REQUEST_TIMEOUT" ? silence(server, data?.timeout ?? CONNECT_MS) : name === "UnauthorizedError" || status === 401 || status === 403 ? `The MCP server refused the token or header (${status ?? 401}).` : `Expected a connection to the MCP server, got: ${error.message.slice(0, 300)}`;
  return new ToolError("MCP_001", { retry: PERMANENT.has(code) || PERMANENT.has(status) || name === "UnauthorizedError" ? "no" : "later", cause: thrown }, text);
}
function silence(server: McpServer, ms: number): string {
  const how = server.kind === "http" ? "" : mayFetch(server) ? ` Run "${server.program.command}" with its arguments in a terminal, as the user of Node-RED, to see what it waits for.` : " Is it one that speaks over standard input and output?";
  return `Expected an answer of the MCP server within ${ms / 1000} s, got none.${how}`;
}
