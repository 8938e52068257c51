/** The routes of the forms, behind a real HTTP server, where they could break or give away what is not theirs. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { createMemoryStore } from "../../engine/store/memory.ts";
import type { Store } from "../../engine/store/store.ts";
import { systemClock } from "../../engine/clock.ts";
import { registerAdmin } from "../../nodes/shared/admin.ts";
import type { Host } from "../../nodes/shared/gateways.ts";

type App = ((request: IncomingMessage, response: ServerResponse) => void) & { use(act: unknown): void };
/** Node-RED's own Express, which hears of no promise that is rejected. */
const express = createRequire(createRequire(createRequire(import.meta.url).resolve("node-red")).resolve("@node-red/editor-api"))("express") as (() => App) & { json(): unknown };

interface Rig extends AsyncDisposable { readonly url: string; readonly host: { nodes: Record<string, object>; store: Store } }
const listening = async (server: Server): Promise<string> => { await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); }); return `http://127.0.0.1:${(server.address() as AddressInfo).port}`; };
async function start(): Promise<Rig> {
  const own: Rig["host"] = { nodes: {}, store: createMemoryStore() };
  const app = express();
  app.use(express.json());
  const gateway = { get store() { return own.store; }, clock: systemClock, people: { all: () => [] } };
  registerAdmin({
    red: {
      httpAdmin: app, auth: { needsPermission: () => (_request: unknown, _response: unknown, next: () => void) => next() },
      nodes: { getNode: (id: string) => own.nodes[id], eachNode: (visit: (config: object) => void) => visit({ id: "model", type: "clawflow-model", gateway: "closed" }) }, settings: {}, util: {},
    },
    handles: () => [{ node: { id: "gw" }, gateway, settings: { timeZone: "UTC" } }, { node: { id: "closed" }, slug: "closed", folder: tmpdir(), accounts: new Map(), problems: [], settings: {} }], channels: () => [], fetchFor: async () => fetch, say: (key: string) => key,
  } as unknown as Host);
  const server = createServer(app);
  return { url: await listening(server), host: own, async [Symbol.asyncDispose]() { server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve); }); } };
}

describe("the routes of the forms", () => {
  it("break off the table of usage where the store goes away in its middle, and Node-RED stands", async () => {
    await using rig = await start();
    const rows = Array.from({ length: 600 }, (_, n) => ({ do: "usage" as const, n: n + 1, row: { at: Date.now(), run: "r", message: "m", session: "s", channel: "c", account: "a", person: "p", agent: "x", provider: "practice", model: "practice", input: 1, output: 1, cached: 0, micros: 0, exact: true } }));
    await rig.host.store.commit(rows);
    assert.equal((await (await fetch(`${rig.url}/clawflow/gateway/gw/usage.csv`)).text()).trimEnd().split("\r\n").length, 601);
    const whole = rig.host.store;
    let pages = 0;
    rig.host.store = { ...whole, usageRows: async (query) => { if (++pages > 1) throw new Error("the store is closed"); return whole.usageRows(query); } };
    const faults: unknown[] = [];
    const listeners = process.listeners("unhandledRejection");
    process.removeAllListeners("unhandledRejection");
    const hear = (fault: unknown): void => { faults.push(fault); };
    process.on("unhandledRejection", hear);
    try {
      const response = await fetch(`${rig.url}/clawflow/gateway/gw/usage.csv`);
      await assert.rejects(response.text(), "half a table must not look whole");
      await new Promise((resolve) => { setImmediate(resolve); });
    } finally {
      process.off("unhandledRejection", hear);
      for (const listener of listeners) process.on("unhandledRejection", listener);
    }
    assert.deepEqual(faults, []);
    assert.equal(pages, 2);
  });

  it("show a gateway also while a model of it cannot be opened", async () => {
    await using rig = await start();
    rig.host.nodes.model = { id: "model", type: "clawflow-model", candidates: () => Promise.reject(new Error("Expected JSON in prices.json")) };
    const view = await (await fetch(`${rig.url}/clawflow/gateway/closed`)).json() as { models?: { id: string; keys: unknown[] }[] };
    assert.deepEqual(view.models?.map(({ id, keys }) => [id, keys]), [["model", []]]);
  });

  it("send the secret of no other node to the address that a form names", async () => {
    await using rig = await start();
    const heard: (string | undefined)[] = [];
    const provider = createServer((request, response) => { heard.push(request.headers.authorization); response.end('{"data":[]}'); });
    const baseUrl = await listening(provider);
    Object.assign(rig.host.nodes, { mqtt: { id: "mqtt", type: "mqtt-broker", credentials: { key: "broker-password" } }, model: { id: "model", type: "clawflow-model", credentials: { key: "model-key" } } });
    for (const node of ["mqtt", "model"]) {
      const body = JSON.stringify({ node, provider: "openai-compatible", model: "m", baseUrl, credentials: { key: "__PWRD__" } });
      await (await fetch(`${rig.url}/clawflow/try/models`, { method: "POST", headers: { "content-type": "application/json" }, body })).text();
    }
    provider.closeAllConnections();
    provider.close();
    assert.doesNotMatch(heard.join(), /broker/);
    assert.deepEqual(heard, [undefined, "Bearer model-key"], "the form of a model still has its own");
  });
});
