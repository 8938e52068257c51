/**
 * Every channel in one Node-RED: for each a stub of its platform with one person on it, and the account that talks to it. Platforms that post do so to
 * Node-RED's own address, signed as they sign. The stub's log is the judge of what the person saw and of how often the account logged in.
 */
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import type { Connection } from "../../engine/channels/channel.ts";
import { DM, startDiscord, TOKEN, ADA as DISCORD_ADA, APP } from "../platforms/discord.ts";
import { startBlueBubbles } from "../platforms/bluebubbles.ts";
import { SECRET as IMESSAGE_SECRET } from "../platforms/bluebubbles-rig.ts";
import { dovecot } from "../platforms/dovecot.ts";
import { mail } from "../platforms/email-rig.ts";
import { startRelay } from "../platforms/relay.ts";
import { startSignal } from "../platforms/signal.ts";
import { ADA as SIGNAL_ADA, ADA_NUMBER } from "../platforms/signal-rig.ts";
import { startSlack } from "../platforms/slack.ts";
import { ADA as SLACK_ADA, DIRECT, envelope, said } from "../platforms/slack-rig.ts";
import { startSmtp } from "../platforms/smtp.ts";
import { startTelegram } from "../platforms/telegram.ts";
import { ADA as TELEGRAM_ADA, ADA_CHAT } from "../platforms/telegram-rig.ts";
import { startTwilio, type TwilioStub } from "../platforms/twilio.ts";
import { ADA as TWILIO_ADA, CALL, spoken } from "../platforms/twilio-rig.ts";
import { type Feed, visitor } from "../platforms/webchat-client.ts";
import { messageBody, startWhatsapp } from "../platforms/whatsapp.ts";
import { ADA as WHATSAPP_ADA } from "../platforms/whatsapp-rig.ts";
import { gateway, on, tab } from "./home.ts";
import { account, type Json, JSON_TYPE, type Knock, type Line, nextNumber, type OpenLine, pathOf, pause, post, taken } from "./line.ts";
import type { FlowNode } from "./project.ts";

async function openWebchat(base: string): Promise<Line> {
  const person = visitor(`${base}${pathOf("web")}/`);
  const entries = new Map<number, string>();
  let feed: Feed | undefined;
  let opened = 0;
  let closed = false;
  /** As the page: a stream that ends is opened again where it ended. */
  async function listen(): Promise<void> {
    const ids: string[] = [];
    while (!closed) {
      try {
        feed = await person.feed(ids.at(-1));
        opened++;
        await feed.ended;
        ids.push(...feed.ids);
        for (const { seq, from, text } of feed.entries()) if (from === "bot") entries.set(seq, text);
      } catch { await pause(50); }
    }
  }
  const listening: { promise?: Promise<void> } = {};
  return {
    name: "Web chat", node: account("web", "webchat", {}),
    async say(text) {
      listening.promise ??= listen();
      while (opened === 0) await pause(5);
      const id = `message-${nextNumber()}`;
      for (;;) {
        const { status, body } = await person.say(text, id);
        if (status === 200) return;
        if (status !== 503) throw new Error(`Expected the chat to take it, got ${status} ${JSON.stringify(body)}`);
        await pause(100);
      }
    },
    answers() {
      for (const { seq, from, text } of feed?.entries() ?? []) if (from === "bot") entries.set(seq, text);
      return [...entries].sort(([a], [b]) => a - b).map(([, text]) => text);
    },
    logins: () => opened,
    links: () => (feed === undefined ? [] : [feed]),
    problems: () => [],
    async close() { closed = true; feed?.close(); await listening.promise; },
  };
}

