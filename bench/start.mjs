/** What the package costs a Node-RED that has it: time to "Started flows" and resident memory, over a bare Node-RED. Interleaved rounds, medians. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { projectRoot, startNodeRed } from "../test/rigs/node-red.ts";
import { stubTelegram } from "./stub-telegram.mjs";
import { medians, option, residentMb, sleep, table } from "./table.mjs";

const rounds = option("rounds", 9);
/** Milliseconds after the start at which memory is read: late enough for what opens by itself. */
const settleMs = option("settle", 3_000);
const token = "123456:TESTTOKENTESTTOKENTEST";

const telegram = await stubTelegram();
const flows = JSON.parse(readFileSync(path.join(projectRoot, "bench/flows/start.json"), "utf8"));
const account = flows.find(({ type }) => type === "clawflow-account");
account.settings.apiRoot = telegram.url;
account.credentials = { token };
flows.find(({ type }) => type === "clawflow-webhook").credentials = { secret: "secret of the measurement" };

const systems = [
  { name: "bare Node-RED", red: await startNodeRed({ clawflow: false }) },
  { name: "with ClawFlow, no flow", red: await startNodeRed({}) },
  { name: "with ClawFlow, every node and a Telegram account", red: await startNodeRed({ flows }) },
].map((system) => ({ ...system, results: [] }));

try {
  for (const { red, name } of systems) {
    if (/\[error\]|missing types/.test(red.log())) throw new Error(`${name}:\n${red.log()}`);
    await red.kill();
  }
  for (let round = 0; round < rounds; round++) {
    for (const { red, results } of systems) {
      const started = performance.now();
      await red.start();
      const startMs = performance.now() - started;
      await sleep(settleMs);
      results.push({ startMs, memoryMb: residentMb(red.pid) });
      await red.kill();
    }
  }
  const rows = systems.map(({ name, results }) => ({ name, ...medians(results, ["startMs", "memoryMb"]) }));
  const [bare] = rows;
  table(`Start (${rounds} rounds; to reach: at most 300 ms and 30 MB over bare)`, [
    ["", "start ms", "over bare", "memory MB", "over bare"],
    ...rows.map((row) => [row.name, Math.round(row.startMs), Math.round(row.startMs - bare.startMs), row.memoryMb, row.memoryMb - bare.memoryMb]),
  ]);
} finally {
  for (const { red } of systems) await red.remove();
  telegram.close();
}
