/** Which npm packages a Node-RED has loaded, by the modules it really loaded; those that the build put into our chunks are told by the names esbuild leaves there. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { NodeRedOptions } from "./node-red.ts";
import { projectRoot } from "./project.ts";

export interface Watched {
  /** Node-RED is started with these. */
  readonly options: Pick<NodeRedOptions, "nodeArgs" | "env">;
  packages(): Set<string>;
  /** Names of our own chunks. */
  chunks(): Set<string>;
  /** From now on only what is loaded anew. */
  forget(): void;
  remove(): void;
}

const BUNDLED = /^\/\/ (?:\.\.\/)*node_modules\/((?:@[^/\n]+\/)?[^/\n]+)\//gm;
const known = new Map<string, readonly string[]>();
function packagesOf(file: string): readonly string[] {
  const [, own] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file) ?? [];
  if (own !== "@clawflow/node-red") return own === undefined ? [] : [own];
  const found = known.get(file) ?? (existsSync(file) ? [...new Set([...readFileSync(file, "utf8").matchAll(BUNDLED)].flatMap((match) => match[1] ?? []))] : []);
  known.set(file, found);
  return found;
}

export function watchModules(): Watched {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-modules-"));
  const log = path.join(folder, "modules");
  let from = 0;
  const lines = (): string[] => (existsSync(log) ? readFileSync(log, "utf8").split("\n").slice(0, -1) : []);
  // Node-RED reads the package.json of all there is.
  const files = () => lines().slice(from).flatMap((line) => (/^file:.*\.[cm]?js$/.test(line) ? [fileURLToPath(line)] : []));
  return {
    options: { nodeArgs: ["--require", path.join(projectRoot, "test/rigs/modules.cjs")], env: { CLAWFLOW_MODULES: log } },
    packages: () => new Set(files().flatMap(packagesOf)),
    chunks: () => new Set(files().filter((file) => file.includes("/@clawflow/node-red/dist/chunks/")).map((file) => path.basename(file))),
    forget() { from = lines().length; },
    remove() { rmSync(folder, { recursive: true, force: true }); },
  };
}