const telegramBy = (mode: "polling" | "webhook"): OpenLine => async () => {
  const stub = await startTelegram();
  const message = (text: string, person = 0) => ({ message: { message_id: nextNumber(), date: 1_790_000_000, chat: { ...ADA_CHAT, id: ADA_CHAT.id + person }, from: { ...TELEGRAM_ADA, id: TELEGRAM_ADA.id + person }, text } });
  return {
    name: `Telegram, ${mode}`, node: account(`telegram-${mode}`, "telegram", { mode, apiRoot: stub.url }, { token: stub.token }),
    async say(text) { stub.push(message(text)); },
    ...(mode === "polling" ? {} : { knock: (text: string, person: number) => ({ url: stub.webhook.url, headers: { ...JSON_TYPE, "x-telegram-bot-api-secret-token": stub.webhook.secret ?? "" }, body: JSON.stringify({ update_id: 1_000_000 + nextNumber(), ...message(text, person) }) }) }),
    answers: () => stub.shown(ADA_CHAT.id).map(({ text }) => text),
    logins: () => stub.calls(mode === "polling" ? "deleteWebhook" : "setWebhook").length,
    wrong: { token: "987654321:AAHwrongWRONGwrongWRONGwrongWRONG" },
    problems: stub.problems, close: stub.close,
  };
};

async function openDiscord(): Promise<Line> {
  const stub = await startDiscord();
  return {
    name: "Discord, gateway", node: account("discord", "discord", { apiRoot: stub.url }, { token: TOKEN }),
    async say(text) { stub.say(DM, text); },
    answers: () => stub.shown(DM).map(({ content }) => content),
    logins: () => stub.gateway.identifies.length + stub.gateway.resumes.length,
    links: () => stub.links(),
    wrong: { token: "OTAwMDAwMDAwMDAwMDAwMDAx.Wrong1.WRONGwrongWRONGwrongWRONGwrongWRONGwrong" },
    problems: stub.problems, close: stub.close,
  };
}

