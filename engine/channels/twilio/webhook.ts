/** Requests of Twilio to us: proven by their signature over address and form fields, answered with TwiML. */
import { verify } from "../../webhook/verify.ts";
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";

export type Fields = Readonly<Record<string, string>>;
const WARN_EVERY_MS = 60_000;
/** Names that would become something else on a plain object are no names of Twilio's. */
const NAME = /^[A-Za-z][A-Za-z0-9_]{0,63}$/;

/**
 * `take` gets what Twilio signed, once it is proven. Paths: "/" as configured at Twilio, others as this package names them in its own answers.
 * https://www.twilio.com/docs/usage/security#validating-requests
 */
export function createDoor({ token, context, take }: { readonly token: string; readonly context: ChannelContext; take(path: string, fields: Fields, query: URLSearchParams, signal: AbortSignal): Promise<WebhookAnswer> }) {
  let warnedAt = Number.NEGATIVE_INFINITY;
  return async (request: WebhookRequest): Promise<WebhookAnswer> => {
    if (request.method !== "POST") return { status: 405, headers: { allow: "POST" } };
    const url = addressOf(context.webhookUrl ?? "", request);
    const verdict = verify({ headers: request.headers, query: request.query, body: request.body, now: context.clock.now() }, { kind: "twilio", secret: token, url });
    if (!verdict.ok) {
      const now = context.clock.monotonic();
      if (now - warnedAt > WARN_EVERY_MS) {
        warnedAt = now;
        context.log("warn", `${verdict.code}: refused a webhook request. ${verdict.why} Expected the address at Twilio to be ${context.webhookUrl ?? "the gateway's public address"}.`);
      }
      return { status: 403 };
    }
    return take(request.path, fieldsOf(request.body), request.query, request.signal);
  };
}

/** The address as Twilio has it: our public one, with path and query of this request. */
function addressOf(webhookUrl: string, { path, query }: WebhookRequest): string {
  const base = webhookUrl.replace(/\/+$/, "");
  return `${path === "/" ? webhookUrl : `${base}${path}`}${query.size === 0 ? "" : `?${query}`}`;
}

function fieldsOf(body: Uint8Array): Fields {
  const fields: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8"))) if (NAME.test(name)) fields[name] = value;
  return fields;
}

export function twiml(inner: string): WebhookAnswer {
  return { status: 200, headers: { "content-type": "text/xml; charset=utf-8" }, body: `<?xml version="1.0" encoding="UTF-8"?><Response>${inner}</Response>` };
}
/** Twilio comes again where its number has a fallback address or the fault was one of the connection; everything else it reports in its console. */
export function comeAgain(afterMs = 5_000): WebhookAnswer {
  return { status: 503, headers: { "retry-after": String(Math.max(1, Math.ceil(afterMs / 1000))) } };
}
/** For text and attribute values. Control characters are not allowed in XML at all. */
export function xml(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "").toWellFormed().replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
