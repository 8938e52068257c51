/** Answers in the shapes of OpenAI's API (platform.openai.com/docs/api-reference/chat). */
import { asClawError, ClawError, ERRORS, type ErrorCode } from "../../errors.ts";
import type { WebhookAnswer } from "../channel.ts";

/** A fault as OpenAI's clients read it. `word`: `error.code`. */
export interface About { readonly status: number; readonly type?: string; readonly param?: string; readonly word?: string; readonly headers?: Readonly<Record<string, string>> }
export class ApiFault extends ClawError {
  readonly about: About;
  constructor(code: ErrorCode, about: About, text: string) {
    super(code, {}, text);
    this.about = about;
  }
}
export interface Usage { readonly input: number; readonly output: number }
/** What all parts of one answer have in common. `created`: Unix seconds. */
export interface Head { readonly id: string; readonly model: string; readonly created: number }

const SAFE = { "x-content-type-options": "nosniff", "cache-control": "no-store" };
/** The official clients ask again by themselves after 5xx, 409 and 429, unless this says no: what a flow has done it is not to do twice. */
export const NOT_AGAIN = { "x-should-retry": "false" };

export function json(data: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): WebhookAnswer {
  return { status, headers: { ...SAFE, "content-type": "application/json; charset=utf-8", ...headers }, body: JSON.stringify(data) };
}
export function eventStream(body: AsyncIterable<string>): WebhookAnswer {
  return { status: 200, headers: { ...SAFE, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store, no-transform", "x-accel-buffering": "no" }, body };
}
const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));

/** Whatever was thrown, as an answer: a full inbox is 429, a store that is away 503. */
export function faultAnswer(thrown: unknown): WebhookAnswer {
  const { status, headers = {} } = aboutOf(thrown);
  return json(faultBody(thrown), status, headers);
}
export function faultBody(thrown: unknown): { readonly error: object } {
  const { status, type, param, word } = aboutOf(thrown);
  const { message, code } = asClawError(thrown, "CORE_001");
  // What went wrong inside is for the log, not for whoever asks.
  return { error: { message: thrown instanceof ApiFault ? message : `${ERRORS[code].title}.`, type: type ?? (status >= 500 ? "server_error" : "invalid_request_error"), param: param ?? null, code: word ?? code } };
}
function aboutOf(thrown: unknown): About {
  if (thrown instanceof ApiFault) return thrown.about;
  const { code, retry, afterMs = 2_000 } = asClawError(thrown, "CORE_001");
  if (code === "STORE_005") return { status: 429, type: "rate_limit_error", word: "inbox_full", headers: { "retry-after": seconds(afterMs) } };
  if (code === "MSG_003") return { status: 413 };
  return retry === "later" ? { status: 503, headers: { "retry-after": seconds(afterMs) } } : { status: 500 };
}

function usageOf({ input, output }: Usage): object {
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output };
}
export function completion({ id, model, created }: Head, text: string, usage: Usage): object {
  return { id, object: "chat.completion", created, model, choices: [{ index: 0, message: { role: "assistant", content: text, refusal: null }, logprobs: null, finish_reason: "stop" }], usage: usageOf(usage) };
}
/** One event of a stream. With `usage` asked for, every chunk but the last carries none. */
export function chunk({ id, model, created }: Head, delta: object, options: { readonly end?: boolean; readonly usage: boolean }): string {
  return event({ id, object: "chat.completion.chunk", created, model, choices: [{ index: 0, delta, logprobs: null, finish_reason: options.end === true ? "stop" : null }], ...(options.usage ? { usage: null } : {}) });
}
export function usageChunk({ id, model, created }: Head, usage: Usage): string {
  return event({ id, object: "chat.completion.chunk", created, model, choices: [], usage: usageOf(usage) });
}
export function event(data: unknown): string { return `data: ${JSON.stringify(data)}\n\n`; }
export const DONE = "data: [DONE]\n\n";
export function models(names: readonly string[], created: number): object {
  return { object: "list", data: names.map((name) => modelOf(name, created)) };
}
export function modelOf(id: string, created: number): object { return { id, object: "model", created, owned_by: "clawflow" }; }
