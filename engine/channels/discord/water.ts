/**
 * How far the account has read: the mark below which every message is on disk. Ids of Discord are times, the same clock in all channels,
 * so one mark serves them all, and after a gap each channel is read from there.
 */
import type { AccountStorage, ChannelContext } from "../channel.ts";
import type { Clock } from "../../clock.ts";
import { isSnowflake, snowflakeAt } from "./limits.ts";

const KEY = "since";
/** The mark is written this often while it moves: what comes twice after a crash is known by its id. */
const EVERY_MS = 5_000;

export interface Water {
  /** Reads the mark; an account that is new begins now. */
  load(): Promise<void>;
  /** Everything up to and including this is on disk. */
  mark(): bigint;
  /** This message is not on disk yet: the mark stays below it until the returned function is called. */
  hold(id: bigint): () => void;
  /** Writes the mark, if it moved. */
  flush(): Promise<void>;
  close(): void;
}

export function createWater({ storage, clock, log }: { readonly storage: AccountStorage; readonly clock: Clock; readonly log: ChannelContext["log"] }): Water {
  const holds = new Map<symbol, bigint>();
  let seen = 0n;
  let written = 0n;
  let cancel: (() => void) | undefined;
  let closed = false;

  function mark(): bigint {
    let lowest = seen;
    for (const id of holds.values()) if (id - 1n < lowest) lowest = id - 1n;
    return lowest;
  }
  async function flush(): Promise<void> {
    const now = mark();
    if (now <= written) return;
    await storage.set({ [KEY]: now.toString() });
    written = now;
  }
  function soon(): void {
    if (cancel !== undefined || closed) return;
    cancel = clock.after(EVERY_MS, () => {
      cancel = undefined;
      flush().catch((error: Error) => { log("debug", `The mark could not be written: ${error.message}`); soon(); });
    });
  }
  return {
    mark, flush,
    async load() {
      const stored = await storage.get(KEY);
      if (isSnowflake(stored)) seen = written = BigInt(stored);
      else {
        seen = snowflakeAt(clock.now());
        await flush();
      }
    },
    hold(id) {
      const key = Symbol("message");
      holds.set(key, id);
      return () => {
        if (!holds.delete(key)) return;
        if (id > seen) seen = id;
        soon();
      };
    },
    close() {
      closed = true;
      cancel?.();
      cancel = undefined;
    },
  };
}
