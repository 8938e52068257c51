/** Staggers what begins: many accounts do not knock at their platforms, or at one proxy, in the same moment. */
import type { Clock } from "../clock.ts";

/** So many begin at once; each further one waits for a place, and then a random moment. */
const PLACES = 4;
const SPREAD_MS = 250;
/** What takes longer than this does not keep others waiting. */
const HOLD_MS = 3_000;

export interface Starts {
  /** Calls `act` now, or when there is a place; `done` gives the place back. The returned function withdraws what has not begun. */
  take(act: (done: () => void) => void): () => void;
}

export function createStarts(clock: Clock, random: () => number): Starts {
  const waiting: (() => void)[] = [];
  let taken = 0;

  function place(): () => void {
    taken++;
    const cancel = clock.after(HOLD_MS, free);
    let held = true;
    function free(): void {
      if (!held) return;
      held = false;
      cancel();
      taken--;
      waiting.shift()?.();
    }
    return free;
  }

  return {
    take(act) {
      if (taken < PLACES && waiting.length === 0) {
        act(place());
        return () => undefined;
      }
      let withdraw = () => { waiting.splice(waiting.indexOf(begin), 1); };
      function begin(): void {
        const free = place();
        const cancel = clock.after(random() * SPREAD_MS, () => { withdraw = () => undefined; act(free); });
        withdraw = () => { cancel(); free(); };
      }
      waiting.push(begin);
      return () => { withdraw(); withdraw = () => undefined; };
    },
  };
}
