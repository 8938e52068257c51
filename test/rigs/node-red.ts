/**
 * A real Node-RED 5 in a process of its own: temporary user folder, free port on loopback, ClawFlow installed as a copy
 * of the built package, so that a later build never disturbs a test that runs.
 *
 *     await using red = await startNodeRed({ flows });
 *     await red.deploy(changed); await red.kill(); await red.start();
 *
 * The child dies with the test process, however that ends: it watches its standard input.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createCipheriv, createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { type FlowNode, projectRoot } from "./project.ts";

export { type FlowNode, projectRoot };

export interface NodeRedOptions {
  readonly flows?: readonly FlowNode[];
  /** Merged over the rig's settings.js; must be JSON. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** JavaScript at the end of settings.js, where JSON does not suffice; `settings` is the object. */
  readonly settingsCode?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** An existing user folder to start in; it is then not removed. */
  readonly userDir?: string;
  /** Folders of further Node-RED packages, linked into the user folder under the name in their package.json. */
  readonly packages?: readonly string[];
  /** False: bare Node-RED, or the user folder has its own installation. A text: another build of the package, from this folder. */
  readonly clawflow?: boolean | string;
  /** Of Node-RED's own nodes only these are loaded ("http request" is "httprequest"): a start takes a third less time without the others. */
  readonly core?: readonly string[];
  readonly port?: number;
  /** Arguments of node itself. */
  readonly nodeArgs?: readonly string[];
  /** Longest time until the flows have started. */
  readonly startMs?: number;
}

