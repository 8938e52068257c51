/** The built-in web chat: a page served by Node-RED itself. Server-sent events down, POST up, so it works behind every proxy. */
import { ChannelError } from "../../errors.ts";
import type { Draft } from "../../message.ts";
import type { Account, Channel, ChannelContext, Connection } from "../channel.ts";
import { faultAnswer } from "./answers.ts";
import { assetOf, type Assets } from "./assets.ts";
import { cardOf, filesOfDraft, recordsOf } from "./files.ts";
import { createPage } from "./page.ts";
import type { Entry } from "./protocol.ts";
import { createRoutes } from "./routes.ts";
import { createStreams } from "./streams.ts";
import { createTranscript, type NewEntry } from "./transcript.ts";
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
      { key: "maxUploadMb", type: "number", label: "Largest file (MB)", hint: "0: no files", initial: 10 },
    ],
    limits: { text: 10_000, unit: "utf16", editEveryMs: 60, upload: MAX_UPLOAD_MB * MIB, download: MAX_UPLOAD_MB * MIB },
    shows: { files: ["image", "video", "audio", "voice", "document", "sticker"], buttons: 100, links: true, poll: true, location: true },
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
  const accent = textOf(settings.accent);
  if (accent !== "" && !/^#[0-9a-f]{6}$/i.test(accent)) problems.push(`Expected a colour as #0f766e, got "${accent}".`);
  return problems;
}

async function open(account: Account, context: ChannelContext, assets: Assets): Promise<Connection> {
  const { settings } = account;
  const streams = createStreams(context.clock);
  const transcript = createTranscript({ storage: context.storage, clock: context.clock, tell: streams.tell });
  const origins = listOf(settings.origins);
  const routes = createRoutes({
    account: account.id, context, transcript, streams,
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

  async function change(chat: string, ref: string, edit: (entry: Entry) => Entry | undefined): Promise<void> {
    if (!(await transcript.change(chat, ref, edit))) throw new ChannelError("MSG_002", {}, `Expected a message of this chat, got "${ref}". It may be older than the transcript.`);
  }

  return {
    self: { id: "webchat", name: titleOf(account) },
    async send(to, draft, key) {
      if (!isVisitorId(to.chat)) throw new ChannelError("MSG_002", {}, `Expected a web chat as web- and 32 digits, or "owner", got "${to.chat}".`);
      const before = await transcript.byKey(key);
      if (before !== undefined) return before;
      const files = await filesOfDraft(context, to.chat, draft.attachments ?? []);
      const entry = { ...entryOf(draft), key, ...(files.length === 0 ? {} : { files: files.map(cardOf) }) };
      if (entry.text === "" && files.length === 0 && entry.buttons === undefined && entry.location === undefined) throw new ChannelError("MSG_001", {}, "Expected something to say, got an empty message.");
      return transcript.addBot(to.chat, entry, recordsOf(files));
    },
    find: (_to, { key }) => transcript.byKey(key),
    edit: (to, ref, draft) => change(to.chat, ref, ({ buttons: _buttons, pressed: _pressed, plain: _plain, location: _location, replyTo, ...entry }) => ({ ...entry, ...(replyTo === undefined ? {} : { replyTo }), ...entryOf(draft), edited: true })),
    // What is gone already is no fault: a removal is repeated after a crash.
    async remove(to, ref) { await transcript.change(to.chat, ref, () => undefined); },
    react: (to, ref, emoji) => change(to.chat, ref, ({ reaction: _old, ...entry }) => (emoji === "" ? entry : { ...entry, reaction: emoji.slice(0, 16) })),
    async typing(to) { streams.tell(to.chat, { type: "typing" }); },
    async preview(to, draft, key) { streams.tell(to.chat, { type: "preview", key, text: draft.text, plain: draft.plain === true }); },
    async webhook(request) { return closed || context.signal.aborted ? faultAnswer(new ChannelError("CONN_001", { retry: "later" }, "The chat is being restarted.")) : routes(request); },
    async close() { closed = true; streams.close(); },
  };
}

/** A poll is its question with a button for each option. */
function entryOf(draft: Draft): NewEntry {
  const { poll } = draft;
  const buttons = [...(draft.buttons ?? []), ...(poll?.options.map((label) => [{ label }]) ?? [])];
  return {
    from: "bot",
    text: poll === undefined ? draft.text : [draft.text, poll.question].filter((text) => text !== "").join("\n\n"),
    ...(draft.plain === true ? { plain: true as const } : {}),
    ...(buttons.length === 0 ? {} : { buttons }),
    ...(draft.location === undefined ? {} : { location: { latitude: draft.location.latitude, longitude: draft.location.longitude } }),
    ...(draft.replyTo === undefined ? {} : { replyTo: draft.replyTo }),
  };
}

function titleOf(account: Account): string { return textOf(account.settings.title) || account.name; }
function textOf(value: unknown): string { return typeof value === "string" ? value.trim() : ""; }
function listOf(value: unknown): string[] {
  const list = Array.isArray(value) ? value : String(value ?? "").split("\n");
  return list.map((item) => String(item).trim()).filter((item) => item !== "");
}
