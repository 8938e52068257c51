/**
 * What a page may ask of its account. A visitor is known by the secret in VISITOR_HEADER, or by the word of the site around it in IDENTITY_HEADER;
 * everything it sees is its own, or of the room in ROOM_HEADER. A room shows nothing to whom the gateway has taken no message from there, or who is not let in any more.
 *
 *     GET  /  /chat.js  /chat.css       the page
 *     GET  /embed.js                    puts it on other pages
 *     GET  /events                      server-sent events, ServerEvent each; Last-Event-ID resumes
 *     GET  /history                     Entry[], as far as the transcript reaches
 *     GET  /file/<id>                   bytes
 *     POST /send /press /choose /vote   SendBody, PressBody, ChooseBody, VoteBody
 *     POST /claim                       ClaimBody
 *     POST /file                        bytes; answers a FileCard
 */
import { type Action, type Address, type Attachment, type Message, MESSAGE_VERSION, type Sender } from "../../message.ts";
import { MESSAGE_CAPS } from "../../message-schema.ts";
import type { ChannelContext, WebhookAnswer, WebhookRequest } from "../channel.ts";
import { eventStream, faultAnswer, fields, json, seconds } from "./answers.ts";
import { HttpFault } from "../../http-fault.ts";
import { cardOf, fileOf, keepUpload, type StoredFile, serveFile } from "./files.ts";
import { chatOfUser, identityOf } from "./identity.ts";
import { type Entry, FILE_KIND_HEADER, FILE_NAME_HEADER, type Hello, IDENTITY_HEADER, ROOM_HEADER, type SendAnswer } from "./protocol.ts";
import { chatOfRoom, mentions, type Room, tagOf } from "./rooms.ts";
import type { Streams } from "./streams.ts";
import type { Transcript } from "./transcript.ts";
import { cleanLine, createRate, fromOwnPage, languageOf, visitorOf } from "./visitor.ts";

export interface RoutesOptions {
  readonly account: string;
  readonly context: ChannelContext;
  readonly transcript: Transcript;
  readonly streams: Streams;
  readonly rooms: ReadonlyMap<string, Room>;
  /** Signs identities; "": there are none. */
  readonly secret: string;
  page(request: WebhookRequest): Promise<WebhookAnswer | undefined>;
  readonly look: Pick<Hello, "title" | "welcome" | "suggestions" | "notice" | "accent" | "maxUploadBytes">;
  /** Messages carry the request's body. */
  readonly keepRaw: boolean;
  /** Origins beside the page's own. */
  readonly allowed: ReadonlySet<string>;
}

