/** The contract of a chat platform. An adapter reports; the engine alone decides, retries, splits and paces. */
import type { Clock } from "../clock.ts";
import type { ClawError } from "../errors.ts";
import type { Address, Draft, DraftFile, FileKind, Message, Sender } from "../message.ts";
import type { DialectName } from "./dialects.ts";

/** One field of the account form. Labels and hints are looked up in locales as `channels.<channel>.<key>`. */
export interface Setting {
  readonly key: string;
  readonly type: "text" | "secret" | "url" | "number" | "boolean" | "choice" | "list";
  readonly label: string;
  readonly hint?: string;
  readonly required?: boolean;
  readonly initial?: string | number | boolean;
  readonly choices?: readonly { readonly value: string; readonly label: string }[];
  /** Shown only while another field has this value. */
  readonly when?: { readonly key: string; readonly value: string | boolean };
}

export interface Limits {
  /** Longest text of one message and how the platform counts it. */
  readonly text: number;
  readonly unit: "utf16" | "bytes" | "points";
  readonly caption?: number;
  /** Longest text of a message that carries buttons, a menu or a form; `text` where it is left out. */
  readonly controls?: number;
  /** Files that stand without a text of their own; stickers alone where it is left out. */
  readonly bare?: readonly FileKind[];
  /** Largest number of files in one message; 1 where it is left out. */
  readonly files?: number;
  /** Bytes of a file sent, and of a file fetched. */
  readonly upload?: number;
  readonly download?: number;
  /** Sends per second: over the whole account, and into one chat. */
  readonly perSecond?: number;
  readonly perChatPerSecond?: number;
  /** Shortest time between two edits of one message. */
  readonly editEveryMs?: number;
}

/** Parts of a draft that a platform shows as what they are. What is left out here is told in words before the adapter sees the draft. */
export interface Shows {
  readonly files?: readonly FileKind[];
  /** Largest number of buttons in one message, and of characters on one; `links`: a button may open an address. */
  readonly buttons?: number;
  readonly buttonLabel?: number;
  readonly links?: true;
  /** Largest number of options in a menu. */
  readonly choices?: number;
  readonly cards?: true;
  readonly poll?: true;
  readonly location?: true;
  readonly contact?: true;
  readonly form?: true;
  readonly subject?: true;
  /** A message that one person of a group sees. */
  readonly only?: true;
}

/** What the platform offers against a doubled send: a key it honours for `keyMs`, a way to look (`find`), an edit of a sent message. */
export interface Delivery { readonly keyMs?: number; readonly evidence?: true; readonly edit?: true }

