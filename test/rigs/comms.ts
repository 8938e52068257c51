/** What an editor sees of a running Node-RED: the status of each node, over the comms socket. */
import type { NodeRed } from "./node-red.ts";
import { until } from "../kit/scripted.ts";

export interface Status { readonly fill?: string; readonly shape?: string; readonly text?: string }
export interface Statuses extends Disposable {
  /** Every status a node had since the socket was opened; retained ones included. */
  of(node: string): readonly Status[];
  /** Resolves with the first status of the node whose text fits. */
  wait(node: string, text: RegExp, ms?: number): Promise<Status>;
}

export async function watchStatuses(red: NodeRed, adminRoot = ""): Promise<Statuses> {
  const seen = new Map<string, Status[]>();
  const socket = new WebSocket(`${red.url.replace("http", "ws")}${adminRoot}/comms`);
  socket.addEventListener("message", ({ data }) => {
    for (const { topic, data: status } of [JSON.parse(String(data))].flat() as { topic?: string; data?: Status }[]) {
      const node = /^status\/(.+)$/.exec(topic ?? "")?.[1];
      if (node !== undefined && status !== undefined) seen.set(node, [...(seen.get(node) ?? []), status]);
    }
  });
  await new Promise((resolve, reject) => { socket.addEventListener("open", resolve, { once: true }); socket.addEventListener("error", reject, { once: true }); });
  socket.send(JSON.stringify({ subscribe: "status/#" }));
  return {
    of: (node) => seen.get(node) ?? [],
    async wait(node, text, ms = 5_000) {
      const find = () => seen.get(node)?.find((status) => text.test(status.text ?? ""));
      await until(() => find() !== undefined, `a status like ${text} of ${node}, it had ${JSON.stringify(seen.get(node) ?? [])}`, ms);
      return find() as Status;
    },
    [Symbol.dispose]() { socket.close(); },
  };
}
