/** An event of Discord's gateway to Messages. Pure: what it has to know besides is asked of `self.known`. */
import type { APIGuildMember, APIMessage, APIUser, GatewayDispatchPayload } from "discord.js";
import { ChannelError } from "../../errors.ts";
import { MESSAGE_VERSION, type Action, type Address, type Message, type Sender } from "../../message.ts";
import { attachmentsOf, textOf, type Said } from "./content.ts";
import { fromInteraction } from "./from-interaction.ts";
import { isId, isSnowflake, THREADS } from "./limits.ts";
import type { Known } from "./places.ts";

/** The bot that received the event, and the account it is here. */
export interface Self {
  readonly id: string;
  readonly account: string;
  /** Unix milliseconds for events that carry no time. */
  readonly now: number;
  /** Names the event where Discord gives it no id of its own: the same when a RESUME brings it again. */
  readonly event: string;
  /** The account is told of members by events of their own; then Discord's announcements of them are no members twice. */
  readonly members: boolean;
  readonly known: Known;
}

/** Somebody or something of a message; people of servers come with their membership. */
type Author = Partial<APIUser> & { readonly id: string };
type Member = Partial<Pick<APIGuildMember, "nick" | "roles">> & { readonly user?: Partial<APIUser> };
interface Placed { readonly channel_id: string; readonly guild_id?: string; readonly channel_type?: number }
type FullMessage = APIMessage & Placed & { readonly member?: Member };

/** Empty: nothing a flow could use. */
export function toMessages(event: GatewayDispatchPayload, self: Self): Message[] {
  const data = event.d as never;
  switch (event.t as string) {
    case "MESSAGE_CREATE": return [fromMessage(data, self)];
    case "MESSAGE_UPDATE": return fromEdit(data, self);
    case "MESSAGE_DELETE": return fromDelete(data, (data as { id: string }).id, self);
    case "MESSAGE_DELETE_BULK": return (data as { ids: string[] }).ids.flatMap((id) => fromDelete(data, id, self));
    case "MESSAGE_REACTION_ADD": return [fromReaction(data, false, self)];
    case "MESSAGE_REACTION_REMOVE": return [fromReaction(data, true, self)];
    case "MESSAGE_POLL_VOTE_ADD": return [fromVote(data, false, self)];
    case "MESSAGE_POLL_VOTE_REMOVE": return [fromVote(data, true, self)];
    case "GUILD_MEMBER_ADD": return [fromMember(data, "joined", self)];
    case "GUILD_MEMBER_REMOVE": return [fromMember(data, "left", self)];
    case "INTERACTION_CREATE": return fromInteraction(data, self);
    default: return [];
  }
}

/** Types of messages in which somebody says something (docs, "Message Types"); the others announce what happened. */
const SPOKEN: ReadonlySet<number> = new Set([0, 19, 20, 23]);
const ANNOUNCED: Readonly<Record<number, string>> = {
  1: "recipient_add", 2: "recipient_remove", 3: "call", 4: "channel_name_change", 5: "channel_icon_change", 6: "channel_pinned_message", 7: "user_join", 8: "guild_boost", 9: "guild_boost", 10: "guild_boost", 11: "guild_boost", 12: "channel_follow_add",
  18: "thread_created", 21: "thread_starter_message", 22: "guild_invite_reminder", 24: "auto_moderation_action", 46: "poll_result",
};
const FORWARD = 1;

function fromMessage(message: FullMessage, self: Self): Message {
  const snapshot = message.message_reference?.type === FORWARD ? (message.message_snapshots?.[0]?.message as Said | undefined) : undefined;
  const said: Said = snapshot === undefined ? message : { ...snapshot, content: [textOf(message), textOf(snapshot)].filter((text) => text !== "").join("\n\n") };
  const at = addressOf(message, self);
  const type = message.type ?? 0;
  const replyTo = type === 19 ? message.message_reference?.message_id : undefined;
  const mentions = (message.mentions ?? []).map(({ id }) => id).filter(isSnowflake);
  const joined: Action | undefined = type === 7 && !self.members ? { type: "member", change: "joined", ids: [message.author.id] } : undefined;
  const tags = [...(SPOKEN.has(type) ? [] : [ANNOUNCED[type] ?? `type_${type}`]), ...(snapshot === undefined ? [] : ["forwarded"])];
  return {
    ...base(`message:${message.id}`, at, senderOf(message.author, message.member, at, self, message.webhook_id)),
    kind: joined !== undefined ? "member" : SPOKEN.has(type) ? "message" : "event",
    ref: message.id,
    sentAt: time(message.timestamp, self.now),
    text: textOf(said),
    attachments: attachmentsOf(said, `${message.channel_id}/${message.id}`),
    addressed: isAddressed(message, mentions, self),
    ...(replyTo === undefined ? {} : { replyTo }),
    ...(snapshot === undefined ? {} : { forwarded: {} }),
    ...(joined === undefined ? {} : { action: joined }),
    ...(mentions.length === 0 ? {} : { mentions }),
    ...(tags.length === 0 ? {} : { tags }),
  };
}

function isAddressed(message: FullMessage, mentions: readonly string[], self: Self): boolean {
  if (message.guild_id === undefined) return true;
  const own = self.known.ownRole(message.guild_id);
  return mentions.includes(self.id) || (own !== undefined && (message.mention_roles ?? []).includes(own)) || (message.type === 19 && message.referenced_message?.author?.id === self.id);
}

