/** What Twilio posts about calls, as Messages. Fields: https://www.twilio.com/docs/voice/twiml#request-parameters. Pure. */
import type { Action, Message } from "../../message.ts";
import { MESSAGE_VERSION } from "../../message.ts";
import type { Fields } from "../twilio/webhook.ts";

export interface Place { readonly account: string; /** The account's own number. */ readonly number: string; readonly now: number }

/** The person at the other end, whichever side called. */
function otherEnd({ From = "", To = "" }: Fields, number: string): string { return From === number ? To : From; }

/**
 * What was heard is a message like any other, so that an agent answers it; ringing, recording and the end are of kind "call". The call is the thread: what is
 * said in one call stays in it. `turn`: the place in the call, the same when Twilio asks again.
 */
export function toMessage(state: Extract<Action, { type: "call" }>["state"], fields: Fields, place: Place, turn = 0): Message | undefined {
  const { CallSid: call, SpeechResult, Digits, CallerName } = fields;
  const from = otherEnd(fields, place.number);
  if (call === undefined || !/^CA[0-9a-fA-F]{32}$/.test(call) || from === "") return undefined;
  const heard = state === "speech" || state === "keys";
  const seconds = Number(fields.RecordingDuration ?? fields.CallDuration);
  return {
    version: MESSAGE_VERSION,
    id: state === "recording" ? `${fields.RecordingSid ?? call}:recording` : heard ? `${call}:${turn}` : `${call}:${state}`,
    ref: call,
    kind: heard ? "message" : "call",
    at: { channel: "twilio-voice", account: place.account, chat: from, thread: call, kind: "direct" },
    sender: { id: from, name: CallerName || from, handle: from, bot: false, self: false },
    sentAt: place.now,
    text: state === "speech" ? (SpeechResult ?? "") : state === "keys" ? (Digits ?? "") : "",
    attachments: state === "recording" && fields.RecordingUrl !== undefined
      ? [{ kind: "audio", media: `${fields.RecordingUrl}.mp3`, state: "remote", mime: "audio/mpeg", name: "call.mp3", ...(Number.isFinite(seconds) ? { seconds } : {}) }]
      : [],
    action: { type: "call", state, ...(state === "keys" && Digits !== undefined ? { keys: Digits } : {}), ...((state === "ended" || state === "recording") && Number.isFinite(seconds) && seconds >= 0 ? { seconds } : {}) },
    addressed: true,
  };
}
