/** Time windows: "Mon-Fri 08:00-18:00 Europe/Berlin", or the same as an object. By the wall clock of a zone, over both daylight-saving changes. */
import { isZone, localZone, wallAt } from "./schedule/zone.ts";

/**
 * From (included) to (not included); "22:00" to "06:00" runs over midnight and belongs to the day it begins; equal ends are 24 hours.
 * Where clocks go forward, the missing hour never comes; where they go back, the doubled hour counts twice.
 */
export interface TimeWindow {
  readonly from: string;
  readonly to: string;
  /** 1 Monday to 7 Sunday; none = every day. */
  readonly days?: readonly number[];
  /** IANA name; none = the zone of the facts. */
  readonly timeZone?: string;
}
/** `timeZone` "": the zone of this machine. */
type Moment = { readonly now: number; readonly timeZone: string };

const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"] as const;
const EVERY_DAY = [1, 2, 3, 4, 5, 6, 7];
const CLOCK = /^([01]?\d|2[0-3]):([0-5]\d)$/;
const TEXT = /^(?:([A-Za-z1-7][A-Za-z1-7,\s-]*?)\s+)?(\d{1,2}:\d{2})\s*(?:-|–|to)\s*(\d{1,2}:\d{2})(?:\s+(\S+))?$/;
const EXAMPLE = 'such as "08:00-18:00" or "Mon-Fri 08:00-18:00 Europe/Berlin"';

/** The window a value means, or what is wrong with it as sentences. */
export function readWindow(value: unknown): { readonly window?: TimeWindow; readonly problems: readonly string[] } {
  if (typeof value === "string") return readText(value.trim());
  if (typeof value !== "object" || value === null) return { problems: [`Expected a time window ${EXAMPLE}, got ${JSON.stringify(value) ?? "nothing"}.`] };
  const { from, to, days, timeZone } = value as Partial<Record<keyof TimeWindow, unknown>>;
  const problems: string[] = [];
  for (const [name, clock] of [["from", from], ["to", to]] as const) {
    if (!CLOCK.test(String(clock))) problems.push(`Expected "${name}" to be a time from 00:00 to 23:59, got ${JSON.stringify(clock)}.`);
  }
  if (days !== undefined && !(Array.isArray(days) && days.every((day) => EVERY_DAY.includes(day as number)))) {
    problems.push(`Expected the days to be numbers from 1 (Monday) to 7 (Sunday), got ${JSON.stringify(days)}.`);
  }
  const zoned = timeZone !== undefined && timeZone !== "";
  if (zoned && !(typeof timeZone === "string" && isZone(timeZone))) problems.push(`Expected a time zone such as Europe/Berlin, got ${JSON.stringify(timeZone)}.`);
  if (problems.length > 0) return { problems };
  const some = days as readonly number[] | undefined;
  return { problems, window: { from: String(from), to: String(to), ...(some !== undefined && some.length > 0 && { days: some }), ...(zoned && { timeZone: timeZone as string }) } };
}

function readText(text: string): ReturnType<typeof readWindow> {
  const [, spans, from, to, timeZone] = TEXT.exec(text.slice(0, 200)) ?? [];
  const days = spans === undefined ? undefined : readDays(spans);
  if (from === undefined || (spans !== undefined && days === undefined)) return { problems: [`Expected a time window ${EXAMPLE}, got "${text}".`] };
  return readWindow({ from, to, days, timeZone });
}

/** "Mon-Fri", "Sat, Sun", "Fri-Mon", "1-5"; longer names count by their first three letters. */
function readDays(text: string): number[] | undefined {
  const days: number[] = [];
  for (const span of text.split(/\s*,\s*|\s+(?!-)(?<!-\s)/)) {
    const [first, last = first] = span.split(/\s*-\s*/).map((name) => (/^[1-7]$/.test(name) ? Number(name) : DAYS.findIndex((day) => day.toLowerCase() === name.slice(0, 3).toLowerCase()) + 1));
    if (first === undefined || last === undefined || first === 0 || last === 0) return undefined;
    for (let day = first; ; day = (day % 7) + 1) {
      if (!days.includes(day)) days.push(day);
      if (day === last) break;
    }
  }
  return days;
}

const minuteOf = (clock: string): number => {
  const [hours = "0", minutes = "0"] = clock.split(":");
  return Number(hours) * 60 + Number(minutes);
};

/** A test of the window, prepared once. */
export function inWindow(window: TimeWindow): (moment: Moment) => boolean {
  const from = minuteOf(window.from);
  const to = minuteOf(window.to);
  const days = new Set(window.days ?? EVERY_DAY);
  return (moment) => {
    const { minute, day } = wall(window, moment);
    const begun = minute >= from && days.has(day);
    if (from < to) return begun && minute < to;
    return begun || (minute < to && days.has(day === 1 ? 7 : day - 1));
  };
}

const zoneOf = (window: TimeWindow, moment: Moment): string => window.timeZone ?? (moment.timeZone || localZone());

function wall(window: TimeWindow, moment: Moment): { minute: number; day: number } {
  const shown = new Date(wallAt(zoneOf(window, moment), moment.now));
  return { minute: shown.getUTCHours() * 60 + shown.getUTCMinutes(), day: shown.getUTCDay() || 7 };
}

export function windowWords({ from, to, days, timeZone }: TimeWindow): string {
  const when = days === undefined ? "" : ` on ${days.map((day) => DAYS[day - 1]).join(", ")}`;
  return `${from} and ${to}${when}${timeZone === undefined ? "" : ` (${timeZone})`}`;
}

/** What the clock shows there now: `Wed 12:00 (Europe/Berlin)`. */
export function wallWords(window: TimeWindow, moment: Moment): string {
  const { minute, day } = wall(window, moment);
  const pad = (figure: number) => String(figure).padStart(2, "0");
  return `${DAYS[day - 1]} ${pad(Math.floor(minute / 60))}:${pad(minute % 60)} (${zoneOf(window, moment)})`;
}
