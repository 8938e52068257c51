/** The channel of linked devices against its stub, for the contract suite and for tests of its own. */
import type { Account } from "../../engine/channels/channel.ts";
import type { WebMessage } from "../../engine/channels/whatsapp-web/library.ts";
import { toMessage } from "../../engine/channels/whatsapp-web/to-message.ts";
import { createWhatsappWeb } from "../../engine/channels/whatsapp-web/whatsapp-web.ts";
import { type ChannelRig, memoryStorage, type Seen, type SendFault } from "../contracts/channel.ts";
import { type Fault, type Shown, startWhatsappWeb, type WebStub } from "./whatsapp-web.ts";

export const ADA = "15550002222@s.whatsapp.net";
const FAULTS: Readonly<Partial<Record<SendFault, Fault>>> = { rate: { refuse: "429" }, refused: { refuse: "463" }, reset: { cut: true } };

function seenOf({ text, content }: Shown): Seen {
  const place = content["location"] as { degreesLatitude: number; degreesLongitude: number } | undefined;
  const vcard = (content["contacts"] as { contacts: { vcard: string }[] } | undefined)?.contacts[0]?.vcard;
  const bytes = content["bytes"] as Uint8Array | undefined;
  return {
    text, ...(bytes === undefined ? {} : { files: [new Uint8Array(bytes)] }),
    ...(place === undefined ? {} : { location: { latitude: place.degreesLatitude, longitude: place.degreesLongitude } }),
    ...(vcard === undefined ? {} : { contact: /:(.*)\nEND/.exec(vcard)?.[1] ?? "" }),
  };
}

export interface WebRig extends ChannelRig { readonly stub: WebStub }

export async function whatsappWebRig(settings: Record<string, unknown> = {}): Promise<WebRig> {
  const stub = startWhatsappWeb();
  let message = 1;
  const account: Account = { id: "phone", channel: "whatsapp-web", name: "Phone", settings: { agree: true, ...settings } };
  const person = (content: WebMessage["message"]): WebMessage => ({ key: { remoteJid: ADA, fromMe: false, id: `IN${message++}` }, message: content ?? null, messageTimestamp: Math.floor(Date.now() / 1000), pushName: "Ada" });
  return {
    channel: createWhatsappWeb(async () => stub.library), account, stub,
    secrets: ["private", Buffer.from("private").toString("base64")],
    context: { storage: memoryStorage(), webhookUrl: "https://home.example/clawflow/phone" },
    to: { channel: "whatsapp-web", account: "phone", chat: ADA, kind: "direct" },
    say(text) { stub.arrive(person({ conversation: text })); },
    shown: () => stub.shown(ADA).map(({ text }) => text),
    seen: () => stub.shown(ADA).map(seenOf),
    read: (sample) => toMessage((sample as { event: WebMessage }).event, { jids: ["15550783881@s.whatsapp.net"], id: "15550783881", account: "phone", now: 1_790_000_000_000 }),
    attach({ mime, bytes }) {
      stub.keep("/v/cat", bytes);
      stub.arrive(person({ imageMessage: { mimetype: mime, mediaKey: Buffer.from("key of the cat"), directPath: "/v/cat", fileLength: bytes.length } }));
    },
    fail(fault) {
      const planted = FAULTS[fault];
      if (planted !== undefined) stub.fault(planted);
      return planted !== undefined;
    },
    drop() { stub.drop(428); },
    async close() { /* Nothing of it holds anything open. */ },
  };
}
