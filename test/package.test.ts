/** What npm publishes: packed, installed into an empty Node-RED by its palette manager, judged by Node-RED's own scorecard. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { buildIfStale, type NodeRed, projectRoot, startNodeRed } from "./rigs/node-red.ts";
import { skip } from "./rigs/skip.ts";

const manifest = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8")) as { name: string; version: string; "node-red": { nodes: Record<string, string>; plugins: Record<string, string> } };
const types = Object.keys(manifest["node-red"].nodes).map((node) => `clawflow-${node}`);
const npmCli = path.join(projectRoot, "node_modules/npm/bin/npm-cli.js");
/** Variables of the npm that started this test would steer the one that the test starts. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_(package|lifecycle|command|execpath|node)|^NODE_V8_COVERAGE$|^INIT_CWD$/.test(name)));

interface NodeSet { id: string; module: string; enabled: boolean; err?: string; types: string[] }

describe("the package", function () {
  this.timeout(300_000);
  let folder: string;
  let tarball: string;
  let packed: string[];
  let red: NodeRed | undefined;
  const home = () => path.join((red as NodeRed).userDir, "node_modules", manifest.name);

  before(async function () {
    buildIfStale();
    folder = mkdtempSync(path.join(tmpdir(), "clawflow-pack-"));
    const pack = spawnSync(process.execPath, [npmCli, "pack", "--json", "--ignore-scripts", "--pack-destination", folder], { cwd: projectRoot, encoding: "utf8", env });
    assert.equal(pack.status, 0, pack.stderr);
    const said = JSON.parse(pack.stdout) as unknown;
    const [report] = (Array.isArray(said) ? said : Object.values(said as object)) as { filename: string; files: { path: string }[] }[];
    assert.ok(report);
    packed = report.files.map((file) => file.path);
    tarball = path.join(folder, path.basename(readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? ""));

    red = await startNodeRed({ clawflow: false, env: { ...env, npm_config_prefer_offline: "true" }, settings: { externalModules: { palette: { allowInstall: true, allowUpload: true } } } });
    const form = new FormData();
    form.set("tarball", new Blob([readFileSync(tarball)]), path.basename(tarball));
    const answer = await red.fetch("/nodes", { method: "POST", body: form });
    const text = await answer.text();
    if (!answer.ok && /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT/.test(red.log())) skip(this, "the npm registry cannot be reached");
    assert.equal(answer.status, 200, `${text}\n${red.log()}`);
  });
  after(async () => {
    await red?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What the editor would show. */
  async function nodeSets(): Promise<NodeSet[]> {
    const sets = await (red as NodeRed).admin<NodeSet[]>("GET", "/nodes");
    return sets.filter((set) => set.module === manifest.name);
  }

  it("holds what it needs and nothing else", () => {
    for (const file of ["LICENSE", "README.md", "CHANGELOG.md", "package.json", "dist/THIRD-PARTY.md", ...Object.values(manifest["node-red"].nodes), ...Object.values(manifest["node-red"].plugins)]) assert.ok(packed.includes(file), `expected ${file}`);
    assert.deepEqual(packed.filter((file) => !/^(dist|docs|examples|resources)\/|^(LICENSE|README\.md|CHANGELOG\.md|package\.json)$/.test(file)), []);
    assert.deepEqual(packed.filter((file) => /\.ts$|\.map$|(^|\/)\./.test(file)), []);
    assert.ok(statSync(tarball).size < 5_000_000, "small enough for a Raspberry Pi");
  });

  it("is installed by the palette manager and shows all its nodes at once, without an error", async () => {
    const sets = await nodeSets();
    assert.deepEqual(sets.filter((set) => set.err !== undefined || !set.enabled), []);
    assert.deepEqual(sets.flatMap((set) => set.types).sort(), [...types].sort());
    assert.doesNotMatch((red as NodeRed).log(), /\[error\]/);
  });

  it("shows them again after a restart, with nothing to complain about", async () => {
    const own = red as NodeRed;
    const from = own.lines.length;
    await own.restart();
    assert.deepEqual((await nodeSets()).flatMap((set) => set.types).sort(), [...types].sort());
    assert.deepEqual(own.lines.slice(from).filter((line) => /\[(warn|error)\]/.test(line) && !/Projects disabled/.test(line)), []);
  });

  it("serves forms, icons, strings in both languages, examples and the editor plugin", async () => {
    const own = red as NodeRed;
    const forms = await (await own.fetch("/nodes", { headers: { accept: "text/html", "accept-language": "de" } })).text();
    for (const type of types) {
      assert.match(forms, new RegExp(`data-template-name=["']${type}["']`));
      assert.match(forms, new RegExp(`data-help-name=["']${type}["']`), `help of ${type}`);
    }
    const icons = (await own.admin<Record<string, string[]>>("GET", "/icons"))[manifest.name] ?? [];
    assert.deepEqual([...icons].sort(), readdirSync(path.join(projectRoot, "icons")).sort());
    for (const language of ["en-US", "de"]) {
      for (const node of Object.keys(manifest["node-red"].nodes)) {
        const got = await own.admin<Record<string, unknown>>("GET", `/locales/${manifest.name}/${node}?lng=${language}`);
        assert.deepEqual(got, JSON.parse(readFileSync(path.join(projectRoot, "locales", language, `${node}.json`), "utf8")), `${language}/${node}.json`);
      }
    }
    for (const file of readdirSync(path.join(projectRoot, "examples"), { recursive: true }) as string[]) {
      if (!file.endsWith(".json")) continue;
      const example = await own.admin<string | object>("GET", `/library/examples/flows/${manifest.name}/${encodeURI(file.replace(/\.json$/, ""))}`);
      assert.deepEqual(typeof example === "string" ? JSON.parse(example) : example, JSON.parse(readFileSync(path.join(projectRoot, "examples", file), "utf8")), file);
    }
    const plugins = await own.admin<{ id: string; err?: string }[]>("GET", "/plugins");
    assert.deepEqual(plugins.filter((plugin) => plugin.id.startsWith(`${manifest.name}/`)).map(({ id, err }) => [id, err]), Object.keys(manifest["node-red"].plugins).map((name) => [`${manifest.name}/${name}`, undefined]));
  });

  it("brings the mail libraries along: they load where nothing else is installed", () => {
    const chunks = path.join(home(), "dist/chunks");
    const names = ["imap-flow", "proxy-connection", "mail-composer", "smtp-connection", "postal-mime"].map((name) => readdirSync(chunks).find((file) => file.startsWith(`${name}-`) && file.endsWith(".js")) ?? assert.fail(`no chunk of ${name}`));
    for (const library of ["imapflow", "nodemailer", "postal-mime"]) assert.ok(!existsSync(path.join((red as NodeRed).userDir, "node_modules", library)), library);
    const script = `const all = await Promise.all(process.argv.slice(1).map((file) => import(file))); console.log(all.map((each) => typeof (each.default.ImapFlow ?? each.default.proxyConnection ?? each.default)).join());`;
    const run = spawnSync(process.execPath, ["--input-type=module", "-e", script, ...names.map((name) => pathToFileURL(path.join(chunks, name)).href)], { cwd: folder, encoding: "utf8", env });
    assert.equal(run.stdout.trim(), "function,function,function,function,function", run.stderr);
  });

  it("names every bundled library with its licence", () => {
    const notice = readFileSync(path.join(home(), "dist/THIRD-PARTY.md"), "utf8");
    const sections = notice.split(/^## (?=.+\n\nLicence: )/m).slice(1);
    assert.ok(sections.length >= 5, "the bundle holds several libraries");
    for (const section of sections) assert.match(section, /Licence: (\S+)[\s\S]*(copyright|Published under)/i, section.slice(0, 60));
    assert.doesNotMatch(notice, /^Licence: (?!MIT).*(?:GPL|EUPL)/m);
    assert.doesNotMatch(notice, /Affero|copyleft/i, "of several licences the free one is chosen");
  });

  it("passes Node-RED's own checks, all but the one about Node 22.9: node:sqlite needs 22.13", () => {
    const output = path.join(folder, "scorecard.json");
    const run = spawnSync(process.execPath, ["--require", path.join(projectRoot, "test/rigs/scorecard-offline.cjs"), path.join(projectRoot, "node_modules/node-red-dev/bin/run"), "validate", "--path", home(), "--output", output],
      { encoding: "utf8", env, timeout: 60_000, stdio: ["ignore", "pipe", "pipe"] });
    assert.ok(existsSync(output), `${run.stdout}${run.stderr}`);
    const card = JSON.parse(readFileSync(output, "utf8")) as Record<string, { test: boolean; nodes?: string[] }>;
    const checks = Object.entries(card).filter(([id]) => /^[PND]0\d$/.test(id) && id !== "D02" && id !== "D03");
    assert.deepEqual(checks.map(([id]) => id).sort(), ["D01", "N01", "N02", "P01", "P03", "P04", "P05", "P06", "P07", "P08"]);
    assert.deepEqual(checks.filter(([, check]) => !check.test).map(([id]) => id), ["P07"]);
    assert.deepEqual([...card.N02?.nodes ?? []].sort(), types.filter((type) => !["clawflow-gateway", "clawflow-account", "clawflow-model"].includes(type)).sort());
  });
});
