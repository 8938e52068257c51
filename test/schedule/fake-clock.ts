import type { Clock } from "../../engine/clock.ts";

/** A clock that a test moves. `pass` lets time go by and fires timers on their way; `jump` sets the wall clock alone. */
export function fakeClock(start: number) {
  let wall = start;
  let steady = 0;
  const timers = new Set<{ at: number; act: () => void }>();
  const clock: Clock = {
    now: () => wall,
    monotonic: () => steady,
    after(ms, act) {
      if (ms > 2 ** 31 - 1) throw new RangeError(`A timer of ${ms} ms fires at once in Node`);
      const timer = { at: steady + ms, act };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  };
  return {
    clock,
    timers: () => timers.size,
    jump(to: number) { wall = to; },
    async pass(ms: number): Promise<void> {
      const end = steady + ms;
      for (;;) {
        const next = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        const to = next ? Math.max(next.at, steady) : end;
        wall += to - steady;
        steady = to;
        if (!next) break;
        timers.delete(next);
        next.act();
        await new Promise<void>((resume) => setImmediate(resume));
      }
      await new Promise<void>((resume) => setImmediate(resume));
    },
  };
}
