/**
 * What a page may ask of its account. A visitor is known by the secret in VISITOR_HEADER; everything it sees is its own.
 *
 *     GET  /  /chat.js  /chat.css       the page
 *     GET  /events                      server-sent events, ServerEvent each; Last-Event-ID resumes
 *     GET  /history                     Entry[], as far as the transcript reaches
 *     GET  /file/<id>                   bytes
 *     POST /send /press /claim          SendBody, PressBody, ClaimBody
 *     POST /file                        bytes; answers a FileCard
 */
import { type Address, type Attachment, type Message, MESSAGE_VERSION, type Sender } from "../../message.ts";
import { MESSAGE_CAPS } from "../../message-schema.ts";
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { eventStream, faultAnswer, fields, HttpFault, json, seconds } from "./answers.ts";
import { cardOf, fileOf, keepUpload, type StoredFile, serveFile } from "./files.ts";
import { type Entry, FILE_NAME_HEADER, type Hello, type SendAnswer } from "./protocol.ts";
import type { Streams } from "./streams.ts";
import type { Transcript } from "./transcript.ts";
import { cleanLine, createRate, fromOwnPage, languageOf, visitorOf } from "./visitor.ts";

export interface RoutesOptions {
  readonly account: string;
  readonly context: ChannelContext;
  readonly transcript: Transcript;
  readonly streams: Streams;
  page(request: WebhookRequest): Promise<WebhookAnswer | undefined>;
  readonly look: Pick<Hello, "title" | "welcome" | "suggestions" | "notice" | "accent" | "maxUploadBytes">;
  /** Messages carry the request's body. */
  readonly keepRaw: boolean;
  /** Origins beside the page's own. */
  readonly allowed: ReadonlySet<string>;
}

const PER_MINUTE = 20;
/** Refused messages of all strangers together; beyond it, nobody unknown is looked at for a while. */
const REFUSED_PER_MINUTE = 30;
const CLAIMS_PER_MINUTE = 10;
const MAX_TABS = 12;
const MAX_STREAMS = 1_000;
const MAX_FILES = 10;
const BACKLOG = 200;

