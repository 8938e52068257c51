/**
 * Where a platform offers nothing against a doubled message, what a crash meets between handing one over and recording the answer comes twice. So only
 * one such message is in that window at a time, over all chats and accounts: a crash then doubles one, not one in each chat. A platform that is slow
 * to answer holds up the next for `SLOW_MS`; and where `MOST_WAITING` wait, it is a burst: all go side by side until none has begun for so long.
 */
import type { Channel, Connection } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";

export const SLOW_MS = 1_000;
export const MOST_WAITING = 8;

/** No key against a second copy, and no way to ask whether the first is there: class C. */
export function offersNothing(channel: Channel, connection: Connection): boolean {
  return channel.delivery.keyMs === undefined && connection.find === undefined;
}

export interface Turns {
  /** Takes the window under this key until `leave`; a key that has it may enter again. Where it is taken: false, and `again` is called when it is worth another try. */
  enter(key: string, again?: () => void): boolean;
  /** It is recorded, or not sent for now: neither inside nor waiting. */
  leave(key: string): void;
  /** Does this in its turn. */
  during<T>(key: string, act: () => Promise<T>): Promise<T>;
  /** Nobody is called again. */
  close(): void;
}

interface Waiter { readonly again: () => void; readonly cancel: () => void }

export function createTurns(clock: Clock): Turns {
  const inside = new Set<string>();
  /** Monotonic milliseconds when the last went in. */
  let entered = 0;
  let burst = false;
  /** In the order in which they came. */
  const waiting = new Map<string, Waiter>();

  function forget(key: string): void {
    waiting.get(key)?.cancel();
    waiting.delete(key);
  }
  const turns: Turns = {
    enter(key, again) {
      if (inside.has(key)) return true;
      const waitMs = entered + SLOW_MS - clock.monotonic();
      if (inside.size === 0 && waitMs <= 0) burst = false;
      if (!waiting.has(key) && waiting.size >= MOST_WAITING) burst = true;
      if (inside.size === 0 || waitMs <= 0 || burst) {
        forget(key);
        inside.add(key);
        entered = clock.monotonic();
        if (burst) for (const { again: next } of waiting.values()) next();
        return true;
      }
      if (again === undefined) return false;
      waiting.get(key)?.cancel();
      waiting.set(key, { again, cancel: clock.after(waitMs, again) });
      return false;
    },
    leave(key) {
      forget(key);
      if (!inside.delete(key) || inside.size > 0) return;
      for (const { again } of waiting.values()) {
        again();
        if (inside.size > 0) return;
      }
    },
    async during(key, act) {
      await new Promise<void>((resolve) => {
        const again = (): void => { if (turns.enter(key, again)) resolve(); };
        again();
      });
      try {
        return await act();
      } finally {
        turns.leave(key);
      }
    },
    close() { for (const key of [...waiting.keys()]) forget(key); },
  };
  return turns;
}
