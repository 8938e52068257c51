/** Notices when bots answer each other: so many messages of bots in a row without a person's, and the chat rests for a while. */
import type { Message } from "./message.ts";
import type { Pauses } from "./pauses.ts";

export interface BotGuardOptions {
  /** Asked each time. `turns` 0: nobody looks. */
  limits(): { readonly turns: number; readonly pauseMs: number };
  now(): number;
  readonly pauses: Pauses;
  /** A chat was paused by this message. */
  onLoop(message: Message, turns: number, until: number): void;
}

/** Chats of which it is known how many bots spoke last. */
const KEPT = 10_000;

/** To be told of every message before it is saved. Counts are not kept over a restart: they are there again soon. A pause is. */
export function createBotGuard({ limits, now, pauses, onLoop }: BotGuardOptions): { saw(message: Message): Promise<void> } {
  const counts = new Map<string, number>();
  return {
    async saw(message) {
      if (message.kind !== "message") return;
      const { at, sender } = message;
      const key = `${at.channel}\n${at.account}\n${at.chat}`;
      const { turns, pauseMs } = limits();
      if (!sender.bot) {
        counts.delete(key);
        if (pauses.of(at)?.why === "bots") await pauses.resume(at);
        return;
      }
      const count = (counts.get(key) ?? 0) + 1;
      counts.delete(key);
      counts.set(key, count);
      if (counts.size > KEPT) counts.delete(counts.keys().next().value as string);
      if (turns <= 0 || count < turns || pauses.of(at) !== undefined) return;
      const until = now() + pauseMs;
      await pauses.pause(at, { by: "loop guard", why: "bots", until });
      onLoop(message, count, until);
    },
  };
}
