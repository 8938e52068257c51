/** Telegram's channel against its stub, for the contract suite and for tests of its own. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Update } from "grammy/types";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { telegram } from "../../engine/channels/telegram/telegram.ts";
import { toMessage } from "../../engine/channels/telegram/to-message.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import type { ChannelRig, Refusal, Seen as SeenMessage, SendFault } from "../contracts/channel.ts";
import { startTelegram, type Fault, type Seen, type TelegramStub } from "./telegram.ts";

export const ADA = { id: 7001, is_bot: false, first_name: "Ada", last_name: "Lovelace", username: "ada", language_code: "en" } as const;
export const ADA_CHAT = { id: 7001, type: "private", first_name: "Ada", last_name: "Lovelace", username: "ada" } as const;

const SECRET = "x-telegram-bot-api-secret-token";
const FAULTS: Readonly<Record<SendFault, Fault>> = {
  rate: { code: 429, description: "Too Many Requests: retry after 3", parameters: { retry_after: 3 } },
  refused: { code: 403, description: "Forbidden: bot was blocked by the user" },
  server: { code: 502, description: "Bad Gateway" },
  reset: { reset: "after" },
  markup: { code: 400, description: "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 3" },
};

const REFUSALS: Readonly<Record<Refusal, Fault>> = {
  gone: { code: 400, description: "Bad Request: chat not found" },
  kicked: { code: 403, description: "Forbidden: bot was kicked from the supergroup chat" },
  long: { code: 400, description: "Bad Request: message is too long" },
};
/** What a person sees of a request that was carried out. */
const seenOf = ({ method, payload, uploads }: Seen): SeenMessage => {
  const keys = ((payload.reply_markup as { inline_keyboard?: { text: string; callback_data?: string }[][] } | undefined)?.inline_keyboard ?? []).flat();
  const isOption = ({ callback_data = "" }: { callback_data?: string }): boolean => /^~[ci]/.test(callback_data);
  const text = String(payload.text ?? payload.caption ?? "");
  return {
    text, buttons: keys.filter((key) => !isOption(key)).map(({ text }) => text), choices: keys.filter(isOption).map(({ text }) => text),
    // The title of a card is a line of its own, all bold.
    cards: [...text.matchAll(/^<b>([^<]+)<\/b>$/gm)].map(([, title = ""]) => title), files: Object.values(uploads).map(({ bytes }) => new Uint8Array(bytes)),
    ...(method === "sendPoll" ? { poll: { question: String(payload.question), options: (payload.options as { text: string }[]).map(({ text }) => text) } } : {}),
    ...(method === "sendLocation" || method === "sendVenue" ? { location: { latitude: Number(payload.latitude), longitude: Number(payload.longitude) } } : {}),
    ...(method === "sendContact" ? { contact: String(payload.phone_number) } : {}),
  };
};

export interface TelegramRig extends ChannelRig {
  readonly stub: TelegramStub;
  readonly fetch: Fetch;
  /** Address of the connection's webhook, once `serve` was called. */
  readonly webhookUrl: string;
  /** What Telegram would post. */
  post(body: string | object, headers?: Record<string, string>): Promise<Response>;
}

export async function telegramRig(mode: "polling" | "webhook", settings: Record<string, unknown> = {}): Promise<TelegramRig> {
  const stub = await startTelegram();
  const fetch = createFetch();
  let connection: Connection | undefined;
  let message = 1;
  const server = createServer((request, response) => void (async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? "/", "http://localhost");
    const answer = await connection?.webhook?.({ method: request.method ?? "", path: url.pathname, query: url.searchParams, headers: request.headers as Record<string, string>, body: Buffer.concat(chunks), remote: "127.0.0.1", signal: new AbortController().signal });
    // A closed account has no webhook: Telegram comes again.
    response.writeHead(answer?.status ?? 503, answer?.headers ?? {}).end(answer?.body);
  })());
  await listen(server);
  const webhookUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/telegram`;
  const account: Account = { id: "home", channel: "telegram", name: "Home bot", settings: { token: stub.token, mode, apiRoot: stub.url, ...settings } };
  return {
    channel: telegram, account, stub, fetch, webhookUrl,
    wrong: { ...account, settings: { ...account.settings, token: "987654321:AAHwrongWRONGwrongWRONGwrongWRONG" } },
    away: { ...account, settings: { ...account.settings, apiRoot: "http://127.0.0.1:9" } },
    secrets: [stub.token, stub.token.split(":")[1] as string, "AAHwrongWRONGwrongWRONGwrongWRONG"],
    context: { fetch, webhookUrl },
    to: { channel: "telegram", account: "home", chat: "7001", kind: "direct" },
    say(text) { stub.push({ message: { message_id: message++, date: 1_790_000_000, chat: ADA_CHAT, from: ADA, text } }); },
    shown: () => stub.shown(7001).map(({ text }) => text),
    fail(fault) { stub.fault("sendMessage", FAULTS[fault]); return true; },
    refuse(how) { stub.fault("sendMessage", REFUSALS[how]); return true; },
    seen: () => stub.seen.filter(({ method, problems }) => method.startsWith("send") && method !== "sendChatAction" && method !== "sendMessageDraft" && problems.length === 0).map(seenOf),
    read: (sample) => toMessage((sample as { update: Update }).update, { id: "42", username: "claw_test_bot", account: "tg", now: 1_790_000_000_000 }),
    attach({ name, mime, bytes }) {
      stub.keep("file-1", `documents/${name}`, bytes);
      stub.push({ message: { message_id: message++, date: 1_790_000_000, chat: ADA_CHAT, from: ADA, document: { file_id: "file-1", file_unique_id: "u1", file_name: name, mime_type: mime, file_size: bytes.length } } });
    },
    signed(text, how) {
      const secret = stub.webhook.secret ?? "";
      const token: Record<string, string> = how === "right" ? { [SECRET]: secret } : how === "wrong" ? { [SECRET]: `${secret.slice(0, -1)}_` } : {};
      // The secret stands beside the body and has no time: there is nothing to tamper with, and nothing to grow stale.
      if (how === "stale" || how === "tampered") return undefined;
      const body = { update_id: 900_001, message: { message_id: 900, date: 1_790_000_000, chat: ADA_CHAT, from: ADA, text } };
      return { method: "POST", path: "/", query: new URLSearchParams(), headers: { "content-type": "application/json", ...token }, body: new TextEncoder().encode(JSON.stringify(body)), remote: "127.0.0.1", signal: new AbortController().signal };
    },
    drop() { stub.drop(); },
    host: new URL(stub.url).host,
    call: { method: "setChatTitle", parameters: { chat_id: -1001000000001, title: "Ada's room" } },
    serve(opened) {
      const close = opened.close.bind(opened);
      connection = opened;
      opened.close = async () => { if (connection === opened) connection = undefined; await close(); };
    },
    post: (body, headers = {}) => globalThis.fetch(webhookUrl, { method: "POST", headers, body: typeof body === "string" ? body : JSON.stringify(body) }),
    async close() {
      await new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
      await fetch.destroy();
      await stub.close();
    },
  };
}

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
}
