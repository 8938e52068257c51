/** What WhatsApp posts as canonical Messages. Pure. */
import { ClawError } from "../../errors.ts";
import { type Action, type Address, MESSAGE_VERSION, type Message, type MessageKind, type Sender } from "../../message.ts";
import { attachmentsOf, filled, formValues, numeric, said, textOf } from "./content.ts";
import { toMarkdown } from "./marks.ts";
import type { Content, Item, Value, WaCall, WaError, WaMessage, WaStatus } from "./payload.ts";

export interface Self {
  /** Phone number id. */
  readonly id: string;
  readonly account: string;
  /** Unix milliseconds, for what carries no time. */
  readonly now: number;
}

/** Undefined: nothing a flow could use. Throws MSG_001, or a TypeError, for what cannot be read at all. */
export function toMessage(item: Item, self: Self): Message | undefined {
  switch (item.kind) {
    case "message": return fromMessage(item.one, item.value, self, false);
    case "echo": return fromMessage(item.one, item.value, self, true);
    case "status": return fromStatus(item.one, item.value, self);
    case "call": return fromCall(item.one, item.value, self);
  }
}

/** A word on what failed, as Meta says it. */
export function errorText(errors: readonly WaError[] | undefined): string | undefined {
  const [error] = Array.isArray(errors) ? (errors as WaError[]) : [];
  return error === undefined || error === null ? undefined : `${said(error.error_data?.details) ?? said(error.message) ?? said(error.title) ?? "unknown"} (${numeric(error.code ?? 0)})`;
}

/** `echo`: the business itself wrote it, in its own app. */
function fromMessage(one: WaMessage, value: Value, self: Self, echo: boolean): Message {
  const id = required(one.id, "id");
  const original = said(one.edit?.original_message_id) ?? said(one.revoke?.original_message_id);
  const content: Content = one.type === "edit" ? (one.edit?.message ?? {}) : one;
  const { context } = content;
  const group = said(one.group_id);
  const who = echo ? (said(one.to) ?? said(one.to_user_id)) : (said(one.from) ?? said(one.from_user_id));
  const chat = group ?? required(who, "from");
  const read = reading(content);
  const kind = one.type === "edit" ? "edit" : one.type === "revoke" ? "delete" : read.kind;
  const own = numbers(value, self);
  const text = textOf(content);
  const mentioned = group !== undefined && own.some((number) => number.length > 4 && text.includes(`@${number}`));
  const tags = [...(kind === read.kind ? read.tags : []), ...(context?.forwarded === true || context?.frequently_forwarded === true ? ["forwarded"] : []), ...(context?.frequently_forwarded === true ? ["frequently_forwarded"] : [])];
  const replyTo = said(context?.id) ?? (read.kind === "reaction" ? said(content.reaction?.message_id) : undefined);
  const reply = context?.from !== undefined && own.includes(digits(context.from));
  return {
    version: MESSAGE_VERSION, id, ref: original ?? (read.kind === "reaction" ? replyTo : undefined) ?? id, kind,
    at: address(chat, group !== undefined, self),
    sender: echo ? { id: self.id, name: "", bot: true, self: true } : senderOf(value, said(one.from), said(one.from_user_id), self),
    sentAt: millis(one.timestamp, self),
    text: toMarkdown(text),
    attachments: attachmentsOf(content),
    addressed: !echo && (group === undefined || mentioned || reply || read.action?.type === "button" || read.action?.type === "choice"),
    ...filled({ replyTo, action: read.action, forwarded: tags.includes("forwarded") ? {} : undefined, mentions: mentioned ? [self.id] : undefined, tags: tags.length === 0 ? undefined : tags }),
  };
}

interface Reading { readonly kind: MessageKind; readonly action?: Action; readonly tags: readonly string[] }
const CONTENT_TYPES = new Set(["text", "image", "video", "audio", "document", "sticker", "location", "contacts", "order"]);

