/** A look into SQLite's -wal before SQLite does: after the first frame that does not fit it stops, and says nothing of what follows. Format: sqlite.org/fileformat2.html, section 4. */
import { readFileSync } from "node:fs";

const HEADER = 32;
const FRAME_HEADER = 24;
/** A larger one is not looked into: SQLite is told to keep it below 16 MB. */
const MOST_BYTES = 256 * 1024 * 1024;

/**
 * Whether commits that were on disk cannot be read any more. A power cut tears at most the last commit: it is synced before the next is begun.
 * So a commit behind the torn place that has a successor (one whose checksum goes on from it) shows damage, and nothing else does.
 */
export function hasLostCommits(file: string): boolean {
  const log = readFileSync(file);
  if (log.length < HEADER || log.length > MOST_BYTES) return false;
  const magic = log.readUInt32BE(0);
  const pageBytes = log.readUInt32BE(8);
  if ((magic & 0xff_ff_ff_fe) !== 0x37_7f_06_82 || pageBytes < 512 || pageBytes > 65_536 || pageBytes % 8 !== 0) return false;
  const big = (magic & 1) === 1;
  const stride = FRAME_HEADER + pageBytes;
  const count = Math.floor((log.length - HEADER) / stride);
  const start = (frame: number): number => HEADER + frame * stride;

  /** SQLite's checksum: 32-bit words in pairs, going on from `sums`. */
  function add(sums: readonly [number, number], from: number, to: number): [number, number] {
    let [a, b] = sums;
    for (let at = from; at < to; at += 8) {
      a = (a + (big ? log.readUInt32BE(at) : log.readUInt32LE(at)) + b) >>> 0;
      b = (b + (big ? log.readUInt32BE(at + 4) : log.readUInt32LE(at + 4)) + a) >>> 0;
    }
    return [a, b];
  }
  const stored = (at: number): [number, number] => [log.readUInt32BE(at), log.readUInt32BE(at + 4)];
  const same = (x: readonly [number, number], y: readonly [number, number]): boolean => x[0] === y[0] && x[1] === y[1];
  const sumsOf = (frame: number): [number, number] => stored(start(frame) + 16);
  const ours = (frame: number): boolean => log.compare(log, 16, 24, start(frame) + 8, start(frame) + 16) === 0;
  const follows = (frame: number, sums: readonly [number, number]): boolean =>
    ours(frame) && same(add(add(sums, start(frame), start(frame) + 8), start(frame) + FRAME_HEADER, start(frame + 1)), sumsOf(frame));
  const commits = (frame: number): boolean => log.readUInt32BE(start(frame) + 4) !== 0;

  let torn = 0;
  let sums = stored(24);
  if (same(add([0, 0], 0, 24), sums)) for (; torn < count && follows(torn, sums); torn++) sums = sumsOf(torn);
  for (let frame = torn; frame + 1 < count; frame++) {
    if (ours(frame) && commits(frame) && follows(frame + 1, sumsOf(frame))) return true;
  }
  return false;
}
