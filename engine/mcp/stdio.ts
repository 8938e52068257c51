/**
 * The stdio transport of MCP over a process group. The SDK's own ends only the process it started: what `npx` or a shell script starts would stay.
 * Messages are lines of JSON (https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#stdio).
 */
import type { ChildProcess } from "node:child_process";
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import type { Clock } from "../clock.ts";
import { ToolError } from "../errors.ts";
import { endGroup, type Program, signalGroup, startGroup } from "../process-group.ts";

/** Largest message; one that is larger ends the connection. */
export const MAX_MESSAGE = 4 * 1024 * 1024;
const MAX_LOG_LINE = 500;
/** Of its standard error that reach the log, for each minute. */
const MAX_LOG_LINES = 60;
const MINUTE_MS = 60_000;

export interface StdioDeps {
  readonly clock: Clock;
  readonly sdk: Pick<typeof import("@modelcontextprotocol/client"), "ReadBuffer" | "serializeMessage">;
  /** A line of the server's standard error. */
  log(line: string): void;
}

export function stdioTransport(program: Program, { clock, sdk, log }: StdioDeps): Transport {
  const buffer = new sdk.ReadBuffer({ maxBufferSize: MAX_MESSAGE });
  let child: ChildProcess | undefined;
  let ended = false;

  function end(error?: Error): void {
    if (ended) return;
    ended = true;
    if (error !== undefined) transport.onerror?.(error);
    if (child !== undefined) signalGroup(child, "SIGKILL");
    transport.onclose?.();
  }
  function read(chunk: Buffer): void {
    if (ended) return;
    try {
      buffer.append(chunk);
    } catch (error) {
      end(error as Error);
      return;
    }
    for (;;) {
      try {
        const message = buffer.readMessage();
        if (message === null || ended) return;
        transport.onmessage?.(message);
      } catch (error) {
        transport.onerror?.(error as Error);
      }
    }
  }

  const transport: Transport = {
    start: () => new Promise<void>((resolve, reject) => {
      const made = startGroup(program);
      child = made;
      made.once("spawn", () => resolve());
      made.once("error", (error) => { reject(error); end(error); });
      made.once("exit", (code, signal) => end(new ToolError("MCP_001", { retry: "later" }, `the program ended (${signal ?? `exit code ${code}`})`)));
      made.stdout?.on("data", read);
      made.stderr?.on("data", lineLog(clock, log));
    }),
    send: (message: JSONRPCMessage) => new Promise<void>((resolve, reject) => {
      const pipe = child?.stdin;
      if (ended || pipe === null || pipe === undefined || pipe.destroyed) return reject(new ToolError("MCP_001", { retry: "later" }, "The MCP server has ended."));
      pipe.write(sdk.serializeMessage(message), (error) => { if (error) reject(error); else resolve(); });
    }),
    async close() {
      const running = child;
      if (running === undefined) return end();
      const first = !ended;
      ended = true;
      await endGroup(running, clock);
      buffer.clear();
      if (first) transport.onclose?.();
    },
  };
  return transport;
}

/** Splits what comes into lines; of long lines and of floods the rest is left out. */
export function lineLog(clock: Pick<Clock, "monotonic">, log: (line: string) => void): (chunk: Buffer) => void {
  let rest = "";
  let since = Number.NEGATIVE_INFINITY;
  let lines = 0;
  return (chunk) => {
    const parts = `${rest}${chunk.toString("utf8")}`.split(/\r?\n/);
    rest = (parts.pop() ?? "").slice(0, MAX_LOG_LINE);
    const now = clock.monotonic();
    if (now - since > MINUTE_MS) { since = now; lines = 0; }
    for (const part of parts) {
      if (part.trim() === "" || ++lines > MAX_LOG_LINES) continue;
      log(lines === MAX_LOG_LINES ? "… (more is left out for a minute)" : part.slice(0, MAX_LOG_LINE));
    }
  };
}
