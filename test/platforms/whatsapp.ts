/** A stub of Meta's Cloud API: a real HTTP server on loopback that logs, validates and answers what a business sends, and posts signed webhooks. */
import { createHmac } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Readable } from "node:stream";
import busboy from "busboy";
import { dataFolder } from "../spec/telegram-schema.ts";
import { loadWhatsappSpec, type WhatsappSpec } from "../spec/whatsapp-schema.ts";

export type Json = Record<string, unknown>;
export interface Upload { readonly name: string; readonly mime: string; readonly bytes: Buffer }
/** One request as it came. `problems`: what the specification says against it. */
export interface Seen { readonly method: string; readonly path: string; readonly query: URLSearchParams; readonly body: Json; readonly upload?: Upload; readonly headers: IncomingMessage["headers"]; readonly problems: readonly string[] }
export type Fault =
  | { readonly code: number; readonly message: string; readonly status?: number; readonly details?: string; readonly subcode?: number; readonly transient?: boolean; readonly headers?: Record<string, string> }
  | { readonly status: number; readonly body: string; readonly headers?: Record<string, string> }
  | { readonly reset: "before" | "after" }
  | { readonly half: true }
  | { readonly delayMs: number };
/** What the webhook answered. */
export interface Delivered { readonly body: Json; readonly status: number; readonly retryAfter: string | undefined; readonly text: string; readonly type: string | undefined }
export interface Shown { readonly id: string; readonly to: string; readonly text: string; readonly key: string | undefined; readonly request: Json }

export interface WhatsappStub {
  readonly url: string;
  readonly token: string;
  readonly secret: string;
  readonly key: string;
  readonly phone: string;
  readonly business: string;
  readonly seen: readonly Seen[];
  readonly delivered: readonly Delivered[];
  /** POSTs to /messages, oldest first. */
  sends(): Seen[];
  problems(): string[];
  readonly shown: readonly Shown[];
  /** The next requests whose path ends so go wrong. */
  fault(path: string, fault: Fault, times?: number): void;
  clearFaults(): void;
  /** Where webhooks go; undefined: nobody is there, and they wait. */
  webhook: string | undefined;
  /** Tells a status of each message that is sent, as Meta does. */
  statuses: boolean;
  /** Queues a webhook; it comes again until it is answered 200, in order. */
  push(body: Json): void;
  pending(): number;
  /** A POST of its own, with these headers beside the right signature or in its place. */
  post(body: string, headers?: Record<string, string>): Promise<Response>;
  sign(body: string, secret?: string): string;
  /** A file that media ids lead to. */
  keep(id: string, file: Upload): void;
  readonly uploads: ReadonlyMap<string, Upload>;
  close(): Promise<void>;
}

const limits: Readonly<Record<string, number>> = { "image/jpeg": 5_242_880, "image/png": 5_242_880, "image/webp": 512_000, "video/mp4": 16_777_216, "audio/ogg": 16_777_216 };

