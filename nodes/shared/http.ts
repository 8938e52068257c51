/**
 * HTTP for accounts and webhook nodes, below `<httpNodeRoot>/clawflow/`. Signatures are made over raw bytes, and with the default settings
 * Node-RED's admin app parses bodies before our route sees them: so a middleware at the very top of the root app takes the raw body, for our prefix only.
 */
import { Readable } from "node:stream";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { WebhookAnswer, WebhookRequest } from "../../engine/channels/channel.ts";
import { asClawError } from "../../engine/errors.ts";
import { HttpFault } from "../../engine/http-fault.ts";
import { createBodyReader } from "./raw-body.ts";
import type { Red } from "./red.ts";

export type Handler = (request: WebhookRequest) => Promise<WebhookAnswer>;
interface Incoming extends IncomingMessage { body?: unknown; _body?: boolean; originalUrl?: string; baseUrl?: string; ip?: string }

export interface HttpDoor {
  /** Answers everything at and below `path` ("home/chat"). Returns a problem when the path is taken. */
  open(path: string, handler: Handler): string | undefined;
  close(path: string, handler: Handler): void;
  /** Path of a door as a browser sees it, without the host. */
  url(path: string): string;
  readonly available: boolean;
  /** While the flows start or a deploy changes them, a door that is not there yet is "come again", not "not found". */
  starting(yes: boolean): void;
}

export function createHttp(red: Red): HttpDoor {
  const doors = new Map<string, Handler>();
  const nodeRoot = typeof red.settings.httpNodeRoot === "string" ? red.settings.httpNodeRoot.replace(/\/+$/, "") : "";
  const prefix = `${nodeRoot}/clawflow/`;
  const app = red.httpNode;
  let starting = true;
  const available = typeof app?.use === "function" && red.settings.httpNodeRoot !== false;
  if (available && app !== undefined) {
    const guarded = ["httpNodeAuth", "httpNodeMiddleware", "httpNodeCors"].some((name) => Boolean((red.settings as Record<string, unknown>)[name]));
    const ours = (url: string) => url.startsWith(prefix) && findDoor(doors, url.slice(prefix.length).split("?", 1)[0] ?? "") !== undefined;
    takeFirst(app, ours, createGuardWatch(red), guarded ? undefined : (req, res) => { void answer(doors, starting, (req.url ?? "").slice(prefix.length - 1), req, res); });
    app.use("/clawflow", (req: Incoming, res: ServerResponse) => { void answer(doors, starting, req.url ?? "/", req, res); });
  }
  return {
    available,
    starting(yes) { starting = yes; },
    open(path, handler) {
      if (!available) return "Expected Node-RED to answer HTTP requests for flows, but httpNodeRoot is false in settings.js: nothing can be received here.";
      const taken = doors.get(path);
      if (taken !== undefined && taken !== handler) return `Expected the path "${path}" to be free, but another node answers there. Choose another path.`;
      doors.set(path, handler);
      return undefined;
    },
    close(path, handler) { if (doors.get(path) === handler) doors.delete(path); },
    url: (path) => `${prefix}${path}`,
  };
}

/**
 * `direct`: answers at once, because this Node-RED sets nothing (authentication, middleware, CORS) that must come before a node's route;
 * the request then skips all that the admin app does to every request.
 */
function takeFirst(app: NonNullable<Red["httpNode"]>, ours: (url: string) => boolean, watch: (req: Incoming, res: ServerResponse) => void, direct: ((req: Incoming, res: ServerResponse) => void) | undefined): void {
  const readBody = createBodyReader();
  let root = app;
  while (root.parent !== undefined && root.parent !== null) root = root.parent;
  root.use((req: Incoming, res: ServerResponse, next: () => void) => {
    if (!ours(req.url ?? "")) return next();
    if (direct === undefined) watch(req, res);
    const go = direct === undefined ? next : () => direct(req, res);
    if (req.method === "GET" || req.method === "HEAD" || Buffer.isBuffer(req.body)) return go();
    readBody(req, res).then((body) => { req.body = body; req._body = true; go(); }, (error: Error) => {
      const { status, code, headers } = error instanceof HttpFault ? error : { status: 400, code: "MSG_001", headers: {} };
      res.writeHead(status, { "content-type": "application/json", connection: "close", ...headers });
      res.end(JSON.stringify({ error: { code, text: error.message } }));
    });
  });
  const stack = (root._router ?? root.router)?.stack;
  if (stack !== undefined) stack.unshift(stack.pop());
}

const WARN_EVERY_MS = 60_000;
/** Requests that came through all that stands before a node's route. */
const reached = new WeakSet<IncomingMessage>();

