/** What is known of a store beside its file, where it cannot be damaged with it: `store.json`. */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";

export type Left = "closed" | "open" | "damaged";
export interface State {
  readonly state: Left;
  /** The copy made last. */
  readonly backup?: string;
  /** The -wal held a commit while the store was open: where it is gone at the next start, commits are gone with it. */
  readonly log?: boolean;
}

export function readState(folder: string): State | undefined {
  const file = join(folder, "store.json");
  if (!existsSync(file)) return undefined;
  try {
    const found = (JSON.parse(readFileSync(file, "utf8")) ?? {}) as Partial<State>;
    return {
      state: found.state === "closed" || found.state === "damaged" ? found.state : "open",
      ...(typeof found.backup === "string" ? { backup: found.backup } : {}), ...(found.log === true ? { log: true } : {}),
    };
  } catch {
    return { state: "open" };
  }
}

/** Best effort: on a full disk the store still opens for reading. Where a "log" could not be taken back, the whole note goes: no note is better than a wrong one. */
export function writeState(folder: string, state: State): void {
  const file = join(folder, "store.json");
  try {
    const handle = openSync(`${file}.new`, "w", 0o600);
    try { writeSync(handle, `${JSON.stringify(state)}\n`); fsyncSync(handle); } finally { closeSync(handle); }
    renameSync(`${file}.new`, file);
    syncFolder(folder);
  } catch {
    if (state.log === true) return;
    try { rmSync(file, { force: true }); } catch { /* A disk that takes nothing at all: then nothing was committed either. */ }
  }
}
/** Keeps what was noted before. */
export function note(folder: string, change: Partial<State>): void {
  writeState(folder, { state: "open", ...readState(folder), ...change });
}

/** What a folder lists survives a power cut only then. Windows knows no such thing. */
export function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  let handle: number;
  try { handle = openSync(folder, "r"); } catch { return; }
  try { fsyncSync(handle); } catch { /* Not every file system can. */ } finally { closeSync(handle); }
}
/** The name under which something is kept when it has to make room: of an instant, and never one that exists. */
export function asideName(file: string, what: string, now: number): string {
  const stamp = stampOf(now);
  let target = `${file}.${what}-${stamp}`;
  for (let n = 2; existsSync(target); n++) target = `${file}.${what}-${stamp}-${n}`;
  return target;
}
export function stampOf(now: number): string {
  return new Date(now).toISOString().replace(/[:.]/g, "-");
}
/** Moves the store's file with its -wal and -shm. The new name, or undefined when there was nothing to move. */
export function moveAside(file: string, what: string, now: number): string | undefined {
  const target = asideName(file, what, now);
  let moved: string | undefined;
  for (const ending of ["-wal", "-shm", ""]) {
    if (!existsSync(file + ending)) continue;
    renameSync(file + ending, target + ending);
    moved = target + ending;
  }
  syncFolder(dirname(file));
  return moved;
}

/** Backups that are made by themselves, newest first. */
export function backupsIn(folder: string): string[] {
  const home = join(folder, "backups");
  if (!existsSync(home)) return [];
  return readdirSync(home).filter((name) => BACKUP_NAME.test(name)).sort().reverse().map((name) => join(home, name));
}
const BACKUP_NAME = /^store-\d{4}-[\dTZ-]+\.sqlite$/;
export function backupName(folder: string, now: number): string {
  return join(folder, "backups", `store-${stampOf(now)}.sqlite`);
}
/** The copy to be offered when the store is damaged. */
export function latestBackup(folder: string, state: State | undefined): string | undefined {
  return state?.backup !== undefined && existsSync(state.backup) ? state.backup : backupsIn(folder)[0];
}
