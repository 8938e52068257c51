/**
 * Interactions that Discord posts to us: signed with Ed25519 over timestamp and body. Their HTTP answer says only that they are ours now (202); what is
 * answered to the person goes to the callback, as with the gateway: only then is it known to have arrived before it is edited. A ping is answered here, its
 * callback does not work (github.com/discord/discord-api-docs/issues/7311).
 */
import type { APIInteraction } from "discord.js";
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { asClawError } from "../../errors.ts";
import { type Scheme, verify } from "../../webhook/verify.ts";
import { AUTOCOMPLETE, PING } from "./from-interaction.ts";
import { CALLBACK, type FirstAnswer } from "./interactions.ts";
import { isId } from "./limits.ts";

const WARN_EVERY_MS = 60_000;
const RETRY_SECONDS = 5;

export interface WebhookOptions {
  /** 64 hexadecimal digits. */
  readonly publicKey: string;
  readonly context: Pick<ChannelContext, "clock" | "log">;
  /** Once aborted, nothing is taken any more. */
  readonly signal: AbortSignal;
  /** Resolves when it is on disk. Throws when it could not be saved. */
  take(interaction: APIInteraction): Promise<void>;
}

export function createWebhook({ publicKey, context, signal, take }: WebhookOptions): (request: WebhookRequest) => Promise<WebhookAnswer> {
  let warnedAt = Number.NEGATIVE_INFINITY;
  const scheme: Scheme = { kind: "ed25519", publicKey, header: "x-signature-ed25519", timestamp: "x-signature-timestamp" };

  return async (request) => {
    if (request.method !== "POST") return { status: 405, headers: { allow: "POST" } };
    const verdict = verify({ headers: request.headers, query: request.query, body: request.body, now: context.clock.now() }, scheme);
    if (!verdict.ok) {
      const now = context.clock.monotonic();
      if (now - warnedAt > WARN_EVERY_MS) {
        warnedAt = now;
        context.log("warn", `${verdict.code}: refused a request to the interactions endpoint: ${verdict.why} Discord itself sends wrong signatures now and then, to see that they are refused.`);
      }
      return { status: 401 };
    }
    if (signal.aborted) return again();
    const interaction = parse(request.body);
    if (interaction === undefined) return { status: 400 };
    if (interaction.type === PING) return answered({ type: CALLBACK.pong });
    if (interaction.type === AUTOCOMPLETE) return answered({ type: CALLBACK.choices, data: { choices: [] } });
    try {
      await take(interaction);
      return { status: 202 };
    } catch (thrown) {
      return again(asClawError(thrown, "STORE_001", "later").afterMs);
    }
  };
}

function answered(answer: FirstAnswer): WebhookAnswer {
  return { status: 200, headers: { "content-type": "application/json" }, body: JSON.stringify(answer) };
}

function again(afterMs: number = RETRY_SECONDS * 1000): WebhookAnswer {
  return { status: 503, headers: { "retry-after": String(Math.max(1, Math.ceil(afterMs / 1000))) } };
}

function parse(body: Uint8Array): APIInteraction | undefined {
  try {
    const value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8")) as APIInteraction | null;
    return typeof value === "object" && value !== null && typeof value.type === "number" && (value.type === PING || isId(value.id)) ? value : undefined;
  } catch {
    return undefined;
  }
}
