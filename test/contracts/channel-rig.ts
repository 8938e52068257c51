/** What the contract suite of channels needs of a platform, and a ChannelContext that remembers. */
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Account, AccountStorage, Channel, ChannelContext, Connection, WebhookRequest } from "../../engine/channels/channel.ts";
import { systemClock } from "../../engine/clock.ts";
import { type ClawError, StoreError } from "../../engine/errors.ts";
import { mediaSpool } from "../../engine/gateway.ts";
import { createSpool } from "../../engine/media.ts";
import { createConverters } from "../../engine/media/convert.ts";
import { createDownload } from "../../engine/media/download.ts";
import { createReady } from "../../engine/media/ready.ts";
import type { Address, Message } from "../../engine/message.ts";

/** How the platform can fail a send: too many requests, refused for good, a fault of its own, a connection that breaks after the request was read, markup it does not take. */
export type SendFault = "rate" | "refused" | "server" | "reset" | "markup";
/** What it refuses for good: a chat that is gone, a bot that was put out of the chat, a text that is too long for it. */
export type Refusal = "gone" | "kicked" | "long";

/** A message as a person sees it. What a part of it is called is what stands on it. */
export interface Seen {
  readonly text: string;
  readonly buttons?: readonly string[];
  readonly choices?: readonly string[];
  /** Titles. */
  readonly cards?: readonly string[];
  readonly poll?: { readonly question: string; readonly options: readonly string[] };
  readonly location?: { readonly latitude: number; readonly longitude: number };
  /** Phone number. */
  readonly contact?: string;
  readonly files?: readonly Uint8Array[];
}
/** What is wrong with a request to the webhook. `stale`: rightly signed, long ago; `tampered`: its body was changed after it was signed. */
export type Forgery = "right" | "wrong" | "missing" | "stale" | "tampered";

/** What the suite asks a rig for. */
export type Need = "read" | "seen" | "attach" | "signed" | "unsecured" | "drop" | "host" | "call" | "wrong" | "away" | `fault ${SendFault}` | `refusal ${Refusal}`;
/** What a platform can have nothing for, and why: tests of it are not there. Everything else a rig must have. */
export type Lacks = Readonly<Partial<Record<Need, string>>>;
/** Known before a stub runs: it decides which tests there are. */
export interface Contract {
  readonly channel: Channel;
  readonly lacks?: Lacks;
  /** A channel of another package: it has no folder here, and the engine does more for it. */
  readonly plugin?: true;
  /** Starts a stub of the platform. */
  make(): Promise<ChannelRig>;
}

export interface ChannelRig {
  readonly channel: Channel;
  /** Settings that work. */
  readonly account: Account;
  /** Credentials the platform refuses; left out where there are none to refuse. */
  readonly wrong?: Account;
  /** Settings that point at a port where nobody listens. */
  readonly away?: Account;
  /** Texts that must appear in no error, status or log. */
  readonly secrets: readonly string[];
  readonly context?: Partial<ChannelContext>;
  /** A chat that a person began with the bot. */
  readonly to: Address;
  /** A person writes; the platform brings it until it is confirmed. */
  say(text: string): void | Promise<void>;
  /** What a person sees in the chat, oldest first. */
  shown(): readonly string[];
  /** Makes the next send go wrong; false where the platform has no such fault. */
  fail?(fault: SendFault): boolean;
  /** Makes the next send be refused in this way; false where the platform knows no such refusal. */
  refuse?(how: Refusal): boolean;
  /** For channels with a webhook: serves it from now on. */
  serve?(connection: Connection): void;
  /** What a person sees with all its parts, oldest first. Left out: parts are judged by `shown` alone. */
  seen?(): readonly Seen[];
  /** One entry of a file in samples/, mapped as the adapter maps what the platform brings. Undefined: it is confirmed, and is no message. */
  read?(sample: unknown): Message | readonly Message[] | undefined;
  /** A person sends a file. */
  attach?(file: { readonly name: string; readonly mime: string; readonly bytes: Uint8Array }): void | Promise<void>;
  /** A request of the platform that brings `text`; undefined where the scheme has no such forgery. */
  signed?(text: string, how: Forgery): WebhookRequest | undefined | Promise<WebhookRequest | undefined>;
  /** Settings without the secret that requests are signed with. */
  unsecured?: Account;
  /** The platform drops all links with the bot that are open now. */
  drop?(): void | Promise<void>;
  /** Host and port that requests through a proxy must ask it for. */
  readonly host?: string;
  /** A call of the platform's own API that works. */
  readonly call?: { readonly method: string; readonly parameters: Readonly<Record<string, unknown>> };
  close(): Promise<void>;
}

/** A ChannelContext that remembers. `refuseSaves`: the next receives fail with STORE_005. */
export interface RecordingContext extends ChannelContext {
  readonly received: Message[];
  readonly states: { readonly state: string; readonly error: ClawError | undefined }[];
  readonly logs: string[];
  refuseSaves: number;
  abort(): void;
}

/** Media folders of all contexts of this process. */
const FOLDER = path.join(tmpdir(), `clawflow-contract-${process.pid}`);
let contexts = 0;
process.once("exit", () => rmSync(FOLDER, { recursive: true, force: true }));

export function recordingContext(more: Partial<ChannelContext> = {}): RecordingContext {
  const controller = new AbortController();
  const spool = createSpool(path.join(FOLDER, String(++contexts)));
  const download = createDownload({ fetch: more.fetch ?? globalThis.fetch });
  const context: RecordingContext = {
    download, file: createReady({ spool, download, converters: createConverters((process.env.PATH ?? "").split(path.delimiter)) }), spool: mediaSpool(spool),
    received: [], states: [], logs: [], refuseSaves: 0,
    async receive(message) {
      if (context.refuseSaves > 0) {
        context.refuseSaves -= 1;
        throw new StoreError("STORE_005", { retry: "later", afterMs: 20 });
      }
      const known = context.received.some((each) => each.id === message.id);
      if (!known) context.received.push(message);
      return known ? "duplicate" : "saved";
    },
    signal: controller.signal,
    fetch: globalThis.fetch,
    storage: memoryStorage(),
    clock: systemClock,
    status(state, error) { context.states.push({ state, error }); },
    log(level, text) { context.logs.push(`${level} ${text}`); },
    commands: [],
    abort: () => controller.abort(),
    ...more,
  };
  return context;
}

/** From now on the storage takes nothing whose key begins so. */
export function refuseWrites(storage: AccountStorage, prefix: string): void {
  const set = storage.set.bind(storage);
  storage.set = async (changes) => {
    if (Object.keys(changes).some((key) => key.startsWith(prefix))) throw new StoreError("STORE_005", { retry: "later", afterMs: 20 });
    await set(changes);
  };
}

export function memoryStorage(): AccountStorage {
  const entries = new Map<string, unknown>();
  return {
    async get(key) { return entries.get(key); },
    async set(changes) { for (const [key, value] of Object.entries(changes)) if (value === undefined) entries.delete(key); else entries.set(key, structuredClone(value)); },
    async list(prefix, { after = "", limit = 1000, last = false } = {}) {
      const found = [...entries].filter(([key]) => key.startsWith(prefix) && key > after).sort(([a], [b]) => (a < b ? -1 : 1));
      return last ? found.slice(-limit) : found.slice(0, limit);
    },
  };
}
