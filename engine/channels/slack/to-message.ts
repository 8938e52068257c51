/** What Slack brings, as a Message. Pure. */
import type { Address, Attachment, EmbedAttachment, FileAttachment, FileKind, Message, Sender } from "../../message.ts";
import { MESSAGE_VERSION } from "../../message.ts";
import { emojiOf } from "./emoji.ts";
import { mentionsIn, type NameOf, toMarkdown } from "./mrkdwn.ts";
import { blockWords } from "./words.ts";
import type { Envelope, Interaction, SlackAttachment, SlackEvent, SlackFile, SlackMessage, SlashCommand } from "./shapes.ts";
import { fromCommand, fromInteraction } from "./to-action.ts";
import { workspaceOf } from "./workspaces.ts";

export interface Self {
  readonly account: string;
  readonly userId: string;
  readonly botId?: string;
  readonly teamId: string;
  /** An answer to what was said to the bot in a channel goes into a thread. */
  readonly threads?: boolean;
  /** Unix milliseconds, for what carries no time. */
  readonly now: number;
  readonly nameOf?: NameOf;
}

/** A payload of the Events API, of interactivity or of a slash command. Undefined: nothing for a flow. Throws on what cannot be read. */
export function toMessage(body: unknown, self: Self): Message | undefined {
  const { type, command } = body as Envelope & SlashCommand;
  if (type === "event_callback") return fromEnvelope(body as Envelope, self);
  if (typeof command === "string") return fromCommand(body as SlashCommand, self);
  return fromInteraction(body as Interaction, self);
}

function fromEnvelope(envelope: Envelope, self: Self): Message | undefined {
  const event = envelope.event as SlackEvent;
  const space = workspaceOf(envelope).team ?? self.teamId;
  switch (event.type) {
    case "message":
    case "app_mention": return fromMessage(event, envelope, space, self);
    case "reaction_added":
    case "reaction_removed": return fromReaction(event, envelope, space, self);
    case "member_joined_channel":
    case "member_left_channel": return fromMember(event, envelope, space, self);
    // Tells that somebody looked at the bot's page.
    case "app_home_opened": return undefined;
    default: return fromOther(event, envelope, space, self);
  }
}

const SAID: ReadonlySet<string | undefined> = new Set([undefined, "bot_message", "file_share", "thread_broadcast", "me_message"]);
/** Told once more by an event of their own, or about nothing a person did. */
const ECHOES: ReadonlySet<string | undefined> = new Set(["channel_join", "channel_leave", "group_join", "group_leave", "message_replied", "assistant_app_thread", "bot_add", "bot_remove"]);

function fromMessage(event: SlackEvent, envelope: Envelope, space: string, self: Self): Message | undefined {
  const { subtype } = event;
  if (SAID.has(subtype)) return said(event, event, "message", `message:${chatOf(event)}:${event.ts}`, space, self);
  if (ECHOES.has(subtype)) return undefined;
  if (subtype === "message_changed") return fromEdit(event, space, self);
  if (subtype === "message_deleted") return event.previous_message === undefined ? undefined : fromDelete(event, event.previous_message, event.deleted_ts ?? event.previous_message.ts, space, self);
  return fromOther(event, envelope, space, self);
}

/** Links that got a preview, a thread that grew: nothing a person wrote. */
function fromEdit(event: SlackEvent, space: string, self: Self): Message | undefined {
  const { message, previous_message: before } = event;
  if (message === undefined) return undefined;
  // A deleted message that has answers stays as a stone.
  if (message.subtype === "tombstone") return fromDelete(event, before ?? message, message.ts, space, self);
  const files = (of: SlackMessage | undefined) => (of?.files ?? []).map(({ id }) => id).join();
  if (before !== undefined && before.text === message.text && files(before) === files(message)) return undefined;
  return said(message, event, "edit", `edit:${chatOf(event)}:${message.ts}:${message.edited?.ts ?? event.event_ts ?? event.ts}`, space, self);
}

function fromDelete(event: SlackEvent, gone: SlackMessage, ts: string | undefined, space: string, self: Self): Message {
  const addressed = isDirect(event) || mentionsIn(gone.text ?? "").includes(self.userId);
  return {
    ...base(`delete:${chatOf(event)}:${ts}`, addressOf(event, gone, space, addressed, self), senderOf(gone, self)),
    kind: "delete", ref: String(ts), sentAt: timeOf(event.event_ts ?? event.ts, self), addressed,
  };
}