export interface Account {
  /** Slug, unique in its gateway, made once. */
  readonly id: string;
  readonly channel: string;
  readonly name: string;
  /** By `Setting.key`; secrets included, `${ENV}` already replaced. `raw` is true on every channel where messages are to carry the platform's own payload. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** A command that a flow waits for. `name` without the slash. */
export interface Command { readonly name: string; readonly description: string }

/** `saved` and `duplicate`: it is on disk, confirm it. `refused`: the sender may not talk here; confirm it too, it was dealt with. */
export type Received = "saved" | "duplicate" | "refused";
/** Resolves once the message is on disk: only then may the adapter confirm it to the platform. Throws a ClawError with afterMs when it cannot be saved. */
export type Receive = (message: Message) => Promise<Received>;

/** Small durable memory of one account: a cursor, a transcript, a rotating token. Keys sort as text. Writes are on disk when they resolve. */
export interface AccountStorage {
  get(key: string): Promise<unknown>;
  /** Several changes, all or none; `undefined` removes. */
  set(changes: Readonly<Record<string, unknown>>): Promise<void>;
  /** Entries whose key begins with `prefix` and sorts after `after`, ascending. */
  list(prefix: string, options?: { readonly after?: string; readonly limit?: number; readonly last?: boolean }): Promise<[key: string, value: unknown][]>;
}

/** The gateway's media folder: files kept here outlive the platform's address of them. The reference of a kept file is `spool:<id>`. */
export interface MediaSpool {
  /** Resolves once the bytes are on disk; `mime` is what they are seen to be. Throws a ClawError: MSG_003 over the size cap, STORE_001 when it cannot write. */
  save(source: ReadableStream<Uint8Array>, about: { readonly name?: string; readonly mime?: string }, signal?: AbortSignal): Promise<{ readonly id: string; readonly mime: string; readonly bytes: number }>;
  /** Undefined when the file is gone. */
  open(id: string): Promise<ReadableStream<Uint8Array> | undefined>;
}

/** What a platform asks of a file. What does not fit is converted where that is possible (pictures by sharp, voice by ffmpeg), else refused. */
export interface FileNeeds {
  /** Largest size in bytes. */
  readonly bytes?: number;
  /** Types it takes, "image/png" or "image/*"; any where it is left out. */
  readonly types?: readonly string[];
  /** Largest width and height of a picture. */
  readonly pixels?: number;
}
/** A file of a draft, ready to be sent. `stream` may be called once. */
export interface ReadyFile {
  /** `spool:<id>`: where it is kept, as it is sent. */
  readonly media: string;
  readonly name: string;
  readonly mime: string;
  readonly bytes: number;
  stream(): ReadableStream<Uint8Array>;
  /** All of it in memory: for platforms that want it in one piece. */
  read(): Promise<Uint8Array<ArrayBuffer>>;
}

/** What the engine lends an adapter while an account is open. */
export interface ChannelContext {
  readonly receive: Receive;
  /** Aborted when the account closes: everything the adapter opened ends with it. */
  readonly signal: AbortSignal;
  readonly fetch: typeof fetch;
  readonly storage: AccountStorage;
  readonly clock: Clock;
  /** Says what the link does now; `connected` again after a fault. The engine shows it and opens the breaker. */
  status(state: "connecting" | "connected" | "reconnecting" | "error", error?: ClawError): void;
  log(level: "debug" | "info" | "warn", text: string): void;
  /** Commands of the flows on this account, for platforms that list them in a menu. */
  readonly commands: readonly Command[];
  /** Public address of this account's webhook, where the gateway knows one. */
  readonly webhookUrl?: string;
  /** Left out where the gateway keeps no files. */
  readonly spool?: MediaSpool;
  /** A file of a draft, from the media folder or fetched (guarded) from its address. Throws ChannelError MSG_002 or MSG_003 when it is gone, too large, or of a type that cannot be made to fit. */
  file(file: DraftFile, needs?: FileNeeds): Promise<ReadyFile>;
  /**
   * Fetches an address that somebody else named. Never reaches a private address, unless its origin is in `trust` (what the user configured);
   * redirects are followed and checked, headers never go to another origin. Throws ChannelError.
   */
  download(url: string, options?: { readonly headers?: Readonly<Record<string, string>>; readonly signal?: AbortSignal; readonly trust?: readonly string[]; readonly bytes?: number }): Promise<ReadableStream<Uint8Array>>;
  /** Is this sender let in now? For platforms where people read without saying anything: who was removed goes on asking. */
  mayTalk?(at: Address, sender: Pick<Sender, "id">): boolean;
  /** Does a flow take messages of this account now? */
  listens?(message: Message): boolean;
  /**
   * For platforms that ask and get one answer: resolves when nothing of this place is under way any more, or all that is waits for a person, and all it
   * said was handed to `send`. `usage`: tokens used for it. Rejects with the signal's reason.
   */
  quiet?(at: Address, signal: AbortSignal): Promise<{ readonly usage: { readonly input: number; readonly output: number } }>;
  /** Hands the gateway's one-time owner code to the gateway. True: this sender is the owner now, and `at` is where the owner is reached. */
  claim?(code: string, sender: Sender, at: Address): Promise<boolean>;
}

/** An HTTP request to the account's webhook. `body` is raw: signatures are made over these very bytes. */
export interface WebhookRequest {
  readonly method: string;
  /** Below the account's own path, "/" at least. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case; several values joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly remote: string;
  /** Aborted when the other side goes away. */
  readonly signal: AbortSignal;
}
export interface WebhookAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream is piped and flushed chunk by chunk (server-sent events). */
  readonly body?: string | Uint8Array | AsyncIterable<string | Uint8Array>;
}

