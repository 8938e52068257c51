/** The built-in web chat: a page served by Node-RED itself. Server-sent events down, POST up, so it works behind every proxy. */
import { ChannelError } from "../../errors.ts";
import type { Address } from "../../message.ts";
import type { Account, Channel, ChannelContext, Connection } from "../channel.ts";
import { faultAnswer } from "./answers.ts";
import { assetOf, type Assets } from "./assets.ts";
import { entryOf, refuseEmpty } from "./entry.ts";
import { recordsOf } from "./files.ts";
import { chatOfUser, SECRET_LENGTH } from "./identity.ts";
import { createPage } from "./page.ts";
import type { Entry } from "./protocol.ts";
import { chatOfRoom, roomProblem, roomsOf } from "./rooms.ts";
import { createRoutes } from "./routes.ts";
import { createStreams } from "./streams.ts";
import { createTranscript } from "./transcript.ts";
import { isVisitorId } from "./visitor.ts";

const MIB = 1024 * 1024;
const MAX_UPLOAD_MB = 25;
const DAY_MS = 24 * 3_600_000;

/** `assets`: where the page's files come from; tests give their own. */
export function createWebchat(assets: Assets = assetOf): Channel {
  return {
    id: "webchat",
    label: "Web chat",
    settings: [
      { key: "title", type: "text", label: "Title", hint: "Stands over the conversation; empty: the account's name" },
      { key: "welcome", type: "text", label: "Welcome text", hint: "Shown while the conversation is empty" },
      { key: "suggestions", type: "list", label: "Suggestions", hint: "First questions to press, one a line" },
      { key: "notice", type: "text", label: "Notice", hint: "One small line under the text box, such as who answers here" },
      { key: "accent", type: "text", label: "Colour", hint: "As #0f766e; empty: ClawFlow's own" },
      { key: "origins", type: "list", label: "Other sites", hint: "https://example.org, one a line: sites that may show the chat in a frame, and its public address behind a proxy that changes the host name" },
      { key: "rooms", type: "list", label: "Rooms", hint: "help: Help desk, one a line: chats that several visitors share with the bot, opened by ?room=help" },
      { key: "secret", type: "secret", label: "Secret for signed visitors", hint: "32 characters or more; with it your site's server signs who its visitor is" },
      { key: "maxUploadMb", type: "number", label: "Largest file (MB)", hint: "0: no files", initial: 10 },
    ],
    limits: { text: 10_000, unit: "utf16", editEveryMs: 60, upload: MAX_UPLOAD_MB * MIB, download: MAX_UPLOAD_MB * MIB },
    shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], buttons: 100, links: true, choices: 200, cards: true, poll: true, location: true, contact: true },
    // The transcript is ours: a key is honoured for the last thousand messages of its chat.
    delivery: { keyMs: 30 * DAY_MS, evidence: true, edit: true },
    can: ["react", "remove", "typing", "preview"],
    check,
    async try(account) { return { id: "webchat", name: titleOf(account) }; },
    open: (account, context) => open(account, context, assets),
  };
}

export const webchat: Channel = createWebchat();

