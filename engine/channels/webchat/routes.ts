/** What a page may ask. A visitor is known by a secret token in a header; the public id of a visitor is its hash. */
import { createHash } from "node:crypto";
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { ClawError, asClawError } from "../../errors.ts";
import { fileKind } from "../../media.ts";
import { MESSAGE_VERSION, type Address, type FileAttachment, type Message, type Sender } from "../../message.ts";
import type { Assets } from "./assets.ts";
import type { Push, RoomFile, Rooms } from "./rooms.ts";
import { createBuckets } from "./buckets.ts";
import { serverSentEvents } from "./sse.ts";

export interface RoutesOptions {
  readonly account: string;
  readonly context: ChannelContext;
  readonly rooms: Rooms;
  readonly assets: Assets;
  readonly page: { readonly title: string; readonly welcome: string; readonly suggestions: readonly string[]; readonly maxUploadBytes: number };
  readonly origins: readonly string[];
}

const MAX_TEXT = 1_048_576;
const PER_MINUTE = 30;
const ASSETS: Record<string, { name: "chat.html" | "chat.js" | "chat.css"; type: string }> = {
  "/": { name: "chat.html", type: "text/html; charset=utf-8" }, "/chat.js": { name: "chat.js", type: "text/javascript; charset=utf-8" }, "/chat.css": { name: "chat.css", type: "text/css; charset=utf-8" },
};

