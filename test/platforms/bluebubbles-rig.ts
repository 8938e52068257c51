/** iMessage's channel against a stub of BlueBubbles, for the contract suite and for tests of its own. */
import type { Account, Connection } from "../../engine/channels/channel.ts";
import { imessage } from "../../engine/channels/imessage/imessage.ts";
import { toMessage, type Told } from "../../engine/channels/imessage/to-message.ts";
import { createFetch } from "../../engine/http.ts";
import type { ChannelRig, Refusal, SendFault } from "../contracts/channel-rig.ts";
import { startBlueBubbles, type BlueBubblesStub, type Fault } from "./bluebubbles.ts";

export const CHAT = "iMessage;-;+14155550100";
export const SECRET = "canary-webhook-secret-0123456789";
const FAULTS: Readonly<Record<SendFault, Fault | undefined>> = {
  rate: { status: 429, message: "Too many requests", headers: { "retry-after": "3" } },
  refused: { status: 500, message: "Message Send Error", error: "Failed to send message! See attached message error code." },
  server: { status: 502, message: "Bad Gateway" },
  reset: { reset: "after" },
  // Messages shows what it is given: there is no markup to refuse.
  markup: undefined,
};
const REFUSALS: Readonly<Record<Refusal, Fault>> = {
  gone: { status: 404, message: "Chat does not exist!" },
  kicked: { status: 500, message: "Message Send Error", error: "Failed to send message! See attached message error code." },
  long: { status: 413, message: "Payload Too Large" },
};
export interface BlueBubblesRig extends ChannelRig { readonly stub: BlueBubblesStub; /** What BlueBubbles posts to the webhook; it never tries again. */ post(event: object, secret?: string): Promise<number> }

export async function blueBubblesRig(mode: "polling" | "webhook", settings: Record<string, unknown> = {}): Promise<BlueBubblesRig> {
  const stub = await startBlueBubbles({ privateApi: settings.privateApi !== false });
  const fetch = createFetch();
  let connection: Connection | undefined;
  const account: Account = { id: "mac", channel: "imessage", name: "Mac", settings: { apiRoot: stub.url, password: stub.password, privateApi: true, mode, ...(mode === "webhook" ? { secret: SECRET } : {}), ...settings } };
  const request = (body: object, secret = SECRET) => ({ method: "POST", path: `/${secret}`, query: new URLSearchParams(), headers: { "content-type": "application/json" }, body: Buffer.from(JSON.stringify(body)), remote: "127.0.0.1", signal: new AbortController().signal });
  const rig: BlueBubblesRig = {
    channel: imessage, account, stub,
    wrong: { ...account, settings: { ...account.settings, password: "canary-wrong-password" } },
    away: { ...account, settings: { ...account.settings, apiRoot: "http://127.0.0.1:9" } },
    secrets: [stub.password, "canary-wrong-password", SECRET],
    context: { fetch, webhookUrl: "http://127.0.0.1/imessage" },
    to: { channel: "imessage", account: "mac", chat: CHAT, kind: "direct" },
    async post(event, secret) { return (await connection?.webhook?.(request(event, secret)))?.status ?? 503; },
    async say(text) {
      const row = stub.write({ text });
      if (mode === "webhook") await rig.post({ type: "new-message", data: row });
    },
    shown: () => stub.rows.filter(({ isFromMe, dateRetracted }) => isFromMe === true && dateRetracted == null).map(({ text }) => text ?? ""),
    seen: () => stub.rows.filter(({ isFromMe, dateRetracted }) => isFromMe === true && dateRetracted == null).map(({ text, guid }) => { const file = stub.uploads.get(guid ?? ""); return { text: text ?? "", ...(file === undefined ? {} : { files: [file] }) }; }),
    fail(fault) {
      const wanted = FAULTS[fault];
      if (wanted === undefined) return false;
      stub.fault(/^\/message\/text$/, wanted);
      return true;
    },
    refuse(how) { stub.fault(/^\/message\/text$/, REFUSALS[how]); return true; },
    read: (sample) => { const { told, changed } = sample as { told: Told; changed?: true }; return toMessage(told, "mac", changed); },
    async attach({ name, mime, bytes }) {
      stub.keep("at_0_FILE-1", bytes, mime);
      const row = stub.write({ text: "\ufffc", attachments: [{ guid: "at_0_FILE-1", mimeType: mime, transferName: name, totalBytes: bytes.length }] });
      if (mode === "webhook") await rig.post({ type: "new-message", data: row });
    },
    ...(mode === "webhook" ? {
      unsecured: { ...account, settings: { ...account.settings, secret: "" } },
      signed(text: string, how: string) {
        if (how === "stale" || how === "tampered") return undefined;
        const row = how === "right" ? stub.write({ text }) : { guid: "0000FFFF-AAAA-4BBB-8CCC-0123456789AB", text, dateCreated: 1, handle: { address: "+1" }, chats: [{ guid: CHAT }] };
        return request({ type: "new-message", data: row }, how === "right" ? SECRET : how === "wrong" ? `${SECRET.slice(0, -1)}_` : "");
      },
    } : {}),
    drop() { stub.cut(); },
    host: new URL(stub.url).host,
    call: { method: "GET /server/info", parameters: {} },
    serve(opened) {
      connection = opened;
      const close = opened.close.bind(opened);
      opened.close = async () => { if (connection === opened) connection = undefined; await close(); };
    },
    async close() {
      await stub.close();
      await fetch.destroy();
    },
  };
  return rig;
}
