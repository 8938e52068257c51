/** A live account of Twilio's messages: SMS and MMS, and WhatsApp by Twilio. What differs between them is a row. */
import type { Account, ChannelContext, Connection, FileNeeds, WebhookAnswer } from "../channel.ts";
import { firstFree } from "../doubt.ts";
import { asClawError, ChannelError } from "../../errors.ts";
import type { Address, Draft } from "../../message.ts";
import { type DialectName, render } from "../dialects.ts";
import { text } from "../setting-text.ts";
import { createTwilio, type Form, identify, type Json, type Twilio } from "./api.ts";
import { createMediaDoor, fetchMedia, type MediaDoor } from "./media.ts";
import { toMessage, toStatus } from "./to-message.ts";
import { comeAgain, createDoor, type Fields, twiml } from "./webhook.ts";
import { withRaw } from "../raw.ts";

export interface Kind {
  readonly channel: string;
  /** Stands before numbers. */
  readonly prefix: string;
  readonly dialect: DialectName;
  readonly files: FileNeeds;
  readonly typing: boolean;
}
/** Twilio's times have no milliseconds, and its clock is not ours. */
const CLOCK_SLACK_MS = 5_000;

export async function connect(account: Account, context: ChannelContext, kind: Kind): Promise<Connection> {
  if (context.webhookUrl === undefined) throw new ChannelError("CONF_001", {}, "Expected a public https address for Twilio's webhook, got none. Set it in the gateway.");
  context.status("connecting");
  const twilio = createTwilio(account, context);
  const self = await identify(account, context);
  const token = text(account, "token");
  const media = createMediaDoor(context, token);
  const place = () => ({ channel: kind.channel, account: account.id, prefix: kind.prefix, number: text(account, "number"), now: context.clock.now() });
  let closed = false;

  async function take(path: string, fields: Fields): Promise<WebhookAnswer> {
    const status = path === "/status";
    if (path !== "/" && !status) return { status: 404 };
    const message = status ? toStatus(fields, place()) : toMessage(fields, place());
    if (message === undefined) {
      if (!status) context.log("warn", `MSG_001: a request of Twilio holds no message for ${text(account, "number")} and is left out.`);
      return twiml("");
    }
    if (status && account.settings.statuses !== true) return twiml("");
    try {
      await context.receive(withRaw(account, message, fields));
      return twiml("");
    } catch (thrown) {
      return comeAgain(asClawError(thrown, "STORE_001", "later").afterMs);
    }
  }
  const door = createDoor({ token, context, take });
  context.status("connected");

  return {
    self,
    async send(to, draft) {
      const answer = await twilio.post("Messages.json", await sendForm(to, draft, account, kind, media, context));
      return refOf(answer);
    },
    async find(to, sent) {
      const since = sent.startedAt - CLOCK_SLACK_MS;
      const { messages } = await twilio.get("Messages.json", { To: `${kind.prefix}${to.chat}`, From: senderOf(account, kind).From, "DateSent>": new Date(since).toISOString().slice(0, 10), PageSize: "50" });
      const isAlike = likenessOf(sent.draft, kind);
      const alike = (Array.isArray(messages) ? (messages as Json[]) : []).filter((message) => isAlike(message) && String(message.direction).startsWith("outbound") && Date.parse(String(message.date_created)) >= since - (since % 1_000));
      return firstFree(alike.map(refOf), sent);
    },
    ...(kind.typing ? { typing: (_to: Address, about?: string) => typing(twilio, about) } : {}),
    async health(signal) { await twilio.get("", {}, signal); },
    media: (reference, signal) => fetchMedia(context, twilio, reference, signal),
    call: (method, parameters) => twilio.post(method, formOf(parameters)),
    async webhook(request) {
      if (closed || context.signal.aborted) return comeAgain();
      return (await media.answer(request)) ?? door(request);
    },
    async close() { closed = true; },
  };
}

/** https://www.twilio.com/docs/whatsapp/api/typing-indicators-resource; it marks the message as read too. */
async function typing(twilio: Twilio, about: string | undefined): Promise<void> {
  if (about !== undefined) await twilio.post("/v2/Indicators/Typing.json", { messageId: about, channel: "whatsapp" });
}

/** The request of a draft that was cut to fit. Exported for tests. */
async function sendForm(to: Address, draft: Draft, account: Account, kind: Kind, media: Pick<MediaDoor, "address">, context: Pick<ChannelContext, "webhookUrl">): Promise<Form> {
  if (!/^\+?[\w.:@-]{2,64}$/.test(to.chat)) throw new ChannelError("MSG_002", {}, `Expected a chat to be a phone number as +15551234567, got "${to.chat.slice(0, 40)}".`);
  const urls = await Promise.all((draft.attachments ?? []).map((file) => media.address(file, kind.files)));
  const callback = account.settings.statuses === true ? { StatusCallback: `${(context.webhookUrl ?? "").replace(/\/+$/, "")}/status` } : {};
  return { To: `${kind.prefix}${to.chat}`, ...senderOf(account, kind), ...callback, ...contentOf(draft, kind, urls) };
}

/** What people see of it. `urls`: its files, where Twilio fetches them. */
function contentOf(draft: Draft, kind: Kind, urls: readonly string[]): Form {
  const { location, template } = draft;
  const body = bodyOf(draft, kind);
  return {
    ...(template === undefined
      ? { ...(body === "" ? {} : { Body: body }), ...(urls.length === 0 ? {} : { MediaUrl: urls }), ...(location === undefined ? {} : { PersistentAction: [`geo:${location.latitude},${location.longitude}${location.title === undefined ? "" : `|${location.title}`}`] }) }
      : { ContentSid: template.name, ...(template.values === undefined ? {} : { ContentVariables: JSON.stringify(Object.fromEntries(template.values.map((value, index) => [String(index + 1), value]))) }) }),
    ...formOf(draft.native?.[kind.channel] ?? {}),
  };
}

/** Could a message that Twilio lists be this draft? What a template says only Twilio knows: then its time alone tells, and that it is nobody else's. */
function likenessOf(draft: Draft, kind: Kind): (message: Json) => boolean {
  const { Body = "", MediaUrl = [], ContentSid } = contentOf(draft, kind, (draft.attachments ?? []).map(({ media }) => media));
  if (ContentSid !== undefined) return () => true;
  const files = [MediaUrl].flat().length;
  return ({ body, num_media }) => (body ?? "") === Body && (num_media === undefined || num_media === null || Number(num_media) === files);
}

/** A number, or a Messaging Service that chooses one. */
function senderOf(account: Account, kind: Kind): { readonly From?: string; readonly MessagingServiceSid?: string } {
  const service = text(account, "service");
  return service === "" ? { From: `${kind.prefix}${text(account, "number")}` } : { MessagingServiceSid: service };
}

function bodyOf({ text: words, plain, location }: Draft, kind: Kind): string {
  if (words === "" && location !== undefined) return location.title ?? location.address ?? "📍";
  return plain === true ? words : render(words, kind.dialect);
}

function refOf(message: Json): string {
  if (typeof message.sid !== "string" || message.sid === "") throw new ChannelError("CONN_001", { retry: "later" }, "Expected Twilio to name the message it took, got none.");
  return message.sid;
}

function formOf(parameters: Readonly<Record<string, unknown>>): Form {
  return Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, Array.isArray(value) ? value.map(String) : value === undefined || value === null ? undefined : String(value)]));
}
