/**
 * `npm run test:mutants`: does every known bug turn a test red? Two kinds: bugs of the reducer and of what carries it out, which the model check must find
 * (test/model/mutants.ts), and broken durability settings of the code itself (test/mutants/rows.ts), each applied to a copy of this checkout.
 * Words choose those whose name holds one of them. Fails when one survives, when a place to change is not there any more, and when its test is red without it.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { again, installPackages, root } from "./setup.mjs";

const LIMIT_MS = 10 * 60_000;
const WORKERS = 2;
const SHOWN = 3;
const words = process.argv.slice(2);
const chosen = ({ name }) => words.length === 0 || words.some((word) => name.includes(word));
const seconds = (started) => `${((performance.now() - started) / 1000).toFixed(1)} s`;

/** A copy of the checkout that a mutation may change; its packages are the same. */
function copyCheckout() {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-mutants-"));
  const left = new Set([".git", "node_modules", "coverage"]);
  cpSync(root, folder, { recursive: true, filter: (source) => !left.has(path.relative(root, source)) });
  symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"), "junction");
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs the chosen tests of a file; resolves to how many passed, and the first that failed. */
function runTests(folder, { test, grep }) {
  const report = path.join(folder, "mutants-report.json");
  rmSync(report, { force: true });
  return new Promise((resolve) => {
    const args = [path.join(root, "node_modules/mocha/bin/mocha.js"), "--bail", "--reporter", "json", "--reporter-option", `output=${report}`, "--grep", grep, test];
    // The first word of what went wrong is enough: a test that a mutant hangs need not hang for long.
    const child = spawn(process.execPath, args, { cwd: folder, stdio: "ignore", detached: process.platform !== "win32", env: { ...process.env, NODE_V8_COVERAGE: "", CLAWFLOW_FAULTS: "", CLAWFLOW_SEED: "1" } });
    const end = () => { try { process.kill(process.platform === "win32" ? child.pid : -child.pid, "SIGKILL"); } catch { /* It has ended. */ } };
    let late = false;
    const timer = setTimeout(() => { late = true; end(); }, LIMIT_MS);
    process.once("exit", end);
    child.on("close", () => {
      clearTimeout(timer);
      process.off("exit", end);
      if (late) return resolve({ passed: 0, red: `did not end within ${LIMIT_MS / 60_000} minutes` });
      if (!existsSync(report)) return resolve({ passed: 0, red: undefined, broken: "the test file could not be loaded" });
      const { stats, failures } = JSON.parse(readFileSync(report, "utf8"));
      resolve({ passed: stats.passes, red: failures[0]?.title });
    });
  });
}

/** One mutation, with the proof that its test is green without it. */
async function tryMutation(folder, mutation, greens) {
  const { file, find, replace, test, grep } = mutation;
  const place = path.join(folder, file);
  const sound = readFileSync(place, "utf8");
  const times = sound.split(find).length - 1;
  if (times !== 1) return { fault: `its place is in ${file} ${times} times, not once` };
  const key = `${test}\n${grep}`;
  if (!greens.has(key)) greens.set(key, runTests(folder, mutation));
  const green = await greens.get(key);
  if (green.passed === 0 || green.red !== undefined) return { fault: green.broken ?? (green.red === undefined ? `no test passes in ${test}` : `red without it: ${green.red}`) };
  writeFileSync(place, sound.replace(find, () => replace));
  const { red, broken } = await runTests(folder, mutation);
  writeFileSync(place, sound);
  return red === undefined ? { fault: broken ?? "SURVIVED" } : { caught: `${test}: ${red}` };
}

async function tryModel() {
  const { MUTANTS, tryMutant } = await import("../test/model/mutants.ts");
  const { reduce } = await import("../engine/life.ts");
  const failed = [];
  let shown = 0;
  for (const mutant of MUTANTS.filter(chosen)) {
    const { violation, states } = tryMutant(mutant, reduce);
    if (violation === undefined) failed.push(mutant.name);
    console.log(`${violation === undefined ? "✖" : "✔"} ${mutant.where}: ${mutant.name}\n    ${violation === undefined ? `SURVIVED ${states} states` : `model check, ${states} states, ${violation.trace.length} steps: ${violation.text}`}`);
    if (violation !== undefined && violation.trace.length > 6 && shown++ < SHOWN) for (const step of violation.trace) console.log(`      ${step}`);
  }
  return { tried: MUTANTS.filter(chosen).length, failed };
}
async function tryCode() {
  const { MUTATIONS } = await import("../test/mutants/rows.ts");
  const mine = MUTATIONS.filter(chosen);
  const queue = [...mine];
  const failed = [];
  const work = async () => {
    const folder = copyCheckout();
    const greens = new Map();
    for (let mutation = queue.shift(); mutation !== undefined; mutation = queue.shift()) {
      const started = performance.now();
      const { fault, caught } = await tryMutation(folder, mutation, greens);
      if (fault !== undefined) failed.push(mutation.name);
      console.log(`${fault === undefined ? "✔" : "✖"} code: ${mutation.name} (${mutation.file})\n    ${fault ?? caught} (${seconds(started)})`);
    }
  };
  await Promise.all(Array.from({ length: Math.min(WORKERS, mine.length) }, work));
  return { tried: mine.length, failed };
}

await installPackages();
if (!(await again(fileURLToPath(import.meta.url)))) {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));
  const started = performance.now();
  const model = await tryModel();
  const code = await tryCode();
  const failed = [...model.failed, ...code.failed];
  for (const name of failed) console.log(`NOT CAUGHT: ${name}`);
  console.log(`${model.tried} mutants of the model, ${code.tried} broken settings of the code: ${model.tried + code.tried - failed.length} caught, ${failed.length} not, ${seconds(started)}`);
  process.exit(failed.length === 0 ? 0 : 1);
}
