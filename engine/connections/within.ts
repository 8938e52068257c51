/** A limit of time around work that may hang. */
import type { Clock } from "../clock.ts";

export interface Within { readonly clock: Clock; readonly ms: number; /** Ends it early. */ readonly parent?: AbortSignal; /** What to throw when the time is over. */ late(): Error }

/** Settles as the work does, but no later than after `ms` or when `parent` aborts; `signal` then tells the work that nobody waits any more. */
export function within<T>({ clock, ms, parent, late }: Within, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const own = new AbortController();
  return new Promise<T>((resolve, reject) => {
    const stop = (reason: unknown) => { reject(reason); own.abort(); };
    const cancel = clock.after(ms, () => stop(late()));
    const abort = () => stop(parent?.reason);
    parent?.addEventListener("abort", abort, { once: true });
    own.signal.addEventListener("abort", tidy, { once: true });
    if (parent?.aborted) return abort();
    // A function that throws at once is as good as one that rejects.
    new Promise<T>((begun) => begun(work(own.signal))).then(resolve, reject).finally(tidy);
    function tidy(): void {
      cancel();
      parent?.removeEventListener("abort", abort);
    }
  });
}
