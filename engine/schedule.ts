/**
 * A schedule that fires: right over daylight saving, restarts, sleeping machines and clocks that jump. Whether a run is due is decided
 * from the wall clock alone; timers only say when to look.
 */
import { type Clock, systemClock } from "./clock.ts";
import { asClawError, type ClawError } from "./errors.ts";
import { lastRuns, runsOf, type Spec, take } from "./schedule/spec.ts";
import { loadTicker, type Ticker } from "./schedule/ticker.ts";
import { localZone } from "./schedule/zone.ts";

export { checkSpec, nextRuns, type Spec, type Unit } from "./schedule/spec.ts";

/** What happens to runs that were due while nobody looked (down, asleep, clock put forward). `once`: the newest of them; `all`: the newest hundred. */
export type Missed = "skip" | "once" | "all";
/** What happens to a run that is due while an earlier one is not done. */
export type Overlap = "skip" | "queue" | "parallel";

export interface Tick {
  /** Unix milliseconds, exactly on the schedule: with the node's id it is the tick's identity, the same after a restart. */
  readonly scheduledAt: number;
  readonly firedAt: number;
  readonly missed: boolean;
}
/** `done` resolves or rejects when what the tick began has ended; overlap is judged by it. */
export interface Begun { readonly done: Promise<unknown> }

export interface ScheduleOptions {
  readonly spec: Spec;
  readonly clock: Clock;
  /** What was last handed to `save`; absent on the very first opening, or when the spec was changed. */
  readonly lastFired?: number;
  readonly missed: Missed;
  readonly overlap: Overlap;
  /** What looks besides the clock's timers; node-cron on the system's clock. */
  readonly ticker?: Ticker;
  /** Resolves once the tick is on disk (with `done`), or once all of it is done. Throws: tried again where the error says "later", else told to `failed`. */
  fire(tick: Tick): Promise<Begun> | Promise<void>;
  /** Keeps the mark: every run up to it is dealt with. After a crash, runs after the mark are fired again with the same identity. */
  save(lastFired: number): Promise<void> | void;
  /** A tick that could not be fired, or a mark that could not be saved. */
  failed?(error: ClawError, tick: Tick | undefined): void;
  /** A run that a policy left out. */
  skipped?(scheduledAt: number, why: "missed" | "overlap"): void;
}
export interface Schedule {
  /** Unix milliseconds; undefined when no run is left. */
  next(): number | undefined;
  nextRuns(count?: number): number[];
  /** Stops looking. What has begun goes on; ticks that wait are fired after the next opening. */
  close(): Promise<void>;
}

/** Longest time between two looks: bounds what a jump of the clock can delay, and stays far below the 2^31 ms of a timer. */
const LOOK_MS = 60_000;
/** A run this late is still on time if it is the newest; older ones only within a few seconds. */
const LATE_MS = 60_000;
const LATE_EACH_MS = 5000;
const CATCH_UP = 100;
const WAITING = 100;
/** Small steps back are time servers at work; nothing is done again for them. */
const STEP_BACK_MS = 10_000;
/** A clock before this was never set (a machine without a battery begins at 1970). */
const CLOCK_UNSET = Date.UTC(2020, 0, 1);
const RETRY_MS = [1000, 5000, 15_000, 60_000];

