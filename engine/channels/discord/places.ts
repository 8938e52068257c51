/** What the gateway told about servers, channels and people: just what reading a message needs. Bounded, so that memory does not grow. */
import type { GatewayDispatchPayload } from "discord.js";
import { isSnowflake, THREADS } from "./limits.ts";

export interface Place {
  readonly type: number;
  readonly guild?: string;
  /** Of a thread: the channel it is in. */
  readonly parent?: string;
}
export interface Person { readonly name: string; readonly handle?: string; readonly bot: boolean }

/** What to-message.ts asks. */
export interface Known {
  channel(id: string): Place | undefined;
  /** Names of roles, as far as they are known. */
  roleName(guild: string, role: string): string | undefined;
  /** The role that Discord made for this bot in a server. */
  ownRole(guild: string): string | undefined;
  /** Where Discord itself announces who joined. */
  systemChannel(guild: string): string | undefined;
  person(id: string): Person | undefined;
  /** Who wrote a message. Discord tells of a deletion only which one is gone. */
  author(message: string): string | undefined;
}
export interface Places extends Known {
  /** Learns from an event of the gateway. */
  learn(event: GatewayDispatchPayload): void;
  remember(id: string, place: Place): void;
  met(id: string, person: Person): void;
  wrote(message: string, author: string): void;
}

const MOST_CHANNELS = 50_000;
const MOST_PEOPLE = 2_000;
const MOST_MESSAGES = 10_000;

/** The oldest goes when there are too many. */
function bounded<T>(most: number): { get(id: string): T | undefined; set(id: string, value: T): void; delete(id: string): void } {
  const entries = new Map<string, T>();
  return {
    get: (id) => entries.get(id),
    set(id, value) {
      entries.delete(id);
      entries.set(id, value);
      if (entries.size > most) entries.delete(entries.keys().next().value as string);
    },
    delete: (id) => { entries.delete(id); },
  };
}

interface RoleLike { readonly id?: unknown; readonly name?: unknown; readonly tags?: { readonly bot_id?: unknown } }
interface ChannelLike { readonly id?: unknown; readonly type?: unknown; readonly guild_id?: unknown; readonly parent_id?: unknown }
interface GuildLike { readonly id?: unknown; readonly system_channel_id?: unknown; readonly roles?: readonly RoleLike[]; readonly channels?: readonly ChannelLike[]; readonly threads?: readonly ChannelLike[] }

/** `self`: id of the bot. */
export function createPlaces(self: string): Places {
  const guilds = new Map<string, { readonly roles: Map<string, string>; system?: string; own?: string }>();
  const channels = bounded<Place>(MOST_CHANNELS);
  const people = bounded<Person>(MOST_PEOPLE);
  const authors = bounded<string>(MOST_MESSAGES);
  const guild = (id: string) => {
    const found = guilds.get(id) ?? { roles: new Map<string, string>() };
    guilds.set(id, found);
    return found;
  };

  function channel(value: ChannelLike | undefined, guildId?: string): void {
    if (!isSnowflake(value?.id) || typeof value.type !== "number") return;
    const own = isSnowflake(value.guild_id) ? value.guild_id : guildId;
    channels.set(value.id, { type: value.type, ...(own === undefined ? {} : { guild: own }), ...(THREADS.has(value.type) && isSnowflake(value.parent_id) ? { parent: value.parent_id } : {}) });
  }
  function role(guildId: string, value: RoleLike | undefined): void {
    if (!isSnowflake(value?.id) || typeof value.name !== "string") return;
    guild(guildId).roles.set(value.id, value.name);
    if (value.tags?.bot_id === self) guild(guildId).own = value.id;
  }
  function whole(value: GuildLike): void {
    if (!isSnowflake(value.id)) return;
    const { id } = value;
    if (isSnowflake(value.system_channel_id)) guild(id).system = value.system_channel_id;
    for (const each of value.roles ?? []) role(id, each);
    for (const each of [...(value.channels ?? []), ...(value.threads ?? [])]) channel(each, id);
  }

  return {
    learn(event) {
      const data = event.d as unknown as GuildLike & ChannelLike & { role?: RoleLike; role_id?: string; threads?: ChannelLike[]; unavailable?: boolean };
      switch (event.t as string) {
        case "GUILD_CREATE": case "GUILD_UPDATE": return whole(data);
        case "GUILD_DELETE":
          if (data.unavailable !== true && isSnowflake(data.id)) guilds.delete(data.id);
          return;
        case "GUILD_ROLE_CREATE": case "GUILD_ROLE_UPDATE":
          if (isSnowflake(data.guild_id)) role(data.guild_id, data.role);
          return;
        case "GUILD_ROLE_DELETE":
          if (isSnowflake(data.guild_id)) guilds.get(data.guild_id)?.roles.delete(String(data.role_id));
          return;
        case "CHANNEL_CREATE": case "CHANNEL_UPDATE": case "THREAD_CREATE": case "THREAD_UPDATE": return channel(data);
        case "CHANNEL_DELETE": case "THREAD_DELETE":
          if (isSnowflake(data.id)) channels.delete(data.id);
          return;
        case "THREAD_LIST_SYNC":
          for (const each of data.threads ?? []) channel(each, isSnowflake(data.guild_id) ? data.guild_id : undefined);
      }
    },
    remember: (id, place) => channels.set(id, place),
    met: (id, person) => people.set(id, person),
    wrote: (message, author) => authors.set(message, author),
    channel: (id) => channels.get(id),
    roleName: (id, roleId) => guilds.get(id)?.roles.get(roleId),
    ownRole: (id) => guilds.get(id)?.own,
    systemChannel: (id) => guilds.get(id)?.system,
    person: (id) => people.get(id),
    author: (message) => authors.get(message),
  };
}
