/** Looks into a Node-RED that was started with measure.cjs. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { projectRoot } from "../../rigs/project.ts";
import type { Measure } from "./host.ts";

export interface Gauge extends Disposable {
  /** For the process that is to be measured. */
  readonly env: Readonly<Record<string, string>>;
  measure(pid: number): Promise<Measure>;
}
export function createGauge(): Gauge {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-gauge-"));
  const file = path.join(folder, "measures");
  const lines = (): string[] => (existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []);
  return {
    env: { CLAWFLOW_MEASURE: file, NODE_OPTIONS: `--disable-warning=ExperimentalWarning --expose-gc --require ${path.join(projectRoot, "test/faults/load/measure.cjs")}` },
    async measure(pid) {
      const before = lines().length;
      process.kill(pid, "SIGWINCH");
      for (let tries = 0; lines().length === before; tries++) {
        if (tries > 3_000) throw new Error("Node-RED did not say what it holds");
        await new Promise((resolve) => { setTimeout(resolve, 10); });
      }
      return JSON.parse(lines().at(-1) ?? "") as Measure;
    },
    [Symbol.dispose]() { rmSync(folder, { recursive: true, force: true }); },
  };
}