export async function startWhatsapp(options: { retryMs?: number } = {}): Promise<WhatsappStub> {
  const { retryMs = 20 } = options;
  const token = "EAAGtestTESTtestTESTtestTESTtestTEST0123456789";
  const secret = "0123456789abcdef0123456789abcdef";
  const [phone, business] = ["106540352242922", "102290129340398"];
  const folder = dataFolder("specs", "whatsapp");
  const spec: WhatsappSpec | undefined = folder === undefined ? undefined : loadWhatsappSpec(folder);
  const seen: Seen[] = [];
  const delivered: Delivered[] = [];
  const shown: Shown[] = [];
  const faults: { path: string; fault: Fault }[] = [];
  const queue: Json[] = [];
  const uploads = new Map<string, Upload>();
  const sockets = new Set<Socket>();
  let next = 1;
  let delivering = false;
  let closed = false;

  const server = createServer((request, response) => void serve(request, response).catch((error: unknown) => { if (!response.headersSent) reply(response, 500, { error: { code: 2, message: `Service temporarily unavailable: ${String(error)}`, type: "OAuthException" } }); }));
  server.on("connection", (socket) => { sockets.add(socket); socket.on("close", () => sockets.delete(socket)); });
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const refuse = (response: ServerResponse, status: number, code: number, message: string, more: Json = {}) => reply(response, status, { error: { message, type: "OAuthException", code, fbtrace_id: "AbcDef", ...more } });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", origin);
    const { body, upload } = await readBody(request);
    const method = request.method ?? "GET";
    const path = url.pathname.replace(/^\/v[\d.]+\//, "");
    if (request.headers.authorization !== `Bearer ${token}`) return refuse(response, 401, 190, `Malformed access token ${String(request.headers.authorization).replace("Bearer ", "")}`);
    if (path.startsWith("/files/")) return serveFile(path.slice("/files/".length), response);
    const problems = method !== "POST" ? [] : path === `${phone}/messages` ? (spec?.message(body) ?? []) : path === `${phone}/media` ? (spec?.upload(body) ?? []) : path === `${business}/subscribed_apps` ? (spec?.subscription(body) ?? []) : [];
    seen.push({ method, path, query: url.searchParams, body, ...(upload === undefined ? {} : { upload }), headers: request.headers, problems });
    const at = faults.findIndex((each) => path.endsWith(each.path));
    const fault = at === -1 ? undefined : faults.splice(at, 1)[0]?.fault;
    if (fault !== undefined) {
      if ("reset" in fault && fault.reset === "before") return void request.socket.destroy();
      if ("delayMs" in fault) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
      if ("body" in fault) return void response.writeHead(fault.status, { "content-type": "text/html", ...fault.headers }).end(fault.body);
      if ("code" in fault) {
        return reply(response, fault.status ?? 400, { error: { message: fault.message, type: "OAuthException", code: fault.code, ...(fault.subcode === undefined ? {} : { error_subcode: fault.subcode }), ...(fault.transient === undefined ? {} : { is_transient: fault.transient }), ...(fault.details === undefined ? {} : { error_data: { messaging_product: "whatsapp", details: fault.details } }) } }, fault.headers);
      }
    }
    if (problems.length > 0) return refuse(response, 400, 100, `(#100) Invalid parameter: ${problems.join("; ")}`);
    const result = act(method, path, body, upload, response);
    if (result === undefined) return;
    if (fault !== undefined && "reset" in fault) return void request.socket.destroy();
    if (fault !== undefined && "half" in fault) {
      const text = JSON.stringify(result);
      response.writeHead(200, { "content-type": "application/json", "content-length": text.length });
      response.write(text.slice(0, text.length / 2));
      return void setTimeout(() => request.socket.destroy(), 20);
    }
    reply(response, 200, result);
  }

  function act(method: string, path: string, body: Json, upload: Upload | undefined, response: ServerResponse): Json | undefined {
    if (method === "GET" && path === phone) return { id: phone, verified_name: "Claw Test", display_phone_number: "+1 555-078-3881" };
    if (method === "POST" && path === `${phone}/messages`) return body["status"] === "read" ? { success: true } : sent(body);
    if (method === "POST" && path === `${phone}/media`) {
      if (upload === undefined) return void refuse(response, 400, 100, "(#100) The parameter file is required.");
      if (upload.bytes.length > (limits[upload.mime] ?? 104_857_600)) return void refuse(response, 400, 131053, "(#131053) Media upload error", { error_data: { details: "File too large" } });
      const id = String(2_600_000_000_000 + next++);
      uploads.set(id, upload);
      return { id };
    }
    if (method === "POST" && path === `${business}/subscribed_apps`) return { success: true };
    const file = method === "GET" ? uploads.get(path) : undefined;
    if (file !== undefined) return { messaging_product: "whatsapp", url: `${origin}/files/${path}`, mime_type: file.mime, sha256: "x", file_size: String(file.bytes.length), id: path };
    if (method === "GET" && path === `${phone}/whatsapp_business_profile`) return { data: [{ about: "hi" }] };
    return void refuse(response, 400, 100, `Unsupported ${method.toLowerCase()} request. Object with ID '${path}' does not exist, cannot be loaded due to missing permissions, or does not support this operation.`, { error_subcode: 33 });
  }

  function sent(body: Json): Json {
    const id = `wamid.HBgLstub${String(next++).padStart(6, "0")}==`;
    const to = String(body["to"] ?? body["recipient"]);
    const key = body["biz_opaque_callback_data"] as string | undefined;
    if (body["type"] !== "reaction") shown.push({ id, to, text: textOf(body), key, request: body });
    if (stub.statuses) for (const status of ["sent", "delivered"]) stub.push(statusBody(phone, { id, status, timestamp: "1790000000", recipient_id: to, ...(key === undefined ? {} : { biz_opaque_callback_data: key }) }));
    return { messaging_product: "whatsapp", contacts: [{ input: to, wa_id: to }], messages: [{ id }] };
  }

  /** Posts what waits, in order; anything but 200 is tried again. */
  async function deliver(): Promise<void> {
    if (delivering) return;
    delivering = true;
    while (!closed && stub.webhook !== undefined && queue[0] !== undefined) {
      const body = queue[0];
      try {
        const answer = await stub.post(JSON.stringify(body));
        delivered.push({ body, status: answer.status, retryAfter: answer.headers.get("retry-after") ?? undefined, text: await answer.text(), type: answer.headers.get("content-type") ?? undefined });
        if (answer.status === 200) queue.shift();
      } catch { /* nobody there: comes again */ }
      if (queue[0] === body) await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
    delivering = false;
  }

  function serveFile(id: string, response: ServerResponse): void {
    const file = uploads.get(id);
    if (file === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": file.mime }).end(file.bytes);
  }

  let webhook: string | undefined;
  const stub: WhatsappStub = {
    url: `${origin}/v26.0`, token, secret, key: "verify-me-please", phone, business, seen, delivered, shown, uploads,
    statuses: false,
    get webhook() { return webhook; },
    set webhook(address) { webhook = address; void deliver(); },
    sends: () => seen.filter(({ path }) => path.endsWith("/messages")),
    problems: () => seen.flatMap((each) => each.problems.map((problem) => `${each.path}: ${problem}`)),
    fault(path, fault, times = 1) { for (let turn = 0; turn < times; turn++) faults.push({ path, fault }); },
    clearFaults() { faults.length = 0; },
    push(body) { queue.push(body); void deliver(); },
    pending: () => queue.length,
    sign: (body, own = secret) => `sha256=${createHmac("sha256", own).update(body).digest("hex")}`,
    post: (body, headers) => fetch(webhook ?? "http://127.0.0.1:9", { method: "POST", headers: { "content-type": "application/json", ...(headers ?? { "x-hub-signature-256": stub.sign(body) }) }, body }),
    keep(id, file) { uploads.set(id, file); },
    async close() {
      closed = true;
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => { server.close(resolve); });
    },
  };
  return stub;
}

/** A webhook with one message in it. */
export function messageBody(phone: string, message: Json, contact: Json = { wa_id: "15550002222", profile: { name: "Ada Lovelace" } }): Json {
  return changeBody(phone, "messages", { contacts: [contact], messages: [message] });
}
export function statusBody(phone: string, status: Json): Json {
  return changeBody(phone, "messages", { statuses: [status] });
}
export function changeBody(phone: string, field: string, value: Json): Json {
  return { object: "whatsapp_business_account", entry: [{ id: "102290129340398", changes: [{ field, value: { messaging_product: "whatsapp", metadata: { display_phone_number: "15550783881", phone_number_id: phone }, ...value } }] }] };
}

/** What a reader sees first of a message. */
function textOf(body: Json): string {
  const part = (body[String(body["type"])] ?? {}) as { body?: string | { text?: string }; caption?: string; name?: string };
  return typeof part.body === "string" ? part.body : (part.body?.text ?? part.caption ?? part.name ?? "");
}

function reply(response: ServerResponse, status: number, body: Json, headers: Record<string, string> = {}): void {
  if (!response.destroyed) response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<{ body: Json; upload?: Upload }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  const type = request.headers["content-type"] ?? "";
  if (type.startsWith("application/json")) return { body: JSON.parse(bytes.toString()) as Json };
  if (!type.startsWith("multipart/form-data")) return { body: {} };
  const body: Json = {};
  let upload: Upload | undefined;
  const form = busboy({ headers: { "content-type": type }, defParamCharset: "utf8" });
  form.on("field", (name, value) => { body[name] = value; });
  form.on("file", (_, content, { filename, mimeType }) => {
    const parts: Buffer[] = [];
    content.on("data", (part: Buffer) => parts.push(part));
    content.on("end", () => { upload = { name: filename ?? "", mime: mimeType ?? "", bytes: Buffer.concat(parts) }; });
  });
  await new Promise<void>((resolve, reject) => {
    form.on("close", resolve);
    form.on("error", reject);
    Readable.from([bytes]).pipe(form);
  });
  return { body, ...(upload === undefined ? {} : { upload }) };
}
