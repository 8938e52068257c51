/**
 * What a run costs without network and model: channel in, normalize, route, agent, channel out, durable (FULL), with a channel and a model that answer at once in the
 * same process; against the same chain of bare nodes that keep nothing. Interleaved rounds, medians.
 *
 *     npm run bench -- run-cost --rounds=7 --runs=10000 --chats=20
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { projectRoot, startNodeRed } from "../test/rigs/node-red.ts";
import { medians, option, sleep, table } from "./table.mjs";

const load = { runs: option("runs", 10_000), chats: option("chats", 20) };
const rounds = option("rounds", 7);
const parts = path.join(projectRoot, "bench/parts");

const chain = (...types) => [{ id: "tab", type: "tab", label: "Bare" }, ...types.map((type, place) => ({ id: `n${place}`, type, z: "tab", wires: place + 1 < types.length ? [[`n${place + 1}`]] : [] }))];
function turn() {
  const flows = JSON.parse(readFileSync(path.join(projectRoot, "bench/flows/turn.json"), "utf8"));
  const account = flows.find(({ type }) => type === "clawflow-account");
  Object.assign(account, { channel: "bench", settings: {} });
  Object.assign(flows.find(({ type }) => type === "clawflow-model"), { provider: "practice" });
  return flows;
}

const systems = [];
try {
  systems.push({ name: "five bare nodes, save nothing", red: await startNodeRed({ clawflow: false, packages: [parts], flows: chain("bench-in", "bench-hop", "bench-hop", "bench-answer", "bench-out") }), results: [] });
  systems.push({ name: "ClawFlow, saves everything (FULL)", red: await startNodeRed({ packages: [parts], flows: turn() }), results: [] });
  await sleep(1_000);
  const run = ({ red }) => red.admin("GET", `/bench/run?runs=${load.runs}&chats=${load.chats}`);
  for (const system of systems) {
    if (/\[error\]|missing types/.test(system.red.log())) throw new Error(`${system.name}:\n${system.red.log()}`);
    await run(system);
  }
  for (let round = 0; round < rounds; round++) for (const system of systems) system.results.push(await run(system));
  const rows = systems.map(({ name, results }) => ({ name, ...medians(results, ["cpuUs", "runsPerSecond"]) }));
  table(`One run without network and model (${rounds} rounds of ${load.runs} runs, ${load.chats} chats)`, [
    ["", "CPU µs/run", "over bare", "runs/s"],
    ...rows.map((row) => [row.name, row.cpuUs, row.cpuUs - rows[0].cpuUs, Math.round(row.runsPerSecond)]),
  ]);
} finally {
  for (const { red } of systems) await red.remove();
}
