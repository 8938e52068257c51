/** A clock that runs faster than the wall and can jump ahead; what is due on the way happens in its order. Two processes with the same settings show the same time. */
import type { Clock } from "../../../engine/clock.ts";
import { monotonicMs } from "../stubs/log.ts";

/** At `realMs` of the machine's monotonic clock it is `startMs`; from there `speed` times as fast, and `jumpedMs` ahead. */
export interface Pace { readonly startMs: number; readonly realMs: number; readonly speed: number; readonly jumpedMs: number }
export interface FastClock extends Clock { jump(ms: number): Promise<void>; readonly timers: number }

export function fastClock({ startMs, realMs, speed, jumpedMs }: Pace): FastClock {
  let jumped = jumpedMs;
  const now = (): number => startMs + (monotonicMs() - realMs) * speed + jumped;
  interface Timer { readonly at: number; readonly act: () => void; handle: NodeJS.Timeout | undefined }
  const timers = new Set<Timer>();
  function fire(timer: Timer): void {
    if (!timers.delete(timer)) return;
    clearTimeout(timer.handle);
    timer.act();
  }
  const arm = (timer: Timer): void => { clearTimeout(timer.handle); timer.handle = setTimeout(() => fire(timer), Math.min(2 ** 31 - 1, Math.max(0, (timer.at - now()) / speed))); };
  const breathe = async (): Promise<void> => { for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => { setImmediate(resolve); }); };
  return {
    now, monotonic: now,
    get timers() { return timers.size; },
    after(ms, act) {
      const timer: Timer = { at: now() + ms, act, handle: undefined };
      timers.add(timer);
      arm(timer);
      return () => { timers.delete(timer); clearTimeout(timer.handle); };
    },
    async jump(ms) {
      const end = now() + ms;
      for (;;) {
        const next = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        jumped += Math.max(0, next.at - now());
        fire(next);
        await breathe();
      }
      jumped += Math.max(0, end - now());
      for (const timer of timers) arm(timer);
      for (let turn = 0; turn < 5; turn++) await breathe();
    },
  };
}
