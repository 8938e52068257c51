/**
 * `npm test`: installs what is missing, then types, lint, build, every test, coverage of engine/.
 * `npm test -- part-of-a-path …` runs the tests whose path holds one of the words, and nothing else.
 *
 * With `--full` the fault tests do all their rounds (CLAWFLOW_FAULTS=full; a seed by CLAWFLOW_SEED), however long they take, and what they print is shown.
 *
 * Each test file runs in a process of its own, two at once, so that one file can neither hang nor disturb another.
 * Files that start a real Node-RED or a browser, the model check and all fault tests are heavy: of those only one runs at a time. Fault tests stand a busy machine: in their short form
 * they also run where no light file is left, those that last longest first, and those that do little but wait run beside all others.
 * The last line is always `N passed, N failed, N skipped`; a failed check (types, lint, build, coverage) counts as one failed.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { again, buildIfStale, findChromium, installPackages, installPrograms, root } from "./setup.mjs";

const limitMs = { light: 3 * 60_000, heavy: 20 * 60_000, full: 4 * 3_600_000, check: 5 * 60_000 };
const words = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const full = process.argv.includes("--full");
const total = { passed: 0, failed: 0, skipped: 0 };
const groups = new Set();
const modules = (...parts) => path.join(root, "node_modules", ...parts);

/** Runs node with `args` in its own process group; after the end, or after `ms`, whatever it left behind is killed. */
function runNode(args, ms, env = {}) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], detached: process.platform !== "win32" });
    let output = "";
    let late = false;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => { output += text; });
    const end = () => {
      try {
        if (process.platform === "win32") child.kill();
        else process.kill(-child.pid, "SIGKILL");
      } catch (error) {
        if (error.code !== "ESRCH") throw error;
      }
    };
    const timer = setTimeout(() => { late = true; end(); }, ms);
    groups.add(end);
    child.on("exit", () => { clearTimeout(timer); end(); });
    child.on("close", (code, signal) => {
      groups.delete(end);
      resolve({ code, output: output.trimEnd(), why: late ? `did not end within ${ms / 60_000} minutes` : `ended with ${signal ?? `code ${code}`}` });
    });
  });
}
const indent = (text) => text.replace(/^/gm, "    ");
const seconds = (started) => `${((Date.now() - started) / 1000).toFixed(1)} s`;

/** One check that is no test: counts only when it fails. */
async function check(name, act) {
  const started = Date.now();
  const problem = await act();
  console.log(`${problem === undefined ? "✔" : "✖"} ${name} (${seconds(started)})`);
  if (problem === undefined) return;
  total.failed += 1;
  console.log(indent(problem));
}
async function command(...args) {
  const { code, output, why } = await runNode(args, limitMs.check);
  return code === 0 ? undefined : output || why;
}
const building = () => buildIfStale().then(() => undefined, (error) => error.message);

function testFiles() {
  const files = readdirSync(path.join(root, "test"), { recursive: true }).map((file) => path.join("test", file)).filter((file) => file.endsWith(".test.ts")).sort();
  return words.length === 0 ? files : files.filter((file) => words.some((word) => file.includes(word)));
}
const isFault = (file) => [path.join("test", "faults"), path.join("test", "model")].some((folder) => file.startsWith(folder));
const isHeavy = (file) => isFault(file) || /rigs\/(?!skip|project)|playwright-core/.test(readFileSync(path.join(root, file), "utf8"));

/** Nearly all of their time they wait for a platform that makes them: they leave the processors to others. */
const patient = ["faults/channels", "faults/model", "faults/send"];
/** What lasts longest begins first, so that nothing is left to run alone at the end. */
const longest = ["faults/soak", "faults/kill", "faults/deploy", "faults/load", "faults/clock", "model/life", "faults/twice"];
const isOne = (names) => (file) => names.some((name) => file === path.join("test", `${name}.test.ts`));
const place = (file) => { const at = longest.findIndex((name) => isOne([name])(file)); return at < 0 ? longest.length : at; };

const reports = mkdtempSync(path.join(tmpdir(), "clawflow-test-"));
process.on("exit", () => rmSync(reports, { recursive: true, force: true }));

