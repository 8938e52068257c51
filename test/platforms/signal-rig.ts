/** Signal's channel against its stub, for the contract suite and for tests of its own. */
import type { Account } from "../../engine/channels/channel.ts";
import { signal } from "../../engine/channels/signal/signal.ts";
import { type Envelope, toMessages } from "../../engine/channels/signal/to-message.ts";
import { createFetch } from "../../engine/http.ts";
import type { ChannelRig, Refusal, SendFault } from "../contracts/channel-rig.ts";
import { startSignal, type Fault, type SignalStub } from "./signal.ts";

export const ADA = "0b8d3f8e-5f5f-4a44-9d5a-0a0b0c0d0e0f";
export const ADA_NUMBER = "+14155550100";
const FAULTS: Readonly<Record<SendFault, Fault | undefined>> = {
  rate: { status: 429, error: "Failed to send message: rate limited", headers: { "retry-after": "3" } },
  refused: { status: 400, error: "Failed to send message: Unregistered user \"+14155550100\"" },
  server: { status: 502, error: "bad gateway" },
  reset: { reset: "after" },
  // The server's parser takes every text.
  markup: undefined,
};
/** signal-cli's own words. */
const REFUSALS: Readonly<Record<Refusal, Fault>> = {
  gone: { status: 400, error: "Failed to send message: Unregistered user \"+14155550100\"" },
  kicked: { status: 400, error: "User is not a member of the group" },
  long: { status: 413, error: "request entity too large" },
};
export interface SignalRig extends ChannelRig { readonly stub: SignalStub; envelope(data: object, more?: object): Record<string, unknown> }

export async function signalRig(mode: "polling" | "websocket", settings: Record<string, unknown> = {}): Promise<SignalRig> {
  const token = "canary-bearer-token-77";
  const stub = await startSignal({ mode, token });
  const fetch = createFetch();
  const account: Account = { id: "phone", channel: "signal", name: "Phone", settings: { apiRoot: stub.url, number: stub.number, mode, token, ...settings } };
  let time = 1_795_700_000_000;
  const envelope = (data: object, more: object = {}): Record<string, unknown> => {
    const timestamp = ++time;
    return { envelope: { source: ADA_NUMBER, sourceNumber: ADA_NUMBER, sourceUuid: ADA, sourceName: "Ada", sourceDevice: 1, timestamp, serverReceivedTimestamp: timestamp + 5, serverDeliveredTimestamp: timestamp + 9, dataMessage: { timestamp, message: null, expiresInSeconds: 0, isExpirationUpdate: false, viewOnce: false, ...data }, ...more } };
  };
  return {
    channel: signal, account, stub, envelope,
    wrong: { ...account, settings: { ...account.settings, token: "canary-wrong-token" } },
    away: { ...account, settings: { ...account.settings, apiRoot: "http://127.0.0.1:9" } },
    secrets: [token, "canary-wrong-token"],
    context: { fetch },
    to: { channel: "signal", account: "phone", chat: ADA, kind: "direct" },
    say(text) { stub.push(envelope({ message: text })); },
    shown: () => stub.posted.filter(({ removed }) => !removed).map(({ text }) => text),
    fail(fault) {
      const wanted = FAULTS[fault];
      if (wanted === undefined) return false;
      stub.fault(/^\/v2\/send$/, wanted);
      return true;
    },
    refuse(how) { stub.fault(/^\/v2\/send$/, REFUSALS[how]); return true; },
    seen: () => stub.posted.filter(({ removed }) => !removed).map(({ text, body }) => ({
      text: body.question === undefined ? text : "",
      ...(body.question === undefined ? {} : { poll: { question: String(body.question), options: body.answers as string[] } }),
      ...(body.base64_attachments === undefined ? {} : { files: (body.base64_attachments as string[]).map((file) => new Uint8Array(Buffer.from(file.slice(file.indexOf(";base64,") + 8), "base64"))) }),
    })),
    read: (sample) => toMessages(sample as Envelope, { account: "phone", number: stub.number, uuid: "5f1c2d3e-1111-4222-8333-444455556666" }),
    attach({ name, mime, bytes }) {
      stub.keep("file-1.bin", bytes, mime);
      stub.push(envelope({ attachments: [{ contentType: mime, filename: name, id: "file-1.bin", size: bytes.length, width: null, height: null, caption: null, uploadTimestamp: 1_795_700_000_000 }] }));
    },
    drop() { stub.cut(); },
    host: new URL(stub.url).host,
    call: { method: "GET /v1/accounts", parameters: {} },
    async close() {
      await stub.close();
      await fetch.destroy();
    },
  };
}
