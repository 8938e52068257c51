/** Every channel's platform, as the trial plays it: the rigs of test/platforms with what is asked of them beside their contract. */
import type { Channel } from "../../../engine/channels/channel.ts";
import { channels } from "../../../engine/channels/index.ts";
import type { Account } from "../../../engine/channels/channel.ts";
import type { Address } from "../../../engine/message.ts";
import type { ChannelRig, SendFault } from "../../contracts/channel-rig.ts";
import { blueBubblesRig } from "../../platforms/bluebubbles-rig.ts";
import { hasDovecot } from "../../platforms/dovecot.ts";
import { DM } from "../../platforms/discord.ts";
import { discordRig, MESSAGES } from "../../platforms/discord-rig.ts";
import { emailRig } from "../../platforms/email-rig.ts";
import { gmailRig } from "../../platforms/gmail-rig.ts";
import { signalRig } from "../../platforms/signal-rig.ts";
import { envelope, said, slackRig } from "../../platforms/slack-rig.ts";
import { ADA, ADA_CHAT, telegramRig } from "../../platforms/telegram-rig.ts";
import { ADA as CALLER, CALL, spoken, twilioRig } from "../../platforms/twilio-rig.ts";
import { TOKEN, visitor } from "../../platforms/webchat-client.ts";
import { whatsappRig } from "../../platforms/whatsapp-rig.ts";
import type { Entry } from "../../../engine/channels/webchat/protocol.ts";
import { visitorOf } from "../../../engine/channels/webchat/visitor.ts";
import { discordAlerts, slackAlerts } from "./alerts.ts";
import { apiSide } from "./api.ts";
import type { Door } from "./door.ts";

/** `once`: the platform hands a message out and forgets it, whether it was saved or not. */
export type Brings = "until confirmed" | "once";
export interface Side {
  readonly channel: Channel;
  readonly account: Account;
  readonly wrong?: Account;
  readonly webhookUrl?: string;
  readonly seed: readonly (readonly [string, unknown])[];
  readonly to: Address;
  readonly brings: Brings;
  /** It brings by the webhook: what it is told goes through the door. */
  readonly hook: boolean;
  /** `copies`: so often at once. */
  say(text: string, copies?: number): void;
  /** Everything that was said comes once more; left out where the platform cannot. */
  replay?(): Promise<void> | void;
  shown(): readonly string[] | Promise<readonly string[]>;
  fail?(fault: SendFault): boolean;
  refuse?(): boolean;
  /** Takes back faults that met nobody. */
  calm?(): void;
  /** The connection breaks before the platform has read the next send. */
  resetBefore?(): void;
  drop?(): void | Promise<void>;
  /** What holds the link is away for as long as messages come: they are lost where the platform says so. */
  readonly dropLoses?: string;
  /** Number of messages the platform was told yes of, where it is told in a way of its own. */
  confirmed?(): number;
  /** Nothing comes in: what it says is ordered of the process. */
  readonly sendsOnly?: true;
  /** Answers go back with the request they came by: only what is said to nobody who waits goes by the platform's API, which can fail. */
  readonly answersRequests?: true;
  /** Why evidence may be missing for a send whose answer was lost: one copy is allowed there. */
  readonly gap?: string;
  /** What a reader of the table must know. */
  readonly remarks: readonly string[];
  problems(): readonly string[];
  close(): Promise<void>;
}

type More = Partial<Side> & { readonly stub?: { problems(): string[] } };
async function sideOf(rig: ChannelRig, door: Door, { stub, ...more }: More): Promise<Side> {
  rig.serve?.(door.connection);
  const webhookUrl = rig.context?.webhookUrl;
  const { fail, refuse, drop } = rig;
  return {
    channel: rig.channel, account: rig.account, seed: (await rig.context?.storage?.list("")) ?? [], to: rig.to, brings: "until confirmed", hook: false, remarks: [],
    ...(rig.wrong === undefined ? {} : { wrong: rig.wrong }), ...(webhookUrl === undefined ? {} : { webhookUrl }),
    say(text, copies = 1) { door.copies = copies; void rig.say(text); },
    shown: () => rig.shown(),
    ...(fail === undefined ? {} : { fail: (fault: SendFault) => fail.call(rig, fault) }),
    ...(refuse === undefined ? {} : { refuse: () => refuse.call(rig, "gone") }),
    ...(drop === undefined ? {} : { drop: () => drop.call(rig) }),
    problems: () => stub?.problems() ?? [],
    close: () => rig.close(),
    ...more,
  };
}
const hooked = (door: Door) => ({ hook: true, replay: () => door.replay() });
/** What a poller or a socket is brought again. */
function again<T>(push: (one: T) => unknown): { say(one: T, copies: number): void; replay(): void } {
  const all: T[] = [];
  return {
    say(one, copies) { all.push(one); for (let copy = 0; copy < copies; copy++) push(one); },
    replay() { for (const one of [...all]) push(one); },
  };
}