async function runFile(file, heavy) {
  const started = Date.now();
  const report = path.join(reports, `${file.replaceAll(path.sep, "-")}.json`);
  const env = { NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --disable-warning=ExperimentalWarning`.trim(), CLAWFLOW_BUILT: "1", ...full ? { CLAWFLOW_FAULTS: "full" } : {}, ...words.length === 0 ? { NODE_V8_COVERAGE: path.join(root, "coverage/tmp") } : {} };
  const args = [modules("mocha/bin/mocha.js"), "--reporter", "json", "--reporter-option", `output=${report}`, file];
  const { code, output, why } = await runNode(args, full ? limitMs.full : heavy ? limitMs.heavy : limitMs.light, env);
  const result = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : { stats: { passes: 0, tests: 0 }, failures: [], pending: [] };
  const problems = result.failures.map(({ fullTitle, err }) => `${fullTitle}\n${indent(err.stack ?? err.message ?? String(err))}`);
  if (problems.length === 0 && code !== 0) problems.push(`${file} ${why}`);
  if (problems.length === 0 && result.stats.tests === 0) problems.push(`${file} holds no test`);
  total.passed += result.stats.passes;
  total.failed += problems.length;
  total.skipped += result.pending.length;
  console.log(`${problems.length === 0 ? "✔" : "✖"} ${file}: ${result.stats.passes} passed${problems.length ? `, ${problems.length} failed` : ""}${result.pending.length ? `, ${result.pending.length} skipped` : ""} (${seconds(started)})`);
  for (const { fullTitle } of result.pending) console.log(`  - skipped: ${fullTitle}`);
  for (const problem of problems) console.log(indent(problem));
  // What a test prints matters where it explains a skip or a failure.
  if (output && (full || problems.length > 0 || result.pending.length > 0)) console.log(indent(output.length > 20_000 ? `…${output.slice(-20_000)}` : output));
}

async function runFiles(files) {
  const beside = full ? [] : files.filter(isOne(patient));
  const faults = files.filter((file) => isFault(file) && !beside.includes(file)).sort((a, b) => place(a) - place(b));
  const heavy = files.filter((file) => isHeavy(file) && !isFault(file));
  const light = files.filter((file) => !isHeavy(file));
  const work = async (...queues) => {
    for (;;) {
      const queue = queues.find((each) => each.length > 0);
      if (queue === undefined) return;
      await runFile(queue.shift(), queue !== light);
    }
  };
  const others = Math.max(1, Math.min(4, availableParallelism()) - 1);
  await Promise.all([work(heavy, faults, light), work(beside), ...Array.from({ length: others }, () => work(light, ...full ? [] : [faults]))]);
}

function finish(code) {
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exit(code);
}

/** Files that hold types alone: nothing of them can run, so nothing of them can be covered. */
async function typesOnly(folder) {
  const { transformSync } = await import("esbuild");
  const files = readdirSync(path.join(root, folder), { recursive: true }).map((file) => path.join(folder, file)).filter((file) => file.endsWith(".ts"));
  return files.filter((file) => transformSync(readFileSync(path.join(root, file), "utf8"), { loader: "ts" }).code.trim() === "");
}
async function coverage() {
  const excluded = (await typesOnly("engine")).flatMap((file) => ["--exclude", file]);
  return command(modules("c8/bin/c8.js"), "report", "--reporter", "text", "--reporter", "lcovonly", ...excluded);
}

async function main() {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => { for (const end of groups) end(); finish(1); });
  const whole = words.length === 0;
  process.env.CLAWFLOW_CHROMIUM ??= findChromium() ?? "";
  if (whole) {
    rmSync(path.join(root, "coverage"), { recursive: true, force: true });
    mkdirSync(path.join(root, "coverage/tmp"), { recursive: true });
    await Promise.all([
      check("types", () => command(modules("typescript/bin/tsc"), "--noEmit", "-p", "tsconfig.json")),
      check("lint", () => command(modules("@biomejs/biome/bin/biome"), "lint", "--error-on-warnings", "--max-diagnostics=50")),
      check("build", building),
    ]);
  } else {
    await check("build", building);
  }
  const files = testFiles();
  if (files.length === 0) await check("tests", async () => `No test file fits: ${words.join(", ")}`);
  await runFiles(files);
  if (whole) await check("coverage of engine/", coverage);
}

try {
  await installPackages();
  if (!(await again(fileURLToPath(import.meta.url)))) {
    if (words.length === 0) await installPrograms();
    await main();
    finish(total.failed === 0 ? 0 : 1);
  }
} catch (error) {
  console.log(error instanceof Error ? error.message : error);
  total.failed += 1;
  finish(1);
}