/** Says when settings.js turns away a platform's request before it comes to us: the platform cannot log in, and tells nobody. A browser asks for the password and comes again. */
function createGuardWatch(red: Red): (req: Incoming, res: ServerResponse) => void {
  let warnedAt = Number.NEGATIVE_INFINITY;
  return (req, res) => {
    if (req.method !== "POST") return;
    const path = (req.url ?? "").split("?", 1)[0];
    res.on("finish", () => {
      if (reached.has(req) || (res.statusCode !== 401 && res.statusCode !== 403) || performance.now() - warnedAt < WARN_EVERY_MS) return;
      warnedAt = performance.now();
      red.log.warn(`[clawflow] [CONN_004] Expected ${path} to be reachable, but httpNodeAuth or httpNodeMiddleware in settings.js answered ${res.statusCode} before ClawFlow saw the request. Chat platforms cannot log in: receive by polling, or let requests to this path pass there (ClawFlow checks each one's secret or signature itself).`);
    });
  };
}

/** `url`: the part below our prefix. */
async function answer(doors: ReadonlyMap<string, Handler>, starting: boolean, url: string, req: Incoming, res: ServerResponse): Promise<void> {
  const mark = url.indexOf("?");
  const path = (mark < 0 ? url : url.slice(0, mark)).replace(/^\/+/, "");
  const door = findDoor(doors, path);
  reached.add(req);
  // A body that came before its door was open has been taken by others: its bytes, and so its signature, are gone.
  const tooEarly = door === undefined ? starting : req.method !== "GET" && req.method !== "HEAD" && !Buffer.isBuffer(req.body);
  if (tooEarly) { res.writeHead(503, { "content-type": "text/plain; charset=utf-8", "retry-after": "1" }); res.end("Node-RED is starting"); return; }
  if (door === undefined) {
    // In words and in the form of OpenAI's API: of its clients one may have another gateway's address.
    res.writeHead(404, { "content-type": "application/json" });
    res.end(JSON.stringify({ error: { code: "MSG_001", type: "invalid_request_error", param: null, message: `Expected the address of a web chat, webhook or API that is deployed, got /clawflow/${path.slice(0, 100)}. It stands in the dialog of the account or node.` } }));
    return;
  }
  const gone = goneSignal(res);
  const rest = path.slice(door.path.length);
  // A page's relative addresses need the slash at the end of its own.
  if (rest === "" && req.method === "GET") { res.writeHead(308, { location: `${(req.originalUrl ?? req.url ?? "").split("?")[0]}/${mark < 0 ? "" : url.slice(mark)}` }); res.end(); return; }
  const headers: Record<string, string> = {};
  for (const name in req.headers) { const value = req.headers[name]; headers[name] = Array.isArray(value) ? value.join(", ") : (value ?? ""); }
  try {
    const got = await answerOf(door.handler, { method: req.method ?? "GET", path: rest === "" ? "/" : rest, query: new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1)), headers, body: Buffer.isBuffer(req.body) ? req.body : EMPTY, remote: req.socket.remoteAddress ?? "", get signal() { return gone(); } });
    res.statusCode = got.status;
    for (const name in got.headers) res.setHeader(name, got.headers[name] as string);
    if (got.body === undefined || typeof got.body === "string" || got.body instanceof Uint8Array) { res.end(got.body); return; }
    res.flushHeaders();
    const stream = Readable.from(got.body, { objectMode: true });
    stream.on("error", () => res.destroy());
    stream.pipe(res);
    gone().addEventListener("abort", () => stream.destroy());
  } catch {
    if (!res.headersSent) res.writeHead(500, { "content-type": "text/plain; charset=utf-8" });
    res.end("Internal error");
  }
}
const EMPTY = new Uint8Array(0);

/** What a door says, and, where it throws instead, whether the caller is to come again: a message that cannot be kept now is asked for once more. */
export async function answerOf(handler: Handler, request: WebhookRequest): Promise<WebhookAnswer> {
  try {
    return await handler(request);
  } catch (thrown) {
    const { code, retry, afterMs = 5_000 } = asClawError(thrown, "CORE_001");
    const status = code === "MSG_003" ? 413 : retry === "later" ? 503 : 500;
    return { status, headers: { "content-type": "application/json", ...(status === 503 ? { "retry-after": String(Math.max(1, Math.ceil(afterMs / 1000))) } : {}) }, body: JSON.stringify({ error: { code } }) };
  }
}

/** Aborts when the caller goes away before it has all of the answer; made for those who ask, few do. */
function goneSignal(res: ServerResponse): () => AbortSignal {
  let gone: AbortController | undefined;
  return () => {
    if (gone === undefined) {
      const made = new AbortController();
      gone = made;
      if (res.destroyed && !res.writableFinished) made.abort();
      else res.on("close", () => { if (!res.writableFinished) made.abort(); });
    }
    return gone.signal;
  };
}

/** The longest door that is the path or a parent of it. */
function findDoor(doors: ReadonlyMap<string, Handler>, path: string): { path: string; handler: Handler } | undefined {
  for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
    const handler = doors.get(path.slice(0, end));
    if (handler !== undefined) return { path: path.slice(0, end), handler };
  }
  return undefined;
}
