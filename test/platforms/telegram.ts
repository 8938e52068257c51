/** A stub of Telegram's Bot API: a real HTTP server on loopback that logs, validates and answers what a bot sends, and hands it updates by polling or webhook. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Readable } from "node:stream";
import busboy from "busboy";
import { dataFolder, loadTelegramSpec, type TelegramSpec } from "../spec/telegram-schema.ts";
import { parseTelegramHtml } from "./telegram-html.ts";

type Json = Record<string, unknown>;
export interface Upload { readonly name: string | undefined; readonly bytes: Buffer }
/** One request as it came. `problems` is what the specification says against it. */
export interface Seen { readonly method: string; readonly payload: Json; readonly uploads: Readonly<Record<string, Upload>>; readonly type: string; readonly problems: readonly string[]; readonly at: number }
export type Fault =
  | { readonly code: number; readonly description: string; readonly parameters?: Json; readonly headers?: Record<string, string> }
  | { readonly status: number; readonly body: string; readonly headers?: Record<string, string> }
  | { readonly reset: "before" | "after" }
  | { readonly delayMs: number }
  /** Does what was asked, then says nothing. */
  | { readonly silent: true }
  /** Does what was asked and answers half of it: then the connection is cut, or stands still. */
  | { readonly half: "cut" | "stall" }
  /** Does what was asked and answers one byte at a time. */
  | { readonly byteMs: number };
export interface PushOptions { /** Update ids go on from here. */ readonly id?: number }
/** What the webhook of the bot answered. */
export interface Delivered { readonly update: number; readonly status: number; readonly retryAfter: string | undefined }

export interface TelegramStub {
  readonly url: string;
  readonly token: string;
  readonly me: { readonly id: number; readonly is_bot: true; readonly first_name: string; readonly username: string };
  readonly seen: readonly Seen[];
  readonly delivered: readonly Delivered[];
  /** Requests of one method, oldest first. */
  calls(method: string): Seen[];
  /** Everything the specification says against what came in, one line each. */
  problems(): string[];
  /** Hands an update to the bot, by whatever way it chose; resolves to its id. */
  push(update: Json, options?: PushOptions): number;
  /** Updates the bot did not confirm yet. */
  pending(): number[];
  /** The next `times` calls of a method go wrong. */
  fault(method: string, fault: Fault, times?: number): void;
  clearFaults(): void;
  /** A file that getFile and /file/ know. */
  keep(fileId: string, path: string, bytes: Uint8Array): void;
  readonly webhook: { url: string; secret: string | undefined };
  /** Cuts every connection that is open now. */
  drop(): void;
  /** Sends in a chat: their text as a reader sees it. */
  shown(chat: number | string): { id: number; text: string; method: string }[];
  /** What comes in the place of a chat that is not there any more. */
  readonly chats: Map<string, { description: string; code: number; parameters?: Json }>;
  close(): Promise<void>;
}

const FILE_FIELDS: Readonly<Record<string, string>> = { sendPhoto: "photo", sendVideo: "video", sendAnimation: "animation", sendAudio: "audio", sendVoice: "voice", sendDocument: "document", sendSticker: "sticker" };
/** Text parameters and the one that says how they are marked up. */
const MARKED: Readonly<Record<string, string>> = { text: "parse_mode", caption: "parse_mode", description: "description_parse_mode" };

class Refusal extends Error {
  readonly code: number;
  readonly parameters: Json | undefined;
  constructor(code: number, description: string, parameters?: Json) { super(description); this.code = code; this.parameters = parameters; }
}

