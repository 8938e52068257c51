/**
 * Where a platform offers nothing against a doubled message, what a crash meets between handing one over and recording the answer comes twice. So only
 * one such message is in that window at a time, over all chats and accounts: a crash then doubles one, not one in each chat. Who has waited for
 * `PATIENCE_MS` goes beside it: a platform that is slow to answer holds up others for so long and no longer, and a burst goes out as it came.
 */
import type { Channel, Connection } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";

export const PATIENCE_MS = 500;

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

export function createTurns(clock: Clock): Turns {
  const inside = new Set<string>();
  /** In the order in which they came. */
  const waiting = new Map<string, { readonly since: number; readonly cancel: () => void; readonly again: () => void }>();

  function forget(key: string): void {
    waiting.get(key)?.cancel();
    waiting.delete(key);
  }
  const turns: Turns = {
    enter(key, again) {
      const before = waiting.get(key);
      const since = before?.since ?? clock.monotonic();
      const waited = clock.monotonic() - since;
      if (inside.size === 0 || inside.has(key) || waited >= PATIENCE_MS) {
        forget(key);
        inside.add(key);
        return true;
      }
      if (again === undefined) return false;
      before?.cancel();
      waiting.set(key, { since, again, cancel: clock.after(PATIENCE_MS - waited, again) });
      return false;
    },
    leave(key) {
      forget(key);
      if (!inside.delete(key)) return;
      for (const { again } of waiting.values()) {
        if (inside.size > 0) return;
        again();
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
