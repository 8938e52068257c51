/** Programs in a process group of their own: nothing they started outlives them, unless it left the group by itself. No shell anywhere. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "./clock.ts";

export interface Program {
  /** Name of an executable, or its path. */
  readonly command: string;
  readonly args: readonly string[];
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** With pipes on all three. A program that cannot be started emits `error`. */
export function startGroup({ command, args, env, cwd }: Program): ChildProcess {
  const child = spawn(command, args, { env, stdio: ["pipe", "pipe", "pipe"], shell: false, detached: process.platform !== "win32", windowsHide: true, ...(cwd === undefined ? {} : { cwd }) });
  // Writing to a program that has ended is its end, which `exit` tells.
  child.stdin?.on("error", () => undefined);
  return child;
}

/** To every process of its group; nothing where all are gone. */
export function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === "win32") child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // The group is empty.
  }
}

/** Milliseconds between closing its input, asking it to end, and ending it. */
const GRACE_MS = 1_000;

/** Ends a program and what it started: its input is closed, then SIGTERM, then SIGKILL. Resolves when the program itself is gone. */
export function endGroup(child: ChildProcess, clock: Clock, graceMs = GRACE_MS): Promise<void> {
  if (child.pid === undefined) return Promise.resolve();
  const gone = hasEnded(child) ? Promise.resolve() : new Promise<void>((resolve) => { child.once("exit", () => resolve()); });
  child.stdin?.end();
  const cancels = (["SIGTERM", "SIGKILL"] as const).map((signal, step) => clock.after(graceMs * (step + 1), () => signalGroup(child, signal)));
  return gone.then(() => {
    for (const cancel of cancels) cancel();
    // What it left behind, and the pipes that such a one may hold.
    signalGroup(child, "SIGKILL");
    child.stdout?.destroy();
    child.stderr?.destroy();
  });
}
const hasEnded = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null;
