/** Updates that Telegram posts to us. */
import { createHmac } from "node:crypto";
import type { Update } from "grammy/types";
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { asClawError } from "../../errors.ts";
import { sameSecret } from "../../verify.ts";

const SECRET_HEADER = "x-telegram-bot-api-secret-token";
/** Seconds until Telegram comes again with what we could not save. */
const RETRY_SECONDS = 5;
const WARN_EVERY_MS = 60_000;

export interface WebhookOptions {
  readonly secret: string;
  readonly context: Pick<ChannelContext, "clock" | "log">;
  /** Once aborted, nothing is taken any more. */
  readonly signal: AbortSignal;
  /** Resolves when the update is on disk. */
  take(update: Update): Promise<void>;
}

/** The same for the same token and account, after a restart too; nobody without the token can know it. Made of characters Telegram allows in a secret. */
export function derivedSecret(token: string, account: string): string {
  return createHmac("sha256", token).update(`clawflow telegram webhook ${account}`).digest("base64url");
}

export function createWebhook({ secret, context, signal, take }: WebhookOptions): (request: WebhookRequest) => Promise<WebhookAnswer> {
  let warnedAt = Number.NEGATIVE_INFINITY;

  return async (request) => {
    if (request.method !== "POST") return { status: 405, headers: { allow: "POST" } };
    if (!sameSecret(request.headers[SECRET_HEADER], secret)) {
      const now = context.clock.monotonic();
      if (now - warnedAt > WARN_EVERY_MS) {
        warnedAt = now;
        context.log("warn", "CONN_004: refused a webhook request without the right secret token. If it was Telegram, deploy again so that the webhook is set anew.");
      }
      return { status: 401 };
    }
    if (signal.aborted) return again();
    const update = parse(request.body);
    if (update === undefined) return { status: 400 };
    try {
      await take(update);
      return { status: 200 };
    } catch (thrown) {
      const { afterMs } = asClawError(thrown, "STORE_001", "later");
      return again(afterMs);
    }
  };
}

function again(afterMs: number = RETRY_SECONDS * 1000): WebhookAnswer {
  return { status: 503, headers: { "retry-after": String(Math.max(1, Math.ceil(afterMs / 1000))) } };
}

function parse(body: Uint8Array): Update | undefined {
  try {
    const value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8")) as Update | null;
    return typeof value === "object" && Number.isSafeInteger(value?.update_id) ? (value as Update) : undefined;
  } catch {
    return undefined;
  }
}
