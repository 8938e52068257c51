/** What a stub saw, one line of JSON each, appended at once: the judge reads nothing else. Times are of one monotonic clock that all processes of the machine share. */
import { openSync, readFileSync, writeSync } from "node:fs";

/** `t`: milliseconds of the machine's monotonic clock. */
export interface Entry { readonly t: number; readonly what: string; readonly [field: string]: unknown }
export type Log = ((what: string, fields?: Record<string, unknown>) => void) & { readonly entries: Entry[] };

export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export function openLog(file: string): Log {
  const handle = openSync(file, "a");
  const entries: Entry[] = [];
  const log = (what: string, fields: Record<string, unknown> = {}): void => {
    const entry: Entry = { t: monotonicMs(), what, ...fields };
    entries.push(entry);
    writeSync(handle, `${JSON.stringify(entry)}\n`);
  };
  return Object.assign(log, { entries });
}

export function readLog(file: string): Entry[] {
  return readFileSync(file, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Entry);
}