function check({ settings }: Account): string[] {
  const problems: string[] = [];
  const megabytes = Number(settings.maxUploadMb ?? 10);
  if (!(megabytes >= 0 && megabytes <= MAX_UPLOAD_MB)) problems.push(`Expected the largest file to be 0 to ${MAX_UPLOAD_MB} MB, got "${settings.maxUploadMb}".`);
  for (const origin of listOf(settings.origins)) if (URL.parse(origin)?.origin !== origin || !/^https?:/.test(origin)) problems.push(`Expected a site as https://example.org, without a path, got "${origin}".`);
  problems.push(...listOf(settings.rooms).flatMap((line) => roomProblem(line) ?? []));
  const secret = textOf(settings.secret);
  if (secret !== "" && secret.length < SECRET_LENGTH) problems.push(`Expected the secret for signed visitors to have ${SECRET_LENGTH} characters or more, got ${secret.length}.`);
  const accent = textOf(settings.accent);
  if (accent !== "" && !/^#[0-9a-f]{6}$/i.test(accent)) problems.push(`Expected a colour as #0f766e, got "${accent}".`);
  return problems;
}

async function open(account: Account, context: ChannelContext, assets: Assets): Promise<Connection> {
  const { settings } = account;
  const streams = createStreams(context.clock);
  const transcript = createTranscript({ storage: context.storage, clock: context.clock, tell: streams.tell });
  const origins = listOf(settings.origins);
  const rooms = roomsOf(listOf(settings.rooms));
  const routes = createRoutes({
    account: account.id, context, transcript, streams, rooms, secret: textOf(settings.secret),
    page: createPage(assets, origins),
    keepRaw: settings.raw === true,
    allowed: new Set([...origins, ...(context.webhookUrl === undefined ? [] : [URL.parse(context.webhookUrl)?.origin ?? ""])]),
    look: {
      title: titleOf(account), welcome: textOf(settings.welcome), suggestions: listOf(settings.suggestions), notice: textOf(settings.notice), accent: textOf(settings.accent),
      maxUploadBytes: Math.floor(Number(settings.maxUploadMb ?? 10) * MIB),
    },
  });
  context.signal.addEventListener("abort", () => streams.close(), { once: true });
  let closed = false;
  await receiveAgain();
  context.status("connected");

  /** What an earlier process recorded but perhaps did not hand over; the same id makes a second handing over harmless. */
  async function receiveAgain(): Promise<void> {
    for (const { chat, seq, message } of await transcript.pending()) {
      try {
        const received = await context.receive(message);
        if (received === "refused") await transcript.withdraw(chat, seq);
        else await transcript.settle(chat, seq);
      } catch (error) {
        // It stays pending; the visitor's page, or the next start, tries again.
        context.log("warn", `A message of ${chat} could not be received yet: ${(error as Error).message}`);
      }
    }
  }

  /** A person who is vouched for may be named by the site's own id; a room has to be there. */
  function chatOf({ chat }: Pick<Address, "chat">): string {
    const known = chat.startsWith("user:") ? chatOfUser(chat.slice("user:".length)) : chat;
    if (isVisitorId(known) || [...rooms.keys()].some((id) => chatOfRoom(id) === known)) return known;
    throw new ChannelError("MSG_002", {}, `Expected a web chat as web- and 32 digits, user:<id>, room-<id> of a room of this account, or "owner", got "${chat.slice(0, 80)}".`);
  }
  async function change(to: Address, ref: string, edit: (entry: Entry) => Entry | undefined): Promise<void> {
    if (!(await transcript.change(chatOf(to), ref, edit))) throw new ChannelError("MSG_002", {}, `Expected a message of this chat, got "${ref}". It may be older than the transcript.`);
  }

  return {
    self: { id: "webchat", name: titleOf(account) },
    async send(to, draft, key) {
      const chat = chatOf(to);
      const before = await transcript.byKey(key);
      if (before !== undefined) return before;
      const { entry, files } = await entryOf(context, chat, draft);
      refuseEmpty(entry);
      return transcript.addBot(chat, { ...entry, key }, recordsOf(files));
    },
    find: (_to, { key }) => transcript.byKey(key),
    async edit(to, ref, draft) {
      const { entry, files } = await entryOf(context, chatOf(to), draft);
      if (files.length > 0) await context.storage.set(recordsOf(files));
      await change(to, ref, ({ seq, at, key, replyTo, files: before, reaction, poll }) => ({
        seq, at, ...(key === undefined ? {} : { key }), ...(replyTo === undefined ? {} : { replyTo }), ...(before === undefined ? {} : { files: before }), ...(reaction === undefined ? {} : { reaction }),
        ...entry,
        // The same question keeps its votes.
        ...(poll !== undefined && poll.question === entry.poll?.question && poll.options.join("\n") === entry.poll.options.join("\n") ? { poll } : {}),
        edited: true,
      }));
    },
    // What is gone already is no fault: a removal is repeated after a crash.
    async remove(to, ref) { await transcript.change(chatOf(to), ref, () => undefined); },
    react: (to, ref, emoji) => change(to, ref, ({ reaction: _old, ...entry }) => (emoji === "" ? entry : { ...entry, reaction: emoji.slice(0, 16) })),
    async typing(to) { streams.tell(chatOf(to), { type: "typing" }); },
    async preview(to, draft, key) { streams.tell(chatOf(to), { type: "preview", key, text: draft.text, plain: draft.plain === true }); },
    async webhook(request) { return closed || context.signal.aborted ? faultAnswer(new ChannelError("CONN_001", { retry: "later" }, "The chat is being restarted.")) : routes(request); },
    async close() { closed = true; streams.close(); },
  };
}

function titleOf(account: Account): string { return textOf(account.settings.title) || account.name; }
function textOf(value: unknown): string { return typeof value === "string" ? value.trim() : ""; }
function listOf(value: unknown): string[] {
  const list = Array.isArray(value) ? value : String(value ?? "").split("\n");
  return list.map((item) => String(item).trim()).filter((item) => item !== "");
}