export async function startTelegram(options: { token?: string; retryMs?: number } = {}): Promise<TelegramStub> {
  const { token = "123456789:AAHtestTESTtestTESTtestTESTtestTEST12", retryMs = 20 } = options;
  const me = { id: Number(token.split(":")[0]), is_bot: true, first_name: "Claw", username: "claw_test_bot" } as const;
  const folder = dataFolder("specs", "telegram");
  const spec: TelegramSpec | undefined = folder === undefined ? undefined : loadTelegramSpec(folder);
  const seen: Seen[] = [];
  const delivered: Delivered[] = [];
  const faults = new Map<string, Fault[]>();
  const queue: { update_id: number; [field: string]: unknown }[] = [];
  const messages = new Map<string, Map<number, { id: number; text: string; method: string; markup: string }>>();
  const files = new Map<string, { path: string; bytes: Uint8Array }>();
  const chats: TelegramStub["chats"] = new Map();
  /** Inline queries that wait for their one answer. */
  const queries = new Set<string>();
  const webhook: { url: string; secret: string | undefined } = { url: "", secret: undefined };
  const sockets = new Set<Socket>();
  let nextUpdate = 1000;
  let nextMessage = 100;
  let poller: { end(updates: unknown[] | Refusal): void; timer: NodeJS.Timeout } | undefined;
  let delivering = false;
  let closed = false;

  const server = createServer((request, response) => void serve(request, response).catch((error: unknown) => {
    if (!response.headersSent) reply(response, 500, { ok: false, error_code: 500, description: `Internal Server Error: ${String(error)}` });
  }));
  server.on("connection", (socket) => { sockets.add(socket); socket.on("close", () => sockets.delete(socket)); });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, bot = "", rest = ""] = /^\/((?:file\/)?bot[^/]*)\/(.*)$/.exec(request.url ?? "") ?? [];
    if (bot === `file/bot${token}`) return serveFile(decodeURIComponent(rest), response);
    const { payload, uploads } = await readBody(request);
    if (bot !== `bot${token}`) return reply(response, /^bot\d+:.{20,}$/.test(bot) ? 401 : 404, { ok: false, error_code: /^bot\d+:.{20,}$/.test(bot) ? 401 : 404, description: /^bot\d+:.{20,}$/.test(bot) ? "Unauthorized" : "Not Found" });
    const readable = asRead(payload);
    const problems = spec?.request(rest, readable.payload) ?? [];
    seen.push({ method: rest, payload, uploads, type: String(request.headers["content-type"] ?? ""), problems, at: Date.now() });

    const fault = faults.get(rest)?.shift();
    if (fault !== undefined) {
      if ("reset" in fault && fault.reset === "before") return void request.socket.destroy();
      if ("delayMs" in fault) await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
      if ("status" in fault) return void response.writeHead(fault.status, { "content-type": "text/html", ...fault.headers }).end(fault.body);
      if ("code" in fault) return reply(response, fault.code, { ok: false, error_code: fault.code, description: fault.description, ...(fault.parameters === undefined ? {} : { parameters: fault.parameters }) }, fault.headers);
    }
    try {
      if (readable.error !== undefined) throw new Refusal(400, `Bad Request: can't parse entities: ${readable.error}`);
      if (problems.length > 0) throw new Refusal(400, `Bad Request: ${problems.join("; ")}`);
      const result = await act(rest, payload, readable.payload, uploads, request, response);
      if (fault !== undefined && ("silent" in fault || "reset" in fault)) return void request.socket.destroy();
      if (fault !== undefined && ("half" in fault || "byteMs" in fault)) return await limp(response, JSON.stringify({ ok: true, result }), fault);
      reply(response, 200, { ok: true, result });
    } catch (thrown) {
      if (!(thrown instanceof Refusal)) throw thrown;
      reply(response, thrown.code, { ok: false, error_code: thrown.code, description: thrown.message, ...(thrown.parameters === undefined ? {} : { parameters: thrown.parameters }) });
    }
  }

  async function act(method: string, payload: Json, shown: Json, uploads: Seen["uploads"], request: IncomingMessage, response: ServerResponse): Promise<unknown> {
    const gone = chats.get(String(payload.chat_id));
    if (gone !== undefined) throw new Refusal(gone.code, gone.description, gone.parameters);
    switch (method) {
      case "getMe": return { ...me, can_join_groups: true, can_read_all_group_messages: false, supports_inline_queries: false };
      case "getUpdates": return getUpdates(payload, request, response);
      case "setWebhook":
        Object.assign(webhook, { url: payload.url, secret: payload.secret_token });
        void deliver();
        return true;
      case "deleteWebhook":
        Object.assign(webhook, { url: "", secret: undefined });
        return true;
      case "getWebhookInfo": return { url: webhook.url, has_custom_certificate: false, pending_update_count: queue.length };
      case "getFile": {
        const file = files.get(String(payload.file_id));
        if (file === undefined) throw new Refusal(400, "Bad Request: invalid file_id");
        return { file_id: payload.file_id, file_unique_id: "u", file_size: file.bytes.length, file_path: file.path };
      }
      case "editMessageText":
      case "editMessageCaption": return edit(method, payload, shown);
      case "deleteMessage":
        if (messages.get(String(payload.chat_id))?.delete(Number(payload.message_id)) !== true) throw new Refusal(400, "Bad Request: message to delete not found");
        return true;
      case "sendMediaGroup": return (payload.media as Json[]).map((media) => sent(method, payload, { ...media, caption: media.caption }, uploads));
      case "answerInlineQuery":
        if (!queries.delete(String(payload.inline_query_id))) throw new Refusal(400, "Bad Request: query is too old and response timeout expired or query ID is invalid");
        return true;
      case "setMessageReaction": case "sendChatAction": case "answerCallbackQuery": case "setMyCommands": case "deleteMyCommands": return true;
      case "sendMessageDraft":
        if (Number(payload.chat_id) < 0) throw new Refusal(400, "Bad Request: TEXTDRAFT_PEER_INVALID");
        return true;
      default:
        if (method.startsWith("send")) return sent(method, payload, shown, uploads);
        // Administration of groups: it says yes, and the log is the judge.
        if (spec?.methods.includes(method) === true) return true;
        throw new Refusal(404, "Not Found: method not found");
    }
  }

  function sent(method: string, payload: Json, shown: Json, uploads: Seen["uploads"]): unknown {
    const field = FILE_FIELDS[method];
    for (const value of [field === undefined ? undefined : payload[field], shown.media]) {
      if (typeof value === "string" && value.startsWith("attach://") && uploads[value.slice("attach://".length)] === undefined) throw new Refusal(400, "Bad Request: wrong file identifier/HTTP URL specified");
    }
    const reply_to = payload.reply_parameters as { message_id: number; allow_sending_without_reply?: boolean } | undefined;
    const chat = String(payload.chat_id);
    const own = messages.get(chat) ?? new Map();
    messages.set(chat, own);
    if (reply_to !== undefined && reply_to.allow_sending_without_reply !== true && !own.has(reply_to.message_id)) throw new Refusal(400, "Bad Request: message to be replied not found");
    if (method === "sendMessage" && String(shown.text).trim() === "") throw new Refusal(400, "Bad Request: message text is empty");
    const id = nextMessage++;
    const text = String(shown.text ?? shown.caption ?? shown.question ?? "");
    own.set(id, { id, text, method, markup: JSON.stringify(payload.reply_markup ?? null) });
    return { message_id: id, date: Math.floor(Date.now() / 1000), chat: { id: payload.chat_id, type: Number(payload.chat_id) < 0 ? "supergroup" : "private" }, from: me, text, ...(method === "sendPoll" ? { poll: { id: `poll-${id}` } } : {}) };
  }

  function edit(method: string, payload: Json, shown: Json): unknown {
    const message = messages.get(String(payload.chat_id))?.get(Number(payload.message_id));
    if (message === undefined) throw new Refusal(400, "Bad Request: message to edit not found");
    if (method === "editMessageText" && message.method !== "sendMessage") throw new Refusal(400, "Bad Request: there is no text in the message to edit");
    const text = String(shown.text ?? shown.caption ?? "");
    const markup = JSON.stringify(payload.reply_markup ?? null);
    if (text === message.text && markup === message.markup) throw new Refusal(400, "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message");
    Object.assign(message, { text, markup });
    return { message_id: message.id, date: 1, chat: { id: payload.chat_id, type: "private" }, text };
  }

  /** Holds an empty answer like Telegram; an `offset` confirms everything below it; a second poller ends the first with 409. */
  function getUpdates(payload: Json, request: IncomingMessage, response: ServerResponse): Promise<unknown[]> {
    if (webhook.url !== "") throw new Refusal(409, "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first");
    poller?.end(new Refusal(409, "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"));
    const { offset, limit = 100, timeout = 0 } = payload as { offset?: number; limit?: number; timeout?: number };
    while (offset !== undefined && queue[0] !== undefined && queue[0].update_id < offset) queue.shift();
    const batch = () => queue.slice(0, limit);
    if (queue.length > 0 || timeout === 0) return Promise.resolve(batch());
    return new Promise((resolve, reject) => {
      const own = {
        timer: setTimeout(() => own.end([]), timeout * 1000),
        end(result: unknown[] | Refusal) {
          clearTimeout(own.timer);
          if (poller === own) poller = undefined;
          if (result instanceof Refusal) reject(result);
          else resolve(result);
        },
      };
      poller = own;
      response.on("close", () => { if (poller === own) own.end([]); });
      void request;
    });
  }

  /** Posts what waits to the webhook, in order; anything but 2xx is tried again. */
  async function deliver(): Promise<void> {
    if (delivering) return;
    delivering = true;
    while (!closed && webhook.url !== "" && queue[0] !== undefined) {
      const update = queue[0];
      let status = 0;
      let retryAfter: string | undefined;
      try {
        const answer = await fetch(webhook.url, { method: "POST", headers: { "content-type": "application/json", ...(webhook.secret === undefined ? {} : { "x-telegram-bot-api-secret-token": webhook.secret }) }, body: JSON.stringify(update) });
        status = answer.status;
        retryAfter = answer.headers.get("retry-after") ?? undefined;
        await answer.arrayBuffer();
      } catch { /* the bot is away: comes again */ }
      delivered.push({ update: update.update_id, status, retryAfter });
      if (status >= 200 && status < 300) queue.shift();
      else await new Promise((resolve) => setTimeout(resolve, retryMs));
    }
    delivering = false;
  }

  function serveFile(path: string, response: ServerResponse): void {
    const file = [...files.values()].find((each) => each.path === path);
    if (file === undefined) return void reply(response, 404, { ok: false, error_code: 404, description: "Not Found" });
    response.writeHead(200, { "content-type": "application/octet-stream" }).end(file.bytes);
  }

  return {
    url, token, me, seen, delivered, webhook, chats,
    calls: (method) => seen.filter((each) => each.method === method),
    problems: () => seen.flatMap((each) => each.problems.map((problem) => `${each.method}: ${problem}`)),
    push(update, { id } = {}) {
      const update_id = id ?? (typeof update.update_id === "number" ? update.update_id : nextUpdate);
      nextUpdate = update_id + 1;
      queue.push({ ...update, update_id });
      if (update.inline_query !== undefined) queries.add(String((update.inline_query as Json).id));
      poller?.end(queue.slice(0, 100));
      if (webhook.url !== "") void deliver();
      return update_id;
    },
    pending: () => queue.map((update) => update.update_id),
    fault(method, fault, times = 1) { faults.set(method, [...(faults.get(method) ?? []), ...Array.from({ length: times }, () => fault)]); },
    clearFaults() { faults.clear(); },
    drop() { for (const socket of sockets) socket.destroy(); },
    keep(fileId, path, bytes) { files.set(fileId, { path, bytes }); },
    shown: (chat) => [...(messages.get(String(chat))?.values() ?? [])].map(({ id, text, method }) => ({ id, text, method })),
    async close() {
      closed = true;
      poller?.end([]);
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function limp(response: ServerResponse, body: string, fault: { readonly half: "cut" | "stall" } | { readonly byteMs: number }): Promise<void> {
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  for (const byte of "half" in fault ? [body.slice(0, body.length / 2)] : body) {
    await new Promise((resolve) => setTimeout(resolve, "half" in fault ? 0 : fault.byteMs));
    if (response.destroyed) return;
    response.write(byte);
  }
  if (!("half" in fault)) response.end();
  else if (fault.half === "cut") setTimeout(() => response.socket?.destroy(), 20);
}

function reply(response: ServerResponse, status: number, body: Json, headers: Record<string, string> = {}): void {
  if (response.destroyed) return;
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** The parameters with every marked-up text as its reader sees it: lengths count "after entities parsing". */
function asRead(payload: Json): { payload: Json; error?: string } {
  let error: string | undefined;
  const read = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(read);
    if (typeof value !== "object" || value === null) return value;
    const own = value as Json;
    return Object.fromEntries(Object.entries(own).map(([key, inner]) => {
      const mode = MARKED[key];
      if (mode === undefined || own[mode] !== "HTML" || typeof inner !== "string") return [key, read(inner)];
      const parsed = parseTelegramHtml(inner);
      if ("error" in parsed) error ??= parsed.error;
      return [key, "text" in parsed ? parsed.text : inner];
    }));
  };
  const result = read(payload) as Json;
  return { payload: result, ...(error === undefined ? {} : { error }) };
}

/** JSON, or multipart form data: there every value is text, and what is not plain text is JSON. */
async function readBody(request: IncomingMessage): Promise<{ payload: Json; uploads: Record<string, Upload> }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const type = request.headers["content-type"] ?? "";
  if (type.startsWith("application/json")) return { payload: JSON.parse(body.toString()) as Json, uploads: {} };
  if (!type.startsWith("multipart/form-data")) return { payload: {}, uploads: {} };
  const payload: Json = {};
  const uploads: Record<string, Upload> = {};
  const form = busboy({ headers: { "content-type": type }, defParamCharset: "utf8" });
  form.on("field", (name, value) => { payload[name] = fieldValue(name, value); });
  form.on("file", (name, content, { filename }) => {
    const parts: Buffer[] = [];
    content.on("data", (part: Buffer) => parts.push(part));
    content.on("end", () => { uploads[name] = { name: filename, bytes: Buffer.concat(parts) }; });
  });
  await new Promise<void>((resolve, reject) => {
    form.on("close", resolve);
    form.on("error", reject);
    Readable.from([body]).pipe(form);
  });
  return { payload, uploads };
}

const TEXT_FIELDS = new Set(["text", "caption", "question", "parse_mode", "photo", "video", "audio", "voice", "document", "sticker", "animation"]);
function fieldValue(name: string, value: string): unknown {
  if (TEXT_FIELDS.has(name) || (name === "chat_id" && value.startsWith("@"))) return value;
  try { return JSON.parse(value); } catch { return value; }
}
