/** Sending, reacting, reading, fetching: a Connection's methods over the Graph API. */
import { multipart } from "../multipart.ts";
import type { ChannelContext, Connection, ReadyFile } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { Draft, DraftFile, FileKind } from "../../message.ts";
import type { Evidence } from "./evidence.ts";
import type { Graph } from "./graph.ts";
import { FILE_NEEDS } from "./limits.ts";
import { recipient, sendRequest, type Uploaded } from "./send.ts";

/** Longest time for an upload of 100 MB. */
const UPLOAD_SECONDS = 900;

export interface TalkOptions {
  readonly graph: Graph;
  readonly context: ChannelContext;
  /** Phone number id, and the id of the business account where it is known. */
  readonly phone: string;
  readonly business: string;
  readonly evidence: Evidence;
  /** The newest message of a chat that came in since the start. */
  lastIn(chat: string): string | undefined;
}

export function talk({ graph, context, phone, business, evidence, lastIn }: TalkOptions): Omit<Connection, "self" | "webhook" | "close"> {
  const post = (json: unknown, what: string) => graph.ask("POST", `${phone}/messages`, { what, json });

  async function fileFor(file: DraftFile): Promise<{ ready: ReadyFile; kind: FileKind }> {
    try {
      return { ready: await context.file(file, FILE_NEEDS[file.kind]), kind: file.kind };
    } catch (error) {
      // What cannot be shown as a picture, film or sound is still a file.
      const unfit = error instanceof ChannelError && (error.code === "MSG_005" || error.code === "MSG_003");
      if (!unfit || file.kind === "document") throw error;
      return { ready: await context.file({ ...file, kind: "document" }, FILE_NEEDS.document), kind: "document" };
    }
  }

  /** An id of WhatsApp's own (a file that came in) goes out as it is. */
  async function upload(file: DraftFile): Promise<Uploaded> {
    if (/^\d{5,30}$/.test(file.media)) return { id: file.media, kind: file.kind, ...(file.name === undefined ? {} : { name: file.name }) };
    const { ready, kind } = await fileFor(file);
    try {
      const made = (await graph.ask("POST", `${phone}/media`, { what: "the upload", form: multipart({ messaging_product: "whatsapp", type: ready.mime }, "file", ready), seconds: UPLOAD_SECONDS })) as { id?: unknown };
      if (typeof made.id !== "string" && typeof made.id !== "number") throw new ChannelError("CONN_001", { retry: "later" }, "Expected WhatsApp to give an id for the upload, got none.");
      return { id: String(made.id), kind, name: ready.name };
    } catch (error) {
      // An upload is no message: whatever became of it, nobody saw anything.
      if (!(error instanceof ChannelError) || error.retry !== "later") throw error;
      throw new ChannelError(error.code, { retry: "later", unsent: true, ...(error.afterMs === undefined ? {} : { afterMs: error.afterMs }) }, error.message);
    }
  }

  return {
    async send(to, draft, key) {
      if (draft.template === undefined && to.kind === "direct") await evidence.needsOpenWindow(String(recipient(to)["to"] ?? to.chat));
      const [first, second] = draft.attachments ?? [];
      if (second !== undefined) throw new ChannelError("MSG_005", {}, "Expected one file in a message, got several. Send them one after the other.");
      const request = (file?: Uploaded) => sendRequest(to, draft as Draft, key, file);
      // What is wrong with the draft is told before bytes are moved.
      if (first !== undefined) request({ id: "0", kind: first.kind });
      const sent = (await post(request(first === undefined ? undefined : await upload(first)), "the message")) as { messages?: readonly { id?: unknown }[] };
      const ref = sent.messages?.[0]?.id;
      if (typeof ref !== "string" || ref === "") throw new ChannelError("CONN_001", { retry: "later" }, "Expected WhatsApp to give an id for the message, got none.");
      return ref;
    },
    find: (_to, sent) => evidence.find(sent),
    async react(to, ref, emoji) {
      await post({ messaging_product: "whatsapp", ...recipient(to), type: "reaction", reaction: { message_id: ref, emoji } }, "the reaction");
    },
    async typing(to, about) {
      // WhatsApp shows it under a message that is being answered, and marks that as read; without one there is nothing to show it under.
      const ref = about ?? lastIn(to.chat);
      if (ref !== undefined) await post({ messaging_product: "whatsapp", status: "read", message_id: ref, typing_indicator: { type: "text" } }, "the typing sign");
    },
    async read(_to, ref) {
      await post({ messaging_product: "whatsapp", status: "read", message_id: ref }, "the read mark");
    },
    async media(reference, signal) {
      if (!/^\w{1,200}$/.test(reference)) throw new ChannelError("MSG_002", {}, "Expected the id of a file at WhatsApp, got something else.");
      // The address lives for five minutes: it is asked for each time.
      const { url } = (await graph.ask("GET", reference, { what: "the file's address", query: { phone_number_id: phone }, signal })) as { url?: unknown };
      if (typeof url !== "string") throw new ChannelError("MSG_002", {}, "Expected WhatsApp to give an address for this file, got none.");
      return context.download(url, { headers: graph.headers, signal, trust: [new URL(graph.root).origin] });
    },
    async call(method, parameters) {
      const [, verb = "GET", path = ""] = /^(?:(GET|POST|DELETE) )?\/?([\w{}][\w{}/.-]*)$/.exec(method) ?? [];
      if (path === "" || path.includes("..")) throw new ChannelError("MSG_002", {}, `Expected a call such as "GET {phone}/whatsapp_business_profile", got "${method.slice(0, 80)}".`);
      const place = path.replaceAll("{phone}", phone).replaceAll("{business}", business);
      const what = `${verb} ${path}`;
      if (verb === "POST") return graph.ask("POST", place, { what, json: parameters });
      return graph.ask(verb as "GET" | "DELETE", place, { what, query: Object.fromEntries(Object.entries(parameters).map(([key, value]) => [key, typeof value === "string" ? value : JSON.stringify(value)])) });
    },
    async health(signal) {
      await graph.ask("GET", phone, { what: "the health check", query: { fields: "id" }, seconds: 15, signal });
    },
  };
}
