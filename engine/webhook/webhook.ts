/**
 * A verified HTTP endpoint: checks who sent it, reads the body, hands both on, and answers at once or with what the flow replies.
 * Nothing is confirmed before it is kept, and nothing that could be a secret is handed on.
 */
import { createHash, randomUUID } from "node:crypto";
import type { Received, WebhookAnswer, WebhookRequest } from "../channels/channel.ts";
import type { Clock } from "../clock.ts";
import { asClawError, ChannelError, ERRORS, type ErrorCode } from "../errors.ts";
import { sameSecret } from "../verify.ts";
import { type BodyFile, BodyError, type BodyOptions, parseBody } from "./body.ts";
import { createHolds, type Reply } from "./holds.ts";
import { type Scheme, verify } from "./verify.ts";

export type { Reply } from "./holds.ts";

export interface WebhookSettings {
  readonly scheme: Scheme;
  /** In capitals; POST alone when absent. */
  readonly methods?: readonly string[];
  /** `now`: when it is kept. `reply`: with the flow's reply, or 202 once `timeoutMs` have passed without one, or the endpoint is closed. */
  readonly answer: { readonly mode: "now"; readonly status?: 200 | 202 | 204 } | { readonly mode: "reply"; readonly timeoutMs: number };
  /** Field of the body that identifies the delivery, "event.id"; goes before what the sender's headers say. */
  readonly idField?: string;
  /** Requests per minute that pass verification; more get 429. */
  readonly perMinute?: number;
  /** Answers Meta's GET handshake (hub.mode, hub.verify_token, hub.challenge). */
  readonly verifyToken?: string;
  /** Bytes. */
  readonly maxBytes?: number;
  readonly maxFileBytes?: number;
}

/** What came in: plain data, safe to wire. */
export interface Inbound {
  /** The same when the sender sends it again; made up where the sender gives none. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  /** Without credentials, signatures and cookies. */
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string | string[]>>;
  readonly kind: string;
  readonly body: unknown;
  readonly files: readonly BodyFile[];
  /** Unix milliseconds. */
  readonly receivedAt: number;
}
export interface WebhookDeps {
  readonly clock: Clock;
  /** Resolves once it is on disk; tells a delivery it knows by its id. Throws with afterMs when it cannot be kept. */
  receive(inbound: Inbound): Promise<Received>;
  readonly keep?: NonNullable<BodyOptions["keep"]>;
  readonly discard?: NonNullable<BodyOptions["discard"]>;
  /** A request that was not taken: for counters and the node's status. */
  rejected?(status: number, code: ErrorCode, why: string): void;
  newId?(): string;
}
export interface Webhook {
  /** Never throws. */
  handle(request: WebhookRequest): Promise<WebhookAnswer>;
  /** Answers a request that is held. Throws ChannelError MSG_002, never to be tried again, where nobody waits for it any more. */
  reply(id: string, reply: Reply): void;
  /** Requests that wait for a reply. */
  readonly waiting: number;
  /** Lets everybody who waits go, with 202: what they brought is kept. */
  close(): void;
}

const SECRET_HEADER = /auth|cookie|token|secret|signature|passw|api-?key|credential|hmac|session|^x-forwarded|^x-real-ip|^forwarded|^via$/;
const SECRET_PARAMETER = /^(access_?)?token$|secret|signature|passw|api_?key|verify_token/i;
const LONGEST_HOLD_MS = 10 * 60_000;

