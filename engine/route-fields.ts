/** What a rule can look at, and how: the tables from which the route form is drawn and the rows are compiled. */
import { contentKinds, type ContentKind, type Message, type MessageKind } from "./message.ts";
import { parseCommand } from "./normalize/command.ts";
import { TRUSTS } from "./policy.ts";
import type { Trust } from "./tool.ts";

/** What is known beside the message: `now` in Unix milliseconds, the sender's trust from the store, the zone in which times are meant ("": the machine's). */
export interface Facts { readonly now: number; readonly trust: Trust; readonly timeZone: string }

export type TestId = "is" | "oneOf" | "contains" | "startsWith" | "endsWith" | "glob" | "pattern" | "between" | "atLeast" | "exists";
/** `value`: what the form asks for. */
export const TESTS: readonly { readonly id: TestId; readonly label: string; readonly value: "text" | "list" | "pattern" | "window" | "none" }[] = [
  { id: "is", label: "is", value: "text" },
  { id: "oneOf", label: "is one of", value: "list" },
  { id: "contains", label: "contains", value: "text" },
  { id: "startsWith", label: "starts with", value: "text" },
  { id: "endsWith", label: "ends with", value: "text" },
  { id: "glob", label: "is like (* and ?)", value: "text" },
  { id: "pattern", label: "matches the pattern", value: "pattern" },
  { id: "between", label: "is between", value: "window" },
  { id: "atLeast", label: "is at least", value: "text" },
  { id: "exists", label: "is present", value: "none" },
];

/** One value, several (a test holds when it holds for any of them), or none. */
export type Got = string | readonly string[] | undefined;
export type FieldId =
  | "channel" | "account" | "space" | "chat" | "thread" | "kind" | "place" | "addressed" | "sender" | "role" | "trust"
  | "command" | "text" | "language" | "content" | "tag" | "time";
export interface Field {
  readonly id: FieldId;
  readonly label: string;
  readonly tests: readonly TestId[];
  /** The only values there are. */
  readonly values?: readonly string[];
  /** The form offers what the gateway knows. */
  readonly offers?: "channels" | "accounts";
  /** Upper and lower case read alike; ids are compared to the letter. */
  readonly folds?: true;
  read(message: Message, facts: Facts): Got;
}

const KINDS: readonly MessageKind[] = ["message", "edit", "delete", "reaction", "action", "member", "call", "tick", "event"];
const CONTENT: readonly ContentKind[] = ["text", "image", "video", "audio", "voice", "document", "location", "contact", "sticker", "embed"];
const ID: readonly TestId[] = ["is", "oneOf", "glob"];

/** The command's name: split by the adapter or normalize, else read from the text. */
function commandOf(message: Message): string | undefined {
  return message.action?.type === "command" ? message.action.name : parseCommand(message.text)?.name;
}

export const FIELDS: readonly Field[] = [
  { id: "channel", label: "channel", tests: ["is", "oneOf"], offers: "channels", read: ({ at }) => at.channel },
  { id: "account", label: "account", tests: ID, offers: "accounts", read: ({ at }) => at.account },
  { id: "space", label: "space (server, team, workspace)", tests: [...ID, "exists"], read: ({ at }) => at.space },
  { id: "chat", label: "chat", tests: ID, read: ({ at }) => at.chat },
  { id: "thread", label: "thread", tests: [...ID, "exists"], read: ({ at }) => at.thread },
  { id: "place", label: "direct or group", tests: ["is"], values: ["direct", "group"], read: ({ at }) => at.kind },
  { id: "addressed", label: "addressed to the bot", tests: ["is"], values: ["true", "false"], read: ({ addressed }) => String(addressed) },
  { id: "sender", label: "sender (id)", tests: ["is", "oneOf"], read: ({ sender }) => sender.id },
  { id: "role", label: "sender's role", tests: [...ID, "exists"], read: ({ sender }) => sender.roles },
  { id: "trust", label: "sender's trust", tests: ["is", "oneOf", "atLeast"], values: TRUSTS, read: (_, { trust }) => trust },
  { id: "kind", label: "kind of message", tests: ["is", "oneOf"], values: KINDS, read: ({ kind }) => kind },
  { id: "command", label: "command", tests: ["is", "oneOf", "startsWith", "exists"], folds: true, read: commandOf },
  { id: "text", label: "text", tests: ["is", "oneOf", "contains", "startsWith", "endsWith", "pattern", "exists"], folds: true, read: ({ text }) => (text === "" ? undefined : text) },
  { id: "language", label: "language", tests: ["is", "oneOf", "exists"], folds: true, read: ({ language, sender }) => language ?? sender.language },
  { id: "content", label: "content", tests: ["is", "oneOf"], values: CONTENT, read: contentKinds },
  { id: "tag", label: "tag", tests: [...ID, "exists"], read: ({ tags }) => tags },
  { id: "time", label: "time of day", tests: ["between"], read: () => undefined },
];
