/** From a msg to its run: identity, session and rights come from the store by run id only. */
import { ClawError } from "../../engine/errors.ts";
import type { Gateway } from "../../engine/gateway.ts";
import type { Message } from "../../engine/message.ts";
import { Stopped } from "../../engine/stopped.ts";
import type { Receipt } from "../../engine/store/store.ts";
import type { Host } from "./gateways.ts";
import type { FlowMsg } from "./red.ts";

export interface Known { readonly id: string; readonly step: string; /** Which way through the flow: a deploy can make a run begin again while its old msgs still move. */ readonly pass: number; readonly receipt: Receipt; readonly signal: AbortSignal }

/** The run a msg belongs to, also when a function node dropped `msg.run`. Undefined: it belongs to none. */
export async function runOf(host: Host, gateway: Gateway, msg: FlowMsg): Promise<Known | undefined> {
  const given = typeof msg.run?.id === "string" ? msg.run.id : host.settle.scopeOf(msg);
  if (given === undefined) return undefined;
  const step = typeof msg.run?.step === "string" ? msg.run.step : "";
  const stop = gateway.inbox.control.stopped(given);
  if (stop !== undefined) throw new Stopped(stop);
  const live = gateway.inbox.run(given);
  const pass = typeof msg.run?.pass === "number" ? msg.run.pass : (live?.pass ?? 0);
  if (live !== undefined) return { id: given, step, pass, receipt: live.receipt, signal: live.abort.signal };
  const found = await gateway.inbox.find(given);
  return found === undefined ? undefined : { id: given, step, pass, receipt: found.receipt, signal: new AbortController().signal };
}

export async function needRun(host: Host, gateway: Gateway, msg: FlowMsg): Promise<Known> {
  const known = await runOf(host, gateway, msg);
  if (known === undefined) throw new ClawError("MSG_001", {}, "Expected a message that came through channel in, cron, webhook or normalize (msg.run), got one without. Put a normalize node in mapping mode before this node.");
  return known;
}

/** The live run of a msg, whichever gateway has it; synchronous, for nodes that need no gateway of their own. */
export function gatewayOfRun(host: Host, msg: FlowMsg): { readonly gateway: Gateway; readonly receipt: Receipt; readonly messages: readonly Message[] } | undefined {
  const id = typeof msg.run?.id === "string" ? msg.run.id : host.settle.scopeOf(msg);
  if (id === undefined) return undefined;
  for (const { gateway } of host.handles()) {
    const run = gateway?.inbox.run(id);
    if (gateway !== undefined && run !== undefined) return { gateway, receipt: run.receipt, messages: run.messages };
  }
  return undefined;
}
