/** Messages that were under way when an earlier process broke off: from the second time on each is tried without the others, so that none is blamed for another. */
import type { Clock } from "./clock.ts";
import type { Suspect } from "./life.ts";

/** A suspect has the process for itself no longer than this: one that waits for a person must not hold up the others. */
const TRIAL_MS = 60_000;

export interface Trials {
  /** By number: the receipts that were first in their lanes when an earlier process broke off, and may be why; until they end. */
  readonly suspects: Map<number, Suspect>;
  /** How much longer another suspect has the process for itself. Milliseconds. */
  leftMs(): number;
  begin(lane: string): void;
  /** This lane's suspect waits for the one that is tried. */
  wait(lane: string): void;
  /** The lane was let go. True: its suspect was the one that was tried. */
  ended(lane: string): boolean;
  /** Lanes that waited for it, one after the other, until one of them begins a trial. */
  next(): Iterable<string>;
}

export function createTrials(clock: Clock): Trials {
  let trial: { readonly lane: string; readonly since: number } | undefined;
  const onTrial = new Set<string>();
  return {
    suspects: new Map(),
    leftMs: () => (trial === undefined ? 0 : trial.since + TRIAL_MS - clock.monotonic()),
    begin(lane) { trial = { lane, since: clock.monotonic() }; },
    wait(lane) { onTrial.add(lane); },
    ended(lane) {
      if (trial?.lane !== lane) return false;
      trial = undefined;
      return true;
    },
    *next() {
      for (const lane of onTrial) {
        onTrial.delete(lane);
        yield lane;
        if (trial !== undefined) return;
      }
    },
  };
}