async function telegramSide(mode: "polling" | "webhook", door: Door): Promise<Side> {
  const rig = await telegramRig(mode);
  let id = 5_000;
  const update = (text: string) => ({ message: { message_id: ++id, date: 1_790_000_000, chat: ADA_CHAT, from: ADA, text } });
  const { say, replay } = again(({ one, at }: { one: ReturnType<typeof update>; at: number }) => rig.stub.push(one, { id: at }));
  return sideOf(rig, door, {
    stub: rig.stub, say: (text, copies = 1) => say({ one: update(text), at: id }, copies), replay, hook: mode === "webhook", confirmed: () => id - 5_000 - new Set(rig.stub.pending()).size,
    resetBefore: () => rig.stub.fault("sendMessage", { reset: "before" }),
  });
}
async function discordSide(door: Door): Promise<Side> {
  const rig = await discordRig();
  const { replay, say } = again((message: Record<string, unknown>) => rig.stub.dispatch("MESSAGE_CREATE", message));
  return sideOf(rig, door, { stub: rig.stub, say: (text, copies = 1) => say(rig.stub.say(DM, text), copies - 1), replay, resetBefore: () => rig.stub.fault("POST", MESSAGES, { reset: "before" }) });
}
async function slackSide(mode: "socket" | "events", door: Door): Promise<Side> {
  const rig = await slackRig(mode);
  const { say, replay } = again((one: Record<string, unknown>) => rig.stub.push(one));
  return sideOf(rig, door, { stub: rig.stub, say: (text, copies = 1) => say(envelope(said(text)), copies), replay, hook: mode === "events", confirmed: () => rig.stub.acked.length, resetBefore: () => rig.stub.fault("chat.postMessage", { reset: "before" }) });
}
async function whatsappSide(door: Door): Promise<Side> {
  const rig = await whatsappRig();
  rig.stub.statuses = true;
  // One is for the tick that says it was read, which is a request to the same path.
  const twice = (act: () => unknown) => { act(); act(); return true; };
  return sideOf(rig, door, {
    stub: rig.stub, ...hooked(door), fail: (fault) => twice(() => rig.fail?.(fault)), refuse: () => twice(() => rig.refuse?.("gone")), resetBefore: () => rig.stub.fault("/messages", { reset: "before" }, 2), calm: () => rig.stub.clearFaults(),
  });
}
async function signalSide(mode: "polling" | "websocket", door: Door): Promise<Side> {
  const rig = await signalRig(mode);
  const { say, replay } = again((one: Record<string, unknown>) => rig.stub.push(one));
  return sideOf(rig, door, {
    stub: rig.stub, brings: "once", say: (text, copies = 1) => say(rig.envelope({ message: text }), copies), replay, resetBefore: () => rig.stub.fault(/^\/v2\/send$/, { reset: "before" }),
    ...(mode === "websocket" ? { dropLoses: "what is written while no WebSocket is there is lost by the server" } : {}),
  });
}
async function imessageSide(mode: "polling" | "webhook", door: Door): Promise<Side> {
  const rig = await blueBubblesRig(mode);
  return sideOf(rig, door, { stub: rig.stub, ...(mode === "webhook" ? hooked(door) : { say: (text) => void rig.say(text) }), resetBefore: () => rig.stub.fault(/^\/message\/text$/, { reset: "before" }) });
}
async function twilioSide(kind: "sms" | "whatsapp", door: Door): Promise<Side> {
  const rig = await twilioRig(kind);
  return sideOf(rig, door, { stub: rig.stub, ...hooked(door), remarks: TWILIO, resetBefore: () => rig.stub.fault(/\/Messages\.json$/, { reset: "before" }) });
}

const TWILIO = ["Twilio comes again for 15 s at most, and only where its address says so"] as const;

