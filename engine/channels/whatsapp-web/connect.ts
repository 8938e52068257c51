/** A live WhatsApp account as a linked device of somebody's phone, through Baileys. */
import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import type { Account, ChannelContext, Connection } from "../channel.ts";
import { waitsFrom } from "../doubt.ts";
import { ChannelError } from "../../errors.ts";
import type { Draft, DraftFile, FileKind, Message } from "../../message.ts";
import { text } from "../setting-text.ts";
import { fromReference } from "./content.ts";
import { jidOf, person, senderId } from "./jid.ts";
import type { Library, WebMessage } from "./library.ts";
import { FILE_NEEDS } from "./limits.ts";
import { createLine } from "./line.ts";
import { createPairing } from "./pairing.ts";
import { keyOf, messageId, refOf } from "./ref.ts";
import { contentOf, type SentFile, textContent } from "./send.ts";
import { openWire, type Wire } from "./socket.ts";
import { fromMembers, type Self, toMessage } from "./to-message.ts";
import { withRaw } from "../raw.ts";


/** Resolves when the link stands, or when the phone has to let it in: then it says so until it does. The settings were checked. */
export async function connect(account: Account, context: ChannelContext, library: Library): Promise<Connection> {
  context.status("connecting");
  const line = createLine(context);
  const pairing = createPairing({ context, phone: text(account, "phone").replace(/\D/g, ""), name: account.name });
  let wire: Wire | undefined;
  const self = (): Self => {
    const { id = "", lid } = wire?.socket.user ?? {};
    return { jids: [id, lid ?? ""].filter((jid) => jid !== "").map(person), id: id === "" ? account.id : senderId(person(id)), account: account.id, now: context.clock.now() };
  };
  function take(read: () => Message | undefined, raw: unknown): void {
    try {
      const message = read();
      if (message !== undefined) line.push(withRaw(account, message, raw));
    } catch (error) {
      context.log("warn", `MSG_001: something WhatsApp brought could not be read and is left out: ${(error as Error).message}`);
    }
  }

  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => (ending ??= (async () => {
    cancel();
    context.signal.removeEventListener("abort", onAbort);
    await wire?.end();
    const lost = await line.close();
    if (lost > 0) context.log("warn", `STORE_001: ${lost} messages that WhatsApp had brought could not be saved before the account was closed.`);
  })());
  const onAbort = (): void => void end();
  let cancel = (): void => undefined;
  context.signal.addEventListener("abort", onAbort, { once: true });

  wire = await openWire({
    library, context, pairing,
    messages: (list) => { for (const one of list) take(() => toMessage(one, self()), one); },
    members: (change) => take(() => fromMembers(change, self()), change),
  });
  try {
    await wire.started;
  } catch (error) {
    await end();
    throw error;
  }
  // An account that opened counts as connected: what it waits for is said after that.
  cancel = context.clock.after(1, () => { if (wire?.openSince === undefined) pairing.tell(); });
  const link = wire;
  return {
    get self() {
      const { id = "", name, notify } = link.socket.user ?? {};
      return id === "" ? { id: account.id, name: "not linked yet" } : { id: senderId(person(id)), name: name ?? notify ?? senderId(person(id)) };
    },
    ...talk(link, context, library),
    gone: link.gone,
    webhook: (request) => pairing.page(request),
    close: end,
  };
}

function talk(wire: Wire, context: ChannelContext, library: Library): Pick<Connection, "send" | "find" | "edit" | "remove" | "react" | "typing" | "read" | "media"> {
  async function fileFor(file: DraftFile): Promise<SentFile> {
    try {
      return { ready: await context.file(file, FILE_NEEDS[file.kind]), kind: file.kind };
    } catch (error) {
      // What cannot be shown as a picture, film or sound is still a file.
      const unfit = error instanceof ChannelError && (error.code === "MSG_005" || error.code === "MSG_003");
      if (!unfit || file.kind === "document") throw error;
      return { ready: await context.file({ ...file, kind: "document" as FileKind }, FILE_NEEDS.document), kind: "document" };
    }
  }
  const quoted = (ref: string, jid: string): { quoted: WebMessage } => {
    const key = keyOf(ref, jid);
    return { quoted: wire.recent(key.id ?? "") ?? { key, message: { conversation: "" } } };
  };
  const once = (): string => messageId(randomUUID());
  return {
    async send(to, draft: Draft, key) {
      const jid = jidOf(to.chat);
      const [first, second] = draft.attachments ?? [];
      if (second !== undefined) throw new ChannelError("MSG_005", {}, "Expected one file in a message, got several. Send them one after the other.");
      const id = messageId(key);
      await wire.deliver(jid, contentOf(draft, first === undefined ? undefined : await fileFor(first)), id, draft.replyTo === undefined ? {} : quoted(draft.replyTo, jid));
      return refOf("me", id);
    },
    async find(_to, sent) {
      const id = messageId(sent.key);
      return (await wire.acks.has(id, waitsFrom(sent, wire.openSince ?? context.clock.now()))) ? refOf("me", id) : undefined;
    },
    async edit(to, ref, draft) {
      const jid = jidOf(to.chat);
      await wire.deliver(jid, { ...textContent(draft), edit: keyOf(ref, jid) }, once());
    },
    async remove(to, ref) {
      const jid = jidOf(to.chat);
      await wire.deliver(jid, { delete: keyOf(ref, jid) }, once());
    },
    async react(to, ref, emoji) {
      const jid = jidOf(to.chat);
      await wire.deliver(jid, { react: { text: emoji, key: keyOf(ref, jid) } }, once());
    },
    async typing(to) {
      if (wire.openSince !== undefined) await wire.socket.sendPresenceUpdate("composing", jidOf(to.chat));
    },
    async read(to, ref) {
      if (wire.openSince !== undefined) await wire.socket.readMessages([keyOf(ref, jidOf(to.chat))]);
    },
    async media(reference) {
      const file = fromReference(reference);
      if (file === undefined) throw new ChannelError("MSG_002", {}, "Expected the reference of a file at WhatsApp, got something else.");
      const { of, ...where } = file;
      const bytes = await library.downloadContentFromMessage(where, of).catch((error: Error) => { throw new ChannelError("MSG_002", {}, `WhatsApp did not give this file: ${error.message.slice(0, 200)}.`); });
      return Readable.toWeb(Readable.from(bytes)) as ReadableStream<Uint8Array>;
    },
  };
}
