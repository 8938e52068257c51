/**
 * An answer while it is written, by Slack's own streams (chat.startStream …): no "edited" mark, and none of chat.update's limits. Slack allows them under a
 * message, in channels for the person who asked. A stream is a message: what is never finished is taken away here, after a restart too.
 */
import type { ChannelContext, Connection } from "../channel.ts";
import { keepAfter } from "../doubt.ts";
import { asClawError, ChannelError } from "../../errors.ts";
import type { Address, Draft, Message } from "../../message.ts";
import type { Api } from "./api.ts";
import { contentOf } from "./blocks.ts";
import { saysOf } from "./errors.ts";
import { keyIn, metadataOf } from "./evidence.ts";
import { STREAM_LIMIT } from "./limits.ts";
import type { SlackMessage } from "./shapes.ts";

export interface Streams {
  readonly show: NonNullable<Connection["preview"]>;
  /** The final text in the place of what is shown under this key; undefined where nothing is. */
  finish(to: Address, draft: Draft, key: string): Promise<string | undefined>;
  /** Remembers who spoke last where: a stream in a channel is for one person. */
  heard(message: Pick<Message, "at" | "sender" | "kind">): void;
  /** Takes away what an earlier process left unfinished. */
  tidy(): Promise<void>;
  close(): void;
}

const NOTE = "stream:";
/** Slack ends a stream by itself when nothing comes for some minutes. */
const IDLE_MS = 300_000;
const SPEAKERS = 1_000;

interface Open { readonly to: Address; readonly ts: string; shown: string; cancel: () => void }
interface Note { readonly chat: string; readonly thread: string }

