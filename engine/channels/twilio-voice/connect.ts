/** A live phone number: calls that come in, calls that go out, what is said in them. */
import { hash } from "node:crypto";
import type { Account, ChannelContext, Connection, WebhookAnswer } from "../channel.ts";
import { keepAfter } from "../doubt.ts";
import { asClawError, ChannelError } from "../../errors.ts";
import type { Message } from "../../message.ts";
import { text } from "../setting-text.ts";
import { createTwilio, identify } from "../twilio/api.ts";
import { createMediaDoor, fetchMedia } from "../twilio/media.ts";
import { comeAgain, createDoor, type Fields, twiml } from "../twilio/webhook.ts";
import { toMessage } from "./to-message.ts";
import { createTurns } from "./turns.ts";
import { dial, HANGUP, listen, pauseFor, record, say, type Speech, speechOf, uttered, type Voice } from "./twiml.ts";

/** Twilio waits 15 s for an answer: https://www.twilio.com/docs/usage/security/availability-reliability. */
const HOLD_MS = 8_000;
/** How long what is said waits for Twilio's next request before it is put into the call. A caller who listens makes one about every six seconds. */
const SPEAK_MS = 9_000;
/** So often silence is answered by waiting on, then the call ends. */
const SILENCES = 3;
/** So many requests of waiting for the flow, HOLD_MS each, until the caller is told that there is no answer. */
const WAITS = 8;
const LINES = 200;
const FILES = { bytes: 10_000_000, types: ["audio/*"] } as const;

/** What is kept of a call until its recording has come: what was said, for a transcript. */
interface Call { readonly startedAt: number; readonly lines: readonly string[] }
const callKey = (call: string) => `call/${call}`;
const DAY_MS = 86_400_000;

