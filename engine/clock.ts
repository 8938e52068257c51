/** Time as the engine sees it; tests pass their own. `now` is for records and schedules, `monotonic` for leases and backoff. */
export interface Clock {
  /** Unix milliseconds by the wall clock. */
  now(): number;
  /** Milliseconds that never jump. */
  monotonic(): number;
  /** Calls `act` after `ms`; the returned function cancels. The timer does not keep the process alive. */
  after(ms: number, act: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, act) {
    const timer = setTimeout(act, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
