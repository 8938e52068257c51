/**
 * A process that a test can kill: the engine on a real store with one account of any channel, its webhook behind a real HTTP server, and a flow that answers "a:<text>",
 * to a text that begins with "l" in three long parts. Bundled by process.ts; takes orders and tells what happens by Node's own channel between processes.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { channels } from "../../../engine/channels/index.ts";
import type { Account, WebhookRequest } from "../../../engine/channels/channel.ts";
import { systemClock } from "../../../engine/clock.ts";
import { StoreError } from "../../../engine/errors.ts";
import { createGateway, type GatewayAccount } from "../../../engine/gateway.ts";
import { createFetch } from "../../../engine/http.ts";
import { createSpool } from "../../../engine/media.ts";
import type { Address } from "../../../engine/message.ts";
import type { Run } from "../../../engine/run.ts";
import { openSqliteStore } from "../../../engine/store/sqlite.ts";
import { answerTo, type Config, type Order, PARTS, type Told } from "./words.ts";

const config = JSON.parse(process.argv[2] ?? "{}") as Config;
const tell = (told: Told): void => { process.send?.(told); };
process.on("disconnect", () => process.exit());

const store = await openSqliteStore(path.join(config.folder, "store"), { clock: systemClock });
const commit = store.commit.bind(store);
let refusals = 0;
store.commit = (changes) => {
  if (refusals === 0 || !changes.some((change) => change.do === "receive")) return commit(changes);
  refusals--;
  tell({ what: "refused" });
  return Promise.reject(new StoreError("STORE_005", { retry: "later", afterMs: 300 }));
};
await commit(config.seed.map(([key, value]) => ({ do: "set", space: `account/${config.account.id}`, key, value })));

const fetch = createFetch();
const gateway = await createGateway({
  store, clock: systemClock, spool: createSpool(path.join(config.folder, "files")), fetchFor: async () => fetch,
  limits: () => ({ notice: "chat" }), texts: { claimed: "claimed", notice: ({ what }) => `notice of a ${what}` }, log: (level, text) => { if (level !== "debug") tell({ what: "log", text }); },
});
const channel = channels.find(({ id }) => id === config.account.channel);
if (channel === undefined) throw new Error(`no channel ${config.account.channel}`);
const room = Math.floor(channel.limits.text * 0.7);
const filler = "all work and no play makes a dull line ".repeat(Math.ceil(room / 39));

gateway.events.on("status", ({ state, error }) => tell({ what: "state", state, code: error?.code, text: error?.text }));
gateway.events.on("dead", (dead) => tell({ what: "dead", of: dead.what, reason: dead.reason }));
gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: ({ kind, text }) => kind === "message" && /^[lm]\d/.test(text), emit: (run) => void flow(run) });

const written = (text: string): string => (text.startsWith("l") ? Array.from({ length: PARTS }, (_, part) => (answerTo(text, part + 1) + filler).slice(0, room).trimEnd()).join("\n\n") : answerTo(text));
async function flow(run: Run): Promise<void> {
  const { receipt: { message } } = run;
  tell({ what: "run", text: message.text });
  await gateway.deliver({ run: run.id, step: gateway.step(run.id, "out", "in"), op: "send", to: message.at, draft: { text: written(message.text) } });
  gateway.settle(run.id);
}

const policy: GatewayAccount["policy"] = { policy: "open", allow: [] };
const use = (account: Account): Promise<void> => gateway.setAccounts([{ account: { ...account, policy, ...(config.webhookUrl === undefined ? {} : { webhookUrl: config.webhookUrl }) }, channel: channel as NonNullable<typeof channel> }]);

async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  outgoing.on("close", () => gone.abort());
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer);
  const url = new URL(incoming.url ?? "/", "http://host");
  const request: WebhookRequest = { method: incoming.method ?? "GET", path: url.pathname, query: url.searchParams, headers: incoming.headers as Record<string, string>, body: Buffer.concat(pieces), remote: "127.0.0.1", signal: gone.signal };
  const got = await gateway.connections.get(config.account.id)?.connection?.webhook?.(request);
  outgoing.writeHead(got?.status ?? 503, got?.headers ?? {});
  if (got?.body === undefined || typeof got.body === "string" || got.body instanceof Uint8Array) return void outgoing.end(got?.body);
  outgoing.flushHeaders();
  try { for await (const piece of got.body) outgoing.write(piece); } catch { /* whoever listened has gone */ }
  outgoing.end();
}
const server = createServer((incoming, outgoing) => void answer(incoming, outgoing).catch(() => outgoing.destroy()));
await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });

let sends = 0;
async function send(to: Address, text: string): Promise<void> { await gateway.deliver({ run: "", step: `test/${process.pid}/${++sends}`, op: "send", to, draft: { text } }); }
const ORDERS: { readonly [K in Order["do"]]: (order: Extract<Order, { do: K }>) => void | Promise<void> } = {
  refuse({ times }) { refusals = times; },
  account: ({ account }) => use(account),
  send: ({ to, text }) => send(to, text),
  answer: ({ to, text }) => send(to, written(text)),
  async counts({ id }) {
    const { pending, outbox } = await store.counts();
    tell({ what: "counts", id, open: pending + (outbox.planned ?? 0) + (outbox.sending ?? 0) + (outbox.unknown ?? 0) });
  },
};
process.on("message", (order: Order) => void (ORDERS[order.do] as (order: Order) => void | Promise<void>)(order));

tell({ what: "ready", port: (server.address() as AddressInfo).port });
await use(config.account);
gateway.start();
