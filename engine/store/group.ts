/** Group commit: whatever is handed in during a few turns of the event loop becomes one transaction and one fsync. */
import type { CommitResult } from "./store.ts";

/** One prepared change. It runs inside the transaction, possibly again after a rollback. */
export type Op = () => number | undefined;
export interface Transaction {
  begin(): void;
  commit(): void;
  /** Never throws. */
  rollback(): void;
  /** Whose fault it is: `caller` rejects that caller alone, `store` rejects all of the group. */
  blame(error: unknown): "caller" | "store";
  wrap(error: unknown): Error;
}
export interface Group {
  add(ops: readonly Op[]): Promise<CommitResult>;
  /** Commits what waits, now. */
  flush(): void;
  /** Begins no transaction until the returned function is called (once). */
  hold(): () => void;
}
interface Waiting { readonly ops: readonly Op[]; readonly resolve: (result: CommitResult) => void; readonly reject: (error: Error) => void; result: CommitResult }

/** Callers per transaction: a burst of thousands must not hold the event loop for longer than about 20 ms. */
const MOST = 1000;
/**
 * A group is complete when so many turns of the event loop brought nobody new: few while callers come one by one, more while they come in crowds.
 * What one commit sets free then comes back close together (requests, answers, the next messages), and an fsync costs more than a hundred empty turns.
 */
const QUIET_TURNS = { alone: 2, crowd: 4 };
const MOST_TURNS = 16;

export function createGroup(transaction: Transaction): Group {
  let queue: Waiting[] = [];
  let scheduled = false;
  let quietTurns = QUIET_TURNS.alone;
  let holds = 0;

  function schedule(): void {
    if (scheduled || holds > 0) return;
    scheduled = true;
    gather(0, 0, queue.length);
  }
  function gather(turns: number, quiet: number, seen: number): void {
    setImmediate(() => {
      const still = queue.length === seen ? quiet + 1 : 0;
      if (still < quietTurns && turns < MOST_TURNS) gather(turns + 1, still, queue.length);
      else turn();
    });
  }
  function turn(): void {
    scheduled = false;
    if (holds > 0) return;
    const now = queue.splice(0, MOST);
    quietTurns = now.length > 1 ? QUIET_TURNS.crowd : QUIET_TURNS.alone;
    if (queue.length > 0) schedule();
    write(now);
  }
  function flush(): void {
    const now = queue;
    queue = [];
    write(now);
  }
  /** A caller whose changes are refused is left out, and the rest is done again from the start. */
  function write(callers: Waiting[]): void {
    let rest = callers;
    while (rest.length > 0) {
      let current: Waiting | undefined;
      try {
        transaction.begin();
        for (current of rest) current.result = current.ops.map(run);
        current = undefined;
        transaction.commit();
        for (const { resolve, result } of rest) resolve(result);
        return;
      } catch (error) {
        transaction.rollback();
        const fault = transaction.wrap(error);
        const culprit = current;
        if (culprit === undefined || transaction.blame(error) === "store") {
          for (const { reject } of rest) reject(fault);
          return;
        }
        culprit.reject(fault);
        rest = rest.filter((caller) => caller !== culprit);
      }
    }
  }
  return {
    add(ops) {
      return new Promise((resolve, reject) => {
        queue.push({ ops, resolve, reject, result: [] });
        schedule();
      });
    },
    flush,
    hold() {
      holds++;
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        holds--;
        if (queue.length > 0) schedule();
      };
    },
  };
}
const run = (op: Op): number | undefined => op();
