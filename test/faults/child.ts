/** A stub as a process of its own. It dies with the test process, however that ends. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { type Entry, followLog } from "./stubs/log.ts";
import { projectRoot } from "../rigs/project.ts";

export interface Stub {
  readonly url: string;
  readonly pid: number;
  /** Calls `/control/<name>`. */
  control<T = unknown>(name: string, body?: object): Promise<T>;
  /** Everything it saw so far, from its log. */
  entries(): Promise<readonly Entry[]>;
  close(): Promise<void>;
}

export async function startStub(name: string, logFile: string): Promise<Stub> {
  const { NODE_V8_COVERAGE: _, ...env } = process.env;
  const child: ChildProcess = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", path.join(projectRoot, `test/faults/stubs/${name}.ts`), logFile], { env, stdio: ["pipe", "pipe", "inherit"] });
  const port = await new Promise<string>((resolve, reject) => {
    child.once("exit", (code) => reject(new Error(`the stub ${name} ended with ${code}`)));
    child.stdout?.setEncoding("utf8").on("data", (text: string) => { const match = /listening on (\d+)/.exec(text); if (match) resolve(match[1] as string); });
  });
  const url = `http://127.0.0.1:${port}`;
  const follow = followLog(logFile);
  async function control<T>(route: string, body?: object): Promise<T> {
    const answer = await fetch(`${url}/control/${route}`, body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${name} answered ${answer.status} to ${route}: ${await answer.text()}`);
    return (await answer.json()) as T;
  }
  return {
    url, pid: child.pid ?? 0, control,
    entries: async () => follow(),
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}
