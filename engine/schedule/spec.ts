/** What a schedule may be, its problems, and its runs. */
import { SettingError } from "../errors.ts";
import { checkExpression, cronRuns, type Runs } from "./cron.ts";
import { instantOfLocal, isZone, localZone } from "./zone.ts";

export type Unit = "seconds" | "minutes" | "hours";
/** `timeZone`: IANA name; empty or absent is the zone of the machine. */
export type Spec =
  | { readonly kind: "cron"; readonly expression: string; readonly timeZone?: string }
  /** Once, at a local date and time ("2026-12-24T18:00"). */
  | { readonly kind: "once"; readonly at: string; readonly timeZone?: string }
  /** Every so often by elapsed time: `start`, `start` + n, … `start` absent is the moment the schedule is first opened. */
  | { readonly kind: "every"; readonly every: number; readonly unit: Unit; readonly start?: string; readonly timeZone?: string };

const UNIT_MS: Readonly<Record<Unit, number>> = { seconds: 1000, minutes: 60_000, hours: 3_600_000 };
/** Longest interval: a year. */
const LONGEST_MS = 366 * 86_400_000;

const zoneOf = (spec: Spec): string => spec.timeZone || localZone();

/** Problems, each a sentence with what was expected and got; none when it can be scheduled. No I/O. */
export async function checkSpec(spec: Spec): Promise<string[]> {
  const problems = isZone(zoneOf(spec)) ? [] : [`Expected an IANA time zone like "Europe/Berlin", got "${spec.timeZone}".`];
  try {
    if (spec.kind === "cron") problems.push(...await checkExpression(spec.expression));
    if (problems.length === 0) await runsOf(spec, 0);
  } catch (error) {
    if (!(error instanceof SettingError)) throw error;
    problems.push(error.message);
  }
  return problems;
}

/** `anchor`: the instant an interval without a start counts from. Throws SettingError CONF_001. */
export async function runsOf(spec: Spec, anchor: number): Promise<Runs> {
  const zone = zoneOf(spec);
  if (!isZone(zone)) throw new SettingError("CONF_001", {}, `Expected an IANA time zone like "Europe/Berlin", got "${zone}".`);
  if (spec.kind === "cron") return cronRuns(spec.expression, zone);
  if (spec.kind === "once") {
    const at = instantOfLocal(spec.at, zone);
    return { next: (after) => after < at ? at : undefined };
  }
  const step = spec.every * (UNIT_MS[spec.unit] ?? Number.NaN);
  if (!(step >= 1000 && step <= LONGEST_MS)) {
    throw new SettingError("CONF_001", {}, `Expected an interval from 1 second to 1 year, got "${spec.every} ${spec.unit}".`);
  }
  const start = spec.start ? instantOfLocal(spec.start, zone) : anchor;
  const first = spec.start ? start : start + step;
  return { next: (after) => after < first ? first : start + (Math.floor((after - start) / step) + 1) * step };
}

/** The next runs after an instant, ascending; fewer where there are no more. Throws SettingError CONF_001. */
export async function nextRuns(spec: Spec, from: number, count = 5): Promise<number[]> {
  return take(await runsOf(spec, from), from, count);
}

/** At most `count` runs in (from, upTo], ascending. */
export function take(runs: Runs, from: number, count: number, upTo = Number.POSITIVE_INFINITY): number[] {
  const found: number[] = [];
  for (let at = runs.next(from); at !== undefined && at <= upTo && found.length < count; at = runs.next(at)) found.push(at);
  return found;
}

/**
 * The last `count` runs in (after, upTo], ascending, without walking all of them: a schedule of every second that was down for a year
 * costs as much as one of a minute.
 */
export function lastRuns(runs: Runs, after: number, upTo: number, count: number): number[] {
  const reaches = (from: number): boolean => {
    let at = from;
    for (let n = 0; n < count; n++) {
      const next = runs.next(at);
      if (next === undefined || next > upTo) return false;
      at = next;
    }
    return true;
  };
  let low = after;
  if (reaches(low)) {
    let high = upTo;
    while (high - low > 500) {
      const middle = Math.floor((low + high) / 2);
      if (reaches(middle)) low = middle;
      else high = middle;
    }
  }
  return take(runs, low, count + 1, upTo).slice(-count);
}
