/** Each example can be imported as it is: complete, closed, without secrets, and every node has one. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { PROVIDERS } from "../engine/models/providers.ts";
import { channels } from "../engine/channels/index.ts";
import { checkSteps, type Step } from "../engine/normalize.ts";
import { checkRules, type Rule } from "../engine/route.ts";
import { checkSchema } from "../engine/tool-input.ts";
import { slugOf } from "../engine/slug.ts";
import type { ToolChoice } from "../engine/tools.ts";
import { toSchema, type Param } from "../editor/schema.ts";
import { projectRoot } from "./rigs/project.ts";

type Node = { id: string; type: string; z?: string; g?: string; x?: number; y?: number; wires?: string[][]; [property: string]: unknown };
const folder = path.join(projectRoot, "examples");
const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
const read = (file: string): Node[] => JSON.parse(readFileSync(path.join(folder, file), "utf8")) as Node[];
const ours = readdirSync(path.join(projectRoot, "nodes")).filter((name) => name.endsWith(".html")).map((name) => `clawflow-${name.slice(0, -5)}`);
const core = ["tab", "group", "change", "template", "inject", "debug", "delay", "function", "catch", "comment", "link in", "link out", "switch"];
const configTypes: Readonly<Record<string, string>> = { gateway: "clawflow-gateway", account: "clawflow-account", model: "clawflow-model" };

const listed: Readonly<Record<string, string>> = { fallbacks: "clawflow-model", models: "clawflow-model", accounts: "clawflow-account" };

/** What agents and MCP servers of this flow may choose from. */
function offered(nodes: readonly Node[]): Readonly<Record<Exclude<ToolChoice["by"], "all">, readonly string[]>> {
  const agents = nodes.filter(({ type }) => type === "clawflow-agent").map(({ name, agentId }) => slugOf(String(name || agentId || "agent")));
  const tools = nodes.filter(({ type }) => type === "clawflow-tool");
  return { agent: agents, handover: agents, name: tools.map(({ tool }) => String(tool)), tag: tools.flatMap(({ tags }) => String(tags).split(/[,\s]+/)) };
}

/** Property names of a node's form. */
function propertiesOf(type: string): Set<string> {
  const html = readFileSync(path.join(projectRoot, "nodes", `${type.replace("clawflow-", "")}.html`), "utf8");
  const defaults = html.slice(html.indexOf("defaults: {"), html.search(/\n {4}\},\n {4}(?:inputs|credentials|paletteLabel)/));
  return new Set([...defaults.matchAll(/^ {6}(\w+): \{ value:/gm)].map((match) => match[1] ?? ""));
}