export function createStreams(api: Pick<Api, "call">, teamId: string, context: Pick<ChannelContext, "clock" | "storage" | "log">): Streams {
  const { clock, storage } = context;
  const open = new Map<string, Open>();
  const speakers = new Map<string, string>();
  let refused = false;

  function cannot(why: string): ChannelError { return new ChannelError("MSG_005", {}, why); }

  async function start(to: Address, text: string): Promise<string> {
    if (refused || to.thread === undefined) throw cannot("Slack streams an answer only into a thread, and only where the workspace allows it.");
    const user = speakers.get(`${to.chat}\n${to.thread}`);
    if (to.kind === "group" && user === undefined) throw cannot("Slack streams into a channel only for the person who asked, and nobody is known to have.");
    const recipient = to.kind === "group" ? { recipient_user_id: user as string, recipient_team_id: to.space ?? teamId } : {};
    try {
      const { ts } = await api.call("chat.startStream", { channel: to.chat, thread_ts: to.thread, markdown_text: text, ...recipient });
      if (ts === undefined) throw cannot("Slack began a stream without saying which.");
      return ts;
    } catch (thrown) {
      const error = thrown as ChannelError;
      if (error.retry !== "no") throw error;
      if (error.code === "MSG_005") refused = true;
      throw cannot(error.message);
    }
  }

  function later(key: string): () => void {
    return clock.after(IDLE_MS, () => {
      const own = open.get(key);
      open.delete(key);
      if (own !== undefined) void erase(own.to.chat, own.ts).catch((error: Error) => context.log("debug", error.message));
    });
  }
  async function erase(channel: string, ts: string): Promise<void> {
    await api.call("chat.stopStream", { channel, ts }).catch(() => undefined);
    await api.call("chat.delete", { channel, ts }).catch((error: unknown) => { if (saysOf(error) !== "message_not_found") throw error; });
    await storage.set({ [`${NOTE}${ts}`]: undefined });
  }

  return {
    async show(to, draft, key) {
      const text = calm(draft.text).slice(0, STREAM_LIMIT);
      const own = open.get(key);
      if (own === undefined) {
        const ts = await start(to, text);
        open.set(key, { to, ts, shown: text, cancel: later(key) });
        await storage.set({ [`${NOTE}${ts}`]: { chat: to.chat, thread: to.thread as string } satisfies Note });
        return;
      }
      own.cancel();
      own.cancel = later(key);
      // A stream only grows: what was said otherwise is put right at the end.
      if (!text.startsWith(own.shown) || text === own.shown) return;
      await api.call("chat.appendStream", { channel: to.chat, ts: own.ts, markdown_text: text.slice(own.shown.length) }).catch((thrown: unknown) => {
        throw (thrown as ChannelError).retry === "no" ? cannot((thrown as ChannelError).message) : thrown;
      });
      own.shown = text;
    },
    async finish(to, draft, key) {
      const own = open.get(key);
      if (own === undefined) return undefined;
      const { ts } = own;
      const metadata = metadataOf(key);
      const place = { channel: to.chat, ts };
      const final = calm(draft.text);
      const { blocks, attachments } = contentOf({ ...draft, text: "" });
      const grows = draft.plain !== true && attachments.length === 0 && final.startsWith(own.shown) && final.length - own.shown.length <= STREAM_LIMIT && draft.native?.["slack"] === undefined;
      const rest = final.slice(own.shown.length);
      let done = false;
      try {
        await api.call("chat.stopStream", { ...place, metadata, ...(grows && rest !== "" ? { markdown_text: rest } : {}), ...(grows && blocks.length > 0 ? { blocks } : {}) });
        done = grows;
      } catch (thrown) {
        // Ended by itself meanwhile; or by this very call, whose answer was lost.
        if ((thrown as ChannelError).retry !== "no") throw thrown;
      }
      try {
        const whole = contentOf(draft);
        if (!done) await api.call("chat.update", { ...place, text: whole.text, blocks: whole.blocks, attachments: whole.attachments, metadata, ...draft.native?.["slack"] } as never);
      } catch (thrown) {
        if (saysOf(thrown) !== "message_not_found") throw thrown;
        done = false;
        forget(key, own);
        return undefined;
      }
      forget(key, own);
      // Its key tells the next start that it is finished.
      await keepAfter(context, () => storage.set({ [`${NOTE}${ts}`]: undefined }));
      return ts;
    },
    heard({ at, sender, kind }) {
      if (at.thread === undefined || at.kind !== "group" || sender.bot || (kind !== "message" && kind !== "action")) return;
      const key = `${at.chat}\n${at.thread}`;
      speakers.delete(key);
      speakers.set(key, sender.id);
      if (speakers.size > SPEAKERS) speakers.delete(speakers.keys().next().value as string);
    },
    async tidy() {
      for (const [key, value] of await storage.list(NOTE)) {
        const ts = key.slice(NOTE.length);
        if ([...open.values()].some((own) => own.ts === ts)) continue;
        const { chat, thread } = value as Note;
        let found: SlackMessage[] | undefined;
        try {
          found = (await api.call("conversations.replies", { channel: chat, ts: thread, oldest: ts, latest: ts, inclusive: true, include_all_metadata: true, limit: 10 })).messages as SlackMessage[] | undefined;
        } catch (error) {
          // Not known now: the next start looks again. What Slack will never tell is not asked for ever.
          if (asClawError(error, "CONN_001", "later").retry === "later") continue;
        }
        const message = found?.find((each) => each.ts === ts);
        // With a key it was finished before the process ended.
        if (message !== undefined && keyIn(message) === undefined) await erase(chat, ts);
        else await storage.set({ [key]: undefined });
      }
    },
    close() {
      for (const own of open.values()) own.cancel();
      open.clear();
    },
  };

  function forget(key: string, own: Open): void {
    own.cancel();
    open.delete(key);
  }
}

/** A stream takes Markdown as it is; what would ring everybody is broken up. */
function calm(text: string): string {
  return text.replace(/<!/g, "<\u2060!").replace(/@(?=(?:here|channel|everyone|group)\b)/g, "@\u2060");
}