/** Who asks, and about which chat. `topic`: what its pages listen to before they may hear the chat itself. */
interface Who { readonly id: string; readonly chat: string; readonly own: string; readonly topic: string; readonly tag: string; readonly room?: Room; readonly name?: string }

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

  function whoOf(request: WebhookRequest): Who {
    const token = request.headers[IDENTITY_HEADER];
    const identity = token === undefined ? undefined : identityOf(token, options.secret, clock.now());
    // Whoever says who he is, and is not believed, is nobody: never the visitor he would be without.
    if (token !== undefined && identity === undefined) throw new HttpFault(401, "SEC_001", "Expected a signed identity that is not over, got another. Load the page around the chat again.", { "x-clawflow-refused": "identity" });
    const visitor = visitorOf(request.headers);
    if (visitor === undefined) throw new HttpFault(401, "SEC_001", "Expected the page's own token. Load the page again.");
    const id = identity === undefined ? visitor : `user:${identity.id}`;
    const own = identity === undefined ? visitor : chatOfUser(identity.id);
    const name = identity === undefined || identity.name === "" ? {} : { name: identity.name };
    const wanted = request.headers[ROOM_HEADER];
    if (wanted === undefined) return { id, own, chat: own, topic: own, tag: tagOf(own, id), ...name };
    const room = options.rooms.get(wanted);
    if (room === undefined) throw new HttpFault(404, "MSG_001", "There is no such room here.");
    const chat = chatOfRoom(room.id);
    const tag = tagOf(chat, id);
    return { id, own, chat, topic: `${chat}/${tag}`, tag, room, ...name };
  }
  const addressOf = ({ chat, room }: Pick<Who, "chat" | "room">): Address => ({ channel: "webchat", account, chat, kind: room === undefined ? "direct" : "group" });
  function senderOf({ id, own, name: vouched }: Who, name: unknown, request: WebhookRequest): Sender {
    const language = languageOf(request.headers);
    return { id, name: (vouched ?? cleanLine(name, 64)) || `Visitor ${own.slice(-32, -28)}`, bot: false, self: false, ...(language === undefined ? {} : { language }) };
  }
  /** What is kept of a visitor is of their last message: who was removed since may say nothing any more. */
  const letIn = (who: Who): boolean => context.mayTalk?.(addressOf(who), who) ?? true;
  const memberKey = ({ chat, tag }: Who): string => `member/${chat}/${tag}`;
  async function trustOf(who: Who): Promise<Hello["trust"]> {
    const known = async () => (who.room === undefined ? transcript.known(who.chat) : (await context.storage.get(memberKey(who))) === true);
    const trust = trusts.get(who.topic) ?? ((await known()) ? "known" : "unknown");
    return trust === "known" && !letIn(who) ? "refused" : trust;
  }
  /** What there is in a room is for those whom the gateway knows there. */
  async function mayRead(who: Who): Promise<boolean> { return who.room === undefined || (await trustOf(who)) === "known"; }
  async function setTrust(who: Who, trust: Hello["trust"]): Promise<void> {
    const { topic, room } = who;
    const before = trusts.get(topic);
    trusts.delete(topic);
    trusts.set(topic, trust);
    if (trusts.size > 10_000) trusts.delete(trusts.keys().next().value as string);
    if (before !== trust && trust !== "unknown") streams.tell(topic, { type: "trust", trust });
    if (room === undefined || before === trust || trust === "unknown") return;
    if (((await context.storage.get(memberKey(who))) === true) !== (trust === "known")) await context.storage.set({ [memberKey(who)]: trust === "known" ? true : undefined });
    // Its pages begin anew: they hear the room from now on, or do not any more.
    streams.end(topic);
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
  async function admit(who: Who): Promise<void> {
    const trust = await trustOf(who);
    await setTrust(who, trust);
    if (trust !== "known") tooMany(refusals.wait("all"), "Too many strangers are writing now. Wait a moment.");
  }
  async function receive(who: Who, message: Message): Promise<boolean> {
    const received = await context.receive(message);
    if (received === "refused") refusals.take("all");
    await setTrust(who, received === "refused" ? "refused" : "known");
    return received !== "refused";
  }

  async function events(who: Who, request: WebhookRequest): Promise<WebhookAnswer> {
    const { chat, topic, room } = who;
    if (streams.count(topic) >= MAX_TABS || streams.count() >= MAX_STREAMS) throw new HttpFault(429, "CONN_003", "Too many open pages. Close some.", { "retry-after": "10" });
    const last = /^\d{1,16}$/.exec(request.headers["last-event-id"] ?? "")?.[0];
    const trust = await trustOf(who);
    const open = await mayRead(who);
    const hears = room !== undefined && open;
    const { stream, join } = streams.create(topic, AbortSignal.any([request.signal, context.signal]), hears ? [chat] : [], () => !hears || letIn(who));
    const greet = (fresh: boolean, more: boolean): void => {
      const hello: Hello = { ...look, ...(room === undefined ? {} : { title: room.label, me: who.tag }), ...(who.name === undefined ? {} : { name: who.name }), maxUploadBytes: context.spool === undefined ? 0 : look.maxUploadBytes, visitor: who.id, trust, fresh, more };
      stream.push({ type: "hello", hello });
    };
    if (!open) {
      greet(true, false);
      stream.push({ type: "ready" });
      join();
      return eventStream(stream.body);
    }
    transcript.resume(chat, last === undefined ? undefined : Number(last), BACKLOG, async (page) => {
      greet(page.fresh, page.more);
      for (const { event, id } of page.events) stream.push(event, id);
      stream.push({ type: "ready" }, page.head);
      join();
    }).catch((error: Error) => { context.log("warn", error.message); stream.end(); });
    return eventStream(stream.body);
  }

  async function send(who: Who, request: WebhookRequest): Promise<WebhookAnswer> {
    const { chat, room } = who;
    const body = fields(request);
    const clientId = clientIdOf(body.get("clientId"));
    const text = textOf(body.get("text"));
    const files = await uploadsOf(who, body.get("files"));
    if (text.trim() === "" && files.length === 0) throw new HttpFault(400, "MSG_001", "Expected a text or a file, got neither.");
    const given = body.get("replyTo");
    const quoted = typeof given === "string" && (await mayRead(who)) ? await transcript.entry(chat, given) : undefined;
    const sender = senderOf(who, body.get("name"), request);
    await admit(who);
    const draft = { from: "visitor" as const, text, clientId, ...(files.length === 0 ? {} : { files: files.map(cardOf) }), ...(quoted === undefined ? {} : { replyTo: String(quoted.seq) }), ...(room === undefined ? {} : { author: { tag: who.tag, name: sender.name } }) };
    const addressed = room === undefined || quoted?.from === "bot" || /^\//.test(text.trim()) || mentions(text, room.label) || mentions(text, look.title);
    const message = (added: Entry): Message => withRaw({ ...toMessage(added, addressOf(who), sender, files), addressed }, body, ["clientId", "text", "name", "replyTo", "files"]);
    if (room !== undefined) {
      // Others see it: only what was taken is shown.
      const { entry } = await transcript.addVisitor(chat, draft, message, (first) => receive(who, first));
      return json((entry === undefined ? { state: "refused" } : { state: "saved", ref: String(entry.seq) }) satisfies SendAnswer);
    }
    const { entry, pending } = await transcript.addVisitor(chat, draft, message);
    const seq = entry?.seq ?? 0;
    if (pending !== undefined) {
      const taken = await receive(who, pending);
      if (!taken) { await transcript.withdraw(chat, seq); return json({ state: "refused" } satisfies SendAnswer); }
      await transcript.settle(chat, seq);
    }
    return json({ state: "saved", ref: String(seq) } satisfies SendAnswer);
  }

  /** What was done to an entry of the bot: `act` says what, or throws; `after` shows it. */
  function acting(known: readonly string[], act: (entry: Entry, body: ReadonlyMap<string, unknown>) => Action, after: (who: Who, entry: Entry, action: Action) => Promise<unknown>) {
    return async (who: Who, request: WebhookRequest): Promise<WebhookAnswer> => {
      const body = fields(request);
      const clientId = clientIdOf(body.get("clientId"));
      const ref = body.get("ref");
      const entry = typeof ref === "string" && (await mayRead(who)) ? await transcript.entry(who.chat, ref) : undefined;
      if (entry === undefined) throw noSuch("message");
      const action = act(entry, body);
      await admit(who);
      const taken = await receive(who, withRaw({
        version: MESSAGE_VERSION, id: `${who.id}:${clientId}`, ref: String(entry.seq), kind: "action", at: addressOf(who), sender: senderOf(who, body.get("name"), request),
        sentAt: clock.now(), text: "", attachments: [], ...(action.type === "vote" ? { replyTo: String(entry.seq) } : {}), action, addressed: true,
      }, body, ["clientId", "ref", "name", ...known]));
      if (!taken) return json({ state: "refused" } satisfies SendAnswer);
      await after(who, entry, action);
      return json({ state: "saved", ref: String(entry.seq) } satisfies SendAnswer);
    };
  }
  const press = acting(["value"], (entry, body) => {
    const value = body.get("value");
    const button = entry.buttons?.flat().find((each) => each.url === undefined && (each.value ?? each.label) === value);
    if (button === undefined) throw noSuch("button");
    return { type: "button", value: button.value ?? button.label, label: button.label };
  }, async ({ chat }, entry, action) => {
    const pressed = action.type === "button" ? action.value : "";
    if (entry.pressed !== pressed) await transcript.change(chat, String(entry.seq), (now) => ({ ...now, pressed }));
  });
  const choose = acting(["values"], ({ choices }, body) => {
    const values = listed(body.get("values"));
    const right = values.every((value) => choices?.options.some((option) => option.value === value)) && values.length > 0 && (choices?.multiple === true || values.length === 1);
    if (choices === undefined || !right) throw noSuch("menu with these options");
    return { type: "choice", values, ...(choices.name === undefined ? {} : { name: choices.name }) };
  }, ({ chat }, entry, action) => transcript.change(chat, String(entry.seq), (now) => ({ ...now, chosen: action.type === "choice" ? action.values : [] })));
  const vote = acting(["options"], ({ poll, seq }, body) => {
    const options = listed(body.get("options"));
    const right = options.every((option) => /^\d{1,3}$/.test(option) && Number(option) < (poll?.options.length ?? 0)) && (poll?.multiple === true || options.length <= 1);
    if (poll === undefined || !right) throw noSuch("poll with these options");
    return { type: "vote", poll: String(seq), options };
  }, (who, entry, action) => transcript.vote(who.chat, String(entry.seq), who.tag, action.type === "vote" ? action.options.map(Number) : []));

  async function claim(who: Who, request: WebhookRequest): Promise<WebhookAnswer> {
    tooMany(claims.take("all"), "Too many codes were tried. Wait a moment.");
    const body = fields(request);
    const code = cleanLine(body.get("code"), 128);
    if (code === "") throw new HttpFault(400, "MSG_001", "Expected a code, got none.");
    const claimed = (await context.claim?.(code, senderOf(who, body.get("name"), request), addressOf({ chat: who.own }))) ?? false;
    if (claimed) {
      await setTrust(who, "known");
      await context.storage.set({ [`owner/${who.own}`]: true });
    }
    // A page whose first answer was lost asks again, with a code that is used up by then.
    return json({ claimed: claimed || (await context.storage.get(`owner/${who.own}`)) === true });
  }

  async function upload(who: Who, request: WebhookRequest): Promise<WebhookAnswer> {
    // Nobody fills the disk whom the gateway has taken no message from, or who was removed since.
    if ((await trustOf(who)) !== "known") throw new HttpFault(403, "SEC_001", "Send a message first; files are taken from people the owner has let in.");
    if (look.maxUploadBytes === 0) throw new HttpFault(403, "MSG_005", "This chat takes no files.");
    if (request.body.byteLength > look.maxUploadBytes) throw new HttpFault(413, "MSG_003", `Expected a file of at most ${look.maxUploadBytes} bytes, got ${request.body.byteLength}.`);
    if (request.body.byteLength === 0) throw new HttpFault(400, "MSG_001", "Expected a file, got nothing.");
    const about = { name: decoded(request.headers[FILE_NAME_HEADER] ?? ""), mime: request.headers["content-type"] ?? "application/octet-stream", voice: request.headers[FILE_KIND_HEADER] === "voice" };
    return json(cardOf(await keepUpload(context, who.chat, request.body, about, request.signal)));
  }

  async function uploadsOf(who: Who, given: unknown): Promise<StoredFile[]> {
    if (given === undefined) return [];
    const ids = Array.isArray(given) ? given : [undefined];
    if (ids.length > MAX_FILES) throw new HttpFault(400, "MSG_001", `Expected at most ${MAX_FILES} files, got ${ids.length}.`);
    const files = await Promise.all(ids.map((id) => fileOf(context, who.chat, id)));
    if (files.some((file) => file === undefined)) throw new HttpFault(400, "MSG_001", "Expected files that were uploaded here before. Add them again.");
    return files as StoredFile[];
  }

  async function download(who: Who, id: string): Promise<WebhookAnswer> {
    const file = !(await mayRead(who)) ? undefined : await fileOf(context, who.chat, id);
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
      const who = whoOf(request);
      if (method === "GET") {
        if (path === "/events") return await events(who, request);
        if (path === "/history") return json((await mayRead(who)) ? await transcript.history(who.chat) : []);
        if (path.startsWith("/file/")) return await download(who, path.slice("/file/".length));
      }
      if (method === "POST") {
        if (path === "/claim") return await claim(who, request);
        const act = { "/send": send, "/press": press, "/choose": choose, "/vote": vote, "/file": upload }[path];
        if (act !== undefined) {
          tooMany(talk.take(who.id), `At most ${PER_MINUTE} messages a minute. Wait a moment.`);
          return await act(who, request);
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

function noSuch(what: string): HttpFault {
  return new HttpFault(404, "MSG_001", `Expected a ${what} of this chat; it may have been taken away.`);
}
function listed(value: unknown): string[] {
  return Array.isArray(value) && value.length <= 200 ? [...new Set(value.map(String))] : [];
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
