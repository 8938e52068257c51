/**
 * Runs of a cron expression. node-cron reads and checks the expression and says which days match; daylight saving is ours, because
 * node-cron 4.6 skips `30 2 * * *` on the day clocks go forward and loses an hour of `0 * * * *` on the day they go back:
 *
 * - Clocks go forward: a run that falls into the gap happens once, at the first minute after it. Where every hour is named (`*`) the next
 *   hour follows at once, so nothing needs making up.
 * - Clocks go back: named hours (`30 1 * * *`) run once, at the first of the two; `*` and `*` with a step run in both, they mean "every so often".
 *
 * Day of month and day of week are alternatives when both are restricted, as in crontab(5).
 */
import { SettingError } from "../errors.ts";
import { gapEnd, instantsOf, turnBackAfter, wallAt } from "./zone.ts";

export interface Runs {
  /** The first run strictly after an instant. */
  next(after: number): number | undefined;
}

type Cron = typeof import("node-cron");
const DAY = 86_400_000;
/** Sparsest pattern node-cron accepts: the fifth Monday of February comes every 28 or 40 years. */
const HORIZON_DAYS = 366 * 41;

/** Problems in an expression, each a sentence; none when it can be scheduled. */
export async function checkExpression(expression: string): Promise<string[]> {
  const { validateDetailed } = await import("node-cron");
  const { errors } = validateDetailed(expression);
  return errors.map(({ field, value, message }) => field === "expression"
    ? `Expected a cron expression of 5 or 6 fields or an alias like @daily, got "${expression}": ${message}.`
    : `Cron field "${field}" cannot be "${value ?? ""}" in "${expression}".`);
}

/** Throws SettingError CONF_001 when the expression is not valid. */
export async function cronRuns(expression: string, zone: string): Promise<Runs> {
  const problems = await checkExpression(expression);
  if (problems[0] !== undefined) throw new SettingError("CONF_001", {}, problems[0]);
  const cron = await import("node-cron");
  const calendar = calendarOf(cron, expression);
  const everyHour = cron.parse(expression).hour.length === 24;
  const often = everyHour || /^\*\/\d+$/.test(expression.trim().split(/\s+/).at(-4) ?? "");

  const search = (wall: number, after: number): number | undefined => {
    let from = wall;
    for (;;) {
      const hit = calendar(from);
      if (hit === undefined) return undefined;
      const instants = instantsOf(zone, hit);
      if (instants.length === 0) {
        const end = gapEnd(zone, hit);
        if (!everyHour && end > after) return end;
        from = Math.max(hit, wallAt(zone, end) - 1000);
        continue;
      }
      const found = (often ? instants : instants.slice(0, 1)).find((instant) => instant > after);
      if (found !== undefined) return found;
      from = hit;
    }
  };

  return {
    next(after) {
      const first = search(wallAt(zone, after), after);
      const turn = often ? turnBackAfter(zone, after) : undefined;
      if (turn === undefined || (first !== undefined && first < turn)) return first;
      const again = search(wallAt(zone, turn) - 1000, turn - 1);
      return first === undefined || (again !== undefined && again < first) ? again : first;
    },
  };
}

/** The next matching wall time strictly after another, by calendar alone. */
function calendarOf(cron: Cron, expression: string): (wall: number) => number | undefined {
  const { second, minute, hour, dayOfMonth, month, dayOfWeek } = cron.parse(expression);
  const matches = dayMatcher(cron, dayOfMonth, dayOfWeek);
  const [hours, minutes, seconds] = [hour, minute, second].map((list) => list.toSorted((a, b) => a - b)) as [number[], number[], number[]];

  /** Seconds into the day. */
  const timeAfter = (last: number): number | undefined => {
    for (const h of hours) {
      if (h * 3600 + 3599 <= last) continue;
      for (const m of minutes) {
        if (h * 3600 + m * 60 + 59 <= last) continue;
        for (const s of seconds) if (h * 3600 + m * 60 + s > last) return h * 3600 + m * 60 + s;
      }
    }
    return undefined;
  };

  return (wall) => {
    const today = Math.floor(wall / DAY) * DAY;
    for (let n = 0; n < HORIZON_DAYS; n++) {
      const day = today + n * DAY;
      if (!month.includes(new Date(day).getUTCMonth() + 1) || !matches(day)) continue;
      const time = timeAfter(n === 0 ? Math.floor((wall - day) / 1000) : -1);
      if (time !== undefined) return day + time * 1000;
    }
    return undefined;
  };
}

/** Whether the day that begins at this wall time matches; node-cron knows `L`, `15W`, `5L` and `5#2`. Both fields restricted: either suffices. */
function dayMatcher(cron: Cron, ofMonth: readonly (number | string)[], ofWeek: readonly (number | string)[]): (day: number) => boolean {
  const test = (pattern: string): ((day: number) => boolean) => {
    const task = cron.createTask(pattern, () => undefined, { timezone: "UTC" });
    void task.destroy();   // takes it out of node-cron's own list; `match` goes on working
    return (day) => task.match(new Date(day));
  };
  const tests: ((day: number) => boolean)[] = [];
  if (ofMonth.length < 31) tests.push(test(`0 0 0 ${ofMonth.join(",")} * *`));
  if (ofWeek.length < 7) tests.push(test(`0 0 0 * * ${ofWeek.join(",")}`));
  let known = { day: Number.NaN, matches: false };
  return (day) => {
    if (known.day !== day) known = { day, matches: tests.length === 0 || tests.some((matches) => matches(day)) };
    return known.matches;
  };
}