function said(message: SlackMessage, event: SlackEvent, kind: "message" | "edit", id: string, space: string, self: Self): Message {
  const source = message.text ?? "";
  const text = source === "" ? blockWords(message.blocks, self.nameOf) : toMarkdown(source, self.nameOf);
  const mentions = mentionsIn(source);
  const inThread = message.thread_ts !== undefined && message.thread_ts !== message.ts;
  const addressed = isDirect(event) || event.type === "app_mention" || mentions.includes(self.userId) || (inThread && message.parent_user_id === self.userId);
  const shared = message.attachments?.find((each) => each.is_share === true || each.is_msg_unfurl === true);
  const tags = [...(message.subtype === "thread_broadcast" || message.subtype === "me_message" ? [message.subtype] : [])];
  return {
    ...base(id, addressOf(event, message, space, addressed, self), senderOf(message, self)),
    kind, ref: String(message.ts), text, attachments: attachmentsOf(message, self.nameOf), addressed,
    sentAt: timeOf(kind === "edit" ? (message.edited?.ts ?? event.event_ts) : message.ts, self),
    ...(inThread ? { replyTo: message.thread_ts as string } : {}),
    ...(shared === undefined ? {} : { forwarded: { ...(shared.author_name === undefined ? {} : { name: shared.author_name }), ...(shared.author_id === undefined ? {} : { id: shared.author_id }) } }),
    ...(mentions.length === 0 ? {} : { mentions }),
    ...(tags.length === 0 ? {} : { tags }),
  };
}

function fromReaction(event: SlackEvent, envelope: Envelope, space: string, self: Self): Message | undefined {
  const { item, reaction = "", user } = event;
  if (item?.channel === undefined || item.ts === undefined) return undefined;
  const at = { ...addressOf({ ...event, channel: item.channel }, {}, space, false, self) };
  return {
    ...base(idOf(envelope, `${event.type}:${item.channel}:${item.ts}:${user}:${reaction}:${event.event_ts}`), at, senderOf({ ...(user === undefined ? {} : { user }) }, self)),
    kind: "reaction", ref: item.ts, replyTo: item.ts, sentAt: timeOf(event.event_ts, self),
    action: { type: "reaction", emoji: emojiOf(reaction), removed: event.type === "reaction_removed" },
    addressed: at.kind === "direct" || event.item_user === self.userId,
  };
}

/** Who brought the bot in is the one to talk to; of anybody else the person is. */
function fromMember(event: SlackEvent, envelope: Envelope, space: string, self: Self): Message {
  const who = String(event.user);
  const sender = who === self.userId && event.inviter !== undefined ? event.inviter : who;
  const change = event.type === "member_joined_channel" ? "joined" : "left";
  return {
    ...base(idOf(envelope, `${event.type}:${chatOf(event)}:${who}:${event.event_ts}`), addressOf(event, {}, space, false, self), senderOf({ user: sender }, self)),
    kind: "member", ref: String(event.event_ts ?? ""), sentAt: timeOf(event.event_ts, self), action: { type: "member", change, ids: [who] }, addressed: who === self.userId,
  };
}

/** Anything else the app was subscribed to: an event named by its kind, where at least a chat or a person is in it. */
function fromOther(event: SlackEvent, envelope: Envelope, space: string, self: Self): Message | undefined {
  const person: unknown = event.user;
  const user = typeof person === "string" ? person : (person as { id?: string } | undefined)?.id;
  const chat = chatOf(event) ?? user;
  if (chat === undefined || event.type === undefined) return undefined;
  return {
    ...base(idOf(envelope, `${event.type}:${event.subtype ?? ""}:${chat}:${event.event_ts ?? event.ts}`), addressOf({ ...event, channel: chat }, event, space, false, self), senderOf({ ...event, user: user ?? event.bot_id ?? chat }, self)),
    kind: "event", ref: String(event.ts ?? event.event_ts ?? ""), sentAt: timeOf(event.event_ts ?? event.ts, self), text: typeof event.text === "string" ? toMarkdown(event.text, self.nameOf) : "",
    addressed: false, tags: [event.subtype ?? event.type],
  };
}

