/** Brute force, written apart from the engine: walks every real minute of a zone through Intl and says when a cron expression runs. */

const MINUTE = 60_000;
const NAMES: Record<string, number> = Object.fromEntries(
  [..."SUN MON TUE WED THU FRI SAT".split(" ").entries(), ...[..."JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split(" ").entries()].map(([n, name]) => [n + 1, name] as const)]
    .map(([n, name]) => [name, n]),
);
const ALIASES: Record<string, string> = { "@daily": "0 0 * * *", "@hourly": "0 * * * *", "@weekly": "0 0 * * 0", "@monthly": "0 0 1 * *" };

function numbers(field: string, low: number, high: number): Set<number> {
  const found = new Set<number>();
  for (const part of field.split(",")) {
    const [range = "", step = "1"] = part.split("/");
    const [from = 0, to = from] = range === "*" ? [low, high] : range.split("-").map((text) => NAMES[text] ?? Number(text));
    for (let n = from; n <= to; n += Number(step)) found.add(n);
  }
  return found;
}

export interface Wall { year: number; month: number; day: number; hour: number; minute: number }

export function reader(zone: string): (instant: number) => Wall {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit" });
  return (instant) => {
    const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = format.format(instant).split(/[- :]/).map(Number);
    return { year, month, day, hour, minute };
  };
}

function matcher(expression: string): { matches(wall: Wall): boolean; everyHour: boolean; often: boolean } {
  const [minute = "", hour = "", dom = "", month = "", dow = ""] = (ALIASES[expression] ?? expression).split(" ");
  const [minutes, hours, months] = [numbers(minute, 0, 59), numbers(hour, 0, 23), numbers(month, 1, 12)];
  const days = dom === "L" ? undefined : numbers(dom, 1, 31);
  const weekdays = numbers(dow, 0, 6);
  return {
    everyHour: hour === "*",
    often: hour.startsWith("*"),
    matches(wall) {
      const date = new Date(Date.UTC(wall.year, wall.month - 1, wall.day));
      const inMonth = days ? days.has(wall.day) : new Date(date.getTime() + 86_400_000).getUTCDate() === 1;
      const inWeek = weekdays.has(date.getUTCDay());
      const dayFits = dom !== "*" && dow !== "*" ? inMonth || inWeek : inMonth && inWeek;
      return minutes.has(wall.minute) && hours.has(wall.hour) && months.has(wall.month) && dayFits;
    },
  };
}

const floating = (wall: Wall): number => Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute);

/** Every minute from a day before `from` to `to`, both whole minutes. */
export function walk(zone: string, from: number, to: number): { from: number; minutes: { instant: number; wall: Wall }[] } {
  const read = reader(zone);
  const minutes: { instant: number; wall: Wall }[] = [];
  for (let instant = from - 86_400_000; instant <= to; instant += MINUTE) minutes.push({ instant, wall: read(instant) });
  return { from, minutes };
}

/** Runs in (from, to]. */
export function oracle(expression: string, { from, minutes }: ReturnType<typeof walk>): number[] {
  const rule = matcher(expression);
  const seen = new Set<number>();
  const runs: number[] = [];
  let last: number | undefined;
  for (const { instant, wall } of minutes) {
    const label = floating(wall);
    let runsNow = rule.matches(wall) && (rule.often || !seen.has(label));
    for (let skipped = (last ?? label) + MINUTE; skipped < label && !rule.everyHour; skipped += MINUTE) {
      const lost = new Date(skipped);
      runsNow ||= rule.matches({ year: lost.getUTCFullYear(), month: lost.getUTCMonth() + 1, day: lost.getUTCDate(), hour: lost.getUTCHours(), minute: lost.getUTCMinutes() });
    }
    seen.add(label);
    last = label;
    if (runsNow && instant > from) runs.push(instant);
  }
  return runs;
}

/** Midnights (UTC) before the days on which the zone's offset changes. */
export function changes(zone: string, from: number, to: number): number[] {
  const read = reader(zone);
  const offset = (instant: number): number => floating(read(instant)) - instant;
  const found: number[] = [];
  for (let day = from; day < to; day += 86_400_000) if (offset(day) !== offset(day + 86_400_000)) found.push(day);
  return found;
}