export interface NodeRed extends AsyncDisposable {
  /** Without a slash at the end: `${red.url}/flows`. */
  readonly url: string;
  readonly port: number;
  readonly userDir: string;
  readonly pid: number;
  /** Everything all processes of this rig have written, by lines. */
  readonly lines: readonly string[];
  log(): string;
  /** Resolves with the first line that fits, written after line number `from` (default 0: all of them). */
  waitForLog(pattern: RegExp, ms?: number, from?: number): Promise<string>;
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Calls the admin API and parses the answer; a status of 400 or more throws, with the answer's text. */
  admin<T = unknown>(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<T>;
  deploy(flows: readonly FlowNode[], type?: "full" | "nodes" | "flows" | "reload"): Promise<void>;
  /** Sends the signal (default SIGKILL) and resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Starts again in the same user folder on the same port, with other variables where given. */
  start(env?: Readonly<Record<string, string | undefined>>): Promise<void>;
  /** SIGTERM; SIGKILL after 20 s. */
  stop(): Promise<void>;
  restart(): Promise<void>;
  /** Kills the process and removes the user folder. */
  remove(): Promise<void>;
}

/** For `core`: what the flows of tests are made of, beside our own nodes. */
export const USUAL = ["catch", "change", "complete", "debug", "delay", "function", "httpin", "httprequest", "inject", "link", "status", "switch", "template"] as const;

const secret = "secret of the test rig";

/** The content of a `flows_cred.json`: aes-256-ctr under the SHA-256 of the credential secret, as Node-RED writes it. */
function sealCredentials(credentials: object): string {
  const iv = randomBytes(16);
  const cipher = createCipheriv("aes-256-ctr", createHash("sha256").update(secret).digest(), iv);
  const sealed = cipher.update(JSON.stringify(credentials), "utf8", "base64") + cipher.final("base64");
  return JSON.stringify({ $: iv.toString("hex") + sealed });
}

function writeFlows(userDir: string, flows: readonly FlowNode[]): void {
  const credentials: Record<string, unknown> = {};
  const plain = flows.map((node) => {
    const { credentials: own, ...rest } = node;
    if (own !== undefined) credentials[node.id] = own;
    return rest;
  });
  writeFileSync(path.join(userDir, "flows.json"), JSON.stringify(plain));
  writeFileSync(path.join(userDir, "flows_cred.json"), sealCredentials(credentials));
}

/** Node-RED's tips start a second after its settings are read; where its sidebar takes longer than that, they are written into nothing and the page throws. */
function hideTips(userDir: string): void {
  const file = path.join(userDir, ".config.users.json");
  if (!existsSync(file)) writeFileSync(file, JSON.stringify({ _: { editor: { view: { "view-show-tips": false } } } }));
}

const coreNodes = path.join(projectRoot, "node_modules/@node-red/nodes");
/** Node-RED reads the package.json of each folder beside its own nodes and above them: in the user folder there are few. */
function linkCoreNodes(userDir: string): string {
  const place = path.join(userDir, "core-nodes");
  if (!existsSync(place)) symlinkSync(coreNodes, place, "junction");
  return place;
}
/** Those that Node-RED itself counts on, "unknown" among them, are always there. */
function coreNodesBut(names: readonly string[]): string[] {
  const wanted = new Set([...names, "comment", "global-config", "junction", "unknown"]);
  const files = readdirSync(path.join(coreNodes, "core"), { recursive: true, encoding: "utf8" }).map((file) => path.basename(file)).filter((file) => file.endsWith(".js"));
  return files.filter((file) => !wanted.has(/^(?:\d+-)?(.+)\.js$/.exec(file)?.[1] ?? ""));
}

function writeSettings(userDir: string, options: NodeRedOptions): void {
  const settings = {
    uiHost: "127.0.0.1", uiPort: options.port ?? 0, flowFile: "flows.json", credentialSecret: secret,
    telemetry: { enabled: false, updateNotification: false }, editorTheme: { tours: false, projects: { enabled: false } },
    logging: { console: { level: "info", metrics: false, audit: false } },
    externalModules: { autoInstall: false, palette: { allowInstall: false } }, coreNodesDir: linkCoreNodes(userDir),
    ...options.core === undefined ? {} : { nodesExcludes: coreNodesBut(options.core) },
    ...options.settings,
  };
  writeFileSync(path.join(userDir, "settings.js"), `
process.stdin.on("close", () => process.kill(process.pid, "SIGKILL")).resume();
const settings = ${JSON.stringify(settings, null, 2)};
if (process.env.RIG_PORT) settings.uiPort = Number(process.env.RIG_PORT);
${options.settingsCode ?? ""}
module.exports = settings;
`);
}

/** Builds dist/ where a source is newer. The runner of the whole suite has done it and says so. */
export function buildIfStale(): void {
  if (process.env.CLAWFLOW_BUILT) return;
  const built = spawnSync(process.execPath, ["build.mjs", "--if-stale"], { cwd: projectRoot, encoding: "utf8", timeout: 120_000 });
  if (built.status !== 0) throw new Error(`The build failed:\n${built.stdout}${built.stderr}`);
}

/** Copies the built package into `<userDir>/node_modules`, its six dependencies as links. Builds first where sources are newer; a package from another folder is taken as it is. */
export function installClawFlow(userDir: string, folder = projectRoot): string {
  if (folder === projectRoot) buildIfStale();
  const home = path.join(userDir, "node_modules", "@clawflow", "node-red");
  mkdirSync(home, { recursive: true });
  for (const part of ["package.json", "dist", "examples", "docs"]) {
    const from = path.join(folder, part);
    if (existsSync(from)) copyWhole(from, path.join(home, part));
  }
  const { dependencies } = JSON.parse(readFileSync(path.join(projectRoot, "package.json"), "utf8")) as { dependencies: object };
  for (const name of Object.keys(dependencies)) link(path.join(projectRoot, "node_modules", name), userDir, name);
  return home;
}

/** Another process may put a new dist/ in place in the middle of a copy: then again from the start. */
function copyWhole(from: string, to: string, tries = 5): void {
  try {
    cpSync(from, to, { recursive: true });
  } catch (error) {
    if (tries === 0 || (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    rmSync(to, { recursive: true, force: true });
    copyWhole(from, to, tries - 1);
  }
}

function link(folder: string, userDir: string, name: string): void {
  const place = path.join(userDir, "node_modules", name);
  mkdirSync(path.dirname(place), { recursive: true });
  if (!existsSync(place)) symlinkSync(folder, place, "junction");
}

export async function startNodeRed(options: NodeRedOptions = {}): Promise<NodeRed> {
  const userDir = options.userDir ?? mkdtempSync(path.join(tmpdir(), "clawflow-red-"));
  mkdirSync(userDir, { recursive: true });
  writeSettings(userDir, options);
  hideTips(userDir);
  if (options.flows !== undefined || !existsSync(path.join(userDir, "flows.json"))) writeFlows(userDir, options.flows ?? []);
  if (options.clawflow !== false) installClawFlow(userDir, typeof options.clawflow === "string" ? options.clawflow : projectRoot);
  for (const folder of options.packages ?? []) {
    const { name } = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as { name: string };
    link(path.resolve(folder), userDir, name);
  }

  const lines: string[] = [];
  const watchers = new Set<() => void>();
  let child: ChildProcess | undefined;
  let port = options.port ?? 0;

  function read(stream: NodeJS.ReadableStream): void {
    let rest = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      lines.push(...parts);
      for (const watcher of watchers) watcher();
    });
  }

  function waitForLog(pattern: RegExp, ms = 10_000, from = 0): Promise<string> {
    const own = child;
    return new Promise((resolve, reject) => {
      let next = from;
      const end = (act: () => void): void => { clearTimeout(timer); watchers.delete(look); own?.off("exit", gone); act(); };
      const look = (): void => {
        for (; next < lines.length; next++) {
          const line = lines[next] ?? "";
          if (!pattern.test(line)) continue;
          end(() => resolve(line));
          return;
        }
      };
      const fail = (why: string): void => end(() => reject(new Error(`${why} before a line like ${pattern}. The log:\n${lines.slice(-60).join("\n")}`)));
      const gone = (): void => { look(); setImmediate(() => watchers.has(look) && fail("Node-RED ended")); };
      const timer = setTimeout(() => fail(`${ms} ms passed`), ms);
      watchers.add(look);
      own?.once("exit", gone);
      look();
    });
  }

  async function start(env: NodeRedOptions["env"] = {}): Promise<void> {
    if (child !== undefined && child.exitCode === null && child.signalCode === null) throw new Error("Node-RED runs already");
    const from = lines.length;
    const startMs = options.startMs ?? 300_000;
    // Coverage is measured in the test process alone; a child would write megabytes about Node-RED itself.
    const { NODE_V8_COVERAGE: _, ...inherited } = process.env;
    const started = spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", ...options.nodeArgs ?? [], path.join(projectRoot, "node_modules", "node-red", "red.js"), "--userDir", userDir],
      { cwd: userDir, env: { ...inherited, LC_ALL: "C", ...options.env, ...env, ...port === 0 ? {} : { RIG_PORT: String(port) } } as NodeJS.ProcessEnv, stdio: ["pipe", "pipe", "pipe"] },
    );
    child = started;
    read(started.stdout);
    read(started.stderr);
    const [running] = await Promise.all([
      waitForLog(/Server now running at/, startMs, from),
      waitForLog(/Started flows|Waiting for missing types|Flows stopped in safe mode/, startMs, from),
    ]);
    port = Number(/:(\d+)\/?/.exec(running.slice(running.indexOf("://") + 3))?.[1] ?? port);
  }