/** What kind of act it is, and what was pressed, chosen, filled in. */
function reading(content: Content): Reading {
  const { type = "", reaction, button, interactive } = content;
  if (CONTENT_TYPES.has(type)) return { kind: "message", tags: [] };
  if (type === "reaction") return { kind: "reaction", action: { type: "reaction", emoji: said(reaction?.emoji, 100) ?? "", removed: said(reaction?.emoji) === undefined }, tags: [] };
  if (type === "button" && button !== undefined) return pressed(button.payload ?? button.text, button.text);
  if (type === "interactive") {
    const { button_reply, list_reply, nfm_reply } = interactive ?? {};
    if (button_reply !== undefined) return pressed(button_reply.id, button_reply.title);
    if (list_reply !== undefined) return { kind: "action", action: { type: "choice", values: [said(list_reply.id) ?? said(list_reply.title) ?? ""] }, tags: [] };
    if (nfm_reply !== undefined) return { kind: "action", action: { type: "form", name: said(nfm_reply.name) ?? "flow", values: formValues(nfm_reply.response_json) }, tags: [] };
  }
  // A system message, a kind the API does not hand on ("unsupported"), or one that is newer than this.
  const named = said(content.system?.type) ?? said(content.unsupported?.type) ?? said(interactive?.type);
  return { kind: "event", tags: [said(type, 100) ?? "unknown", ...(named === undefined ? [] : [named])] };
}
function pressed(value: unknown, label: unknown): Reading {
  return { kind: "action", action: filled({ type: "button" as const, value: said(value) ?? "", label: said(label) }) as Action, tags: [] };
}

/** Statuses as Meta names them; "played" is a voice message that was listened to. */
const STATES: Readonly<Record<string, "sent" | "delivered" | "read" | "failed">> = { sent: "sent", delivered: "delivered", read: "read", played: "read", failed: "failed" };

function fromStatus(one: WaStatus, value: Value, self: Self): Message | undefined {
  const ref = required(one.id, "id");
  const state = Object.hasOwn(STATES, one.status ?? "") ? STATES[one.status ?? ""] : undefined;
  const chat = said(one.recipient_id) ?? said(one.recipient_user_id);
  if (state === undefined || chat === undefined) return undefined;
  const group = one.recipient_type === "group";
  const person = group ? [said(one.recipient_participant_id), said(one.recipient_participant_user_id)] : [said(one.recipient_id), said(one.recipient_user_id)];
  return {
    version: MESSAGE_VERSION, id: `status:${one.status}:${ref}${group ? `:${person[0] ?? person[1] ?? ""}` : ""}`, ref, kind: "event",
    at: address(chat, group, self),
    sender: senderOf(value, person[0], person[1] ?? (person[0] === undefined ? chat : undefined), self),
    sentAt: millis(one.timestamp, self),
    text: "", attachments: [], addressed: false,
    action: filled({ type: "status" as const, ref, state, text: errorText(one.errors) }) as Action,
  };
}

function fromCall(one: WaCall, value: Value, self: Self): Message | undefined {
  const id = required(one.id, "id");
  const ours = one.direction === "BUSINESS_INITIATED";
  const chat = said(ours ? one.to : one.from);
  const state = one.event === "connect" ? "ringing" : one.event === "terminate" ? "ended" : undefined;
  if (state === undefined || chat === undefined) return undefined;
  const seconds = typeof one.duration === "number" && one.duration >= 0 ? one.duration : undefined;
  return {
    version: MESSAGE_VERSION, id: `call:${state}:${id}`, ref: id, kind: "call", at: address(chat, false, self),
    sender: ours ? { id: self.id, name: "", bot: true, self: true } : senderOf(value, chat, undefined, self),
    sentAt: millis(one.timestamp, self), text: "", attachments: [], addressed: !ours,
    action: filled({ type: "call" as const, state, seconds }) as Action,
  };
}

function address(chat: string, group: boolean, self: Self): Address {
  return { channel: "whatsapp", account: self.account, chat, kind: group ? "group" : "direct" };
}

/** The phone number where it is told (an allow list holds numbers), else the person's id within this business. */
function senderOf(value: Value, phone: string | undefined, user: string | undefined, self: Self): Sender {
  const contacts = Array.isArray(value.contacts) ? value.contacts : [];
  const contact = contacts.find((each) => (phone !== undefined && each?.wa_id === phone) || (user !== undefined && each?.user_id === user));
  const id = required(phone ?? user, "from");
  return filled({ id, name: said(contact?.profile?.name) ?? id, handle: said(contact?.profile?.username), bot: false, self: id === self.id }) as Sender;
}

const digits = (text: unknown): string => (said(text) ?? "").replace(/\D/g, "");
/** How a message names our own number: by its id, or as it is dialled. */
function numbers(value: Value, self: Self): string[] {
  return [self.id, digits(value.metadata?.display_phone_number ?? "")].filter((number) => number !== "");
}

function millis(seconds: unknown, self: Self): number {
  const time = numeric(seconds) * 1000;
  return Number.isFinite(time) && time >= 0 ? time : self.now;
}

function required(value: unknown, field: string): string {
  const text = said(value);
  if (text === undefined) throw new ClawError("MSG_001", {}, `Expected "${field}" to be a text, got ${value === undefined ? "nothing" : typeof value}.`);
  return text;
}
