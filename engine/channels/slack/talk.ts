/** Sending, editing, reacting, looking up: a Connection's methods over the Web API. */
import type { ChannelContext, Connection } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { Address, Draft } from "../../message.ts";
import type { Api } from "./api.ts";
import { contentOf } from "./blocks.ts";
import { nameOf } from "./emoji.ts";
import { hide, saysOf, statusError, toChannelError } from "./errors.ts";
import { createFiles, type Files, isFile } from "./files.ts";
import { modalOf } from "./form.ts";
import { findByKey, metadataOf } from "./evidence.ts";
import type { Streams } from "./stream.ts";
import { EPHEMERAL } from "./to-action.ts";
import type { Self } from "./to-message.ts";
import type { Triggers } from "./triggers.ts";

export interface TalkOptions {
  readonly api: Api;
  readonly token: string;
  readonly secrets: readonly string[];
  readonly self: Pick<Self, "userId" | "botId">;
  readonly triggers: Triggers;
  readonly streams: Streams;
  readonly context: ChannelContext;
  readonly signal: AbortSignal;
}

const PEOPLE = 1_000;
/** Refs of answers that Slack gives no time for: they can neither be edited nor taken back. */
const FLEETING = [EPHEMERAL, "response:", "view:", "trigger:"];

export function talk(options: TalkOptions): Omit<Connection, "self" | "webhook" | "close" | "health"> & { readonly files: Files } {
  const { api, token, secrets, self, triggers, streams, context, signal } = options;
  const files = createFiles(api, token, secrets, context, signal);
  /** A refusal of typing is not asked for again: the app is no assistant, or lacks the scope. */
  let mayType = true;

  const direct = new Map<string, string>();

  /** A person's own id stands for the chat with them, which Slack opens on demand. */
  async function placeOf(to: Address): Promise<Address> {
    if (!/^[UW]/.test(to.chat)) return to;
    let chat = direct.get(to.chat);
    if (chat === undefined) {
      const { channel } = await api.call("conversations.open", { users: to.chat });
      chat = channel?.id ?? to.chat;
      if (direct.size >= PEOPLE) direct.clear();
      direct.set(to.chat, chat);
    }
    return { ...to, chat };
  }

  /** A message's time, by its ref. */
  async function timeOf(to: Address, ref: string): Promise<string> {
    if (isFile(ref)) return files.sharedAs(to, ref);
    if (/^\d{1,12}\.\d{1,9}$/.test(ref)) return ref;
    if (FLEETING.some((kind) => ref.startsWith(kind))) throw new ChannelError("MSG_005", {}, "Slack lets nobody change what only one person saw, or what answered a command.");
    throw new ChannelError("MSG_002", {}, `Expected a Slack message to be a time such as 1767326126.896109, got "${ref.slice(0, 60)}".`);
  }

  async function post(to: Address, draft: Draft, key: string): Promise<string> {
    const message = { ...bodyOf(to, draft), metadata: metadataOf(key), unfurl_links: false, unfurl_media: false, ...draft.native?.["slack"] };
    try {
      const { ts } = await api.call("chat.postMessage", message as never);
      return ts ?? "";
    } catch (error) {
      // Where the bot is no member, a command may still be answered by the address that came with it.
      const url = ABSENT.has(saysOf(error)) ? triggers.response(to, draft.only) : undefined;
      if (url === undefined) throw error;
      return respond(url, draft, key);
    }
  }

  async function whisper(to: Address, draft: Draft, user: string, key: string): Promise<string> {
    try {
      const { message_ts } = await api.call("chat.postEphemeral", { ...bodyOf(to, draft), user, ...draft.native?.["slack"] } as never);
      return `${EPHEMERAL}${message_ts ?? ""}`;
    } catch (error) {
      const url = ABSENT.has(saysOf(error)) ? triggers.response(to, user) : undefined;
      if (url === undefined) throw error;
      return respond(url, draft, key);
    }
  }

  /** Answers by a response_url. It came from Slack, and leads nowhere else. */
  async function respond(address: string, draft: Draft, key: string): Promise<string> {
    const url = URL.parse(address);
    if (url === null || (url.origin !== api.origin && !/^https:\/\/hooks\.slack(?:-gov)?\.com$/.test(url.origin))) throw new ChannelError("MSG_002", {}, "Expected the address for an answer to be one of Slack's, got another.");
    const { text, blocks, attachments } = contentOf(draft);
    const body = JSON.stringify({ response_type: draft.only === undefined ? "in_channel" : "ephemeral", replace_original: false, text, ...(blocks.length > 0 ? { blocks } : {}), ...(attachments.length > 0 ? { attachments } : {}), ...draft.native?.["slack"] });
    const response = await context.fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body, redirect: "error", signal: AbortSignal.any([signal, AbortSignal.timeout(60_000)]) }).catch((thrown: unknown) => { throw toChannelError(thrown, "the answer", secrets); });
    // Its status is the yes: what follows is only read to say why it was a no.
    const said = (await response.text().catch((thrown: unknown) => { if (response.ok) return ""; throw toChannelError(thrown, "the answer", secrets); })).slice(0, 200);
    if (response.status === 429 || response.status >= 500) throw statusError(response.status, { header: (name) => response.headers.get(name) }, context.clock.now());
    if (!response.ok) throw new ChannelError("MSG_002", { answered: true }, `Slack refused the answer to a command: ${hide(said, secrets)}.`);
    return `response:${key}`;
  }

  return {
    files,
    async send(given, draft, key) {
      const to = await placeOf(given);
      if (draft.form !== undefined) {
        const { view } = await api.call("views.open", { trigger_id: triggers.open(given, draft), view: modalOf(to, draft, draft.form), ...draft.native?.["slack"] } as never);
        return `view:${view?.id ?? ""}`;
      }
      if ((draft.attachments ?? []).length > 0) return files.send(to, draft, key);
      // In a direct chat everything is for one person anyway.
      if (draft.only !== undefined && to.kind === "group") return whisper(to, draft, draft.only, key);
      return (await streams.finish(to, draft, key)) ?? post(to, draft, key);
    },
    preview: streams.show,
    async find(given, sent) {
      const { key, draft, startedAt } = sent;
      const to = await placeOf(given);
      if ((draft.attachments ?? []).length > 0) return files.find(to, sent);
      return findByKey(api, to, draft, key, startedAt);
    },
    async edit(given, ref, draft) {
      const to = await placeOf(given);
      const { text, blocks, attachments } = contentOf(draft);
      // What is left out stays as it was: so nothing is.
      await api.call("chat.update", { channel: to.chat, ts: await timeOf(to, ref), text, blocks, attachments, ...draft.native?.["slack"] } as never);
    },
    async remove(given, ref) {
      const to = await placeOf(given);
      if (isFile(ref)) await api.call("files.delete", { file: ref }).catch(unless("file_not_found", "file_deleted"));
      else await api.call("chat.delete", { channel: to.chat, ts: await timeOf(to, ref) }).catch(unless("message_not_found"));
    },
    async react(given, ref, emoji) {
      const to = await placeOf(given);
      const at = { channel: to.chat, timestamp: await timeOf(to, ref) };
      if (emoji === "") return takeBack(at);
      const name = nameOf(emoji);
      if (name === undefined) throw new ChannelError("MSG_005", {}, `Expected an emoji that Slack has a name for, got "${emoji.slice(0, 20)}".`);
      await api.call("reactions.add", { ...at, name }).catch(unless("already_reacted"));
    },
    async typing(to) {
      if (to.thread === undefined || !mayType) return;
      try {
        await api.call("assistant.threads.setStatus", { channel_id: to.chat, thread_ts: to.thread, status: "…" });
      } catch (error) {
        if ((error as ChannelError).retry !== "no") throw error;
        mayType = false;
      }
    },
    media: files.media,
    async call(method, parameters) {
      // The SDK's own helper takes a text for a path and would read any file of this machine.
      if (!/^[a-zA-Z]+(?:\.[a-zA-Z]+)+$/.test(method) || method === "files.uploadV2") throw new ChannelError("MSG_005", {}, `Expected a method of Slack's Web API such as chat.postMessage, got "${method.slice(0, 60)}". Files are sent as attachments of a draft.`);
      return api.raw(method, parameters);
    },
  };

  /** Takes back every reaction of ours. */
  async function takeBack(at: { channel: string; timestamp: string }): Promise<void> {
    const { message } = await api.call("reactions.get", { ...at, full: true });
    for (const { name = "", users = [] } of message?.reactions ?? []) {
      if (users.includes(self.userId)) await api.call("reactions.remove", { ...at, name }).catch(unless("no_reaction"));
    }
  }
}

/** The bot is not where it should speak. */
const ABSENT: ReadonlySet<string> = new Set(["not_in_channel", "channel_not_found", "user_not_in_channel"]);

function bodyOf(to: Address, draft: Draft): Record<string, unknown> {
  const { text, blocks, attachments } = contentOf(draft);
  const thread_ts = to.thread ?? draft.replyTo;
  if (thread_ts !== undefined && !/^\d{1,12}\.\d{1,9}$/.test(thread_ts) && to.thread !== undefined) throw new ChannelError("MSG_002", {}, `Expected a Slack thread to be a time such as 1767326126.896109, got "${thread_ts.slice(0, 60)}".`);
  // An answer to a command has no message to stand under.
  const thread = thread_ts !== undefined && /^\d{1,12}\.\d{1,9}$/.test(thread_ts) ? { thread_ts } : {};
  return { channel: to.chat, ...thread, text, ...(blocks.length > 0 ? { blocks } : {}), ...(attachments.length > 0 ? { attachments } : {}) };
}

/** Takes an error for success when it says that things are already as they were wanted. */
function unless(...names: string[]): (error: unknown) => undefined {
  return (error) => {
    if (!names.includes(saysOf(error))) throw error;
  };
}
