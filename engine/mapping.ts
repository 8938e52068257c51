/** Any message of a flow (HTTP, MQTT, e-mail, inject, another package's Telegram node) as a Message, by fields that say where each value is. */
import { createHash, randomUUID } from "node:crypto";
import { ClawError } from "./errors.ts";
import { describeValue, parseAddress, parseMessage } from "./message-schema.ts";
import { MESSAGE_VERSION, type Message } from "./message.ts";
import { compileTemplate, renderTemplate, type CompiledTemplate } from "./template.ts";

/** As a typed input holds it: `msg` a path, `str` `num` `bool` `json` a fixed value, `template` Liquid; the caller may know more (env, flow, jsonata). */
export interface TypedValue { readonly type: string; readonly value: unknown }
export type MappingField =
  | "text" | "id" | "ref" | "kind" | "account" | "chat" | "chatKind" | "space" | "thread" | "sender.id" | "sender.name" | "sender.handle" | "language"
  | "sentAt" | "replyTo" | "tags" | "attachments" | "to.channel" | "to.account" | "to.chat" | "to.kind" | "to.space" | "to.thread";
export type Mapping = { readonly [F in MappingField]?: TypedValue };

type Type = "text" | "time" | "place" | "list" | "json";
export interface MappingFieldInfo { readonly field: MappingField; readonly label: string; readonly type: Type; readonly hint?: string; readonly initial?: TypedValue }
const str = (value: string): TypedValue => ({ type: "str", value });
const msg = (value: string): TypedValue => ({ type: "msg", value });
const template = (value: string): TypedValue => ({ type: "template", value });

/** The fields there are, as data for the form; `initial` is used where a mapping leaves the field out. */
export const MAPPING_FIELDS: readonly MappingFieldInfo[] = [
  { field: "text", label: "text", type: "text", initial: msg("payload") },
  { field: "sender.id", label: "sender: id", type: "text", hint: "Never changes for one person.", initial: str("flow") },
  { field: "sender.name", label: "sender: name", type: "text", hint: "Default: the id." },
  { field: "sender.handle", label: "sender: handle", type: "text" },
  { field: "chat", label: "chat", type: "text", hint: "Messages of one chat share a memory. Default: the sender's id." },
  { field: "chatKind", label: "direct or group", type: "place", initial: str("direct") },
  { field: "thread", label: "thread", type: "text" },
  { field: "space", label: "space", type: "text" },
  { field: "id", label: "id", type: "text", hint: "The same id twice is one message. Without one, every message is new; the type hash takes the content as id." },
  { field: "ref", label: "id for replies", type: "text", hint: "Default: the id." },
  { field: "replyTo", label: "replies to", type: "text" },
  { field: "kind", label: "kind of message", type: "text", initial: str("message") },
  { field: "language", label: "language", type: "text" },
  { field: "sentAt", label: "sent at", type: "time", hint: "A date, or Unix milliseconds or seconds. Default: now." },
  { field: "tags", label: "tags", type: "list" },
  { field: "attachments", label: "attachments", type: "json", hint: "A list as in docs/message.md." },
  { field: "account", label: "account", type: "text", hint: "Names the source; the channel is always flow.", initial: str("flow") },
  { field: "to.channel", label: "reply to: channel", type: "text" },
  { field: "to.account", label: "reply to: account", type: "text" },
  { field: "to.chat", label: "reply to: chat", type: "text" },
  { field: "to.kind", label: "reply to: direct or group", type: "place" },
  { field: "to.space", label: "reply to: space", type: "text" },
  { field: "to.thread", label: "reply to: thread", type: "text" },
];

