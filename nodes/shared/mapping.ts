/** From any msg to a Message: typed fields are read with Node-RED's own means, the rest is the engine's. */
import { mapMessage, resolveValue, type Mapping } from "../../engine/mapping.ts";
import type { Message } from "../../engine/message.ts";
import type { Host } from "./gateways.ts";
import type { RedNode } from "./red.ts";

/** Types only Node-RED can resolve. */
const RUNTIME = new Set(["env", "flow", "global", "jsonata"]);

export function mappingResolver(host: Host, node: RedNode | undefined, msg: Record<string, unknown>, known = new Map<string, unknown>()): (type: string, value: unknown) => unknown {
  return (type, value) => {
    if (!RUNTIME.has(type)) return resolveValue(type, value, msg, Date.now());
    const key = `${type}\n${String(value)}`;
    // Without a node a form asks: it sees the variable's name, because its value may be a secret.
    return known.has(key) ? known.get(key) : type === "env" ? (node === undefined ? `\${${String(value)}}` : host.red.util.evaluateNodeProperty(value, type, node, msg)) : undefined;
  };
}

/** Throws ClawError MSG_001, which names the field. */
export async function mapForeign(host: Host, node: RedNode, mapping: Mapping, msg: Record<string, unknown>): Promise<Message> {
  const known = new Map<string, unknown>();
  for (const typed of Object.values(mapping)) {
    if (typed === undefined || !RUNTIME.has(typed.type)) continue;
    const value = await new Promise<unknown>((resolve, reject) => {
      host.red.util.evaluateNodeProperty(typed.value, typed.type, node, msg, (error, result) => (error ? reject(error as Error) : resolve(result)));
    });
    known.set(`${typed.type}\n${String(typed.value)}`, value);
  }
  return mapMessage(mapping, mappingResolver(host, node, msg, known), Date.now());
}
