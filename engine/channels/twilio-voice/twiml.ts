/** What a caller hears and is asked, as TwiML: https://www.twilio.com/docs/voice/twiml. Pure. */
import type { Draft } from "../../message.ts";
import { render } from "../dialects.ts";
import { xml } from "../twilio/webhook.ts";

export interface Voice { /** BCP 47. */ readonly language: string; /** Name of a voice at Twilio, "Polly.Joanna"; "" for the language's own. */ readonly voice: string }
/** One thing to say or play. `hangup`: the call ends behind it; `dial`: it goes on with this number. */
export interface Speech { readonly text: string; readonly play: readonly string[]; readonly hangup: boolean; readonly dial: string | undefined; readonly voice: Voice }

/** https://www.twilio.com/docs/voice/twiml/say: 4,096 characters in one <Say>. */
const SAY_LIMIT = 4_000;

/** A draft as it is heard. `play`: public addresses of its files. What stands in `draft.native["twilio-voice"]`: hangup, dial, language, voice. */
export function speechOf(draft: Draft, play: readonly string[], voice: Voice): Speech {
  const own = draft.native?.["twilio-voice"] ?? {};
  const spoken = (draft.plain === true ? draft.text : render(draft.text, "plain")).replace(/[•☑☐]\s*/g, "").replace(/———/g, "").replace(/^> /gm, "").trim();
  return {
    text: spoken.slice(0, SAY_LIMIT), play, hangup: own.hangup === true, dial: typeof own.dial === "string" && own.dial !== "" ? own.dial : undefined,
    voice: { language: typeof own.language === "string" ? own.language : voice.language, voice: typeof own.voice === "string" ? own.voice : voice.voice },
  };
}

export function say(text: string, { language, voice }: Voice): string {
  return text === "" ? "" : `<Say language="${xml(language)}"${voice === "" ? "" : ` voice="${xml(voice)}"`}>${xml(text)}</Say>`;
}
export function uttered(speech: Speech): string {
  return say(speech.text, speech.voice) + speech.play.map((url) => `<Play>${xml(url)}</Play>`).join("");
}

/** Listens: speech and keys come to `action`. What is said stands inside, so that the caller may interrupt it. */
export function listen(inner: string, action: string, { language }: Voice): string {
  return `<Gather input="speech dtmf" action="${xml(action)}" method="POST" language="${xml(language)}" speechTimeout="auto" timeout="6" actionOnEmptyResult="true">${inner}</Gather>`;
}
/** Waits a moment and comes to `action`. */
export function pauseFor(seconds: number, action: string): string {
  return `<Pause length="${seconds}"/><Redirect method="POST">${xml(action)}</Redirect>`;
}
/** https://www.twilio.com/docs/voice/twiml/recording */
export function record(callback: string): string {
  return `<Start><Recording channels="dual" recordingStatusCallback="${xml(callback)}" recordingStatusCallbackEvent="completed"/></Start>`;
}
export const HANGUP = "<Hangup/>";
export function dial(number: string): string { return `<Dial>${xml(number)}</Dial>`; }