export function base(id: string, at: Address, sender: Sender): Pick<Message, "version" | "id" | "at" | "sender" | "text" | "attachments"> {
  return { version: MESSAGE_VERSION, id, at, sender, text: "", attachments: [] };
}
function idOf(envelope: Envelope, fallback: string): string {
  return envelope.event_id === undefined ? fallback : `event:${envelope.event_id}`;
}
function chatOf(event: SlackEvent): string | undefined {
  return (typeof event.channel === "object" && event.channel !== null ? event.channel.id : event.channel) ?? event.channel_id ?? event.item?.channel;
}
/** The id of a direct chat begins with D; of a chat that was never opened, the person's own stands for it. */
export const isDirectId = (chat: string): boolean => /^[DUW]/.test(chat);
function isDirect(event: SlackEvent): boolean {
  return event.channel_type === "im" || isDirectId(chatOf(event) ?? "");
}

function addressOf(event: SlackEvent, message: SlackMessage, space: string, addressed: boolean, self: Self): Address {
  const direct = isDirect(event);
  const root = message.thread_ts !== undefined && message.thread_ts !== message.ts ? message.thread_ts : undefined;
  const thread = root ?? (self.threads === true && addressed && !direct ? message.ts : undefined);
  return { channel: "slack", account: self.account, chat: String(chatOf(event)), space, kind: direct ? "direct" : "group", ...(thread === undefined ? {} : { thread }) };
}

function senderOf(message: SlackMessage, self: Self): Sender {
  const id = message.user ?? message.bot_id ?? "unknown";
  const bot = message.bot_id !== undefined || message.subtype === "bot_message" || id === self.userId;
  const name = self.nameOf?.(id) ?? message.bot_profile?.name ?? message.username ?? id;
  return { id, name, bot, self: id === self.userId || (self.botId !== undefined && message.bot_id === self.botId) };
}

/** Slack writes a time as seconds with six digits behind the point. */
export function timeOf(ts: string | undefined, self: Pick<Self, "now">): number {
  const seconds = Number(ts);
  return ts !== undefined && Number.isFinite(seconds) && seconds > 0 ? Math.round(seconds * 1000) : self.now;
}

const ATTACHMENTS = 100;
function attachmentsOf(message: SlackMessage, nameOf: NameOf | undefined): Attachment[] {
  return [...(message.files ?? []).flatMap(fileOf), ...(message.attachments ?? []).map((each) => embedOf(each, nameOf))].slice(0, ATTACHMENTS);
}

/** Sound and film that were recorded in Slack are told by the subtype. */
function kindOf({ mimetype = "", subtype }: SlackFile): FileKind {
  if (subtype === "slack_audio") return "voice";
  return mimetype.startsWith("image/") ? "image" : mimetype.startsWith("video/") || subtype === "slack_video" ? "video" : mimetype.startsWith("audio/") ? "audio" : "document";
}

function fileOf(file: SlackFile): Attachment[] {
  if (file.id === undefined || file.mode === "tombstone") return [];
  const title = file.name ?? file.title ?? undefined;
  // A file of another service: Slack has no bytes of it.
  if (file.is_external === true || file.mode === "external") return [{ kind: "embed", type: "link", ...(title === undefined ? {} : { title }), ...(file.url_private === undefined ? {} : { url: file.url_private }) }];
  const made: FileAttachment = {
    kind: kindOf(file), media: file.id, state: "remote",
    ...(file.mimetype === undefined ? {} : { mime: file.mimetype }),
    ...(title === undefined ? {} : { name: title }),
    ...(file.size === undefined ? {} : { bytes: file.size }),
    ...(file.duration_ms === undefined ? {} : { seconds: file.duration_ms / 1000 }),
    ...(file.alt_txt === undefined ? {} : { alt: file.alt_txt }),
  };
  return [made];
}

function embedOf(from: SlackAttachment, nameOf: NameOf | undefined): EmbedAttachment {
  const title = from.title ?? from.author_name;
  const text = from.text !== undefined ? toMarkdown(from.text, nameOf) : (blockWords(from.blocks, nameOf) || from.fallback);
  const url = from.title_link ?? from.from_url ?? from.image_url;
  return { kind: "embed", type: from.is_share === true || from.is_msg_unfurl === true ? "message" : "attachment", ...(title === undefined ? {} : { title }), ...(text === undefined ? {} : { text }), ...(url === undefined ? {} : { url }) };
}
