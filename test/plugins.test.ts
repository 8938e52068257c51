/** Channels of other packages keep the contract of a channel as far as it is theirs: the two packages that the tests of the engine use. */
import { createRequire } from "node:module";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Channel, Connection } from "../engine/channels/channel.ts";
import { createFetch } from "../engine/http.ts";
import { type ChannelRig, channelContract, type SendFault } from "./contracts/channel.ts";

/** What the packages register with Node-RED. */
function channelsOf(file: string): Channel[] {
  const found: Channel[] = [];
  (createRequire(import.meta.url)(file) as (red: object) => void)({ plugins: { registerPlugin: (_id: string, { channel }: { channel: Channel }) => found.push(channel) } });
  return found;
}
async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return pieces.length === 0 ? {} : JSON.parse(Buffer.concat(pieces).toString()) as Record<string, unknown>;
}

interface Shown { readonly ref: string; text: string; readonly key: string }
/** A platform with one chat: messages are kept under refs, the next answer may be a fault, and what is said comes to the webhook until it is confirmed. */
async function platform(channel: Channel, act: (path: string, query: URLSearchParams, body: Record<string, unknown>, chat: Map<string, Shown>) => unknown, faults: Partial<Record<SendFault, (body: Record<string, unknown>) => { status?: number; headers?: Record<string, string>; body: object } | "reset">>, settings: (url: string) => Record<string, unknown>): Promise<ChannelRig> {
  const chat = new Map<string, Shown>();
  const fetch = createFetch();
  let wrong: SendFault | undefined;
  let connection: Connection | undefined;
  let ended = false;
  let line: Promise<unknown> = Promise.resolve();
  const server = createServer((request, response) => void (async () => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://platform");
    const body = await bodyOf(request);
    const fault = wrong === undefined || !("text" in body || body.op === "send") ? undefined : faults[wrong]?.(body);
    if (fault !== undefined) wrong = undefined;
    if (fault === "reset") { act(pathname, searchParams, body, chat); request.socket.destroy(); return; }
    const answer = fault ?? { body: act(pathname, searchParams, body, chat) as object };
    response.writeHead(answer.status ?? 200, { "content-type": "application/json", ...answer.headers }).end(JSON.stringify(answer.body));
  })());
  await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let said = 0;
  return {
    channel, secrets: ["canary-token"], account: { id: "acc", channel: channel.id, name: "Bot", settings: settings(url) },
    to: { channel: channel.id, account: "acc", chat: "c1", kind: "direct" }, context: { fetch },
    say(text) {
      const body = new TextEncoder().encode(JSON.stringify({ id: `e${++said}`, chat: "c1", from: "ada", text, sentAt: 1_790_000_000_000 }));
      line = line.then(async () => {
        while (!ended) {
          const answer = await connection?.webhook?.({ method: "POST", path: "/", query: new URLSearchParams(), headers: { "content-type": "application/json" }, body, remote: "", signal: new AbortController().signal }).catch(() => undefined);
          if (answer?.status === 200) return;
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
      });
    },
    shown: () => [...chat.values()].map(({ text }) => text),
    fail(fault) { if (faults[fault] === undefined) return false; wrong = fault; return true; },
    call: { method: "ping", parameters: {} },
    serve(opened) {
      // Node-RED hands a closed account no request.
      const close = opened.close.bind(opened);
      connection = opened;
      opened.close = async () => { if (connection === opened) connection = undefined; await close(); };
    },
    async close() {
      ended = true;
      await fetch.destroy();
      await new Promise((done) => { server.close(done); server.closeAllConnections(); });
    },
  };
}

let refs = 0;
function shown(chat: Map<string, Shown>, text: string, key: string): Shown {
  const one = { ref: `s${++refs}`, text, key };
  chat.set(one.ref, one);
  return one;
}

const [echo] = channelsOf("./plugins/echo-channel/echo-channel.cjs");
const fault = (code: string, more: object = {}) => () => ({ body: { code, text: "no", ...more } });
const UNASKED = "packages of the tests do the least";
const LACKS = { signed: UNASKED, unsecured: UNASKED, drop: "it holds no link", attach: UNASKED, seen: UNASKED, wrong: UNASKED, away: UNASKED, "refusal gone": UNASKED, "refusal kicked": UNASKED, "refusal long": UNASKED };
if (echo !== undefined) channelContract("the echo channel of another package", { channel: echo, plugin: true, lacks: LACKS, make: () => platform(echo, (_path, _query, { op, ref, draft, key, method }, chat) => {
  const { text = "" } = (draft ?? {}) as { text?: string };
  const known = chat.get(String(ref));
  if (op === "call") return method === "ping" ? { ref: { pong: true } } : { code: "MSG_002", retry: "no", text: `no method ${String(method)}` };
  if (op === "send") return { ref: shown(chat, text, String(key)).ref };
  if (op === "edit" && known !== undefined) known.text = text;
  if (op === "remove") chat.delete(String(ref));
  return { ref };
}, {
  rate: fault("CONN_003", { afterMs: 3000 }), refused: fault("MSG_002", { retry: "no" }), server: fault("CONN_001"), markup: fault("MSG_002", { retry: "no", markup: true }), reset: () => "reset",
}, (url) => ({ sink: url, token: "canary-token" })) });

for (const channel of channelsOf("./plugins/fault-channels/fault-channels.cjs")) {
  channelContract(`${channel.id} of another package`, { channel, plugin: true, lacks: { ...LACKS, call: UNASKED, "fault markup": UNASKED }, make: () => platform(channel, (path, query, { text, key, ref }, chat) => {
    const find = (wanted: string) => [...chat.values()].find((each) => each.key === wanted);
    if (path.endsWith("/find")) { const ref = find(query.get("key") ?? "")?.ref; return ref === undefined ? {} : { ref }; }
    const one = chat.get(String(ref));
    if (path.endsWith("/edit") && one !== undefined) one.text = String(text);
    if (path.endsWith("/remove")) chat.delete(String(ref));
    if (!path.endsWith("/send")) return {};
    const known = channel.delivery.keyMs === undefined ? undefined : find(String(key));
    return { ref: (known ?? shown(chat, String(text), String(key))).ref };
  }, {
    rate: () => ({ status: 429, headers: { "retry-after": "3" }, body: {} }), refused: () => ({ status: 403, body: {} }), server: () => ({ status: 502, body: {} }), reset: () => "reset",
  }, (url) => ({ api: url, inbound: "webhook" })) });
}
