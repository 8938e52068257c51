/** Our own getUpdates loop: an update is confirmed to Telegram only after it is on disk. */
import type { Update } from "grammy/types";
import type { ChannelContext } from "../channel.ts";
import { asClawError, type ClawError } from "../../errors.ts";
import { backoffMs } from "../../life.ts";
import type { Bot } from "./api.ts";
import { ALLOWED_UPDATES } from "./to-message.ts";

/** Seconds Telegram holds an empty answer, and seconds until a silent link counts as dead. */
const HOLD_SECONDS = 30;
const DEAD_SECONDS = 45;

export interface PollOptions {
  readonly bot: Bot;
  readonly context: Pick<ChannelContext, "clock" | "status" | "log">;
  readonly signal: AbortSignal;
  /** Resolves when the update is on disk. */
  take(update: Update): Promise<void>;
}

/** Runs until the signal aborts or the token is refused; never throws. */
export async function poll({ bot, context, signal, take }: PollOptions): Promise<void> {
  const { clock } = context;
  let offset: number | undefined;
  let failures = 0;
  while (!signal.aborted) {
    let stuck: { update: Update; error: ClawError } | undefined;
    try {
      // After a failure the next answer comes at once: it says that the link is back.
      const updates = await bot.call("getUpdates", { ...(offset === undefined ? {} : { offset }), timeout: failures === 0 ? HOLD_SECONDS : 0, allowed_updates: ALLOWED_UPDATES }, { seconds: DEAD_SECONDS });
      stuck = await takeAll(updates, take);
      if (stuck === undefined) {
        if (failures > 0) context.status("connected");
        failures = 0;
      }
      // Asking for an id confirms all below it. Not the highest seen: after a week of silence Telegram starts anew at a random id.
      offset = stuck?.update.update_id ?? (updates.length === 0 ? offset : (updates.at(-1) as Update).update_id + 1);
    } catch (thrown) {
      if (signal.aborted) return;
      const error = asClawError(thrown, "CONN_001", "later");
      failures += 1;
      context.status(error.code === "CONN_001" || error.code === "CONN_003" ? "reconnecting" : "error", error);
      // A refused token stays refused until somebody changes it.
      if (error.code === "CONN_002") return;
      await pause(Math.max(error.afterMs ?? 0, backoffMs(failures, (clock.now() % 1000) / 1000)));
    }
    if (stuck !== undefined) {
      failures += 1;
      context.status("error", stuck.error);
      await pause(stuck.error.afterMs ?? backoffMs(failures, (clock.now() % 1000) / 1000));
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(ms, done);
      signal.addEventListener("abort", done, { once: true });
      function done(): void {
        cancel();
        signal.removeEventListener("abort", done);
        resolve();
      }
      if (signal.aborted) done();
    });
  }
}

/** Chats side by side, each in its order. Resolves to the first update that could not be saved: what is after it comes again, and is then known. */
async function takeAll(updates: readonly Update[], take: (update: Update) => Promise<void>): Promise<{ update: Update; error: ClawError } | undefined> {
  const stuck: { update: Update; error: ClawError }[] = [];
  const chats = Map.groupBy(updates, chatOf);
  await Promise.all([...chats.values()].map(async (own) => {
    for (const update of own) {
      try {
        await take(update);
      } catch (thrown) {
        stuck.push({ update, error: asClawError(thrown, "STORE_001", "later") });
        return;
      }
    }
  }));
  return stuck.sort((a, b) => updates.indexOf(a.update) - updates.indexOf(b.update))[0];
}

function chatOf(update: Update): number {
  const message = update.message ?? update.edited_message ?? update.channel_post ?? update.edited_channel_post ?? update.callback_query?.message ?? update.message_reaction ?? update.my_chat_member ?? update.chat_member ?? update.chat_join_request;
  // What comes from outside may lack anything.
  return message?.chat?.id ?? update.inline_query?.from?.id ?? 0;
}
