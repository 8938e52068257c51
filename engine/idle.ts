/** Gives up runs whose flow shows no sign of life. A run that waits for a person is not idle. */
import type { Clock } from "./clock.ts";
import type { Run } from "./run.ts";

export interface IdleOptions {
  readonly clock: Clock;
  /** Asked each time. Milliseconds. */
  idleMs(): number;
  runs(): Iterable<Run>;
  giveUp(run: Run): void;
}

/** Looks from now on; the returned function ends it. */
export function watchIdle({ clock, idleMs, runs, giveUp }: IdleOptions): () => void {
  let cancel = (): void => {};
  function watch(): void {
    const everyMs = Math.min(5_000, Math.max(50, idleMs() / 4));
    const due = clock.monotonic() + everyMs;
    cancel = clock.after(everyMs, () => {
      // So long the whole process stood still, and no flow could show a sign of life.
      const stoodMs = clock.monotonic() - due;
      if (stoodMs > everyMs) for (const run of runs()) run.touchedAt += stoodMs;
      const limit = clock.monotonic() - idleMs();
      for (const run of runs()) if (run.touchedAt < limit && run.waits === 0) giveUp(run);
      watch();
    });
  }
  watch();
  return () => cancel();
}