export function createRoutes(options: RoutesOptions): (request: WebhookRequest) => Promise<WebhookAnswer> {
  const { account, context, transcript, streams, look } = options;
  const { clock } = context;
  const talk = createRate(clock, PER_MINUTE);
  const refusals = createRate(clock, REFUSED_PER_MINUTE);
  const claims = createRate(clock, CLAIMS_PER_MINUTE);
  /** What the gateway last said of a visitor. */
  const trusts = new Map<string, Hello["trust"]>();

  const addressOf = (visitor: string): Address => ({ channel: "webchat", account, chat: visitor, kind: "direct" });
  function senderOf(visitor: string, name: unknown, request: WebhookRequest): Sender {
    const language = languageOf(request.headers);
    return { id: visitor, name: cleanLine(name, 64) || `Visitor ${visitor.slice(4, 8)}`, bot: false, self: false, ...(language === undefined ? {} : { language }) };
  }
  async function trustOf(visitor: string): Promise<Hello["trust"]> {
    return trusts.get(visitor) ?? ((await transcript.known(visitor)) ? "known" : "unknown");
  }
  function setTrust(visitor: string, trust: Hello["trust"]): void {
    const before = trusts.get(visitor);
    trusts.delete(visitor);
    trusts.set(visitor, trust);
    if (trusts.size > 10_000) trusts.delete(trusts.keys().next().value as string);
    if (before !== trust && trust !== "unknown") streams.tell(visitor, { type: "trust", trust });
  }
  function withRaw(message: Message, body: ReadonlyMap<string, unknown>, known: readonly string[]): Message {
    if (!options.keepRaw) return message;
    const raw = Object.fromEntries(known.flatMap((key) => { const value = body.get(key); return typeof value === "string" || Array.isArray(value) ? [[key, Array.isArray(value) ? value.map(String) : value]] : []; }));
    return JSON.stringify(raw).length > MESSAGE_CAPS.raw ? message : { ...message, raw };
  }
  function tooMany(waitMs: number, text: string): void {
    if (waitMs > 0) throw new HttpFault(429, "CONN_003", text, { "retry-after": seconds(waitMs) });
  }
  /** Before anything of a message is recorded: an entry that is only recorded makes nobody known. */
  async function admit(visitor: string): Promise<void> {
    const trust = await trustOf(visitor);
    setTrust(visitor, trust);
    if (trust !== "known") tooMany(refusals.wait("all"), "Too many strangers are writing now. Wait a moment.");
  }
  async function receive(visitor: string, message: Message): Promise<boolean> {
    const received = await context.receive(message);
    if (received === "refused") refusals.take("all");
    setTrust(visitor, received === "refused" ? "refused" : "known");
    return received !== "refused";
  }

  function events(visitor: string, request: WebhookRequest): WebhookAnswer {
    if (streams.count(visitor) >= MAX_TABS || streams.count() >= MAX_STREAMS) throw new HttpFault(429, "CONN_003", "Too many open pages. Close some.", { "retry-after": "10" });
    const last = /^\d{1,16}$/.exec(request.headers["last-event-id"] ?? "")?.[0];
    const { stream, join } = streams.create(visitor, AbortSignal.any([request.signal, context.signal]));
    transcript.resume(visitor, last === undefined ? undefined : Number(last), BACKLOG, async (page) => {
      const hello: Hello = { ...look, maxUploadBytes: context.spool === undefined ? 0 : look.maxUploadBytes, visitor, trust: await trustOf(visitor), fresh: page.fresh, more: page.more };
      stream.push({ type: "hello", hello });
      for (const { event, id } of page.events) stream.push(event, id);
      stream.push({ type: "ready" }, page.head);
      join();
    }).catch((error: Error) => { context.log("warn", error.message); stream.end(); });
    return eventStream(stream.body);
  }

  async function send(visitor: string, request: WebhookRequest): Promise<WebhookAnswer> {
    const body = fields(request);
    const clientId = clientIdOf(body.get("clientId"));
    const text = textOf(body.get("text"));
    const files = await uploadsOf(visitor, body.get("files"));
    if (text.trim() === "" && files.length === 0) throw new HttpFault(400, "MSG_001", "Expected a text or a file, got neither.");
    const quoted = body.get("replyTo");
    const replyTo = typeof quoted === "string" && (await transcript.entry(visitor, quoted)) !== undefined ? quoted : undefined;
    const sender = senderOf(visitor, body.get("name"), request);
    await admit(visitor);
    const { entry, pending } = await transcript.addVisitor(
      visitor,
      { from: "visitor", text, clientId, ...(files.length === 0 ? {} : { files: files.map(cardOf) }), ...(replyTo === undefined ? {} : { replyTo }) },
      (added) => withRaw(toMessage(added, addressOf(visitor), sender, files), body, ["clientId", "text", "name", "replyTo", "files"]),
    );
    const seq = entry?.seq ?? 0;
    if (pending !== undefined) {
      const taken = await receive(visitor, pending);
      if (!taken) { await transcript.withdraw(visitor, seq); return json({ state: "refused" } satisfies SendAnswer); }
      await transcript.settle(visitor, seq);
    }
    return json({ state: "saved", ref: String(seq) } satisfies SendAnswer);
  }

  async function press(visitor: string, request: WebhookRequest): Promise<WebhookAnswer> {
    const body = fields(request);
    const clientId = clientIdOf(body.get("clientId"));
    const ref = body.get("ref");
    const value = body.get("value");
    const entry = typeof ref === "string" ? await transcript.entry(visitor, ref) : undefined;
    const button = entry?.buttons?.flat().find((each) => each.url === undefined && (each.value ?? each.label) === value);
    if (entry === undefined || button === undefined) throw new HttpFault(404, "MSG_001", "Expected a button of a message in this chat; it may have been taken away.");
    const pressed = button.value ?? button.label;
    await admit(visitor);
    const taken = await receive(visitor, withRaw({
      version: MESSAGE_VERSION, id: `${visitor}:${clientId}`, ref: String(entry.seq), kind: "action", at: addressOf(visitor), sender: senderOf(visitor, body.get("name"), request),
      sentAt: clock.now(), text: "", attachments: [], action: { type: "button", value: pressed, label: button.label }, addressed: true,
    }, body, ["clientId", "ref", "value", "name"]));
    if (!taken) return json({ state: "refused" } satisfies SendAnswer);
    if (entry.pressed !== pressed) await transcript.change(visitor, String(entry.seq), (now) => ({ ...now, pressed }));
    return json({ state: "saved", ref: String(entry.seq) } satisfies SendAnswer);
  }

  async function claim(visitor: string, request: WebhookRequest): Promise<WebhookAnswer> {
    tooMany(claims.take("all"), "Too many codes were tried. Wait a moment.");
    const body = fields(request);
    const code = cleanLine(body.get("code"), 128);
    if (code === "") throw new HttpFault(400, "MSG_001", "Expected a code, got none.");
    const claimed = (await context.claim?.(code, senderOf(visitor, body.get("name"), request), addressOf(visitor))) ?? false;
    if (claimed) {
      setTrust(visitor, "known");
      await context.storage.set({ [`owner/${visitor}`]: true });
    }
    // A page whose first answer was lost asks again, with a code that is used up by then.
    return json({ claimed: claimed || (await context.storage.get(`owner/${visitor}`)) === true });
  }

  async function upload(visitor: string, request: WebhookRequest): Promise<WebhookAnswer> {
    // Nobody fills the disk whom the gateway has not taken a message from.
    if ((await trustOf(visitor)) !== "known") throw new HttpFault(403, "SEC_001", "Send a message first; files are taken from people the owner has let in.");
    if (look.maxUploadBytes === 0) throw new HttpFault(403, "MSG_005", "This chat takes no files.");
    if (request.body.byteLength > look.maxUploadBytes) throw new HttpFault(413, "MSG_003", `Expected a file of at most ${look.maxUploadBytes} bytes, got ${request.body.byteLength}.`);
    if (request.body.byteLength === 0) throw new HttpFault(400, "MSG_001", "Expected a file, got nothing.");
    const about = { name: decoded(request.headers[FILE_NAME_HEADER] ?? ""), mime: request.headers["content-type"] ?? "application/octet-stream" };
    return json(cardOf(await keepUpload(context, visitor, request.body, about, request.signal)));
  }

  async function uploadsOf(visitor: string, given: unknown): Promise<StoredFile[]> {
    if (given === undefined) return [];
    const ids = Array.isArray(given) ? given : [undefined];
    if (ids.length > MAX_FILES) throw new HttpFault(400, "MSG_001", `Expected at most ${MAX_FILES} files, got ${ids.length}.`);
    const files = await Promise.all(ids.map((id) => fileOf(context, visitor, id)));
    if (files.some((file) => file === undefined)) throw new HttpFault(400, "MSG_001", "Expected files that were uploaded here before. Add them again.");
    return files as StoredFile[];
  }

  async function download(visitor: string, id: string): Promise<WebhookAnswer> {
    const file = await fileOf(context, visitor, id);
    const answer = file === undefined ? undefined : await serveFile(context, file);
    if (answer === undefined) throw new HttpFault(404, "MSG_002", "The file is not kept any more.");
    return answer;
  }

  return async (request) => {
    try {
      const { method, path } = request;
      const shown = await options.page(request);
      if (shown !== undefined) return shown;
      if (!fromOwnPage(request.headers, options.allowed)) throw new HttpFault(403, "SEC_001", "Expected a request of this page, got one of another site. Behind a proxy that changes the host name, name the public address in the account's settings.");
      const visitor = visitorOf(request.headers);
      if (visitor === undefined) throw new HttpFault(401, "SEC_001", "Expected the page's own token. Load the page again.");
      if (method === "GET") {
        if (path === "/events") return events(visitor, request);
        if (path === "/history") return json(await transcript.history(visitor));
        if (path.startsWith("/file/")) return await download(visitor, path.slice("/file/".length));
      }
      if (method === "POST") {
        if (path === "/claim") return await claim(visitor, request);
        const act = { "/send": send, "/press": press, "/file": upload }[path];
        if (act !== undefined) {
          tooMany(talk.take(visitor), `At most ${PER_MINUTE} messages a minute. Wait a moment.`);
          return await act(visitor, request);
        }
      }
      throw new HttpFault(404, "MSG_001", `There is nothing at ${method} ${cleanLine(path, 80)}.`);
    } catch (thrown) {
      return faultAnswer(thrown);
    }
  };
}

