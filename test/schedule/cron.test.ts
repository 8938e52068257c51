import assert from "node:assert/strict";
import { checkSpec, nextRuns } from "../../engine/schedule.ts";
import { describe as words } from "../../engine/schedule/describe.ts";
import { lastRuns, runsOf } from "../../engine/schedule/spec.ts";
import { changes, oracle, walk } from "./oracle.ts";

const DAY = 86_400_000;
const cron = (expression: string, timeZone: string) => ({ kind: "cron", expression, timeZone }) as const;
const iso = (instants: readonly number[]): string[] => instants.map((at) => new Date(at).toISOString().replace(":00.000Z", "Z"));
const runs = async (expression: string, zone: string, from: string, count: number): Promise<string[]> => iso(await nextRuns(cron(expression, zone), Date.parse(from), count));

const ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Atlantic/Azores", "America/Santiago",
  "America/St_Johns", "Africa/Casablanca", "Asia/Kolkata", "UTC"];
const EXPRESSIONS = ["30 2 * * *", "30 1 * * *", "0 0 * * *", "15 0 * * *", "0 * * * *", "45 * * * *", "*/15 * * * *", "*/15 2 * * *", "0 */2 * * *",
  "30 */3 * * *", "15 1-3 * * *", "0 2,14 * * MON-FRI", "0 0 L * *", "5 0 * * SUN", "0 12 13 * FRI", "45 23 * * *", "@daily", "@hourly", "0,30 0-3 25-31 MAR,OCT,NOV *"];

describe("cron runs", () => {
  it("agree with a walk over every minute around each change of clocks in 2026 and 2027", async function () {
    this.timeout(60_000);
    let windows = 0;
    let compared = 0;
    for (const zone of ZONES) {
      const found = changes(zone, Date.UTC(2026, 0, 1), Date.UTC(2028, 0, 1));
      if (found.length === 0) found.push(Date.UTC(2026, 2, 29));
      for (const day of found) {
        const [from, to] = [day - DAY, day + 2 * DAY];
        windows++;
        const walked = walk(zone, from, to);
        for (const expression of EXPRESSIONS) {
          const expected = oracle(expression, walked);
          const got = (await nextRuns(cron(expression, zone), from, expected.length + 1)).filter((at) => at <= to);
          assert.deepEqual(iso(got), iso(expected), `${expression} in ${zone} from ${new Date(from).toISOString()}`);
          compared += expected.length;
          // A restart may come at any minute, between the two times of a repeated hour too.
          const spec = await runsOf(cron(expression, zone), 0);
          for (let at = day; at < day + DAY; at += 25 * 60_000) {
            const next = expected.find((run) => run > at);
            if (next !== undefined) assert.equal(spec.next(at), next, `${expression} in ${zone} after ${new Date(at).toISOString()}`);
          }
        }
      }
    }
    assert.ok(windows >= 30 && compared > 15_000, `${windows} windows, ${compared} runs`);
  });

  it("run once at the first minute after a gap", async () => {
    assert.deepEqual(await runs("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", 2), ["2026-03-29T01:00Z", "2026-03-30T00:30Z"]);
    assert.deepEqual(await runs("30 2 * * *", "America/New_York", "2026-03-07T12:00Z", 2), ["2026-03-08T07:00Z", "2026-03-09T06:30Z"]);
    assert.deepEqual(await runs("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", 2), ["2026-10-03T15:30Z", "2026-10-04T15:15Z"]);
  });

  it("run once where the hour comes twice, hourly in both", async () => {
    assert.deepEqual(await runs("30 1 * * *", "America/New_York", "2026-11-01T04:00Z", 2), ["2026-11-01T05:30Z", "2026-11-02T06:30Z"]);
    assert.deepEqual(await runs("0 * * * *", "America/New_York", "2026-11-01T04:30Z", 4), ["2026-11-01T05:00Z", "2026-11-01T06:00Z", "2026-11-01T07:00Z", "2026-11-01T08:00Z"]);
  });

  it("keep the leap day", async () => {
    assert.deepEqual(await runs("10 2 29 2 *", "Asia/Kolkata", "2026-01-01T00:00Z", 2), ["2028-02-28T20:40Z", "2032-02-28T20:40Z"]);
    assert.deepEqual(await runs("0 0 * 2 MON#5", "UTC", "2026-01-01T00:00Z", 1), ["2044-02-29T00:00Z"]);
  });

  it("read six fields, names, last days and nearest weekdays", async () => {
    assert.deepEqual(iso(await nextRuns(cron("*/20 59 23 31 DEC *", "UTC"), Date.UTC(2026, 0, 1), 3)), ["2026-12-31T23:59Z", "2026-12-31T23:59:20.000Z", "2026-12-31T23:59:40.000Z"]);
    assert.deepEqual(await runs("0 9 15W * *", "UTC", "2026-08-01T00:00Z", 2), ["2026-08-14T09:00Z", "2026-09-15T09:00Z"]);
    assert.deepEqual(await runs("0 9 L-3 * *", "UTC", "2026-02-01T00:00Z", 1), ["2026-02-25T09:00Z"]);
    assert.deepEqual(await runs("0 9 * * 5L", "UTC", "2026-02-01T00:00Z", 1), ["2026-02-27T09:00Z"]);
    assert.deepEqual(await runs("0 22-1 * * *", "UTC", "2026-02-01T12:00Z", 4), ["2026-02-01T22:00Z", "2026-02-01T23:00Z", "2026-02-02T00:00Z", "2026-02-02T01:00Z"]);
  });
});

