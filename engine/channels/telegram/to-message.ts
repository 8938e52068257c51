/** A Telegram Update to a Message. Pure. */
import type { Message as TelegramMessage, MessageOrigin, Update } from "grammy/types";
import type { Action, Message } from "../../message.ts";
import { attachmentsOf, fullName, isContent, richText } from "./attachments.ts";
import { toMarkdown } from "./entities.ts";
import { addressOf, base, type Self, senderOf } from "./origin.ts";
import { fromButton, fromJoinRequest, fromMember, fromOther, fromPoll, fromQuery, fromReaction, fromResult, fromVote } from "./to-action.ts";

/** What Telegram is asked for. Left out on purpose: updates of business accounts, payments and boosts. `chat_member`, reactions and join requests come only where the bot is an administrator. */
export const ALLOWED_UPDATES = [
  "message", "edited_message", "channel_post", "edited_channel_post", "callback_query", "inline_query", "chosen_inline_result",
  "message_reaction", "poll", "poll_answer", "my_chat_member", "chat_member", "chat_join_request",
] as const;

/** Undefined: nothing a flow could use (an update of a kind nobody knows). Every update is one act of one person, so its number is the Message's id. */
export function toMessage(update: Update, self: Self): Message | undefined {
  const said = update.message ?? update.channel_post;
  const edited = update.edited_message ?? update.edited_channel_post;
  if (said !== undefined) return fromMessage(update, said, "message", self);
  if (edited !== undefined) return fromMessage(update, edited, "edit", self);
  if (update.callback_query !== undefined) return fromButton(update, update.callback_query, self);
  if (update.message_reaction !== undefined) return fromReaction(update, update.message_reaction, self);
  if (update.poll_answer !== undefined) return fromVote(update, update.poll_answer, self);
  if (update.poll !== undefined) return fromPoll(update, update.poll, self);
  if (update.inline_query !== undefined) return fromQuery(update, update.inline_query, self);
  if (update.chosen_inline_result !== undefined) return fromResult(update, update.chosen_inline_result, self);
  if (update.chat_join_request !== undefined) return fromJoinRequest(update, update.chat_join_request, self);
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
    ...(message.forward_origin === undefined || message.is_automatic_forward === true ? [] : ["forwarded"]),
    // A post of the channel that this group is linked with: replies to it are the channel's comments.
    ...(message.is_automatic_forward === true ? ["automatic_forward"] : []),
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
    ...(message.forward_origin === undefined ? {} : { forwarded: forwardedOf(message.forward_origin) }),
    ...(joined !== undefined ? { action: joined } : command?.toUs === true ? { action: command.action } : {}),
    ...(mentions.length === 0 ? {} : { mentions }),
    ...(tags.length === 0 ? {} : { tags }),
    ...(moved === undefined ? {} : { to: { ...addressOf(message.chat, message, self), chat: String(moved) } }),
  };
}

/** By whom it was said first; someone may hide behind a bare name. */
function forwardedOf(origin: MessageOrigin): NonNullable<Message["forwarded"]> {
  switch (origin.type) {
    case "user": return { name: fullName(origin.sender_user.first_name, origin.sender_user.last_name), id: String(origin.sender_user.id) };
    case "hidden_user": return { name: origin.sender_user_name };
    case "chat": return { name: origin.sender_chat.title ?? origin.author_signature ?? "", id: String(origin.sender_chat.id) };
    case "channel": return { name: origin.chat.title, id: String(origin.chat.id) };
    // A kind that Telegram added since.
    default: return {};
  }
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