export function createWebhook(settings: WebhookSettings, deps: WebhookDeps): Webhook {
  const { clock, newId = randomUUID } = deps;
  const { methods = ["POST"], answer } = settings;
  const holds = createHolds(clock);
  const pass = tokenBucket(clock, settings.perMinute);

  async function handle(request: WebhookRequest): Promise<WebhookAnswer> {
    try {
      return await take(request);
    } catch (thrown) {
      if (thrown instanceof BodyError) return refuse(thrown.status, thrown.code, thrown.message);
      const error = asClawError(thrown, "CORE_001");
      if (error.code === "MSG_003") return refuse(413, error.code, error.message);
      const later = error.retry === "later";
      return refuse(later ? 503 : 500, error.code, error.message, later ? { "retry-after": seconds(error.afterMs ?? 30_000) } : {});
    }
  }

  async function take(request: WebhookRequest): Promise<WebhookAnswer> {
    if (request.method === "GET" && settings.verifyToken !== undefined && request.query.has("hub.mode")) return shakeHands(request, settings.verifyToken);
    if (!methods.includes(request.method)) return refuse(405, "CONF_001", `Expected ${methods.join(" or ")}, got ${request.method}.`, { allow: methods.join(", ") });
    const most = Math.max(settings.maxBytes ?? 0, settings.maxFileBytes ?? 20_971_520);
    if (request.body.byteLength > most) return refuse(413, "MSG_003", `Expected a body of at most ${most} bytes.`);
    const verdict = verify({ headers: request.headers, query: request.query, body: request.body, now: clock.now() }, settings.scheme);
    if (!verdict.ok) return refuse(401, verdict.code, verdict.why);
    const waitMs = pass();
    if (waitMs > 0) return refuse(429, "CONN_003", "Too many requests.", { "retry-after": seconds(waitMs) });
    const { kind, data, files } = await parseBody(request.headers, request.body, {
      ...(settings.maxBytes === undefined ? {} : { maxBytes: settings.maxBytes }),
      ...(settings.maxFileBytes === undefined ? {} : { maxFileBytes: settings.maxFileBytes }),
      ...(deps.keep ? { keep: deps.keep } : {}), ...(deps.discard ? { discard: deps.discard } : {}),
    });
    // A field that was chosen stays the same when the sender signs anew for another try.
    const id = shortId(fieldOf(data, settings.idField) ?? verdict.id ?? request.headers["idempotency-key"] ?? newId());
    const inbound: Inbound = {
      id, kind, body: data, files, method: request.method, path: request.path, receivedAt: clock.now(),
      headers: safeHeaders(request.headers, settings.scheme), query: safeQuery(request.query),
    };
    if (answer.mode === "now") return outcome(await receive(inbound), id, answer.status ?? 202);
    return hold(inbound, request.signal, Math.min(answer.timeoutMs, LONGEST_HOLD_MS));
  }

  /** Files of what is not taken are not kept. */
  async function receive(inbound: Inbound): Promise<Received> {
    let received: Received | undefined;
    try {
      received = await deps.receive(inbound);
      return received;
    } finally {
      if (received !== "saved") for (const file of inbound.files) await deps.discard?.(file.id);
    }
  }

  async function hold(inbound: Inbound, gone: AbortSignal, timeoutMs: number): Promise<WebhookAnswer> {
    const { id } = inbound;
    const first = holds.saving(id);
    // The same delivery is on its way in already: it is known once that one is kept, and not before.
    if (first) {
      for (const file of inbound.files) await deps.discard?.(file.id);
      return outcome(await first === "saved" ? "duplicate" : await first, id, 200);
    }
    // Waits before it is kept: a fast flow replies before `receive` resolves.
    const held = holds.begin(id, timeoutMs, gone);
    held.keep(receive(inbound));
    let received: Received;
    try {
      received = await held.saved;
    } catch (error) {
      held.end("could not be kept");
      throw error;
    }
    if (received !== "saved") {
      held.end("was answered already");
      return outcome(received, id, 200);
    }
    const reply = await held.reply;
    // It is kept, and its run goes on after a restart: told to come again, a sender without ids would bring it as another.
    return reply === "late" || reply === "closed" ? outcome("saved", id, 202) : written(reply);
  }

  function refuse(status: number, code: ErrorCode, why: string, headers: Record<string, string> = {}): WebhookAnswer {
    deps.rejected?.(status, code, why);
    // Whoever has no valid signature is not told why: that is for the node's status.
    const message = status === 401 || status >= 500 ? ERRORS[code].title : why;
    return json(status, { error: code, message }, status === 401 && settings.scheme.kind === "basic" ? { ...headers, "www-authenticate": 'Basic realm="webhook"' } : headers);
  }

  function shakeHands({ query }: WebhookRequest, token: string): WebhookAnswer {
    const challenge = query.get("hub.challenge") ?? "";
    if (query.get("hub.mode") !== "subscribe" || !sameSecret(query.get("hub.verify_token") ?? "", token)) return refuse(403, token === "" ? "CONN_004" : "SEC_002", "The verify token is another.");
    return text(200, challenge.slice(0, 1000));
  }

  return {
    handle,
    reply(id, reply) {
      const why = holds.answer(id, reply);
      if (why !== undefined) throw new ChannelError("MSG_002", { retry: "no" }, `The HTTP request ${id} ${why}: the reply reaches nobody.`);
    },
    get waiting() { return holds.size; },
    close: () => holds.close(),
  };
}

