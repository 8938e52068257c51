/**
 * The Message as a checked shape: one description gives both the parser for everything that comes from outside and the JSON Schema
 * published as resources/message-v1.schema.json. By hand, because the parser must rebuild (never pass on) what it was given, and load in no time.
 */
import { ClawError, type ErrorCode } from "./errors.ts";
import { MESSAGE_VERSION, type Action, type Address, type Attachment, type FileKind, type Message, type MessageKind, type Sender } from "./message.ts";

type Schema = Readonly<Record<string, unknown>>;
/** `parse` returns a fresh value of known fields, or throws; it accepts exactly what `schema` accepts, and more fields in objects. */
interface Shape<T> { readonly schema: Schema; parse(value: unknown, path: string): T }
/** One shape for each field of T, so that the compiler finds a field that was forgotten. */
type Fields<T> = { readonly [K in keyof T]-?: Shape<Exclude<T[K], undefined>> };
type OptionalKey<T> = { [K in keyof T]-?: undefined extends T[K] ? K : Record<never, never> extends Pick<T, K> ? K : never }[keyof T];

/** Characters (code points), except where said otherwise. */
export const MESSAGE_CAPS = { id: 1024, name: 1024, text: 1_048_576, url: 8192, list: 1000, attachments: 100, /** UTF-16 units of JSON. */ raw: 262_144 } as const;
const SCHEMA_ID = `https://raw.githubusercontent.com/clawflow/node-red-clawflow/main/resources/message-v${MESSAGE_VERSION}.schema.json`;