/** Milliseconds after which an edit is none any more: a pin or an unfurled link brings an old message again, with the time of its last edit. */
const EDIT_AGE_MS = 15 * 60_000;

function fromEdit(message: FullMessage, self: Self): Message[] {
  if (typeof message.edited_timestamp !== "string" || typeof message.content !== "string" || message.author === undefined) return [];
  const at = time(message.edited_timestamp, self.now);
  if (at < self.now - EDIT_AGE_MS) return [];
  const read = fromMessage(message, self);
  return read.kind === "message" ? [{ ...read, id: `edit:${message.id}:${message.edited_timestamp}`, kind: "edit", sentAt: at }] : [];
}

/** Discord tells neither who wrote it nor who took it away: it counts as taken back by its author, where that is known. */
function fromDelete(data: Placed, id: string, self: Self): Message[] {
  const author = self.known.author(id);
  if (author === undefined) return [];
  const at = addressOf(data, self);
  return [{ ...base(`delete:${id}`, at, senderOf({ id: author }, undefined, at, self)), kind: "delete", ref: id, sentAt: self.now, addressed: at.kind === "direct" }];
}

interface ReactionData extends Placed { readonly user_id: string; readonly message_id: string; readonly message_author_id?: string; readonly member?: Member; readonly emoji: { readonly id?: string | null; readonly name?: string | null } }
function fromReaction(data: ReactionData, removed: boolean, self: Self): Message {
  const at = addressOf(data, self);
  const { id, name } = data.emoji;
  const emoji = typeof id === "string" ? `${name ?? "_"}:${id}` : (name ?? "");
  return {
    ...base(`reaction:${self.event}`, at, senderOf({ id: data.user_id, ...data.member?.user }, data.member, at, self)),
    kind: "reaction", ref: data.message_id, sentAt: self.now, replyTo: data.message_id, action: { type: "reaction", emoji, removed },
    addressed: at.kind === "direct" || data.message_author_id === self.id,
  };
}

interface VoteData extends Placed { readonly user_id: string; readonly message_id: string; readonly answer_id: number }
function fromVote(data: VoteData, removed: boolean, self: Self): Message {
  const at = addressOf(data, self);
  return {
    ...base(`vote:${self.event}`, at, senderOf({ id: data.user_id }, undefined, at, self)),
    kind: "action", ref: data.message_id, sentAt: self.now, replyTo: data.message_id, action: { type: "vote", poll: data.message_id, options: removed ? [] : [String(data.answer_id)] }, addressed: at.kind === "direct",
  };
}

/** They come and go in a server, not in a channel: the place is where Discord itself would announce it. */
function fromMember(data: Member & { readonly guild_id: string; readonly user: APIUser }, change: "joined" | "left", self: Self): Message {
  const at = addressOf({ channel_id: self.known.systemChannel(data.guild_id) ?? data.guild_id, guild_id: data.guild_id }, self);
  return {
    ...base(`member:${self.event}`, at, senderOf(data.user, data, at, self)),
    kind: "member", ref: data.user.id, sentAt: self.now, action: { type: "member", change, ids: [data.user.id] }, addressed: false,
  };
}

/** The frame every Message has. */
export function base(id: string, at: Address, sender: Sender): Pick<Message, "version" | "id" | "at" | "sender" | "text" | "attachments"> {
  return { version: MESSAGE_VERSION, id, at, sender, text: "", attachments: [] };
}

/** A thread and a post of a forum are threads of the channel they are in. */
export function addressOf(data: Placed, self: Self, given?: { readonly type?: number; readonly parent_id?: string | null }): Address {
  if (!isId(data.channel_id)) throw new ChannelError("MSG_001", {}, "Expected channel_id to be the id of a channel, got something else.");
  const place = self.known.channel(data.channel_id);
  const parent = given?.type !== undefined && THREADS.has(given.type) ? given.parent_id ?? place?.parent : place?.parent;
  const guild = data.guild_id ?? place?.guild;
  return {
    channel: "discord", account: self.account, chat: parent ?? data.channel_id,
    ...(guild === undefined ? {} : { space: guild }),
    ...(parent === undefined || parent === null ? {} : { thread: data.channel_id }),
    kind: guild === undefined ? "direct" : "group",
  };
}

/** `roles`: the names people know, and the ids that never change. A name made of digits is left out: it would pass for an id. */
export function senderOf(user: Author, member: Member | undefined, at: Address, self: Self, webhook?: string): Sender {
  if (!isId(user.id)) throw new ChannelError("MSG_001", {}, "Expected the sender to have an id, got none.");
  const known = self.known.person(user.id);
  const name = [member?.nick, user.global_name, user.username, known?.name].find((each): each is string => typeof each === "string" && each !== "") ?? user.id;
  const handle = typeof user.username === "string" ? user.username : known?.handle;
  const ids = Array.isArray(member?.roles) ? member.roles.filter(isSnowflake) : [];
  const names = ids.map((id) => self.known.roleName(at.space ?? "", id)).filter((each): each is string => each !== undefined && !/^\d{5,}$/.test(each));
  return {
    id: user.id, name, bot: user.bot ?? (webhook !== undefined || (known?.bot ?? false)), self: user.id === self.id,
    ...(handle === undefined ? {} : { handle }),
    ...(ids.length === 0 ? {} : { roles: [...names, ...ids] }),
  };
}

export function time(stamp: unknown, fallback: number): number {
  const at = typeof stamp === "string" ? Date.parse(stamp) : Number.NaN;
  return Number.isNaN(at) ? fallback : at;
}
