/** HTTP answers and the reading of request bodies. */
import { asClawError, ERRORS } from "../../errors.ts";
import { HttpFault } from "../../http-fault.ts";
import type { WebhookAnswer, WebhookRequest } from "../channel.ts";
import { type FaultAnswer, MAX_BODY_BYTES } from "./protocol.ts";

const SAFE = { "x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store", "cross-origin-resource-policy": "same-origin" };

export function json(data: unknown): WebhookAnswer {
  return { status: 200, headers: { ...SAFE, "content-type": "application/json; charset=utf-8" }, body: JSON.stringify(data) };
}
export function eventStream(body: AsyncIterable<string>): WebhookAnswer {
  return { status: 200, headers: { ...SAFE, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store, no-transform", "x-accel-buffering": "no" }, body };
}
/** What was thrown, in a form the page can show; what may pass says after how many seconds to come again. */
export function faultAnswer(thrown: unknown): WebhookAnswer {
  const error = asClawError(thrown, "STORE_001", "later");
  const status = error instanceof HttpFault ? error.status : error.code === "MSG_003" ? 413 : error.retry === "later" ? 503 : 400;
  const headers = error instanceof HttpFault ? error.headers : status === 503 ? { "retry-after": seconds(error.afterMs ?? 2_000) } : {};
  const fault: FaultAnswer = { error: { code: error.code, text: error.message, remedy: ERRORS[error.code].remedy } };
  return { ...json(fault), status, headers: { ...json(fault).headers, ...headers } };
}
export const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));

/** The fields of a JSON body. Callers pick the fields they know and copy no others. */
export function fields(request: WebhookRequest): ReadonlyMap<string, unknown> {
  if (request.body.byteLength > MAX_BODY_BYTES) throw new HttpFault(413, "MSG_003", `Expected at most ${MAX_BODY_BYTES} bytes, got ${request.body.byteLength}. Send a long text as a file.`);
  // This type cannot be sent by another site without being asked for first.
  if (!/^application\/json\b/i.test(request.headers["content-type"] ?? "")) throw new HttpFault(415, "MSG_001", "Expected the content type application/json.");
  let body: unknown;
  try {
    body = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(request.body));
  } catch {
    body = undefined;
  }
  if (typeof body !== "object" || body === null || Array.isArray(body)) throw new HttpFault(400, "MSG_001", "Expected a JSON object.");
  return new Map(Object.entries(body));
}
