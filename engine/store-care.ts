/** What keeps a store well beside its work: a copy a day, putting one back, and what a person has to know of it. */
import { constants, existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { copyFile, mkdir, statfs } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { Clock } from "./clock.ts";
import { asClawError, SettingError, StoreError } from "./errors.ts";
import { prepareCopy } from "./store/sqlite-copy.ts";
import { adopt, fileOf, isFree, nextOf, storeError } from "./store/sqlite-file.ts";
import { backupName, backupsIn, moveAside, note, readState, replacedIn, type StoreProblem } from "./store/sqlite-state.ts";
import type { Store } from "./store/store.ts";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** How often it is looked whether a copy is due: after the first minutes, which belong to the start, and so that a failed one is tried again. */
const LOOK_MS = 60 * MINUTE;
const FIRST_LOOK_MS = 5 * MINUTE;
/** What a copy leaves free, whichever is less: this part of the disk, or so many bytes. */
const FREE = { part: 0.1, bytes: 1024 ** 3 };

export interface StoreCareOptions {
  readonly store: Pick<Store, "backup">;
  /** Of the store: the copies are in `backups` below it. */
  readonly folder: string;
  readonly clock: Clock;
  log(level: "debug" | "info" | "warn", text: string): void;
  /** From one copy to the next. */
  readonly everyMs?: number;
  /** Copies kept, one at least; asked each time. */
  keep?(): number;
  /** Bytes free for us and size of the disk a folder is on. */
  disk?(folder: string): Promise<{ readonly free: number; readonly size: number }>;
}
export interface StoreCare {
  /** Makes a copy now and removes the oldest ones; resolves to its path. Throws StoreError STORE_001 when there is no room or it cannot be written. */
  backup(): Promise<string>;
  /** Makes no more copies; resolves when the one under way has ended. To be called before the store is closed. */
  close(): Promise<void>;
}

/** Copies the store once a day by itself. A copy that fails is said once, and tried again every hour. */
export function createStoreCare(options: StoreCareOptions): StoreCare {
  const { store, folder, clock, log, everyMs = DAY, keep = () => 3, disk = diskOf } = options;
  const home = join(folder, "backups");
  let closed = false;
  let running: Promise<string> | undefined;
  let said: string | undefined;
  let cancel = clock.after(FIRST_LOOK_MS, look);

  function look(): void {
    if (closed) return;
    cancel = clock.after(Math.min(LOOK_MS, everyMs), look);
    void isDue().then((due) => (due && !closed ? backup() : undefined)).then((made) => {
      if (made === undefined) return;
      said = undefined;
      log("debug", `The store was copied to ${made}.`);
    }, (thrown: unknown) => {
      const { message } = asClawError(thrown, "STORE_001", "later");
      if (message !== said) log("warn", message);
      said = message;
    });
  }
  /** By the date of the newest copy. One from the future was made by a wrong clock. */
  async function isDue(): Promise<boolean> {
    const [newest] = backupsIn(folder);
    if (newest === undefined) return true;
    const age = clock.now() - timeOf(newest);
    return age >= everyMs || age < -MINUTE;
  }
  async function room(): Promise<void> {
    const { free, size } = await disk(folder);
    const needed = statSync(fileOf(folder)).size;
    const rest = Math.min(size * FREE.part, FREE.bytes);
    if (free - needed < rest) throw new StoreError("STORE_001", { retry: "later" }, `Expected room for a backup of ${megabytes(needed)} with ${megabytes(rest)} to spare in ${home}, got ${megabytes(free)} free.`);
  }
  async function make(): Promise<string> {
    await room();
    mkdirSync(home, { recursive: true, mode: 0o700 });
    let now = clock.now();
    while (existsSync(backupName(folder, now))) now++;
    const target = backupName(folder, now);
    // What a kill left of an earlier one.
    for (const name of readdirSync(home)) if (/^store-.*\.sqlite\.part/.test(name)) rmSync(join(home, name), { force: true });
    await store.backup(target);
    // The one just made is kept even where the clock says it is older than others.
    for (const old of backupsIn(folder).filter((file) => file !== target).slice(Math.max(0, keep() - 1))) rmSync(old, { force: true });
    return target;
  }
  function backup(): Promise<string> {
    if (closed) return Promise.reject(new StoreError("STORE_001", {}, "Expected the store to be open for a backup, but it is being closed."));
    running ??= make().finally(() => { running = undefined; });
    return running;
  }
  return {
    backup,
    async close() {
      closed = true;
      cancel();
      await running?.catch(() => undefined);
    },
  };
}

/** A file that can be put back: a copy, or a store that had to make room for one. `at`: Unix milliseconds of when it was made or put aside. */
export interface Backup { readonly name: string; readonly kind: "copy" | "replaced"; readonly at: number; readonly bytes: number }

/** Newest first. */
export function backupsOf(folder: string): Backup[] {
  const found = (kind: Backup["kind"], files: readonly string[]) => files.flatMap((file): Backup[] => {
    const bytes = statSync(file, { throwIfNoEntry: false })?.size;
    return bytes === undefined ? [] : [{ name: basename(file), kind, at: timeOf(file), bytes }];
  });
  return [...found("copy", backupsIn(folder)), ...found("replaced", replacedIn(folder))].sort((a, b) => b.at - a.at);
}
/** Where it is; a name is never taken as a path. Throws SettingError CONF_001 when it is none of them. */
export function backupFile(folder: string, name: string): string {
  const found = [...backupsIn(folder), ...replacedIn(folder)].find((file) => basename(file) === name);
  if (found === undefined) throw new SettingError("CONF_001", {}, `Expected one of the backups of this gateway, got "${name}". It may have been removed meanwhile: choose another one.`);
  return found;
}
/** What befell the store and nobody has read yet, newest first. */
export const problemsOf = (folder: string): readonly StoreProblem[] => readState(folder)?.problems ?? [];
/** They were read; those that came later stay. */
export function forgetProblems(folder: string, upTo: number): void {
  if (readState(folder) !== undefined) note(folder, { problems: problemsOf(folder).filter(({ at }) => at > upTo) });
}

/**
 * Puts a backup in the place of a store; the old store is moved aside. At the next opening nothing of what waited when the backup was made is simply done
 * again: see `rewind`. The store must be closed, or `release` closes it: it is called when the backup is known to be sound and ready, so that nothing is
 * closed for a bad one. Throws StoreError: STORE_001 no such file or not writable, STORE_002 the backup is damaged, STORE_003 it is of a newer version,
 * STORE_004 the store is open. The old store is then in its place.
 */
export async function restore(folder: string, backup: string, clock: Pick<Clock, "now">, release?: () => Promise<void>): Promise<{ readonly moved?: string }> {
  const file = fileOf(folder);
  const from = resolve(backup);
  if (from === resolve(file)) throw new StoreError("STORE_001", {}, `Expected a backup, got the store itself: ${from}.`);
  if (!existsSync(from)) throw new StoreError("STORE_001", {}, `Expected a backup at ${from}, got nothing there.`);
  if (release === undefined) await isFree(file);
  const next = nextOf(file);
  const part = `${next}.part`;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await copyFile(from, part, constants.COPYFILE_FICLONE);
    await prepareCopy(part, next, clock.now());
    if (release !== undefined) {
      await release();
      await isFree(file);
    }
    const moved = moveAside(file, "replaced", clock.now());
    adopt(file);
    return moved === undefined ? {} : { moved };
  } catch (error) {
    // The old store keeps its place: then what waited for it goes.
    if (existsSync(file)) rmSync(next, { force: true });
    throw storeError(error, file);
  } finally {
    for (const ending of ["", "-wal", "-shm", "-journal"]) rmSync(part + ending, { force: true });
  }
}

async function diskOf(folder: string): Promise<{ free: number; size: number }> {
  const { bavail, blocks, bsize } = await statfs(folder);
  return { free: bavail * bsize, size: blocks * bsize };
}
const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1024 / 1024)} MB`;
/** When a copy was made or a store put aside, by its name. */
function timeOf(file: string): number {
  const [, date, hours, minutes, seconds, millis] = /-(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)-(\d{3})Z/.exec(basename(file)) ?? [];
  return Date.parse(`${date}T${hours}:${minutes}:${seconds}.${millis}Z`) || 0;
}