export function createRoutes(options: RoutesOptions): (request: WebhookRequest) => Promise<WebhookAnswer> {
  const { account, context, rooms } = options;
  const pass = createBuckets(context.clock, PER_MINUTE);
  const states = new Map<string, "open" | "refused">();

  const csp = `default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'${options.origins.map((origin) => ` ${origin}`).join("")}; require-trusted-types-for 'script'`;
  const safe = { "content-security-policy": csp, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-cache" };

  return async (request) => {
    try {
      const asset = request.method === "GET" || request.method === "HEAD" ? ASSETS[request.path] : undefined;
      if (asset !== undefined) {
        const bytes = await options.assets(asset.name);
        return bytes === undefined ? { status: 404, headers: safe, body: "The page was not built." } : { status: 200, headers: { ...safe, "content-type": asset.type }, body: bytes };
      }
      const visitor = visitorOf(request);
      if (request.method === "POST") checkOrigin(request, options.origins);
      if (request.method === "GET" && request.path === "/events") return events(request, visitor);
      if (request.method === "GET" && request.path.startsWith("/file/")) return await download(request.path.slice(6), visitor);
      if (request.method === "POST" && request.path === "/claim") return await claim(request, visitor);
      const waitMs = pass(visitor);
      if (waitMs > 0) return problem(429, "CONN_003", "Too many messages in a minute.", { "retry-after": String(Math.ceil(waitMs / 1000)) });
      if (request.method === "POST" && request.path === "/send") return await send(request, visitor);
      if (request.method === "POST" && request.path === "/press") return await press(request, visitor);
      if (request.method === "POST" && request.path === "/file") return await upload(request, visitor);
      return problem(404, "MSG_001", "There is nothing here.");
    } catch (thrown) {
      const error = asClawError(thrown, "MSG_002", "later");
      const status = thrown instanceof HttpFault ? thrown.status : error.code === "MSG_003" ? 413 : error.retry === "later" ? 503 : 400;
      return problem(status, error.code, error.message, status === 503 ? { "retry-after": String(Math.ceil((error.afterMs ?? 2_000) / 1000)) } : {});
    }
  };

  function events(request: WebhookRequest, visitor: string): WebhookAnswer {
    const after = Math.max(0, Math.floor(Number(request.query.get("after")) || 0));
    const body = serverSentEvents(request.signal, context.signal, async (push: Push) => {
      const held: [string, unknown][] = [];
      let live: Push = (event, data) => { held.push([event, data]); };
      const leave = rooms.join(visitor, (event, data) => live(event, data));
      const { page } = options;
      push("hello", { visitor, state: states.get(visitor) ?? "unknown", owner: await isOwner(visitor), title: page.title, welcome: page.welcome, suggestions: page.suggestions, maxUploadBytes: page.maxUploadBytes });
      const entries = await rooms.backlog(visitor, after);
      const seen = entries.at(-1)?.seq ?? after;
      for (const entry of entries) push("entry", entry);
      push("ready", {});
      // What came while the backlog was read follows it, once.
      for (const [event, data] of held) if (event !== "entry" || (data as { seq: number }).seq > seen) push(event, data);
      live = push;
      return leave;
    });
    return { status: 200, headers: { ...safe, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store", "x-accel-buffering": "no" }, body };
  }

  const at = (visitor: string): Address => ({ channel: "webchat", account, chat: visitor, kind: "direct" });
  async function sender(visitor: string): Promise<Sender> {
    const owner = await isOwner(visitor);
    return { id: visitor, name: owner ? "Owner" : `Visitor ${visitor.slice(0, 4)}`, bot: false, self: false };
  }
  async function isOwner(visitor: string): Promise<boolean> { return (await context.storage.get(`owner/${visitor}`)) === true; }

  async function take(visitor: string, message: Message, entry: Parameters<Rooms["hear"]>[1] | undefined): Promise<WebhookAnswer> {
    const received = entry === undefined ? await context.receive(message) : await rooms.hear(visitor, entry, () => context.receive(message));
    states.set(visitor, received === "refused" ? "refused" : "open");
    if (received === "refused") rooms.tell(visitor, "refused", {});
    return json(200, { state: received, ref: message.ref });
  }

  async function send(request: WebhookRequest, visitor: string): Promise<WebhookAnswer> {
    const body = fields(request);
    const clientId = idField(body.clientId);
    const text = typeof body.text === "string" ? body.text : "";
    const files = await filesOf(body.files, visitor);
    if (text.trim() === "" && files.length === 0) throw new HttpFault(400, "MSG_001", "Expected a text or a file, got neither.");
    const ref = `v-${clientId}`;
    const attachments: FileAttachment[] = files.map((file) => ({ kind: file.kind, media: `spool:${file.id}`, state: "ready", mime: file.mime, name: file.name, bytes: file.bytes }));
    const command = /^\/([A-Za-z][\w-]{0,31})(?:\s+([\s\S]*))?$/.exec(text.trim());
    const message: Message = {
      version: MESSAGE_VERSION, id: `${visitor}/${clientId}`, ref, kind: "message", at: at(visitor), sender: await sender(visitor), sentAt: context.clock.now(), text, attachments, addressed: true,
      ...(command === null ? {} : { action: { type: "command" as const, name: command[1] as string, args: command[2] ?? "" } }),
      ...(typeof body.replyTo === "string" ? { replyTo: body.replyTo.slice(0, 100) } : {}),
      ...languageOf(request),
    };
    return take(visitor, message, { ref, text, clientId, ...(files.length === 0 ? {} : { files }), ...(message.replyTo === undefined ? {} : { replyTo: message.replyTo }) });
  }

  async function press(request: WebhookRequest, visitor: string): Promise<WebhookAnswer> {
    const body = fields(request);
    const clientId = idField(body.clientId);
    const value = String(body.value ?? "").slice(0, 1000);
    const label = String(body.label ?? value).slice(0, 200);
    return take(visitor, {
      version: MESSAGE_VERSION, id: `${visitor}/${clientId}`, ref: String(body.ref ?? "").slice(0, 100), kind: "action", at: at(visitor), sender: await sender(visitor), sentAt: context.clock.now(), text: label,
      attachments: [], addressed: true, action: { type: "button", value, label }, ...languageOf(request),
    }, undefined);
  }

  async function claim(request: WebhookRequest, visitor: string): Promise<WebhookAnswer> {
    const waitMs = pass(`claim ${visitor}`);
    if (waitMs > 0) return problem(429, "CONN_003", "Too many tries.", { "retry-after": String(Math.ceil(waitMs / 1000)) });
    const code = String(fields(request).code ?? "").slice(0, 100);
    if (await isOwner(visitor)) return json(200, { owner: true });
    const owner = (await context.claim?.(code, { ...(await sender(visitor)), name: "Owner" }, at(visitor))) === true;
    if (owner) { await context.storage.set({ [`owner/${visitor}`]: true }); states.set(visitor, "open"); }
    return json(200, { owner });
  }

  async function upload(request: WebhookRequest, visitor: string): Promise<WebhookAnswer> {
    const { maxUploadBytes } = options.page;
    if (states.get(visitor) === "refused") return problem(403, "SEC_001", "The owner has not let you in yet.");
    if (request.body.byteLength === 0) throw new HttpFault(400, "MSG_001", "Expected the file's bytes as the body, got nothing.");
    if (request.body.byteLength > maxUploadBytes) return problem(413, "MSG_003", `Expected at most ${Math.floor(maxUploadBytes / 1_048_576)} MB.`);
    if (context.spool === undefined) return problem(503, "MSG_005", "This gateway keeps no files.");
    const name = (request.query.get("name") ?? "file").slice(0, 200);
    const kept = await context.spool.save(new Blob([request.body as Uint8Array<ArrayBuffer>]).stream(), { name, mime: request.headers["content-type"] ?? "" }, request.signal);
    const file: RoomFile = { id: kept.id, name, mime: kept.mime, bytes: kept.bytes, kind: fileKind(kept.mime) };
    await rooms.keepFile(file, visitor);
    return json(200, file);
  }

  async function download(id: string, visitor: string): Promise<WebhookAnswer> {
    const file = await rooms.file(id, visitor);
    const stream = file === undefined ? undefined : await context.spool?.open(file.id);
    if (file === undefined || stream === undefined) return problem(404, "MSG_002", "The file is not kept any more.");
    // Never opened as a page: whatever is inside, it is bytes.
    return { status: 200, headers: { "content-type": /^image\/(png|jpeg|gif|webp)$/.test(file.mime) ? file.mime : "application/octet-stream", "content-disposition": "attachment", "x-content-type-options": "nosniff", "content-security-policy": "sandbox; default-src 'none'", "cache-control": "private, max-age=3600" }, body: stream };
  }

  async function filesOf(given: unknown, visitor: string): Promise<RoomFile[]> {
    const ids = Array.isArray(given) ? given.slice(0, 10) : [];
    const files = await Promise.all(ids.map((id) => rooms.file(String(id), visitor)));
    if (files.some((file) => file === undefined)) throw new HttpFault(400, "MSG_001", "Expected files that were uploaded here before.");
    return files as RoomFile[];
  }
}

class HttpFault extends ClawError {
  readonly status: number;
  constructor(status: number, code: "MSG_001" | "MSG_003" | "SEC_001", text: string) { super(code, {}, text); this.status = status; }
}

/** The public id of the visitor: nobody can get back from it to the token. */
function visitorOf(request: WebhookRequest): string {
  const token = request.headers["x-visitor"] ?? "";
  if (!/^[A-Za-z0-9_-]{22,128}$/.test(token)) throw new HttpFault(401, "SEC_001", "Expected the header x-visitor with the page's token.");
  return createHash("sha256").update(token).digest("base64url").slice(0, 22);
}

function checkOrigin(request: WebhookRequest, allowed: readonly string[]): void {
  const { origin, host } = request.headers;
  const site = request.headers["sec-fetch-site"];
  if (origin === undefined && (site === undefined || site === "same-origin" || site === "none")) return;
  if (origin !== undefined && URL.canParse(origin) && (new URL(origin).host === host || allowed.includes(origin))) return;
  throw new HttpFault(403, "SEC_001", "Expected a request of this page, got one of another website.");
}

function fields(request: WebhookRequest): Record<string, unknown> {
  if (request.body.byteLength > MAX_TEXT) throw new HttpFault(413, "MSG_003", "Expected at most 1 MB.");
  try {
    const body: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(request.body));
    if (body !== null && typeof body === "object" && !Array.isArray(body)) return body as Record<string, unknown>;
  } catch {
    // Told below: what came was no JSON.
  }
  throw new HttpFault(400, "MSG_001", "Expected a JSON object.");
}

function idField(value: unknown): string {
  if (typeof value === "string" && /^[A-Za-z0-9_-]{8,64}$/.test(value)) return value;
  throw new HttpFault(400, "MSG_001", "Expected clientId to be 8 to 64 letters, digits, - or _.");
}

function languageOf(request: WebhookRequest): { language?: string } {
  const tag = /^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{2,8})*/.exec(request.headers["accept-language"] ?? "")?.[0];
  return tag === undefined ? {} : { language: tag };
}

const json = (status: number, data: unknown, headers: Record<string, string> = {}): WebhookAnswer => ({ status, headers: { "content-type": "application/json; charset=utf-8", "x-content-type-options": "nosniff", "cache-control": "no-store", ...headers }, body: JSON.stringify(data) });
const problem = (status: number, code: string, text: string, headers: Record<string, string> = {}): WebhookAnswer => json(status, { error: { code, text } }, headers);
