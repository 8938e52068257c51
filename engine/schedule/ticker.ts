/** The second hand: node-cron calls on its own timer, so that a run comes even where a single long timer was lost. */

/** Calls `beat` about whenever the expression matches, until the returned function is called. */
export type Ticker = (expression: string, zone: string, beat: () => void) => () => void;

/** Loads node-cron. It may call too seldom (daylight saving, day and weekday both given), never does harm by calling too often. */
export async function loadTicker(): Promise<Ticker> {
  const { schedule } = await import("node-cron");
  const silent = { info() {}, warn() {}, error() {}, debug() {} };
  return (expression, timezone, beat) => {
    const task = schedule(expression, beat, { timezone, unref: true, suppressMissedWarning: true, logger: silent });
    return () => void task.destroy();
  };
}
