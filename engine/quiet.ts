/** Tells when a place is quiet: nothing waits there to be answered, and nothing is being answered, save what waits for a person. */
import type { Clock } from "./clock.ts";
import { laneOf, type Address } from "./message.ts";
import type { Usage } from "./models/model.ts";
import type { Run } from "./run.ts";

/** Tokens that the models of the runs used which ended there meanwhile. */
export interface Spent { readonly usage: Usage }
export interface Quiet {
  /** Resolves when the place is quiet; rejects with the signal's reason. */
  wait(at: Address, signal: AbortSignal): Promise<Spent>;
  ended(run: Run): void;
  /** Something may be quiet now. */
  look(): void;
}
interface Waiter { readonly at: Address; readonly lane: string; input: number; output: number; resolve(spent: Spent): void }

export function createQuiet({ clock, busy }: { readonly clock: Clock; busy(at: Address): boolean }): Quiet {
  const waiters = new Set<Waiter>();
  let looking = false;

  function look(): void {
    if (looking || waiters.size === 0) return;
    looking = true;
    // Not at once: an answer to a question is taken before its run goes on.
    clock.after(0, () => {
      looking = false;
      for (const waiter of [...waiters]) if (!busy(waiter.at)) waiter.resolve({ usage: { input: waiter.input, output: waiter.output } });
    });
  }
  return {
    look,
    ended({ receipt, usage }) {
      const lane = laneOf(receipt.message.at);
      for (const waiter of waiters) if (waiter.lane === lane) for (const { input, output } of usage.values()) { waiter.input += input; waiter.output += output; }
      look();
    },
    wait(at, signal) {
      return new Promise((resolve, reject) => {
        const stop = (): void => { waiters.delete(waiter); signal.removeEventListener("abort", given); };
        const given = (): void => { stop(); reject(signal.reason as Error); };
        const waiter: Waiter = { at, lane: laneOf(at), input: 0, output: 0, resolve(spent) { stop(); resolve(spent); } };
        if (signal.aborted) return given();
        waiters.add(waiter);
        signal.addEventListener("abort", given, { once: true });
        look();
      });
    },
  };
}
