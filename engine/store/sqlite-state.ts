/** What is known of a store beside its file, where it cannot be damaged with it: `store.json`. */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ErrorCode } from "../errors.ts";
import type { Rescued } from "./sqlite-rescue.ts";

/**
 * Something that was repaired at opening and that a person must know. `text` says all of it; the rest are its parts, for whoever says it in another language.
 * - `anew`: the file was damaged, and a new one begun with what could be read of it (`saved`; nothing where that is left out).
 * - `records`: so many single damaged records (`count`) are gone.
 * - `behind`: what was saved last is gone.
 * - `restored`: a backup was put back.
 */
export interface StoreProblem {
  readonly code: ErrorCode;
  readonly text: string;
  readonly kind: "anew" | "records" | "behind" | "restored";
  /** Unix milliseconds. */
  readonly at: number;
  /** Where the damaged file is now, or "". */
  readonly moved: string;
  /** The latest copy, if there is one. */
  readonly backup?: string;
  readonly saved?: Rescued;
  readonly why?: string;
  readonly count?: number;
  /** Of `behind` and `restored`: messages that became dead letters, and parts of which it is found out whether they were sent. */
  readonly receipts?: number;
  readonly rows?: number;
}

export type Left = "closed" | "open" | "damaged";
export interface State {
  readonly state: Left;
  /** The copy made last. */
  readonly backup?: string;
  /** The -wal held a commit while the store was open: where it is gone at the next start, commits are gone with it. */
  readonly log?: boolean;
  /** What befell the store, newest first, until a person has read it. */
  readonly problems?: readonly StoreProblem[];
}
const MOST_PROBLEMS = 5;

export function readState(folder: string): State | undefined {
  const file = join(folder, "store.json");
  if (!existsSync(file)) return undefined;
  try {
    const found = (JSON.parse(readFileSync(file, "utf8")) ?? {}) as Partial<State>;
    return {
      state: found.state === "closed" || found.state === "damaged" ? found.state : "open",
      ...(typeof found.backup === "string" ? { backup: found.backup } : {}), ...(found.log === true ? { log: true } : {}),
      ...(Array.isArray(found.problems) ? { problems: found.problems.filter(isProblem) } : {}),
    };
  } catch {
    return { state: "open" };
  }
}

function isProblem(given: unknown): given is StoreProblem {
  const { code, text, kind, at, moved } = (given ?? {}) as Partial<StoreProblem>;
  return [code, text, kind, moved].every((part) => typeof part === "string") && typeof at === "number";
}
/** Those that were told before, behind the new ones. */
export function withProblems(before: State | undefined, found: readonly StoreProblem[]): Pick<State, "problems"> {
  const problems = [...found, ...before?.problems ?? []].slice(0, MOST_PROBLEMS);
  return problems.length === 0 ? {} : { problems };
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
/** Stores that made room for a backup, and were closed in order: with anything in a -wal beside it a store is not all in one file. */
export function replacedIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => REPLACED_NAME.test(name)).map((name) => join(folder, name)).filter((file) => (statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0);
}
const REPLACED_NAME = /^store\.sqlite\.replaced-\d{4}-[\dTZ-]+$/;
export function backupName(folder: string, now: number): string {
  return join(folder, "backups", `store-${stampOf(now)}.sqlite`);
}
/** The copy to be offered when the store is damaged. */
export function latestBackup(folder: string, state: State | undefined): string | undefined {
  return state?.backup !== undefined && existsSync(state.backup) ? state.backup : backupsIn(folder)[0];
}