export interface MappingPreset { readonly id: string; readonly label: string; readonly mapping: Mapping }
/** Shapes that are known. */
export const PRESETS: readonly MappingPreset[] = [
  { id: "inject", label: "inject, or any text in msg.payload", mapping: { text: msg("payload"), "sender.id": str("inject") } },
  {
    id: "http", label: "http in (JSON or form)",
    mapping: { text: msg("payload.text"), "sender.id": msg("payload.sender"), "sender.name": msg("payload.name"), chat: msg("payload.chat"), id: msg("payload.id") },
  },
  { id: "mqtt", label: "mqtt in", mapping: { text: msg("payload"), "sender.id": msg("topic"), chat: msg("topic") } },
  {
    // node-red-node-email 5: payload = text part, topic = subject, from, date, header (lower-case names).
    id: "email", label: "e-mail in",
    mapping: {
      text: template("{% if topic %}{{ topic }}\n\n{% endif %}{{ payload }}"), "sender.id": msg("from"), chat: msg("from"), id: msg('header["message-id"]'),
      replyTo: msg('header["in-reply-to"]'), sentAt: msg("date"), tags: str("email"),
    },
  },
  {
    // node-red-contrib-telegrambot 19: payload { chatId, messageId, type, content, caption?, date? }; content is a file id unless type is "message"; originalMessage is Telegram's.
    id: "telegrambot", label: "Telegram receiver (node-red-contrib-telegrambot)",
    mapping: {
      text: template('{% if payload.type == "message" %}{{ payload.content }}{% else %}{{ payload.caption }}{% endif %}'),
      "sender.id": msg("originalMessage.from.id"), "sender.name": template("{{ originalMessage.from.first_name }} {{ originalMessage.from.last_name }}"), "sender.handle": msg("originalMessage.from.username"),
      language: msg("originalMessage.from.language_code"), chat: msg("payload.chatId"), chatKind: msg("originalMessage.chat.type"), thread: msg("originalMessage.message_thread_id"),
      id: template("{{ payload.chatId }}:{{ payload.messageId }}"), ref: msg("payload.messageId"), replyTo: msg("originalMessage.reply_to_message.message_id"), sentAt: msg("originalMessage.date"),
    },
  },
];

/** Words other systems have for the two kinds of chat. */
const PLACES: Readonly<Record<string, "direct" | "group">> = {
  direct: "direct", private: "direct", dm: "direct", im: "direct", personal: "direct", user: "direct",
  group: "group", supergroup: "group", channel: "group", room: "group", mpim: "group", guild: "group",
};

/**
 * The Message that a mapping makes. `resolve` finds the value of a typed field; `now` is Unix milliseconds; `random` names a message that has no id of its own.
 * The result has channel "flow", so it never passes for somebody of a platform. Throws ClawError MSG_001 (MSG_003) that names field, expected and got.
 */
export function mapMessage(mapping: Mapping, resolve: (type: string, value: unknown) => unknown, now: number, random: () => string = randomUUID): Message {
  const values = new Map<MappingField, unknown>();
  for (const { field, type, initial } of MAPPING_FIELDS) {
    const given = Object.hasOwn(mapping, field) ? mapping[field] : undefined;
    if (given !== undefined && typeof given?.type !== "string") throw new ClawError("MSG_001", {}, `Expected the mapping's "${field}" to have a type and a value, got ${describeValue(given)}.`);
    const typed = given === undefined || (given.value === "" && given.type !== "str" && given.type !== "hash") ? initial : given;
    if (typed === undefined || typed.type === "hash") continue;
    const value = READERS[type](field, resolve(typed.type, typed.value));
    if (value !== undefined) values.set(field, value);
  }
  const read = (field: MappingField): string | undefined => values.get(field) as string | undefined;
  const text = read("text");
  if (text === undefined && !values.has("attachments")) throw wrong("text", "a text", undefined);
  const sender = read("sender.id") || "flow";
  const at = place("", { channel: "flow", account: read("account") || "flow", chat: read("chat") || sender, kind: read("chatKind") || "direct" }, values);
  const told = {
    version: MESSAGE_VERSION, kind: read("kind") || "message", at,
    sender: { id: sender, name: read("sender.name") || sender, ...(read("sender.handle") && { handle: read("sender.handle") }), bot: false, self: false },
    sentAt: values.get("sentAt") ?? now, text: text ?? "", attachments: values.get("attachments") ?? [], addressed: true,
    ...some("replyTo", read("replyTo")), ...some("language", read("language")), ...(values.has("tags") && { tags: values.get("tags") }), ...replyAddress(values),
  };
  const id = mapping.id?.type === "hash" ? hash(told, values.has("sentAt")) : read("id") || `${now}-${random()}`;
  return parseMessage({ ...told, id, ref: read("ref") || id });
}

const some = (key: string, value: string | undefined): object => (value ? { [key]: value } : {});

function place(prefix: "" | "to.", base: object, values: ReadonlyMap<MappingField, unknown>): object {
  return { ...base, ...some("space", values.get(`${prefix}space`) as string | undefined), ...some("thread", values.get(`${prefix}thread`) as string | undefined) };
}

function replyAddress(values: ReadonlyMap<MappingField, unknown>): object {
  const [channel, account, chat, kind] = (["to.channel", "to.account", "to.chat", "to.kind"] as const).map((field) => values.get(field) || undefined);
  if (channel === undefined && account === undefined && chat === undefined) return {};
  return { to: parseAddress(place("to.", { channel, account, chat, kind: kind ?? "direct" }, values)) };
}

