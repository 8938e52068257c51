/** What the page and the server say to each other. Plain JSON; the page takes these types, nothing else, from the engine. */
import type { Button, Card, FileKind } from "../../message.ts";

/** A file of an entry; its bytes are at `file/<id>`. */
export interface FileCard {
  readonly id: string;
  readonly name: string;
  readonly mime: string;
  readonly kind: FileKind;
  readonly bytes?: number;
  readonly alt?: string;
}

/** A menu; the page shows it as buttons, a list or boxes to tick. */
export interface Menu { readonly name?: string; readonly hint?: string; readonly multiple?: true; readonly options: readonly { readonly label: string; readonly value: string; readonly about?: string }[] }
export interface CardView extends Omit<Card, "image"> { readonly image?: FileCard }
/** `counts`: votes for each option, in order. */
export interface PollView { readonly question: string; readonly options: readonly string[]; readonly multiple?: true; readonly counts: readonly number[] }
/** Who wrote in a room. `tag` is the same for one person in one room and tells nothing outside of it. */
export interface Author { readonly tag: string; readonly name: string }

/** One message as the transcript keeps it. */
export interface Entry {
  /** Place in the chat, never used twice; as text it is the message's ref. */
  readonly seq: number;
  readonly from: "visitor" | "bot";
  /** Unix milliseconds, the server's clock. */
  readonly at: number;
  /** Markdown unless `plain`. */
  readonly text: string;
  readonly plain?: true;
  readonly files?: readonly FileCard[];
  readonly buttons?: readonly (readonly Button[])[];
  readonly choices?: Menu;
  readonly cards?: readonly CardView[];
  readonly poll?: PollView;
  readonly location?: { readonly latitude: number; readonly longitude: number; readonly title?: string };
  readonly contact?: { readonly name: string; readonly phone: string };
  /** In a room. */
  readonly author?: Author;
  /** A ref. */
  readonly replyTo?: string;
  /** Chosen by the page: the same act of the same visitor has the same one. */
  readonly clientId?: string;
  /** The bot's idempotency key: what was previewed under it gives way to this entry. */
  readonly key?: string;
  readonly edited?: true;
  /** Value of the button that was pressed last. */
  readonly pressed?: string;
  /** Values chosen last in its menu. */
  readonly chosen?: readonly string[];
  /** Emoji the bot gave it. */
  readonly reaction?: string;
}

/** First event of every stream. */
export interface Hello {
  readonly title: string;
  readonly welcome: string;
  readonly suggestions: readonly string[];
  readonly notice: string;
  readonly accent: string;
  /** The visitor's own id: what an owner lets in. */
  readonly visitor: string;
  readonly trust: "unknown" | "known" | "refused";
  /** The visitor's tag in a room; left out where there is nobody else. */
  readonly me?: string;
  /** Name that the page around the chat vouches for. */
  readonly name?: string;
  /** Largest file in bytes; 0: no files here. */
  readonly maxUploadBytes: number;
  /** True: entries follow from the oldest that is sent; false: only what is new since `Last-Event-ID`. */
  readonly fresh: boolean;
  /** Older entries are there, at `history`. */
  readonly more: boolean;
}

export type ServerEvent =
  | { readonly type: "hello"; readonly hello: Hello }
  | { readonly type: "entry"; readonly entry: Entry }
  /** An entry is different now, or gone. */
  | { readonly type: "change"; readonly ref: string; readonly entry: Entry | null }
  /** All that was missed has been sent. */
  | { readonly type: "ready" }
  | { readonly type: "trust"; readonly trust: Hello["trust"] }
  | { readonly type: "typing" }
  /** Grows until the entry with this key comes. Never stored. */
  | { readonly type: "preview"; readonly key: string; readonly text: string; readonly plain: boolean };

export interface SendBody {
  readonly clientId: string;
  readonly text: string;
  readonly name?: string;
  readonly replyTo?: string;
  /** Ids that `file` gave out. */
  readonly files?: readonly string[];
}
export interface PressBody { readonly clientId: string; readonly ref: string; readonly value: string; readonly name?: string }
export interface ChooseBody { readonly clientId: string; readonly ref: string; readonly values: readonly string[]; readonly name?: string }
/** `options`: all that this person votes for, from 0; none takes the vote back. */
export interface VoteBody { readonly clientId: string; readonly ref: string; readonly options: readonly number[]; readonly name?: string }
export interface ClaimBody { readonly code: string; readonly name?: string }
/** `refused`: the owner has not let this visitor in; nothing was kept. */
export type SendAnswer = { readonly state: "saved"; readonly ref: string } | { readonly state: "refused" };
export interface FaultAnswer { readonly error: { readonly code: string; readonly text: string; readonly remedy: string } }

/** Holds the visitor's secret: a header, so that it stands in no address, log or cookie, and another site cannot send it unasked. */
export const VISITOR_HEADER = "x-clawflow-visitor";
/** A signed word of the site around the chat about who its visitor is (identity.ts). */
export const IDENTITY_HEADER = "x-clawflow-identity";
/** Id of the room; without it the visitor's own chat is meant. */
export const ROOM_HEADER = "x-clawflow-room";
/** File name of an upload, percent-encoded UTF-8. */
export const FILE_NAME_HEADER = "x-clawflow-file-name";
/** `voice`: the sound was recorded to be sent. */
export const FILE_KIND_HEADER = "x-clawflow-file-kind";
/** Largest JSON body in bytes. */
export const MAX_BODY_BYTES = 1024 * 1024;
/** The server says something at least this often; silence twice as long is a dead link. */
export const BEAT_MS = 15_000;
