/** Patience with a provider: a limit until the first byte, and between two. */
import type { Clock } from "../clock.ts";

export interface Watch {
  /** Aborts with the caller's signal, and when patience ends. */
  readonly signal: AbortSignal;
  /** Something came: until `wait` no time counts, for it is ours. */
  heard(): void;
  wait(): void;
  /** Milliseconds that were waited in vain, once patience has ended. */
  late(): number | undefined;
  /** Ends timer and listener; aborts nothing. */
  end(): void;
}

export function watch(caller: AbortSignal, clock: Clock, firstByteMs: number, stallMs: number): Watch {
  const controller = new AbortController();
  const pass = (): void => { controller.abort(caller.reason); };
  caller.addEventListener("abort", pass, { once: true });
  if (caller.aborted) pass();
  let limit = firstByteMs;
  let since = clock.monotonic();
  let waiting = true;
  let waited: number | undefined;
  let cancel = clock.after(limit, check);
  // One timer looks again by itself: a timer for each piece of a stream would cost more than the piece.
  function check(): void {
    const quiet = waiting ? clock.monotonic() - since : 0;
    // A timer may come a little early by the clock it is measured with.
    if (quiet < limit - 2) {
      cancel = clock.after(limit - quiet, check);
      return;
    }
    waited = limit;
    controller.abort(new Error("The model was silent for too long."));
  }
  return {
    signal: controller.signal,
    heard() {
      waiting = false;
      if (limit === stallMs) return;
      limit = stallMs;
      cancel();
      cancel = clock.after(limit, check);
    },
    wait() { waiting = true; since = clock.monotonic(); },
    late: () => waited,
    end() {
      cancel();
      caller.removeEventListener("abort", pass);
    },
  };
}