export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  if (context.webhookUrl === undefined) throw new ChannelError("CONF_001", {}, "Expected a public https address for Twilio's webhook, got none. Set it in the gateway.");
  context.status("connecting");
  const { clock, storage, webhookUrl } = context;
  const twilio = createTwilio(account, context);
  const self = await identify(account, context);
  const token = text(account, "token");
  const number = text(account, "number");
  const voice: Voice = { language: text(account, "language") || "en-US", voice: text(account, "voice") };
  const media = createMediaDoor(context, token);
  const turns = createTurns(clock);
  const base = webhookUrl.replace(/\/+$/, "");
  const heardAt = (turn: number, silent = 0) => `${base}/heard?turn=${turn}${silent === 0 ? "" : `&silent=${silent}`}`;
  const place = () => ({ account: account.id, number, now: clock.now() });
  let closed = false;
  await forgetOld();

  async function forgetOld(): Promise<void> {
    const old = (await storage.list("call/", { limit: 1_000 })).filter(([, call]) => (call as Call).startedAt < clock.now() - DAY_MS);
    if (old.length > 0) await storage.set(Object.fromEntries(old.map(([key]) => [key, undefined])));
  }
  async function note(call: string, line: string): Promise<void> {
    const before = ((await storage.get(callKey(call))) as Call | undefined) ?? { startedAt: clock.now(), lines: [] };
    await storage.set({ [callKey(call)]: { ...before, lines: [...before.lines, line].slice(-LINES) } });
  }

  /** Saves what happened. Undefined: it is on disk; else the answer that makes Twilio ask again. */
  async function saved(message: Message, again: string): Promise<WebhookAnswer | "refused" | undefined> {
    try {
      return (await context.receive(message)) === "refused" ? "refused" : undefined;
    } catch (thrown) {
      const { afterMs = 3_000 } = asClawError(thrown, "STORE_001", "later");
      // An error answer would end the call: the caller waits, and Twilio brings the same again.
      return twiml(pauseFor(Math.min(10, Math.max(1, Math.ceil(afterMs / 1_000))), again));
    }
  }

  /** What was said, and what comes then: the next turn, the end, or another number. */
  function afterwards(speech: Speech, turn: number): string {
    if (speech.dial !== undefined) return uttered(speech) + dial(speech.dial);
    return speech.hangup ? uttered(speech) + HANGUP : listen(uttered(speech), heardAt(turn + 1), speech.voice);
  }
  /** The caller waits for the flow. */
  async function waitFor(call: string, turn: number, waits: number, gone: AbortSignal): Promise<WebhookAnswer> {
    const speech = await turns.hear(call, HOLD_MS, gone);
    if (speech !== undefined) return twiml(afterwards(speech, turn));
    if (waits + 1 >= WAITS) return twiml(listen(say(text(account, "sorry"), voice), heardAt(turn + 1), voice));
    return twiml(pauseFor(1, `${base}/wait?turn=${turn}&waits=${waits + 1}`));
  }

  async function ringing(fields: Fields, gone: AbortSignal): Promise<WebhookAnswer> {
    const message = toMessage("ringing", fields, place());
    if (message === undefined) return unread("a call");
    const problem = await saved(message, webhookUrl as string);
    if (problem === "refused") return twiml("<Reject/>");
    if (problem !== undefined) return problem;
    await limitTime(message.ref);
    const start = account.settings.record === true ? record(`${base}/recording`) : "";
    const greeting = text(account, "greeting");
    if (greeting === "") return prefixed(start, await waitFor(message.ref, 0, 0, gone));
    await note(message.ref, `Bot: ${greeting}`);
    return twiml(start + listen(say(greeting, voice), heardAt(1), voice));
  }
  async function limitTime(call: string): Promise<void> {
    const minutes = Number(account.settings.maxMinutes ?? 30);
    await twilio.post(`Calls/${call}.json`, { TimeLimit: String(Math.round(minutes * 60)) }).catch((error: Error) => context.log("warn", `The time limit of a call could not be set: ${error.message}`));
  }

  async function heard(fields: Fields, query: URLSearchParams, gone: AbortSignal): Promise<WebhookAnswer> {
    const turn = countOf(query, "turn");
    const silent = countOf(query, "silent");
    // What came with a request that could not be saved is carried in its address.
    const given: Fields = { ...fields, ...(query.get("speech") === null ? {} : { SpeechResult: query.get("speech") as string }), ...(query.get("keys") === null ? {} : { Digits: query.get("keys") as string }) };
    const { SpeechResult = "", Digits = "", CallSid: call = "" } = given;
    if (SpeechResult === "" && Digits === "") {
      if (turns.pending(call)) return waitFor(call, turn, 0, gone);
      return silent + 1 >= SILENCES ? twiml(say(text(account, "goodbye"), voice) + HANGUP) : twiml(listen("", heardAt(turn, silent + 1), voice));
    }
    const message = toMessage(SpeechResult === "" ? "keys" : "speech", given, place(), turn);
    if (message === undefined) return unread("what a caller said");
    const again = `${base}/heard?turn=${turn}&${SpeechResult === "" ? `keys=${encodeURIComponent(Digits)}` : `speech=${encodeURIComponent(SpeechResult.slice(0, 1_500))}`}`;
    const problem = await saved(message, again);
    if (problem === "refused") return twiml(HANGUP);
    if (problem !== undefined) return problem;
    await note(message.ref, `Caller: ${message.text}`);
    return waitFor(message.ref, turn, 0, gone);
  }

  async function recorded(fields: Fields): Promise<WebhookAnswer> {
    const call = (await storage.get(callKey(fields.CallSid ?? ""))) as Call | undefined;
    // A recording's callback names the call, not its ends: they are asked for.
    const ends = await twilio.get(`Calls/${fields.CallSid ?? ""}.json`);
    const message = toMessage("recording", { ...fields, From: String(ends.from ?? ""), To: String(ends.to ?? "") }, place());
    if (message === undefined) return unread("a recording");
    const problem = await saved({ ...message, text: call?.lines.join("\n") ?? "" }, "");
    if (typeof problem === "object") return comeAgain();
    await storage.set({ [callKey(message.ref)]: undefined });
    return { status: 204 };
  }
  async function ended(fields: Fields): Promise<WebhookAnswer> {
    if (!["completed", "busy", "failed", "no-answer", "canceled"].includes(fields.CallStatus ?? "")) return { status: 204 };
    const message = toMessage("ended", fields, place());
    if (message === undefined) return unread("the end of a call");
    const problem = await saved({ ...message, text: fields.CallStatus === "completed" ? "" : (fields.CallStatus ?? "") }, "");
    if (typeof problem === "object") return comeAgain();
    if (account.settings.record !== true) await storage.set({ [callKey(message.ref)]: undefined });
    return { status: 204 };
  }
  function unread(what: string): WebhookAnswer {
    context.log("warn", `MSG_001: ${what} could not be read from a request of Twilio and is left out.`);
    return twiml(HANGUP);
  }

  const PATHS: Readonly<Record<string, (fields: Fields, query: URLSearchParams, gone: AbortSignal) => Promise<WebhookAnswer>>> = {
    "/": (fields, _query, gone) => ringing(fields, gone),
    "/heard": heard,
    "/wait": (fields, query, gone) => waitFor(fields.CallSid ?? "", countOf(query, "turn"), countOf(query, "waits"), gone),
    "/recording": recorded,
    "/status": ended,
  };
  async function take(path: string, fields: Fields, query: URLSearchParams, gone: AbortSignal): Promise<WebhookAnswer> {
    try {
      return Object.hasOwn(PATHS, path) ? ((await PATHS[path]?.(fields, query, gone)) ?? { status: 404 }) : { status: 404 };
    } catch (thrown) {
      return comeAgain(asClawError(thrown, "CONN_001", "later").afterMs);
    }
  }
  const door = createDoor({ token, context, take });
  context.status("connected");

  return {
    self,
    async send(to, draft, key) {
      const play = await Promise.all((draft.attachments ?? []).map((file) => media.address(file, FILES)));
      const speech = speechOf(draft, play, voice);
      if (to.thread === undefined) return call(to.chat, speech);
      if (!(await turns.speak(to.thread, speech, SPEAK_MS))) await twilio.post(`Calls/${to.thread}.json`, { Twiml: `<Response>${afterwards(speech, clock.now())}</Response>` });
      if (speech.text !== "") await note(to.thread, `Bot: ${speech.text}`).catch((error: Error) => context.log("debug", error.message));
      // A call has no messages that could be named: this only tells them apart.
      return `${to.thread}:${hash("sha1", key, "hex").slice(0, 12)}`;
    },
    async health(signal) { await twilio.get("", {}, signal); },
    media: (reference, signal) => fetchMedia(context, twilio, reference, signal),
    call: (method, parameters) => twilio.post(method, Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, String(value)]))),
    async webhook(request) {
      if (closed || context.signal.aborted) return comeAgain();
      return (await media.answer(request)) ?? door(request);
    },
    async close() { closed = true; turns.close(); },
  };

  /** Rings somebody up and says it when they answer. */
  async function call(to: string, speech: Speech): Promise<string> {
    if (!/^\+?[\w.:@-]{2,64}$/.test(to)) throw new ChannelError("MSG_002", {}, `Expected somebody to call as +15551234567, got "${to.slice(0, 40)}".`);
    const start = account.settings.record === true ? record(`${base}/recording`) : "";
    const answer = await twilio.post("Calls.json", {
      To: to, From: number, Twiml: `<Response>${start}${afterwards(speech, 0)}</Response>`, TimeLimit: String(Math.round(Number(account.settings.maxMinutes ?? 30) * 60)),
      StatusCallback: `${base}/status`, StatusCallbackEvent: ["completed"],
    });
    if (typeof answer.sid !== "string") throw new ChannelError("CONN_001", { retry: "later" }, "Expected Twilio to name the call it makes, got none.");
    await keepAfter(context, () => note(String(answer.sid), `Bot: ${speech.text}`));
    return answer.sid;
  }
}

function prefixed(start: string, answer: WebhookAnswer): WebhookAnswer {
  return start === "" || typeof answer.body !== "string" ? answer : { ...answer, body: answer.body.replace("<Response>", `<Response>${start}`) };
}
function countOf(query: URLSearchParams, name: string): number {
  const value = Number(query.get(name));
  return Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
