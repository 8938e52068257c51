/** A Discord of our own: REST and gateway on loopback. Requests are held against Discord's OpenAPI description; its log is the judge. */
import busboy from "busboy";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Readable } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { snowflakeAt } from "../../engine/channels/discord/limits.ts";
import { dataFolder } from "../spec/telegram-schema.ts";
import { type DiscordSpec, loadDiscordSpec } from "../spec/discord-schema.ts";

export type Json = Record<string, unknown>;
export interface Seen { readonly method: string; readonly path: string; readonly template: string; readonly query: URLSearchParams; readonly body: Json; readonly uploads: readonly { readonly name: string; readonly bytes: Buffer }[]; readonly problems: readonly string[]; readonly auth: string }
/** How the next call of an operation ends; `silent`: it is done, and the answer is lost. */
export type Fault = { readonly status: number; readonly body?: Json | string; readonly headers?: Readonly<Record<string, string>> } | { readonly reset: "before" | "after" } | { readonly delayMs: number };
export interface Shown { readonly id: string; content: string; body: Json; readonly nonce: string | undefined; readonly author: string; flags: number; readonly files: readonly Buffer[] }

export const BOT = { id: "900000000000000001", username: "Home bot", discriminator: "0001", global_name: null, avatar: null, bot: true } as const;
export const ADA = { id: "800000000000000007", username: "ada", discriminator: "0", global_name: "Ada Lovelace", avatar: null } as const;
export const APP = "900000000000000001";
export const GUILD = "700000000000000001";
export const ROOM = "600000000000000001";
export const FORUM = "600000000000000002";
export const THREAD = "600000000000000003";
export const DM = "600000000000000009";
export const ROLE = "500000000000000001";
export const TOKEN = "OTAwMDAwMDAwMDAwMDAwMDAx.GaBcDe.abcdefghijklmnopqrstuvwxyz0123456789AB";

let shared: DiscordSpec | undefined;
function spec(): DiscordSpec | undefined {
  const folder = dataFolder("specs", "discord");
  if (folder !== undefined && shared === undefined) shared = loadDiscordSpec(folder);
  return shared;
}

class Refusal extends Error {
  readonly status: number;
  readonly code: number;
  constructor(status: number, code: number, message: string) { super(message); this.status = status; this.code = code; }
}

export type DiscordStub = Awaited<ReturnType<typeof startDiscord>>;

