/** Where an update came from and whom: the parts that every Message has. */
import type { Chat, Message as TelegramMessage, Update, User } from "grammy/types";
import { MESSAGE_VERSION, type Address, type Message, type Sender } from "../../message.ts";
import { fullName } from "./attachments.ts";
import type { PollPlace } from "./polls.ts";

/** The bot that received the update, and the account it is here. */
export interface Self {
  readonly id: string;
  /** Without @. */
  readonly username: string;
  readonly account: string;
  /** Unix milliseconds for the few updates that carry no date (a button press). */
  readonly now: number;
  /** Where a poll of ours stands; Telegram does not tell. */
  readonly polls?: (id: string) => PollPlace | undefined;
}

export function base(update: Update, at: Address, sender: Sender): Pick<Message, "version" | "id" | "at" | "sender" | "text" | "attachments"> & { language?: string } {
  return { version: MESSAGE_VERSION, id: `update:${update.update_id}`, at, sender, text: "", attachments: [], ...(sender.language === undefined ? {} : { language: sender.language }) };
}

/** `thread` is a forum topic, or `dm:<id>` for a topic of a channel's direct messages; the thread of a plain reply is none. */
export function addressOf(chat: Chat, message: TelegramMessage | undefined, self: Self): Address {
  const topic = message?.direct_messages_topic?.topic_id;
  const thread = topic !== undefined ? `dm:${topic}` : message?.is_topic_message === true && message.message_thread_id !== undefined ? String(message.message_thread_id) : undefined;
  return { channel: "telegram", account: self.account, chat: String(chat.id), kind: chat.type === "private" ? "direct" : "group", ...(thread === undefined ? {} : { thread }) };
}

/** Whoever speaks as a chat (a channel, an anonymous administrator) is that chat: the `from` beside it is a stand-in all of them share. */
export function senderOf(chat: Chat, from: User | undefined, as: Chat | undefined, self: Self): Sender {
  const spoken = as ?? (from === undefined ? chat : undefined);
  if (spoken !== undefined) {
    return {
      id: String(spoken.id), name: spoken.title ?? fullName(spoken.first_name, spoken.last_name), bot: false, self: false,
      ...(spoken.username === undefined ? {} : { handle: spoken.username }),
      ...(as !== undefined && as.id === chat.id && chat.type !== "channel" ? { roles: ["administrator"] } : {}),
    };
  }
  const user = from as User;
  return {
    id: String(user.id), name: fullName(user.first_name, user.last_name), bot: user.is_bot, self: String(user.id) === self.id,
    ...(user.username === undefined ? {} : { handle: user.username }),
    ...(user.language_code === undefined ? {} : { language: user.language_code }),
  };
}