/** Commands alone, posted and signed by Ed25519; what answers them goes to the interaction. */
async function openDiscordWebhook(base: string): Promise<Line> {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const stub = await startDiscord({ publicKey: publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex") });
  const tokens: string[] = [];
  function knock(text: string, person: number): Knock {
    const token = `token-${nextNumber()}`;
    tokens.push(token);
    const body = JSON.stringify({ id: stub.nextId(), application_id: APP, token, type: 2, channel_id: DM, channel: { id: DM, type: 1 }, user: { ...DISCORD_ADA, id: String(BigInt(DISCORD_ADA.id) + BigInt(person)) }, locale: "en-GB", version: 1, app_permissions: "0", data: { id: "1", name: "say", type: 1, options: [{ name: "text", type: 3, value: text }] } });
    const at = String(Math.floor(Date.now() / 1000));
    return { url: `${base}${pathOf("discord-posts")}`, body, headers: { ...JSON_TYPE, "x-signature-timestamp": at, "x-signature-ed25519": sign(null, Buffer.from(at + body), privateKey).toString("hex") } };
  }
  return {
    name: "Discord, interactions", node: account("discord-posts", "discord", { mode: "webhook", apiRoot: stub.url }, { token: TOKEN }), knock,
    say: async (text) => taken(await post(knock(text, 0))),
    answers: () => tokens.flatMap((token) => [...[stub.answers.get(token)?.data?.["content"]].filter((content) => typeof content === "string"), ...stub.hooked(token).map(({ content }) => content)]),
    // The public key is asked for once, when the account opens.
    logins: () => stub.calls("GET", "/applications/@me").length,
    wrong: { token: "OTAwMDAwMDAwMDAwMDAwMDAx.Wrong1.WRONGwrongWRONGwrongWRONGwrongWRONGwrong" },
    problems: stub.problems, close: stub.close,
  };
}

const slackBy = (mode: "socket" | "events"): OpenLine => async (base) => {
  const stub = await startSlack();
  stub.people.set(SLACK_ADA, "Ada");
  const slug = `slack-${mode}`;
  if (mode === "events") stub.webhook = `${base}${pathOf(slug)}`;
  function knock(text: string, person: number): Knock {
    const user = `U00BOB${String(person).padStart(5, "0")}`;
    stub.people.set(user, `Bob ${person}`);
    const body = JSON.stringify(envelope(said(text, { user, channel: `D${user.slice(1)}` })));
    const at = String(Math.floor(Date.now() / 1000));
    return { url: stub.webhook, body, headers: { ...JSON_TYPE, "x-slack-request-timestamp": at, "x-slack-signature": `v0=${createHmac("sha256", stub.signingSecret).update(`v0:${at}:${body}`).digest("hex")}` } };
  }
  return {
    name: `Slack, ${mode === "socket" ? "Socket Mode" : "Events API"}`,
    node: account(slug, "slack", { mode, apiUrl: stub.apiUrl }, { token: stub.team.token, ...(mode === "socket" ? { key: stub.appToken } : { secret: stub.signingSecret }) }),
    async say(text) { stub.push(envelope(said(text))); },
    answers: () => stub.shown(DIRECT),
    ...(mode === "socket" ? { logins: () => stub.calls("apps.connections.open").length, links: () => [...stub.sockets] } : { knock }),
    wrong: { token: "xoxb-999-888-canarywrong" },
    problems: stub.problems, close: stub.close,
  };
};

async function openWhatsapp(base: string): Promise<Line> {
  const stub = await startWhatsapp();
  stub.webhook = `${base}${pathOf("whatsapp")}`;
  stub.statuses = true;
  const message = (text: string, from = WHATSAPP_ADA) => messageBody(stub.phone, { from, id: `wamid.in${nextNumber()}`, timestamp: String(Math.floor(Date.now() / 1000)), type: "text", text: { body: text } }, { wa_id: from, profile: { name: "Ada Lovelace" } });
  return {
    name: "WhatsApp, Cloud API", node: account("whatsapp", "whatsapp", { phone: stub.phone, apiRoot: stub.url }, { token: stub.token, secret: stub.secret, key: stub.key }),
    async say(text) { stub.push(message(text)); },
    knock(text, person) {
      const body = JSON.stringify(message(text, String(Number(WHATSAPP_ADA) + person)));
      return { url: String(stub.webhook), body, headers: { ...JSON_TYPE, "x-hub-signature-256": stub.sign(body) } };
    },
    answers: () => stub.shown.map(({ text }) => text),
    // A look at its health asks for less.
    logins: () => stub.seen.filter(({ method, path, query }) => method === "GET" && path === stub.phone && query.get("fields")?.includes("verified_name") === true).length,
    wrong: { token: "EAAGwrongWRONGwrongWRONGwrongWRONG" },
    problems: stub.problems, close: stub.close,
  };
}

/** The stub posts in process; here it does over HTTP. */
function overHttp(stub: TwilioStub, base: string, slug: string): void {
  const url = `${base}${pathOf(slug)}`;
  const webhook: Connection["webhook"] = async ({ path, query, headers, body, signal }) => {
    const address = path === "/" ? url : `${url}${path}${query.size === 0 ? "" : `?${query}`}`;
    const answer = await fetch(address, { method: "POST", headers, body: body as Uint8Array<ArrayBuffer>, signal });
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body: await answer.text() };
  };
  stub.serve(url, { webhook } as Connection);
}
const twilioNode = (stub: TwilioStub, slug: string, channel: string): FlowNode => account(slug, channel, { accountSid: stub.accountSid, number: stub.number, apiRoot: stub.url }, { token: stub.token });
/** A look at the account's health asks the same, but only where thirty seconds passed without a call that worked. */
const twilioLogins = (stub: TwilioStub) => () => stub.seen.filter(({ method, path }) => method === "GET" && path === `/2010-04-01/Accounts/${stub.accountSid}.json`).length;

const twilioMessages = (kind: "sms" | "whatsapp"): OpenLine => async (base) => {
  const stub = await startTwilio();
  const slug = `twilio-${kind}`;
  const prefix = kind === "whatsapp" ? "whatsapp:" : "";
  overHttp(stub, base, slug);
  const fields = (text: string, from = TWILIO_ADA) => ({ MessageSid: stub.newSid("SM"), AccountSid: stub.accountSid, From: prefix + from, To: prefix + stub.number, Body: text, NumMedia: "0" });
  return {
    name: kind === "sms" ? "SMS, Twilio" : "WhatsApp, Twilio", node: twilioNode(stub, slug, slug),
    say: (text) => stub.say(fields(text)),
    knock(text, person) {
      const { headers, body } = stub.sign(fields(text, `+${Number(TWILIO_ADA.slice(1)) + person}`), "");
      return { url: `${base}${pathOf(slug)}`, headers, body: Buffer.from(body).toString() };
    },
    answers: () => stub.posted.map(({ body }) => body),
    logins: twilioLogins(stub), wrong: { token: "canary-wrong-token-xyz" }, problems: stub.problems, close: stub.close,
  };
};

/** A call that goes on: each turn is a request of Twilio that ends when there is something to hear. */
async function openVoice(base: string): Promise<Line> {
  const stub = await startTwilio();
  overHttp(stub, base, "twilio-voice");
  stub.calls.set(CALL, { from: TWILIO_ADA, to: stub.number, status: "in-progress" });
  const fields = { CallSid: CALL, AccountSid: stub.accountSid, From: TWILIO_ADA, To: stub.number, CallStatus: "in-progress" };
  const heard: string[] = [];
  let next: string | undefined;
  const turn = async (path: string, more: Record<string, string> = {}): Promise<string> => {
    for (;;) {
      const { status, body } = await stub.post({ ...fields, ...more }, path);
      if (status === 200) return body;
      await pause(100);
    }
  };
  const where = (twiml: string): string => (/(?:action="|<Redirect[^>]*>)[^"<]*?(\/(?:heard|wait)[^"<]*)/.exec(twiml)?.[1] ?? "").replaceAll("&amp;", "&");
  return {
    name: "Phone, Twilio", node: twilioNode(stub, "twilio-voice", "twilio-voice"),
    async say(text) {
      next ??= where(await turn("", { CallStatus: "ringing" }));
      let body = await turn(next, { SpeechResult: text, Confidence: "0.9" });
      while (body.includes("<Redirect")) body = await turn(where(body));
      heard.push(...spoken(body));
      next = where(body);
    },
    answers: () => [...heard, ...(stub.said.get(CALL) ?? []).flatMap(spoken)],
    logins: twilioLogins(stub), wrong: { token: "canary-wrong-token-xyz" }, problems: stub.problems, close: stub.close,
  };
}

async function openSignal(): Promise<Line> {
  const token = "canary-bearer-token-77";
  const stub = await startSignal({ mode: "websocket", token });
  let time = 1_795_700_000_000;
  return {
    name: "Signal", node: account("signal", "signal", { apiRoot: stub.url, number: stub.number, mode: "websocket" }, { token }),
    async say(text) {
      // The server drops what comes while nobody listens.
      while (stub.listeners() === 0) await pause(5);
      const timestamp = ++time;
      stub.push({ envelope: { source: ADA_NUMBER, sourceNumber: ADA_NUMBER, sourceUuid: SIGNAL_ADA, sourceName: "Ada", sourceDevice: 1, timestamp, serverReceivedTimestamp: timestamp, serverDeliveredTimestamp: timestamp, dataMessage: { timestamp, message: text, expiresInSeconds: 0, isExpirationUpdate: false, viewOnce: false } } });
    },
    answers: () => stub.posted.filter(({ removed }) => !removed).map(({ text }) => text),
    logins: () => stub.seen.filter(({ path }) => path === "/v1/accounts").length,
    links: () => [...stub.ears],
    wrong: { token: "canary-wrong-token" },
    problems: stub.problems, close: stub.close,
  };
}

async function openImessage(base: string): Promise<Line> {
  const stub = await startBlueBubbles();
  const knock = (text: string, person: number): Knock => {
    const address = `+${14_155_550_100 + person}`;
    const data = stub.write({ text, handle: { address, service: "iMessage" }, chats: [{ guid: `iMessage;-;${address}` }] });
    return { url: `${base}${pathOf("imessage")}/${IMESSAGE_SECRET}`, headers: JSON_TYPE, body: JSON.stringify({ type: "new-message", data }) };
  };
  return {
    name: "iMessage, webhook", node: account("imessage", "imessage", { apiRoot: stub.url, mode: "webhook", privateApi: true }, { password: stub.password, secret: IMESSAGE_SECRET }), knock,
    say: async (text) => taken(await post(knock(text, 0))),
    answers: () => stub.rows.filter(({ isFromMe, dateRetracted }) => isFromMe === true && dateRetracted == null).map(({ text }) => text ?? ""),
    logins: () => stub.seen.filter(({ path }) => path === "/server/info").length,
    wrong: { password: "canary-wrong-password" },
    problems: stub.problems, close: stub.close,
  };
}

/** Dovecot, to which the mails of a person come, and a mail server that takes ours. */
export async function openEmail(): Promise<Line> {
  const imap = await dovecot();
  const smtp = await startSmtp({ password: imap.password });
  const relay = await startRelay(imap.port);
  const user = `twelve-${process.pid}-${nextNumber()}`;
  return {
    name: "E-mail", node: account("mail", "email", { imapHost: "127.0.0.1", imapPort: relay.port, imapSecurity: "none", smtpHost: "127.0.0.1", smtpPort: smtp.port, smtpSecurity: "none", user, address: "claw@example.net", authserv: "mx.example.net", everySeconds: 1 }, { password: imap.password }),
    async say(text) { imap.deliver(user, mail(text)); },
    answers: () => smtp.taken.map(({ email: { text = "" } }) => text.trim()),
    logins: relay.opened, links: relay.links,
    wrong: { password: "canary-wrong-password" },
    problems: () => [],
    async close() { await smtp.close(); await relay.close(); },
  };
}

/** A service that posts and reads the answer in the same breath. */
async function openHook(base: string): Promise<Line> {
  const secret = "bearer-of-the-webhook-123456";
  const heard: string[] = [];
  const knock = (text: string, person: number): Knock => ({ url: `${base}/clawflow/hooks/door`, headers: { ...JSON_TYPE, authorization: `Bearer ${secret}` }, body: JSON.stringify({ text, from: `person-${person}` }) });
  return {
    name: "Webhook",
    node: { id: "hook", type: "clawflow-webhook", z: "tab", x: 100, y: 200, name: "", gateway: "gw", path: "door", verify: "bearer", answer: "flow", timeoutSeconds: 60, mapping: { "sender.id": { type: "msg", value: "payload.from" } }, credentials: { secret }, version: 1, wires: [["agent"]] },
    knock,
    async say(text) {
      const answer = await post(knock(text, 0));
      heard.push(answer.status === 200 ? await answer.text() : `${answer.status} ${await answer.text()}`);
    },
    answers: () => heard,
    problems: () => [],
    async close() {},
  };
}

/** One of each; e-mail, which needs Dovecot, is `openEmail`. */
export const ELEVEN: readonly OpenLine[] = [openWebchat, telegramBy("polling"), openDiscord, slackBy("socket"), openWhatsapp, twilioMessages("whatsapp"), openSignal, openImessage, twilioMessages("sms"), openVoice, openHook];
/** The same platforms in the other of their ways. */
export const OTHER_WAYS: readonly OpenLine[] = [telegramBy("webhook"), openDiscordWebhook, slackBy("events")];

/** All of them with one agent behind: what they are deployed with. `more`: fields of channel in. */
export function oneFlow(lines: readonly Line[], base: string, model: FlowNode, more: Json = {}): FlowNode[] {
  return [
    tab, { ...gateway, webhookBase: base }, model,
    on("in", "clawflow-channel-in", { gateway: "gw", accounts: [], ...more }, ["agent"], []),
    on("agent", "clawflow-agent", { gateway: "gw", model: "model", system: "You are Home." }, ["out"], []),
    on("out", "clawflow-channel-out", { gateway: "gw", action: "reply" }),
    ...lines.map(({ node }) => node),
  ];
}
