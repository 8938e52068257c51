/** The canonical Message and what belongs to it: pure data, one shape on every channel. */

export const MESSAGE_VERSION = 1;

export type MessageKind = "message" | "edit" | "delete" | "reaction" | "action" | "member" | "call" | "tick" | "event";

/** Where something was said, and where a reply goes. `account` is a slug made once at creation: renaming never changes it. */
export interface Address {
  readonly channel: string;
  readonly account: string;
  readonly chat: string;
  /** Guild, team, workspace. */
  readonly space?: string;
  readonly thread?: string;
  readonly kind: "direct" | "group";
}

export interface Sender {
  /** The platform's immutable id; names and handles can be copied by an impostor, this cannot. */
  readonly id: string;
  readonly name: string;
  readonly handle?: string;
  readonly roles?: readonly string[];
  /** BCP 47, where the platform tells it. */
  readonly language?: string;
  readonly bot: boolean;
  /** The bot of this very account. */
  readonly self: boolean;
}

export type FileKind = "image" | "video" | "audio" | "voice" | "document" | "sticker";
/** A file. `media` is a reference the account's connection can open, or `spool:<id>` once it is kept here; never the bytes. */
export interface FileAttachment {
  readonly kind: FileKind;
  readonly media: string;
  /** `remote`: still at the platform; `ready`: kept here; `failed`: could not be fetched, `error` says why. */
  readonly state: "remote" | "ready" | "failed";
  readonly mime?: string;
  readonly name?: string;
  readonly bytes?: number;
  readonly seconds?: number;
  /** The emoji a sticker stands for, a caption of its own, a description for people who cannot see it. */
  readonly alt?: string;
  readonly error?: string;
}
export interface LocationAttachment { readonly kind: "location"; readonly latitude: number; readonly longitude: number; readonly title?: string; readonly address?: string }
export interface ContactAttachment { readonly kind: "contact"; readonly name: string; readonly phone?: string; readonly email?: string }
/** A link card, poll, game, invoice, or anything else that has a title and lines. */
export interface EmbedAttachment { readonly kind: "embed"; readonly type: string; readonly title?: string; readonly text?: string; readonly url?: string; readonly options?: readonly string[] }
export type Attachment = FileAttachment | LocationAttachment | ContactAttachment | EmbedAttachment;
export type ContentKind = "text" | Attachment["kind"];

/** What a person did beside writing. */
export type Action =
  | { readonly type: "button"; readonly value: string; readonly label?: string }
  | { readonly type: "choice"; readonly values: readonly string[] }
  | { readonly type: "reaction"; readonly emoji: string; readonly removed: boolean }
  | { readonly type: "command"; readonly name: string; readonly args: string }
  | { readonly type: "member"; readonly change: "joined" | "left"; readonly ids: readonly string[] };

/** One chat message. Plain JSON: it can be wired, stored, logged, replayed. */
export interface Message {
  readonly version: typeof MESSAGE_VERSION;
  /**
   * Deduplication key, unique within (channel, account): one act of one person = one id, stable across redelivery, chosen by the adapter.
   * An edit adds its version, a button press or a reaction has its own event id.
   */
  readonly id: string;
  /** The platform's message id: what a reply, edit or reaction points at. */
  readonly ref: string;
  readonly kind: MessageKind;
  readonly at: Address;
  readonly sender: Sender;
  /** Unix milliseconds, the platform's clock. */
  readonly sentAt: number;
  /** Markdown; "" when there are only attachments. */
  readonly text: string;
  readonly attachments: readonly Attachment[];
  /** A ref. */
  readonly replyTo?: string;
  /** Refs of the messages joined into this one (a burst, an album), oldest first; the last is `ref`. */
  readonly parts?: readonly string[];
  readonly action?: Action;
  /** Immutable ids of the people named. */
  readonly mentions?: readonly string[];
  /** Direct chat, mention of the bot, reply to the bot, or a command to it. */
  readonly addressed: boolean;
  /** BCP 47; set by normalize's language step or by the platform. */
  readonly language?: string;
  readonly tags?: readonly string[];
  /** Where a reply goes when not to `at` (ticks, webhooks, foreign messages). */
  readonly to?: Address;
  /** The platform's payload, opt-in, capped; the engine never reads it. */
  readonly raw?: unknown;
}

/** A file to send: bytes kept in the media spool, or an address to fetch (only through the guarded fetch). */
export interface DraftFile { readonly kind: FileKind; readonly media: string; readonly mime?: string; readonly name?: string; readonly alt?: string }
export interface Button { readonly label: string; /** Comes back as `action.value`. */ readonly value?: string; readonly url?: string }
/** What to say. `text` is Markdown unless `plain`. */
export interface Draft {
  readonly text: string;
  readonly plain?: boolean;
  readonly attachments?: readonly DraftFile[];
  /** Rows of buttons. */
  readonly buttons?: readonly (readonly Button[])[];
  readonly poll?: { readonly question: string; readonly options: readonly string[]; readonly multiple?: boolean; readonly anonymous?: boolean };
  readonly location?: { readonly latitude: number; readonly longitude: number };
  readonly replyTo?: string;
  readonly silent?: boolean;
}

/** How far one conversation's memory reaches. In groups and threads the group or thread always has its own. */
export type SessionScope = "main" | "peer" | "channel-peer" | "account-channel-peer";
export const SESSION_SCOPES: readonly SessionScope[] = ["main", "peer", "channel-peer", "account-channel-peer"];

const part = encodeURIComponent;

/**
 * The key of the session a message belongs to. `identity` is the person linked across channels, where the user linked one; else the sender's id.
 * A session belongs to one agent: two agents in one chat do not read each other's memory unless they share the name.
 */
export function sessionKey(message: Message, scope: SessionScope, agent: string, identity: string = message.sender.id): string {
  const { at } = message;
  const place = `${part(at.channel)}:${part(at.account)}`;
  const thread = at.thread === undefined ? "" : `:thread:${part(at.thread)}`;
  if (at.kind === "group") return `agent:${part(agent)}:${place}:group:${part(at.chat)}${thread}`;
  const peer = part(identity);
  const who = {
    main: "main",
    peer: `direct:${peer}`,
    "channel-peer": `${part(at.channel)}:direct:${peer}`,
    "account-channel-peer": `${place}:direct:${peer}`,
  }[scope];
  return `agent:${part(agent)}:${who}${thread}`;
}

/** The ordered strip a message waits in: account, chat and thread; known before any agent is. */
export function laneOf(at: Address): string {
  return `${at.channel}\n${at.account}\n${at.chat}\n${at.thread ?? ""}`;
}

export function contentKinds(message: Message): ContentKind[] {
  const kinds: ContentKind[] = message.attachments.map((attachment) => attachment.kind);
  if (message.text !== "") kinds.unshift("text");
  return kinds;
}
