/** Hosts one account over real HTTP on loopback, as Node-RED does: raw bodies in, streams flushed out; its storage is in memory or in a file. */
import { randomBytes } from "node:crypto";
import { existsSync, fdatasyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Readable } from "node:stream";
import type { Account, AccountStorage, Channel, ChannelContext, Connection, MediaSpool, Received, WebhookRequest } from "../../engine/channels/channel.ts";
import { systemClock } from "../../engine/clock.ts";
import { sniff } from "../../engine/media.ts";
import type { Message } from "../../engine/message.ts";

/** With a file, every `set` is one line, on disk when it resolves; half a line at the end of the file did not happen. */
export function createStorage(file?: string): AccountStorage & { readonly all: Map<string, unknown> } {
  const all = new Map<string, unknown>();
  const apply = (changes: Record<string, unknown>) => { for (const [key, value] of Object.entries(changes)) if (value === null || value === undefined) all.delete(key); else all.set(key, value); };
  let handle: number | undefined;
  if (file !== undefined) {
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    for (const line of text.split("\n").slice(0, -1)) if (line !== "") try { apply(JSON.parse(line) as Record<string, unknown>); } catch { /* a line a kill cut off, ended by the next start */ }
    handle = openSync(file, "a");
    writeSync(handle, "\n");
  }
  return {
    all,
    async get(key) { return structuredClone(all.get(key)); },
    async set(changes) {
      const line = JSON.stringify(changes, (_, value: unknown) => (value === undefined ? null : value));
      if (handle !== undefined) { writeSync(handle, `${line}\n`); fdatasyncSync(handle); }
      apply(JSON.parse(line) as Record<string, unknown>);
    },
    async list(prefix, { after, limit = Number.POSITIVE_INFINITY, last = false } = {}) {
      const keys = [...all.keys()].filter((key) => key.startsWith(prefix) && (after === undefined || key > after)).sort();
      const some = last ? keys.slice(-Math.min(limit, keys.length)) : keys.slice(0, limit);
      return some.map((key) => [key, structuredClone(all.get(key))]);
    },
  };
}

export function createSpoolInMemory(): MediaSpool & { readonly files: Map<string, Uint8Array> } {
  const files = new Map<string, Uint8Array>();
  return {
    files,
    async save(source, { mime }) {
      const bytes = new Uint8Array(await new Response(source).arrayBuffer());
      const id = randomBytes(16).toString("hex");
      files.set(id, bytes);
      return { id, mime: sniff(bytes, mime), bytes: bytes.byteLength };
    },
    async open(id) { const bytes = files.get(id); return bytes && new Blob([bytes as Uint8Array<ArrayBuffer>]).stream(); },
  };
}

export interface HostOptions {
  readonly channel: Channel;
  readonly settings?: Account["settings"];
  readonly storage?: AccountStorage;
  readonly spool?: MediaSpool;
  readonly port?: number;
  readonly context?: Partial<ChannelContext>;
  receive(message: Message, connection: () => Connection): Promise<Received>;
}
export interface Host {
  readonly url: string;
  readonly connection: Connection;
  readonly received: readonly Message[];
  /** Cuts all connections now open, as a network does. */
  cut(): void;
  close(): Promise<void>;
}

const noFiles = async () => { throw new Error("not lent here"); };

export async function openHost({ channel, settings = {}, storage = createStorage(), spool = createSpoolInMemory(), port = 0, context, receive }: HostOptions): Promise<Host> {
  const abort = new AbortController();
  const received: Message[] = [];
  let connection: Connection | undefined;
  const open = () => { if (connection === undefined) throw new Error("not open yet"); return connection; };
  connection = await channel.open({ id: "chat", channel: channel.id, name: "Home", settings }, {
    receive: async (message) => { received.push(message); return receive(message, open); },
    signal: abort.signal, fetch, storage, clock: systemClock, commands: [], spool, file: noFiles, download: noFiles, status: () => undefined, log: () => undefined, ...context,
  });
  const sockets = new Set<Socket>();
  const server = createServer((req, res) => void answer(open(), req, res));
  server.on("connection", (socket) => { sockets.add(socket); socket.on("close", () => sockets.delete(socket)); });
  await new Promise<void>((resolve, reject) => { server.once("error", reject).listen(port, "127.0.0.1", resolve); });
  const cut = () => { for (const socket of sockets) socket.destroy(); };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    connection, received, cut,
    async close() {
      abort.abort();
      await open().close();
      const closed = new Promise((resolve) => { server.close(resolve); });
      cut();
      await closed;
    },
  };
}

async function answer(connection: Connection, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const gone = new AbortController();
  res.on("close", () => gone.abort());
  const pieces: Buffer[] = [];
  for await (const piece of req) pieces.push(piece as Buffer);
  const url = new URL(req.url ?? "/", "http://host");
  const headers = Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : (value ?? "")]));
  const request: WebhookRequest = { method: req.method ?? "GET", path: url.pathname, query: url.searchParams, headers, body: Buffer.concat(pieces), remote: req.socket.remoteAddress ?? "", signal: gone.signal };
  const got = await connection.webhook?.(request);
  res.writeHead(got?.status ?? 404, got?.headers ?? {});
  if (got?.body === undefined || typeof got.body === "string" || got.body instanceof Uint8Array) return void res.end(got?.body);
  res.flushHeaders();
  const stream = Readable.from(got.body, { objectMode: true });
  stream.on("error", () => res.destroy());
  stream.pipe(res);
  gone.signal.addEventListener("abort", () => stream.destroy());
}
