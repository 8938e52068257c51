/**
 * Time zones. An instant is Unix milliseconds; a wall time is what a clock in the zone shows, written as the milliseconds
 * that `Date.UTC` of those very figures gives ("floating" time): calendar arithmetic on it knows no daylight saving.
 */
import { SettingError } from "../errors.ts";

const DAY = 86_400_000;
const readers = new Map<string, Intl.DateTimeFormat>();

/** Throws RangeError when the zone is not known. */
function reader(zone: string): Intl.DateTimeFormat {
  let found = readers.get(zone);
  if (!found) {
    found = new Intl.DateTimeFormat("en-US", {
      timeZone: zone, calendar: "gregory", numberingSystem: "latn", hourCycle: "h23",
      era: "short", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric",
    });
    readers.set(zone, found);
  }
  return found;
}

/** The zone of this machine. */
export const localZone = (): string => new Intl.DateTimeFormat().resolvedOptions().timeZone;

export function isZone(zone: string): boolean {
  try {
    reader(zone);
    return true;
  } catch {
    return false;
  }
}

/** What a clock in the zone shows at an instant. */
export function wallAt(zone: string, instant: number): number {
  const second = Math.floor(instant / 1000) * 1000;
  const field: Record<string, number> = {};
  let before = false;
  for (const { type, value } of reader(zone).formatToParts(second)) {
    if (type === "era") before = value === "BC";
    else if (type !== "literal") field[type] = Number(value);
  }
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second: seconds = 0 } = field;
  const wall = new Date(0);
  wall.setUTCFullYear(before ? 1 - year : year, month - 1, day);
  wall.setUTCHours(hour, minute, seconds);
  return wall.getTime() + (instant - second);
}

/** Milliseconds the zone is ahead of UTC at an instant. */
export const offsetAt = (zone: string, instant: number): number => wallAt(zone, instant) - instant;

/** The instants at which the wall shows this time, ascending: one; none where clocks were put forward; two where they were put back. */
export function instantsOf(zone: string, wall: number): number[] {
  const before = offsetAt(zone, wall - DAY);
  const after = offsetAt(zone, wall + DAY);
  const guesses = before === after ? [wall - before] : [wall - before, wall - after];
  return guesses.filter((guess) => wallAt(zone, guess) === wall).sort((a, b) => a - b);
}

/** The instant in (from, to] at which the offset becomes what it is at `to`. */
function changeBetween(zone: string, from: number, to: number): number {
  const target = offsetAt(zone, to);
  let low = Math.floor(from / 1000);
  let high = Math.ceil(to / 1000);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (offsetAt(zone, middle * 1000) === target) high = middle;
    else low = middle;
  }
  return high * 1000;
}

/** The first instant after the gap that swallowed this wall time. */
export function gapEnd(zone: string, wall: number): number {
  const before = offsetAt(zone, wall - DAY);
  const after = offsetAt(zone, wall + DAY);
  return changeBetween(zone, wall - Math.max(before, after), wall - Math.min(before, after));
}

/** The instant within the day after `instant` at which clocks are put back. */
export function turnBackAfter(zone: string, instant: number): number | undefined {
  return offsetAt(zone, instant + DAY) < offsetAt(zone, instant) ? changeBetween(zone, instant, instant + DAY) : undefined;
}

const LOCAL = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?(Z|[+-]\d\d:\d\d)?$/;

/**
 * The instant of "2026-03-29T02:30" in a zone; seconds, `Z` and `+02:00` are accepted. A time that daylight saving skips is the first
 * instant after the gap, one that comes twice is the first. Throws SettingError CONF_001.
 */
export function instantOfLocal(text: string, zone: string): number {
  const match = LOCAL.exec(text.trim());
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = (match?.slice(1, 7) ?? []).map((part) => Number(part ?? 0));
  const wall = Date.UTC(year, month - 1, day, hour, minute, second);
  const real = new Date(wall);
  if (!match || real.getUTCMonth() !== month - 1 || real.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) {
    throw new SettingError("CONF_001", {}, `Expected a date and time like "2026-12-24T18:00", got "${text}".`);
  }
  if (match[7]) return Date.parse(`${new Date(wall).toISOString().slice(0, 19)}${match[7]}`);
  return instantsOf(zone, wall)[0] ?? gapEnd(zone, wall);
}
