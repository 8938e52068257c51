/** Messages that were written while nobody listened, read by REST: in every channel where something is newer than the mark, oldest first, never without end. */
import type { APIMessage, GatewayDispatchPayload } from "discord.js";
import type { ChannelContext } from "../channel.ts";
import { asClawError, type ClawError } from "../../errors.ts";
import { backoffMs } from "../../life.ts";
import { isSnowflake } from "./limits.ts";
import type { Lanes } from "./lanes.ts";
import type { Api } from "./rest.ts";
import type { Water } from "./water.ts";

/** Pages of 100 messages per channel, and direct chats that are asked after a gap. A direct chat is listed nowhere: it is known from its last message. */
const PAGES = 5;
const PAGE = 100;
const DIRECT_CHATS = 100;
const TRIES = 5;
const DIRECT = "direct:";

export interface GapOptions {
  readonly api: Api;
  readonly context: Pick<ChannelContext, "storage" | "log" | "clock">;
  readonly lanes: Lanes;
  readonly water: Water;
  readonly signal: AbortSignal;
  /** Reads and saves one message as if the gateway had brought it. False: the account closed before. */
  take(message: APIMessage & { guild_id?: string; member?: unknown }): Promise<boolean>;
}
export interface Gap {
  /** A session began anew: what came since the mark may be missing. */
  begin(): Promise<void>;
  /** A server of the new session, with its channels and threads. */
  guild(data: GatewayDispatchPayload["d"]): void;
  /** Reads one channel from an id on. */
  fill(channel: string, guild: string | undefined, after: bigint): void;
  /** A direct chat was seen. */
  direct(channel: string): void;
}

export function createGap({ api, context, lanes, water, signal, take }: GapOptions): Gap {
  const known = new Set<string>();
  let since = 0n;
  let loaded = false;

  function fill(channel: string, guild: string | undefined, after: bigint): void {
    // The mark stays below the gap until it is filled.
    const release = water.hold(after + 1n);
    const pushed = lanes.push(channel, async () => { if (await read(channel, guild, after)) release(); }, { name: "gap", act() { release(); fill(channel, guild, after); } });
    // Then a gap that began earlier is waiting for room.
    if (pushed === "none") release();
  }

  /** True: all of it is on disk, or cannot be had. */
  async function read(channel: string, guild: string | undefined, from: bigint): Promise<boolean> {
    let after = from;
    const members = new Map<string, Promise<unknown>>();
    for (let page = 0; page < PAGES && !signal.aborted; page++) {
      const found = await patiently(() => api.call<APIMessage[]>("GET", `/channels/${channel}/messages`, { query: { after: after.toString(), limit: String(PAGE) } }));
      if (found === undefined) return !signal.aborted;
      const sorted = found.filter(({ id }) => isSnowflake(id)).sort((a, b) => (BigInt(a.id) < BigInt(b.id) ? -1 : 1));
      for (const message of sorted) {
        const member = guild === undefined || message.webhook_id !== undefined ? undefined : await memberOf(guild, message.author?.id, members);
        if (!(await take({ ...message, ...(guild === undefined ? {} : { guild_id: guild }), ...(member === undefined ? {} : { member }) }))) return false;
      }
      const last = sorted.at(-1);
      if (last === undefined || found.length < PAGE) return true;
      after = BigInt(last.id);
    }
    if (!signal.aborted) context.log("warn", `More than ${PAGES * PAGE} messages came into channel ${channel} while the account was away; the newer ones are left out.`);
    return !signal.aborted;
  }

  /** Messages by REST come without the membership of their author; rules ask for roles. */
  function memberOf(guild: string, user: string | undefined, members: Map<string, Promise<unknown>>): Promise<unknown> {
    if (!isSnowflake(user)) return Promise.resolve(undefined);
    const found = members.get(user) ?? api.call("GET", `/guilds/${guild}/members/${user}`).catch(() => undefined);
    members.set(user, found);
    return found;
  }

  /** Undefined: Discord does not give it. */
  async function patiently<T>(act: () => Promise<T>): Promise<T | undefined> {
    for (let tries = 1; !signal.aborted; tries++) {
      try {
        return await act();
      } catch (thrown) {
        const error: ClawError = asClawError(thrown, "CONN_001", "later");
        if (error.retry === "no" || tries >= TRIES) {
          context.log("debug", `A gap could not be filled: ${error.message}`);
          return undefined;
        }
        await lanes.pause(error.afterMs ?? backoffMs(tries, (context.clock.now() % 1000) / 1000));
      }
    }
    return undefined;
  }

  return {
    fill,
    async begin() {
      since = water.mark();
      // Until the direct chats are named, the mark may not pass them.
      const release = water.hold(since + 1n);
      const chats = await context.storage.list(DIRECT, { limit: DIRECT_CHATS, last: true });
      loaded = true;
      for (const [key] of chats) {
        known.add(key.slice(DIRECT.length));
        fill(key.slice(DIRECT.length), undefined, since);
      }
      release();
    },
    guild(data) {
      const { id, channels = [], threads = [], joined_at } = data as unknown as { id: string; joined_at?: string; channels?: { id: string; last_message_id?: string | null }[]; threads?: { id: string; last_message_id?: string | null }[] };
      // What was said before the bot came is no gap.
      const joined = typeof joined_at === "string" ? BigInt(Math.max(0, Date.parse(joined_at) - 1_420_070_400_000) || 0) << 22n : 0n;
      const from = joined > since ? joined : since;
      for (const channel of [...channels, ...threads]) if (isSnowflake(channel?.id) && isSnowflake(channel.last_message_id) && BigInt(channel.last_message_id) > from) fill(channel.id, id, from);
    },
    direct(channel) {
      if (known.has(channel)) return;
      known.add(channel);
      // Written before the list was read: it only writes the same again.
      context.storage.set({ [DIRECT + channel]: true }).catch((error: Error) => { known.delete(channel); context.log("debug", error.message); });
      // A chat that is new to us may have begun in the gap.
      if (loaded && since > 0n) fill(channel, undefined, since);
    },
  };
}
