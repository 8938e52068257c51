/** A live Telegram account on grammY's API client: polling with our own offset, or a webhook with a secret. */
import type { Update } from "grammy/types";
import type { Account, ChannelContext, Connection } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { type Bot, createBot } from "./api.ts";
import { DEFAULT_API_ROOT } from "./limits.ts";
import type { Self } from "./origin.ts";
import { poll } from "./poll.ts";
import { openPolls } from "./polls.ts";
import { text } from "../setting-text.ts";
import { talk } from "./talk.ts";
import { ALLOWED_UPDATES, toMessage } from "./to-message.ts";
import { createWebhook, derivedSecret } from "./webhook.ts";
import { withRaw } from "../raw.ts";

const COMMANDS_KEY = "commands";

/** Says who the bot is. Disturbs nobody: neither polls nor touches a webhook. */
export async function identify(account: Account, context: ChannelContext): Promise<Connection["self"]> {
  const bot = await botOf(account, context, context.signal);
  const me = await bot.call("getMe", {}, { seconds: 15 });
  return selfOf(me);
}

function botOf(account: Account, context: ChannelContext, signal: AbortSignal): Promise<Bot> {
  const apiRoot = (text(account, "apiRoot") || DEFAULT_API_ROOT).replace(/\/+$/, "");
  return createBot({ token: text(account, "token"), apiRoot, fetch: context.fetch, clock: context.clock, signal });
}

function selfOf(me: { readonly id: number; readonly username: string }): Connection["self"] {
  return { id: String(me.id), name: `@${me.username}` };
}

/** Tries the credentials, then receives. The settings were checked. */
export async function connect(account: Account, context: ChannelContext): Promise<Connection> {
  const own = new AbortController();
  const signal = AbortSignal.any([context.signal, own.signal]);
  context.status("connecting");
  const bot = await botOf(account, context, signal);
  const me = await bot.call("getMe", {});
  const polls = await openPolls(context.storage);
  const self = { id: String(me.id), username: me.username, account: account.id, polls: polls.of };
  const take = createTake(self, bot, context, account);

  let polling: Promise<void> | undefined;
  let webhook: Connection["webhook"];
  if (account.settings["mode"] === "webhook") {
    if (context.webhookUrl === undefined) throw new ChannelError("CONF_001", {}, "Expected a public https address for the webhook, got none. Set it in the gateway, or choose polling.");
    const secret = text(account, "secret") || derivedSecret(text(account, "token"), account.id);
    await bot.call("setWebhook", { url: context.webhookUrl, secret_token: secret, allowed_updates: ALLOWED_UPDATES });
    webhook = createWebhook({ secret, context, signal, take });
  } else {
    // Telegram refuses getUpdates while a webhook is set. What waits there stays and comes by polling.
    await bot.call("deleteWebhook", {});
    polling = poll({ bot, context, signal, take });
  }
  void setMenu(bot, context).catch((error: Error) => { if (!signal.aborted) context.log("warn", `The menu of commands could not be set: ${error.message}`); });
  context.status("connected");
  return {
    self: selfOf(me),
    ...talk(bot, context, polls),
    ...(webhook === undefined ? {} : { webhook }),
    async health(abort) { await bot.call("getMe", {}, { seconds: 15, signal: abort }); },
    async close() {
      own.abort();
      await polling;
    },
  };
}

/** Saves one update. Rejects when it could not be saved: then it must come again. */
function createTake(self: Omit<Self, "now">, bot: Bot, context: ChannelContext, account: Account): (update: Update) => Promise<void> {
  const map = (update: Update) => {
    try {
      return toMessage(update, { ...self, now: context.clock.now() });
    } catch (error) {
      // Telegram would bring it again for a day, and hold back the chat behind it.
      context.log("warn", `MSG_001: update ${update.update_id} could not be read and is left out: ${(error as Error).message}`);
      return undefined;
    }
  };
  return async (update) => {
    const message = map(update);
    const query = update.callback_query?.id;
    if (message !== undefined) await context.receive(withRaw(account, message, update));
    // Ends the waiting sign on the button. It may be too late for that (a query lives seconds): no harm.
    if (query !== undefined) void bot.call("answerCallbackQuery", { callback_query_id: query }).catch((error: Error) => context.log("debug", error.message));
  };
}

/** Puts the flows' commands into Telegram's menu. A menu made by hand is only replaced when flows have commands. */
async function setMenu(bot: Bot, context: ChannelContext): Promise<void> {
  const commands = context.commands
    .map(({ name, description }) => ({ command: name.toLowerCase(), description: (description || name).slice(0, 256) }))
    .filter(({ command }) => /^[a-z0-9_]{1,32}$/.test(command))
    .slice(0, 100);
  const wanted = JSON.stringify(commands);
  const before = await context.storage.get(COMMANDS_KEY);
  if (wanted === (before ?? "[]")) return;
  if (commands.length === 0) await bot.call("deleteMyCommands", {});
  else await bot.call("setMyCommands", { commands });
  await context.storage.set({ [COMMANDS_KEY]: wanted });
}
