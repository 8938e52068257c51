/** Webhooks that only send: a post of the platform's own is all there is of them. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { discordWebhook } from "../../../engine/channels/discord-webhook/discord-webhook.ts";
import { slackWebhook } from "../../../engine/channels/slack-webhook/slack-webhook.ts";
import type { SendFault } from "../../contracts/channel-rig.ts";
import { startDiscord } from "../../platforms/discord.ts";
import { FAULTS, REFUSALS } from "../../platforms/discord-rig.ts";
import type { Side } from "./sides.ts";

const ONLY = { seed: [], brings: "until confirmed", hook: false, sendsOnly: true, say() { throw new Error("nothing comes in"); } } as const;

export async function discordAlerts(): Promise<Side> {
  const [id, token, wrong] = ["1420000000000000301", "webhook-token-of-the-fault-tests", "webhook-token-that-was-deleted"];
  const POST = "/webhooks/{webhook_id}/{webhook_token}";
  const stub = await startDiscord();
  stub.kill(wrong);
  const account = (secret: string) => ({ id: "alerts", channel: "discord-webhook", name: "Alerts", settings: { secret: `${stub.url}/webhooks/${id}/${secret}` } });
  const plant = (fault: (typeof FAULTS)[SendFault]) => { if (fault !== undefined) stub.fault("POST", POST, fault); return fault !== undefined; };
  return {
    ...ONLY, channel: discordWebhook, account: account(token), wrong: account(wrong), to: { channel: "discord-webhook", account: "alerts", chat: "alerts", kind: "group" }, remarks: [],
    shown: () => stub.hooked(token).map(({ content }) => content),
    fail: (fault) => plant(FAULTS[fault]),
    refuse: () => plant(REFUSALS.long),
    resetBefore() { plant({ reset: "before" }); },
    problems: () => stub.problems(),
    close: () => stub.close(),
  };
}

/** api.slack.com/messaging/webhooks: it says "ok", or one word with a status. */
export async function slackAlerts(): Promise<Side> {
  const path = "/services/T0TEAM/B0HOOK/";
  const shown: string[] = [];
  let next: { readonly reset: "before" | "after" } | { readonly status: number; readonly says: string; readonly headers?: Record<string, string> } | undefined;
  const server = createServer((request, response) => void (async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { text } = JSON.parse(String(Buffer.concat(chunks))) as { text?: string };
    if (request.url !== `${path}right`) return void response.writeHead(404).end("no_service");
    // What says nothing is how an address is tried.
    if (text === undefined) return void response.writeHead(400).end("no_text");
    const fault = next;
    next = undefined;
    if (fault !== undefined && !("reset" in fault)) return void response.writeHead(fault.status, fault.headers ?? {}).end(fault.says);
    if (fault?.reset !== "before") shown.push(text);
    if (fault !== undefined) return void request.socket.destroy();
    response.end("ok");
  })());
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  const account = (secret: string) => ({ id: "alerts", channel: "slack-webhook", name: "Alerts", settings: { token: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}${secret}` } });
  const faults: Readonly<Partial<Record<SendFault, typeof next>>> = { rate: { status: 429, says: "rate_limited", headers: { "retry-after": "1" } }, server: { status: 503, says: "<html>" }, reset: { reset: "after" } };
  return {
    ...ONLY, channel: slackWebhook, account: account("right"), wrong: account("wrong"), to: { channel: "slack-webhook", account: "alerts", chat: "alerts", kind: "group" }, remarks: [],
    shown: () => shown,
    fail(fault) { next = faults[fault]; return next !== undefined; },
    refuse() { next = { status: 410, says: "channel_is_archived" }; return true; },
    resetBefore() { next = { reset: "before" }; },
    problems: () => [],
    async close() { await new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); }); },
  };
}