describe("other schedules", () => {
  it("run once at a local time, in a gap at its end", async () => {
    const once = (at: string, timeZone = "Europe/Berlin") => nextRuns({ kind: "once", at, timeZone }, Date.UTC(2026, 0, 1)).then(iso);
    assert.deepEqual(await once("2026-12-24T18:00"), ["2026-12-24T17:00Z"]);
    assert.deepEqual(await once("2026-03-29T02:30"), ["2026-03-29T01:00Z"]);
    assert.deepEqual(await once("2026-10-25T02:30"), ["2026-10-25T00:30Z"]);
    assert.deepEqual(await once("2026-12-24T18:00:00+05:30"), ["2026-12-24T12:30Z"]);
    assert.deepEqual(await once("2025-12-24T18:00"), []);
  });

  it("run every so often by elapsed time, aligned to the start", async () => {
    const spec = { kind: "every", every: 6, unit: "hours", start: "2026-03-28T06:00", timeZone: "Europe/Berlin" } as const;
    assert.deepEqual(iso(await nextRuns(spec, Date.parse("2026-03-28T20:00Z"), 3)), ["2026-03-28T23:00Z", "2026-03-29T05:00Z", "2026-03-29T11:00Z"]);
    assert.deepEqual(iso(await nextRuns(spec, Date.parse("2026-01-01T00:00Z"), 2)), ["2026-03-28T05:00Z", "2026-03-28T11:00Z"]);
  });

  it("find the newest runs of a long time without walking it", async () => {
    const everySecond = await runsOf(cron("* * * * * *", "UTC"), 0);
    const upTo = Date.UTC(2026, 0, 1);
    let asked = 0;
    const counted = { next: (after: number) => { asked++; return everySecond.next(after); } };
    const found = lastRuns(counted, Date.UTC(2020, 0, 1), upTo, 3);
    assert.deepEqual(found, [upTo - 2000, upTo - 1000, upTo]);
    assert.ok(asked < 500, `${asked} steps`);
    assert.deepEqual(lastRuns(await runsOf(cron("0 0 * * *", "UTC"), 0), Date.UTC(2026, 0, 1), Date.UTC(2026, 0, 3, 12), 100), [Date.UTC(2026, 0, 2), Date.UTC(2026, 0, 3)]);
  });
});

describe("checkSpec", () => {
  const faults: [string, Parameters<typeof checkSpec>[0], RegExp][] = [
    ["a minute of 60", cron("60 * * * *", "UTC"), /"minute" cannot be "60"/],
    ["four fields", cron("* * * *", "UTC"), /5 or 6 fields/],
    ["nothing", cron("", "UTC"), /5 or 6 fields/],
    ["the 31st of February", cron("0 0 31 2 *", "UTC"), /"dayOfMonth" cannot be "31"/],
    ["an unknown zone", cron("* * * * *", "Europe/Atlantis"), /time zone/],
    ["a date that does not exist", { kind: "once", at: "2026-02-30T10:00", timeZone: "UTC" }, /date and time/],
    ["words for a date", { kind: "once", at: "tomorrow", timeZone: "UTC" }, /date and time/],
    ["an interval of nothing", { kind: "every", every: 0, unit: "hours" }, /interval/],
    ["an interval that is no number", { kind: "every", every: Number.NaN, unit: "hours" }, /interval/],
    ["an unknown unit", { kind: "every", every: 1, unit: "weeks" as "hours" }, /interval/],
  ];
  for (const [name, spec, expected] of faults) {
    it(`names ${name}`, async () => {
      const problems = await checkSpec(spec);
      assert.equal(problems.length, 1, problems.join("\n"));
      assert.match(problems[0] ?? "", expected);
    });
  }
  it("is content with what runs", async () => {
    for (const spec of [cron("*/5 * * * *", ""), cron("@weekly", "Asia/Kolkata"), { kind: "every", every: 90, unit: "seconds" } as const]) assert.deepEqual(await checkSpec(spec), []);
  });
});

describe("an expression in words", () => {
  it("speaks English and German", () => {
    assert.equal(words("30 2 * * MON-FRI", "en-GB"), "At 02:30, Monday through Friday");
    assert.equal(words("30 14 * * *", "en-US"), "At 02:30 PM");
    assert.equal(words("30 2 * * 1-5", "de"), "Um 02:30, Montag bis Freitag");
    assert.equal(words("0 * * * *", "fr"), "Every hour");
  });
  it("refuses what it cannot read", () => {
    assert.throws(() => words("never", "de"), { code: "CONF_001" });
  });
});
