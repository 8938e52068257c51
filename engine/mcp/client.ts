/** An MCP server as a source of tools: which of its tools agents may call is a table of the owner's; what is new or has changed is not in it. */
import type { Client } from "@modelcontextprotocol/client";
import { ToolError } from "../errors.ts";
import type { JsonSchema } from "../models/model.ts";
import type { CallContext, Risk, Tool, ToolResult } from "../tool.ts";
import { CONNECT_MS, createLink, type LinkDeps, type McpServer, OPTIONS } from "./link.ts";
import { digest, toolDescription, toolName } from "./names.ts";
import { type Keep, resultText } from "./result.ts";
import { cleanSchema } from "./schema.ts";

/** A tool as the server lists it, made harmless. */
export interface ListedTool { readonly name: string; readonly description: string; readonly parameters?: JsonSchema; /** Why it cannot be used. */ readonly problem?: string; /** Changes with each word of its definition; long enough that nobody finds another definition of the same print. */ readonly print: string }
/** What the owner decided of one tool. `print`: as it was then; missing: whatever it says. */
export interface ToolRow { readonly tool: string; readonly risk: Risk | "off"; readonly print?: string }

export interface McpSettings {
  readonly server: McpServer;
  readonly prefix: string;
  readonly rows: readonly ToolRow[];
  /** Tools that are in no row, or whose definition has changed since. */
  readonly fresh: "off" | "dangerous";
  readonly timeoutMs: number;
  readonly tags: readonly string[];
  readonly readsPrivate: boolean;
  readonly shared: boolean;
}
export interface Offered { readonly tools: readonly Tool[]; /** Neither allowed nor refused by the owner yet. */ readonly fresh: readonly string[]; readonly problems: readonly string[] }
export interface McpDeps extends Omit<LinkDeps, "onTools"> {
  readonly keep: Keep;
  /** What the last connection listed: so agents have their tools before there is one. */
  load(): Promise<readonly ListedTool[] | undefined>;
  save(tools: readonly ListedTool[]): Promise<void>;
  onOffer(offered: Offered): void;
  /** An empty text: the call is over. */
  onProgress?(tool: string, text: string): void;
}
export interface McpSource {
  /** Connects only where it is not known yet what the server has. */
  start(): Promise<void>;
  close(): Promise<void>;
}

const MAX_PAGES = 64;
const MAX_TOOLS = 500;
const MAX_NAME = 200;
/** Schemas that are compiled in one turn of the event loop. */
const AT_ONCE = 10;
const PRINT = 32;

export function createMcpSource(settings: McpSettings, deps: McpDeps): McpSource {
  let known = "";
  let closed = false;
  /** What this connection's server lists. While it is read anew, calls wait: none goes to a tool that is no longer what the owner judged. */
  let listing: Promise<readonly ListedTool[]> = Promise.resolve([]);
  /** A list that was on its way when the node went is nobody's any more: its tools would stand in the place of the next node's. */
  const offer = (listed: readonly ListedTool[]) => { if (!closed) deps.onOffer(offerOf(listed, settings, (tool, input, _context, signal) => call(tool, input, signal))); };
  const link = createLink(settings.server, {
    ...deps,
    async onTools(client, when) {
      const read = when.then(() => listTools(client, deps));
      listing = read;
      const listed = await read;
      const text = JSON.stringify(listed);
      if (text === known) return;
      known = text;
      offer(listed);
      await deps.save(listed);
    },
  });
  async function call(tool: ListedTool, input: unknown, signal: AbortSignal, again = false): Promise<ToolResult> {
    const { name, print, parameters } = tool;
    const client = await withAbort(link.ready(), signal);
    const listed = await withAbort(listing, signal);
    if (listed.find((one) => one.name === name)?.print !== print) throw new ToolError("MCP_003", {}, `The server describes "${name}" otherwise now, or has it no more: it is not called. Tell the user that its owner has to look at the tools of this server.`);
    const asked = client.callTool({ name, arguments: input as Record<string, unknown> }, {
      // Which arguments a server wants as headers too stands in the schema (revision 2026-07-28).
      ...(parameters === undefined ? {} : { toolDefinition: { name, inputSchema: parameters as { type: "object" } } }),
      signal, timeout: settings.timeoutMs + OPTIONS_SLACK_MS,
      onprogress: ({ progress, total, message }) => deps.onProgress?.(name, `${toolDescription(message).slice(0, MAX_PROGRESS)} ${progress}${total === undefined ? "" : `/${total}`}`.trim()),
    }).finally(() => deps.onProgress?.(name, ""));
    let result: Awaited<typeof asked>;
    try {
      result = await asked;
    } catch (thrown) {
      // A server that has forgotten the session says so by 404, and has done nothing.
      if (again || (thrown as { status?: unknown } | null)?.status !== 404) throw callFault(thrown);
      link.renew(client);
      return call(tool, input, signal, true);
    }
    link.held();
    return resultText(result, deps.keep);
  }
  return {
    async start() {
      const listed = await deps.load();
      if (listed === undefined) { await link.ready().catch(() => undefined); return; }
      known = JSON.stringify(listed);
      offer(listed);
      if (closed) return;
      deps.onState({ state: "idle" });
      // The owner has judged tools as they are now, and not as they were at the last connection.
      if (settings.rows.some(({ tool, risk, print }) => risk !== "off" && print !== undefined && print !== "" && listed.find(({ name }) => name === tool)?.print !== print)) await link.ready().catch(() => undefined);
    },
    close() {
      closed = true;
      return link.close();
    },
  };
}
/** The tool's own limit ends a call first. */
const OPTIONS_SLACK_MS = 5_000;
const MAX_PROGRESS = 60;

