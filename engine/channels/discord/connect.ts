/** A live Discord account: events by the gateway, or interactions alone by HTTP; all that is said by REST. */
import type { APIApplication, APIInteraction, APIUser, GatewayDispatchPayload } from "discord.js";
import type { Account, ChannelContext, Connection } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { Message } from "../../message.ts";
import { parseMessage } from "../../message-schema.ts";
import { register } from "./commands.ts";
import { modalOf } from "./components.ts";
import { AUTOCOMPLETE, type AnyInteraction, COMPONENT } from "./from-interaction.ts";
import { createGap } from "./gap.ts";
import { type Gateway, openGateway } from "./gateway.ts";
import { CALLBACK, createInteractions, type FirstAnswer } from "./interactions.ts";
import { createLanes } from "./lanes.ts";
import { DEFAULT_API_ROOT, isSnowflake, THREADS } from "./limits.ts";
import { createPlaces } from "./places.ts";
import type { Relay } from "./relay.ts";
import { type Api, createApi } from "./rest.ts";
import { text } from "../setting-text.ts";
import { guildsOf } from "./guilds.ts";
import { createTalk, formOf } from "./talk.ts";
import { type Self, toMessages } from "./to-message.ts";
import { createWater } from "./water.ts";
import { createWebhook } from "./webhook.ts";
import { withRaw } from "../raw.ts";

/** Bits of the gateway's intents (docs, "List of Intents"); the two last are privileged. */
const INTENTS = { guilds: 1 << 0, messages: 1 << 9, reactions: 1 << 10, directMessages: 1 << 12, directReactions: 1 << 13, polls: 1 << 24, directPolls: 1 << 25, content: 1 << 15, members: 1 << 1 } as const;
/** Flags of an application that say a privileged intent is granted: to a verified bot, to a small one (docs, "Application Flags"). */
const GRANTED = { content: (1 << 18) | (1 << 19), members: (1 << 14) | (1 << 15) } as const;

const wants = (account: Account, key: "content" | "members"): boolean => (key === "content" ? account.settings[key] !== false : account.settings[key] === true);
const isGateway = (account: Account): boolean => account.settings["mode"] !== "webhook";

function intentsOf(account: Account): number {
  const { content, members, ...always } = INTENTS;
  return Object.values(always).reduce((sum, bit) => sum | bit, 0) | (wants(account, "content") ? content : 0) | (wants(account, "members") ? members : 0);
}

const rootOf = (account: Account): string => (text(account, "apiRoot") || DEFAULT_API_ROOT).replace(/\/+$/, "");
function apiOf(account: Account, context: ChannelContext, signal: AbortSignal): Api {
  return createApi({ token: text(account, "token"), apiRoot: rootOf(account), fetch: context.fetch, clock: context.clock, signal });
}

/** Says who the bot is, and whether it has the intents it is set to use. Disturbs nobody. */
export async function identify(account: Account, context: ChannelContext): Promise<Connection["self"]> {
  const api = apiOf(account, context, context.signal);
  try {
    const me = await api.call<APIUser>("GET", "/users/@me", { seconds: 15 });
    if (isGateway(account)) {
      const { flags = 0 } = await api.call<APIApplication>("GET", "/applications/@me", { seconds: 15 });
      const missing = (["content", "members"] as const).filter((key) => wants(account, key) && (flags & GRANTED[key]) === 0);
      const names = { content: "Message Content Intent", members: "Server Members Intent" };
      if (missing.length > 0) throw new ChannelError("CONF_001", {}, `The bot "${me.username}" has no ${missing.map((key) => names[key]).join(" and no ")}. Switch it on in the developer portal under Bot, or off in this account.`);
    }
    return { id: me.id, name: me.username };
  } finally {
    api.close();
  }
}

