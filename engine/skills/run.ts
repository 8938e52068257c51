/** One use of a skill: arguments as JSON on its standard input, the result from its standard output. Its whole process group ends with it. */
import type { Clock } from "../clock.ts";
import { ToolError } from "../errors.ts";
import { withoutControls } from "../mcp/names.ts";
import { lineLog } from "../mcp/stdio.ts";
import { type Program, signalGroup, startGroup } from "../process-group.ts";

export interface RunLimits { readonly timeoutMs: number; readonly outputBytes: number; readonly memoryMb: number }
/** Of standard error, for the model. */
const TAIL = 1_000;
/** Pipes that somebody outside of the group still holds. */
const LINGER_MS = 500;

/** Resolves to the text it wrote; JSON comes back compact. Throws TOOL_002, SKILL_003, or the signal's reason. */
export function runSkill(program: Program, input: unknown, limits: RunLimits, deps: { readonly clock: Clock; readonly signal: AbortSignal; log(line: string): void }): Promise<string> {
  const { clock, signal } = deps;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const child = startGroup(program);
    const chunks: Buffer[] = [];
    let bytes = 0;
    let tail = "";
    let fault: unknown;
    const stop = (why: unknown): void => { fault ??= why; signalGroup(child, "SIGKILL"); };
    const abort = (): void => stop(signal.reason);
    const cancels = [clock.after(limits.timeoutMs, () => stop(new ToolError("TOOL_002", {}, `The script did not answer within ${limits.timeoutMs / 1000} s.`)))];
    const log = lineLog(clock, deps.log);
    signal.addEventListener("abort", abort, { once: true });
    child.stdout?.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > limits.outputBytes) stop(new ToolError("SKILL_003", {}, `The script wrote more than ${Math.floor(limits.outputBytes / 1024)} kB (outputKb).`));
      else chunks.push(chunk);
    });
    child.stderr?.on("data", (chunk: Buffer) => { tail = `${tail}${chunk.toString("utf8")}`.slice(-TAIL); log(chunk); });
    const settle = (act: () => void): void => {
      for (const cancel of cancels) cancel();
      signal.removeEventListener("abort", abort);
      act();
    };
    child.once("error", (error: NodeJS.ErrnoException) => settle(() => reject(new ToolError("SKILL_003", { cause: error }, error.code === "ENOENT" ? `Expected the program "${program.command}" to be installed, but it was not found.` : error.message))));
    child.once("exit", () => {
      signalGroup(child, "SIGKILL");
      cancels.push(clock.after(LINGER_MS, () => { child.stdout?.destroy(); child.stderr?.destroy(); }));
    });
    child.once("close", (code, killed) => settle(() => {
      if (fault !== undefined) reject(fault);
      else if (code !== 0) reject(new ToolError("SKILL_003", {}, `The script ended with ${killed === null ? `exit code ${code}` : `${killed}; its memory is limited to ${limits.memoryMb} MB`}${tail.trim() === "" ? "." : `: ${withoutControls(tail.trim())}`}`));
      else resolve(textOf(Buffer.concat(chunks).toString("utf8")));
    }));
    child.stdin?.end(`${JSON.stringify(input ?? {})}\n`);
  });
}

function textOf(output: string): string {
  const text = output.trim();
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : JSON.stringify(value);
  } catch {
    return withoutControls(text);
  }
}
