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
  /** What is said in it; set by normalize's step "voice to text". */
  readonly transcript?: string;
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
  /** `name`: the menu it was chosen in, where that had one. */
  | { readonly type: "choice"; readonly values: readonly string[]; readonly name?: string }
  /** A form that was filled in. A field of several choices has its values joined by ", ". */
  | { readonly type: "form"; readonly name: string; readonly values: Readonly<Record<string, string>> }
  /** `poll`: the ref of the poll. No options: the vote was taken back. */
  | { readonly type: "vote"; readonly poll: string; readonly options: readonly string[] }
  /** Words typed after the bot's name in any chat, to be answered with results to pick from. */
  | { readonly type: "query"; readonly text: string }
  /** A shortcut of the platform's own menus; `ref`: the message it was used on. */
  | { readonly type: "shortcut"; readonly name: string; readonly ref?: string }
  /** What became of a message of ours. */
  | { readonly type: "status"; readonly ref: string; readonly state: "sent" | "delivered" | "read" | "failed"; readonly text?: string }
  /** A phone call. `keys`: pressed digits; `speech`: what was said, as text; `recording`: an attachment holds it. */
  | { readonly type: "call"; readonly state: "ringing" | "speech" | "keys" | "recording" | "ended"; readonly keys?: string; readonly seconds?: number }
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
  /** It was said elsewhere, and passed on by the sender: by whom, as far as the platform tells. */
  readonly forwarded?: { readonly name?: string; readonly id?: string };
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
  /** `text` was translated by normalize's step: from which language, as far as it is known, into which, and what it was. */
  readonly translated?: { readonly from?: string; readonly to: string; readonly text: string };
  /** Where a reply goes when not to `at` (ticks, webhooks, foreign messages). */
  readonly to?: Address;
  /** The platform's payload, opt-in, capped; the engine never reads it. */
  readonly raw?: unknown;
}

/** A file to send: bytes kept in the media spool, or an address to fetch (only through the guarded fetch). */
export interface DraftFile { readonly kind: FileKind; readonly media: string; readonly mime?: string; readonly name?: string; readonly alt?: string }
export interface Button { readonly label: string; /** Comes back as `action.value`. */ readonly value?: string; readonly url?: string; readonly style?: "primary" | "danger" }
/** A menu of things to choose. Comes back as the action "choice". */
export interface Choices { readonly name?: string; readonly hint?: string; readonly multiple?: boolean; readonly options: readonly ChoiceOption[] }
export interface ChoiceOption { readonly label: string; readonly value?: string; readonly about?: string }
/** Something with a title, lines and perhaps a picture: an embed, an attachment of blocks, a flex bubble. `text` is Markdown. */
export interface Card {
  readonly title?: string;
  readonly text?: string;
  readonly url?: string;
  /** As `DraftFile.media`. */
  readonly image?: string;
  /** As #0f766e. */
  readonly color?: string;
  readonly fields?: readonly { readonly name: string; readonly value: string; readonly short?: boolean }[];
  readonly footer?: string;
}
/** Fields to fill in, opened by whoever pressed a button or gave a command. Comes back as the action "form". */
export interface Form { readonly name: string; readonly title: string; readonly submit?: string; readonly fields: readonly FormField[] }
export interface FormField { readonly key: string; readonly label: string; readonly type: "text" | "long" | "choice"; readonly required?: boolean; readonly initial?: string; readonly options?: readonly ChoiceOption[] }
/** What to say. `text` is Markdown unless `plain`. What a platform cannot show is told in words (degrade.ts). */
export interface Draft {
  readonly text: string;
  readonly plain?: boolean;
  readonly attachments?: readonly DraftFile[];
  /** Rows of buttons. */
  readonly buttons?: readonly (readonly Button[])[];
  readonly choices?: Choices;
  readonly cards?: readonly Card[];
  readonly poll?: { readonly question: string; readonly options: readonly string[]; readonly multiple?: boolean; readonly anonymous?: boolean };
  readonly location?: { readonly latitude: number; readonly longitude: number; readonly title?: string; readonly address?: string };
  readonly contact?: { readonly name: string; readonly phone: string };
  readonly form?: Form;
  /** A text the platform has approved beforehand, for when it allows nothing else (WhatsApp after 24 hours). `values` fill its gaps in order. */
  readonly template?: { readonly name: string; readonly language: string; readonly values?: readonly string[] };
  readonly subject?: string;
  readonly replyTo?: string;
  readonly silent?: boolean;
  /** Shown to this person alone (a sender's id), where the platform can; elsewhere it is not sent into a group at all. */
  readonly only?: string;
  /** By channel id: fields of the platform's own request that go over ours. */
  readonly native?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
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

/** Who said it, as the platform names its people: nobody else may say it anew or take it back. */
export function speakerOf({ at, sender }: Pick<Message, "at" | "sender">): string {
  return `${part(at.channel)}:${part(at.account)}:${part(sender.id)}`;
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
