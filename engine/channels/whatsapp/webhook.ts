/** Requests of Meta: the handshake that proves the address is ours, and signed POSTs. https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint */
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { asClawError } from "../../errors.ts";
import { sameSecret } from "../../verify.ts";
import { HMAC_FORMATS, verify } from "../../webhook/verify.ts";

/** Seconds until Meta comes again with what we could not save; it goes on for seven days. */
const RETRY_SECONDS = 5;
const WARN_EVERY_MS = 60_000;

export interface WebhookOptions {
  /** App secret. Empty: everything is refused. */
  readonly secret: string;
  /** Verify token of the handshake. Empty: it is refused. */
  readonly key: string;
  readonly context: Pick<ChannelContext, "clock" | "log">;
  /** Once aborted, nothing is taken any more. */
  readonly signal: AbortSignal;
  /** Resolves when all of it is on disk. */
  take(payload: unknown): Promise<void>;
}

export function createWebhook({ secret, key, context, signal, take }: WebhookOptions): (request: WebhookRequest) => Promise<WebhookAnswer> {
  let warnedAt = Number.NEGATIVE_INFINITY;
  function warn(text: string): void {
    const now = context.clock.monotonic();
    if (now - warnedAt <= WARN_EVERY_MS) return;
    warnedAt = now;
    context.log("warn", text);
  }

  return async (request) => {
    if (request.method === "GET") return handshake(request.query, key, warn);
    if (request.method !== "POST") return { status: 405, headers: { allow: "GET, POST" } };
    const verdict = verify({ headers: request.headers, query: request.query, body: request.body, now: context.clock.now() }, { kind: "hmac", secret, format: HMAC_FORMATS.meta });
    if (!verdict.ok) {
      warn(`${verdict.code}: refused a webhook request. ${verdict.why} Compare the app secret with the app's Basic settings.`);
      return { status: 401 };
    }
    if (signal.aborted) return again();
    const payload = parse(request.body);
    if (payload === undefined) return { status: 400 };
    try {
      await take(payload);
      return { status: 200 };
    } catch (thrown) {
      return again(asClawError(thrown, "STORE_001", "later").afterMs);
    }
  };
}

/** The challenge goes back as plain text: whoever knows the token chose its words. */
function handshake(query: URLSearchParams, key: string, warn: (text: string) => void): WebhookAnswer {
  const challenge = query.get("hub.challenge");
  if (query.get("hub.mode") === "subscribe" && challenge !== null && challenge.length <= 1_000 && sameSecret(query.get("hub.verify_token") ?? undefined, key)) {
    return { status: 200, headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" }, body: challenge };
  }
  warn("CONN_004: refused a handshake of the webhook. Enter the account's verify token in the app's Configuration of webhooks.");
  return { status: 403 };
}

function again(afterMs: number = RETRY_SECONDS * 1000): WebhookAnswer {
  return { status: 503, headers: { "retry-after": String(Math.max(1, Math.ceil(afterMs / 1000))) } };
}

function parse(body: Uint8Array): unknown {
  try {
    const value: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"));
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
