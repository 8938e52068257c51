/** The lanes of an inbox: what waits in each, how much of it is kept in memory, and what is under way at their heads. */
import type { Queue } from "./lane.ts";
import type { Run } from "./run.ts";
import type { Receipt, Store } from "./store/store.ts";

export interface Lane { readonly queue: Queue; active: Active | undefined; waiting: (() => void) | undefined }
/** What is under way: the head of the lane, or a burst; by entry node the runs that have not ended. `aside`: it waits for a person, or did, and its lane went on. */
export interface Active { readonly lane: string; readonly receipts: Receipt[]; readonly runs: Map<string, Run>; aside: boolean; /** It was stopped or put back: whoever still gets it ready lets it be. */ over: boolean }

export interface Queues {
  readonly lanes: Map<string, Lane>;
  /** In its lane, which is made where there is none, behind all that came before it. */
  add(receipt: Receipt): Lane;
  /** Takes the head. Read before it leaves the queue: a store that cannot be read loses nothing. */
  shift(lane: Lane): Promise<Receipt | undefined>;
  /** In front of everything that waits there. */
  putBack(key: string, receipts: readonly Receipt[]): Lane;
  /** Takes these out, wherever they wait. Returns what left. */
  take(lane: Lane, seqs: ReadonlySet<number>): (Receipt | number)[];
  /** One that is in memory is read anew when its turn comes. */
  left(): void;
  readonly waiting: number;
}

export const seqOf = (waiting: Receipt | number): number => (typeof waiting === "number" ? waiting : waiting.seq);

/** `most` receipts are kept in memory; of the others only their number is. */
export function createQueues(store: Pick<Store, "receipt">, most: number): Queues {
  const lanes = new Map<string, Lane>();
  let waiting = 0;
  let inMemory = 0;
  function laneOf(key: string): Lane {
    let lane = lanes.get(key);
    if (lane === undefined) {
      lane = { queue: [], active: undefined, waiting: undefined };
      lanes.set(key, lane);
    }
    return lane;
  }
  return {
    lanes,
    get waiting() { return waiting; },
    add(receipt) {
      const lane = laneOf(receipt.lane);
      waiting++;
      const place = lane.queue.findLastIndex((one) => seqOf(one) < receipt.seq) + 1;
      lane.queue.splice(place, 0, inMemory < most ? receipt : receipt.seq);
      if (inMemory < most) inMemory++;
      return lane;
    },
    async shift(lane) {
      const next = lane.queue[0];
      if (next === undefined) return undefined;
      const receipt = typeof next === "number" ? await store.receipt(next) : next;
      // A person may have stopped it meanwhile.
      if (lane.queue[0] !== next) return undefined;
      lane.queue.shift();
      waiting--;
      if (typeof next !== "number") inMemory--;
      return receipt;
    },
    putBack(key, receipts) {
      const lane = laneOf(key);
      lane.queue.unshift(...receipts);
      waiting += receipts.length;
      inMemory += receipts.length;
      return lane;
    },
    take(lane, seqs) {
      const taken = lane.queue.filter((one) => seqs.has(seqOf(one)));
      for (const one of taken) {
        lane.queue.splice(lane.queue.indexOf(one), 1);
        waiting--;
        if (typeof one !== "number") inMemory--;
      }
      return taken;
    },
    left() { inMemory--; },
  };
}
