/** A stub of Twilio: a real HTTP server on loopback that logs, validates and answers requests of the REST API, and posts signed webhooks. */
import { createHmac, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Connection, WebhookRequest } from "../../engine/channels/channel.ts";
import { twilioJudge } from "../spec/twilio-schema.ts";

export type Fields = Record<string, string>;
export interface Seen { readonly method: string; readonly path: string; readonly fields: Readonly<Record<string, readonly string[]>>; readonly problems: readonly string[] }
export interface Posted { readonly sid: string; readonly to: string; readonly from: string; readonly body: string; readonly media: readonly { readonly url: string; readonly bytes: Uint8Array }[]; readonly location?: { readonly latitude: number; readonly longitude: number }; readonly created: number }
export type Fault = { readonly status: number; readonly code?: number; readonly message?: string; readonly headers?: Record<string, string> } | { readonly reset: "before" | "after" } | { readonly raw: string; readonly status: number };

export interface TwilioStub {
  readonly url: string;
  readonly accountSid: string;
  readonly token: string;
  readonly number: string;
  readonly seen: readonly Seen[];
  /** Messages as people got them. */
  readonly posted: readonly Posted[];
  /** TwiML that was put into a call, or began one, by call. */
  readonly said: ReadonlyMap<string, readonly string[]>;
  problems(): string[];
  fault(path: RegExp, fault: Fault, times?: number): void;
  /** A file at Twilio: only with the account's password. */
  keep(bytes: Uint8Array, mime: string): string;
  /** Where the number's webhook stands now, and who answers there. */
  serve(webhookUrl: string, connection: Connection | undefined): void;
  /** The request that `post` makes. */
  sign(fields: Fields, path: string, token?: string, signal?: AbortSignal): WebhookRequest;
  /** Ends all connections. */
  cut(): void;
  /** A signed request, as Twilio makes it. `path` behind the account's webhook. */
  post(fields: Fields, path?: string, more?: { readonly token?: string; readonly headers?: Fields; readonly signal?: AbortSignal }): Promise<{ status: number; body: string; headers: Headers }>;
  /** A person writes; it is brought until it is taken. */
  say(fields: Fields): Promise<void>;
  newSid(kind: "SM" | "CA" | "RE"): string;
  readonly calls: Map<string, { from: string; to: string; status: string }>;
  close(): Promise<void>;
}