  async function kill(signal: NodeJS.Signals = "SIGKILL"): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const own = child;
    if (own === undefined) return { code: null, signal: null };
    if (own.exitCode === null && own.signalCode === null) {
      const exited = once(own, "exit");
      own.kill(signal);
      await exited;
    }
    return { code: own.exitCode, signal: own.signalCode };
  }

  async function stop(): Promise<void> {
    const own = child;
    const timer = setTimeout(() => own?.kill("SIGKILL"), 20_000);
    await kill("SIGTERM");
    clearTimeout(timer);
  }

  async function remove(): Promise<void> {
    await kill();
    if (options.userDir === undefined) rmSync(userDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }

  async function admin<T>(method: string, route: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
    const answer = await fetch(`http://127.0.0.1:${port}${route}`, {
      method, headers: { accept: "application/json", ...body === undefined ? {} : { "content-type": "application/json" }, ...headers },
      ...body === undefined ? {} : { body: JSON.stringify(body) },
    });
    const text = await answer.text();
    if (answer.status >= 400) throw new Error(`${method} ${route} answered ${answer.status}: ${text.slice(0, 2000)}`);
    return (/json/.test(answer.headers.get("content-type") ?? "") ? JSON.parse(text) : text) as T;
  }

  async function deploy(flows: readonly FlowNode[], type = "full"): Promise<void> {
    const from = lines.length;
    await admin("POST", "/flows", flows, { "Node-RED-Deployment-Type": type });
    await waitForLog(/Started (modified )?(flows|nodes)|Waiting for missing types|Updated flows/, 20_000, from);
  }

  try {
    await start();
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    get url() { return `http://127.0.0.1:${port}`; },
    get port() { return port; },
    get pid() { return child?.pid ?? 0; },
    userDir, lines, waitForLog, admin, deploy, kill, start, stop, remove,
    log: () => lines.join("\n"),
    async fetch(route, init) {
      for (let tries = 0; ; tries++) {
        const answer = await fetch(`http://127.0.0.1:${port}${route}`, init);
        // As every platform does: come again while Node-RED starts.
        if (answer.status !== 503 || tries >= 50 || answer.headers.get("retry-after") !== "1") return answer;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    async restart() { await stop(); await start(); },
    [Symbol.asyncDispose]: remove,
  };
}
