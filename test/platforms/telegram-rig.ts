/** Telegram's channel against its stub, for the contract suite and for tests of its own. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { telegram } from "../../engine/channels/telegram/telegram.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import type { ChannelRig, SendFault } from "../contracts/channel.ts";
import { startTelegram, type Fault, type TelegramStub } from "./telegram.ts";

export const ADA = { id: 7001, is_bot: false, first_name: "Ada", last_name: "Lovelace", username: "ada", language_code: "en" } as const;
export const ADA_CHAT = { id: 7001, type: "private", first_name: "Ada", last_name: "Lovelace", username: "ada" } as const;

const FAULTS: Readonly<Record<SendFault, Fault>> = {
  rate: { code: 429, description: "Too Many Requests: retry after 3", parameters: { retry_after: 3 } },
  refused: { code: 403, description: "Forbidden: bot was blocked by the user" },
  server: { code: 502, description: "Bad Gateway" },
  reset: { reset: "after" },
  markup: { code: 400, description: "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 3" },
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