describe("examples", () => {
  it("every node occurs in one", () => {
    const used = new Set(files.flatMap((file) => read(file).map(({ type }) => type)));
    assert.deepEqual(ours.filter((type) => !used.has(type)), []);
    assert.ok(files.includes("Home demo.json"));
  });

  for (const file of files) {
    describe(file, () => {
      const nodes = read(file);
      const byId = new Map(nodes.map((node) => [node.id, node]));

      it("is an array of known nodes with ids of their own", () => {
        assert.ok(Array.isArray(nodes) && nodes.length > 0);
        assert.equal(byId.size, nodes.length);
        assert.deepEqual(nodes.filter(({ type }) => !ours.includes(type) && !core.includes(type)).map(({ type }) => type), []);
      });

      it("is closed: wires, groups and config nodes are in it", () => {
        for (const node of nodes) {
          for (const target of (node.wires ?? []).flat()) assert.equal(byId.get(target)?.z, node.z, `${node.type} ${node.id} is wired to ${target}`);
          if (node.g !== undefined) assert.ok((byId.get(node.g)?.["nodes"] as string[] | undefined)?.includes(node.id), `${node.id} is not in its group`);
          for (const [field, type] of Object.entries(configTypes)) {
            const id = node.type === type ? undefined : node[field];
            if (typeof id === "string" && id !== "") assert.equal(byId.get(id)?.type, type, `${node.type}.${field}`);
          }
        }
        for (const { type, gateway } of nodes) if (propertiesOfOurs(type).has("gateway") && type !== "clawflow-normalize") assert.notEqual(gateway, "", `${type} has no gateway`);
      });

      it("names nothing that is not in it: stand-ins, models to choose, accounts, tools, other agents", () => {
        for (const node of nodes) {
          // An id in a list of any node, at any depth; the node's own and those above are among them.
          for (const [, id] of JSON.stringify(node).matchAll(/"([0-9a-f]{16})"/g)) assert.ok(byId.has(id as string), `${node.type} ${node.id} names ${id}`);
          for (const [field, type] of Object.entries(listed)) {
            for (const id of (node[field] ?? []) as unknown[]) if (id !== "") assert.equal(byId.get(id as string)?.type, type, `${node.type}.${field}`);
          }
          if (node.type !== "clawflow-agent" && node.type !== "clawflow-mcp-server") continue;
          for (const choice of node["tools"] as ToolChoice[]) assert.ok(choice.by === "all" || offered(nodes)[choice.by].includes(choice.value), `${node.type} ${node.id} uses ${JSON.stringify(choice)}`);
        }
      });

      it("says what it shows, how to open it, and what it needs", () => {
        const [flow] = nodes.filter(({ type }) => type === "tab");
        const info = String(flow?.["info"]);
        assert.ok(info.length > 40);
        const isWebChat = nodes.some(({ channel }) => channel === "webchat");
        if (isWebChat && nodes.some(({ type }) => type === "clawflow-channel-in")) assert.match(JSON.stringify(nodes), /Open Web chat as owner/);
        // Whoever needs more than ClawFlow says so on the canvas.
        const needs = nodes.some(({ type, provider }) => ["clawflow-skills", "clawflow-mcp"].includes(type) || (type === "clawflow-model" && !["practice", "ollama"].includes(String(provider))));
        if (needs) assert.ok(nodes.some(({ type, name }) => type === "comment" && /^Needs /.test(String(name))), "no comment node says what is needed");
      });

      it("has all properties of the forms, no others, and no credentials", () => {
        for (const node of nodes.filter(({ type }) => ours.includes(type))) {
          assert.equal(node["credentials"], undefined);
          const { id: _id, type: _type, z: _z, g: _g, d: _d, x: _x, y: _y, wires: _wires, ...rest } = node;
          assert.deepEqual(new Set(Object.keys(rest)), propertiesOf(node.type), node.type);
        }
        assert.doesNotMatch(JSON.stringify(nodes), /sk-|xox[bp]-|AKIA|\d{8,}:AA|Bearer\s+\w/);
      });

      it("stands on the grid", () => {
        for (const { type, y } of nodes) if (y !== undefined && type !== "group") assert.equal(y % 20, 0, `${type} at y ${y}`);
      });

      it("holds what the engine accepts", () => {
        for (const node of nodes) {
          if (node.type === "clawflow-route") assert.deepEqual(checkRules((node["rules"] as Omit<Rule, "output">[]).map((rule, output) => ({ ...rule, output }))), []);
          if (node.type === "clawflow-normalize") assert.deepEqual(checkSteps(node["steps"] as Step[]), []);
          if (node.type === "clawflow-model") assert.ok(PROVIDERS.some(({ id }) => id === node["provider"]), String(node["provider"]));
          if (node.type === "clawflow-account") assert.ok(channels.some(({ id }) => id === node["channel"]), String(node["channel"]));
          if (node.type === "clawflow-tool") {
            const schema = node["schemaMode"] === true ? JSON.parse(String(node["schema"])) as object : toSchema(node["params"] as Param[]);
            assert.equal(checkSchema(schema), undefined);
            assert.ok(String(node["description"]).length > 10);
          }
        }
      });
    });
  }
});

function propertiesOfOurs(type: string): Set<string> {
  return ours.includes(type) ? propertiesOf(type) : new Set();
}