/** What may have been sent: the very arguments of `send`, and what an adapter needs to tell it from others that look alike. */
export interface SentBefore {
  readonly key: string;
  readonly draft: Draft;
  /** Unix milliseconds when `send` was called; it may have uploaded for long after that. */
  readonly startedAt: number;
  /** Unix milliseconds when this process gave up waiting for the platform's answer: evidence may still be on its way from then on. Left out after a crash. */
  readonly silentAt?: number;
  /** This ref belongs to something else that was sent. Asked by adapters that know their messages by words alone. */
  isTaken?(ref: string): Promise<boolean>;
}

/** A live account. A method left out is a thing the platform cannot do. Every failure is a ChannelError. */
export interface Connection {
  /** Says who the bot is at the platform: for status and for the account's Test button. */
  readonly self: { readonly id: string; readonly name: string };
  /** One visible part. Resolves to the platform's ref. `key` is the idempotency key, at most 64 characters. */
  send(to: Address, draft: Draft, key: string): Promise<string>;
  /** Was it already sent? Asked after a crash in the send window, or a send that got no answer. */
  find?(to: Address, sent: SentBefore): Promise<string | undefined>;
  edit?(to: Address, ref: string, draft: Draft): Promise<void>;
  remove?(to: Address, ref: string): Promise<void>;
  react?(to: Address, ref: string, emoji: string): Promise<void>;
  /** `about`: ref of the message that is being answered; some platforms want it, and mark it as read by the same call. */
  typing?(to: Address, about?: string): Promise<void>;
  /** Marks a message as read. */
  read?(to: Address, ref: string): Promise<void>;
  /** The platform's own API, for what no other method covers: `method` as the platform names it. Resolves to its answer. */
  call?(method: string, parameters: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** Shows an unfinished draft that vanishes by itself; `send` with the same key replaces it. Needs to survive nothing. */
  preview?(to: Address, draft: Draft, key: string): Promise<void>;
  /** Cheap call that proves the link and the credentials; throws a ChannelError. Left out where there is no platform behind the link, or where it shows by itself that it is alive. */
  health?(signal: AbortSignal): Promise<void>;
  /** The bytes behind a FileAttachment's reference. */
  media?(reference: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array>>;
  /** Checks the signature first, on the raw body. */
  webhook?(request: WebhookRequest): Promise<WebhookAnswer>;
  /** Resolves when the link has ended by itself and will not come back: the engine opens another, when it sees fit. Left out where the adapter or its SDK connects again by itself. */
  readonly gone?: Promise<ClawError>;
  close(): Promise<void>;
}

/** Methods of a connection that forms and pages want to know of before there is one. */
export type Ability = "react" | "remove" | "typing" | "read" | "preview" | "call";

/** A chat platform. Static and stateless: everything live is in the Connection. */
export interface Channel {
  readonly id: string;
  readonly label: string;
  readonly icon?: string;
  readonly settings: readonly Setting[];
  readonly limits: Limits;
  /** Left out (channels of other packages): text alone, and whatever files there are. */
  readonly shows?: Shows;
  /** How it writes Markdown: parts are cut so that they fit after rendering. Left out: the Markdown itself is counted. */
  readonly dialect?: DialectName;
  readonly delivery: Delivery;
  /** Nobody reaches it without a secret that the owner gave out: whoever has it is let in, unless the account has a list. */
  readonly keyed?: true;
  /** Which optional methods its connections have, beside what `delivery` says; the contract suite holds a live one against it. */
  readonly can?: readonly Ability[];
  /** Problems in the settings, each a sentence with a remedy. No I/O. */
  check(account: Account): string[];
  /** For the form's Test button: tries the credentials beside a connection that may be open, takes no messages, and says who the bot is. Throws a ChannelError. */
  try?(account: Account, context: ChannelContext): Promise<{ readonly id: string; readonly name: string }>;
  /** Tries the credentials and resolves when the account can send and receive. Throws a ChannelError. */
  open(account: Account, context: ChannelContext): Promise<Connection>;
}
