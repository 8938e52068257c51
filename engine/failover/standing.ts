/**
 * How a key of a model stands: pure functions over what befell it. Faults in a row let it rest 1 s, 30 s, 5 min, 30 min; an answer makes it new. After a
 * rest one request goes out alone, and the others wait for what comes of it. Times are milliseconds of a clock that never jumps.
 */
import type { ErrorCode } from "../errors.ts";

export interface Standing {
  /** Rests since the last answer. */
  readonly faults: number;
  /** When the last rest began, and when it ends. */
  readonly since: number;
  readonly until: number;
  /** When the provider's own wait ends; 0: it named none. */
  readonly toldUntil: number;
  readonly out: boolean;
  /** The one request after a rest is under way. */
  readonly trial: boolean;
  readonly last?: { readonly code: ErrorCode; readonly text: string };
}
export const FRESH: Standing = { faults: 0, since: 0, until: 0, toldUntil: 0, out: false, trial: false };

export type StandingEvent =
  | { readonly type: "asked" }
  /** `askedAt`: when that request went out. */
  | { readonly type: "answered"; readonly askedAt: number }
  | { readonly type: "fault"; readonly askedAt: number; readonly now: number; readonly key: "rests" | "out" | "fine"; readonly code: ErrorCode; readonly text: string; readonly afterMs?: number | undefined }
  /** It was given up before anything came of it. */
  | { readonly type: "dropped"; readonly askedAt: number };

export const RESTS_MS = [1_000, 30_000, 300_000, 1_800_000] as const;
/** What stands alone rests no longer: nobody answers in its place, and what went wrong in one chat shall not hold up all the others. */
const ALONE_MS = RESTS_MS[0];

/** What went out before the last rest began says nothing about the time after it: thirty requests that fail together are one fault. */
export function nextStanding(standing: Standing, event: StandingEvent): Standing {
  if (event.type === "asked") return standing.faults > 0 ? { ...standing, trial: true } : standing;
  const old = event.askedAt < standing.since;
  if (event.type === "answered") return old ? standing : FRESH;
  const freed = { ...standing, trial: standing.trial && old };
  if (event.type === "dropped" || event.key === "fine") return freed;
  const last = { code: event.code, text: event.text };
  if (event.key === "out") return { ...freed, out: true, since: event.now, last };
  const toldUntil = Math.max(standing.toldUntil, event.afterMs === undefined ? 0 : event.now + event.afterMs);
  if (old) return { ...freed, toldUntil };
  const rest = RESTS_MS[Math.min(standing.faults, RESTS_MS.length - 1)] as number;
  return { ...freed, faults: standing.faults + 1, since: event.now, until: event.now + rest, toldUntil, last };
}

/** When it may be asked; Infinity: not before its settings change. `alone`: there is nobody else to ask. */
export function readyAt({ out, since, until, toldUntil }: Standing, alone: boolean): number {
  if (out && !alone) return Number.POSITIVE_INFINITY;
  return Math.max(alone ? Math.min(until, since + ALONE_MS) : until, toldUntil);
}

export type State = "ready" | "resting" | "trial" | "out";
export function stateOf(standing: Standing, now: number): State {
  if (standing.out) return "out";
  if (readyAt(standing, false) > now) return "resting";
  return standing.faults > 0 ? "trial" : "ready";
}