/** Throws SettingError CONF_001 when the spec is not valid. */
export async function createSchedule(options: ScheduleOptions): Promise<Schedule> {
  const { spec, clock, overlap } = options;
  const opened = clock.now();
  const runs = await runsOf(spec, options.lastFired ?? opened);
  const ticker = options.ticker ?? (spec.kind === "cron" && clock === systemClock ? await loadTicker() : undefined);

  /** Every run up to here was looked at. */
  let mark = options.lastFired ?? opened;
  let upcoming = runs.next(mark);
  let cancelLook: (() => void) | undefined;
  let closed = false;
  /** Newest runs fired here: a clock that is put back brings their times again. */
  const fired = new Set<number>();

  const marks = createMarks(options.save, (error) => options.failed?.(error, undefined), () => closed);
  const waiting: (() => void)[] = [];
  let busy = 0;

  function moveTo(instant: number): void {
    mark = instant;
    upcoming = runs.next(mark);
  }

  /** Deals with a clock that was put back, or had not been set. True when it cannot be trusted now. */
  function unsettled(now: number): boolean {
    if (mark >= CLOCK_UNSET && now < CLOCK_UNSET) return true;
    if (now < mark - STEP_BACK_MS || (mark < CLOCK_UNSET && now >= CLOCK_UNSET)) {
      moveTo(now);
      marks.begin(now)();
    }
    return false;
  }

  function look(): void {
    if (closed) return;
    const now = clock.now();
    if (!unsettled(now) && upcoming !== undefined && upcoming <= now) act(now);
    arm();
  }

  function act(now: number): void {
    const due = lastRuns(runs, mark, now, CATCH_UP);
    const newest = due.at(-1);
    moveTo(newest ?? now);
    const onTime = (at: number): boolean => now - at <= (at === newest ? LATE_MS : LATE_EACH_MS);
    for (const at of due) {
      if (fired.has(at)) continue;
      const wanted = onTime(at) || options.missed === "all" || (options.missed === "once" && at === newest);
      if (wanted) begin(at, !onTime(at));
      else leaveOut(at, "missed");
    }
  }

  function leaveOut(at: number, why: "missed" | "overlap"): void {
    marks.begin(at)();
    options.skipped?.(at, why);
  }

  function begin(at: number, missed: boolean): void {
    fired.add(at);
    if (fired.size > 2000) fired.delete(fired.values().next().value as number);
    const queues = overlap === "queue" || (overlap === "skip" && missed);   // what is made up for comes all at once: one after the other
    if (overlap === "parallel" || busy === 0) void run(at, missed, marks.begin(at));
    else if (!queues || waiting.length >= WAITING) leaveOut(at, "overlap");
    else {
      const settle = marks.begin(at);
      waiting.push(() => void run(at, missed, settle));
    }
  }

  async function run(at: number, missed: boolean, settle: () => void): Promise<void> {
    busy++;
    try {
      const begun = await fireUntilKept({ scheduledAt: at, firedAt: clock.now(), missed });
      settle();
      await begun?.done.catch(() => undefined);   // a failed run is the caller's to report
    } finally {
      busy--;
      if (!closed) waiting.shift()?.();
    }
  }

  async function fireUntilKept(first: Tick): Promise<Begun | undefined> {
    for (let attempt = 0; ; attempt++) {
      const current = attempt === 0 ? first : { ...first, firedAt: clock.now() };
      try {
        return (await options.fire(current)) as Begun | undefined;
      } catch (thrown) {
        const error = asClawError(thrown, "MSG_002");
        if (attempt === 0 || error.retry === "no") options.failed?.(error, current);
        if (error.retry === "no" || closed) return undefined;
        const pause = error.afterMs ?? RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)] ?? 0;
        await new Promise<void>((resume) => clock.after(pause, resume));
        if (closed) return undefined;
      }
    }
  }

  function arm(): void {
    cancelLook?.();
    cancelLook = undefined;
    if (closed) return;
    const wait = upcoming === undefined ? LOOK_MS : upcoming - clock.now();
    cancelLook = clock.after(Math.min(Math.max(wait, 1), LOOK_MS), look);
  }

  if (options.lastFired === undefined) marks.begin(opened)();
  const stopTicker = spec.kind === "cron" ? ticker?.(spec.expression, spec.timeZone || localZone(), look) : undefined;
  look();

  return {
    next: () => upcoming,
    nextRuns: (count = 5) => take(runs, Math.max(mark, clock.now()), count),
    async close() {
      closed = true;
      cancelLook?.();
      stopTicker?.();
      waiting.length = 0;
      await marks.saved();
    },
  };
}

/** Keeps the newest instant up to which all is dealt with; the latest wins when saving is slower than firing. */
function createMarks(save: (at: number) => Promise<void> | void, failed: (error: ClawError) => void, closed: () => boolean) {
  const open: { at: number; settled: boolean }[] = [];
  let pending: number | undefined;
  let writing: Promise<void> | undefined;

  async function write(): Promise<void> {
    while (pending !== undefined) {
      const at = pending;
      pending = undefined;
      try {
        await save(at);
      } catch (thrown) {
        failed(asClawError(thrown, "STORE_001", "later"));
      }
    }
    writing = undefined;
  }

  return {
    /** The returned function says that the run at this instant is dealt with. */
    begin(at: number): () => void {
      const entry = { at, settled: false };
      open.push(entry);
      return () => {
        entry.settled = true;
        let reached: number | undefined;
        while (open[0]?.settled) reached = open.shift()?.at;
        // A newer schedule of the same node may own the mark by now.
        if (reached === undefined || closed()) return;
        pending = reached;
        writing ??= write();
      };
    },
    saved: async () => { await writing; },
  };
}
