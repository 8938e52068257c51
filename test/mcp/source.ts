/** An MCP source outside of Node-RED: what it offered, said and showed; and a look at which processes are still there. */
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { systemClock } from "../../engine/clock.ts";
import { createMcpSource, type ListedTool, type McpSettings, type Offered } from "../../engine/mcp/client.ts";
import type { LinkState, McpServer, StartLimits } from "../../engine/mcp/link.ts";
import type { CallContext, Tool, ToolResult } from "../../engine/tool.ts";
import { message, until } from "../kit/scripted.ts";

export const everythingPath = new URL("../../node_modules/@modelcontextprotocol/server-everything/dist/index.js", import.meta.url).pathname;
const hostilePath = new URL("../platforms/mcp-hostile.ts", import.meta.url).pathname;
const env = { PATH: process.env["PATH"] ?? "" };
export const everything = (...args: string[]): McpServer => ({ kind: "stdio", program: { command: process.execPath, args: [everythingPath, ...args], env } });
export const hostile = (way: string): McpServer => ({ kind: "stdio", program: { command: process.execPath, args: [hostilePath, way], env } });

export interface Rig extends AsyncDisposable {
  readonly offers: Offered[];
  readonly states: LinkState[];
  readonly lines: string[];
  readonly kept: { bytes: number; mime: string }[];
  readonly progress: string[];
  saved: readonly ListedTool[] | undefined;
  start(): Promise<void>;
  tools(): readonly Tool[];
  tool(name: string): Tool;
  call(name: string, input?: unknown, signal?: AbortSignal): Promise<ToolResult>;
  /** Waits for the first list. */
  listed(): Promise<readonly Tool[]>;
  close(): Promise<void>;
}
export function rig(server: McpServer, more: Partial<McpSettings> = {}, cached?: readonly ListedTool[], limits?: StartLimits): Rig {
  const offers: Offered[] = [];
  const states: LinkState[] = [];
  const lines: string[] = [];
  const kept: Rig["kept"] = [];
  const progress: string[] = [];
  const source = createMcpSource({ server, prefix: "t", rows: [], fresh: "dangerous", timeoutMs: 60_000, tags: [], readsPrivate: false, shared: false, ...more }, {
    ...limits === undefined ? {} : { limits }, clock: systemClock, random: () => 0, version: "0", log: (_level, text) => { lines.push(text); }, onState: (state) => { states.push(state); },
    keep: async (bytes, { mime }) => { kept.push({ bytes: bytes.byteLength, mime }); return { media: `spool:${kept.length}`, mime, bytes: bytes.byteLength }; },
    load: async () => cached, save: async (tools) => { made.saved = tools; }, onOffer: (offered) => { offers.push(offered); }, onProgress: (_tool, text) => { progress.push(text); },
  });
  const made: Rig = {
    offers, states, lines, kept, progress, saved: undefined,
    start: () => source.start(),
    tools: () => offers.at(-1)?.tools ?? [],
    tool(name) { const tool = made.tools().find((one) => one.name === name); if (tool === undefined) throw new Error(`no tool ${name} among ${made.tools().map((one) => one.name).join(" ")}`); return tool; },
    call: (name, input = {}, signal = new AbortController().signal) => made.tool(name).call(input, context, signal),
    async listed() { await source.start(); await until(() => offers.length > 0, "the list of tools", 120_000); return made.tools(); },
    close: () => source.close(),
    async [Symbol.asyncDispose]() { await source.close(); },
  };
  return made;
}
export const context: CallContext = { run: "r", call: "c", person: "u1", trust: "owner", tainted: false, deadline: 0, message: message() };

/** Is this process there, and no zombie? */
export function alive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}
/** Processes whose parent is this one. */
export function children(): number[] {
  return readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8").trim().split(" ").filter((id) => id !== "").map(Number).filter(alive);
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
