/**
 * The table of errors: complete, in docs/errors.md, and the same as what the code uses.
 * `CLAWFLOW_WRITE=1 npx mocha test/errors.test.ts` writes docs/errors.md anew.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { inspect } from "node:util";
import { type Node, SyntaxKind } from "typescript/unstable/ast";
import { API } from "typescript/unstable/sync";
import { type ErrorRow, ERRORS } from "../engine/error-table.ts";
import { asClawError, ChannelError, ClawError, type ErrorCode } from "../engine/errors.ts";
import { errorsPage } from "./kit/errors-page.ts";
import { projectRoot as root } from "./rigs/project.ts";

const CODE = /(?<![A-Za-z0-9_])[A-Z]{2,}_\d{3}(?![A-Za-z0-9_])/g;
const CODES = Object.keys(ERRORS) as ErrorCode[];
const ROWS = Object.entries(ERRORS) as [ErrorCode, ErrorRow][];

interface Use { readonly code: string; readonly at: string }
/** `new …Error(code, …, text)`, as far as it is written in one place. `text`: what is fixed of it. */
interface Made { readonly at: string; readonly name: string; readonly code: string | undefined; readonly text: string | undefined }
interface Found { readonly uses: readonly Use[]; readonly made: readonly Made[]; readonly files: number }

const SOURCES = ["engine", "nodes", "editor", "web"];

/** Every code and every error in TypeScript, read from its syntax tree: comments do not count. */
function walkSources(): Found {
  const api = new API({ cwd: root });
  try {
    const config = path.join(root, "tsconfig.json");
    const [project] = api.updateSnapshot({ openProjects: [config] }).getProjects();
    assert.ok(project, "expected a project");
    const names = project.program.getSourceFileNames().filter((name) => SOURCES.some((folder) => name.startsWith(`${path.join(root, folder)}/`)) && !name.endsWith("engine/error-table.ts"));
    const uses: Use[] = [];
    const made: Made[] = [];
    for (const name of names) {
      const file = project.program.getSourceFile(name);
      assert.ok(file, name);
      collect(file, (node) => `${path.relative(root, name)}:${file.text.slice(0, node.pos + 1).split("\n").length + leadingLines(file.text, node.pos)}`, uses, made);
    }
    return { uses, made, files: names.length };
  } finally {
    api.close();
  }
}

let walk: Found | undefined;
const walked = (): Found => (walk ??= walkSources());

