/** What a stub saw, one line of JSON each, appended at once: the judge reads nothing else. Times are of one monotonic clock that all processes of the machine share. */
import { closeSync, openSync, readFileSync, readSync, writeSync } from "node:fs";

/** `t`: milliseconds of the machine's monotonic clock. */
export interface Entry { readonly t: number; readonly what: string; readonly [field: string]: unknown }
export type Log = (what: string, fields?: Record<string, unknown>) => void;

export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

export function openLog(file: string): Log {
  const handle = openSync(file, "a");
  return (what, fields = {}) => {
    const entry: Entry = { t: monotonicMs(), what, ...fields };
    writeSync(handle, `${JSON.stringify(entry)}\n`);
  };
}

/** Each call reads what was appended since the last one, and gives all there is. To look costs nearly nothing, and the process that writes nothing at all. */
export function followLog(file: string): () => readonly Entry[] {
  const entries: Entry[] = [];
  const piece = Buffer.alloc(1 << 16);
  let begun: Buffer = Buffer.alloc(0);
  let at = 0;
  return () => {
    const handle = openSync(file, "r");
    try {
      for (let size = readSync(handle, piece, 0, piece.length, at); size > 0; size = readSync(handle, piece, 0, piece.length, at)) {
        at += size;
        const text = Buffer.concat([begun, piece.subarray(0, size)]);
        const end = text.lastIndexOf("\n") + 1;
        for (const line of text.toString("utf8", 0, end).split("\n")) if (line !== "") entries.push(JSON.parse(line) as Entry);
        begun = text.subarray(end);
      }
    } finally {
      closeSync(handle);
    }
    return entries;
  };
}

export function readLog(file: string): Entry[] {
  return readFileSync(file, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Entry);
}
