/**
 * The part of Baileys that is used, and its loading. Baileys is not ours to ship: WhatsApp does not allow it, and it brings libsignal, which is under
 * the GPL-3.0. Whoever wants it installs it beside Node-RED. Shapes as baileys 7.0.0-rc14 has them (lib/Types/*.d.ts).
 */
import { ChannelError } from "../../errors.ts";

const PACKAGE = "baileys";
export const VERSION = "7.0.0-rc14";
const INSTALL_HINT = `Install it in Node-RED's user directory, where settings.js is: npm install ${PACKAGE}@${VERSION}. Baileys speaks to WhatsApp without WhatsApp's leave (numbers have been blocked for it), and brings libsignal under the GPL-3.0.`;

/** Bytes as Baileys gives them. */
export type Bytes = Uint8Array;
export interface Key {
  readonly remoteJid?: string | null;
  /** The same chat in the other kind of address: by number where remoteJid is by "lid", and the other way round. */
  readonly remoteJidAlt?: string | null;
  readonly fromMe?: boolean | null;
  readonly id?: string | null;
  /** Who wrote it, in a group. */
  readonly participant?: string | null;
  readonly participantAlt?: string | null;
}
export interface WebMessage {
  readonly key: Key;
  readonly message?: Readonly<Record<string, unknown>> | null;
  /** Unix seconds; a number, or a Long. */
  readonly messageTimestamp?: unknown;
  readonly pushName?: string | null;
}
export interface Disconnect { readonly error?: (Error & { readonly output?: { readonly statusCode?: number } }) | undefined }
export interface Events {
  "connection.update": { readonly connection?: "open" | "connecting" | "close"; readonly qr?: string | undefined; readonly lastDisconnect?: Disconnect };
  "creds.update": unknown;
  /** "notify": it came just now; "append": it came while we were away, or from another device of the same account. */
  "messages.upsert": { readonly messages: readonly WebMessage[]; readonly type: "notify" | "append" };
  /** What became of a message: 0 failed, 1 on its way, 2 the server has it, 3 delivered, 4 read, 5 played. */
  "messages.update": readonly { readonly key: Key; readonly update: { readonly status?: number | null; readonly messageStubParameters?: unknown } }[];
  "message-receipt.update": readonly { readonly key: Key }[];
  "group-participants.update": { readonly id: string; readonly author?: string; readonly participants: readonly { readonly id: string; readonly phoneNumber?: string }[]; readonly action: string };
}
export interface SendOptions { readonly messageId?: string; readonly quoted?: WebMessage }
export interface Socket {
  readonly ev: { on<T extends keyof Events>(event: T, listener: (value: Events[T]) => void): void; off<T extends keyof Events>(event: T, listener: (value: Events[T]) => void): void };
  /** Stanzas as they come: the server's answer to a message is "CB:ack,class:message". */
  readonly ws: { on(event: string, listener: (node: { readonly attrs: Readonly<Record<string, string>> }) => void): unknown; off(event: string, listener: (node: { readonly attrs: Readonly<Record<string, string>> }) => void): unknown };
  readonly user?: { readonly id: string; readonly lid?: string; readonly name?: string; readonly notify?: string } | undefined;
  sendMessage(jid: string, content: Readonly<Record<string, unknown>>, options?: SendOptions): Promise<WebMessage | undefined>;
  readMessages(keys: readonly Key[]): Promise<void>;
  sendPresenceUpdate(type: "composing" | "paused" | "available" | "unavailable", jid?: string): Promise<void>;
  requestPairingCode(phone: string): Promise<string>;
  end(error: Error | undefined): Promise<void> | void;
}
export interface KeyStore {
  get(type: string, ids: readonly string[]): Promise<Record<string, unknown>>;
  set(data: Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>): Promise<void>;
}
export interface Logger { level: string; child(about: unknown): Logger; trace(about: unknown, text?: string): void; debug(about: unknown, text?: string): void; info(about: unknown, text?: string): void; warn(about: unknown, text?: string): void; error(about: unknown, text?: string): void }
export interface SocketOptions {
  readonly auth: { readonly creds: Record<string, unknown>; readonly keys: KeyStore };
  readonly logger: Logger;
  readonly markOnlineOnConnect: boolean;
  readonly syncFullHistory: boolean;
  readonly shouldSyncHistoryMessage: () => boolean;
  readonly emitOwnEvents: boolean;
  /** A message of ours, for a device that could not read it the first time. */
  readonly getMessage: (key: Key) => Promise<Readonly<Record<string, unknown>> | undefined>;
}
export interface Library {
  makeWASocket(options: SocketOptions): Socket;
  initAuthCreds(): Record<string, unknown>;
  readonly BufferJSON: { replacer(key: string, value: unknown): unknown; reviver(key: string, value: unknown): unknown };
  readonly proto: { readonly Message: { readonly AppStateSyncKeyData: { fromObject(value: unknown): unknown } } };
  downloadContentFromMessage(file: { readonly mediaKey: Bytes; readonly directPath?: string; readonly url?: string }, type: string): Promise<AsyncIterable<Uint8Array>>;
}
/** What must be there, for a version that is another one. */
const NEEDED = ["makeWASocket", "initAuthCreds", "BufferJSON", "proto", "downloadContentFromMessage"] as const;

/** Throws ChannelError CONF_001 with what to do, where it is not installed or is something else. */
export async function loadLibrary(): Promise<Library> {
  // The name is a value, so that nothing that bundles this looks for it.
  const name: string = PACKAGE;
  let found: unknown;
  try {
    found = await import(name);
  } catch (cause) {
    throw new ChannelError("CONF_001", { cause }, `WhatsApp Web needs the package ${PACKAGE}, which is not installed. ${INSTALL_HINT}`);
  }
  return checked(found);
}

/** Throws the same for what lacks a part. */
export function checked(found: unknown): Library {
  const missing = NEEDED.filter((part) => (found as Record<string, unknown> | null)?.[part] === undefined);
  if (missing.length > 0) throw new ChannelError("CONF_001", {}, `Expected ${PACKAGE} ${VERSION}, got a version without ${missing.join(", ")}. ${INSTALL_HINT}`);
  return found as Library;
}
