/** Starts, orders and kills the process of child.ts. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import type { Point } from "../../../engine/points.ts";
import { projectRoot } from "../../rigs/project.ts";
import type { Config, Order, Told } from "./words.ts";

const folder = path.join(projectRoot, "node_modules/.clawflow-faults/channels");
let built: Promise<unknown> | undefined;

/** One bundle, points and all: a process that starts from single files takes seconds. */
function bundle(): Promise<unknown> {
  built ??= build({
    entryPoints: [path.join(projectRoot, "test/faults/channels/child.ts")], outdir: folder, bundle: true, splitting: true, format: "esm", platform: "node", target: "node22", packages: "external", logLevel: "warning",
    outExtension: { ".js": ".mjs" },
  });
  return built;
}

export interface Child {
  readonly port: number;
  /** All that its processes told so far. */
  readonly told: readonly Told[];
  readonly alive: boolean;
  order(order: Order): void;
  /** The n-th passage of a point ends it from now on. */
  crashAt(point: Point | undefined, n?: number): void;
  /** What is not at its end. */
  open(): Promise<number>;
  /** Until it has told something of this kind since then. */
  heard<K extends Told["what"]>(what: K, from: number, test?: (told: Extract<Told, { what: K }>) => boolean): Promise<void>;
  kill(): Promise<void>;
  /** Resolves when it ended. */
  ended(): Promise<void>;
  /** A new process on the same store. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });
/** Generous: the machine may be busy with other tests. */
export const PATIENCE_MS = 90_000;
export async function until(test: () => boolean | Promise<boolean>, what: () => string, ms = PATIENCE_MS): Promise<void> {
  for (const end = Date.now() + ms; !(await test()); await pause(30)) if (Date.now() > end) throw new Error(`Expected ${what()} within ${ms / 1000} s`);
}

export async function createChild(config: Config): Promise<Child> {
  await bundle();
  const told: Told[] = [];
  let process_: ChildProcess | undefined;
  let port = 0;
  let serial = 0;
  let asked = 0;
  const isAlive = (): boolean => process_ !== undefined && process_.exitCode === null && process_.signalCode === null;

  const child: Child = {
    get port() { return port; },
    told,
    get alive() { return isAlive(); },
    order(order) { if (isAlive()) process_?.send(order, () => undefined); },
    crashAt(point, n = 1) { writeFileSync(path.join(config.folder, "order.json"), JSON.stringify({ serial: ++serial, act: point === undefined ? "none" : "crash", point: point ?? "", n })); },
    async open() {
      const id = ++asked;
      const from = told.length;
      child.order({ do: "counts", id });
      await child.heard("counts", from, (one) => one.id === id);
      return (told.findLast((one) => one.what === "counts") as Extract<Told, { what: "counts" }>).open;
    },
    async heard(what, from, test = () => true) {
      await until(() => told.slice(from).some((one) => one.what === what && test(one as never)), () => `to hear "${what}" after ${JSON.stringify(told.slice(from).slice(-5))}`);
    },
    async kill() {
      if (!isAlive()) return;
      process_?.kill("SIGKILL");
      await child.ended();
    },
    async ended() { if (process_ !== undefined && isAlive()) await once(process_, "exit"); },
    async start() {
      const from = told.length;
      const { NODE_V8_COVERAGE: _, ...env } = process.env;
      process_ = fork(path.join(folder, "child.mjs"), [JSON.stringify(config)], {
        env: { ...env, CLAWFLOW_FAULT_DIR: config.folder, NODE_COMPILE_CACHE: path.join(folder, "cache") }, execArgv: ["--disable-warning=ExperimentalWarning", "--require", path.join(projectRoot, "test/faults/arm.cjs")],
        stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced",
      });
      process_.on("message", (one: Told) => { told.push(one); if (one.what === "ready") ({ port } = one); });
      await child.heard("ready", from);
    },
    close: () => child.kill(),
  };
  return child;
}
