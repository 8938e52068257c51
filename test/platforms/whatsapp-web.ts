/**
 * WhatsApp and a phone, seen from Baileys' side: a library of Baileys' shape whose sockets give real-shaped events and whose log is the judge.
 * WhatsApp's own protocol cannot run here; what Baileys makes of it is taken from its source (7.0.0-rc14).
 */
import { EventEmitter } from "node:events";
import type { Events, Library, Logger, Socket, SocketOptions, WebMessage } from "../../engine/channels/whatsapp-web/library.ts";

type Json = Record<string, unknown>;
export interface Sent { readonly jid: string; readonly content: Json; readonly id: string; readonly quoted?: WebMessage }
/** `refuse`: the server's number; `lost`: it arrives, and no answer comes; `cut`: it arrives, then the connection ends; `throws`: Baileys fails before it is handed over. */
export type Fault = { readonly refuse: string } | { readonly lost: true } | { readonly cut: true } | { readonly throws: string };

export interface WebStub {
  readonly library: Library;
  readonly sockets: readonly FakeSocket[];
  /** What was handed over, also what came twice. */
  readonly sent: Sent[];
  readonly calls: { readonly name: string; readonly given: readonly unknown[] }[];
  /** What a person sees in a chat: the same id twice is one message, as in WhatsApp's apps. */
  shown(jid: string): readonly Shown[];
  /** Something arrives at WhatsApp: told at once where a link stands, else when one does. */
  arrive(message: WebMessage): void;
  /** An account that a phone has linked before. */
  linked: boolean;
  fault(fault: Fault): void;
  /** Ends the open sockets with this status of Baileys. */
  drop(status: number): void;
  keep(directPath: string, bytes: Uint8Array): void;
}
export interface Shown { readonly id: string; text: string; readonly content: Json }
export interface FakeSocket extends Socket { readonly options: SocketOptions; readonly ended: boolean; emit<T extends keyof Events>(event: T, value: Events[T]): void; ack(attrs: Readonly<Record<string, string>>): void; listeners(): number }

export const ME = "15550783881:7@s.whatsapp.net";
export const MY_LID = "99887766554433:7@lid";