/** A caller speaks, listens until the answer is whole, and speaks again; what Twilio's request gives no answer to, it asks once more. */
async function voiceSide(door: Door): Promise<Side> {
  const rig = await twilioRig("voice");
  const heard: string[] = [];
  let [bodies, calls, turn] = [0, 0, 0];
  let ended = false;
  let line: Promise<void> = Promise.resolve();
  function listen(): void {
    for (; bodies < door.bodies.length; bodies++) heard.push(...spoken(door.bodies[bodies] ?? ""));
    const said = rig.stub.said.get(CALL) ?? [];
    for (; calls < said.length; calls++) heard.push(...spoken(said[calls] ?? ""));
  }
  async function speak(text: string, copies: number): Promise<void> {
    let path = `/heard?turn=${++turn}`;
    let fields: Record<string, string> = { CallSid: CALL, From: CALLER, To: rig.stub.number, SpeechResult: text, Confidence: "0.9" };
    for (let tries = 0; tries < 1_000 && !ended; tries++) {
      door.copies = copies;
      const { status, body } = await rig.stub.post(fields, path, { signal: AbortSignal.timeout(15_000) });
      const next = /<Redirect[^>]*>[^<]*?(\/(?:heard|wait)[^<]*)<\/Redirect>/.exec(body)?.[1];
      const silence = /action="[^"]*?(\/heard[^"]*silent=[^"]*|\/heard[^"]*)"/.exec(body)?.[1]?.replaceAll("&amp;", "&");
      // After the answer the caller says nothing for a moment: what else there is to say is heard then.
      if (silence !== undefined && !/silent=2/.test(silence)) {
        [path, fields] = [silence, { CallSid: CALL, From: CALLER, To: rig.stub.number }];
        await new Promise((resolve) => { setTimeout(resolve, 200); });
        continue;
      }
      if (status < 500 && next === undefined) return;
      if (next !== undefined) { path = next.replaceAll("&amp;", "&"); fields = { CallSid: CALL, From: CALLER, To: rig.stub.number }; }
      await new Promise((resolve) => { setTimeout(resolve, 15); });
    }
  }
  return sideOf(rig, door, {
    stub: rig.stub, ...hooked(door), answersRequests: true, remarks: TWILIO,
    say(text, copies = 1) { line = line.then(() => speak(text, copies)); },
    shown() { listen(); return heard; },
    resetBefore: () => rig.stub.fault(/\/Calls\/CA\w+\.json$/, { reset: "before" }),
    async close() { ended = true; await rig.close(); },
  });
}

/** The page's own way: again with the same id until it is confirmed, and only then the next; the transcript is what a reader sees. */
async function webchatSide(door: Door, port: () => number): Promise<Side> {
  const channel = channels.find(({ id }) => id === "webchat") as Channel;
  const person = () => visitor(`http://127.0.0.1:${port()}/`);
  let [n, done, ended] = [0, 0, false];
  let line: Promise<void> = Promise.resolve();
  const all: (readonly [string, string])[] = [];
  let seen: readonly string[] = [];
  async function deliver(text: string, id: string, copies: number): Promise<void> {
    for (; !ended; await new Promise((resolve) => { setTimeout(resolve, 20); })) {
      const answers = await Promise.allSettled(Array.from({ length: copies }, () => person().say(text, id)));
      if (!answers.some((one) => one.status === "fulfilled" && one.value.status === 200)) continue;
      if (door.onYes === undefined) break;
      const { onYes } = door;
      door.onYes = undefined;
      if (await onYes()) break;
    }
    done++;
  }
  return {
    channel, account: { id: "chat", channel: "webchat", name: "Home", settings: {} }, seed: [], brings: "until confirmed", hook: true, remarks: [],
    to: { channel: "webchat", account: "chat", chat: visitorOf({ "x-clawflow-visitor": TOKEN }) ?? "", kind: "direct" },
    say(text, copies = 1) { const id = `message-${++n}`; all.push([text, id]); line = line.then(() => deliver(text, id, copies)); },
    async replay() { for (const [text, id] of all) await person().say(text, id).catch(() => undefined); },
    confirmed: () => done,
    async shown() {
      try {
        const feed = await person().feed();
        seen = feed.entries().filter(({ from }: Entry) => from === "bot").map(({ text }) => text);
        feed.close();
      } catch { /* The process is away: what stands there did not change. */ }
      return seen;
    },
    problems: () => [],
    async close() { ended = true; await line; },
  };
}

async function emailSide(door: Door): Promise<Side> {
  const rig = await emailRig();
  return sideOf(rig, door, { say: (text) => void rig.say(text), resetBefore: () => rig.smtp.fault({ at: "to", cut: true }), gap: "a copy with the same Message-ID where the link broke in the moment of the server's yes" });
}
async function gmailSide(door: Door): Promise<Side> {
  const rig = await gmailRig();
  return sideOf(rig, door, { say: (text) => void rig.say(text), resetBefore: () => rig.stub.fault(/messages\/send$/, { reset: "before" }) });
}

type Make = (door: Door, port: () => number) => Promise<Side>;
/** Channels that only send. */
export const SENDERS: Readonly<Record<string, Make>> = { "Discord webhook (alerts)": discordAlerts, "Slack incoming webhook": slackAlerts };
/** All channels, in the order of the table. */
export const SIDES: Readonly<Record<string, Make>> = {
  "Web chat": webchatSide,
  "OpenAI-compatible API, whole": (door, port) => apiSide(false, door, port),
  "OpenAI-compatible API, streamed": (door, port) => apiSide(true, door, port),
  "Telegram, polling": (door) => telegramSide("polling", door),
  "Telegram, webhook": (door) => telegramSide("webhook", door),
  Discord: discordSide,
  "Slack, socket": (door) => slackSide("socket", door),
  "Slack, events": (door) => slackSide("events", door),
  "WhatsApp Cloud": whatsappSide,
  "WhatsApp by Twilio": (door) => twilioSide("whatsapp", door),
  "Signal, polling": (door) => signalSide("polling", door),
  "Signal, WebSocket": (door) => signalSide("websocket", door),
  "iMessage, polling": (door) => imessageSide("polling", door),
  "iMessage, webhook": (door) => imessageSide("webhook", door),
  "Twilio SMS": (door) => twilioSide("sms", door),
  "Twilio Voice": voiceSide,
  ...(hasDovecot() ? { "E-mail": emailSide } : {}),
  Gmail: gmailSide,
  ...SENDERS,
};
