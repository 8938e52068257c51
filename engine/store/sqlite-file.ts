/** Opening the store's file: one owner, sound or moved aside, readable by nobody else. */
import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { StoreError, type ErrorCode } from "../errors.ts";
import { migrate } from "./schema.ts";

/** Something that was repaired at opening and that a person must know. `backup`: the latest copy made by `backup()`, if it is still there. */
export interface StoreProblem { readonly code: ErrorCode; readonly text: string; readonly moved: string; readonly backup?: string }
/** Kept beside the store, outside of what can be damaged with it. */
interface State { readonly state: keyof typeof CHECK_BYTES; readonly backup?: string }
export interface OpenFile<T> { readonly db: DatabaseSync; readonly started: T; readonly problems: readonly StoreProblem[]; readonly file: string }
export interface FileOptions { readonly now: number; readonly synchronous: "FULL" | "NORMAL"; readonly maxBytes?: number }

/** How the store was left, and up to which size it is then checked at opening: a check takes about 1 ms per MB, on the disk of a small board ten times that. */
const CHECK_BYTES = { closed: 32 * 1024 * 1024, open: 256 * 1024 * 1024, damaged: Number.POSITIVE_INFINITY };
const WAL_BYTES = 16 * 1024 * 1024;
const PAGE_BYTES = 4096;
/** Pages in the -wal before they are brought home: most of them change several times within that. */
const CHECKPOINT_PAGES = 3000;
/** Primary result codes of SQLite. */
const BUSY = [5, 6];
const DAMAGED = [11, 26];
const NOT_FOUND = 1;
const DISK = [3, 7, 8, 9, 10, 13, 14, 15];

/** SQLite's primary result code; undefined for an error that is not SQLite's. */
export function resultCode(error: unknown): number | undefined {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return typeof code === "number" ? code & 0xff : undefined;
}
/** Whether the disk or the file is at fault, and not the values. */
export function isStoreFault(error: unknown): boolean {
  const code = resultCode(error);
  return code !== undefined && [...BUSY, ...DAMAGED, ...DISK].includes(code);
}
/** Any fault of SQLite or the file system, in our words. */
export function storeError(error: unknown, file: string): StoreError {
  if (error instanceof StoreError) return error;
  const code = resultCode(error);
  const text = error instanceof Error ? error.message : String(error);
  if (code !== undefined && BUSY.includes(code)) return new StoreError("STORE_004", { retry: "later", cause: error }, `Expected to be the only user of ${file}, but another gateway or Node-RED has it open. Give each its own folder.`);
  if (code !== undefined && DAMAGED.includes(code)) return new StoreError("STORE_002", { retry: "later", cause: error }, `Expected a sound store, got "${text}" from ${file}. Restart Node-RED: it is then checked and, if needed, moved aside.`);
  if (code === undefined && (error instanceof TypeError || error instanceof RangeError)) return new StoreError("MSG_001", { cause: error }, `Expected plain JSON values, got: ${text}`);
  if (code !== undefined && !DISK.includes(code)) return new StoreError("MSG_001", { cause: error }, `Expected values the store can keep, got: ${text}`);
  return new StoreError("STORE_001", { retry: "later", cause: error }, `Expected to read and write ${file}, got "${text}". Free disk space or correct the rights.`);
}

async function sqlite(): Promise<typeof import("node:sqlite")> {
  try {
    return await import("node:sqlite");
  } catch (error) {
    throw new StoreError("STORE_001", { cause: error }, `Expected a Node.js with SQLite, got ${process.version} without it. Use Node.js 22.13 or newer from nodejs.org.`);
  }
}

/** Writes a consistent copy of an open store, under its name only when it is complete. `started` is called when transactions may go on. */
export async function copy(db: DatabaseSync, target: string, started: () => void): Promise<void> {
  const part = `${target}.part`;
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  rmSync(part, { force: true });
  createPrivate(part);
  try {
    const { backup } = await sqlite() as Partial<typeof import("node:sqlite")>;
    // Node.js before 22.16 has no `backup`, which lets commits pass between its portions. Its first portion fails when it meets a transaction; later ones wait.
    if (backup === undefined) db.prepare("VACUUM INTO ?").run(part);
    else await backup(db, part, { rate: 256, progress: started });
    sync(part);
    renameSync(part, target);
  } finally {
    for (const ending of ["", "-journal", "-wal", "-shm"]) rmSync(part + ending, { force: true });
  }
}
function sync(file: string): void {
  const handle = openSync(file, "r+");
  try { fsyncSync(handle); } finally { closeSync(handle); }
}

/**
 * Opens or begins the store of a folder. `start` prepares all that will be asked of it; what fails there shows damage that no check has seen.
 * Throws StoreError: STORE_001 unwritable, STORE_003 newer version, STORE_004 in use.
 */
