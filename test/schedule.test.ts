import assert from "node:assert/strict";
import cron from "node-cron";
import { systemClock } from "../engine/clock.ts";
import { ClawError } from "../engine/errors.ts";
import { createSchedule, type Schedule, type ScheduleOptions, type Tick } from "../engine/schedule.ts";
import { loadTicker } from "../engine/schedule/ticker.ts";
import { fakeClock } from "./schedule/fake-clock.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const NOON = Date.UTC(2026, 5, 1, 12);
const minutely = { kind: "cron", expression: "* * * * *", timeZone: "UTC" } as const;
const iso = (at: number): string => new Date(at).toISOString().slice(5, 16);

describe("schedule", () => {
  const open: Schedule[] = [];
  afterEach(async () => { await Promise.all(open.splice(0).map((schedule) => schedule.close())); });

  async function begin(time: ReturnType<typeof fakeClock>, options: Partial<ScheduleOptions> = {}) {
    const ticks: Tick[] = [];
    const saved: number[] = [];
    const skipped: [number, string][] = [];
    const failed: ClawError[] = [];
    const schedule = await createSchedule({
      spec: minutely, clock: time.clock, missed: "skip", overlap: "parallel",
      fire: async (tick) => { ticks.push(tick); },
      save: (at) => { saved.push(at); },
      skipped: (at, why) => skipped.push([at, why]),
      failed: (error) => failed.push(error),
      ...options,
    });
    open.push(schedule);
    await time.pass(0);
    return { schedule, ticks, saved, skipped, failed, fired: () => ticks.map(({ scheduledAt }) => scheduledAt) };
  }

  it("fires each run once, at its time, and keeps the mark", async () => {
    const time = fakeClock(NOON + 10_000);
    const { schedule, ticks, saved } = await begin(time);
    assert.deepEqual(schedule.nextRuns().map(iso), ["06-01T12:01", "06-01T12:02", "06-01T12:03", "06-01T12:04", "06-01T12:05"]);
    await time.pass(3 * MINUTE);
    assert.deepEqual(ticks, [1, 2, 3].map((n) => ({ scheduledAt: NOON + n * MINUTE, firedAt: NOON + n * MINUTE, missed: false })));
    assert.deepEqual(saved, [NOON + 10_000, NOON + MINUTE, NOON + 2 * MINUTE, NOON + 3 * MINUTE]);
    assert.equal(schedule.next(), NOON + 4 * MINUTE);
  });

  it("runs through both changes of clocks", async () => {
    const time = fakeClock(Date.parse("2026-03-28T12:00Z"));
    const { fired } = await begin(time, { spec: { kind: "cron", expression: "30 2 * * *", timeZone: "Europe/Berlin" } });
    await time.pass(3 * DAY);
    assert.deepEqual(fired().map(iso), ["03-29T01:00", "03-30T00:30", "03-31T00:30"]);
    const autumn = fakeClock(Date.parse("2026-10-24T22:30Z"));
    const hourly = await begin(autumn, { spec: { kind: "cron", expression: "0 * * * *", timeZone: "Europe/Berlin" } });
    await autumn.pass(6 * HOUR);
    assert.deepEqual(hourly.fired().map(iso), ["10-24T23:00", "10-25T00:00", "10-25T01:00", "10-25T02:00", "10-25T03:00", "10-25T04:00"]);
  });

  it("waits months with short timers and leaves none behind", async () => {
    const time = fakeClock(NOON);
    const { schedule, fired } = await begin(time, { spec: { kind: "once", at: "2026-08-30T12:00", timeZone: "UTC" } });
    await time.pass(91 * DAY);
    assert.deepEqual(fired().map(iso), ["08-30T12:00"]);
    assert.equal(schedule.next(), undefined);
    await schedule.close();
    assert.equal(time.timers(), 0);
  });

  it("stops when closed", async () => {
    const time = fakeClock(NOON);
    const { schedule, fired } = await begin(time);
    await time.pass(MINUTE);
    await schedule.close();
    await time.pass(HOUR);
    assert.equal(fired().length, 1);
  });

  describe("after a time when nobody looked", () => {
    const down = { lastFired: NOON, clock: NOON + HOUR + 20_000 };
    for (const [missed, expected] of [["skip", ["13:00"]], ["once", ["13:00"]], ["all", Array.from({ length: 60 }, (_, n) => iso(NOON + (n + 1) * MINUTE).slice(6))]] as const) {
      it(`${missed}: the newest is still on time, older ones by policy`, async () => {
        const { ticks, skipped } = await begin(fakeClock(down.clock), { lastFired: down.lastFired, missed });
        assert.deepEqual(ticks.map(({ scheduledAt }) => iso(scheduledAt).slice(6)), expected);
        assert.deepEqual(ticks.filter((tick) => !tick.missed).map(({ scheduledAt }) => iso(scheduledAt).slice(6)), ["13:00"]);
        assert.equal(skipped.length, 60 - expected.length);
      });
    }
    const daily = { kind: "cron", expression: "0 6 * * *", timeZone: "UTC" } as const;
    for (const [missed, expected] of [["skip", []], ["once", ["06-04T06:00"]], ["all", ["06-02T06:00", "06-03T06:00", "06-04T06:00"]]] as const) {
      it(`${missed}: of three missed days`, async () => {
        const time = fakeClock(NOON + 3 * DAY);
        const { ticks, saved, fired } = await begin(time, { spec: daily, lastFired: NOON, missed });
        assert.deepEqual(fired().map(iso), expected);
        assert.ok(ticks.every((tick) => tick.missed && tick.firedAt === NOON + 3 * DAY));
        assert.equal(iso(saved.at(-1) ?? 0), "06-04T06:00");
        await time.pass(DAY);
        assert.equal(iso(fired().at(-1) ?? 0), "06-05T06:00");
      });
    }
    it("makes up for at most a hundred", async () => {
      const { fired } = await begin(fakeClock(NOON + 30 * DAY), { spec: { kind: "cron", expression: "* * * * * *", timeZone: "UTC" }, lastFired: NOON, missed: "all" });
      assert.equal(fired().length, 100);
      assert.equal(fired().at(-1), NOON + 30 * DAY);
    });
    it("fires nothing on the very first opening", async () => {
      const { fired, saved } = await begin(fakeClock(NOON + 30_000), { missed: "all" });
      assert.deepEqual([fired(), saved], [[], [NOON + 30_000]]);
    });
    it("keeps an interval aligned over restarts", async () => {
      const spec = { kind: "every", every: 45, unit: "minutes" } as const;
      const first = fakeClock(NOON + 7000);
      const before = await begin(first, { spec });
      await first.pass(100 * MINUTE);
      await before.schedule.close();
      const after = await begin(fakeClock(NOON + 3 * HOUR), { spec, lastFired: before.saved.at(-1) ?? 0 });
      assert.deepEqual(before.fired(), [NOON + 7000 + 45 * MINUTE, NOON + 7000 + 90 * MINUTE]);
      assert.equal(after.schedule.next(), NOON + 7000 + 180 * MINUTE);
    });
  });

  describe("a restart", () => {
    it("loses no tick and repeats none under another identity, whenever it comes", async () => {
      // The inbox of the node: a tick is known by its time on the schedule.
      const inbox = new Map<number, number>();
      let mark: number | undefined;
      let now = NOON;
      for (let life = 0; life < 40; life++) {
        const time = fakeClock(now);
        const { schedule } = await begin(time, {
          ...(mark === undefined ? {} : { lastFired: mark }),
          missed: "all",
          save: async (at) => { await Promise.resolve(); mark = at; },
          fire: async (tick) => {
            if (life % 3 === 1) await Promise.resolve();
            inbox.set(tick.scheduledAt, (inbox.get(tick.scheduledAt) ?? 0) + 1);
            if (life % 4 === 2) return new Promise<never>(() => undefined);   // killed before it could tell
            return undefined as never;
          },
        });
        await time.pass((life % 7) * 41_000);
        if (life % 2 === 0) void schedule.close();
        now = time.clock.now() + (life % 5) * 13_000;
      }
      const seen = [...inbox.keys()].sort((a, b) => a - b);
      assert.deepEqual(seen, Array.from({ length: seen.length }, (_, n) => NOON + (n + 1) * MINUTE));
      assert.ok(seen.length > 80);
    });

    it("does not move the mark past a tick that is not kept yet", async () => {
      const time = fakeClock(NOON);
      const holds: (() => void)[] = [];
      const { saved } = await begin(time, { fire: () => new Promise<void>((resolve) => { holds.push(resolve); }) });
      await time.pass(2 * MINUTE);
      holds[1]?.();
      await time.pass(0);
      assert.deepEqual(saved, [NOON]);
      holds[0]?.();
      await time.pass(0);
      assert.deepEqual(saved, [NOON, NOON + 2 * MINUTE]);
    });
  });

  describe("clock jumps", () => {
    for (const missed of ["skip", "once", "all"] as const) {
      for (const [name, jump] of [["an hour", HOUR], ["a day", DAY]] as const) {
        it(`${missed}: ${name} ahead and back again gives no storm, no double and no lost tick`, async () => {
          const time = fakeClock(NOON);
          const { fired } = await begin(time, { missed });
          await time.pass(5 * MINUTE);
          time.jump(NOON + 5 * MINUTE + jump);
          await time.pass(5 * MINUTE);
          const during = fired().length;
          assert.ok(during >= 9 && during <= (missed === "all" ? 110 : 12), `${during} ticks`);
          time.jump(NOON + 10 * MINUTE);
          await time.pass(2 * jump);
          assert.equal(new Set(fired()).size, fired().length, "a tick came twice");
          for (let at = NOON + 12 * MINUTE; at < NOON + 2 * jump; at += MINUTE) assert.ok(fired().includes(at), `${iso(at)} is lost`);
        });
        it(`${missed}: ${name} back fires nothing twice and goes on`, async () => {
          const time = fakeClock(NOON);
          const { fired } = await begin(time, { missed });
          await time.pass(2 * jump);
          time.jump(NOON + jump);
          await time.pass(2 * jump);
          assert.equal(new Set(fired()).size, fired().length);
          assert.deepEqual(fired().toSorted((a, b) => a - b).at(-1), NOON + 3 * jump);
          assert.equal(fired().length, (3 * jump) / MINUTE);
        });
      }
      it(`${missed}: back to 1970 is silent until the clock is set`, async () => {
        const time = fakeClock(NOON);
        const { fired } = await begin(time, { missed });
        await time.pass(5 * MINUTE);
        time.jump(0);
        await time.pass(HOUR);
        assert.equal(fired().length, 5);
        time.jump(NOON + 65 * MINUTE);
        await time.pass(5 * MINUTE);
        assert.ok(fired().length <= (missed === "all" ? 71 : 12), `${fired().length}`);
        assert.equal(fired().at(-1), NOON + 70 * MINUTE);
      });
      it(`${missed}: a machine that wakes in 1970 does not make up for half a century`, async () => {
        const time = fakeClock(1000);
        const { fired, saved } = await begin(time, { missed });
        await time.pass(MINUTE);
        const before = fired().length;
        time.jump(NOON);
        await time.pass(MINUTE);
        assert.ok(fired().length <= before + 2, `${fired().length} ticks`);
        assert.equal(saved.at(-1), NOON + MINUTE);
      });
    }
    it("a one-off that a wrong clock passed over still comes", async () => {
      const time = fakeClock(NOON);
      const { fired } = await begin(time, { spec: { kind: "once", at: "2026-06-01T15:00", timeZone: "UTC" } });
      time.jump(NOON + DAY);
      await time.pass(MINUTE);
      assert.deepEqual(fired(), []);
      time.jump(NOON + 2 * MINUTE);
      await time.pass(4 * HOUR);
      assert.deepEqual(fired(), [NOON + 3 * HOUR]);
    });
  });

  describe("overlap", () => {
    function slow(minutes: number, time: ReturnType<typeof fakeClock>) {
      const state = { now: 0, most: 0 };
      const fire = async (_tick: Tick) => {
        state.now++;
        state.most = Math.max(state.most, state.now);
        return { done: new Promise<void>((resolve) => { time.clock.after(minutes * MINUTE, () => { state.now--; resolve(); }); }) };
      };
      return { state, fire };
    }
    it("parallel: all run", async () => {
      const time = fakeClock(NOON);
      const { state, fire } = slow(2.5, time);
      await begin(time, { overlap: "parallel", fire });
      await time.pass(10 * MINUTE);
      assert.equal(state.most, 3);
    });
    it("skip: leaves out what comes meanwhile and says so", async () => {
      const time = fakeClock(NOON);
      const { state, fire } = slow(2.5, time);
      const at: number[] = [];
      const { skipped, saved } = await begin(time, { overlap: "skip", fire: (tick) => { at.push(tick.scheduledAt); return fire(tick); } });
      await time.pass(7 * MINUTE);
      assert.equal(state.most, 1);
      assert.deepEqual(at.map((t) => (t - NOON) / MINUTE), [1, 4, 7]);
      assert.deepEqual(skipped.map(([t, why]) => [(t - NOON) / MINUTE, why]), [[2, "overlap"], [3, "overlap"], [5, "overlap"], [6, "overlap"]]);
      assert.equal(saved.at(-1), NOON + 7 * MINUTE);
    });
    it("queue: one after the other, none left out", async () => {
      const time = fakeClock(NOON);
      const { state, fire } = slow(1.5, time);
      const at: number[] = [];
      const { saved } = await begin(time, { overlap: "queue", fire: (tick) => { at.push(tick.scheduledAt); return fire(tick); } });
      await time.pass(10 * MINUTE);
      assert.equal(state.most, 1);
      assert.deepEqual(at.map((t) => (t - NOON) / MINUTE), [1, 2, 3, 4, 5, 6, 7]);
      assert.equal(saved.at(-1), NOON + 7 * MINUTE, "what waits is not marked as dealt with");
    });
    it("skip: makes up for missed runs one after the other", async () => {
      const time = fakeClock(NOON + 3 * DAY);
      const { state, fire } = slow(1, time);
      const at: number[] = [];
      await begin(time, { spec: { kind: "cron", expression: "0 6 * * *", timeZone: "UTC" }, lastFired: NOON, missed: "all", overlap: "skip", fire: (tick) => { at.push(tick.scheduledAt); return fire(tick); } });
      await time.pass(5 * MINUTE);
      assert.deepEqual([at.map(iso), state.most], [["06-02T06:00", "06-03T06:00", "06-04T06:00"], 1]);
    });
  });

  describe("trouble", () => {
    it("tries a tick again that could not be kept, with the same identity", async () => {
      const time = fakeClock(NOON);
      const tries: Tick[] = [];
      const { failed, saved } = await begin(time, {
        fire: async (tick) => {
          tries.push(tick);
          if (tries.length < 4) throw new ClawError("STORE_001", { retry: "later" });
        },
      });
      await time.pass(MINUTE + 30_000);
      assert.deepEqual(tries.map(({ scheduledAt, firedAt }) => [scheduledAt - NOON, firedAt - NOON]), [[60_000, 60_000], [60_000, 61_000], [60_000, 66_000], [60_000, 81_000]]);
      assert.deepEqual([failed.map(({ code }) => code), saved.at(-1)], [["STORE_001"], NOON + MINUTE]);
    });
    it("tells of a tick that cannot be fired and goes on", async () => {
      const time = fakeClock(NOON);
      let n = 0;
      const { failed, saved } = await begin(time, { fire: async () => { if (n++ === 0) throw new Error("no flow"); } });
      await time.pass(2 * MINUTE);
      assert.deepEqual(failed.map((error) => [error.code, error.message]), [["MSG_002", "no flow"]]);
      assert.equal(saved.at(-1), NOON + 2 * MINUTE);
    });
    it("tells of a mark that cannot be saved and goes on", async () => {
      const time = fakeClock(NOON);
      const { failed, fired } = await begin(time, { save: async () => { throw new Error("disk full"); } });
      await time.pass(MINUTE);
      assert.deepEqual(failed.map(({ code }) => code), ["STORE_001", "STORE_001"]);
      assert.equal(fired().length, 1);
    });
    it("refuses a spec that is not valid", async () => {
      await assert.rejects(begin(fakeClock(NOON), { spec: { kind: "cron", expression: "no" } }), { code: "CONF_001" });
    });
  });

  describe("on the real clock", function () {
    this.timeout(10_000);
    const everySecond = { kind: "cron", expression: "* * * * * *" } as const;
    async function ticks(count: number, options: Pick<ScheduleOptions, "clock"> & Partial<ScheduleOptions>): Promise<number[]> {
      const fired: number[] = [];
      const done = Promise.withResolvers<void>();
      const keepAlive = setInterval(() => undefined, 1000);
      const schedule = await createSchedule({
        spec: everySecond, missed: "skip", overlap: "parallel", save() {},
        fire: async ({ scheduledAt }) => { if (fired.push(scheduledAt) === count) done.resolve(); }, ...options,
      });
      await done.promise;
      assert.equal(cron.getTasks().size, 1);
      await schedule.close();
      clearInterval(keepAlive);
      assert.equal(cron.getTasks().size, 0, "node-cron's task is left");
      return fired;
    }
    it("fires each second once, by whichever looks first", async () => {
      const fired = await ticks(3, { clock: systemClock });
      assert.deepEqual(fired.map((at) => at - (fired[0] ?? 0)), [0, 1000, 2000]);
    });
    it("goes on by node-cron alone when timers are lost", async () => {
      const fired = await ticks(2, { clock: { ...systemClock, after: () => () => undefined }, ticker: await loadTicker() });
      assert.equal((fired[1] ?? 0) - (fired[0] ?? 0), 1000);
    });
  });
});