function outcome(received: Received, id: string, status: number): WebhookAnswer {
  if (received === "refused") return json(403, { status: "refused", id });
  if (received === "duplicate") return json(200, { status: "duplicate", id });
  return status === 204 ? { status, headers: SAFE } : json(status, { status: "accepted", id });
}

const SAFE = { "cache-control": "no-store", "x-content-type-options": "nosniff" };
const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));
const json = (status: number, data: unknown, headers: Record<string, string> = {}): WebhookAnswer => ({ status, headers: { ...SAFE, "content-type": "application/json; charset=utf-8", ...headers }, body: JSON.stringify(data) });
const text = (status: number, body: string): WebhookAnswer => ({ status, headers: { ...SAFE, "content-type": "text/plain; charset=utf-8" }, body });

function written({ status = 200, type, ...reply }: Reply): WebhookAnswer {
  const right = Number.isInteger(status) && status >= 200 && status <= 599 ? status : 200;
  if (right === 204 || right === 304) return { status: right, headers: SAFE };
  const answer = "json" in reply ? json(right, reply.json ?? null) : text(right, reply.text);
  return type !== undefined && /^[\w.+-]+\/[\w.+-]+(; ?charset=[\w-]+)?$/.test(type) ? { ...answer, headers: { ...answer.headers, "content-type": type } } : answer;
}

/** Ids may be long or hold anything; they become a key. */
const shortId = (id: string): string => /^[\x21-\x7e]{1,200}$/.test(id) ? id : createHash("sha256").update(id).digest("hex");

/** The text or number at "a.b.0.c" in data that came from outside. */
function fieldOf(data: unknown, field: string | undefined): string | undefined {
  if (!field) return undefined;
  let found = data;
  for (const key of field.split(".")) {
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return (typeof found === "string" && found !== "") || typeof found === "number" ? String(found) : undefined;
}

function safeHeaders(headers: Readonly<Record<string, string>>, scheme: Scheme): Record<string, string> {
  const carrier = (scheme.kind === "hmac" ? scheme.format.header : "header" in scheme ? scheme.header : "").toLowerCase();
  const safe = Object.entries(headers).filter(([name, value]) => name !== "__proto__" && name !== carrier && !SECRET_HEADER.test(name) && typeof value === "string");
  return Object.fromEntries(safe.slice(0, 60).map(([name, value]) => [name, value.slice(0, 1000)]));
}

function safeQuery(query: URLSearchParams): Record<string, string | string[]> {
  const safe: Record<string, string | string[]> = {};
  const names = [...new Set(query.keys())].filter((name) => name !== "__proto__" && name !== "constructor" && !SECRET_PARAMETER.test(name));
  for (const name of names.slice(0, 200)) {
    const [first = "", ...more] = query.getAll(name);
    safe[name] = more.length === 0 ? first : [first, ...more];
  }
  return safe;
}

/** Milliseconds to wait, 0 when the request may pass. Holds a minute's worth at most. */
function tokenBucket(clock: Clock, perMinute: number | undefined): () => number {
  if (!perMinute || perMinute <= 0) return () => 0;
  let tokens = perMinute;
  let filledAt = clock.monotonic();
  return () => {
    const now = clock.monotonic();
    tokens = Math.min(perMinute, tokens + ((now - filledAt) * perMinute) / 60_000);
    filledAt = now;
    if (tokens < 1) return ((1 - tokens) * 60_000) / perMinute;
    tokens--;
    return 0;
  };
}
