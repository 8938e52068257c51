/** What Slack posts: the Events API as JSON, interactivity and slash commands as a form. All to one address. */
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { asClawError } from "../../errors.ts";
import { HMAC_FORMATS, verify } from "../../webhook/verify.ts";
import type { Take } from "./workspaces.ts";

/** Seconds until it may come again; Slack keeps its own times (at once, 1 min, 5 min). */
const RETRY_SECONDS = 5;
const WARN_EVERY_MS = 60_000;

export interface WebhookOptions {
  readonly secret: string;
  readonly context: Pick<ChannelContext, "clock" | "log">;
  /** Once aborted, nothing is taken any more. */
  readonly signal: AbortSignal;
  /** Resolves when it is on disk. */
  readonly take: Take;
}

export function createWebhook({ secret, context, signal, take }: WebhookOptions): (request: WebhookRequest) => Promise<WebhookAnswer> {
  let warnedAt = Number.NEGATIVE_INFINITY;
  function warn(text: string): void {
    const now = context.clock.monotonic();
    if (now - warnedAt <= WARN_EVERY_MS) return;
    warnedAt = now;
    context.log("warn", text);
  }
  return async (request) => {
    if (request.method !== "POST") return { status: 405, headers: { allow: "POST" } };
    const verdict = verify({ headers: request.headers, query: request.query, body: request.body, now: context.clock.now() }, { kind: "hmac", secret, format: HMAC_FORMATS.slack });
    if (!verdict.ok) {
      warn(`CONN_004: refused a request that Slack did not sign: ${verdict.why} If it was Slack, copy the signing secret again.`);
      return { status: 401 };
    }
    if (signal.aborted) return again();
    const body = parse(request.body, request.headers["content-type"] ?? "");
    if (body === undefined) return { status: 400 };
    const { type, challenge, ssl_check } = body as { type?: unknown; challenge?: unknown; ssl_check?: unknown };
    if (type === "url_verification") return { status: 200, headers: { "content-type": "text/plain; charset=utf-8" }, body: String(challenge ?? "") };
    if (type === "app_rate_limited") warn("CONN_003: Slack holds back events of this app: more than 30,000 within an hour.");
    if (ssl_check !== undefined || type === "app_rate_limited") return { status: 200 };
    try {
      await take(body);
      return { status: 200 };
    } catch (thrown) {
      return again(asClawError(thrown, "STORE_001", "later").afterMs);
    }
  };
}

function again(afterMs: number = RETRY_SECONDS * 1000): WebhookAnswer {
  return { status: 503, headers: { "retry-after": String(Math.max(1, Math.ceil(afterMs / 1000))) } };
}

/** A form holds its payload as JSON in one field, or is a slash command itself. */
function parse(bytes: Uint8Array, type: string): object | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  try {
    if (!type.startsWith("application/x-www-form-urlencoded")) return object(JSON.parse(text));
    const form = new URLSearchParams(text);
    const payload = form.get("payload");
    return payload === null ? Object.fromEntries([...form].filter(([name]) => name !== "__proto__")) : object(JSON.parse(payload));
  } catch {
    return undefined;
  }
}
function object(value: unknown): object | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
}
