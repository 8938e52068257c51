/** A stub of Slack: real HTTP (Web API, uploads, response addresses) and WebSocket (Socket Mode) on loopback. It logs and validates what an app sends, and brings payloads by socket or signed webhook until they are confirmed. */
import { createHmac, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { loadSlackSpec, type SlackSpec } from "../spec/slack-schema.ts";
import { dataFolder } from "../spec/telegram-schema.ts";

type Json = Record<string, unknown>;
/** One call as it came. `problems` is what types and specification say against it. */
export interface Seen { readonly method: string; readonly args: Json; readonly token: string; readonly problems: readonly string[] }
export type Fault =
  | { readonly error: string; readonly more?: Json; readonly headers?: Record<string, string> }
  | { readonly status: number; readonly body: string; readonly headers?: Record<string, string> }
  | { readonly reset: "before" | "after" }
  | { readonly delayMs: number }
  | { readonly half: true };
export interface Message { ts: string; channel: string; text: string; blocks?: Json[]; attachments?: Json[]; thread_ts?: string; metadata?: unknown; user?: string; bot_id?: string; files?: Json[]; streaming?: boolean; reactions: { name: string; users: string[] }[]; only?: string }
export interface Team { readonly id: string; readonly token: string; readonly userId: string; readonly botId: string; readonly name: string; readonly enterprise?: string; readonly everywhere?: boolean }

export interface SlackStub {
  readonly url: string;
  readonly apiUrl: string;
  readonly appToken: string;
  readonly signingSecret: string;
  readonly team: Team;
  readonly seen: readonly Seen[];
  calls(method: string): Seen[];
  problems(): string[];
  /** Another workspace of the same app. */
  addTeam(team: Team): void;
  /** Brings a payload by whatever way the app listens. */
  push(payload: Json, type?: "events_api" | "interactive" | "slash_commands"): string;
  /** Envelopes (or posts) that were not confirmed yet. */
  pending(): string[];
  /** Ids of envelopes in the order of their confirmation. */
  readonly acked: readonly string[];
  readonly sockets: ReadonlySet<WebSocket>;
  /** Ends all sockets as Slack does when it renews a link, or at once. */
  renew(): void;
  cut(): void;
  /** No socket is let in any more, or again. */
  refuseSockets: boolean;
  /** Sockets that are let in are not greeted. */
  mute: boolean;
  fault(method: string, fault: Fault, times?: number): void;
  clearFaults(): void;
  /** A message that a person said, as the history has it. */
  said(message: { channel: string; text: string; user: string; ts?: string; thread_ts?: string }): Message;
  readonly messages: readonly Message[];
  /** What a reader of a chat sees of the bot's messages, as plain text. */
  shown(channel: string): string[];
  readonly files: ReadonlyMap<string, { name: string; bytes: Buffer; mimetype: string; shares: Record<string, { ts: string }[]> }>;
  keepFile(id: string, file: { name: string; bytes: Buffer; mimetype: string; url?: string }): void;
  readonly responses: readonly { readonly path: string; readonly body: Json }[];
  readonly uploads: readonly { readonly headers: IncomingMessage["headers"]; readonly bytes: Buffer }[];
  readonly views: readonly Json[];
  readonly people: Map<string, string>;
  /** Channels the bot is not in. */
  readonly closed: Set<string>;
  webhook: string;
  /** Status of each post to the webhook, oldest first. */
  readonly posted: readonly number[];
  post(body: string, options?: { type?: string; secret?: string; at?: number; headers?: Record<string, string> }): Promise<Response>;
  close(): Promise<void>;
}

// At the beginning of a test file, not within the time of a test.
const spec: SlackSpec | undefined = dataFolder("specs", "slack") === undefined ? undefined : loadSlackSpec();

class Refusal extends Error {
  readonly more: Json;
  constructor(error: string, more: Json = {}) { super(error); this.more = more; }
}
const refuse = (error: string, more?: Json): never => { throw new Refusal(error, more); };

/** Arguments that stay text whatever they look like. */
const TEXTS = new Set(["text", "markdown_text", "initial_comment", "filename", "alt_text", "name", "user", "users", "channel", "thread_ts", "ts", "timestamp", "oldest", "latest", "cursor", "status", "trigger_id", "file"]);
const NUMBERS = new Set(["limit", "length"]);

export async function startSlack(options: { retryMs?: number; team?: Partial<Team> } = {}): Promise<SlackStub> {
  const { retryMs = 20 } = options;
  const team: Team = { id: "T00FAKE00AA", token: "xoxb-111-222-canarytoken", userId: "U00FAKEBOT01", botId: "B00FAKEBOT01", name: "claw", ...options.team };
  const teams = new Map([[team.token, team]]);
  const appToken = "xapp-1-A00FAKE-333-canaryapp";
  const signingSecret = "8f742231b10e8888abcd99yyyzzz85a5";
  const seen: Seen[] = [];
  const faults = new Map<string, Fault[]>();
  const messages: Message[] = [];
  const files: Map<string, { name: string; bytes: Buffer; mimetype: string; shares: Record<string, { ts: string }[]>; url?: string }> = new Map();
  const responses: { path: string; body: Json }[] = [];
  const uploads: { headers: IncomingMessage["headers"]; bytes: Buffer }[] = [];
  const views: Json[] = [];
  const people = new Map<string, string>();
  const closed = new Set<string>();
  const acked: string[] = [];
  const posted: number[] = [];
  const queue: { id: string; type: string; payload: Json; sentTo?: WebSocket }[] = [];
  const sockets = new Set<WebSocket>();
  const tcp = new Set<Socket>();
  const triggers = new Set<string>();
  let serial = 100;
  let delivering = false;
  let over = false;

  const server = createServer((request, response) => void serve(request, response).catch((error: unknown) => { if (!response.headersSent) response.writeHead(500).end(String(error)); }));
  server.on("connection", (socket) => { tcp.add(socket); socket.on("close", () => tcp.delete(socket)); });
  const gate = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (stub.refuseSockets || !(request.url ?? "").includes("ticket=")) { socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n"); return; }
    gate.handleUpgrade(request, socket, head, (ws) => {
      sockets.add(ws);
      ws.on("close", () => { sockets.delete(ws); for (const each of queue) if (each.sentTo === ws) delete each.sentTo; flush(); });
      ws.on("message", (data) => {
        const { envelope_id } = JSON.parse(String(data)) as { envelope_id: string };
        const at = queue.findIndex(({ id }) => id === envelope_id);
        if (at >= 0) { queue.splice(at, 1); acked.push(envelope_id); }
      });
      if (stub.mute) return;
      ws.send(JSON.stringify({ type: "hello", num_connections: sockets.size, connection_info: { app_id: "A00FAKEAPP01" } }));
      ws.ping();
      flush();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const port = (server.address() as AddressInfo).port;
  const url = `http://127.0.0.1:${port}`;

  const stamp = (): string => `${Math.floor(Date.now() / 1000)}.${String(++serial).padStart(6, "0")}`;

  function flush(): void {
    const [ws] = sockets;
    if (ws === undefined || stub.mute) return;
    for (const each of queue) {
      if (each.sentTo !== undefined) continue;
      each.sentTo = ws;
      ws.send(JSON.stringify({ envelope_id: each.id, type: each.type, payload: each.payload, accepts_response_payload: each.type !== "events_api", retry_attempt: 0, retry_reason: "" }));
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const raw = Buffer.concat(chunks);
    const path = new URL(request.url ?? "/", url).pathname;
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
    if (path.startsWith("/respond/")) {
      responses.push({ path, body: JSON.parse(String(raw)) as Json });
      return void response.writeHead(200).end("ok");
    }
    if (path.startsWith("/upload/")) {
      const file = files.get(path.split("/")[2] as string);
      uploads.push({ headers: request.headers, bytes: raw });
      const fault = faults.get("upload")?.shift();
      if (fault !== undefined && "status" in fault) return void response.writeHead(fault.status).end(fault.body);
      if (file === undefined) return void response.writeHead(404).end();
      file.bytes = raw;
      return void response.writeHead(200).end(`OK - ${raw.length}`);
    }
    if (path.startsWith("/files-pri/")) {
      const file = files.get(path.split("/")[2] as string);
      if (file === undefined || !teams.has(token)) return void response.writeHead(200, { "content-type": "text/html" }).end("<!DOCTYPE html><title>Sign in</title>");
      return void response.writeHead(200, { "content-type": file.mimetype }).end(file.bytes);
    }
    const method = path.replace(/^\/api\//, "");
    const args = argsOf(String(raw), request.headers["content-type"] ?? "");
    const problems = spec?.methods.includes(method) === true ? spec.request(method, args) : [];
    seen.push({ method, args, token, problems });
    const fault = faults.get(method)?.shift();
    if (fault !== undefined) {
      if ("reset" in fault && fault.reset === "before") return void request.socket.destroy();
      if ("delayMs" in fault) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
      if ("status" in fault) return void response.writeHead(fault.status, { "content-type": "text/html", ...fault.headers }).end(fault.body);
      if ("error" in fault) return reply(response, { ok: false, error: fault.error, ...fault.more }, fault.headers);
    }
    try {
      if (problems.length > 0) throw new Refusal("invalid_arguments", { response_metadata: { messages: problems.map((each) => `[ERROR] ${each}`) } });
      const result = act(method, args, token);
      if (fault !== undefined && "reset" in fault) return void request.socket.destroy();
      if (fault !== undefined && "half" in fault) {
        response.writeHead(200, { "content-type": "application/json", "content-length": "500" });
        response.write('{"ok":tr');
        return void setTimeout(() => request.socket.destroy(), 20);
      }
      reply(response, { ok: true, ...result });
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      reply(response, { ok: false, error: thrown.message, ...thrown.more });
    }
  }

  function act(method: string, args: Json, token: string): Json {
    if (method === "apps.connections.open") return token === appToken ? { url: `ws://127.0.0.1:${port}/link/?ticket=${randomUUID()}&app_id=A00FAKEAPP01` } : refuse("invalid_auth");
    const bot = teams.get(token) ?? refuse("invalid_auth");
    const own = bot as Team;
    const channel = String(args.channel ?? "");
    if (closed.has(channel) && method.startsWith("chat.")) return refuse("channel_not_found");
    const find = (ts: unknown): Message => messages.find((each) => each.channel === channel && each.ts === ts) ?? (refuse("message_not_found") as never);
    switch (method) {
      case "auth.test": return { url, team: own.name, user: own.name, team_id: own.id, user_id: own.userId, bot_id: own.botId, is_enterprise_install: own.everywhere === true, ...(own.enterprise === undefined ? {} : { enterprise_id: own.enterprise }) };
      case "chat.postMessage":
      case "chat.postEphemeral": {
        if (empty(args)) return refuse("no_text");
        const message: Message = { ts: stamp(), channel, text: String(args.text ?? ""), user: own.userId, bot_id: own.botId, reactions: [], ...pick(args, ["blocks", "attachments", "thread_ts", "metadata"]), ...(method === "chat.postEphemeral" ? { only: String(args.user) } : {}) };
        messages.push(message);
        return method === "chat.postEphemeral" ? { message_ts: message.ts } : { channel, ts: message.ts, message };
      }
      case "chat.update": {
        if (empty(args)) return refuse("no_text");
        const message = find(args.ts);
        if (message.streaming === true) return refuse("streaming_state_conflict");
        Object.assign(message, pick(args, ["text", "blocks", "attachments", "metadata"]));
        return { channel, ts: message.ts, text: message.text };
      }
      case "chat.delete": messages.splice(messages.indexOf(find(args.ts)), 1); return { channel, ts: args.ts };
      case "chat.startStream": {
        if (!channel.startsWith("D") && (args.recipient_user_id === undefined || args.recipient_team_id === undefined)) return refuse("missing_recipient_user_id");
        const message: Message = { ts: stamp(), channel, text: String(args.markdown_text ?? ""), thread_ts: String(args.thread_ts), user: own.userId, bot_id: own.botId, reactions: [], streaming: true };
        messages.push(message);
        return { channel, ts: message.ts };
      }
      case "chat.appendStream":
      case "chat.stopStream": {
        const message = find(args.ts);
        if (message.streaming !== true) return refuse("message_not_in_streaming_state");
        message.text += String(args.markdown_text ?? "");
        if (method === "chat.stopStream") Object.assign(message, { streaming: false }, pick(args, ["blocks", "metadata"]));
        return { channel, ts: message.ts };
      }
      case "reactions.add":
      case "reactions.remove": {
        channelOfTimestamp(args);
        const message = messages.find((each) => each.channel === channel && each.ts === args.timestamp) ?? (refuse("message_not_found") as never as Message);
        const name = String(args.name);
        if (!/^[a-z0-9_+'-]+(::skin-tone-[2-6])?$/.test(name)) return refuse("invalid_name");
        const known = message.reactions.find((each) => each.name === name);
        if (method === "reactions.add") { if (known?.users.includes(own.userId)) return refuse("already_reacted"); if (known === undefined) message.reactions.push({ name, users: [own.userId] }); else known.users.push(own.userId); return {}; }
        if (!known?.users.includes(own.userId)) return refuse("no_reaction");
        known.users = known.users.filter((each) => each !== own.userId);
        return {};
      }
      case "reactions.get": return { type: "message", message: messages.find((each) => each.channel === channel && each.ts === args.timestamp) };
      case "conversations.history":
      case "conversations.replies": {
        const oldest = Number(args.oldest ?? 0);
        const inclusive = args.inclusive === true;
        const found = messages.filter((each) => each.channel === channel && each.only === undefined && (method === "conversations.history" ? each.thread_ts === undefined || each.thread_ts === each.ts : each.thread_ts === args.ts || each.ts === args.ts))
          .filter((each) => (inclusive ? Number(each.ts) >= oldest : Number(each.ts) > oldest) && (args.latest === undefined || Number(each.ts) <= Number(args.latest)));
        if (method === "conversations.history") found.reverse();
        const from = Number(args.cursor ?? 0);
        const limit = Number(args.limit ?? 100);
        const page = found.slice(from, from + limit).map(({ metadata, ...rest }) => ({ type: "message", ...rest, ...(args.include_all_metadata === true && metadata !== undefined ? { metadata } : {}) }));
        const more = from + limit < found.length;
        return { messages: page, has_more: more, response_metadata: { next_cursor: more ? String(from + limit) : "" } };
      }
      case "conversations.open": return { channel: { id: `D${String(args.users).slice(1)}` } };
      case "users.info": return people.has(String(args.user)) ? { user: { id: args.user, name: "handle", profile: { display_name: people.get(String(args.user)) } } } : refuse("user_not_found");
      case "views.open": {
        if (triggers.has(String(args.trigger_id))) return refuse("exchanged_trigger_id");
        triggers.add(String(args.trigger_id));
        const view = { id: `V${++serial}`, ...(args.view as Json) };
        views.push(view);
        return { view };
      }
      case "files.getUploadURLExternal": {
        const id = `F${++serial}`;
        files.set(id, { name: String(args.filename), bytes: Buffer.alloc(0), mimetype: "application/octet-stream", shares: {} });
        return { upload_url: `${url}/upload/${id}`, file_id: id };
      }
      case "files.completeUploadExternal": {
        const shared = (args.files as { id: string }[]).map(({ id }) => id);
        const ts = stamp();
        const at = String(args.channel_id);
        messages.push({ ts, channel: at, text: String(args.initial_comment ?? ""), user: own.userId, bot_id: own.botId, reactions: [], files: shared.map((id) => ({ id })), ...pick(args, ["thread_ts", "blocks"]) });
        for (const id of shared) (files.get(id) as { shares: Record<string, { ts: string }[]> }).shares[at] = [{ ts }];
        return { files: shared.map((id) => ({ id, title: files.get(id)?.name })) };
      }
      case "files.info": {
        const file = files.get(String(args.file)) ?? refuse("file_not_found");
        const { name, mimetype, shares, url: other } = file as { name: string; mimetype: string; shares: Json; url?: string };
        return { file: { id: args.file, name, mimetype, shares: { public: shares }, url_private_download: other ?? `${url}/files-pri/${String(args.file)}/${name}` } };
      }
      case "files.delete": {
        const id = String(args.file);
        if (!files.delete(id)) return refuse("file_not_found");
        const at = messages.findIndex((each) => each.files?.some((file) => file.id === id));
        if (at >= 0) messages.splice(at, 1);
        return {};
      }
      case "assistant.threads.setStatus": return {};
      default: return refuse("unknown_method");
    }
  }

  async function post(body: string, { type = "application/json", secret = signingSecret, at = Math.floor(Date.now() / 1000), headers = {} }: Parameters<SlackStub["post"]>[1] = {}): Promise<Response> {
    const signature = `v0=${createHmac("sha256", secret).update(`v0:${at}:${body}`).digest("hex")}`;
    const answer = await fetch(stub.webhook, { method: "POST", headers: { "content-type": type, "x-slack-request-timestamp": String(at), "x-slack-signature": signature, ...headers }, body });
    posted.push(answer.status);
    return answer;
  }
  /** In order, each until it is confirmed. */
  async function deliver(): Promise<void> {
    if (delivering) return;
    delivering = true;
    while (!over && stub.webhook !== "" && queue[0] !== undefined) {
      const { payload, type, id } = queue[0];
      const body = type === "events_api" ? JSON.stringify(payload) : type === "slash_commands" ? String(new URLSearchParams(payload as Record<string, string>)) : String(new URLSearchParams({ payload: JSON.stringify(payload) }));
      const status = await post(body, { type: type === "events_api" ? "application/json" : "application/x-www-form-urlencoded" }).then(async (answer) => { await answer.arrayBuffer(); return answer.status; }, () => 0);
      if (status >= 200 && status < 300) { queue.shift(); acked.push(id); } else await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
    delivering = false;
  }

  const stub: SlackStub = {
    url, apiUrl: `${url}/api/`, appToken, signingSecret, team, seen, acked, posted, sockets, messages, files, responses, uploads, views, people, closed, refuseSockets: false, mute: false, webhook: "",
    calls: (method) => seen.filter((each) => each.method === method),
    problems: () => seen.flatMap(({ method, problems }) => problems.map((each) => `${method}: ${each}`)),
    addTeam(other) { teams.set(other.token, other); },
    push(payload, type = "events_api") {
      const id = randomUUID();
      queue.push({ id, type, payload });
      if (stub.webhook === "") flush(); else void deliver();
      return id;
    },
    pending: () => queue.map(({ id }) => id),
    renew() { for (const ws of sockets) ws.send(JSON.stringify({ type: "disconnect", reason: "refresh_requested", debug_info: {} })); },
    cut() { for (const ws of sockets) ws.terminate(); },
    fault(method, fault, times = 1) { faults.set(method, [...(faults.get(method) ?? []), ...Array.from({ length: times }, () => fault)]); },
    clearFaults() { faults.clear(); },
    said(message) {
      const made: Message = { ts: message.ts ?? stamp(), reactions: [], ...message };
      messages.push(made);
      return made;
    },
    shown: (channel) => messages.filter((each) => each.channel === channel && each.bot_id !== undefined).map(visible),
    keepFile(id, file) { files.set(id, { shares: {}, ...file }); },
    post,
    async close() {
      over = true;
      for (const ws of sockets) ws.terminate();
      gate.close();
      await new Promise((resolve) => { server.close(resolve); for (const socket of tcp) socket.destroy(); });
    },
  };
  return stub;
}

function channelOfTimestamp(args: Json): void {
  if (args.timestamp === undefined) refuse("bad_timestamp");
}
const empty = (args: Json): boolean => String(args.text ?? args.markdown_text ?? "").trim() === "" && !((args.blocks as unknown[] | undefined)?.length) && !((args.attachments as unknown[] | undefined)?.length);
function pick(from: Json, names: readonly string[]): Json {
  return Object.fromEntries(names.filter((name) => from[name] !== undefined).map((name) => [name, from[name]]));
}
function argsOf(raw: string, type: string): Json {
  if (type.includes("json")) return JSON.parse(raw) as Json;
  return Object.fromEntries([...new URLSearchParams(raw)].map(([name, value]) => {
    if (NUMBERS.has(name)) return [name, Number(value)];
    if (TEXTS.has(name)) return [name, value];
    if (value === "true" || value === "false") return [name, value === "true"];
    return [name, /^[[{]/.test(value) ? JSON.parse(value) as unknown : value];
  }));
}
const plain = (mrkdwn: string): string => mrkdwn.replace(/<([^<>|]*)\|([^<>]*)>/g, "$2").replace(/<([^<>]*)>/g, "$1").replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");
/** Blocks take the place of the text. */
function visible({ text, blocks = [] }: Message): string {
  const texts = blocks.map((block) => block.text as { type: string; text: string } | undefined).filter((each) => each !== undefined);
  return texts.length === 0 ? plain(text) : texts.map((each) => (each.type === "plain_text" ? each.text : plain(each.text))).join("\n");
}
function reply(response: ServerResponse, body: Json, headers: Record<string, string> = {}): void {
  response.writeHead(200, { "content-type": "application/json; charset=utf-8", "x-oauth-scopes": "chat:write", ...headers }).end(JSON.stringify(body));
}
