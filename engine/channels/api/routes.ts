/**
 * What clients may ask, below the account's address, with or without /v1:
 *
 *     GET  /v1/models  /v1/models/<name>
 *     POST /v1/chat/completions
 */
import { randomUUID } from "node:crypto";
import { asClawError } from "../../errors.ts";
import type { Attachment, Message } from "../../message.ts";
import { MESSAGE_CAPS } from "../../message-schema.ts";
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { parseJson } from "../json.ts";
import { ApiFault, chunk, completion, DONE, event, eventStream, faultAnswer, faultBody, json, modelOf, models, NOT_AGAIN, usageChunk } from "./answers.ts";
import { type ChatRequest, type GivenFile, readRequest } from "./request.ts";
import type { Talk, Talks } from "./talks.ts";
import { toMessage } from "./to-message.ts";
import { type Token, tokenOf } from "./tokens.ts";

export interface RoutesOptions {
  readonly account: string;
  readonly context: ChannelContext;
  readonly talks: Talks;
  readonly tokens: readonly Token[];
  readonly models: readonly string[];
  /** Clients may ask for any name. */
  readonly anyModel: boolean;
  readonly alone: boolean;
  /** Longest time until the answer is whole. */
  readonly waitMs: number;
  /** Pages of these origins may call it. */
  readonly origins: readonly string[];
  /** Unix seconds. */
  readonly since: number;
  readonly keepRaw: boolean;
}

const MAX_BODY = 20 * 1024 * 1024;
/** A stream begins after this at the latest; until then a fault still has a status of its own. */
const PATIENCE_MS = 10_000;
const BEAT_MS = 15_000;

