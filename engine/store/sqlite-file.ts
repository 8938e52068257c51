/** Opening the store's file: one owner, sound or moved aside, readable by nobody else. */
import { accessSync, chmodSync, closeSync, constants, copyFileSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { StoreError } from "../errors.ts";
import { checkVersion, migrate, schemaVersion } from "./schema.ts";
import { beginLog, dropDamaged, isCopy, rewind } from "./sqlite-repair.ts";
import { rescue, type Rescued } from "./sqlite-rescue.ts";
import { asideName, type Left, latestBackup, moveAside, readState, type StoreProblem, syncFolder, withProblems, writeState } from "./sqlite-state.ts";
import { hasLostCommits } from "./sqlite-wal.ts";

export interface OpenFile<T> { readonly db: DatabaseSync; readonly started: T; readonly problems: readonly StoreProblem[]; readonly file: string }
export interface FileOptions { readonly now: number; readonly synchronous: "FULL" | "NORMAL"; readonly maxBytes?: number; readonly checkpointPages?: number }

/** How the store was left, and up to which size it is then checked at opening: a check takes about 1 ms per MB, on the disk of a small board ten times that. */
const CHECK_BYTES: Readonly<Record<Left, number>> = { closed: 32 * 1024 * 1024, open: 256 * 1024 * 1024, damaged: Number.POSITIVE_INFINITY };
const WAL_BYTES = 16 * 1024 * 1024;
const PAGE_BYTES = 4096;
/** Pages in the -wal before they are brought home: most of them change several times within that. */
const CHECKPOINT_PAGES = 3000;
/** Primary result codes of SQLite. */
const BUSY = [5, 6];
const DAMAGED = [11, 26];
const NOT_FOUND = 1;
const READ_ONLY = 8;
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

export async function sqlite(): Promise<typeof import("node:sqlite")> {
  try {
    return await import("node:sqlite");
  } catch (error) {
    throw new StoreError("STORE_001", { cause: error }, `Expected a Node.js with SQLite, got ${process.version} without it. Use Node.js 22.13 or newer from nodejs.org.`);
  }
}

/**
 * Opens or begins the store of a folder. `start` prepares all that will be asked of it; what fails there shows damage that no check has seen.
 * Throws StoreError: STORE_001 unwritable, STORE_003 newer version, STORE_004 in use.
 */
export async function openFile<T>(folder: string, options: FileOptions, start: (db: DatabaseSync) => T): Promise<OpenFile<T>> {
  const { DatabaseSync } = await sqlite();
  const file = fileOf(folder);
  const problems: StoreProblem[] = [];
  try {
    makeFolder(folder);
    adopt(file);
    const before = readState(folder);
    const size = sizeOf(file);
    const logBytes = sizeOf(`${file}-wal`);
    const backup = latestBackup(folder, before);
    let opened: Opened<T>;
    let behind: string | undefined;
    let checked = false;
    try {
      // SQLite would take a file without a whole page as a new one.
      if (size < PAGE_BYTES && (before !== undefined || logBytes > 0)) throw new Damaged(size < 0 ? "its file is missing" : size === 0 ? "its file is empty" : "its file is cut off");
      if (logBytes > 0) {
        const found = look(DatabaseSync, file);
        if (hasLostCommits(`${file}-wal`)) {
          const kept = asideName(`${file}-wal`, "damaged", options.now);
          copyFileSync(`${file}-wal`, kept);
          behind = `commits in its -wal file cannot be read, it is kept as ${kept}`;
        }
        if (found instanceof Error) throw found;
        checked = found;
      } else if (before?.log === true) behind = "its -wal file is missing";
      opened = open(DatabaseSync, file, { ...options, start, behind, backup, checkBytes: checked ? 0 : CHECK_BYTES[before?.state ?? "open"], damaged: before?.state === "damaged" });
    } catch (error) {
      if (!isDamage(error)) throw error;
      const problem = await beginAnew(DatabaseSync, file, options.now, error, backup);
      problems.push(problem);
      opened = open(DatabaseSync, file, { ...options, start, behind: problem.saved === undefined ? undefined : behind, backup, checkBytes: 0, damaged: false });
    }
    if (opened.problem !== undefined) problems.push(opened.problem);
    writeState(folder, { ...before, ...withProblems(before, problems), state: "open", log: opened.log });
    return { db: opened.db, started: opened.started, problems, file };
  } catch (error) {
    throw storeError(error, file);
  }
}
/** Throws StoreError STORE_004 when somebody has the store open. */
export async function isFree(file: string): Promise<void> {
  if (sizeOf(file) < 1) return;
  const { DatabaseSync } = await sqlite();
  try {
    const db = new DatabaseSync(file, { readOnly: true });
    try { schemaVersion(db); } finally { db.close(); }
  } catch (error) {
    const code = resultCode(error);
    if (code !== undefined && BUSY.includes(code)) throw storeError(error, file);
  }
}
export const fileOf = (folder: string): string => join(folder, "store.sqlite");
/** A store that is complete, and waits for the old one to be moved away. */
export const nextOf = (file: string): string => `${file}.next`;

class Damaged extends Error {}
export function isDamage(error: unknown): boolean {
  const code = resultCode(error);
  return error instanceof Damaged || (code !== undefined && DAMAGED.includes(code));
}

/**
 * Of a store with a -wal, before it is opened to write: closing a file that was opened so brings the -wal home. Throws StoreError STORE_003 when a newer
 * program made it, STORE_004 when somebody has it open. Its damage, or whether it was checked; all with nothing touched.
 */
function look(Database: typeof DatabaseSync, file: string): Error | boolean {
  const shared = `${file}-shm`;
  const had = existsSync(shared);
  const db = new Database(file, { readOnly: true });
  try {
    checkVersion(db);
    if (sizeOf(file) > CHECK_BYTES.open) return false;
    check(db);
    return true;
  } catch (error) {
    if (isDamage(error)) return error as Error;
    // A full disk has no room for the -shm that looking needs, and opening does not.
    if (DISK.includes(resultCode(error) ?? 0)) return false;
    throw error;
  } finally {
    db.close();
    if (!had) rmSync(shared, { force: true });
  }
}
export function check(db: DatabaseSync): void {
  const found = (db.prepare("PRAGMA integrity_check(1)").get() as { integrity_check?: string } | undefined)?.integrity_check;
  if (found !== "ok") throw new Damaged(found ?? "the check gave no answer");
}

/** The damaged file goes aside, and what can be read of it begins the new one. A kill in between leaves the old file, or the new one under its waiting name. */
async function beginAnew(Database: typeof DatabaseSync, file: string, now: number, fault: unknown, backup: string | undefined): Promise<StoreProblem> {
  const why = (fault instanceof Error ? fault.message : String(fault)).replaceAll(/\s+/g, " ");
  const saved = sizeOf(file) >= PAGE_BYTES ? await save(Database, file, now) : undefined;
  const moved = moveAside(file, "damaged", now);
  if (saved !== undefined) adopt(file);
  const where = moved === undefined ? "" : ` It was moved to ${moved}.`;
  return { code: "STORE_002", kind: "anew", at: now, why, text: `The store ${file} was damaged: ${why}.${where} A new one was begun${saved === undefined ? "" : savedText(saved)}. ${offer(backup)}`, moved: moved ?? "", ...(backup === undefined ? {} : { backup }), ...(saved === undefined ? {} : { saved }) };
}
const offer = (backup: string | undefined): string => (backup === undefined ? "There is no backup." : `The last backup is ${backup}.`);
function savedText({ messages, waiting, parts, turns, values, lost, complete }: Rescued): string {
  const all = `${messages} messages (${waiting} of them waiting), ${parts} parts to send, ${turns} turns of talks, ${values} values`;
  return ` with what could be read of it: ${all}; ${complete ? "nothing is known to be lost" : `more could not be read${lost === 0 ? "" : `, of ${lost} records only the key`}`}`;
}
async function save(Database: typeof DatabaseSync, file: string, now: number): Promise<Rescued | undefined> {
  const next = nextOf(file);
  const part = `${next}.part`;
  removeAll(part);
  let from: DatabaseSync | undefined;
  let to: DatabaseSync | undefined;
  try {
    from = new Database(file, { readOnly: true, defensive: false });
    // A file that was cut is then read as far as it goes, instead of not at all.
    from.exec("PRAGMA writable_schema = ON");
    from.prepare("SELECT count(*) FROM sqlite_schema").get();
    createPrivate(part);
    to = new Database(part);
    to.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF");
    migrate(to);
    const saved = await rescue(from, to, now);
    to.close();
    to = undefined;
    syncFile(part);
    renameSync(part, next);
    return saved;
  } catch (error) {
    // Too damaged to be read at all; a full disk ends the opening.
    if (isStoreFault(error) && !isDamage(error)) throw error;
    return undefined;
  } finally {
    from?.close();
    to?.close();
    removeAll(part);
  }
}
/** A store that waits for its place takes it, once the old one is out of it. */
export function adopt(file: string): void {
  const next = nextOf(file);
  if (!existsSync(next)) return;
  if (existsSync(file)) {
    rmSync(next);
    return;
  }
  for (const ending of ["-wal", "-shm"]) rmSync(file + ending, { force: true });
  renameSync(next, file);
  syncFolder(dirname(file));
}

/** What a sound file needs before it is used: a copy's, or one's whose last commits are gone, waiting work is taken from it; single damaged values are taken out. */
function setRight(db: DatabaseSync, file: string, { now, behind, damaged, backup }: Pick<Opening<unknown>, "now" | "behind" | "damaged" | "backup">): StoreProblem | undefined {
  const lost = damaged ? dropDamaged(db) : [];
  if (lost.length > 0) {
    const some = `${lost.slice(0, 5).join(", ")}${lost.length > 5 ? ", …" : ""}`;
    return { code: "STORE_002", kind: "records", at: now, count: lost.length, why: some, text: `${lost.length} records of ${file} were damaged and are gone: ${some}. ${offer(backup)}`, moved: "", ...(backup === undefined ? {} : { backup }) };
  }
  const copied = isCopy(db);
  if (!copied && behind === undefined) return undefined;
  const { receipts, rows } = rewind(db, now);
  const why = copied ? "was put back from a backup" : `lost what was saved last: ${behind}`;
  return { code: copied ? "STORE_006" : "STORE_002", kind: copied ? "restored" : "behind", at: now, receipts, rows, ...(behind === undefined ? {} : { why: behind }), text: `The store ${file} ${why}. What it still held as waiting may be done already: ${receipts} messages are dead letters now, of ${rows} parts it is found out whether they were sent.`, moved: "", ...(backup === undefined || copied ? {} : { backup }) };
}
/** Whether the first commit succeeded. Without it, on a full disk, the store still opens for reading. */
function begunLog(db: DatabaseSync, file: string, now: number): boolean {
  try {
    beginLog(db, now);
    return true;
  } catch (error) {
    // A number in the file's header makes it read-only, for programs of the future.
    if (resultCode(error) === READ_ONLY && isWritable(file) && isWritable(dirname(file))) throw new Damaged("its header forbids to write");
    return false;
  }
}
function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

interface Opening<T> extends FileOptions {
  readonly start: (db: DatabaseSync) => T;
  readonly checkBytes: number;
  /** Damage was met at work. */
  readonly damaged: boolean;
  /** Why the contents are older than what was confirmed. */
  readonly behind: string | undefined;
  readonly backup: string | undefined;
}
interface Opened<T> { readonly db: DatabaseSync; readonly started: T; readonly problem: StoreProblem | undefined; readonly log: boolean }
function open<T>(Database: typeof DatabaseSync, file: string, opening: Opening<T>): Opened<T> {
  const { synchronous, maxBytes, checkpointPages = CHECKPOINT_PAGES, checkBytes, start } = opening;
  createPrivate(file);
  const db = new Database(file);
  try {
    // Exclusive before the first access: the lock is the operating system's and ends with the process, and no -shm file is needed.
    db.exec("PRAGMA locking_mode = EXCLUSIVE");
    db.prepare("SELECT count(*) FROM sqlite_schema").get();
    if (sizeOf(file) <= checkBytes) check(db);
    migrate(db, undefined, () => db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA secure_delete = FAST; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = ${checkpointPages}; PRAGMA journal_size_limit = ${WAL_BYTES}`));
    if (maxBytes !== undefined) limitPages(db, maxBytes);
    const problem = setRight(db, file, opening);
    return { db, started: start(db), problem, log: begunLog(db, file, opening.now) };
  } catch (error) {
    db.close();
    // A table or column that is not there under its name.
    throw resultCode(error) === NOT_FOUND ? new Damaged(error instanceof Error ? error.message : String(error)) : error;
  }
}

/** SQLite never takes a number below the pages there are. */
export function limitPages(db: DatabaseSync, bytes: number | undefined): void {
  db.exec(`PRAGMA max_page_count = ${bytes === undefined ? MOST_PAGES : Math.max(1, Math.floor(bytes / PAGE_BYTES))}`);
}
const MOST_PAGES = 4_294_967_294;
const pragma = (db: DatabaseSync, name: string): number => Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);
export const usedBytes = (db: DatabaseSync): number => (pragma(db, "page_count") - pragma(db, "freelist_count")) * PAGE_BYTES;
/** A full disk says the same: there are pages left then. After a failed commit the count is that of before it. */
export const isAtLimit = (db: DatabaseSync): boolean => pragma(db, "page_count") >= pragma(db, "max_page_count") * NEARLY;
const NEARLY = 0.9;

/**
 * SQLite makes its -wal with the rights of the main file, so these are set before it sees it. Never opens a file that exists:
 * closing any descriptor of it would drop the lock that this process may hold on it.
 */
export function createPrivate(file: string): void {
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
/** A new folder is there after a power cut only when its own name is on disk. */
function makeFolder(folder: string): void {
  const first = mkdirSync(folder, { recursive: true, mode: 0o700 });
  makePrivate(folder, 0o700);
  if (first === undefined) return;
  for (let at = folder; at.length >= first.length; at = dirname(at)) syncFolder(dirname(at));
}
function removeAll(file: string): void {
  for (const ending of ["", "-journal", "-wal", "-shm"]) rmSync(file + ending, { force: true });
}
function syncFile(file: string): void {
  const handle = openSync(file, "r+");
  try { fsyncSync(handle); } finally { closeSync(handle); }
}
