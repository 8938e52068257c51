/** A live Slack account: Socket Mode or the Events API to listen, the Web API to speak. */
import type { Account, ChannelContext, Connection } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { text } from "../setting-text.ts";
import { type Api, createApi } from "./api.ts";
import { createGap } from "./gap.ts";
import { DEFAULT_API_URL } from "./limits.ts";
import { createNames } from "./names.ts";
import { openSocket, type Socket } from "./socket.ts";
import { createStreams } from "./stream.ts";
import { createRouter, createTake } from "./take.ts";
import { talk } from "./talk.ts";
import { createTriggers } from "./triggers.ts";
import { createWebhook } from "./webhook.ts";
import { register } from "./workspaces.ts";

/** Says who the bot is. Disturbs nobody: opens no socket. */
export async function identify(account: Account, context: ChannelContext): Promise<Connection["self"]> {
  const me = await meAt(await apiOf(account, context, context.signal));
  return { id: me.userId, name: me.name };
}

function secretsOf(account: Account): string[] {
  return ["token", "key", "secret", "proxy"].map((key) => text(account, key)).filter((secret) => secret !== "");
}
function apiUrlOf(account: Account): string {
  return `${(text(account, "apiUrl") || DEFAULT_API_URL).replace(/\/+$/, "")}/`;
}
function apiOf(account: Account, context: ChannelContext, signal: AbortSignal): Promise<Api> {
  return createApi({ token: text(account, "token"), apiUrl: apiUrlOf(account), secrets: secretsOf(account), context, signal });
}

interface Me { readonly userId: string; readonly botId?: string; readonly teamId: string; readonly name: string; /** An app installed in the whole enterprise: every workspace of it is this account's. */ readonly everywhere?: string }
async function meAt(api: Api): Promise<Me> {
  const { user_id, bot_id, team_id, user, enterprise_id, is_enterprise_install } = await api.call("auth.test", {});
  if (user_id === undefined || (team_id === undefined && enterprise_id === undefined)) throw new ChannelError("CONN_001", { retry: "later" }, "Expected Slack to say who the bot is, got nothing.");
  return {
    userId: user_id, teamId: team_id ?? (enterprise_id as string), name: `@${user ?? user_id}`,
    ...(bot_id === undefined ? {} : { botId: bot_id }),
    ...(is_enterprise_install === true && enterprise_id !== undefined ? { everywhere: enterprise_id } : {}),
  };
}

/** Tries the credentials, then receives. The settings were checked. */
export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  const secrets = secretsOf(account);
  const token = text(account, "token");
  context.status("connecting");
  const api = await apiOf(account, context, signal);
  const me = await meAt(api);
  const triggers = createTriggers(context.clock);
  const streams = createStreams(api, me.teamId, context);
  const heard: ChannelContext = { ...context, async receive(message) { streams.heard(message); return context.receive(message); } };
  const self = { account: account.id, userId: me.userId, teamId: me.teamId, threads: account.settings["threads"] === true, ...(me.botId === undefined ? {} : { botId: me.botId }) };
  const take = createTake({ account, context: heard, self, names: createNames(api, context), triggers, saved: (body) => gap.saw(body) });
  const gap = createGap(api, context, signal, take, self);

  const bySocket = (text(account, "mode") || "socket") === "socket";
  const app = bySocket ? text(account, "key") : text(account, "secret");
  const leave = register(app, me.everywhere ?? me.teamId, take);
  signal.addEventListener("abort", leave, { once: true });
  const route = createRouter(app, context);
  let socket: Socket | undefined;
  try {
    if (bySocket) socket = await openSocket({ appToken: text(account, "key"), apiUrl: apiUrlOf(account), proxy: text(account, "proxy"), secrets, context, signal, take: route, onLinked: () => void gap.fill() });
    else void gap.fill();
  } catch (thrown) {
    leave();
    own.abort();
    throw thrown;
  }
  const { files, ...methods } = talk({ api, token, secrets, self, triggers, streams, context, signal });
  void Promise.all([streams.tidy(), files.tidy()]).catch((error: Error) => { if (!signal.aborted) context.log("debug", error.message); });
  context.status("connected");
  return {
    self: { id: me.userId, name: me.name },
    ...methods,
    ...(bySocket ? {} : { webhook: createWebhook({ secret: text(account, "secret"), context, signal, take: route }) }),
    async health(abort) { await api.call("auth.test", {}, abort); },
    async close() {
      leave();
      own.abort();
      streams.close();
      await socket?.close();
      await gap.close();
    },
  };
}
