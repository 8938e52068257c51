/** Tool calls that wait for their flow. The id is random: who does not hold the call cannot answer it. */
import { types } from "node:util";
import { ToolError } from "../../engine/errors.ts";
import type { ToolResult } from "../../engine/tool.ts";
import type { FlowMsg, RedNode } from "./red.ts";

export interface ToolNode extends RedNode { returnLinkMessage(id: string, msg: FlowMsg): void }

interface Waiting { readonly node: RedNode; readonly lost: Error; resolve(result: ToolResult): void; reject(error: Error): void }
const waiting = new Map<string, Waiting>();
/** A model reads no more than this of one result. */
const MAX_RESULT = 50_000;

/** `lost`: what it comes to when a deploy takes its flow away. */
export function openCall(id: string, node: RedNode, signal: AbortSignal, lost: Error): Promise<ToolResult> {
  return new Promise<ToolResult>((resolve, reject) => {
    const end = () => waiting.delete(id);
    waiting.set(id, { node, lost, resolve: (result) => { end(); resolve(result); }, reject: (error) => { end(); reject(error); } });
    signal.addEventListener("abort", () => { end(); reject(new ToolError("TOOL_002", {}, "stopped waiting for the flow")); }, { once: true });
  });
}

/** Gives a call its result, or its error. False: nobody waits (answered before, or too late); it is logged and ignored. */
export function answerCall(id: string, result: unknown, by?: RedNode): boolean {
  const call = waiting.get(id);
  if (call === undefined) {
    by?.warn("[TOOL_002] A tool's flow answered a second time, or after its time had run out; the answer is ignored.");
    return false;
  }
  if (result instanceof Error) call.reject(result);
  // An error out of a function node is of another realm.
  else if (types.isNativeError(result)) call.reject(new ToolError("TOOL_003", {}, (result as Error).message));
  else call.resolve({ text: textOf(result) });
  return true;
}

/** A deploy took the flow of this call away: no answer comes. */
export function loseCall(id: string): void {
  const call = waiting.get(id);
  call?.reject(call.lost);
}

function textOf(result: unknown): string {
  const text = typeof result === "string" ? result : result === undefined ? "" : (JSON.stringify(result) ?? String(result));
  return text.length > MAX_RESULT ? `${text.slice(0, MAX_RESULT)}… (cut, ${text.length} characters)` : text;
}