export async function startTwilio({ retryMs = 15 }: { readonly retryMs?: number } = {}): Promise<TwilioStub> {
  const accountSid = "AC0123456789abcdef0123456789abcdef";
  const token = "canary-auth-token-0123456789abcdef";
  const number = "+15551230000";
  const judge = twilioJudge();
  const seen: Seen[] = [];
  const posted: Posted[] = [];
  const said = new Map<string, string[]>();
  const calls: TwilioStub["calls"] = new Map();
  const files = new Map<string, { bytes: Uint8Array; mime: string }>();
  const faults: { path: RegExp; fault: Fault; times: number }[] = [];
  const sockets = new Set<Socket>();
  let webhook = { url: "", connection: undefined as Connection | undefined };
  let closed = false;
  const newSid = (kind: string) => `${kind}${randomBytes(16).toString("hex")}`;

  const server = createServer((request, response) => void serve(request, response).catch((error: unknown) => { if (!response.headersSent) json(response, 500, { message: String(error) }); }));
  server.on("connection", (socket) => { sockets.add(socket); socket.on("close", () => sockets.delete(socket)); });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? "/", url);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const right = request.headers.authorization === `Basic ${Buffer.from(`${accountSid}:${token}`).toString("base64")}`;
    const file = files.get(pathname);
    if (file !== undefined) return void (right ? response.writeHead(200, { "content-type": file.mime }).end(file.bytes) : response.writeHead(401).end());
    const method = request.method as "GET" | "POST";
    const form = method === "GET" ? searchParams : new URLSearchParams(Buffer.concat(chunks).toString());
    const fields: Record<string, string[]> = {};
    for (const [name, value] of form) fields[name] = [...(fields[name] ?? []), value];
    const problems = pathname.startsWith("/v2/") || !right ? [] : (judge?.request(method, pathname, fields) ?? []);
    const missing = problems[0]?.startsWith("no ") === true;
    seen.push({ method, path: pathname, fields, problems: missing ? [] : problems });
    const at = faults.find((each) => each.times > 0 && each.path.test(pathname));
    const fault = at?.fault;
    if (at !== undefined) at.times -= 1;
    if (fault !== undefined && "reset" in fault && fault.reset === "before") return void request.socket.destroy();
    if (fault !== undefined && "raw" in fault) return void response.writeHead(fault.status, { "content-type": "text/html" }).end(fault.raw);
    if (fault !== undefined && "status" in fault) return json(response, fault.status, { code: fault.code, message: fault.message ?? "refused", more_info: "https://www.twilio.com/docs/errors", status: fault.status }, fault.headers);
    if (!right) return json(response, 401, { code: 20003, message: "Authenticate", status: 401 });
    if (problems.length > 0 && !missing) return json(response, 400, { code: 21620, message: problems.join("; "), status: 400 });
    const answer = await act(method, pathname, fields);
    if (fault !== undefined && "reset" in fault) return void request.socket.destroy();
    json(response, answer === undefined ? 404 : method === "POST" && /\.json$/.test(pathname) && !/\/(?:SM|CA)/.test(pathname) ? 201 : 200, answer ?? { code: 20404, message: `The requested resource ${pathname} was not found`, status: 404 });
  }

  async function act(method: string, pathname: string, fields: Readonly<Record<string, readonly string[]>>): Promise<object | undefined> {
    const first = (name: string) => fields[name]?.[0] ?? "";
    const own = `/2010-04-01/Accounts/${accountSid}`;
    if (pathname === `${own}.json`) return { sid: accountSid, friendly_name: "Test account", status: "active" };
    if (pathname === "/v2/Indicators/Typing.json") return { success: true };
    if (pathname === `${own}/Messages.json` && method === "POST") {
      const [, latitude, longitude] = /^geo:(-?[\d.]+),(-?[\d.]+)/.exec(first("PersistentAction")) ?? [];
      // Twilio fetches files before it sends; here only those that we offer.
      const media = await Promise.all((fields.MediaUrl ?? []).map(async (address) => ({ url: address, bytes: address.startsWith(`${webhook.url}/`) ? new Uint8Array(await (await fetch(address)).arrayBuffer()) : new Uint8Array() })));
      const message: Posted = { sid: newSid("SM"), to: first("To"), from: first("From"), body: first("ContentSid") === "" ? first("Body") : `Your order: ${Object.values(JSON.parse(first("ContentVariables") || "{}") as Record<string, string>).join(", ")}`, media, ...(latitude === undefined ? {} : { location: { latitude: Number(latitude), longitude: Number(longitude) } }), created: Date.now() };
      posted.push(message);
      return resource(message);
    }
    if (pathname === `${own}/Messages.json`) return { messages: posted.filter(({ to, from }) => (first("To") === "" || to === first("To")) && (first("From") === "" || from === first("From"))).reverse().slice(0, Number(first("PageSize") || 50)).map(resource) };
    if (pathname === `${own}/Calls.json` && method === "POST") {
      const sid = newSid("CA");
      calls.set(sid, { from: first("From"), to: first("To"), status: "in-progress" });
      said.set(sid, [first("Twiml")]);
      return { sid, status: "queued" };
    }
    const call = /\/Calls\/(CA\w+)\.json$/.exec(pathname)?.[1];
    if (call !== undefined) {
      const known = calls.get(call);
      if (known === undefined) return undefined;
      if (first("Twiml") !== "") said.set(call, [...(said.get(call) ?? []), first("Twiml")]);
      return { sid: call, from: known.from, to: known.to, status: known.status };
    }
    return undefined;
  }
  function resource({ sid, to, from, body, media, created }: Posted): object {
    return { sid, to, from, body, status: "queued", num_media: String(media.length), direction: "outbound-api", date_created: new Date(created).toUTCString().replace("GMT", "+0000"), error_code: null };
  }

  const stub: TwilioStub = {
    url, accountSid, token, number, seen, posted, said, calls,
    problems: () => seen.flatMap(({ method, path, problems }) => problems.map((problem) => `${method} ${path}: ${problem}`)),
    fault(path, fault, times = 1) { faults.push({ path, fault, times }); },
    keep(bytes, mime) {
      const path = `/2010-04-01/Accounts/${accountSid}/Messages/${newSid("SM")}/Media/${newSid("SM").replace("SM", "ME")}`;
      files.set(path, { bytes, mime });
      // A recording is fetched by its address with an ending.
      files.set(`${path}.mp3`, { bytes, mime });
      return `${url}${path}`;
    },
    serve(webhookUrl, connection) { webhook = { url: webhookUrl, connection }; },
    sign(fields, path, by = token, signal = new AbortController().signal) {
      const address = `${path === "" ? webhook.url : webhook.url.replace(/\/+$/, "")}${path}`;
      const signed = address + Object.keys(fields).sort().map((name) => name + fields[name]).join("");
      const signature = createHmac("sha1", by).update(signed).digest("base64");
      const { pathname, searchParams } = new URL(`http://x${path === "" ? "/" : path}`);
      return {
        method: "POST", path: pathname, query: searchParams, body: Buffer.from(new URLSearchParams(fields).toString()), remote: "127.0.0.1", signal,
        headers: { "content-type": "application/x-www-form-urlencoded; charset=UTF-8", "x-twilio-signature": signature },
      };
    },
    cut() { for (const socket of sockets) socket.destroy(); },
    async post(fields, path = "", { token: by = token, headers = {}, signal } = {}) {
      const request = stub.sign(fields, path, by, signal);
      const answer = await webhook.connection?.webhook?.({ ...request, headers: { ...request.headers, ...headers } });
      return { status: answer?.status ?? 503, body: typeof answer?.body === "string" ? answer.body : "", headers: new Headers(answer?.headers as Fields | undefined) };
    },
    async say(fields) {
      while (!closed) {
        const { status } = await stub.post(fields);
        if (status < 500) return;
        await new Promise((resolve) => setTimeout(resolve, retryMs));
      }
    },
    newSid,
    async close() {
      closed = true;
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return stub;
}

function json(response: ServerResponse, status: number, body: object, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}
