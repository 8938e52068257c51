/** WhatsApp's channel against its stub, for the contract suite and for tests of its own. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { whatsapp } from "../../engine/channels/whatsapp/whatsapp.ts";
import { itemsOf } from "../../engine/channels/whatsapp/payload.ts";
import { toMessage } from "../../engine/channels/whatsapp/to-message.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import type { Message } from "../../engine/message.ts";
import type { ChannelRig, Refusal, Seen, SendFault } from "../contracts/channel.ts";
import { type Fault, type Json, messageBody, type Shown, startWhatsapp, type WhatsappStub } from "./whatsapp.ts";

export const ADA = "15550002222";
const FAULTS: Readonly<Partial<Record<SendFault, Fault>>> = {
  rate: { code: 130429, message: "(#130429) Rate limit hit", status: 429 },
  refused: { code: 131026, message: "(#131026) Message undeliverable" },
  server: { status: 502, body: "<html>Bad Gateway</html>" },
  reset: { reset: "after" },
};

const REFUSALS: Readonly<Record<Refusal, Fault>> = {
  gone: { code: 131026, message: "(#131026) Message undeliverable" },
  // Who blocks a business is told as one who cannot be reached.
  kicked: { code: 131026, message: "(#131026) Message undeliverable" },
  long: { code: 100, message: "(#100) Param text['body'] must be at most 4096 characters long." },
};

/** A send as a person sees it. */
function seenOf({ text, request }: Shown, stub: WhatsappStub): Seen {
  const part = request[String(request["type"])] as Json;
  const action = part["action"] as { buttons?: { reply: { title: string } }[]; parameters?: { display_text: string }; sections?: { rows: { title: string }[] }[] } | undefined;
  const header = part["header"] as Json | undefined;
  const media = [part, ...(header === undefined ? [] : [header[String(header["type"])] as Json])].flatMap(({ id }) => (typeof id === "string" ? (stub.uploads.get(id)?.bytes ?? []) : []));
  const contact = (part as unknown as { phones: { phone: string }[] }[])[0]?.phones[0]?.phone;
  return {
    text,
    buttons: [...(action?.buttons ?? []).map(({ reply }) => reply.title), ...(action?.parameters === undefined ? [] : [action.parameters.display_text])],
    choices: (action?.sections ?? []).flatMap(({ rows }) => rows.map(({ title }) => title)),
    files: media.map((bytes) => new Uint8Array(bytes)),
    ...(request["type"] === "location" ? { location: { latitude: Number(part["latitude"]), longitude: Number(part["longitude"]) } } : {}),
    ...(contact === undefined ? {} : { contact }),
  };
}

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
    refuse(how) { stub.fault("/messages", REFUSALS[how]); return true; },
    seen: () => stub.shown.map((each) => seenOf(each, stub)),
    read: (sample) => itemsOf((sample as { body: unknown }).body).map((item) => toMessage(item, { id: stub.phone, account: "shop", now: 1_790_000_000_000 })).filter((each): each is Message => each !== undefined),
    attach({ name, mime, bytes }) {
      stub.keep("1003383421387256", { name, mime, bytes: Buffer.from(bytes) });
      stub.push(messageBody(stub.phone, { from: ADA, id: `wamid.in${message++}`, timestamp: String(Math.floor(Date.now() / 1000)), type: "image", image: { id: "1003383421387256", mime_type: mime, sha256: "x" } }));
    },
    signed(words, how) {
      // The signature has no time in it.
      if (how === "stale") return undefined;
      const body = JSON.stringify(messageBody(stub.phone, { from: ADA, id: `wamid.signed${message++}`, timestamp: "1790000000", type: "text", text: { body: words } }));
      const headers: Record<string, string> = how === "missing" ? {} : { "x-hub-signature-256": stub.sign(body, how === "wrong" ? "another secret" : stub.secret) };
      return { method: "POST", path: "/", query: new URLSearchParams(), headers, body: Buffer.from(how === "tampered" ? body.replace(words, "something else") : body), remote: "127.0.0.1", signal: new AbortController().signal };
    },
    unsecured: { ...account, settings: { ...account.settings, secret: "" } },
    host: new URL(stub.url).host,
    call: { method: "GET {phone}/whatsapp_business_profile", parameters: { fields: "about" } },
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
