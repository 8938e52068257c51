/** A Telegram Update to a Message. Pure. */
import type { CallbackQuery, Chat, ChatMemberUpdated, Message as TelegramMessage, MessageReactionUpdated, PollAnswer, ReactionType, Update, User } from "grammy/types";
import { MESSAGE_VERSION, type Action, type Address, type Message, type Sender } from "../../message.ts";
import { attachmentsOf, fullName, isContent, richText } from "./attachments.ts";
import { toMarkdown } from "./entities.ts";

/** The bot that received the update, and the account it is here. */
export interface Self {
  readonly id: string;
  /** Without @. */
  readonly username: string;
  readonly account: string;
  /** Unix milliseconds for the few updates that carry no date (a button press). */
  readonly now: number;
}

/** What Telegram is asked for. Left out on purpose: `chat_member` (it doubles the service messages about members), business and inline updates. */
export const ALLOWED_UPDATES = ["message", "edited_message", "channel_post", "edited_channel_post", "callback_query", "message_reaction", "poll_answer", "my_chat_member"] as const;

/** Undefined: nothing a flow could use (an update of a kind nobody knows). Every update is one act of one person, so its number is the Message's id. */
export function toMessage(update: Update, self: Self): Message | undefined {
  const said = update.message ?? update.channel_post;
  const edited = update.edited_message ?? update.edited_channel_post;
  if (said !== undefined) return fromMessage(update, said, "message", self);
  if (edited !== undefined) return fromMessage(update, edited, "edit", self);
  if (update.callback_query !== undefined) return fromButton(update, update.callback_query, self);
  if (update.message_reaction !== undefined) return fromReaction(update, update.message_reaction, self);
  if (update.poll_answer !== undefined) return fromVote(update, update.poll_answer, self);
  const member = update.my_chat_member ?? update.chat_member;
  if (member !== undefined) return fromMember(update, member, self);
  return fromOther(update, self);
}

