/** One socket of Baileys: from its first word to its end, and each message of ours until the server's answer. */
import type { ChannelContext } from "../channel.ts";
import { keepAfter } from "../doubt.ts";
import { ChannelError, type ClawError } from "../../errors.ts";
import { type Acks, openAcks } from "./acks.ts";
import { forget, openAuth } from "./auth.ts";
import { ended, refused, thrown } from "./errors.ts";
import type { Events, Key, Library, Logger, SendOptions, Socket, WebMessage } from "./library.ts";
import type { Pairing } from "./pairing.ts";

/** Until the server's answer to a message counts as lost. */
const ANSWER_MS = 60_000;
/** Messages remembered, to be quoted, and for devices that could not read one the first time. */
const RECENT = 500;
const ACK = "CB:ack,class:message";

export interface Wire {
  readonly socket: Socket;
  readonly acks: Acks;
  /** Unix milliseconds since the link stands; undefined while it does not. */
  readonly openSince: number | undefined;
  /** Resolves when the link stands, or the phone is asked to let us in; rejects when neither comes to be. */
  readonly started: Promise<void>;
  /** Resolves when the socket has ended by itself. */
  readonly gone: Promise<ClawError>;
  /** Hands a message over and waits for the server's answer. `id`: the message's own. Throws ChannelError. */
  deliver(jid: string, content: Readonly<Record<string, unknown>>, id: string, options?: Omit<SendOptions, "messageId">): Promise<void>;
  recent(id: string): WebMessage | undefined;
  end(): Promise<void>;
}
export interface WireOptions {
  readonly library: Library;
  readonly context: ChannelContext;
  readonly pairing: Pairing;
  readonly messages: (messages: readonly WebMessage[]) => void;
  readonly members: (change: Events["group-participants.update"]) => void;
}

/** Baileys' log holds keys and message texts: nothing of it is kept. */
const SILENT: Logger = { level: "silent", child: () => SILENT, trace() {}, debug() {}, info() {}, warn() {}, error() {} };

export async function openWire({ library, context, pairing, messages, members }: WireOptions): Promise<Wire> {
  const { clock, storage, log } = context;
  const auth = await openAuth(storage, library);
  const acks = await openAcks(context);
  const waiting = new Map<string, { done(): void; fail(error: ChannelError): void }>();
  const recent = new Map<string, WebMessage>();
  const started = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<ClawError>();
  let openSince: number | undefined;
  let over = false;
  let unlinked = false;
  // Nobody may be waiting for it.
  started.promise.catch(() => undefined);

  const socket = library.makeWASocket({
    auth: { creds: auth.creds, keys: auth.keys }, logger: SILENT, markOnlineOnConnect: false, syncFullHistory: false, shouldSyncHistoryMessage: () => false, emitOwnEvents: false,
    getMessage: async (key) => recent.get(key.id ?? "")?.message ?? undefined,
  });

  function remember(one: WebMessage): void {
    const id = one.key?.id;
    if (typeof id !== "string") return;
    recent.delete(id);
    recent.set(id, one);
    if (recent.size > RECENT) recent.delete(recent.keys().next().value as string);
  }
  /** The server or a device has it. Only then counts it as sent; that is kept first, where it can be. */
  function taken(id: string): void {
    void keepAfter(context, () => acks.keep(id)).then(() => waiting.get(id)?.done());
  }
  function finish(error: ChannelError): void {
    if (over) return;
    over = true;
    openSince = undefined;
    for (const each of [...waiting.values()]) each.fail(new ChannelError("CONN_001", { retry: "later" }, "The connection to WhatsApp ended before it answered to this message."));
    started.reject(error);
    gone.resolve(error);
  }
  function onConnection({ connection, qr, lastDisconnect }: Events["connection.update"]): void {
    if (over) return;
    if (typeof qr === "string") void pairing.show(qr, socket).then(() => started.resolve());
    if (connection === "open") {
      openSince = clock.now();
      pairing.done();
      started.resolve();
      context.status("connected");
    }
    if (connection !== "close") return;
    const { error, unlinked: out } = ended(lastDisconnect);
    if (!out) { finish(error); return; }
    unlinked = true;
    void forget(storage).catch((fault: Error) => log("warn", `STORE_001: the old link could not be removed: ${fault.message}`)).finally(() => finish(error));
  }
  const mine = (key: Key | undefined): string | undefined => (key?.fromMe === true && typeof key.id === "string" ? key.id : undefined);

  const leave: (() => void)[] = [];
  function hear<T extends keyof Events>(event: T, listener: (value: Events[T]) => void): void {
    socket.ev.on(event, listener);
    leave.push(() => socket.ev.off(event, listener));
  }
  hear("connection.update", onConnection);
  hear("creds.update", () => {
    if (unlinked) return;
    // Without them the next start is no device of the phone any more: better no link than one that cannot be kept.
    auth.save().catch((error: Error) => { log("warn", `STORE_001: WhatsApp's keys could not be kept: ${error.message}`); void stop(new ChannelError("CONN_001", { retry: "later" }, "WhatsApp's keys could not be kept; the link is opened anew.")); });
  });
  hear("messages.upsert", ({ messages: list }) => {
    for (const one of list) remember(one);
    messages(list);
  });
  hear("messages.update", (updates) => {
    for (const { key, update } of updates) {
      const id = mine(key);
      if (id === undefined || typeof update?.status !== "number") continue;
      if (update.status >= 2) taken(id);
      else if (update.status === 0) waiting.get(id)?.fail(refused(String((update.messageStubParameters as unknown[] | undefined)?.[0] ?? "")));
    }
  });
  hear("message-receipt.update", (updates) => { for (const { key } of updates) { const id = mine(key); if (id !== undefined) taken(id); } });
  hear("group-participants.update", members);
  const onAck = ({ attrs }: { readonly attrs: Readonly<Record<string, string>> }): void => {
    const { id, error } = attrs;
    if (id === undefined) return;
    if (error === undefined) taken(id);
    else waiting.get(id)?.fail(refused(error));
  };
  socket.ws.on(ACK, onAck);

  async function stop(error: ChannelError): Promise<void> {
    finish(error);
    // Baileys listens to its own events: only ours go, and after it has tidied up.
    await socket.end(undefined);
    for (const each of leave.splice(0)) each();
    socket.ws.off(ACK, onAck);
  }

  return {
    socket, acks, started: started.promise, gone: gone.promise,
    get openSince() { return openSince; },
    recent: (id) => recent.get(id),
    async deliver(jid, content, id, options = {}) {
      if (openSince === undefined) throw new ChannelError("CONN_001", { retry: "later", unsent: true }, "WhatsApp is not connected.");
      const answer = Promise.withResolvers<void>();
      const cancel = clock.after(ANSWER_MS, () => answer.reject(new ChannelError("CONN_001", { retry: "later" }, `WhatsApp did not answer within ${ANSWER_MS / 1000} s; nobody knows whether it took the message.`)));
      waiting.set(id, { done: answer.resolve, fail: answer.reject });
      try {
        const handed = socket.sendMessage(jid, content, { messageId: id, ...options }).then((made) => { if (made !== undefined) remember(made); }, (error: unknown) => { throw thrown(error, "The message"); });
        await Promise.all([handed, answer.promise]);
      } finally {
        cancel();
        waiting.delete(id);
      }
    },
    async end() {
      await stop(new ChannelError("CONN_001", { retry: "later" }, "The account was closed."));
      // What was changed last is written before anybody opens it anew.
      if (!unlinked) await auth.save().catch((error: Error) => log("warn", `STORE_001: WhatsApp's keys could not be kept: ${error.message}`));
    },
  };
}