export async function startDiscord({ grantedIntents = 0xffffffff, publicKey = "" }: { grantedIntents?: number; publicKey?: string } = {}) {
  const seen: Seen[] = [];
  const faults = new Map<string, Fault[]>();
  const channels = new Map<string, { type: number; parent_id?: string; guild_id?: string }>([
    [ROOM, { type: 0, guild_id: GUILD }], [FORUM, { type: 15, guild_id: GUILD }], [THREAD, { type: 11, parent_id: ROOM, guild_id: GUILD }], [DM, { type: 1 }],
  ]);
  const messages = new Map<string, Map<string, Shown>>();
  const history = new Map<string, Json[]>();
  const answers = new Map<string, { type: number; data?: Json; original?: string; deleted?: boolean }>();
  const dead = new Set<string>();
  const cdn = new Map<string, Uint8Array>();
  const sockets = new Set<Socket>();
  let lastId = snowflakeAt(Date.now());
  const nextId = (): string => { const now = snowflakeAt(Date.now()); lastId = now > lastId ? now : lastId + 1n; return lastId.toString(); };

  // --- gateway
  const wss = new WebSocketServer({ noServer: true });
  let session: { id: string; seq: number; log: { t: string; d: unknown; s: number }[]; socket: WebSocket | undefined } | undefined;
  let sessions = 0;
  const gateway = { identifies: [] as Json[], resumes: [] as Json[], heartbeats: 0, connections: 0, refuse: undefined as number | undefined, rejectUpgrade: false, guildExtra: {} as Json, silentHello: false };

  const send = (socket: WebSocket, payload: Json): void => { if (socket.readyState === 1) socket.send(JSON.stringify(payload)); };
  function dispatch(t: string, d: unknown): void {
    if (session === undefined) return;
    const event = { t, d, s: ++session.seq };
    session.log.push(event);
    if (session.socket !== undefined) send(session.socket, { op: 0, ...event });
  }
  function guildCreate(): Json {
    const last = (id: string) => (history.get(id) ?? []).at(-1)?.["id"] ?? null;
    return {
      id: GUILD, name: "Lab", joined_at: "2020-01-01T00:00:00.000000+00:00", system_channel_id: ROOM, unavailable: false, member_count: 2,
      roles: [{ id: GUILD, name: "@everyone" }, { id: ROLE, name: "Scientists" }, { id: "500000000000000002", name: "Home bot", tags: { bot_id: BOT.id } }],
      channels: [...channels].filter(([, each]) => each.guild_id !== undefined && each.type < 10 || each.type === 15).map(([id, each]) => ({ id, ...each, last_message_id: last(id) })),
      threads: [...channels].filter(([, each]) => each.type === 11).map(([id, each]) => ({ id, ...each, last_message_id: last(id) })),
      members: [], ...gateway.guildExtra,
    };
  }
  wss.on("connection", (socket) => {
    gateway.connections += 1;
    if (!gateway.silentHello) send(socket, { op: 10, d: { heartbeat_interval: 41_250 }, t: null, s: null });
    socket.on("message", (raw) => {
      const { op, d } = JSON.parse(String(raw)) as { op: number; d: Json };
      if (op === 1) { gateway.heartbeats += 1; send(socket, { op: 11, t: null, s: null, d: null }); }
      if (op === 2) {
        gateway.identifies.push(d);
        if (gateway.refuse !== undefined) return socket.close(gateway.refuse);
        if (d["token"] !== TOKEN) return socket.close(4004, "Authentication failed.");
        if ((Number(d["intents"]) & ~grantedIntents) !== 0) return socket.close(4014, "Disallowed intent(s).");
        session = { id: `session-${++sessions}`, seq: 0, log: [], socket };
        dispatch("READY", { v: 10, user: BOT, guilds: [{ id: GUILD, unavailable: true }], session_id: session.id, resume_gateway_url: wsUrl, application: { id: APP, flags: 0 }, shard: d["shard"] });
        dispatch("GUILD_CREATE", guildCreate());
      }
      if (op === 6) {
        gateway.resumes.push(d);
        if (session === undefined || d["session_id"] !== session.id) return send(socket, { op: 9, d: false, t: null, s: null });
        session.socket = socket;
        for (const event of session.log) if (event.s > Number(d["seq"])) send(socket, { op: 0, ...event });
        dispatch("RESUMED", {});
      }
    });
    socket.on("close", () => { if (session?.socket === socket) session.socket = undefined; });
  });

  // --- REST
  const server = createServer((request, response) => void serve(request, response).catch((error: unknown) => reply(response, 500, { message: String(error), code: 0 })));
  server.on("connection", (socket) => { sockets.add(socket); socket.on("close", () => sockets.delete(socket)); });
  server.on("upgrade", (request, socket, head) => {
    if (gateway.rejectUpgrade) return void socket.end("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\r\n");
    wss.handleUpgrade(request, socket, head, (opened) => wss.emit("connection", opened, request));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/api`;
  const wsUrl = `ws://127.0.0.1:${port}`;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams: query } = new URL(request.url ?? "/", url);
    if (pathname.startsWith("/cdn/")) return void response.writeHead(cdn.has(pathname) ? 200 : 404, { "content-type": "application/octet-stream" }).end(cdn.get(pathname) ?? "");
    const place = pathname.replace(/^\/api\/v10/, "");
    const method = request.method ?? "GET";
    const { body, uploads } = await readBody(request);
    const auth = request.headers.authorization ?? "";
    const template = spec()?.template(method, place) ?? place.replace(/\d{15,}/g, "{id}");
    const open = place.startsWith("/webhooks/") || place.startsWith("/interactions/");
    if (!open && auth !== `Bot ${TOKEN}`) return reply(response, 401, { message: "401: Unauthorized", code: 0 });
    const problems = spec()?.request(method, place, query, body, uploads.length) ?? [];
    seen.push({ method, path: place, template, query, body: body ?? {}, uploads, problems, auth });
    const fault = faults.get(`${method} ${template}`)?.shift();
    if (fault !== undefined) {
      if ("status" in fault) return reply(response, fault.status, fault.body ?? {}, fault.headers);
      if ("reset" in fault && fault.reset === "before") return void request.socket.destroy();
      if ("delayMs" in fault) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
    }
    try {
      if (problems.length > 0) throw new Refusal(400, 50035, `Invalid Form Body: ${problems.join("; ")}`);
      const result = act(method, place, query, body ?? {}, uploads);
      if (fault !== undefined && "reset" in fault) return void request.socket.destroy();
      if (result === undefined) return void response.writeHead(204).end();
      reply(response, 200, result);
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      reply(response, thrown.status, { message: thrown.message, code: thrown.code });
    }
  }

  function act(method: string, place: string, query: URLSearchParams, body: Json, uploads: Seen["uploads"]): unknown {
    const [, first, id = "", second, ref = "", third, fourth = ""] = place.split("/");
    if (place === "/users/@me") return BOT;
    if (place === "/applications/@me") return { id: APP, name: "Home bot", flags: 0xffffff, verify_key: publicKey };
    if (place === "/gateway/bot") return { url: wsUrl, shards: 1, session_start_limit: { total: 1000, remaining: 999, reset_after: 14_400_000, max_concurrency: 1 } };
    if (place === "/users/@me/channels") return { id: DM, type: 1 };
    if (first === "applications" || first === "guilds") {
      if (method === "PUT") return body;
      return { user: ADA, roles: [ROLE], nick: null, joined_at: "2020-01-01T00:00:00.000000+00:00", deaf: false, mute: false, flags: 0 };
    }
    if (first === "interactions") {
      if (dead.has(ref === "" ? "" : ref) || dead.has(second ?? "")) throw new Refusal(404, 10062, "Unknown interaction");
      if (answers.has(second ?? "")) throw new Refusal(400, 40060, "Interaction has already been acknowledged.");
      answers.set(second ?? "", { type: Number(body["type"]), data: body["data"] as Json });
      return undefined;
    }
    if (first === "webhooks") return hooked(method, second ?? "", fourth === "" ? ref === "messages" ? third ?? "" : "" : fourth, body, place);
    const channel = channels.get(id);
    if (first !== "channels" || channel === undefined) throw new Refusal(404, 10003, "Unknown Channel");
    if (second === undefined) return { id, ...channel };
    if (second === "typing") return undefined;
    if (second === "threads") {
      const made = nextId();
      channels.set(made, { type: 11, parent_id: id, guild_id: GUILD });
      return { id: made, type: 11, name: body["name"], message: { id: post(made, body["message"] as Json, uploads, made).id } };
    }
    if (second !== "messages") throw new Refusal(404, 0, "404: Not Found");
    if (ref === "") return method === "POST" ? full(id, post(id, body, uploads)) : listed(id, query);
    const found = messages.get(id)?.get(ref);
    const said = (history.get(id) ?? []).find((each) => each["id"] === ref);
    if (found === undefined && said === undefined) throw new Refusal(404, 10008, "Unknown Message");
    if (third === "reactions") return undefined;
    if (method === "GET") return said ?? full(id, found as Shown);
    if (method === "DELETE") { messages.get(id)?.delete(ref); return undefined; }
    if (found === undefined) throw new Refusal(403, 50005, "Cannot edit a message authored by another user");
    return full(id, change(found, body));
  }

  function hooked(method: string, token: string, ref: string, body: Json, place: string): unknown {
    const [, , app = ""] = place.split("/");
    if (dead.has(token)) throw new Refusal(404, 10015, "Unknown Webhook");
    const answer = answers.get(token);
    const store = messages.get(`hook:${token}`) ?? new Map<string, Shown>();
    messages.set(`hook:${token}`, store);
    if (ref === "" && method === "GET") return { id: app, name: "Alerts", channel_id: ROOM, guild_id: GUILD, type: 1 };
    if (ref === "") {
      const made = nextId();
      // The first follow-up takes the place of what is loading, and its privacy.
      const flags = answer?.type === 5 && answer.original === undefined && answer.deleted !== true ? Number(answer.data?.["flags"] ?? 0) : Number(body["flags"] ?? 0);
      const shown = { id: made, content: String(body["content"] ?? ""), body, nonce: undefined, author: app, flags, files: [] };
      store.set(made, shown);
      return full(ROOM, shown);
    }
    if (ref === "@original") {
      if (answer === undefined) throw new Refusal(404, 10015, "Unknown Webhook");
      if (method === "DELETE") { answer.deleted = true; return undefined; }
      answer.original ??= nextId();
      const shown = store.get(answer.original) ?? { id: answer.original, content: "", body: {}, nonce: undefined, author: APP, flags: Number(answer.data?.["flags"] ?? 0), files: [] };
      store.set(shown.id, shown);
      return full(ROOM, change(shown, body));
    }
    const shown = store.get(ref);
    if (shown === undefined) throw new Refusal(404, 10008, "Unknown Message");
    if (method === "DELETE") { store.delete(ref); return undefined; }
    return full(ROOM, change(shown, body));
  }

  function post(channel: string, body: Json, uploads: Seen["uploads"], id = nextId()): Shown {
    const own = messages.get(channel) ?? new Map<string, Shown>();
    messages.set(channel, own);
    const { nonce, content = "" } = body as { nonce?: string; content?: string };
    const known = body["enforce_nonce"] === true ? [...own.values()].find((each) => each.nonce === nonce) : undefined;
    if (known !== undefined) return known;
    if (content === "" && uploads.length === 0 && ["embeds", "poll", "components", "sticker_ids"].every((key) => body[key] === undefined)) throw new Refusal(400, 50006, "Cannot send an empty message");
    const shown = { id, content, body, nonce, author: BOT.id, flags: Number(body["flags"] ?? 0), files: uploads.map(({ bytes }) => bytes) };
    own.set(id, shown);
    return shown;
  }
  function change(shown: Shown, body: Json): Shown {
    shown.content = String(body["content"] ?? shown.content);
    shown.body = { ...shown.body, ...body };
    return shown;
  }
  const full = (channel: string, { id, content, nonce, author, flags, body }: Shown): Json => ({ id, channel_id: channel, content, type: 0, author: author === BOT.id ? BOT : { ...BOT, id: author }, timestamp: "2026-01-01T00:00:00.000000+00:00", edited_timestamp: null, attachments: body["attachments"] ?? [], embeds: body["embeds"] ?? [], mentions: [], mention_roles: [], flags, components: [], reactions: [{ count: 1, me: true, emoji: { id: null, name: "👍" } }], ...(nonce === undefined ? {} : { nonce }) });
  function listed(channel: string, query: URLSearchParams): Json[] {
    const after = BigInt(query.get("after") ?? "0");
    const all = [...(history.get(channel) ?? []), ...[...(messages.get(channel)?.values() ?? [])].map((shown) => full(channel, shown))].filter((each) => BigInt(String(each["id"])) > after);
    // The oldest after the given one, newest first.
    return all.sort((a, b) => (BigInt(String(a["id"])) < BigInt(String(b["id"])) ? -1 : 1)).slice(0, Number(query.get("limit") ?? 50)).reverse();
  }

  return {
    url, wsUrl, seen, cdn, gateway, channels, history, answers, dispatch, nextId,
    calls: (method: string, template: string) => seen.filter((each) => each.method === method && each.template === template),
    problems: () => seen.flatMap((each) => each.problems.map((problem) => `${each.method} ${each.template}: ${problem}`)),
    fault(method: string, template: string, fault: Fault, times = 1) { const key = `${method} ${template}`; faults.set(key, [...(faults.get(key) ?? []), ...Array.from({ length: times }, () => fault)]); },
    shown: (channel: string) => [...(messages.get(channel)?.values() ?? [])],
    /** What an interaction showed. */
    hooked: (token: string) => [...(messages.get(`hook:${token}`)?.values() ?? [])],
    /** The token's time is over. */
    kill(token: string) { dead.add(token); },
    /** A person writes; who is connected hears of it. */
    say(channel: string, content: string, more: Json = {}): Json {
      const message: Json = { id: nextId(), channel_id: channel, author: ADA, content, timestamp: new Date().toISOString(), edited_timestamp: null, tts: false, mention_everyone: false, mentions: [], mention_roles: [], attachments: [], embeds: [], pinned: false, type: 0, flags: 0, components: [], ...more };
      history.set(channel, [...(history.get(channel) ?? []), message]);
      const guild = channels.get(channel)?.guild_id;
      dispatch("MESSAGE_CREATE", guild === undefined ? message : { ...message, guild_id: guild, member: { nick: null, roles: [ROLE], joined_at: "2020-01-01T00:00:00.000000+00:00" } });
      return message;
    },
    connected: () => session?.socket !== undefined,
    links: (): readonly WebSocket[] => [...wss.clients],
    /** Ends the link; the session can be resumed. */
    drop(code?: number) { if (code === undefined) session?.socket?.terminate(); else session?.socket?.close(code); },
    /** Forgets the session: the next RESUME is refused. */
    forget() { const socket = session?.socket; session = undefined; socket?.terminate(); },
    reconnectPlease() { if (session?.socket !== undefined) send(session.socket, { op: 7, d: null, t: null, s: null }); },
    raw(text: string) { session?.socket?.send(text); },
    async close() {
      for (const client of wss.clients) client.terminate();
      for (const socket of sockets) socket.destroy();
      wss.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function reply(response: ServerResponse, status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): void {
  if (response.destroyed || response.headersSent) return;
  if (typeof body === "string") response.writeHead(status, { "content-type": "text/html", ...headers }).end(body);
  else response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** JSON, or multipart form data with `payload_json` and `files[n]`. */
async function readBody(request: IncomingMessage): Promise<{ body: Json | undefined; uploads: { name: string; bytes: Buffer }[] }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const type = request.headers["content-type"] ?? "";
  if (type.startsWith("application/json")) return { body: JSON.parse(bytes.toString()) as Json, uploads: [] };
  if (!type.startsWith("multipart/form-data")) return { body: undefined, uploads: [] };
  let body: Json = {};
  const uploads: { name: string; bytes: Buffer }[] = [];
  const form = busboy({ headers: { "content-type": type }, defParamCharset: "utf8" });
  form.on("field", (name, value) => { if (name === "payload_json") body = JSON.parse(value) as Json; });
  form.on("file", (_name, content, { filename }) => {
    const parts: Buffer[] = [];
    content.on("data", (part: Buffer) => parts.push(part));
    content.on("end", () => uploads.push({ name: filename ?? "", bytes: Buffer.concat(parts) }));
  });
  await new Promise<void>((resolve, reject) => { form.on("close", resolve); form.on("error", reject); Readable.from([bytes]).pipe(form); });
  return { body, uploads };
}
