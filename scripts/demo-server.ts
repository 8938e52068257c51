/** An MCP server in the demo: @modelcontextprotocol/server-everything, where it is installed here. It is a program without network that reads nothing of this machine by the tools allowed. */
import { existsSync } from "node:fs";
import path from "node:path";

const NODE = "9d1f3a7c20be5e01";
const GROUP = "9d1f3a7c20be5e02";
const FILE = "@modelcontextprotocol/server-everything/dist/index.js";
/** As these tools describe themselves now; a tool that says something else is off until somebody has looked at it. All others are off. */
const ALLOWED = { echo: "30aef5ee24029cb6a2499261e2206149", "get-sum": "41b78ec9f978b59bfb015ab908afd47d" };
const OFF = ["get-annotated-message", "get-env", "get-resource-links", "get-resource-reference", "get-structured-content", "get-tiny-image", "gzip-file-as-resource", "toggle-simulated-logging", "toggle-subscriber-updates", "trigger-long-running-operation", "simulate-research-query"];
const SUGGESTION = "what is the sum of 2 and 40?";

interface FlowNode { readonly id: string; readonly type: string; readonly args?: readonly string[]; readonly settings?: { readonly suggestions?: readonly string[] }; readonly [property: string]: unknown }

const isOurs = (node: FlowNode): boolean => node.id === NODE && String(node.args?.[0] ?? "").replaceAll("\\", "/").endsWith(FILE);

/**
 * The flows with the server's node: added to a new flow; in a flow that was placed before, its path is set right, and it is switched off where the package is gone.
 * What the user made of it otherwise stays.
 */
export function withServer(flows: readonly FlowNode[], root: string, isFirst: boolean): readonly FlowNode[] {
  const file = path.join(root, "node_modules", ...FILE.split("/"));
  const installed = existsSync(file);
  if (!isFirst) return flows.map((node) => (!isOurs(node) ? node : installed ? { ...node, command: process.execPath, args: [file, ...(node.args ?? []).slice(1)] } : { ...node, d: true }));
  const tab = flows.find(({ type }) => type === "tab");
  const gateway = flows.find(({ type }) => type === "clawflow-gateway");
  if (!installed || tab === undefined || gateway === undefined) return flows;
  const server = {
    id: NODE, type: "clawflow-mcp", z: tab.id, g: GROUP, version: 1, name: "everything", gateway: gateway.id, transport: "stdio", command: process.execPath, args: [file, "stdio"], url: "", privateNetwork: false, prefix: "everything",
    rows: [...Object.entries(ALLOWED).map(([tool, print]) => ({ tool, risk: "read", print })), ...OFF.map((tool) => ({ tool, risk: "off" }))],
    fresh: "off", timeoutSeconds: 60, tags: "home", readsPrivate: false, shared: false, x: 130, y: 640, wires: [],
  };
  const note = { id: "9d1f3a7c20be5e03", type: "comment", z: tab.id, g: GROUP, name: "what it answers is text of others", info: "Ask in the chat: *what is the sum of 2 and 40?* After that the agent asks before it switches anything: there is text of others in the talk. `/new` begins another talk.", x: 420, y: 640, wires: [] };
  const group = { id: GROUP, type: "group", z: tab.id, name: "Tools of an MCP server, a program of its own", style: { label: true }, nodes: [server.id, note.id], x: 34, y: 599, w: 592, h: 82 };
  const suggesting = flows.map((node) => (node.type === "clawflow-account" && Array.isArray(node.settings?.suggestions) ? { ...node, settings: { ...node.settings, suggestions: [...node.settings.suggestions, SUGGESTION] } } : node));
  return [...suggesting, server, note, group];
}
