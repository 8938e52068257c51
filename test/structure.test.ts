/** The rules of the house, as docs/architecture.md states them. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { ERRORS } from "../engine/errors.ts";
import { type FlowNode, projectRoot as root } from "./rigs/project.ts";

const NODES = ["gateway", "account", "model", "channel-in", "normalize", "route", "agent", "tool", "tool-out", "mcp", "mcp-server", "skills", "ask", "channel-out", "cron", "webhook", "documents"];
const CONFIG_NODES = ["gateway", "account", "model"];
const LANGUAGES = readdirSync(path.join(root, "locales")).filter((name) => statSync(path.join(root, "locales", name)).isDirectory());

const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
const json = (file: string): Record<string, unknown> => JSON.parse(read(file)) as Record<string, unknown>;
/** Files below `folder`, as paths from the project's root. */
function files(folder: string, end = ""): string[] {
  if (!existsSync(path.join(root, folder))) return [];
  return (readdirSync(path.join(root, folder), { recursive: true }) as string[])
    .map((name) => path.join(folder, name))
    .filter((file) => file.endsWith(end) && statSync(path.join(root, file)).isFile());
}
const sources = (...folders: string[]): string[] => folders.flatMap((folder) => files(folder, ".ts"));
/** Every place in `texts` where the pattern occurs, as "file:line text". */
function findings(among: readonly string[], pattern: RegExp): string[] {
  return among.flatMap((file) => read(file).split("\n").flatMap((line, index) => (pattern.test(line) ? [`${file}:${index + 1} ${line.trim().slice(0, 160)}`] : [])));
}
/** Keys of all strings, as "a.b.c"; lists and objects are walked. */
function keys(value: unknown, prefix = ""): string[] {
  if (typeof value !== "object" || value === null) return [prefix];
  return Object.entries(value).flatMap(([key, inner]) => keys(inner, prefix === "" ? key : `${prefix}.${key}`));
}