export function startWhatsappWeb(): WebStub {
  const sockets: FakeSocket[] = [];
  const sent: Sent[] = [];
  const calls: WebStub["calls"][number][] = [];
  const chats = new Map<string, Map<string, Shown>>();
  const waiting: WebMessage[] = [];
  const faults: Fault[] = [];
  const files = new Map<string, Uint8Array>();
  const live = (): FakeSocket | undefined => sockets.findLast((each) => !each.ended && each.user !== undefined);

  function makeWASocket(options: SocketOptions): FakeSocket {
    const events = new EventEmitter();
    const stanzas = new EventEmitter();
    let ended = false;
    let open = false;
    const socket: FakeSocket = {
      options,
      get ended() { return ended; },
      get user() { return open ? { id: ME, lid: MY_LID, name: "Claw" } : undefined; },
      ev: { on(event, listener) { events.on(event, listener); }, off(event, listener) { events.off(event, listener); } },
      ws: stanzas,
      emit(event, value) { events.emit(event, value); },
      ack(attrs) { stanzas.emit("CB:ack,class:message", { attrs }); },
      listeners: () => [...events.eventNames(), ...stanzas.eventNames()].length,
      async sendMessage(jid, content, { messageId = "none", quoted } = {}) {
        if (ended) throw Object.assign(new Error("Connection Closed"), { output: { statusCode: 428 } });
        const fault = faults.shift();
        if (fault !== undefined && "throws" in fault) throw new Error(fault.throws);
        const bytes = await swallowed(content as Json);
        sent.push({ jid, content: content as Json, id: messageId, ...(quoted === undefined ? {} : { quoted }) });
        if (fault === undefined || "lost" in fault || "cut" in fault) show(jid, messageId, content as Json, bytes);
        setImmediate(() => {
          if (fault === undefined) socket.ack({ id: messageId, class: "message", from: jid });
          else if ("refuse" in fault) socket.ack({ id: messageId, class: "message", from: jid, error: fault.refuse });
          else if ("cut" in fault) end(428);
        });
        return { key: { remoteJid: jid, fromMe: true, id: messageId }, message: { extendedTextMessage: { text: String((content as Json)["text"] ?? "") } }, messageTimestamp: 1 };
      },
      async readMessages(keys) { calls.push({ name: "readMessages", given: [keys] }); },
      async sendPresenceUpdate(...given) { calls.push({ name: "sendPresenceUpdate", given }); },
      async requestPairingCode(phone) { calls.push({ name: "requestPairingCode", given: [phone] }); return "ABCDEFGH"; },
      end() { if (ended) return; ended = true; open = false; calls.push({ name: "end", given: [] }); events.emit("connection.update", { connection: "close", lastDisconnect: { error: undefined, date: new Date() } }); },
    };
    function end(status: number): void {
      if (ended) return;
      ended = true;
      open = false;
      events.emit("connection.update", { connection: "close", lastDisconnect: { error: Object.assign(new Error("Stream Errored"), { output: { statusCode: status } }), date: new Date() } });
    }
    ends.set(socket, end);
    opens.set(socket, () => {
      open = true;
      events.emit("connection.update", { connection: "open" });
      deliver();
    });
    sockets.push(socket);
    setImmediate(() => {
      if (ended) return;
      events.emit("connection.update", { connection: "connecting", qr: undefined });
      if (stub.linked) opens.get(socket)?.();
      else events.emit("connection.update", { qr: `2@code-${sockets.length},abc,def` });
    });
    return socket;
  }
  const ends = new Map<FakeSocket, (status: number) => void>();
  const opens = new Map<FakeSocket, () => void>();

  /** What waited comes as "append", what comes now as "notify": so Baileys tells the two apart. */
  function deliver(): void {
    const socket = live();
    if (socket === undefined) return;
    const all = waiting.splice(0);
    if (all.length > 0) socket.emit("messages.upsert", { messages: all, type: "append" });
  }
  function show(jid: string, id: string, content: Json, bytes: Uint8Array | undefined): void {
    const chat = chats.get(jid) ?? new Map<string, Shown>();
    chats.set(jid, chat);
    const about = ((content["edit"] ?? content["delete"]) as { id?: string } | undefined)?.id ?? "";
    if (content["delete"] !== undefined) return void chat.delete(about);
    if (content["react"] !== undefined) return;
    const before = content["edit"] === undefined ? undefined : chat.get(about);
    const text = String(content["text"] ?? content["caption"] ?? "");
    if (before !== undefined) before.text = text;
    else if (!chat.has(id)) chat.set(id, { id, text, content: bytes === undefined ? content : { ...content, bytes } });
  }

  const stub: WebStub = {
    library: {
      makeWASocket,
      initAuthCreds: () => ({ registrationId: 42, noiseKey: { public: Buffer.from("public"), private: Buffer.from("private") }, registered: false }),
      // As lib/Utils/generics.js has it.
      BufferJSON: {
        replacer: (_, value) => (value instanceof Uint8Array || (value as { type?: unknown } | null)?.type === "Buffer" ? { type: "Buffer", data: Buffer.from(((value as { data?: Uint8Array }).data ?? value) as Uint8Array).toString("base64") } : value),
        reviver: (_, value) => ((value as { type?: unknown; data?: unknown } | null)?.type === "Buffer" && typeof (value as { data: unknown }).data === "string" ? Buffer.from((value as { data: string }).data, "base64") : value),
      },
      proto: { Message: { AppStateSyncKeyData: { fromObject: (value) => ({ ...(value as object), made: "by proto" }) } } },
      async downloadContentFromMessage({ mediaKey, directPath = "" }, type) {
        calls.push({ name: "downloadContentFromMessage", given: [Buffer.from(mediaKey).toString(), directPath, type] });
        const bytes = files.get(directPath);
        if (bytes === undefined) throw new Error("Failed to fetch stream, status 410");
        return (async function* () { yield bytes; })();
      },
    },
    sockets, sent, calls, linked: true,
    shown: (jid) => [...(chats.get(jid)?.values() ?? [])],
    arrive(message) {
      const socket = live();
      if (socket === undefined) waiting.push(message);
      else socket.emit("messages.upsert", { messages: [message], type: "notify" });
    },
    fault(fault) { faults.push(fault); },
    drop(status) { for (const socket of sockets) ends.get(socket)?.(status); },
    keep(directPath, bytes) { files.set(directPath, bytes); },
  };
  return stub;
}

/** A file's stream is read to its end, as Baileys does while it encrypts. */
async function swallowed(content: Json): Promise<Uint8Array | undefined> {
  for (const value of Object.values(content)) {
    const { stream } = (value ?? {}) as { stream?: AsyncIterable<Buffer> };
    if (stream === undefined) continue;
    const pieces: Buffer[] = [];
    for await (const piece of stream) pieces.push(piece);
    return Buffer.concat(pieces);
  }
  return undefined;
}
export type { Logger };
