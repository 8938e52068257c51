/** A Node-RED with one echo account, and a sink that keeps what was said: the judge of what a chat saw. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { type FlowNode, type NodeRed, type NodeRedOptions, projectRoot, startNodeRed, USUAL } from "./node-red.ts";
import { until } from "../kit/scripted.ts";

export interface Said { readonly op: string; readonly to: { readonly chat: string }; readonly draft?: { readonly text: string }; readonly key?: string; readonly ref?: string }
export interface Sink { readonly url: string; readonly said: Said[]; /** What the platform answers instead of "sent"; a promise holds its answer up. */ fault: ((said: Said) => Record<string, unknown> | undefined | Promise<undefined>) | undefined; close(): Promise<void> }

export async function startSink(): Promise<Sink> {
  const said: Said[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", async () => {
      const one = JSON.parse(Buffer.concat(chunks).toString()) as Said;
      const fault = await sink.fault?.(one);
      if (fault === undefined) said.push(one);
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(fault ?? { ref: one.ref ?? `m${said.length}` }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const sink: Sink = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, said, fault: undefined, close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(() => resolve()); }) };
  return sink;
}

export interface Home extends AsyncDisposable { readonly red: NodeRed; readonly sink: Sink; texts(): string[]; say(text: string, more?: Record<string, unknown>): Promise<string>; heard(count: number, ms?: number): Promise<string[]> }

export const gateway: FlowNode = { id: "gw", type: "clawflow-gateway", name: "Home", slug: "home", version: 1 };
export const account = (sink: Sink, more: Record<string, unknown> = {}): FlowNode => ({ id: "acc", type: "clawflow-account", name: "Echo", gateway: "gw", slug: "echo", channel: "echo", settings: { sink: sink.url }, policy: "open", version: 1, ...more });
export const model = (more: Record<string, unknown> = {}): FlowNode => ({ id: "model", type: "clawflow-model", name: "Model", gateway: "gw", provider: "practice", model: "practice", version: 1, ...more });
export const tab: FlowNode = { id: "tab", type: "tab", label: "Flow" };
/** A node on the tab, wired to the ids given, one list for each output. */
export const on = (id: string, type: string, fields: Record<string, unknown> = {}, ...wires: string[][]): FlowNode => ({ id, type, z: "tab", x: 100, y: 100, name: "", wires, ...fields });

let ids = 0;
export async function startHome(flow: (sink: Sink) => readonly FlowNode[], options: NodeRedOptions = {}): Promise<Home> {
  const sink = await startSink();
  const red = await startNodeRed({ core: USUAL, packages: [path.join(projectRoot, "test/plugins/echo-channel")], ...options, flows: flow(sink) });
  const texts = () => sink.said.filter((one) => one.op === "send").map((one) => one.draft?.text ?? "");
  return {
    red, sink, texts,
    async say(text, more = {}) {
      const body = JSON.stringify({ id: `e${++ids}`, text, ...more });
      const post = () => red.fetch("/clawflow/home/echo", { method: "POST", headers: { "content-type": "application/json" }, body });
      let response = await post();
      // As every platform does: come again while the account is being opened.
      for (let tries = 0; response.status === 503 && tries < 100; tries++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        response = await post();
      }
      if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
      return ((await response.json()) as { received: string }).received;
    },
    async heard(count, ms = 10_000) {
      await until(() => texts().length >= count, `${count} messages in the chat, there are ${JSON.stringify(texts())}\n${red.lines.slice(-15).join("\n")}`, ms);
      return texts();
    },
    async [Symbol.asyncDispose]() { await red.remove(); await sink.close(); },
  };
}
