/** What Twilio posts about messages, as Messages. Fields: https://www.twilio.com/docs/messaging/guides/webhook-request */
import { fileKind } from "../../media.ts";
import type { Action, Attachment, FileAttachment, Message } from "../../message.ts";
import { MESSAGE_VERSION } from "../../message.ts";
import type { Fields } from "./webhook.ts";

/** `prefix`: what stands before numbers on this channel, "whatsapp:" or nothing. */
export interface Place { readonly channel: string; readonly account: string; readonly prefix: string; /** The account's own number, without prefix. */ readonly number: string; readonly now: number }

const MOST_FILES = 10;

/** A message a person sent. Undefined: it is none, or for another number. */
export function toMessage(fields: Fields, place: Place): Message | undefined {
  const { MessageSid: sid, From = "", To = "", Body = "" } = fields;
  const from = without(From, place.prefix);
  if (sid === undefined || sid === "" || from === undefined || from === "") return undefined;
  if (without(To, place.prefix) !== place.number && fields.MessagingServiceSid === undefined) return undefined;
  const action = actionOf(fields);
  const attachments = [...filesOf(fields, place.prefix), ...placesOf(fields)];
  return {
    version: MESSAGE_VERSION,
    id: sid, ref: sid, kind: action === undefined || action.type === "command" ? "message" : "action",
    at: { channel: place.channel, account: place.account, chat: from, kind: "direct" },
    sender: { id: from, name: fields.ProfileName || from, handle: from, bot: false, self: from === place.number },
    sentAt: place.now,
    text: fields.ButtonText !== undefined ? fields.ButtonText : Body,
    attachments,
    ...(action === undefined ? {} : { action }),
    ...(fields.OriginalRepliedMessageSid ? { replyTo: fields.OriginalRepliedMessageSid } : {}),
    ...(fields.Forwarded === "true" || fields.FrequentlyForwarded === "true" ? { forwarded: {} } : {}),
    addressed: true,
  };
}

const STATES: Readonly<Record<string, Extract<Action, { type: "status" }>["state"]>> = { sent: "sent", delivered: "delivered", read: "read", undelivered: "failed", failed: "failed" };

/** What became of a message of ours; undefined for the steps before it is sent. */
export function toStatus(fields: Fields, place: Place): Message | undefined {
  const { MessageSid: sid, MessageStatus = "", To = "", ErrorCode } = fields;
  const state = STATES[MessageStatus];
  const to = without(To, place.prefix);
  if (sid === undefined || sid === "" || state === undefined || to === undefined || to === "") return undefined;
  return {
    version: MESSAGE_VERSION,
    id: `${sid}:${MessageStatus}`, ref: sid, kind: "event",
    at: { channel: place.channel, account: place.account, chat: to, kind: "direct" },
    sender: { id: to, name: to, bot: false, self: false },
    sentAt: place.now, text: "", attachments: [], addressed: false,
    action: { type: "status", ref: sid, state, ...(ErrorCode === undefined ? {} : { text: `Twilio error ${ErrorCode}` }) },
  };
}

function without(address: string, prefix: string): string | undefined {
  return address.startsWith(prefix) ? address.slice(prefix.length) : undefined;
}

function actionOf({ ButtonPayload, ButtonText, ListId, ListTitle, Body = "" }: Fields): Action | undefined {
  if (ButtonPayload !== undefined) return { type: "button", value: ButtonPayload, ...(ButtonText === undefined ? {} : { label: ButtonText }) };
  if (ListId !== undefined) return { type: "choice", values: [ListId], ...(ListTitle === undefined ? {} : { name: ListTitle }) };
  const [, name, args = ""] = /^\/([A-Za-z][\w-]{0,31})(?:\s+([\s\S]*))?$/.exec(Body.trim()) ?? [];
  return name === undefined ? undefined : { type: "command", name: name.toLowerCase(), args: args.trim() };
}

function filesOf(fields: Fields, prefix: string): FileAttachment[] {
  const count = Math.min(MOST_FILES, Number(fields.NumMedia) || 0);
  return Array.from({ length: count }, (_, index): FileAttachment | undefined => {
    const media = fields[`MediaUrl${index}`];
    if (media === undefined || media === "") return undefined;
    const mime = fields[`MediaContentType${index}`];
    const kind = mime === undefined ? "document" : fileKind(mime);
    // WhatsApp's voice notes are its only files of this type.
    return { kind: prefix === "whatsapp:" && mime?.startsWith("audio/ogg") === true ? "voice" : kind, media, state: "remote", ...(mime === undefined ? {} : { mime }) };
  }).filter((file) => file !== undefined);
}

function placesOf({ Latitude, Longitude, Label, Address }: Fields): Attachment[] {
  const [latitude, longitude] = [Number(Latitude), Number(Longitude)];
  const right = Latitude !== undefined && Longitude !== undefined && Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180;
  return right ? [{ kind: "location", latitude, longitude, ...(Label === undefined ? {} : { title: Label }), ...(Address === undefined ? {} : { address: Address }) }] : [];
}