function fromMessage(update: Update, message: TelegramMessage, kind: "message" | "edit", self: Self): Message {
  const source = message.text ?? message.caption ?? "";
  const entities = message.entities ?? message.caption_entities;
  const text = message.rich_message === undefined ? toMarkdown(source, entities) : richText(message.rich_message.blocks);
  const attachments = attachmentsOf(message);
  const service = text === "" && attachments.length === 0 ? serviceName(message) : undefined;
  const joined = membersOf(message, self);
  const command = commandOf(message, source, self);
  const mentions = mentionsOf(message, source, self);
  const replyTo = replyOf(message);
  const tags = [
    ...(service === undefined ? [] : [service]),
    ...(message.media_group_id === undefined ? [] : [`album:${message.media_group_id}`]),
    ...(message.forward_origin === undefined ? [] : ["forwarded"]),
  ];
  const moved = message.migrate_to_chat_id;
  return {
    ...base(update, addressOf(message.chat, message, self), senderOf(message.chat, message.from, message.sender_chat, self)),
    kind: joined !== undefined ? "member" : service !== undefined ? "event" : kind,
    ref: String(message.message_id),
    sentAt: (message.edit_date ?? message.date) * 1000,
    text,
    attachments,
    addressed: message.chat.type === "private" || command?.toUs === true || mentions.includes(self.id) || isReplyTo(message, self),
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(joined !== undefined ? { action: joined } : command?.toUs === true ? { action: command.action } : {}),
    ...(mentions.length === 0 ? {} : { mentions }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(moved === undefined ? {} : { to: { ...addressOf(message.chat, message, self), chat: String(moved) } }),
  };
}

function fromButton(update: Update, query: CallbackQuery, self: Self): Message {
  const { message, from } = query;
  // A button under an inline message tells no chat: the person is all there is.
  const chat: Chat = message?.chat ?? { id: from.id, type: "private", first_name: from.first_name };
  const value = query.data ?? query.game_short_name ?? "";
  // A message too old to be shown has date 0 and nothing but its ids.
  const shown = message === undefined || message.date === 0 ? undefined : (message as TelegramMessage);
  const label = shown?.reply_markup?.inline_keyboard.flat().find((button) => "callback_data" in button && button.callback_data === value)?.text;
  return {
    ...base(update, addressOf(chat, shown, self), senderOf(chat, from, undefined, self)),
    kind: "action",
    ref: String(message?.message_id ?? query.inline_message_id ?? query.id),
    sentAt: self.now,
    action: { type: "button", value, ...(label === undefined ? {} : { label }) },
    addressed: true,
  };
}

/** Several changes may come as one update; the newest reaction is what the person means, a removal only when nothing was added. */
function fromReaction(update: Update, change: MessageReactionUpdated, self: Self): Message {
  const old = change.old_reaction.map(emojiOf);
  const now = change.new_reaction.map(emojiOf);
  const added = now.filter((emoji) => !old.includes(emoji)).at(-1);
  const emoji = added ?? old.find((each) => !now.includes(each)) ?? "";
  return {
    ...base(update, addressOf(change.chat, undefined, self), senderOf(change.chat, change.user, change.actor_chat, self)),
    kind: "reaction",
    ref: String(change.message_id),
    sentAt: change.date * 1000,
    replyTo: String(change.message_id),
    action: { type: "reaction", emoji, removed: added === undefined },
    addressed: change.chat.type === "private",
  };
}
function emojiOf(reaction: ReactionType): string {
  return reaction.type === "emoji" ? reaction.emoji : reaction.type === "custom_emoji" ? reaction.custom_emoji_id : "⭐";
}

/** Telegram does not tell in which chat the poll stands: the voter's own chat is where an answer goes. */
function fromVote(update: Update, vote: PollAnswer, self: Self): Message | undefined {
  const chat: Chat | undefined = vote.user === undefined ? vote.voter_chat : { id: vote.user.id, type: "private", first_name: vote.user.first_name };
  if (chat === undefined) return undefined;
  return {
    ...base(update, addressOf(chat, undefined, self), senderOf(chat, vote.user, vote.voter_chat, self)),
    kind: "action",
    ref: vote.poll_id,
    sentAt: self.now,
    action: { type: "choice", values: vote.option_ids.map(String) },
    addressed: true,
  };
}

const PRESENT = new Set(["creator", "administrator", "member"]);
function fromMember(update: Update, change: ChatMemberUpdated, self: Self): Message {
  const here = (member: ChatMemberUpdated["new_chat_member"]): boolean => PRESENT.has(member.status) || (member.status === "restricted" && member.is_member);
  const before = here(change.old_chat_member);
  const after = here(change.new_chat_member);
  const action: Action | undefined = before === after ? undefined : { type: "member", change: after ? "joined" : "left", ids: [String(change.new_chat_member.user.id)] };
  return {
    ...base(update, addressOf(change.chat, undefined, self), senderOf(change.chat, change.from, undefined, self)),
    kind: action === undefined ? "event" : "member",
    ref: String(update.update_id),
    sentAt: change.date * 1000,
    addressed: change.chat.type === "private",
    ...(action === undefined ? { tags: ["chat_member"] } : { action }),
  };
}

/** Updates nobody asked for but an older setting of the bot may still bring: an event named by its kind, where at least a chat or a person is in it. */
function fromOther(update: Update, self: Self): Message | undefined {
  for (const [name, value] of Object.entries(update) as [string, unknown][]) {
    if (typeof value !== "object" || value === null) continue;
    if (name === "poll" && update.poll !== undefined) return undefined;
    const { chat, from, user, date, remove_date, message_id, source, text, caption } = value as { chat?: Chat; from?: User; user?: User; date?: number; remove_date?: number; message_id?: number; source?: { user?: User }; text?: string; caption?: string };
    const person = from ?? user ?? source?.user;
    const place: Chat | undefined = chat ?? (person === undefined ? undefined : { id: person.id, type: "private", first_name: person.first_name });
    if (place === undefined) continue;
    const at = date ?? remove_date;
    return {
      ...base(update, addressOf(place, undefined, self), senderOf(place, person, undefined, self)),
      kind: "event",
      ref: String(message_id ?? update.update_id),
      sentAt: at === undefined ? self.now : at * 1000,
      text: text ?? caption ?? "",
      addressed: false,
      tags: [name],
    };
  }
  return undefined;
}

function base(update: Update, at: Address, sender: Sender): Pick<Message, "version" | "id" | "at" | "sender" | "text" | "attachments"> & { language?: string } {
  return { version: MESSAGE_VERSION, id: `update:${update.update_id}`, at, sender, text: "", attachments: [], ...(sender.language === undefined ? {} : { language: sender.language }) };
}

/** `thread` is a forum topic, or `dm:<id>` for a topic of a channel's direct messages; the thread of a plain reply is none. */
function addressOf(chat: Chat, message: TelegramMessage | undefined, self: Self): Address {
  const topic = message?.direct_messages_topic?.topic_id;
  const thread = topic !== undefined ? `dm:${topic}` : message?.is_topic_message === true && message.message_thread_id !== undefined ? String(message.message_thread_id) : undefined;
  return { channel: "telegram", account: self.account, chat: String(chat.id), kind: chat.type === "private" ? "direct" : "group", ...(thread === undefined ? {} : { thread }) };
}

/** Whoever speaks as a chat (a channel, an anonymous administrator) is that chat: the `from` beside it is a stand-in all of them share. */
function senderOf(chat: Chat, from: User | undefined, as: Chat | undefined, self: Self): Sender {
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

/** A reply inside a topic always points at least at the topic's first service message: that is no reply a person gave. */
function replyOf(message: TelegramMessage): string | undefined {
  const to = message.reply_to_message;
  if (to === undefined || isTopicRoot(message)) return undefined;
  return String(to.message_id);
}
function isTopicRoot(message: TelegramMessage): boolean {
  return message.is_topic_message === true && message.reply_to_message?.message_id === message.message_thread_id;
}
function isReplyTo(message: TelegramMessage, self: Self): boolean {
  return !isTopicRoot(message) && String(message.reply_to_message?.from?.id) === self.id;
}

/** A command at the very start; `/name@other` is for another bot and plain text to us. */
function commandOf(message: TelegramMessage, text: string, self: Self): { action: Action; toUs: boolean } | undefined {
  const entity = (message.entities ?? message.caption_entities)?.find((each) => each.type === "bot_command" && each.offset === 0);
  if (entity === undefined) return undefined;
  const [name = "", bot] = text.slice(1, entity.length).split("@");
  const toUs = bot === undefined || bot.toLowerCase() === self.username.toLowerCase();
  return { action: { type: "command", name: name.toLowerCase(), args: text.slice(entity.length).trim() }, toUs };
}

/** Telegram gives ids of people without a user name; of `@name` only our own is known. */
function mentionsOf(message: TelegramMessage, text: string, self: Self): string[] {
  const ids = new Set<string>();
  for (const entity of message.entities ?? message.caption_entities ?? []) {
    if (entity.type === "text_mention") ids.add(String(entity.user.id));
    if (entity.type === "mention" && text.slice(entity.offset + 1, entity.offset + entity.length).toLowerCase() === self.username.toLowerCase()) ids.add(self.id);
  }
  return [...ids];
}

/** People who came or went by a service message. That the bot itself came is told by `my_chat_member`. */
function membersOf(message: TelegramMessage, self: Self): Action | undefined {
  const change = message.left_chat_member === undefined ? "joined" : "left";
  const ids = (message.new_chat_members ?? (message.left_chat_member === undefined ? [] : [message.left_chat_member])).map((user) => String(user.id)).filter((id) => id !== self.id);
  return ids.length === 0 ? undefined : { type: "member", change, ids };
}

/** Fields that say where, when and from whom; what is left names what happened. */
const FRAME = new Set(["message_id", "message_thread_id", "direct_messages_topic", "from", "sender_chat", "sender_boost_count", "sender_business_bot", "sender_tag", "date", "guest_query_id", "business_connection_id", "chat", "forward_origin", "is_topic_message", "is_automatic_forward", "reply_to_message", "external_reply", "quote", "reply_to_story", "reply_to_checklist_task_id", "reply_to_poll_option_id", "via_bot", "edit_date", "has_protected_content", "is_from_offline", "is_paid_post", "media_group_id", "author_signature", "paid_star_count", "link_preview_options", "effect_id", "reply_markup", "show_caption_above_media", "has_media_spoiler"]);
function serviceName(message: TelegramMessage): string {
  return Object.keys(message).find((field) => !FRAME.has(field) && !isContent(field)) ?? "empty";
}