export async function openFile<T>(folder: string, options: FileOptions, start: (db: DatabaseSync) => T): Promise<OpenFile<T>> {
  const { DatabaseSync } = await sqlite();
  const file = join(folder, "store.sqlite");
  const problems: StoreProblem[] = [];
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    makePrivate(folder, 0o700);
    const before = readState(folder);
    const begun = before !== undefined || sizeOf(`${file}-wal`) > 0;
    const size = sizeOf(file);
    let opened: { db: DatabaseSync; started: T };
    try {
      if (size < 1 && begun) throw new Damaged(size < 0 ? "its file is missing" : "its file is empty");
      opened = open(DatabaseSync, file, options, CHECK_BYTES[before?.state ?? "open"], start);
    } catch (error) {
      const code = resultCode(error);
      if (!(error instanceof Damaged) && (code === undefined || !DAMAGED.includes(code))) throw error;
      const moved = moveAside(file, options.now);
      const backup = before?.backup !== undefined && existsSync(before.backup) ? before.backup : undefined;
      const where = moved === undefined ? "" : ` It was moved to ${moved}.`;
      const help = backup === undefined ? "There is no backup." : `The last backup is ${backup}.`;
      const why = (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " ");
      problems.push({ code: "STORE_002", text: `The store ${file} was damaged: ${why}.${where} A new one was begun. ${help}`, moved: moved ?? "", ...(backup === undefined ? {} : { backup }) });
      opened = open(DatabaseSync, file, options, 0, start);
    }
    writeState(folder, { ...before, state: "open" });
    return { ...opened, problems, file };
  } catch (error) {
    throw storeError(error, file);
  }
}

class Damaged extends Error {}

function open<T>(Database: typeof DatabaseSync, file: string, { synchronous, maxBytes }: FileOptions, checkBytes: number, start: (db: DatabaseSync) => T): { db: DatabaseSync; started: T } {
  createPrivate(file);
  const db = new Database(file);
  try {
    // Exclusive before the first access: the lock is the operating system's and ends with the process, and no -shm file is needed.
    db.exec("PRAGMA locking_mode = EXCLUSIVE");
    db.prepare("SELECT count(*) FROM sqlite_schema").get();
    if (sizeOf(file) <= checkBytes) {
      const found = (db.prepare("PRAGMA integrity_check(1)").get() as { integrity_check?: string } | undefined)?.integrity_check;
      if (found !== "ok") throw new Damaged(found ?? "the check gave no answer");
    }
    migrate(db, undefined, () => db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA journal_size_limit = ${WAL_BYTES}`));
    if (maxBytes !== undefined) db.exec(`PRAGMA max_page_count = ${Math.max(1, Math.floor(maxBytes / PAGE_BYTES))}`);
    return { db, started: begin(db, start) };
  } catch (error) {
    db.close();
    throw error;
  }
}
function begin<T>(db: DatabaseSync, start: (db: DatabaseSync) => T): T {
  try {
    return start(db);
  } catch (error) {
    // A table or column that is not there under its name.
    throw resultCode(error) === NOT_FOUND ? new Damaged(error instanceof Error ? error.message : String(error)) : error;
  }
}

/**
 * SQLite makes its -wal with the rights of the main file, so these are set before it sees it. Never opens a file that exists:
 * closing any descriptor of it would drop the lock that this process may hold on it.
 */
function createPrivate(file: string): void {
  try {
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    makePrivate(file, 0o600);
  }
}
/** Best effort: a folder that belongs to somebody else keeps its rights. */
function makePrivate(path: string, mode: number): void {
  if (process.platform === "win32" || (statSync(path).mode & 0o077) === 0) return;
  try { chmodSync(path, mode); } catch { /* What cannot be written either is named by what comes next. */ }
}
function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? -1;
}
/** The new name, or undefined when there was nothing to move. */
function moveAside(file: string, now: number): string | undefined {
  const stamp = new Date(now).toISOString().replace(/[:.]/g, "-");
  let target = `${file}.damaged-${stamp}`;
  for (let n = 2; existsSync(target); n++) target = `${file}.damaged-${stamp}-${n}`;
  let moved: string | undefined;
  for (const ending of ["", "-wal", "-shm"]) {
    if (!existsSync(file + ending)) continue;
    renameSync(file + ending, target + ending);
    moved ??= target + ending;
  }
  return moved;
}

function readState(folder: string): State | undefined {
  const file = join(folder, "store.json");
  if (!existsSync(file)) return undefined;
  try {
    const state = JSON.parse(readFileSync(file, "utf8")) as Partial<State> | null;
    return { state: state?.state !== undefined && Object.hasOwn(CHECK_BYTES, state.state) ? state.state : "open", ...(typeof state?.backup === "string" ? { backup: state.backup } : {}) };
  } catch {
    return { state: "open" };
  }
}
/** Best effort: on a full disk the store still opens for reading. */
function writeState(folder: string, state: State): void {
  const file = join(folder, "store.json");
  try {
    const handle = openSync(`${file}.new`, "w", 0o600);
    try { writeSync(handle, `${JSON.stringify(state)}\n`); fsyncSync(handle); } finally { closeSync(handle); }
    renameSync(`${file}.new`, file);
  } catch { /* The next start checks the store once more than needed. */ }
}
/** Keeps what was noted before. */
export function note(folder: string, change: Partial<State>): void {
  writeState(folder, { state: "open", ...readState(folder), ...change });
}