/** For the form: connects, lists, closes. Throws MCP_001. */
export async function tryMcp(server: McpServer, deps: Pick<LinkDeps, "clock" | "random" | "version" | "log">): Promise<readonly ListedTool[]> {
  const link = createLink(server, { ...deps, onState: () => undefined, onTools: async () => undefined });
  try {
    return await listTools(await link.ready(), deps);
  } finally {
    await link.close();
  }
}

/** Which of the listed tools are offered to agents. Pure. */
export function offerOf(listed: readonly ListedTool[], settings: McpSettings, call: (tool: ListedTool, input: unknown, context: CallContext, signal: AbortSignal) => ReturnType<Tool["call"]>): Offered {
  const rows = new Map(settings.rows.map((row) => [row.tool, row]));
  const tools: Tool[] = [];
  const fresh: string[] = [];
  const problems: string[] = [];
  for (const one of listed) {
    const { name, description, parameters, problem, print } = one;
    const row = rows.get(name);
    const decided = row !== undefined && (row.print === undefined || row.print === "" || row.print === print);
    if (!decided && row?.risk !== "off") fresh.push(name);
    const risk = decided ? row.risk : row?.risk === "off" ? "off" : settings.fresh;
    if (risk === "off") continue;
    if (parameters === undefined) { problems.push(`"${name}": ${problem}`); continue; }
    tools.push({
      name: toolName(settings.prefix, name), description, parameters, tags: settings.tags, risk, readsPrivate: settings.readsPrivate,
      // What it answers was written by others, always.
      talksOutside: true, shared: settings.shared, foreign: true, timeoutMs: settings.timeoutMs, call: (input, context, signal) => call(one, input, context, signal),
    });
  }
  return { tools, fresh, problems };
}

/** All pages, within limits; each tool is judged by itself, so that one that is broken takes no other along. */
async function listTools(client: Client, { log, clock }: Pick<LinkDeps, "log" | "clock">): Promise<readonly ListedTool[]> {
  const since = clock.monotonic();
  const listed = new Map<string, ListedTool>();
  if (client.getServerCapabilities()?.tools === undefined) return [];
  let cursor: string | undefined;
  for (let page = 0; page < MAX_PAGES && listed.size < MAX_TOOLS; page++) {
    const got = await client.request({ method: "tools/list", params: cursor === undefined ? {} : { cursor } }, ANYTHING, OPTIONS) as { tools?: unknown; nextCursor?: unknown };
    const tools = Array.isArray(got?.tools) ? got.tools : [];
    for (const [index, tool] of tools.slice(0, MAX_TOOLS - listed.size).entries()) {
      if (index % AT_ONCE === AT_ONCE - 1) await new Promise((resolve) => { setImmediate(resolve); });
      const one = listedTool(tool);
      if (one !== undefined && !listed.has(one.name)) listed.set(one.name, one);
    }
    if (tools.length > MAX_TOOLS - listed.size && listed.size >= MAX_TOOLS) log("warn", `Expected at most ${MAX_TOOLS} tools, got more; the others are left out.`);
    if (typeof got?.nextCursor !== "string" || got.nextCursor === cursor) break;
    if (clock.monotonic() - since > CONNECT_MS) { log("warn", `Expected the list of tools within ${CONNECT_MS / 1000} s, but it goes on; what follows is left out.`); break; }
    cursor = got.nextCursor;
  }
  return [...listed.values()];
}
/** A result as it came: what one tool says wrongly is no reason to lose all. */
const ANYTHING = { "~standard": { version: 1, vendor: "clawflow", validate: (value: unknown) => ({ value }) } } as const;

function listedTool(given: unknown): ListedTool | undefined {
  const { name, description, inputSchema } = (given ?? {}) as { name?: unknown; description?: unknown; inputSchema?: unknown };
  if (typeof name !== "string" || name === "" || name.length > MAX_NAME) return undefined;
  const cleaned = cleanSchema(inputSchema);
  const print = digest(JSON.stringify([name, description, inputSchema]) ?? "", PRINT);
  return { name, description: toolDescription(description), print, ...("schema" in cleaned ? { parameters: cleaned.schema } : { problem: cleaned.problem }) };
}

function callFault(thrown: unknown): unknown {
  const { name, message, code } = (thrown ?? {}) as { name?: string; message?: string; code?: unknown };
  if (name === "AbortError" || thrown instanceof ToolError) return thrown;
  if (code === "CONNECTION_CLOSED" || /closed/i.test(message ?? "")) return new ToolError("MCP_001", { retry: "later", cause: thrown }, "The MCP server went away during the call. Nobody knows whether it was done.");
  return new ToolError("TOOL_003", { cause: thrown }, `The MCP server answered with an error: ${(message ?? String(thrown)).slice(0, 1_000)}`);
}

function withAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