/** Tries the credentials, then receives. The settings were checked. */
export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  context.status("connecting");
  const api = apiOf(account, context, signal);
  let gateway: Gateway | undefined;
  let relay: Relay | undefined;
  let ending: Promise<void> | undefined;
  const water = createWater(context);
  const lanes = createLanes(context, signal);
  const interactions = createInteractions({ api, context });
  const end = (): Promise<void> => (ending ??= (async () => {
    own.abort();
    interactions.close();
    await gateway?.close();
    await relay?.close();
    await lanes.settled();
    water.close();
    if (isGateway(account)) await water.flush().catch((error: Error) => context.log("debug", error.message));
    api.close();
  })());
  signal.addEventListener("abort", () => void end(), { once: true });

  try {
    const me = await api.call<APIUser>("GET", "/users/@me");
    const places = createPlaces(me.id);
    const selfFor = (event: string): Self => ({ id: me.id, account: account.id, now: context.clock.now(), event, members: wants(account, "members"), known: places });
    const read = createReader(account, context, selfFor);
    await interactions.load();

    /** Saves an interaction, and sees to its first answer. */
    async function interact(interaction: APIInteraction): Promise<void> {
      const any = interaction as unknown as AnyInteraction;
      const respond = (answer: FirstAnswer): Promise<void> => api.call("POST", `/interactions/${any.id}/${any.token}/callback`, { body: answer, auth: false, seconds: 3 });
      if (any.type === AUTOCOMPLETE) return respond({ type: CALLBACK.choices, data: { choices: [] } });
      const form = any.type === COMPONENT ? await formOf(any.data?.custom_id, context) : undefined;
      if (form !== undefined) return respond({ type: CALLBACK.modal, data: modalOf(form) });
      const [message] = read({ t: "INTERACTION_CREATE", d: interaction } as unknown as GatewayDispatchPayload, any.id);
      if (message === undefined) return;
      const held = interactions.begin(any, message.at, message.sender.id, respond);
      const received = await context.receive(message).catch((error: unknown) => { interactions.drop(held); throw error; });
      if (received !== "refused") return interactions.saved(held);
      interactions.drop(held);
      // A button that does nothing is no error to who pressed it.
      if (any.type === COMPONENT) await respond({ type: CALLBACK.nothing });
    }

    let asked: Promise<APIApplication> | undefined;
    const application = (): Promise<APIApplication> => (asked ??= api.call<APIApplication>("GET", "/applications/@me"));
    let webhook: Connection["webhook"];
    if (isGateway(account)) {
      await water.load();
      const receive = createReceive({ api, context, lanes, water, signal, places, read, interact });
      if (text(account, "proxy") !== "") relay = await (await import("./relay.ts")).openRelay(text(account, "proxy"), context.log);
      gateway = await openGateway({ ...(relay === undefined ? {} : { via: relay.via }), api, token: text(account, "token"), intents: intentsOf(account), clock: context.clock, log: context.log, signal, onEvent: receive, onState: context.status });
      if (signal.aborted) await gateway.close();
    } else {
      const publicKey = text(account, "verify") || (await application()).verify_key;
      webhook = createWebhook({ publicKey, context, signal, take: interact });
    }
    void commandsOf(api, account, context, application).catch((error: Error) => { if (!signal.aborted) context.log("warn", `The commands could not be registered: ${error.message}`); });
    context.status("connected");
    return {
      self: { id: me.id, name: me.username },
      ...createTalk({ api, context, places, interactions, self: me.id, apiRoot: rootOf(account) }),
      // The gateway's heartbeats show by themselves whether it is alive.
      ...(webhook === undefined ? {} : { webhook, async health(abort: AbortSignal) { await api.call("GET", "/users/@me", { seconds: 15, signal: abort }); } }),
      close: end,
    };
  } catch (thrown) {
    await end();
    throw thrown;
  }
}

/** The application's id is asked for only where there is something to register or to take back. */
async function commandsOf(api: Api, account: Account, context: ChannelContext, application: () => Promise<APIApplication>): Promise<void> {
  if (context.commands.length === 0 && (await context.storage.get("commands")) === undefined) return;
  const { id } = await application();
  await register(api, id, guildsOf(account), context);
}

/** An interaction is answered by its token. */
const SECRETS: ReadonlySet<string> = new Set(["token"]);

/** Events to Messages. What cannot be read is logged and left out: it would never become readable. */
function createReader(account: Account, context: ChannelContext, selfFor: (event: string) => Self): (event: GatewayDispatchPayload, id: string) => Message[] {
  return (event, id) => {
    try {
      // Discord's word for it that its fields are what they should be is not enough: what is on disk must be readable for ever.
      const messages = toMessages(event, selfFor(id)).map((message) => parseMessage(message));
      return messages.map((message) => withRaw(account, message, event.d, SECRETS));
    } catch (error) {
      context.log("warn", `MSG_001: an event ${event.t} could not be read and is left out: ${(error as Error).message}`);
      return [];
    }
  };
}

