/** Each example can be imported as it is: complete, closed, without secrets, and every node has one. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { PROVIDERS } from "../engine/models/providers.ts";
import { channels } from "../engine/channels/index.ts";
import { checkSteps, type Step } from "../engine/normalize.ts";
import { checkRules, type Rule } from "../engine/route.ts";
import { checkSchema } from "../engine/tool-input.ts";
import { toSchema, type Param } from "../editor/schema.ts";
import { projectRoot } from "./rigs/project.ts";

type Node = { id: string; type: string; z?: string; g?: string; x?: number; y?: number; wires?: string[][]; [property: string]: unknown };
const folder = path.join(projectRoot, "examples");
const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
const read = (file: string): Node[] => JSON.parse(readFileSync(path.join(folder, file), "utf8")) as Node[];
const ours = readdirSync(path.join(projectRoot, "nodes")).filter((name) => name.endsWith(".html")).map((name) => `clawflow-${name.slice(0, -5)}`);
const core = ["tab", "group", "change", "template", "inject", "debug", "delay", "function", "catch", "comment", "link in", "link out", "switch"];
const configTypes: Readonly<Record<string, string>> = { gateway: "clawflow-gateway", account: "clawflow-account", model: "clawflow-model" };

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
