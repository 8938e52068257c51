/** SMS and MMS by Twilio. Everything live is in ../twilio/, loaded when the first account opens. */
import type { Channel, Setting } from "../channel.ts";
import { checkTwilio, COMMON, LAST, refuseWrong } from "../twilio/settings.ts";
import { text } from "../setting-text.ts";

const settings: readonly Setting[] = [
  ...COMMON,
  { key: "service", type: "text", label: "Messaging Service", hint: "MG…, when a service is to choose the number; empty: the number above" },
  { key: "statuses", type: "boolean", label: "Tell flows what became of messages", hint: "Delivered and failed, as messages of kind event", initial: false },
  ...LAST,
];
/** https://www.twilio.com/docs/messaging/guides/accepted-mime-types: 5 MB together; pictures are made to fit by Twilio, other types by nobody. */
const FILES = { bytes: 5_000_000 } as const;
const KIND = { channel: "twilio-sms", prefix: "", dialect: "plain", files: FILES, typing: false } as const;

export const twilioSms: Channel = {
  id: "twilio-sms",
  label: "SMS (Twilio)",
  settings,
  // 1,600 characters in one request, which Twilio sends as segments: https://www.twilio.com/docs/messaging/api/message-resource, Body. Ten files: MediaUrl there.
  limits: { text: 1_600, unit: "utf16", files: 10, upload: 5_000_000, download: 16_000_000 },
  shows: { files: ["image", "video", "audio", "voice", "document", "sticker"] },
  dialect: "plain",
  delivery: { evidence: true },
  can: ["call"],
  check(account) {
    const service = text(account, "service");
    return [...checkTwilio(account), ...(service === "" || /^MG[0-9a-fA-F]{32}$/.test(service) ? [] : ["Expected the Messaging Service to be MG and 32 hexadecimal digits, got something else. Leave it empty to send from the number."])];
  },
  async try(account, context) {
    refuseWrong(account, twilioSms.check(account));
    return (await import("../twilio/api.ts")).identify(account, context);
  },
  async open(account, context) {
    refuseWrong(account, twilioSms.check(account));
    return (await import("../twilio/messages.ts")).connect(account, context, KIND);
  },
};
