/** What was said while nobody listened, read from the history of the chats the bot knows. Slack brings an event three times within six minutes; this is for what is longer. */
import type { ChannelContext } from "../channel.ts";
import { asClawError } from "../../errors.ts";
import type { Api } from "./api.ts";
import { saysOf } from "./errors.ts";
import type { Envelope, SlackMessage } from "./shapes.ts";
import { pause } from "./socket.ts";
import type { Take } from "./workspaces.ts";

/** The newest message seen in a chat or thread: `seen:<chat>` or `seen:<chat>:<thread>`. It may lag behind: what comes twice is known. */
const PREFIX = "seen:";
const WRITE_MS = 5_000;
/** A message is known for 8 days; older gaps are not looked into. */
const OLD_MS = 7 * 86_400_000;
const PLACES = 60;
const PAGES = 3;

interface Seen { readonly ts: string; readonly type?: string }

export interface Gap {
  /** Notes how far a chat was read. */
  saw(body: unknown): void;
  /** Fetches what is newer than the notes. Never rejects. */
  fill(): Promise<void>;
  close(): Promise<void>;
}

export function createGap(api: Pick<Api, "call">, context: ChannelContext, signal: AbortSignal, take: Take, own: { readonly teamId: string; readonly botId?: string }): Gap {
  const { clock, storage } = context;
  const fresh = new Map<string, Seen>();
  let cancel: (() => void) | undefined;
  let filling: Promise<void> | undefined;

  async function write(): Promise<void> {
    cancel?.();
    cancel = undefined;
    const changes = Object.fromEntries(fresh);
    fresh.clear();
    if (Object.keys(changes).length > 0) await storage.set(changes);
  }
  const later = (): void => { write().catch((error: Error) => context.log("debug", error.message)); };

  async function places(): Promise<[key: string, seen: Seen][]> {
    const all = new Map((await storage.list(PREFIX, { limit: 5_000 })) as [string, Seen][]);
    for (const [key, seen] of fresh) all.set(key, seen);
    const old = [...all].filter(([, { ts }]) => clock.now() - Number(ts) * 1000 > OLD_MS).map(([key]) => key);
    if (old.length > 0) await storage.set(Object.fromEntries(old.map((key) => [key, undefined])));
    return [...all].filter(([key]) => !old.includes(key)).sort(([, a], [, b]) => Number(b.ts) - Number(a.ts)).slice(0, PLACES);
  }

  async function look([key, { ts: oldest, type }]: [string, Seen]): Promise<void> {
    const [channel = "", thread] = key.slice(PREFIX.length).split(":");
    const missed: SlackMessage[] = [];
    let cursor: string | undefined;
    let page = 0;
    for (; page < PAGES; page++) {
      const args = { channel, oldest, inclusive: false, limit: 100, ...(cursor === undefined ? {} : { cursor }) };
      const found = await patiently(() => (thread === undefined ? api.call("conversations.history", args) : api.call("conversations.replies", { ...args, ts: thread })));
      missed.push(...((found.messages ?? []) as SlackMessage[]).filter(({ ts }) => Number(ts) > Number(oldest)));
      cursor = found.response_metadata?.next_cursor || undefined;
      if (cursor === undefined) break;
    }
    if (cursor !== undefined) context.log("warn", `More than ${missed.length} messages were said in ${channel} meanwhile; older ones are left out.`);
    missed.sort((a, b) => Number(a.ts) - Number(b.ts));
    for (const message of missed) {
      if (signal.aborted) return;
      if (message.bot_id !== undefined && message.bot_id === own.botId) continue;
      await patiently(() => take({ type: "event_callback", team_id: own.teamId, event: { ...message, type: "message", channel, event_ts: message.ts, ...(type === undefined ? {} : { channel_type: type }) } }));
    }
  }

  /** Waits as long as it is asked to. What nobody waits for may take its time. */
  async function patiently<T>(act: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await act();
      } catch (thrown) {
        const error = asClawError(thrown, "STORE_001", "later");
        if (signal.aborted || error.code === "CONN_001" || error.retry === "no") throw thrown;
        await pause(clock, signal, error.afterMs ?? 30_000);
      }
    }
  }

  async function fillAll(): Promise<void> {
    for (const place of await places()) {
      if (signal.aborted) return;
      try {
        await look(place);
      } catch (thrown) {
        const error = asClawError(thrown, "CONN_001", "later");
        if (signal.aborted || error.retry !== "no") throw error;
        // Without the scope, or no longer a member: there is nothing to read here.
        context.log("debug", error.message);
        if (saysOf(thrown) !== "missing_scope") await storage.set({ [place[0]]: undefined });
      }
    }
  }

  return {
    saw(body) {
      const { type, event } = body as Envelope;
      if (type !== "event_callback" || (event?.type !== "message" && event?.type !== "app_mention") || typeof event.channel !== "string" || event.ts === undefined || event.hidden === true || event.channel.includes(":")) return;
      const key = event.thread_ts === undefined || event.thread_ts === event.ts ? `${PREFIX}${event.channel}` : `${PREFIX}${event.channel}:${event.thread_ts}`;
      if (Number(event.ts) <= Number(fresh.get(key)?.ts ?? 0)) return;
      fresh.set(key, { ts: event.ts, ...(event.channel_type === undefined ? {} : { type: event.channel_type }) });
      cancel ??= clock.after(WRITE_MS, later);
    },
    fill() {
      filling ??= fillAll().catch((error: Error) => { if (!signal.aborted) context.log("debug", `What was missed could not be read: ${error.message}`); }).finally(() => { filling = undefined; });
      return filling;
    },
    async close() {
      await filling;
      await write();
    },
  };
}
