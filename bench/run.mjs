/**
 * `npm run bench`: every measurement, or those that are named: `npm run bench -- start turn --rounds=3`.
 * Each prints a table of medians over interleaved rounds. Only ratios within one run mean something.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { again, buildIfStale, installPackages, root } from "../scripts/setup.mjs";

const benches = ["start", "run-cost", "turn", "agent", "tools", "first-edit", "resume", "durable", "context", "channels"];

async function main() {
  const named = process.argv.slice(2).filter((word) => !word.startsWith("--"));
  const options = process.argv.slice(2).filter((word) => word.startsWith("--"));
  const unknown = named.find((name) => !benches.includes(name));
  if (unknown) throw new Error(`Expected one of ${benches.join(", ")}; got "${unknown}".`);
  await buildIfStale();
  console.log(`${os.cpus()[0]?.model.trim()}, ${os.availableParallelism()} cores, ${Math.round(os.totalmem() / 2 ** 30)} GB, ${os.type()} ${os.release()}, Node ${process.version}`);
  for (const name of named.length > 0 ? named : benches) {
    const file = path.join(root, "bench", `${name}.mjs`);
    if (!existsSync(file)) continue;
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", file, ...options], { cwd: root, stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, CLAWFLOW_BUILT: "1" } });
    const code = await new Promise((resolve) => child.on("close", resolve));
    if (code !== 0) process.exitCode = 1;
  }
}

try {
  await installPackages();
  if (!(await again(fileURLToPath(import.meta.url)))) await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