/** A recorded entry of a visitor as the engine knows it. */
export function toMessage(entry: Entry, at: Address, sender: Sender, files: readonly StoredFile[]): Message {
  const command = /^\/([A-Za-z][\w-]{0,31})(?:\s+([\s\S]*))?$/.exec(entry.text.trim());
  return {
    version: MESSAGE_VERSION,
    id: `${sender.id}:${entry.clientId}`,
    ref: String(entry.seq),
    kind: "message",
    at,
    sender,
    sentAt: entry.at,
    text: entry.text,
    attachments: files.map(({ kind, media, mime, name, bytes }): Attachment => ({ kind, media, state: "ready", mime, name, ...(bytes === undefined ? {} : { bytes }) })),
    ...(entry.replyTo === undefined ? {} : { replyTo: entry.replyTo }),
    ...(command === null ? {} : { action: { type: "command", name: (command[1] as string).toLowerCase(), args: (command[2] ?? "").trim() } }),
    addressed: true,
    ...(sender.language === undefined ? {} : { language: sender.language }),
  };
}

function clientIdOf(value: unknown): string {
  if (typeof value === "string" && /^[A-Za-z0-9_-]{8,64}$/.test(value)) return value;
  throw new HttpFault(400, "MSG_001", "Expected clientId to be 8 to 64 letters, digits, - or _.");
}
function textOf(value: unknown): string {
  return typeof value === "string" ? value.replaceAll("\0", "").replace(/\r\n?/g, "\n").toWellFormed() : "";
}
function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}