export function createRoutes(options: RoutesOptions): (request: WebhookRequest) => Promise<WebhookAnswer> {
  const { account, context, talks, models: names, waitMs } = options;
  const { clock } = context;

  function knownModel(name: string): void {
    if (!options.anyModel && !names.includes(name)) throw new ApiFault("MSG_001", { status: 404, param: "model", word: "model_not_found" }, `Expected one of the models ${names.join(", ")}, got "${name.slice(0, 100)}".`);
  }

  async function chat(request: WebhookRequest, token: Token): Promise<WebhookAnswer> {
    if (request.body.byteLength > MAX_BODY) throw new ApiFault("MSG_003", { status: 413 }, `Expected at most ${MAX_BODY} bytes, got ${request.body.byteLength}.`);
    const asked = readRequest(request.body);
    knownModel(asked.model);
    const given = headerOf(request, "idempotency-key") ?? headerOf(request, "x-request-id");
    const talk = headerOf(request, "x-conversation-id");
    const asker = { account, token: token.name, key: given ?? randomUUID(), now: clock.now(), ...(talk === undefined ? {} : { talk }) };
    const plain = toMessage(asked, asker, options);
    if (context.listens?.(plain) === false) throw new ApiFault("MSG_004", { status: 503, word: "no_flow", headers: NOT_AGAIN }, "No flow takes messages of this account: put a channel in on the canvas, and deploy.");
    const attachments = await Promise.all(asked.files.map((file) => keepFile(file, request.signal)));
    const message = withRaw({ ...plain, attachments }, request.body);
    const answer = await talks.begin({ message, body: request.body, keyed: given !== undefined, head: { id: `chatcmpl-${randomUUID().replaceAll("-", "")}`, model: asked.model, created: Math.floor(clock.now() / 1000) }, signal: request.signal });
    return asked.stream ? streamed(answer, asked, request.signal) : whole(answer, request.signal);
  }
  async function keepFile(file: GivenFile, signal: AbortSignal): Promise<Attachment> {
    const { kind, mime, name } = file;
    if ("url" in file) return { kind, media: file.url, state: "remote" };
    const kept = await context.spool?.save(new Blob([new Uint8Array(file.bytes)]).stream(), { mime, ...(name === undefined ? {} : { name }) }, signal);
    if (kept === undefined) return { kind, media: "", mime, state: "failed", error: "the gateway keeps no files" };
    return { kind, media: `spool:${kept.id}`, mime: kept.mime, bytes: kept.bytes, state: "ready", ...(name === undefined ? {} : { name }) };
  }
  function withRaw(message: Message, body: Uint8Array): Message {
    return options.keepRaw && body.byteLength <= MESSAGE_CAPS.raw ? { ...message, raw: parseJson(body) } : message;
  }

  /** Waits until `enough`, the end, or `ms` have passed; throws where there is nothing to say then. */
  async function until(talk: Talk, enough: () => boolean, ms: number, signal: AbortSignal): Promise<void> {
    const deadline = clock.monotonic() + ms;
    while (!talk.ended && !enough()) {
      if (talk.fault !== undefined) throw talk.fault;
      if (talks.closed) throw new ApiFault("CONN_001", { status: 503, headers: { "retry-after": "1" } }, "The API is being restarted. Ask the very same again: what was done is not done twice.");
      const left = deadline - clock.monotonic();
      if (left <= 0 || (await talk.next(talk.version, left, signal)) === "gone") return;
    }
    if (talk.ended && talk.texts().length === 0) throw noAnswer(talk);
  }
  function late(): ApiFault { return new ApiFault("MODEL_010", { status: 504, word: "timeout", headers: NOT_AGAIN }, `Expected the flow to answer within ${waitMs / 1000} s. It goes on; ask the very same again to get its answer.`); }

  async function whole(talk: Talk, signal: AbortSignal): Promise<WebhookAnswer> {
    const done = talk.read();
    try {
      await until(talk, () => false, waitMs, signal);
      if (!talk.ended) throw late();
      return json(completion(talk.head, talk.texts().map(({ text }) => text).join("\n\n"), talk.usage));
    } finally {
      done();
    }
  }
  async function streamed(talk: Talk, { streamUsage }: ChatRequest, signal: AbortSignal): Promise<WebhookAnswer> {
    const done = talk.read();
    signal.addEventListener("abort", done, { once: true });
    try {
      await until(talk, () => talk.texts().length > 0, PATIENCE_MS, signal);
      return eventStream(events(talk, streamUsage, signal, done));
    } catch (error) {
      done();
      throw error;
    }
  }
  async function* events(talk: Talk, usage: boolean, signal: AbortSignal, done: () => void): AsyncGenerator<string> {
    const deadline = clock.monotonic() + waitMs;
    const sent = new Map<string, string>();
    try {
      yield chunk(talk.head, { role: "assistant", content: "" }, { usage });
      for (;;) {
        const seen = talk.version;
        const over = talk.ended;
        for (const { key, text } of talk.texts()) {
          const content = more(sent.get(key), text, sent.size > 0);
          sent.set(key, text);
          if (content !== "") yield chunk(talk.head, { content }, { usage });
        }
        if (over) break;
        if (talk.fault !== undefined) { noted(talk.fault); yield event(faultBody(talk.fault)); return; }
        const left = deadline - clock.monotonic();
        if (talks.closed || left <= 0) { yield event(faultBody(talks.closed ? new ApiFault("CONN_001", { status: 503 }, "The API is being restarted.") : late())); return; }
        const what = await talk.next(seen, Math.min(left, BEAT_MS), signal);
        if (what === "gone") return;
        if (what === "late") yield ": still at work\n\n";
      }
      if (sent.size === 0) { yield event(faultBody(noAnswer(talk))); return; }
      yield chunk(talk.head, {}, { end: true, usage });
      if (usage) yield usageChunk(talk.head, talk.usage);
      yield DONE;
    } finally {
      done();
    }
  }

  function noted(thrown: unknown): void {
    if (!(thrown instanceof ApiFault)) context.log("warn", asClawError(thrown, "CORE_001").message);
  }
  return async (request) => {
    const cors = corsOf(request, options.origins);
    const answer = await answerTo(request).catch((thrown: unknown) => { noted(thrown); return faultAnswer(thrown); });
    return { ...answer, headers: { ...answer.headers, ...cors } };
  };
  async function answerTo(request: WebhookRequest): Promise<WebhookAnswer> {
    const path = request.path.replace(/^\/v1(?=\/)/, "").replace(/\/+$/, "");
    if (request.method === "OPTIONS") return { status: 204 };
    const token = tokenOf(request.headers["authorization"], options.tokens);
    if (token === undefined) throw new ApiFault("SEC_001", { status: 401, word: "invalid_api_key" }, "Expected one of this account's tokens as Authorization: Bearer …, got none of them.");
    if (request.method === "GET" && path === "/models") return json(models(names, options.since));
    if (request.method === "GET" && path.startsWith("/models/")) {
      const name = decoded(path.slice("/models/".length));
      knownModel(name);
      return json(modelOf(name, options.since));
    }
    if (path === "/chat/completions") {
      if (request.method !== "POST") throw new ApiFault("MSG_001", { status: 405, headers: { allow: "POST" } }, `Expected POST, got ${request.method}.`);
      return chat(request, token);
    }
    throw new ApiFault("MSG_001", { status: 404, word: "unknown_url" }, `There is nothing at ${request.method} ${path.slice(0, 100)}. There are /v1/models and /v1/chat/completions.`);
  }
}

function noAnswer({ stale }: Talk): ApiFault {
  if (stale) return new ApiFault("MSG_001", { status: 422, word: "already_answered" }, "Expected a new Idempotency-Key: the request with this one was answered, and its answer is not kept any more.");
  return new ApiFault("MSG_004", { status: 500, word: "no_answer", headers: NOT_AGAIN }, "The flow ended without an answer. Node-RED's log or a Catch node says why.");
}

/** What a reader who has `before` of a text still needs. What was read cannot be taken back: a text that begins anew stands below. */
export function more(before: string | undefined, now: string, others: boolean): string {
  if (before === undefined) return now === "" ? "" : `${others ? "\n\n" : ""}${now}`;
  if (now.startsWith(before)) return now.slice(before.length);
  if (before.startsWith(now) && before.slice(now.length).trim() === "") return "";
  return now === "" ? "" : `\n\n${now}`;
}

function corsOf({ headers }: WebhookRequest, origins: readonly string[]): Record<string, string> {
  const origin = headers["origin"];
  if (origin === undefined || !origins.includes(origin)) return {};
  return { "access-control-allow-origin": origin, "access-control-allow-methods": "GET, POST, OPTIONS", "access-control-allow-headers": headers["access-control-request-headers"] ?? "authorization, content-type", "access-control-max-age": "600", vary: "Origin" };
}
function headerOf({ headers }: WebhookRequest, name: string): string | undefined {
  const value = headers[name]?.trim();
  return value === undefined || value === "" ? undefined : value.slice(0, 200);
}
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
