/** A consistent copy of an open store, made in small portions beside the work of the store. */
import { closeSync, fdatasync, fsync, mkdirSync, openSync, renameSync, rmSync } from "node:fs";
import { chmod, open } from "node:fs/promises";
import { dirname } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import { StoreError } from "../errors.ts";
import { checkVersion, migrate } from "./schema.ts";
import { check, createPrivate, isDamage, resultCode, sqlite, storeError } from "./sqlite-file.ts";
import { COPIED, isCopy } from "./sqlite-repair.ts";
import { syncFolder } from "./sqlite-state.ts";

/** 256 KB: what SQLite does while the store has to wait for it. */
const PORTION_PAGES = 64;
/** SQLite syncs the copy while it holds the store, so most of it is brought to disk before, without holding anything. */
const SYNC_PAGES = 2048;

/** Under its name only when it is complete and on disk. `started` is called when transactions may go on; before, none may be open. */
export async function copy(db: DatabaseSync, target: string, now: number, started: () => void): Promise<void> {
  const part = `${target}.part`;
  mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
  removeParts(part);
  createPrivate(part);
  const handle = openSync(part, "r+");
  let syncing: Promise<unknown> | undefined;
  try {
    const { backup, DatabaseSync } = await sqlite() as Partial<typeof import("node:sqlite")> & Pick<typeof import("node:sqlite"), "DatabaseSync">;
    let pages = 0;
    const progress = (): void => {
      started();
      pages += PORTION_PAGES;
      if (pages < SYNC_PAGES || syncing !== undefined) return;
      pages = 0;
      syncing = promisify(fdatasync)(handle).catch(() => {}).finally(() => { syncing = undefined; });
    };
    // Node.js before 22.16 has no `backup`, which lets commits pass between its portions. Its first portion fails when it meets a transaction; later ones wait.
    if (backup === undefined) db.prepare("VACUUM INTO ?").run(part);
    else await backup(db, part, { rate: PORTION_PAGES, progress });
    await syncing;
    sign(new DatabaseSync(part), now);
    await promisify(fsync)(handle);
    renameSync(part, target);
    syncFolder(dirname(target));
  } finally {
    await syncing;
    closeSync(handle);
    removeParts(part);
  }
}
/** The mark by which a copy is known. Nothing is synced here: the caller does that, without making anybody wait. */
function sign(db: DatabaseSync, now: number): void {
  try {
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = OFF");
    db.prepare("INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value").run(COPIED, now);
  } finally {
    db.close();
  }
}

/** A copy that shall become a store: looked through, signed if it is not yet, on disk, then under the name `next`. Throws StoreError STORE_002 damaged, STORE_003 newer. */
export async function prepareCopy(part: string, next: string, now: number): Promise<void> {
  const { DatabaseSync } = await sqlite();
  try {
    await chmod(part, 0o600);
    const db = new DatabaseSync(part);
    try {
      checkVersion(db);
      check(db);
      migrate(db);
      if (isCopy(db)) db.close(); else sign(db, now);
    } finally {
      if (db.isOpen) db.close();
    }
    await syncFile(part);
    renameSync(part, next);
  } catch (error) {
    if (isDamage(error) || resultCode(error) === 1) throw new StoreError("STORE_002", { cause: error }, `Expected a sound backup, got "${error instanceof Error ? error.message : String(error)}". Choose another one.`);
    throw storeError(error, part);
  }
}
async function syncFile(file: string): Promise<void> {
  const handle = await open(file, "r+");
  try { await handle.sync(); } finally { await handle.close(); }
}
function removeParts(part: string): void {
  for (const ending of ["", "-journal", "-wal", "-shm"]) rmSync(part + ending, { force: true });
}