describe("the engine", () => {
  const engine = sources("engine");

  it("imports nothing of Node-RED and nothing of the nodes", () => {
    assert.ok(engine.length > 20);
    assert.deepEqual(findings(engine, /(?:from|import\(|import|require\()\s*["'](?:node-red|@node-red\/|(?:\.\.\/)+(?:nodes|editor|web|test)\/)/), []);
  });

  it("reads no environment variables and writes to no console", () => {
    assert.deepEqual(findings(engine, /\bprocess\.env\b|\bconsole\.\w+\(/), []);
  });

  it("loads the SDKs only on demand", () => {
    const sdks = Object.keys(json("package.json").dependencies as object).join("|").replaceAll("/", "\\/").replaceAll(".", "\\.");
    const pattern = new RegExp(`^import (?!type\\b)[^;]*["'](?:${sdks})(?:/[^"']*)?["']`);
    assert.deepEqual(findings(engine.filter((file) => !/node-cron/.test(file)), pattern), []);
    assert.ok(pattern.test('import { Bot } from "grammy";') && !pattern.test('import type { Bot } from "grammy";'));
  });
});

/** What several channels of one company share; no channels themselves. */
const FAMILIES = ["mail", "twilio"];

describe("the channels", () => {
  const folders = readdirSync(path.join(root, "engine/channels"), { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name).filter((name) => !FAMILIES.includes(name));

  for (const folder of folders) {
    it(`${folder} has its code, README.md and samples`, () => {
      const inside = readdirSync(path.join(root, "engine/channels", folder));
      assert.ok(inside.includes(`${folder}.ts`), `expected ${folder}.ts`);
      assert.ok(inside.includes("README.md"), "expected README.md");
      assert.ok(readdirSync(path.join(root, "engine/channels", folder, "samples")).some((name) => name.endsWith(".json")), "expected a sample");
      const headings = [...read(`engine/channels/${folder}/README.md`).matchAll(/^## (.+)$/gm)].map((match) => match[1]);
      assert.deepEqual(headings, ["What it does", "Get the token", "Settings", "Limits", "When it fails"]);
    });
  }

  it("index.ts lists each folder once", async () => {
    const index = read("engine/channels/index.ts");
    for (const folder of folders) assert.equal(index.split(`./${folder}/${folder}.ts`).length - 1, 1, folder);
    const { channels } = await import("../engine/channels/index.ts");
    assert.deepEqual(channels.map(({ id }) => id).sort(), [...folders].sort());
  });
});

describe("the nodes", () => {
  const section = json("package.json")["node-red"] as { version: string; nodes: Record<string, string>; plugins: Record<string, string> };
  const examples = files("examples", ".json");

  it("are the ones that package.json lists", () => {
    assert.deepEqual(section.nodes, Object.fromEntries(NODES.map((node) => [node, `dist/${node}.js`])));
    assert.deepEqual(files("nodes", ".html").map((file) => path.basename(file, ".html")).sort(), [...NODES].sort());
  });

  for (const node of NODES) {
    it(`${node} has code, form, icon, strings and help in every language, and an example`, () => {
      for (const file of [`nodes/${node}.ts`, `nodes/${node}.html`]) assert.ok(existsSync(path.join(root, file)), `expected ${file}`);
      const html = read(`nodes/${node}.html`);
      assert.match(html, new RegExp(`registerType\\(\\s*["']clawflow-${node}["']\\s*,\\s*\\{`), "registerType with literal type and inline object");
      assert.match(html, new RegExp(`data-template-name=["']clawflow-${node}["']`));
      assert.match(html, /version:\s*\{\s*value:/, "a saved node carries its version");
      assert.match(read(`nodes/${node}.ts`), new RegExp(`registerType\\(\\s*["']clawflow-${node}["']`));
      for (const language of LANGUAGES) {
        const help = `locales/${language}/${node}.html`;
        assert.ok(existsSync(path.join(root, `locales/${language}/${node}.json`)), `expected locales/${language}/${node}.json`);
        assert.ok(existsSync(path.join(root, help)), `expected ${help}`);
        assert.match(read(help), new RegExp(`data-help-name=["']clawflow-${node}["']`));
      }
      const icon = /icon:\s*["']([^"']+\.svg)["']/.exec(html)?.[1];
      if (!CONFIG_NODES.includes(node)) assert.ok(icon, "expected an icon");
      if (icon !== undefined && !icon.startsWith("font-awesome/")) assert.ok(existsSync(path.join(root, "icons", icon)), `expected icons/${icon}`);
      assert.ok(examples.some((file) => (JSON.parse(read(file)) as FlowNode[]).some(({ type }) => type === `clawflow-${node}`)), "expected an example");
    });
  }

  it("examples are arrays of known nodes that hold no credentials", () => {
    assert.ok(examples.length > 0);
    for (const file of examples) {
      const flow = JSON.parse(read(file)) as FlowNode[];
      assert.ok(Array.isArray(flow), file);
      const ids = flow.map(({ id }) => id);
      assert.equal(new Set(ids).size, ids.length, `${file}: ids are unique`);
      for (const node of flow) {
        assert.ok(!("credentials" in node), `${file}: ${node.id} holds credentials`);
        if (node.type.startsWith("clawflow-")) assert.ok(NODES.includes(node.type.slice("clawflow-".length)), `${file}: ${node.type}`);
        for (const wire of ((node.wires ?? []) as string[][]).flat()) assert.ok(ids.includes(wire), `${file}: ${node.id} is wired to ${wire}, which is not there`);
      }
    }
  });
});

describe("the strings", () => {
  it("exist in English and German at least", () => {
    for (const language of ["en-US", "de"]) assert.ok(LANGUAGES.includes(language), language);
  });

  for (const file of readdirSync(path.join(root, "locales/en-US"))) {
    it(`${file} has the same keys in every language`, () => {
      for (const language of LANGUAGES) {
        const other = `locales/${language}/${file}`;
        assert.ok(existsSync(path.join(root, other)), `expected ${other}`);
        if (file.endsWith(".json")) assert.deepEqual(keys(json(other)).sort(), keys(json(`locales/en-US/${file}`)).sort(), other);
      }
    });
  }

  it("no language has a file of its own", () => {
    const expected = readdirSync(path.join(root, "locales/en-US")).sort();
    for (const language of LANGUAGES) assert.deepEqual(readdirSync(path.join(root, "locales", language)).sort(), expected, language);
  });
});

describe("the errors", () => {
  it("every code used is in the table", () => {
    const used = new Map<string, string>();
    for (const file of [...sources("engine", "nodes", "editor", "web"), ...files("docs", ".md"), ...files("locales")]) {
      for (const [code] of read(file).matchAll(/\b(?:CONN|MSG|SEC|MODEL|TOOL|AGENT|STORE|CONF)_\d{3}\b/g)) used.set(code, file);
    }
    assert.ok(used.size > 10);
    assert.deepEqual([...used].filter(([code]) => !(code in ERRORS)), []);
  });
});

describe("the sources", () => {
  it("export no function and no constant that nobody else uses", () => {
    const texts = new Map([...["engine", "nodes", "editor", "web", "test", "bench", "scripts"].flatMap((folder) => files(folder)).filter((file) => /\.(ts|mjs|cjs|html|txt)$/.test(file)), "build.mjs"].map((file) => [file, read(file)]));
    const words = new Map([...texts].map(([file, text]) => [file, new Set(text.match(/[\w$]+/g))]));
    const exported = sources("engine", "nodes", "editor", "web").flatMap((file) => [...(texts.get(file) ?? "").matchAll(/^export (?:async )?(?:const|function\*?) (\w+)/gm)].map(([, name = ""]) => ({ file, name })));
    assert.ok(exported.length > 500);
    const lonely = exported.filter(({ file, name }) => ![...words].some(([other, found]) => other !== file && found.has(name))).map(({ file, name }) => `${file} ${name}`);
    // What the contract of the store is made of is left as it is.
    assert.deepEqual(lonely.filter((one) => !one.startsWith("engine/store/")), []);
  });
});

describe("the repository", () => {
  it("names no folder of a machine and no registry host", () => {
    const home = new RegExp(["(?<![\\w}])/ho" + "me/\\w+/", "(?<![\\w}])/Us" + "ers/\\w+/", "(?<![\\w}])/ro" + "ot/", "(?<![\\w}])/wo" + "rk/", "C:\\\\Us" + "ers\\\\"].join("|"));
    const texts = ["build.mjs", "biome.json", "package.json", "CHANGELOG.md", ".ci/run",
      ...["engine", "nodes", "editor", "web", "test", "bench", "scripts", "docs", "examples", "locales", "types"].flatMap((folder) => files(folder))]
      .filter((file) => /\.(ts|mjs|json|html|md|css|svg|js|cjs)$|run$/.test(file));
    assert.deepEqual(findings(texts, home), []);
    assert.deepEqual(findings(["package-lock.json"], /"resolved":|https?:\/\/[^"]*registry/), []);
  });

  it("has exactly the six prescribed dependencies and an honest engines field", () => {
    const { dependencies, engines, license } = json("package.json") as { dependencies: object; engines: object; license: string };
    assert.deepEqual(Object.keys(dependencies).sort(), ["@anthropic-ai/sdk", "@slack/bolt", "discord.js", "grammy", "node-cron", "openai"]);
    assert.deepEqual(engines, { node: ">=22.13" });
    assert.equal(license, "MIT");
  });
});
