/** A stub of signal-cli-rest-api: a real HTTP and WebSocket server on loopback that logs, validates and answers requests, and hands out envelopes as the real one does. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";
import { signalJudge } from "../spec/signal-schema.ts";

type Json = Record<string, unknown>;
export interface Seen { readonly method: string; readonly path: string; readonly body: Json | undefined; readonly problems: readonly string[]; readonly authorization: string | undefined }
export interface Shown { readonly timestamp: number; readonly to: string; text: string; readonly body: Json; removed: boolean }
export type Fault = { readonly status: number; readonly error: string; readonly headers?: Record<string, string> } | { readonly reset: "before" | "after" } | { readonly raw: string; readonly status: number };

export interface SignalStub {
  readonly url: string;
  readonly number: string;
  readonly seen: readonly Seen[];
  readonly posted: readonly Shown[];
  /** WebSockets that listen now. */
  readonly listeners: () => number;
  readonly ears: ReadonlySet<WebSocket>;
  problems(): string[];
  fault(path: RegExp, fault: Fault, times?: number): void;
  /** Somebody writes. By polling it waits here; by WebSocket it is lost where nobody listens, as with the real server. */
  push(envelope: Json): void;
  keep(id: string, bytes: Uint8Array, mime: string): void;
  /** Ends all connections, as a restart of the server does. */
  cut(): void;
  close(): Promise<void>;
}

export async function startSignal({ mode = "polling", token = "" }: { readonly mode?: "polling" | "websocket"; readonly token?: string } = {}): Promise<SignalStub> {
  const number = "+15551230000";
  const judge = signalJudge();
  const seen: Seen[] = [];
  const posted: Shown[] = [];
  const queue: Json[] = [];
  const files = new Map<string, { bytes: Uint8Array; mime: string }>();
  const faults: { path: RegExp; fault: Fault; times: number }[] = [];
  const sockets = new Set<Socket>();
  const ears = new Set<WebSocket>();
  const pollers = new Set<() => void>();
  let clock = 1_795_800_000_000;

  const server = createServer((request, response) => void serve(request, response).catch((error: unknown) => { if (!response.headersSent) json(response, 500, { error: String(error) }); }));
  server.on("connection", (socket) => { sockets.add(socket); socket.on("close", () => sockets.delete(socket)); });
  const door = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    if (mode !== "websocket" || !allowed(request)) return void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
    door.handleUpgrade(request, socket, head, (ws) => { ears.add(ws); ws.on("close", () => ears.delete(ws)); });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const allowed = (request: IncomingMessage) => token === "" || request.headers.authorization === `Bearer ${token}`;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? "/", url);
    const at = decodeURIComponent(pathname);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    if (!allowed(request)) return json(response, 401, { error: "unauthorized" });
    const written = Buffer.concat(chunks).toString();
    const body = written === "" ? undefined : (JSON.parse(written) as Json);
    const method = request.method ?? "GET";
    const problems = judge?.request(method, at, searchParams, body) ?? [];
    const missing = problems[0]?.startsWith("no ") === true;
    seen.push({ method, path: at, body, problems: missing ? [] : problems, authorization: request.headers.authorization });
    const found = faults.find((each) => each.times > 0 && each.path.test(at));
    const fault = found?.fault;
    if (found !== undefined) found.times -= 1;
    if (fault !== undefined && "reset" in fault && fault.reset === "before") return void request.socket.destroy();
    if (fault !== undefined && "raw" in fault) return void response.writeHead(fault.status, { "content-type": "text/html" }).end(fault.raw);
    if (fault !== undefined && "status" in fault) return json(response, fault.status, { error: fault.error }, fault.headers);
    if (missing) return json(response, 404, { error: "404 page not found" });
    if (problems.length > 0) return json(response, 400, { error: problems.join("; ") });
    const answer = await act(method, at, body ?? {}, response);
    if (fault !== undefined && "reset" in fault) return void request.socket.destroy();
    if (answer !== undefined) json(response, answer[0], answer[1]);
  }

  async function act(method: string, at: string, body: Json, response: ServerResponse): Promise<[number, unknown] | undefined> {
    if (at === "/v1/accounts") return [200, [number]];
    if (at === "/v1/health") { response.writeHead(204).end(); return undefined; }
    if (at === "/v2/send") {
      const to = String((body.recipients as string[])[0]);
      const text = body.text_mode === "styled" ? read(String(body.message)) : String(body.message);
      const before = posted.find(({ timestamp }) => timestamp === body.edit_timestamp);
      if (body.edit_timestamp !== undefined && before === undefined) return [400, { error: "Failed to send message: invalid edit target" }];
      if (before !== undefined) { before.text = text; return [201, { timestamp: String(++clock) }]; }
      posted.push({ timestamp: ++clock, to, text, body, removed: false });
      return [201, { timestamp: String(clock) }];
    }
    if (at === `/v1/polls/${number}` && method === "POST") {
      posted.push({ timestamp: ++clock, to: String(body.recipient), text: String(body.question), body, removed: false });
      return [200, { timestamp: String(clock) }];
    }
    if (at === `/v1/remote-delete/${number}`) {
      const message = posted.find(({ timestamp }) => timestamp === body.timestamp);
      if (message !== undefined) message.removed = true;
      return [201, { timestamp: String(++clock) }];
    }
    if (at === `/v1/receive/${number}`) {
      if (mode === "websocket") return [400, { error: "Not implemented" }];
      if (queue.length === 0) await new Promise<void>((resolve) => { const end = () => { clearTimeout(timer); pollers.delete(end); resolve(); }; const timer = setTimeout(end, 60); pollers.add(end); });
      // Who hung up is handed nothing: it would be lost.
      if (response.destroyed) return undefined;
      return [200, queue.splice(0, 10)];
    }
    const file = /^\/v1\/attachments\/(.+)$/.exec(at)?.[1];
    if (file !== undefined) {
      const kept = files.get(file);
      if (kept === undefined) return [404, { error: "No attachment with that name found" }];
      response.writeHead(200, { "content-type": kept.mime }).end(kept.bytes);
      return undefined;
    }
    response.writeHead(204).end();
    return undefined;
  }

  return {
    url, number, seen, posted, ears, listeners: () => ears.size,
    problems: () => seen.flatMap(({ method, path, problems }) => problems.map((problem) => `${method} ${path}: ${problem}`)),
    fault(path, fault, times = 1) { faults.push({ path, fault, times }); },
    push(envelope) {
      const problems = judge?.envelope(envelope.envelope) ?? [];
      if (problems.length > 0) throw new Error(`no envelope of signal-cli: ${problems.join("; ")}`);
      const update = { account: number, ...envelope };
      if (mode === "polling") { queue.push(update); for (const end of [...pollers]) end(); } else for (const ear of ears) ear.send(JSON.stringify(update));
    },
    keep(id, bytes, mime) { files.set(id, { bytes, mime }); },
    cut() {
      for (const ear of ears) ear.terminate();
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      for (const end of [...pollers]) end();
      for (const ear of ears) ear.terminate();
      door.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** What a reader sees of styled text: signs that mark are gone, those behind a backslash stay. By the rules of the server's parser. */
export function read(styled: string): string {
  let out = "";
  for (let at = 0; at < styled.length; at++) {
    const [sign, next] = [styled[at], styled[at + 1]];
    if (sign === "\\" && next !== undefined && "*`|~".includes(next)) { out += next; at++; }
    else if (sign === "*" || sign === "~" || sign === "`") continue;
    else if (sign === "|" && next === "|") at++;
    else out += sign;
  }
  return out;
}

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}
