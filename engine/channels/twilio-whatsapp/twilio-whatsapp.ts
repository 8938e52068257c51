/** WhatsApp by Twilio. Everything live is in ../twilio/, loaded when the first account opens. */
import type { Channel, Setting } from "../channel.ts";
import { checkTwilio, COMMON, LAST, refuseWrong } from "../twilio/settings.ts";

const settings: readonly Setting[] = [
  ...COMMON,
  { key: "statuses", type: "boolean", label: "Tell flows what became of messages", hint: "Delivered, read and failed, as messages of kind event", initial: false },
  ...LAST,
];
/** https://www.twilio.com/docs/whatsapp/guidance-whatsapp-media-messages: one file, 16 MB; voice notes are Ogg with Opus. */
const FILES = { bytes: 16_000_000, types: ["image/jpeg", "image/png", "image/webp", "audio/*", "video/mp4", "video/3gpp", "application/*", "text/*"] } as const;
const KIND = { channel: "twilio-whatsapp", prefix: "whatsapp:", dialect: "whatsapp", files: FILES, typing: true } as const;

export const twilioWhatsapp: Channel = {
  id: "twilio-whatsapp",
  label: "WhatsApp (Twilio)",
  settings,
  // https://www.twilio.com/docs/whatsapp/api: 1,600 characters. A caption is the body of the same message.
  limits: { text: 1_600, unit: "utf16", files: 1, upload: 16_000_000, download: 16_000_000 },
  shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], location: true },
  dialect: "whatsapp",
  delivery: { evidence: true },
  can: ["typing", "call"],
  check: (account) => checkTwilio(account),
  async try(account, context) {
    refuseWrong(account, twilioWhatsapp.check(account));
    return (await import("../twilio/api.ts")).identify(account, context);
  },
  async open(account, context) {
    refuseWrong(account, twilioWhatsapp.check(account));
    return (await import("../twilio/messages.ts")).connect(account, context, KIND);
  },
};
