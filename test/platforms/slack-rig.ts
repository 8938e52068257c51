/** Slack's channel against its stub, for the contract suite and for tests of its own. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { slack } from "../../engine/channels/slack/slack.ts";
import { createFetch, type Fetch } from "../../engine/http.ts";
import { createHmac } from "node:crypto";
import type { ChannelRig, Refusal, Seen, SendFault } from "../contracts/channel-rig.ts";
import { toMessage } from "../../engine/channels/slack/to-message.ts";
import { type Fault, type SlackStub, startSlack } from "./slack.ts";

export const ADA = "U00ADA00001";
export const DIRECT = "D00ADA00001";
export const CHANNEL = "C00FAKECHAN1";

const FAULTS: Readonly<Record<SendFault, Fault>> = {
  rate: { status: 429, body: "", headers: { "retry-after": "3" } },
  refused: { error: "channel_not_found" },
  server: { status: 503, body: "<html>Service Unavailable</html>" },
  reset: { reset: "after" },
  markup: { error: "invalid_blocks" },
};

const REFUSALS: Readonly<Record<Refusal, Fault>> = { gone: { error: "channel_not_found" }, kicked: { error: "not_in_channel" }, long: { error: "msg_too_long" } };

let serial = 0;
/** An event as Slack wraps it. */
export function envelope(event: Record<string, unknown>, more: Record<string, unknown> = {}, team = "T00FAKE00AA"): Record<string, unknown> {
  return {
    token: "xAbCdEfGhIjKlMnOpQrStUvW", team_id: team, context_team_id: team, context_enterprise_id: null, api_app_id: "A00FAKEAPP01", event, type: "event_callback", event_id: `Ev${String(++serial).padStart(8, "0")}`, event_time: 1_790_000_000,
    authorizations: [{ enterprise_id: null, team_id: team, user_id: "U00FAKEBOT01", is_bot: true, is_enterprise_install: false }], is_ext_shared_channel: false, ...more,
  };
}
/** What a person says, as an event. */
export function said(text: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  const ts = `1790000000.${String(++serial).padStart(6, "0")}`;
  return { type: "message", channel: DIRECT, channel_type: "im", user: ADA, text, ts, event_ts: ts, client_msg_id: `id-${serial}`, team: "T00FAKE00AA", ...more };
}

export interface SlackRig extends ChannelRig { readonly stub: SlackStub; readonly fetch: Fetch; readonly webhookUrl: string }

export async function slackRig(mode: "socket" | "events", settings: Record<string, unknown> = {}, given?: SlackStub): Promise<SlackRig> {
  const stub = given ?? await startSlack();
  stub.people.set(ADA, "Ada");
  const fetch = createFetch();
  let connection: Connection | undefined;
  const server = createServer((request, response) => void (async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? "/", "http://localhost");
    const answer = await connection?.webhook?.({ method: request.method ?? "", path: url.pathname, query: url.searchParams, headers: request.headers as Record<string, string>, body: Buffer.concat(chunks), remote: "127.0.0.1", signal: new AbortController().signal });
    response.writeHead(answer?.status ?? 503, answer?.headers ?? {}).end(answer?.body);
  })());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const webhookUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/slack`;
  const secrets = mode === "socket" ? { key: stub.appToken } : { secret: stub.signingSecret };
  const account: Account = { id: "home", channel: "slack", name: "Home bot", settings: { token: stub.team.token, mode, ...secrets, apiUrl: stub.apiUrl, ...settings } };
  return {
    channel: slack, account, stub, fetch, webhookUrl,
    wrong: { ...account, settings: { ...account.settings, token: "xoxb-999-888-canarywrong" } },
    away: { ...account, settings: { ...account.settings, apiUrl: "http://127.0.0.1:9/api/" } },
    secrets: [stub.team.token, "canarytoken", stub.appToken, "canaryapp", stub.signingSecret, "canarywrong"],
    context: { fetch, webhookUrl },
    to: { channel: "slack", account: "home", chat: DIRECT, space: "T00FAKE00AA", kind: "direct" },
    say(text) { stub.push(envelope(said(text))); },
    shown: () => stub.shown(DIRECT),
    fail(fault) { stub.fault("chat.postMessage", FAULTS[fault]); return true; },
    refuse(how) { stub.fault("chat.postMessage", REFUSALS[how]); return true; },
    seen: () => seenIn(stub),
    read: (sample) => toMessage(sample, { account: "home", userId: "U012BOT", botId: "B012BOT", teamId: "T012AB3CD", now: 1_790_000_000_000 }),
    attach({ name, mime, bytes }) {
      const id = `F${++serial}IN`;
      stub.keepFile(id, { name, mimetype: mime, bytes: Buffer.from(bytes) });
      stub.push(envelope(said("", { subtype: "file_share", files: [{ id, name, mimetype: mime, size: bytes.length, mode: "hosted", url_private: `${stub.url}/files-pri/${id}/${name}` }] })));
    },
    signed(words, how) {
      const body = JSON.stringify(envelope(said(words)));
      const at = Math.floor(Date.now() / 1000) - (how === "stale" ? 301 : 0);
      const signature = `v0=${createHmac("sha256", how === "wrong" ? "another secret" : stub.signingSecret).update(`v0:${at}:${body}`).digest("hex")}`;
      const headers: Record<string, string> = { "content-type": "application/json", ...(how === "missing" ? {} : { "x-slack-request-timestamp": String(at), "x-slack-signature": signature }) };
      return { method: "POST", path: "/", query: new URLSearchParams(), headers, body: Buffer.from(how === "tampered" ? body.replace(words, "something else") : body), remote: "127.0.0.1", signal: new AbortController().signal };
    },
    ...(mode === "events" ? { unsecured: { ...account, settings: { ...account.settings, secret: "" } } } : { drop: () => stub.cut() }),
    host: new URL(stub.url).host,
    call: { method: "users.info", parameters: { user: ADA } },
    serve(opened) {
      if (mode === "socket") return;
      const close = opened.close.bind(opened);
      connection = opened;
      stub.webhook = webhookUrl;
      opened.close = async () => { if (connection === opened) connection = undefined; await close(); };
    },
    async close() {
      await new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
      await fetch.destroy();
      if (given === undefined) await stub.close();
    },
  };
}

interface Block { readonly type?: string; readonly text?: { readonly text?: string }; readonly fields?: readonly { readonly text?: string }[]; readonly elements?: readonly { readonly type?: string; readonly text?: { readonly text?: string }; readonly options?: readonly { readonly text?: { readonly text?: string } }[] }[] }
/** The bot's messages in the direct chat, with their parts. */
function seenIn(stub: SlackStub): Seen[] {
  const texts = stub.shown(DIRECT);
  return stub.messages.filter((each) => each.channel === DIRECT && each.bot_id !== undefined).map((message, index) => {
    const blocks = [...(message.blocks ?? []), ...(message.attachments ?? []).flatMap((each) => (each.blocks ?? []) as Block[])] as Block[];
    const elements = blocks.flatMap(({ elements: all = [] }) => all);
    return {
      text: texts[index] ?? "",
      buttons: elements.filter(({ type }) => type === "button").map(({ text }) => text?.text ?? ""),
      choices: elements.flatMap(({ options = [] }) => options.map(({ text }) => text?.text ?? "")),
      cards: blocks.flatMap(({ text }) => /^\*([^*\n]+)\*/.exec(text?.text ?? "")?.[1] ?? []),
      files: (message.files ?? []).map(({ id }) => stub.files.get(String(id))?.bytes ?? Buffer.alloc(0)),
    };
  });
}
