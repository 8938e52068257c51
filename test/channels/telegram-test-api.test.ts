/** The round trip against somebody else's idea of Telegram: telegram-test-api, which knows nine methods and no secrets. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import type { TelegramServer } from "telegram-test-api/lib/telegramServer.js";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { telegram } from "../../engine/channels/telegram/telegram.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { recordingContext, type RecordingContext } from "../contracts/channel.ts";
import { until } from "../kit/scripted.ts";

// CommonJS whose types say otherwise.
const Server = createRequire(import.meta.url)("telegram-test-api") as typeof TelegramServer;

const TOKEN = "123456789:AAHtestTESTtestTESTtestTESTtestTEST12";
const SECRET = "a-secret-of-our-own";

describe("Telegram's channel with telegram-test-api", function () {
  this.timeout(30_000);
  let server: TelegramServer;
  let root: string;
  let fetch: Fetch;
  let context: RecordingContext;
  let connection: Connection | undefined;
  let client: ReturnType<TelegramServer["getClient"]>;
  beforeEach(async () => {
    server = new Server({ port: await freePort(), host: "127.0.0.1" });
    await server.start();
    root = server.config.apiURL;
    client = server.getClient(TOKEN, { userId: 7001, chatId: 7001, firstName: "Ada", timeout: 10_000, interval: 20 });
    fetch = createFetch();
    context = recordingContext({ fetch });
  });
  afterEach(async () => {
    context.abort();
    await connection?.close();
    connection = undefined;
    await fetch.destroy();
    await server.stop();
  });
  const account = (settings: Record<string, unknown>): Account => ({ id: "home", channel: "telegram", name: "Home", settings: { token: TOKEN, apiRoot: root, ...settings } });

  /** A person writes and presses a button of the answer; the bot edits it. */
  async function roundTrip(opened: Connection): Promise<void> {
    const through = server.waitUserMessage();
    await client.sendMessage(client.makeMessage("hello"));
    await through;
    await until(() => context.received.length === 1, "the message");
    const [heard] = context.received;
    assert.deepEqual([heard?.text, heard?.sender.name, heard?.at.chat, heard?.at.kind, heard?.addressed], ["hello", "Ada", "7001", "direct", true]);
    const to = heard?.at ?? assert.fail();
    const ref = await opened.send(to, { text: "**Open** it?", buttons: [[{ label: "Yes", value: "y" }]], choices: { name: "door", options: [{ label: "Front", value: "f" }] } }, "k");
    const { result } = await client.getUpdates();
    const shown = result.at(-1);
    assert.ok(shown !== undefined && "text" in shown.message && "chat_id" in shown.message);
    assert.deepEqual([shown.message.text, String(shown.message.chat_id), String(shown.messageId)], ["<b>Open</b> it?", "7001", ref]);
    const keys = ((shown.message.reply_markup as unknown as { inline_keyboard: { text: string; callback_data: string }[][] }).inline_keyboard).flat();
    assert.deepEqual(keys.map(({ text }) => text), ["Yes", "Front"]);
    for (const { callback_data } of keys) {
      // This server gives the next update its number only when the one before is through.
      const through = server.waitUserMessage();
      await client.sendCallback(client.makeCallbackQuery(callback_data, { message: { message_id: Number(ref) } }));
      await through;
    }
    await until(() => context.received.length === 3, "both presses");
    assert.deepEqual(context.received.slice(1).map(({ action, ref: about }) => [action, about]), [[{ type: "button", value: "y" }, ref], [{ type: "choice", values: ["f"], name: "door" }, ref]]);
    await opened.edit?.(to, ref, { text: "It is open." });
    const history = await client.getUpdatesHistory();
    assert.ok(history?.some((update) => "message" in update && "text" in update.message && update.message.text === "It is open."), JSON.stringify(history));
    await opened.remove?.(to, ref);
  }

  it("talks by polling", async () => {
    connection = await telegram.open(account({ mode: "polling" }), context);
    assert.equal(connection.self.name, "@TestNameBot");
    await roundTrip(connection);
  });

  it("talks by webhook, with the secret that this server leaves out put in", async () => {
    const seen: number[] = [];
    const gateway = createServer((request, response) => void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const ask = (headers: Record<string, string>) => connection?.webhook?.({ method: request.method ?? "", path: "/", query: new URLSearchParams(), headers, body: Buffer.concat(chunks), remote: "127.0.0.1", signal: new AbortController().signal });
      seen.push((await ask({}))?.status ?? 0);
      response.writeHead((await ask({ "x-telegram-bot-api-secret-token": SECRET }))?.status ?? 503).end();
    })());
    await new Promise<void>((done) => { gateway.listen(0, "127.0.0.1", done); });
    try {
      context = recordingContext({ fetch, webhookUrl: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}/telegram` });
      connection = await telegram.open(account({ mode: "webhook", secret: SECRET }), context);
      await roundTrip(connection);
      assert.deepEqual([...new Set(seen)], [401], "without the secret nothing is taken");
    } finally {
      gateway.closeAllConnections();
      await new Promise((done) => { gateway.close(done); });
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => { server.close(done); });
  return port;
}
