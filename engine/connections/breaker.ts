/**
 * When a broken link is tried again, as pure functions: closed → open after MAX_FAULTS in a row → half-open for one trial → closed once a link has held.
 * `stopped` is for faults that stay until somebody changes something. connections.ts only carries out what these say.
 */
import { backoffMs } from "../life.ts";
import { MAX_WAIT_MS } from "../retry-after.ts";

export interface Breaker {
  readonly phase: "closed" | "open" | "half-open" | "stopped";
  /** Faults since a link last held. */
  readonly faults: number;
}
export type BreakerEvent =
  /** It could not be opened, or it broke. `permanent`: trying again changes nothing. */
  | { readonly type: "fault"; readonly permanent: boolean }
  /** The wait is over, a link is opened. */
  | { readonly type: "try" }
  /** A link was open for a while and is well. That one opened is not enough: it may break each time right after. */
  | { readonly type: "held" };

export const MAX_FAULTS = 5;
export const CLOSED: Breaker = { phase: "closed", faults: 0 };

export function nextBreaker(breaker: Breaker, event: BreakerEvent): Breaker {
  if (breaker.phase === "stopped") return breaker;
  switch (event.type) {
    case "held": return CLOSED;
    case "try": return breaker.phase === "open" ? { ...breaker, phase: "half-open" } : breaker;
    case "fault": {
      const faults = breaker.faults + 1;
      if (event.permanent) return { phase: "stopped", faults };
      return { phase: faults >= MAX_FAULTS ? "open" : "closed", faults };
    }
  }
}

/**
 * Milliseconds until the next try: 1, 2, 4 … s while closed, the longest backoff while open, and never less than the other side asked for.
 * Undefined: none, until the settings change or somebody asks for it. `random` in [0, 1).
 */
export function waitOf(breaker: Breaker, random: number, askedMs = 0): number | undefined {
  if (breaker.phase === "stopped") return undefined;
  const backoff = backoffMs(breaker.phase === "closed" ? breaker.faults : Number.POSITIVE_INFINITY, random);
  return Math.max(backoff, askedMs > 0 ? Math.min(askedMs, MAX_WAIT_MS) : 0);
}
