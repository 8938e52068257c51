/** Phone calls by Twilio: a flow hears what callers say and answers them. Everything live is in connect.ts, loaded when the first account opens. */
import type { Channel, Setting } from "../channel.ts";
import { text } from "../setting-text.ts";
import { checkTwilio, COMMON, LAST, refuseWrong } from "../twilio/settings.ts";

const MOST_MINUTES = 240;
const settings: readonly Setting[] = [
  ...COMMON,
  { key: "greeting", type: "text", label: "Greeting", hint: "Said when somebody calls; empty: the flow says the first words (channel in of kind call)", initial: "Hello. How can I help you?" },
  { key: "language", type: "text", label: "Language", hint: "Spoken and understood, as en-US or de-DE", initial: "en-US" },
  { key: "voice", type: "text", label: "Voice", hint: "Such as Polly.Joanna; empty: the language's own" },
  { key: "sorry", type: "text", label: "When no answer comes", initial: "I am sorry, I have no answer right now. What else can I do?" },
  { key: "goodbye", type: "text", label: "When the caller is silent", initial: "Good bye." },
  { key: "maxMinutes", type: "number", label: "Longest call (minutes)", initial: 30 },
  { key: "record", type: "boolean", label: "Record calls", hint: "Ask your callers first: many countries require it. Recording and transcript come as a message of kind call", initial: false },
  ...LAST,
];

export const twilioVoice: Channel = {
  id: "twilio-voice",
  label: "Phone (Twilio)",
  settings,
  // 4,096 characters in <Say>, 4,000 with all markup in a request of the API: https://www.twilio.com/docs/voice/twiml/say, spec of Calls, Twiml.
  limits: { text: 3_000, unit: "utf16", upload: 10_000_000, download: 100_000_000 },
  shows: { files: ["audio", "voice"] },
  dialect: "plain",
  delivery: {},
  can: ["call"],
  check(account) {
    const minutes = Number(account.settings.maxMinutes ?? 30);
    const language = text(account, "language");
    return [
      ...checkTwilio(account),
      ...(minutes > 0 && minutes <= MOST_MINUTES ? [] : [`Expected the longest call to be 1 to ${MOST_MINUTES} minutes, got "${String(account.settings.maxMinutes)}".`]),
      ...(language === "" || /^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$/i.test(language) ? [] : ["Expected the language as en-US, got something else."]),
    ];
  },
  async try(account, context) {
    refuseWrong(account, twilioVoice.check(account));
    return (await import("../twilio/api.ts")).identify(account, context);
  },
  async open(account, context) {
    refuseWrong(account, twilioVoice.check(account));
    return (await import("./connect.ts")).connect(account, context);
  },
};