interface ReceiveOptions {
  readonly api: Api;
  readonly context: ChannelContext;
  readonly lanes: ReturnType<typeof createLanes>;
  readonly water: ReturnType<typeof createWater>;
  readonly signal: AbortSignal;
  readonly places: ReturnType<typeof createPlaces>;
  readonly read: (event: GatewayDispatchPayload, id: string) => Message[];
  readonly interact: (interaction: APIInteraction) => Promise<void>;
}
type Brought = { id: string; channel_id: string; guild_id?: string; channel_type?: number; author?: Partial<APIUser> & { id: string } };

/** Takes the gateway's events: into their lanes, or at once where Discord waits. */
function createReceive({ api, context, lanes, water, signal, places, read, interact }: ReceiveOptions): (event: GatewayDispatchPayload, id: string) => void {
  const gap = createGap({ api, context, lanes, water, signal, take: (message) => take({ t: "MESSAGE_CREATE", d: message } as unknown as GatewayDispatchPayload, "") });

  /** Whether a channel is a thread is not in a message: where the gateway has not told it, it is asked for. */
  async function locate({ channel_id: channel, guild_id: guild, channel_type: type }: Brought): Promise<void> {
    if (guild === undefined || !isSnowflake(channel) || places.channel(channel) !== undefined || (type !== undefined && !THREADS.has(type))) return;
    for (let tries = 0; tries < 3 && !signal.aborted; tries++) {
      try {
        const found = await api.call<{ type: number; parent_id?: string | null }>("GET", `/channels/${channel}`);
        return places.remember(channel, { type: found.type, guild, ...(THREADS.has(found.type) && isSnowflake(found.parent_id) ? { parent: found.parent_id } : {}) });
      } catch (thrown) {
        if (!(thrown instanceof ChannelError) || thrown.retry === "no") return;
        await lanes.pause(thrown.afterMs ?? 1_000);
      }
    }
  }

  async function take(event: GatewayDispatchPayload, id: string): Promise<boolean> {
    const data = event.d as unknown as Brought;
    note(data, event);
    await locate(data);
    for (const message of read(event, id)) if (!(await lanes.save(message))) return false;
    return !signal.aborted;
  }

  function note({ id, author }: Brought, event: GatewayDispatchPayload): void {
    if (event.t !== "MESSAGE_CREATE" || !isSnowflake(author?.id) || !isSnowflake(id)) return;
    places.wrote(id, author.id);
    const name = (event.d as { member?: { nick?: string | null } }).member?.nick ?? author.global_name ?? author.username;
    if (typeof name === "string") places.met(author.id, { name, bot: author.bot === true, ...(typeof author.username === "string" ? { handle: author.username } : {}) });
  }

  function message(event: GatewayDispatchPayload, id: string, data: Brought): void {
    if (data.guild_id === undefined && isSnowflake(data.channel_id)) gap.direct(data.channel_id);
    const release = isSnowflake(data.id) ? water.hold(BigInt(data.id)) : () => undefined;
    const pushed = lanes.push(data.channel_id, async () => { if (await take(event, id)) release(); }, {
      name: "live",
      act() { release(); gap.fill(data.channel_id, data.guild_id, BigInt(data.id) - 1n); },
    });
    if (pushed === "none") release();
  }

  return (event, id) => {
    try {
      places.learn(event);
      const data = event.d as unknown as Brought;
      switch (event.t as string) {
        case "READY": return void gap.begin().catch((error: Error) => context.log("warn", `The gap could not be looked for: ${error.message}`));
        case "GUILD_CREATE": return gap.guild(event.d);
        case "MESSAGE_CREATE": return message(event, id, data);
        case "INTERACTION_CREATE": return void interact(event.d as unknown as APIInteraction).catch((error: Error) => context.log("warn", `An interaction could not be taken: ${error.message}`));
        case "MESSAGE_UPDATE": case "MESSAGE_DELETE": case "MESSAGE_DELETE_BULK": case "MESSAGE_REACTION_ADD": case "MESSAGE_REACTION_REMOVE": case "MESSAGE_POLL_VOTE_ADD": case "MESSAGE_POLL_VOTE_REMOVE": case "GUILD_MEMBER_ADD": case "GUILD_MEMBER_REMOVE":
          lanes.push(data.channel_id ?? data.guild_id ?? "", async () => { await take(event, id); });
      }
    } catch (error) {
      context.log("warn", `MSG_001: an event ${event.t} could not be read and is left out: ${(error as Error).message}`);
    }
  };
}