/** What a value is, in a few words for an error text. */
export function describeValue(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (typeof value === "string") return value.length > 40 ? `a text of ${value.length} characters` : JSON.stringify(value);
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function fault(path: string, expected: string, value: unknown, code: ErrorCode = "MSG_001"): ClawError {
  return new ClawError(code, {}, `Expected "${path}" to be ${expected}, got ${describeValue(value)}.`);
}

function text(max: number, options: { readonly min?: number; readonly about?: string; readonly tooLong?: ErrorCode } = {}): Shape<string> {
  const { min = 0, about, tooLong = "MSG_001" } = options;
  return {
    schema: { type: "string", ...(min > 0 && { minLength: min }), maxLength: max, ...(about !== undefined && { description: about }) },
    parse(value, path) {
      if (typeof value !== "string") throw fault(path, "a text", value);
      if (value.length < min) throw fault(path, "a text that is not empty", value);
      if (value.length > max && (value.length > 2 * max || [...value].length > max)) throw fault(path, `a text of at most ${max} characters`, value, tooLong);
      return value;
    },
  };
}

function number(min: number, max?: number, about?: string): Shape<number> {
  const range = max === undefined ? `a number of at least ${min}` : `a number from ${min} to ${max}`;
  return {
    schema: { type: "number", minimum: min, ...(max !== undefined && { maximum: max }), ...(about !== undefined && { description: about }) },
    parse(value, path) {
      if (typeof value !== "number" || !Number.isFinite(value) || value < min || value > (max ?? Number.MAX_VALUE)) throw fault(path, range, value);
      return value;
    },
  };
}

function flag(about?: string): Shape<boolean> {
  return {
    schema: { type: "boolean", ...(about !== undefined && { description: about }) },
    parse(value, path) {
      if (typeof value !== "boolean") throw fault(path, "true or false", value);
      return value;
    },
  };
}

function choice<T extends string | number>(values: readonly T[]): Shape<T> {
  return {
    schema: values.length === 1 ? { const: values[0] } : { enum: values },
    parse(value, path) {
      if (!values.includes(value as T)) throw fault(path, values.length === 1 ? JSON.stringify(values[0]) : `one of ${values.join(", ")}`, value);
      return value as T;
    },
  };
}

function list<T>(item: Shape<T>, max: number, about?: string): Shape<readonly T[]> {
  return {
    schema: { type: "array", items: item.schema, maxItems: max, ...(about !== undefined && { description: about }) },
    parse(value, path) {
      if (!Array.isArray(value)) throw fault(path, "a list", value);
      if (value.length > max) throw fault(path, `a list of at most ${max}`, value);
      return Array.from(value, (entry, index) => item.parse(entry, `${path}[${index}]`));
    },
  };
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

function record<T>(fields: Fields<T>, optional: readonly OptionalKey<T>[], about?: string): Shape<T> {
  const keys = Object.keys(fields) as (keyof T & string)[];
  const optionals = new Set<unknown>(optional);
  return {
    schema: {
      type: "object",
      ...(about !== undefined && { description: about }),
      properties: Object.fromEntries(keys.map((key) => [key, fields[key].schema])),
      required: keys.filter((key) => !optionals.has(key)),
    },
    parse(value, path) {
      if (!isObject(value)) throw fault(path === "" ? "message" : path, "an object", value);
      const built: Partial<T> = {};
      for (const key of keys) {
        // Own fields alone: what is inherited was never said by the sender.
        const given = Object.hasOwn(value, key) ? value[key] : undefined;
        if (given === undefined && optionals.has(key)) continue;
        built[key] = fields[key].parse(given, path === "" ? key : `${path}.${key}`) as T[typeof key];
      }
      return built as T;
    },
  };
}

/** Texts by name; a name that would become a prototype is left out. */
function texts(maxLength: number, most: number): Shape<Readonly<Record<string, string>>> {
  const value = text(maxLength);
  return {
    schema: { type: "object", additionalProperties: value.schema, maxProperties: most },
    parse(given, path) {
      if (!isObject(given)) throw fault(path, "an object of texts", given);
      const entries = Object.entries(given).filter(([key]) => key !== "__proto__");
      if (entries.length > most) throw fault(path, `an object of at most ${most} texts`, given);
      return Object.fromEntries(entries.map(([key, each]) => [key, value.parse(each, `${path}.${key}`)]));
    },
  };
}

/** Chooses the shape by one field, so that a fault is told about the shape that was meant. */
function variant<T>(by: string, shapes: Readonly<Record<string, Shape<T>>>): Shape<T> {
  return {
    schema: { anyOf: [...new Set(Object.values(shapes))].map((shape) => shape.schema) },
    parse(value, path) {
      if (!isObject(value)) throw fault(path, "an object", value);
      const kind = Object.hasOwn(value, by) ? value[by] : undefined;
      const shape = typeof kind === "string" && Object.hasOwn(shapes, kind) ? shapes[kind] : undefined;
      if (shape === undefined) throw fault(`${path}.${by}`, `one of ${Object.keys(shapes).join(", ")}`, kind);
      return shape.parse(value, path);
    },
  };
}

/** Any JSON, copied; keys named `__proto__` are left out, because cloning them by assignment would change a prototype. */
function json(max: number, about: string): Shape<unknown> {
  return {
    schema: { description: about },
    parse(value, path) {
      let written: string | undefined;
      try {
        written = JSON.stringify(value);
      } catch {
        written = undefined;
      }
      if (written === undefined) throw fault(path, "plain JSON", value);
      if (written.length > max) throw fault(path, `at most ${max} characters of JSON`, written, "MSG_003");
      return JSON.parse(written, (key, inner: unknown) => (key === "__proto__" ? undefined : inner));
    },
  };
}

const { id: ID, name: NAME, text: TEXT, url: URL, list: LIST } = MESSAGE_CAPS;
const id = (about?: string) => text(ID, { min: 1, ...(about !== undefined && { about }) });
const name = text(NAME);
const language = text(64, { about: "BCP 47." });

const address = record<Address>({
  channel: id("Channel id, such as telegram; flow for messages that came from elsewhere."),
  account: id("Slug of the account, made once."),
  chat: id(),
  space: id("Guild, team, workspace."),
  thread: id(),
  kind: choice(["direct", "group"]),
}, ["space", "thread"], "Where something was said, and where a reply goes.");

const sender = record<Sender>({
  id: id("The platform's immutable id."),
  name,
  handle: name,
  roles: list(name, LIST),
  language,
  bot: flag(),
  self: flag("The bot of this very account."),
}, ["handle", "roles", "language"]);

const FILE_KINDS: readonly FileKind[] = ["image", "video", "audio", "voice", "document", "sticker"];
const file = record<Extract<Attachment, { media: string }>>({
  kind: choice(FILE_KINDS),
  media: text(URL, { min: 1, about: "A reference the account's connection can open, or spool:<id>; never the bytes." }),
  state: choice(["remote", "ready", "failed"]),
  mime: name,
  name,
  bytes: number(0),
  seconds: number(0),
  alt: text(URL),
  transcript: text(MESSAGE_CAPS.text),
  error: text(URL),
}, ["mime", "name", "bytes", "seconds", "alt", "transcript", "error"]);
const location = record<Extract<Attachment, { kind: "location" }>>({
  kind: choice(["location"]), latitude: number(-90, 90), longitude: number(-180, 180), title: name, address: name,
}, ["title", "address"]);
const contact = record<Extract<Attachment, { kind: "contact" }>>({ kind: choice(["contact"]), name, phone: name, email: name }, ["phone", "email"]);
const embed = record<Extract<Attachment, { kind: "embed" }>>({
  kind: choice(["embed"]), type: name, title: text(URL), text: text(TEXT), url: text(URL), options: list(name, LIST),
}, ["title", "text", "url", "options"]);
const attachment = variant<Attachment>("kind", { ...Object.fromEntries(FILE_KINDS.map((kind) => [kind, file])), location, contact, embed });

const action = variant<Action>("type", {
  button: record<Extract<Action, { type: "button" }>>({ type: choice(["button"]), value: text(URL), label: name }, ["label"]),
  choice: record<Extract<Action, { type: "choice" }>>({ type: choice(["choice"]), values: list(text(URL), LIST), name }, ["name"]),
  form: record<Extract<Action, { type: "form" }>>({ type: choice(["form"]), name, values: texts(TEXT, LIST) }, []),
  vote: record<Extract<Action, { type: "vote" }>>({ type: choice(["vote"]), poll: text(ID), options: list(text(URL), LIST) }, []),
  query: record<Extract<Action, { type: "query" }>>({ type: choice(["query"]), text: text(TEXT) }, []),
  shortcut: record<Extract<Action, { type: "shortcut" }>>({ type: choice(["shortcut"]), name, ref: id() }, ["ref"]),
  status: record<Extract<Action, { type: "status" }>>({ type: choice(["status"]), ref: id(), state: choice(["sent", "delivered", "read", "failed"]), text: text(URL) }, ["text"]),
  call: record<Extract<Action, { type: "call" }>>({ type: choice(["call"]), state: choice(["ringing", "speech", "keys", "recording", "ended"]), keys: name, seconds: number(0) }, ["keys", "seconds"]),
  reaction: record<Extract<Action, { type: "reaction" }>>({ type: choice(["reaction"]), emoji: name, removed: flag() }, []),
  command: record<Extract<Action, { type: "command" }>>({ type: choice(["command"]), name, args: text(TEXT) }, []),
  member: record<Extract<Action, { type: "member" }>>({ type: choice(["member"]), change: choice(["joined", "left"]), ids: list(id(), LIST) }, []),
});

const KINDS: readonly MessageKind[] = ["message", "edit", "delete", "reaction", "action", "member", "call", "tick", "event"];
const message = record<Message>({
  version: choice([MESSAGE_VERSION]),
  id: id("Deduplication key: one act of one person, stable across redelivery."),
  ref: text(ID, { about: "The platform's message id: what a reply, edit or reaction points at." }),
  kind: choice(KINDS),
  at: address,
  sender,
  sentAt: number(0, undefined, "Unix milliseconds, the platform's clock."),
  text: text(TEXT, { about: "Markdown; empty when there are only attachments.", tooLong: "MSG_003" }),
  attachments: list(attachment, MESSAGE_CAPS.attachments),
  replyTo: id("A ref."),
  forwarded: record<NonNullable<Message["forwarded"]>>({ name, id: id() }, ["name", "id"], "It was said elsewhere, and passed on by the sender."),
  parts: list(text(ID), LIST, "Refs of the messages joined into this one, oldest first."),
  action,
  mentions: list(id(), LIST, "Immutable ids of the people named."),
  addressed: flag("Direct chat, mention of the bot, reply to the bot, or a command to it."),
  language,
  tags: list(name, LIST),
  translated: record<NonNullable<Message["translated"]>>({ from: language, to: language, text: text(TEXT) }, ["from"], "The text was translated; what it was."),
  to: address,
  raw: json(MESSAGE_CAPS.raw, "The platform's payload; opt-in."),
}, ["replyTo", "forwarded", "parts", "action", "mentions", "language", "tags", "translated", "to", "raw"]);

/**
 * A Message of its known fields alone, every one checked and capped. Throws ClawError MSG_001 (MSG_003 where it is too large) that names the field,
 * what was expected and what was got.
 */
export function parseMessage(value: unknown): Message {
  return message.parse(value, "");
}

/** The same for an address; `path` names it in the error. */
export function parseAddress(value: unknown, path = "to"): Address {
  return address.parse(value, path);
}

/** JSON Schema 2020-12 of the Message. Unknown fields are allowed on a wire. */
export function messageSchema(): Schema {
  return { $schema: "https://json-schema.org/draft/2020-12/schema", $id: SCHEMA_ID, title: `ClawFlow Message, version ${MESSAGE_VERSION}`, ...message.schema };
}
