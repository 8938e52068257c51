/** The tools on the canvas by the names a model knows them by: tool nodes, MCP servers, folders of skills, folders of documents. */
import { nodesOf } from "./gateways.ts";
import type { EditorNode } from "./red.ts";

export interface KnownTool { readonly tool: string; readonly tags: readonly string[] }
/** A tool of an MCP server as its node keeps it. `as`: the name it had when it was fetched. */
export interface McpRow { tool: string; risk: "off" | "read" | "write" | "dangerous"; print?: string; as?: string }

const split = (tags: unknown): string[] => String(tags ?? "").split(",").map((tag) => tag.trim()).filter((tag) => tag !== "");

export function mcpName(prefix: string, row: McpRow): string {
  const plain = prefix === "" ? row.tool : `${prefix}_${row.tool}`;
  return /^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/.test(plain) ? plain : row.as ?? plain;
}
function ofMcp(node: EditorNode): KnownTool[] {
  const prefix = String(node.prefix ?? "");
  const tags = [...prefix === "" ? [] : [prefix], ...split(node.tags)];
  return ((node.rows ?? []) as McpRow[]).filter(({ risk }) => risk !== "off").map((row) => ({ tool: mcpName(prefix, row), tags }));
}

export function toolsOf(gateway: string): KnownTool[] {
  const of = (type: string): EditorNode[] => nodesOf(type).filter((node) => node.gateway === gateway && !node.d);
  return [
    ...of("clawflow-tool").map((node) => ({ tool: String(node.tool ?? ""), tags: split(node.tags) })),
    ...of("clawflow-mcp").flatMap(ofMcp),
    ...of("clawflow-documents").map((node) => ({ tool: String(node.tool || "search_documents"), tags: ["documents"] })),
    ...of("clawflow-skills").flatMap((node) => ((node.names ?? []) as string[]).map((tool) => ({ tool, tags: split(node.tags) }))),
  ].sort((a, b) => a.tool.localeCompare(b.tool));
}
