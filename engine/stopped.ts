/** Why a run was broken off on purpose: a person stopped it, a newer message took its place, its chat was paused, or the gateway is closed (both begin anew). Not a fault: nobody is told of it as one. */
export type StopCause = "stopped" | "interrupted" | "paused" | "closed";

export class Stopped extends Error {
  readonly why: StopCause;
  constructor(why: StopCause) {
    super(`the run was ${why}`);
    this.name = "Stopped";
    this.why = why;
  }
}

/** Why this signal was aborted, where that was done on purpose. */
export function stopOf(signal: AbortSignal): StopCause | undefined {
  return signal.aborted && signal.reason instanceof Stopped ? signal.reason.why : undefined;
}
