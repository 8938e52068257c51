/**
 * One chat turn over HTTP: Telegram webhook in, chat completion that answers at once, sendMessage out. ClawFlow (durable, FULL) against the hand-written grammY + openai
 * script that saves nothing and against Node-RED's core nodes, interleaved in one run at equal load.
 * The driver and the baselines stand outside the repository: CLAWFLOW_TURN_BENCH, default ../shared/tools/turn-bench.
 *
 *     npm run bench -- turn --rounds=5 --turns=5000 --warm=2000 --chats=20 --seconds=20
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { derivedSecret } from "../engine/channels/telegram/webhook.ts";
import { projectRoot, startNodeRed } from "../test/rigs/node-red.ts";
import { freePort, median, medians, option, residentMb, sleep, table } from "./table.mjs";

const bench = path.resolve(projectRoot, process.env.CLAWFLOW_TURN_BENCH ?? "../shared/tools/turn-bench");
if (!existsSync(path.join(bench, "drive.mjs"))) {
  console.log(`\nturn: skipped, the driver is not in ${path.relative(projectRoot, bench)} (CLAWFLOW_TURN_BENCH).`);
  process.exit(0);
}
const { Driver } = await import(pathToFileURL(path.join(bench, "drive.mjs")).href);

const load = { chats: option("chats", 20), turns: option("turns", 5_000), warm: option("warm", 2_000) };
const rounds = option("rounds", 5);
const open = { rate: option("rate", 167), seconds: option("seconds", 20), chats: 200 };
const ports = { tgPort: await freePort(), llmPort: await freePort() };
const TG = `http://127.0.0.1:${ports.tgPort}`;
const LLM = `http://127.0.0.1:${ports.llmPort}`;
const token = "123456:TESTTOKENTESTTOKENTEST";

async function script() {
  const port = await freePort();
  const child = spawn(process.execPath, [path.join(bench, "script.mjs")], { cwd: projectRoot, env: { ...process.env, PORT: String(port), TG, LLM, NODE_V8_COVERAGE: undefined }, stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  return { name: "script (grammY + openai), saves nothing", pid: child.pid, webhook: `http://127.0.0.1:${port}/`, stop: () => child.kill() };
}

async function coreNodes() {
  const red = await startNodeRed({ clawflow: false, flows: JSON.parse(readFileSync(path.join(bench, "nodered/flows.json"), "utf8").replaceAll("http://127.0.0.1:18081", TG).replaceAll("http://127.0.0.1:18082", LLM)) });
  return { name: "Node-RED, core nodes, saves nothing", pid: red.pid, webhook: `${red.url}/tg`, stop: () => red.remove() };
}

async function clawFlow() {
  const flows = JSON.parse(readFileSync(path.join(projectRoot, "bench/flows/turn.json"), "utf8"));
  const find = (type) => flows.find((node) => node.type === type);
  const account = find("clawflow-account");
  Object.assign(account.settings, { apiRoot: TG });
  account.credentials = { token };
  Object.assign(find("clawflow-model"), { baseUrl: `${LLM}/v1`, credentials: { key: "sk-bench" } });
  const red = await startNodeRed({ flows });
  if (/\[error\]|missing types/.test(red.log())) throw new Error(red.log());
  return { name: "ClawFlow, saves everything (FULL)", pid: red.pid, webhook: `${red.url}/clawflow/${find("clawflow-gateway").slug}/${account.slug}`, secret: derivedSecret(token, account.slug), stop: () => red.remove(), log: () => red.log() };
}

const systems = [];
let driver;
try {
  driver = await Driver.create(ports);
  for (const start of [script, coreNodes, clawFlow]) systems.push({ ...await start(), closed: [], open: [] });
  const use = (system) => driver.target({ webhook: system.webhook, secret: system.secret, pid: system.pid });
  const complain = (system, result) => {
    const { timeouts, dup, non200, connErr, lastBad } = result;
    if (timeouts || dup || non200 || connErr) console.log(`  ${system.name}: ${JSON.stringify({ timeouts, dup, non200, connErr, lastBad })}`);
  };
  for (const system of systems) {
    use(system);
    await driver.waitFirst(15_000).catch((error) => { throw new Error(`${system.name} does not answer: ${error.message}\n${driver.pool?.lastBad}\n${system.log?.().slice(-3000) ?? ""}`); });
    await sleep(500);
    system.idleMb = residentMb(system.pid);
  }
  for (let round = 0; round < rounds; round++) {
    for (const system of systems) {
      use(system);
      const result = await driver.closed(load);
      complain(system, result);
      system.closed.push(result);
      if (round === 0) console.log(`  ${system.name}: requests per turn ${JSON.stringify(Object.fromEntries(Object.entries(result.meth).map(([method, count]) => [method, +(count / result.turns).toFixed(2)])))}`);
      await sleep(300);
    }
  }
  for (const system of systems) {
    use(system);
    const result = await driver.open(open);
    complain(system, result);
    system.open.push(result);
  }
  const rows = systems.map((system) => ({ name: system.name, idleMb: system.idleMb, ...medians(system.closed, ["cpuPer1k", "tps", "p50", "p99", "rssMB"]), open: system.open[0] }));
  // The machine's speed drifts: a round is compared with the same round of the others.
  const against = (system, other) => median(system.closed.map((result, round) => result.cpuPer1k / other.closed[round].cpuPer1k));
  table(`One chat turn, closed loop (${rounds} rounds of ${load.turns} turns, ${load.chats} chats; to reach: 0.65 of the script, 0.6 of the core nodes, 2000 turns/s)`, [
    ["", "CPU s/1000", "of script", "of core nodes", "turns/s", "p50 ms", "p99 ms", "MB loaded", "MB idle"],
    ...rows.map((row, place) => [row.name, row.cpuPer1k, against(systems[place], systems[0]), against(systems[place], systems[1]), Math.round(row.tps), row.p50, row.p99, Math.round(row.rssMB), Math.round(row.idleMb)]),
  ]);
  table(`One chat turn at ${open.rate} turns/s, ${open.chats} chats, ${open.seconds} s`, [
    ["", "p50 ms", "p99 ms", "max ms", "cores"],
    ...rows.map((row) => [row.name, row.open.p50, row.open.p99, row.open.max, row.open.sutCores]),
  ]);
} finally {
  driver?.close();
  for (const system of systems) await system.stop();
}
process.exit(process.exitCode ?? 0);
