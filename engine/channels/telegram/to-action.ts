/** What people do beside writing, as Messages. Pure. */
import type { CallbackQuery, Chat, ChatJoinRequest, ChatMemberUpdated, ChosenInlineResult, InlineQuery, Message as TelegramMessage, MessageReactionUpdated, Poll, PollAnswer, ReactionType, Update, User } from "grammy/types";
import type { Action, Address, Message } from "../../message.ts";
import { pollEmbed } from "./attachments.ts";
import { INLINE } from "./inline.ts";
import { actionOf } from "./keyboard.ts";
import { addressOf, base, type Self, senderOf } from "./origin.ts";
import type { PollPlace } from "./polls.ts";

export function fromButton(update: Update, query: CallbackQuery, self: Self): Message {
  const { message, from } = query;
  // A button under an inline message tells no chat: the person is all there is.
  const chat: Chat = message?.chat ?? { id: from.id, type: "private", first_name: from.first_name };
  const data = query.data ?? query.game_short_name ?? "";
  // A message too old to be shown has date 0 and nothing but its ids.
  const shown = message === undefined || message.date === 0 ? undefined : (message as TelegramMessage);
  const label = shown?.reply_markup?.inline_keyboard.flat().find((button) => "callback_data" in button && button.callback_data === data)?.text;
  return {
    ...base(update, addressOf(chat, shown, self), senderOf(chat, from, undefined, self)),
    kind: "action",
    ref: String(message?.message_id ?? query.inline_message_id ?? query.id),
    sentAt: self.now,
    action: actionOf(data, label),
    addressed: true,
  };
}

/** Several changes may come as one update; the newest reaction is what the person means, a removal only when nothing was added. */
export function fromReaction(update: Update, change: MessageReactionUpdated, self: Self): Message {
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

/** In the chat where the poll stands, if it is one that we sent; else in the voter's own chat, under Telegram's id of the poll. Options are numbers, from 0. */
export function fromVote(update: Update, vote: PollAnswer, self: Self): Message | undefined {
  const chat: Chat | undefined = vote.user === undefined ? vote.voter_chat : { id: vote.user.id, type: "private", first_name: vote.user.first_name };
  if (chat === undefined) return undefined;
  const place = self.polls?.(vote.poll_id);
  return {
    ...base(update, place === undefined ? addressOf(chat, undefined, self) : pollAddress(place, self), senderOf(chat, vote.user, vote.voter_chat, self)),
    kind: "action",
    ref: place?.ref ?? vote.poll_id,
    sentAt: self.now,
    ...(place === undefined ? {} : { replyTo: place.ref }),
    action: { type: "vote", poll: place?.ref ?? vote.poll_id, options: vote.option_ids.map(String) },
    addressed: true,
  };
}

/** How a poll of ours stands now. One that we do not know says not where it is: nobody can use it. */
export function fromPoll(update: Update, poll: Poll, self: Self): Message | undefined {
  const place = self.polls?.(poll.id);
  if (place === undefined) return undefined;
  return {
    ...base(update, pollAddress(place, self), { id: place.chat, name: poll.question, bot: false, self: false }),
    kind: "event",
    ref: place.ref,
    sentAt: self.now,
    text: poll.options.map(({ text, voter_count }) => `${text}: ${voter_count}`).join("\n"),
    attachments: [pollEmbed(poll)],
    addressed: false,
    tags: ["poll", ...(poll.is_closed ? ["poll_closed"] : [])],
  };
}
function pollAddress({ chat, kind, thread }: PollPlace, self: Self): Address {
  return { channel: "telegram", account: self.account, chat, kind, ...(thread === undefined ? {} : { thread }) };
}

/**
 * Words typed after the bot's name in any chat. `to` is the query itself: the draft sent there is its list of results. `at` is the same for
 * all queries of a person, so that they share one session.
 */
export function fromQuery(update: Update, { id, from, query, chat_type }: InlineQuery, self: Self): Message {
  const at: Address = { channel: "telegram", account: self.account, chat: String(from.id), kind: "direct", thread: INLINE };
  return {
    ...base(update, at, senderOf({ id: from.id, type: "private", first_name: from.first_name }, from, undefined, self)),
    kind: "event",
    ref: id,
    sentAt: self.now,
    text: query,
    to: { ...at, thread: `${INLINE}:${id}` },
    action: { type: "query", text: query },
    addressed: true,
    tags: ["inline_query", ...(chat_type === undefined ? [] : [`chat:${chat_type}`])],
  };
}

/** Told only where feedback is switched on at @BotFather. `values`: the id of the result. */
export function fromResult(update: Update, { from, result_id, query, inline_message_id }: ChosenInlineResult, self: Self): Message {
  const at: Address = { channel: "telegram", account: self.account, chat: String(from.id), kind: "direct", thread: INLINE };
  return {
    ...base(update, at, senderOf({ id: from.id, type: "private", first_name: from.first_name }, from, undefined, self)),
    kind: "event",
    ref: inline_message_id ?? result_id,
    sentAt: self.now,
    text: query,
    action: { type: "choice", values: [result_id], name: INLINE },
    addressed: false,
    tags: ["chosen_inline_result"],
  };
}

/** Somebody asks to be let in. For five minutes the bot may write to that person: `to`. */
export function fromJoinRequest(update: Update, request: ChatJoinRequest, self: Self): Message {
  const { chat, from, user_chat_id, date, bio } = request;
  return {
    ...base(update, addressOf(chat, undefined, self), senderOf(chat, from, undefined, self)),
    kind: "event",
    ref: String(update.update_id),
    sentAt: date * 1000,
    text: bio ?? "",
    to: { channel: "telegram", account: self.account, chat: String(user_chat_id), kind: "direct" },
    addressed: false,
    tags: ["chat_join_request"],
  };
}

const PRESENT = new Set(["creator", "administrator", "member"]);
/** In a group the service message about it is the act of kind "member", and this the event beside it; elsewhere, and about the bot itself, there is no other. */
export function fromMember(update: Update, change: ChatMemberUpdated, self: Self): Message {
  const here = (member: ChatMemberUpdated["new_chat_member"]): boolean => PRESENT.has(member.status) || (member.status === "restricted" && member.is_member);
  const before = here(change.old_chat_member);
  const after = here(change.new_chat_member);
  const action: Action | undefined = before === after ? undefined : { type: "member", change: after ? "joined" : "left", ids: [String(change.new_chat_member.user.id)] };
  const told = update.chat_member !== undefined && (change.chat.type === "group" || change.chat.type === "supergroup");
  return {
    ...base(update, addressOf(change.chat, undefined, self), senderOf(change.chat, change.from, undefined, self)),
    kind: action === undefined || told ? "event" : "member",
    ref: String(update.update_id),
    sentAt: change.date * 1000,
    addressed: change.chat.type === "private",
    ...(action === undefined ? {} : { action }),
    ...(action === undefined || told ? { tags: ["chat_member", `status:${change.new_chat_member.status}`] } : {}),
  };
}

/** Updates nobody asked for but an older setting of the bot may still bring: an event named by its kind, where at least a chat or a person is in it. */
export function fromOther(update: Update, self: Self): Message | undefined {
  for (const [name, value] of Object.entries(update) as [string, unknown][]) {
    if (typeof value !== "object" || value === null) continue;
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
