/** A commit that must happen some time: what it records has happened already. */
import type { Clock } from "../clock.ts";
import { StoreError } from "../errors.ts";
import type { Change, CommitResult, Store } from "./store.ts";

const LONGEST_MS = 5_000;

/** Tries until the store takes it. Throws only once `given` up, with the last fault: then the next process finds out by itself. */
export async function insist(store: Pick<Store, "commit">, clock: Clock, changes: readonly Change[], given: () => boolean): Promise<CommitResult> {
  for (let wait = 250; ; wait = Math.min(wait * 2, LONGEST_MS)) {
    try {
      return await store.commit(changes);
    } catch (error) {
      if (given()) throw error;
      const ms = error instanceof StoreError ? (error.afterMs ?? wait) : wait;
      await new Promise<void>((resolve) => { clock.after(ms, resolve); });
    }
  }
}
