/** Twilio's channels against their stub, for the contract suite and for tests of their own. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Account, Channel, Connection } from "../../engine/channels/channel.ts";
import { twilioSms } from "../../engine/channels/twilio-sms/twilio-sms.ts";
import { toMessage, toStatus } from "../../engine/channels/twilio/to-message.ts";
import type { Fields } from "../../engine/channels/twilio/webhook.ts";
import { toMessage as toCall } from "../../engine/channels/twilio-voice/to-message.ts";
import { twilioVoice } from "../../engine/channels/twilio-voice/twilio-voice.ts";
import { twilioWhatsapp } from "../../engine/channels/twilio-whatsapp/twilio-whatsapp.ts";
import { createFetch } from "../../engine/http.ts";
import type { ChannelRig, Refusal, SendFault } from "../contracts/channel-rig.ts";
import { startTwilio, type Fault, type TwilioStub } from "./twilio.ts";

export const ADA = "+14155550100";
export const CALL = "CA00000000000000000000000000000001";
const CHANNELS: Readonly<Record<"sms" | "whatsapp" | "voice", Channel>> = { sms: twilioSms, whatsapp: twilioWhatsapp, voice: twilioVoice };
const FAULTS: Readonly<Record<SendFault, Fault | undefined>> = {
  rate: { status: 429, code: 20429, message: "Too Many Requests", headers: { "retry-after": "3" } },
  refused: { status: 400, code: 21610, message: "Attempt to send to unsubscribed recipient" },
  server: { status: 503, code: 20503, message: "Service unavailable" },
  reset: { reset: "after" },
  // Twilio reads no markup: there is none to refuse.
  markup: undefined,
};

const REFUSALS: Readonly<Record<Refusal, Fault>> = {
  gone: { status: 400, code: 21211, message: "Invalid 'To' Phone Number" },
  kicked: { status: 400, code: 21610, message: "Attempt to send to unsubscribed recipient" },
  long: { status: 400, code: 21617, message: "The concatenated message body exceeds the 1600 character limit" },
};
interface Sample { readonly fields: Fields; readonly status?: true; readonly state?: Parameters<typeof toCall>[0] }

export interface TwilioRig extends ChannelRig { readonly stub: TwilioStub; readonly webhookUrl: string }

export async function twilioRig(kind: "sms" | "whatsapp" | "voice", settings: Record<string, unknown> = {}): Promise<TwilioRig> {
  const stub = await startTwilio();
  const fetch = createFetch();
  const channel = CHANNELS[kind];
  const prefix = kind === "whatsapp" ? "whatsapp:" : "";
  // The address must be there for Twilio to fetch files from.
  let connection: Connection | undefined;
  const door = createServer((request, response) => void (async () => {
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://x");
    const path = pathname.slice("/twilio".length) || "/";
    const answer = await connection?.webhook?.({ method: request.method ?? "GET", path, query: searchParams, headers: request.headers as Record<string, string>, body: new Uint8Array(), remote: "127.0.0.1", signal: new AbortController().signal });
    response.writeHead(answer?.status ?? 503, answer?.headers ?? {});
    if (answer?.body !== undefined) for await (const piece of answer.body as AsyncIterable<Uint8Array>) response.write(piece);
    response.end();
  })());
  await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
  const webhookUrl = `http://127.0.0.1:${(door.address() as AddressInfo).port}/twilio`;
  stub.serve(webhookUrl, undefined);
  const account: Account = { id: "line", channel: channel.id, name: "Line", settings: { accountSid: stub.accountSid, token: stub.token, number: stub.number, apiRoot: stub.url, ...settings } };
  let turn = 0;
  let before: Promise<void> = Promise.resolve();
  if (kind === "voice") stub.calls.set(CALL, { from: ADA, to: stub.number, status: "in-progress" });

  /** A caller says it. Nobody answers here: the request is given up soon, which means it was taken; where it was not, Twilio comes again as the answer asks. */
  async function speak(text: string): Promise<void> {
    let path = `/heard?turn=${++turn}`;
    let fields: Record<string, string> = { CallSid: CALL, From: ADA, To: stub.number, SpeechResult: text, Confidence: "0.9" };
    for (let tries = 0; tries < 400; tries++) {
      const { status, body } = await stub.post(fields, path, { signal: AbortSignal.timeout(30) });
      const again = /<Redirect[^>]*>[^<]*?(\/heard[^<]*)<\/Redirect>/.exec(body)?.[1];
      if (status < 500 && again === undefined) return;
      if (again !== undefined) { path = again.replaceAll("&amp;", "&"); fields = { CallSid: CALL, From: ADA, To: stub.number }; }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  return {
    channel, account, stub, webhookUrl,
    wrong: { ...account, settings: { ...account.settings, token: "canary-wrong-token-xyz" } },
    away: { ...account, settings: { ...account.settings, apiRoot: "http://127.0.0.1:9" } },
    secrets: [stub.token, "canary-wrong-token-xyz", Buffer.from(`${stub.accountSid}:${stub.token}`).toString("base64")],
    context: { fetch, webhookUrl },
    to: { channel: channel.id, account: "line", chat: ADA, kind: "direct", ...(kind === "voice" ? { thread: CALL } : {}) },
    say(text) {
      if (kind === "voice") before = before.then(() => speak(text));
      else {
        const sid = stub.newSid("SM");
        before = before.then(() => stub.say({ MessageSid: sid, AccountSid: stub.accountSid, From: prefix + ADA, To: prefix + stub.number, Body: text, NumMedia: "0" }));
      }
    },
    shown: () => (kind === "voice" ? (stub.said.get(CALL) ?? []).flatMap(spoken) : stub.posted.map(({ body }) => body)),
    fail(fault) {
      const wanted = FAULTS[fault];
      if (wanted === undefined) return false;
      stub.fault(/\/(?:Messages|Calls\/CA\w+)\.json$/, wanted);
      return true;
    },
    refuse(how) { stub.fault(/\/(?:Messages|Calls\/CA\w+)\.json$/, REFUSALS[how]); return true; },
    ...(kind === "voice" ? {} : {
      seen: () => stub.posted.map(({ body, location, media }) => ({ text: location === undefined ? body : "", ...(location === undefined ? {} : { location }), ...(media.length === 0 ? {} : { files: media.map(({ bytes }) => bytes) }) })),
    }),
    read(sample) {
      const { fields, status, state } = sample as Sample;
      const place = { channel: channel.id, account: "line", prefix, number: stub.number, now: 1_795_800_000_000 };
      return state !== undefined ? toCall(state, fields, place) : status === true ? toStatus(fields, place) : toMessage(fields, place);
    },
    async attach({ mime, bytes }) {
      const media = stub.keep(bytes, mime);
      if (kind === "voice") await stub.post({ CallSid: CALL, RecordingSid: stub.newSid("RE"), RecordingUrl: media.replace(/\.mp3$/, ""), RecordingStatus: "completed", RecordingDuration: "1" }, "/recording");
      else await stub.say({ MessageSid: stub.newSid("SM"), From: prefix + ADA, To: prefix + stub.number, Body: "", NumMedia: "1", MediaUrl0: media, MediaContentType0: mime });
    },
    signed(text, how) {
      // Twilio signs no time: a request of yesterday is told by its MessageSid.
      if (how === "stale") return undefined;
      const fields: Fields = kind === "voice" ? { CallSid: CALL, From: ADA, To: stub.number, SpeechResult: text } : { MessageSid: stub.newSid("SM"), From: prefix + ADA, To: prefix + stub.number, Body: text };
      const request = stub.sign(fields, kind === "voice" ? "/heard?turn=7" : "", how === "wrong" ? "another token" : undefined, AbortSignal.timeout(30));
      const { "x-twilio-signature": _signature, ...without } = request.headers;
      if (how === "missing") return { ...request, headers: without };
      return how === "tampered" ? { ...request, body: Buffer.concat([request.body, Buffer.from("&Body=more")]) } : request;
    },
    // Twilio signs with the auth token.
    unsecured: { ...account, settings: { ...account.settings, token: "" } },
    drop() { stub.cut(); },
    host: new URL(stub.url).host,
    call: { method: "Messages.json", parameters: { To: prefix + ADA, From: prefix + stub.number, Body: "by hand" } },
    serve(opened) {
      connection = opened;
      stub.serve(webhookUrl, opened);
      const close = opened.close.bind(opened);
      opened.close = async () => { if (connection === opened) { connection = undefined; stub.serve(webhookUrl, undefined); } await close(); };
    },
    async close() {
      await stub.close();
      await new Promise((resolve) => { door.close(resolve); door.closeAllConnections(); });
      await fetch.destroy();
    },
  };
}

/** What a caller hears of a TwiML document. */
export function spoken(twiml: string): string[] {
  return [...twiml.matchAll(/<Say[^>]*>([^<]*)<\/Say>/g)].map(([, text = ""]) => text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&quot;", '"').replaceAll("&amp;", "&"));
}