/** A node begins with what stands before it: blank lines and comments are none of its own. */
function leadingLines(text: string, from: number): number {
  const leading = /^(?:\s|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/.exec(text.slice(from))?.[0] ?? "";
  return Math.max(0, leading.split("\n").length - 1 - (text[from] === "\n" ? 1 : 0));
}

const TEXTS: ReadonlySet<SyntaxKind> = new Set([SyntaxKind.StringLiteral, SyntaxKind.NoSubstitutionTemplateLiteral, SyntaxKind.TemplateHead, SyntaxKind.TemplateMiddle, SyntaxKind.TemplateTail, SyntaxKind.Identifier]);
const textOf = (node: Node | undefined): string | undefined => (node !== undefined && TEXTS.has(node.kind) && node.kind !== SyntaxKind.Identifier ? (node as Node & { text: string }).text : undefined);

function collect(node: Node, at: (node: Node) => string, uses: Use[], made: Made[]): void {
  if (TEXTS.has(node.kind)) for (const [code] of (node as Node & { text: string }).text.matchAll(CODE)) uses.push({ code, at: at(node) });
  if (node.kind === SyntaxKind.NewExpression) {
    const { expression, arguments: given = [] } = node as unknown as { expression: Node & { text?: string }; arguments?: readonly Node[] };
    if (/(?:Error|Fault)$/.test(expression.text ?? "")) {
      const first = textOf(given[0]);
      const coded = first !== undefined && first in ERRORS;
      const last = given.at(-1);
      made.push({ at: at(node), name: expression.text ?? "", code: coded ? first : undefined, text: last === undefined || last === given[0] ? undefined : (textOf(last) ?? fixedText(last)) });
    }
  }
  node.forEachChild((child) => { collect(child, at, uses, made); });
}

/** The fixed words of a template. */
function fixedText(node: Node): string | undefined {
  if (node.kind !== SyntaxKind.TemplateExpression) return undefined;
  const words: string[] = [];
  const visit = (inner: Node): void => {
    const text = textOf(inner);
    if (text !== undefined) words.push(text);
    inner.forEachChild(visit);
  };
  node.forEachChild(visit);
  return words.join("…");
}

const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
function files(folder: string, ...ends: string[]): string[] {
  return (readdirSync(path.join(root, folder), { recursive: true }) as string[]).map((name) => path.join(folder, name)).filter((file) => ends.some((end) => file.endsWith(end)) && statSync(path.join(root, file)).isFile());
}

describe("The table of errors", () => {
  let found: Found;
  before(() => { found = walked(); });

  for (const [code, row] of ROWS) {
    it(`${code} is explained`, () => {
      assert.match(code, /^[A-Z]+_\d{3}$/);
      assert.ok(row.title.length >= 10 && row.title.length <= 50 && !row.title.endsWith("."), row.title);
      assert.match(row.meaning, /^[A-Z].{30,300}\.$/);
      assert.ok(row.causes.length > 0 && row.causes.every((cause) => /^\S.*[^.]$/.test(cause)), inspect(row.causes));
      assert.match(row.remedy, /^[A-Z].{10,200}\.$/);
      assert.match(row.again, /^(Yes|No)[.:;]( |$)/);
      assert.ok(row.where.length > 0 && new Set(row.where).size === row.where.length);
    });
  }

  it("says nothing twice", () => {
    for (const field of ["title", "meaning", "remedy"] as const) {
      const texts = ROWS.map(([, row]) => row[field]);
      assert.deepEqual(texts.filter((text, index) => texts.indexOf(text) !== index), [], field);
    }
  });

  it("is docs/errors.md", () => {
    const file = path.join(root, "docs/errors.md");
    if (process.env.CLAWFLOW_WRITE === "1") writeFileSync(file, errorsPage());
    assert.ok(existsSync(file), "expected docs/errors.md; write it with CLAWFLOW_WRITE=1 npx mocha test/errors.test.ts");
    assert.equal(readFileSync(file, "utf8"), errorsPage(), "docs/errors.md is older than the table; write it anew with CLAWFLOW_WRITE=1 npx mocha test/errors.test.ts");
    for (const code of CODES) assert.ok(readFileSync(file, "utf8").includes(`<a id="${code.toLowerCase()}"></a>`), code);
  });

  it("has every code that the code uses", () => {
    assert.ok(found.files > 100 && found.uses.length > 200, `${found.files} files, ${found.uses.length} uses`);
    assert.deepEqual(found.uses.filter(({ code }) => !(code in ERRORS)), []);
  });

  it("has no code that nothing uses", () => {
    const used = new Set(found.uses.map(({ code }) => code));
    assert.deepEqual(CODES.filter((code) => !used.has(code)), []);
  });

  it("has every code that help, forms and pages name", () => {
    const pages = [...SOURCES.flatMap((folder) => files(folder, ".html", ".md")), ...files("locales", ".html", ".json"), ...files("docs", ".md"), "README.md"].filter((file) => existsSync(path.join(root, file)));
    const wrong = pages.flatMap((file) => [...read(file).matchAll(CODE)].map(([code]) => ({ code, file }))).filter(({ code }) => !(code in ERRORS));
    assert.deepEqual(wrong, []);
    assert.ok(pages.length > 30);
  });
});

describe("The errors in the code", () => {
  let found: Found;
  before(() => { found = walked(); });

  it("say what happened: a sentence, not a word", () => {
    const coded = found.made.filter(({ code, text }) => code !== undefined && text !== undefined);
    assert.ok(coded.length > 80, String(coded.length));
    const short = coded.filter(({ text }) => (text ?? "").replaceAll("…", " … ").split(/\s+/).filter((word) => /[a-z]{2}|…/i.test(word)).length < 3 && !BRIEF.has(text ?? ""));
    assert.deepEqual(short, []);
    const expected = coded.filter(({ text }) => /\bExpected\b/.test(text ?? ""));
    assert.ok(expected.length >= coded.length / 2, `only ${expected.length} of ${coded.length} say what was expected and got`);
  });

  it("carry a code", () => {
    const plain = found.made.filter(({ name, at }) => /^(?:Error|TypeError|RangeError|SyntaxError)$/.test(name) && /^(?:engine|nodes)\//.test(at));
    const counts: Record<string, number> = {};
    for (const { at } of plain) { const file = at.split(":")[0] ?? ""; counts[file] = (counts[file] ?? 0) + 1; }
    const more = Object.entries(counts).filter(([file, count]) => count > (UNCODED[file] ?? 0));
    assert.deepEqual(more, [], `expected a ClawError with a code:\n${plain.map(({ at, text }) => `${at} ${text ?? ""}`).join("\n")}`);
  });

  it("keep code, wait and verdict when they come from another package, and get a code when they have none", () => {
    const foreign = asClawError(Object.assign(new Error("slow down"), { code: "CONN_003", retry: "later", afterMs: 40, unsent: true }), "CORE_001");
    assert.ok(foreign instanceof ChannelError);
    assert.deepEqual([foreign.code, foreign.retry, foreign.afterMs, foreign.unsent, foreign.markup, foreign.message, foreign.remedy], ["CONN_003", "later", 40, true, false, "slow down", ERRORS.CONN_003.remedy]);
    for (const thrown of [Object.assign(new Error("x"), { code: "ENOTFOUND" }), Object.assign(new Error("x"), { code: "toString" }), Object.assign(new Error("x"), { code: "NOPE_001" }), "x", undefined, null]) {
      const error = asClawError(thrown, "CORE_001");
      assert.deepEqual([error.code, error.retry, error.cause], ["CORE_001", "no", thrown]);
    }
    const own = new ClawError("MSG_003", {});
    assert.equal(asClawError(own, "CORE_001"), own);
    assert.equal(own.message, ERRORS.MSG_003.title);
  });
});

/** What a model or a log reads beside more words of the same place. */
const BRIEF: ReadonlySet<string> = new Set(["stopped"]);

/** Plain errors that never reach a person as they are: faults of a caller inside the program, copies, and what the next layer gives a code. */
const UNCODED: Readonly<Record<string, number>> = {
  "engine/channels/markdown.ts": 1, "engine/http-payload.ts": 1, "engine/http-answer.ts": 2, "engine/normalize/merge.ts": 1, "engine/template.ts": 1, "engine/secrets/redact.ts": 2,
  "engine/store/rows.ts": 2, "engine/connections/link.ts": 1, "engine/models/watch.ts": 1,
  "nodes/shared/admin.ts": 1, "nodes/shared/http.ts": 1, "nodes/shared/input.ts": 1,
};