/** One id for one content: a sender's repetition counts as the same message, unless the time it was sent is mapped. */
function hash(told: { readonly at: object; readonly sender: { readonly id: string }; readonly sentAt: unknown; readonly text: string; readonly attachments: unknown }, timed: boolean): string {
  return createHash("sha256").update(JSON.stringify([told.at, told.sender.id, told.text, told.attachments, timed ? told.sentAt : 0])).digest("base64url");
}

function wrong(field: string, expected: string, value: unknown): ClawError {
  return new ClawError("MSG_001", {}, `Expected the mapping's "${field}" to give ${expected}, got ${describeValue(value)}. Choose another property, such as msg.payload.text.`);
}

const READERS: Readonly<Record<Type, (field: MappingField, value: unknown) => unknown>> = {
  text(field, value) {
    if (value === undefined || value === null) return undefined;
    if (typeof value === "string") return field === "text" ? value : value.trim();
    if (typeof value === "number" || typeof value === "boolean" || typeof value === "bigint") return String(value);
    if (value instanceof Uint8Array) return new TextDecoder().decode(value);
    throw wrong(field, "a text or a number", value);
  },
  place(field, value) {
    if (value === undefined || value === null || value === "") return undefined;
    const word = typeof value === "string" ? value.toLowerCase() : "";
    if (!Object.hasOwn(PLACES, word)) throw wrong(field, `one of ${Object.keys(PLACES).join(", ")}`, value);
    return PLACES[word];
  },
  time(field, value) {
    if (value === undefined || value === null || value === "") return undefined;
    const given = typeof value === "string" && /^\d+(?:\.\d+)?$/.test(value) ? Number(value) : value;
    // 1e11 seconds would be the year 5138, 1e11 milliseconds were 1973.
    const time = typeof given === "number" ? (Math.abs(given) < 1e11 ? given * 1000 : given) : typeof given === "string" ? Date.parse(given) : given instanceof Date ? given.getTime() : Number.NaN;
    if (!Number.isFinite(time) || time < 0) throw wrong(field, "a date or Unix time", value);
    return time;
  },
  list(field, value) {
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value === "string") return value.split(/[,\n]/).map((entry) => entry.trim()).filter((entry) => entry !== "");
    if (!Array.isArray(value)) throw wrong(field, "a list, or texts parted by commas", value);
    return value;
  },
  json(field, value) {
    if (value === undefined || value === null || value === "") return undefined;
    if (!Array.isArray(value)) throw wrong(field, "a list", value);
    return value;
  },
};

const templates = new Map<string, CompiledTemplate>();

/**
 * Finds a value in a flow's message: types msg, str, num, bool, json, date and template (its data is the message). Only own properties are seen.
 * Throws MSG_001 on a type it does not know, AGENT_002 on a template that fails.
 */
export function resolveValue(type: string, value: unknown, message: Readonly<Record<string, unknown>>, now: number): unknown {
  switch (type) {
    case "str": return value;
    case "num": return Number(value);
    case "bool": return value === true || value === "true";
    case "date": return now;
    case "msg": return propertyOf(message, String(value));
    case "json": return parseJson(value);
    case "template": {
      const source = String(value);
      let compiled = templates.get(source);
      if (compiled === undefined) {
        if (templates.size >= 200) templates.clear();
        compiled = compileTemplate(source);
        templates.set(source, compiled);
      }
      return renderTemplate(compiled, { ...message, msg: message, now }).trim();
    }
    default: throw new ClawError("MSG_001", {}, `Expected a value of type msg, str, num, bool, json, date or template, got type "${type}".`);
  }
}

function parseJson(value: unknown): unknown {
  try {
    return typeof value === "string" ? JSON.parse(value) : value;
  } catch (error) {
    throw new ClawError("MSG_001", { cause: error }, `Expected JSON in the mapping, got ${describeValue(value)}: ${(error as Error).message}`);
  }
}

/** `payload.items[0]["a b"]`, own properties alone; undefined where the way ends. */
function propertyOf(from: unknown, path: string): unknown {
  let found: unknown = from;
  for (const [, name, quoted, single, index] of path.matchAll(/([^.[\]"']+)(?=[.[]|$)|\[(?:"([^"]*)"|'([^']*)'|(\d+))\]/g)) {
    const key = name ?? quoted ?? single ?? index ?? "";
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined;
    found = (found as Record<string, unknown>)[key];
  }
  return found;
}
