/** WhatsApp's channel against its stub, for the contract suite and for tests of its own. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { whatsapp } from "../../engine/channels/whatsapp/whatsapp.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import type { ChannelRig, SendFault } from "../contracts/channel.ts";
import { type Fault, messageBody, startWhatsapp, type WhatsappStub } from "./whatsapp.ts";

export const ADA = "15550002222";
const FAULTS: Readonly<Partial<Record<SendFault, Fault>>> = {
  rate: { code: 130429, message: "(#130429) Rate limit hit", status: 429 },
  refused: { code: 131026, message: "(#131026) Message undeliverable" },
  server: { status: 502, body: "<html>Bad Gateway</html>" },
  reset: { reset: "after" },
};

export interface WhatsappRig extends ChannelRig {
  readonly stub: WhatsappStub;
  readonly fetch: Fetch;
  /** Address of the connection's webhook. */
  readonly webhookUrl: string;
}

export async function whatsappRig(settings: Record<string, unknown> = {}): Promise<WhatsappRig> {
  const stub = await startWhatsapp();
  const fetch = createFetch();
  let connection: Connection | undefined;
  let message = 1;
  const server = createServer((request, response) => void (async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? "/", "http://localhost");
    const answer = await connection?.webhook?.({ method: request.method ?? "", path: url.pathname, query: url.searchParams, headers: request.headers as Record<string, string>, body: Buffer.concat(chunks), remote: "127.0.0.1", signal: new AbortController().signal });
    // A closed account has no webhook: Meta comes again.
    response.writeHead(answer?.status ?? 503, answer?.headers ?? {}).end(answer?.body);
  })());
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  const webhookUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/whatsapp`;
  stub.webhook = webhookUrl;
  const account: Account = { id: "shop", channel: "whatsapp", name: "Shop", settings: { token: stub.token, phone: stub.phone, secret: stub.secret, key: stub.key, apiRoot: stub.url, ...settings } };
  return {
    channel: whatsapp, account, stub, fetch, webhookUrl,
    wrong: { ...account, settings: { ...account.settings, token: "EAAGwrongWRONGwrongWRONGwrongWRONG" } },
    away: { ...account, settings: { ...account.settings, apiRoot: "http://127.0.0.1:9/v26.0" } },
    secrets: [stub.token, stub.secret, stub.key, "EAAGwrongWRONGwrongWRONGwrongWRONG"],
    context: { fetch, webhookUrl },
    to: { channel: "whatsapp", account: "shop", chat: ADA, kind: "direct" },
    say(text) { stub.push(messageBody(stub.phone, { from: ADA, id: `wamid.in${message++}`, timestamp: String(Math.floor(Date.now() / 1000)), type: "text", text: { body: text } })); },
    shown: () => stub.shown.map(({ text }) => text),
    fail(fault) {
      const planted = FAULTS[fault];
      if (planted !== undefined) stub.fault("/messages", planted);
      return planted !== undefined;
    },
    serve(opened) {
      const close = opened.close.bind(opened);
      connection = opened;
      opened.close = async () => { if (connection === opened) connection = undefined; await close(); };
    },
    async close() {
      await new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
      await fetch.destroy();
      await stub.close();
    },
  };
}
