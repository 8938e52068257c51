/** What every node with an input does alike: one act, one `done`, a fault with its code and remedy on the Catch wire and the status. */
import { asClawError, type ClawError } from "../../engine/errors.ts";
import { Stopped } from "../../engine/stopped.ts";
import type { FlowMsg, RedNode, Send } from "./red.ts";
import { metrics } from "./metrics.ts";
import { redact } from "./secrets.ts";
import { showFault } from "./status.ts";

export function onInput(node: RedNode, act: (msg: FlowMsg, send: Send) => Promise<void> | void): void {
  // Node-RED decides by the declared arity: three parameters mean "I call done".
  node.on("input", (msg: FlowMsg, send: Send, done: (error?: unknown) => void) => {
    // What a person broke off is no fault.
    run(node, act, msg, send).then(() => done(), (thrown: unknown) => (thrown instanceof Stopped ? done() : done(shown(node, thrown))));
  });
}

async function run(_node: RedNode, act: (msg: FlowMsg, send: Send) => Promise<void> | void, msg: FlowMsg, send: Send): Promise<void> {
  await act(msg, send);
}

const faulty = new WeakSet<RedNode>();
/** Has this node shown a fault? What merely passes (the store opens) must not wipe it away. */
export const isFaulty = (node: RedNode): boolean => faulty.has(node);

/** Shows a fault on the node and gives it the form in which Catch nodes get it. */
export function shown(node: RedNode, thrown: unknown): Error {
  faulty.add(node);
  const error = asClawError(thrown, "CORE_001");
  metrics.count("clawflow_errors_total", { code: error.code });
  showFault(node, error.code, error.message);
  return told(error);
}

/** `[CODE] what was expected and got. Remedy.` Every error that Node-RED gets from us is made here: without secrets, and without the cause, which may hold some. */
export function told(error: ClawError): Error {
  const message = redact(error.message);
  const text = message.startsWith(`[${error.code}]`) ? message : `[${error.code}] ${message}`;
  const sentence = /[.!?…]$/.test(text) ? text : `${text}.`;
  return Object.assign(new Error(text.endsWith(error.remedy) ? text : `${sentence} ${error.remedy}`), { code: error.code, remedy: error.remedy });
}

