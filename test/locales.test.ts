/** The editor's words: the same keys in every language, help for every node, and no key in a form that no catalogue has. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { channels } from "../engine/channels/index.ts";
import { FIELDS, TESTS } from "../engine/route.ts";
import { MAPPING_FIELDS } from "../engine/mapping.ts";
import { STEPS } from "../engine/normalize.ts";
import { FAULTS } from "../engine/models/faults.ts";
import { projectRoot } from "./rigs/project.ts";

type Catalogue = { [key: string]: string | Catalogue };
const locales = path.join(projectRoot, "locales");
const languages = readdirSync(locales);
const nodes = readdirSync(path.join(projectRoot, "nodes")).filter((name) => name.endsWith(".html")).map((name) => name.slice(0, -5));
const read = (language: string, name: string): Catalogue => JSON.parse(readFileSync(path.join(locales, language, `${name}.json`), "utf8")) as Catalogue;
const keys = (catalogue: Catalogue, prefix = ""): string[] => Object.entries(catalogue).flatMap(([key, value]) => (typeof value === "string" ? [`${prefix}${key}`] : keys(value, `${prefix}${key}.`)));
const valueAt = (catalogue: Catalogue, key: string): string | Catalogue | undefined => key.split(".").reduce<string | Catalogue | undefined>((at, part) => (typeof at === "object" ? at[part] : undefined), catalogue);
const variables = (text: unknown): string[] => [...String(text).matchAll(/__(\w+?)__/g)].map((match) => match[1] ?? "").sort();

describe("locales", () => {
  it("are English and German at least", () => assert.deepEqual(["de", "en-US"].filter((language) => !languages.includes(language)), []));

  for (const name of ["editor", ...nodes]) {
    it(`${name}: same keys and variables in every language, nothing empty`, () => {
      const english = read("en-US", name);
      for (const language of languages) {
        const other = read(language, name);
        assert.deepEqual(keys(other).sort(), keys(english).sort(), language);
        for (const key of keys(english)) {
          assert.notEqual(String(valueAt(other, key)).trim(), "", `${language} ${key}`);
          assert.deepEqual(variables(valueAt(other, key)), variables(valueAt(english, key)), `${language} ${key}`);
        }
      }
    });
  }

  for (const name of nodes) {
    it(`${name}: every key of its form is in its catalogue, and it has help`, () => {
      const html = readFileSync(path.join(projectRoot, "nodes", `${name}.html`), "utf8");
      const used = [...html.matchAll(/data-i18n="([^"]+)"/g)].flatMap((match) => (match[1] ?? "").split(";")).map((key) => key.replace(/^\[[^\]]*\]/, ""));
      const catalogue = read("en-US", name);
      assert.deepEqual(used.filter((key) => typeof valueAt(catalogue, key) !== "string"), []);
      for (const [, key = ""] of html.matchAll(/this\._\("([\w.]+)"/g)) assert.equal(typeof valueAt(catalogue, key), "string", key);
      for (const language of languages) {
        const help = path.join(locales, language, `${name}.html`);
        assert.ok(existsSync(help), help);
        assert.match(readFileSync(help, "utf8"), new RegExp(`^<script type="text/markdown" data-help-name="clawflow-${name}">\n\\S[\\s\\S]+</script>\n$`));
      }
    });
  }

  it("editor: every literal key of the widgets is there", () => {
    const catalogue = read("en-US", "editor");
    const missing: string[] = [];
    for (const file of readdirSync(path.join(projectRoot, "editor")).filter((entry) => entry.endsWith(".ts"))) {
      const source = readFileSync(path.join(projectRoot, "editor", file), "utf8");
      for (const [, key = ""] of source.matchAll(/\bt\("([\w.]+)"/g)) if (typeof valueAt(catalogue, key) !== "string") missing.push(`${file}: ${key}`);
    }
    assert.deepEqual(missing, []);
  });

  it("editor: fields, tests, steps, mapping fields, channel settings and faults of the engine have a name", () => {
    const expected = [
      ...FIELDS.map(({ id }) => `fields.${id}`), ...TESTS.flatMap(({ id }) => [`tests.${id}`, `tests.not.${id}`]),
      ...FIELDS.flatMap(({ id, values }) => (values ?? []).map((value) => `values.${id}.${value}`)),
      ...STEPS.flatMap(({ type, params }) => [`steps.${type}.label`, `steps.${type}.hint`, ...params.map(({ key }) => `steps.${type}.${key}`)]),
      ...MAPPING_FIELDS.filter(({ field }) => !field.startsWith("to.")).map(({ field }) => `mapping.fields.${field.replace(".", "_")}`),
      ...channels.flatMap(({ id, settings }) => settings.flatMap(({ key, hint, choices }) => [`channels.${id}.${key}.label`, ...hint ? [`channels.${id}.${key}.hint`] : [], ...(choices ?? []).map(({ value }) => `channels.${id}.${key}.${value}`)])),
      ...FAULTS.map((fault) => `test.faults.${fault.replaceAll(" ", "-")}`),
    ];
    for (const language of languages) {
      const catalogue = read(language, "editor");
      assert.deepEqual(expected.filter((key) => typeof valueAt(catalogue, key) !== "string"), [], language);
    }
  });

  it("no key of a catalogue is without use", () => {
    const folders = ["nodes", "engine", "editor"];
    const sources = folders.flatMap((folder) => (readdirSync(path.join(projectRoot, folder), { recursive: true }) as string[]).filter((name) => /\.(ts|html)$/.test(name)).map((name) => path.join(folder, name)));
    const read = new Map(sources.map((file) => [file, readFileSync(path.join(projectRoot, file), "utf8")]));
    const all = [...read.values()].join("\n");
    const wordsIn = (text: string): Set<string> => new Set([
      ...[...text.matchAll(/"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'/g)].flatMap(([, a, b]) => { const word = a ?? b ?? ""; return [word.replaceAll(" ", "-"), ...word.split(/[;\]]/)]; }),
      // A table by name, as in `agentDay: { … }`.
      ...[...text.matchAll(/^\s+(\w+): [{[]/gm)].map(([, word = ""]) => word),
    ]);
    const words = wordsIn(all);
    /** Where the words that fill a template come from, when they are too common to be looked for everywhere. */
    const families: Readonly<Record<string, Set<string>>> = { "approval.": wordsIn(["engine/approvals.ts", "engine/approval-text.ts"].map((file) => read.get(file) ?? assert.fail(file)).join("\n")) };
    const hole = /\$\{(?:[^{}]|\{[^{}]*\})*\}/g;
    const templates = [...all.matchAll(/`([\w.-]+\.(?:[\w.-]|\$\{(?:[^{}]|\{[^{}]*\})*\})*)`/g)].flatMap(([, text = ""]) => {
      const parts = text.split(hole);
      return parts.length < 2 ? [] : [{ pattern: new RegExp(`^${parts.map((part) => part.replace(/[.-]/g, "\\$&")).join("(.+?)")}$`), family: families[parts[0] ?? ""] ?? words }];
    });
    const isWord = (text: string, among: Set<string>): boolean => among.has(text) || among.has(text.replace("_", "."));
    /** What fills a template is words, or a template again. */
    const fills = (text: string, family: Set<string>): boolean => text.split(".").every((part, at) => isWord(part, at === 0 ? family : words)) || (text.includes(".") && isUsed(text));
    const isUsed = (key: string): boolean => words.has(key) || templates.some(({ pattern, family }) => pattern.exec(key)?.slice(1).every((text) => fills(text, family)) === true);
    for (const name of ["editor", "commands", ...nodes]) assert.deepEqual(keys(JSON.parse(readFileSync(path.join(locales, "en-US", `${name}.json`), "utf8")) as Catalogue).filter((key) => !isUsed(key) && !isUsed(key.replace(/^runtime\./, ""))), [], name);
  });
});
