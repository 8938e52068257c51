/**
 * The tables of the SQLite store, as steps from each version to the next. A published step is never changed, only followed.
 * `PRAGMA user_version` counts the steps done; a step and its count are one transaction, so a kill leaves a whole step or none.
 */
import type { DatabaseSync } from "node:sqlite";
import { StoreError } from "../errors.ts";

/**
 * Version 1. Numbers (`seq`, `n`) are given by the store, which alone writes here, and never again after a prune: `mark` keeps the highest.
 * The partial indexes hold only what is unfinished or dead, so they stay small however long the tables get.
 */
const FIRST = `
CREATE TABLE inbox (
  seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, state TEXT NOT NULL DEFAULT 'pending', at INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
  secret TEXT NOT NULL, lane TEXT NOT NULL, priority TEXT NOT NULL, trust TEXT NOT NULL, tainted INTEGER NOT NULL, runs TEXT, reason TEXT,
  head TEXT NOT NULL, body TEXT);
CREATE INDEX inbox_pending ON inbox (seq) WHERE state = 'pending';
CREATE INDEX inbox_dead ON inbox (seq) WHERE state = 'dead';
CREATE TABLE outbox (
  seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, state TEXT NOT NULL, due INTEGER NOT NULL, planned INTEGER NOT NULL, expires INTEGER, started INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0, run TEXT NOT NULL, op TEXT NOT NULL, priority TEXT NOT NULL, target TEXT, ref TEXT, error TEXT,
  address TEXT NOT NULL, draft TEXT);
CREATE INDEX outbox_unsent ON outbox (seq) WHERE state IN ('planned', 'sending', 'unknown');
CREATE INDEX outbox_dead ON outbox (seq) WHERE state = 'dead';
CREATE TABLE journal (run TEXT NOT NULL, step TEXT NOT NULL, n INTEGER NOT NULL, at INTEGER NOT NULL, data TEXT NOT NULL, PRIMARY KEY (run, step)) WITHOUT ROWID;
CREATE TABLE turn (n INTEGER PRIMARY KEY, session TEXT NOT NULL, at INTEGER NOT NULL, run TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE turn_index (session TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (session, n)) WITHOUT ROWID;
CREATE TABLE kv (space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID;
CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
`;

/** Version 2: notes, and the words of notes and turns (sqlite-words.ts). The words alone are kept there, with the numbers of what they are of. */
const WORDS = `
CREATE TABLE note (n INTEGER PRIMARY KEY AUTOINCREMENT, book TEXT NOT NULL, at INTEGER NOT NULL, tainted INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX note_book ON note (book, n);
CREATE VIRTUAL TABLE note_word USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
CREATE VIRTUAL TABLE turn_word USING fts5 (words, content = '', contentless_delete = 1, detail = none, tokenize = 'ascii');
`;

/**
 * Version 3: what models used. Two indexes pick a few rows of many (one talk, one person); agents and models are few, so their sums are read by time.
 * Rows enter the table and the index of times at their ends, which costs a page at most.
 */
const USAGE = `
CREATE TABLE usage (
  n INTEGER PRIMARY KEY, at INTEGER NOT NULL, run TEXT NOT NULL, message TEXT NOT NULL, session TEXT NOT NULL, channel TEXT NOT NULL, account TEXT NOT NULL, person TEXT NOT NULL,
  agent TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL, cached INTEGER NOT NULL, micros INTEGER, exact INTEGER NOT NULL);
CREATE INDEX usage_time ON usage (at);
CREATE INDEX usage_session ON usage (session, at);
CREATE INDEX usage_person ON usage (person, at);
`;

/** Version 4: sound and pictures, which are not counted in tokens. */
const WORK = `
ALTER TABLE usage ADD COLUMN unit TEXT;
ALTER TABLE usage ADD COLUMN amount REAL;
`;

export const STEPS: readonly string[] = [FIRST, WORDS, USAGE, WORK];

export function schemaVersion(db: DatabaseSync): number {
  return (db.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
}

/** Throws StoreError STORE_003 when a newer program made the store. */
export function checkVersion(db: DatabaseSync, newest: number = STEPS.length): number {
  const found = schemaVersion(db);
  if (found > newest) throw new StoreError("STORE_003", {}, `Expected a store of version ${newest} or older, got version ${found}. Update ClawFlow, or choose another folder.`);
  return found;
}

/**
 * Brings the tables to the newest version. `ready` runs once it is known that the file is not newer than this program.
 * Throws StoreError STORE_003, with nothing touched, when it is.
 */
export function migrate(db: DatabaseSync, steps: readonly string[] = STEPS, ready?: () => void): void {
  const found = checkVersion(db, steps.length);
  ready?.();
  for (let version = found; version < steps.length; version++) {
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(steps[version] as string);
      db.exec(`PRAGMA user_version = ${version + 1}`);
      db.exec("COMMIT");
    } catch (error) {
      try { db.exec("ROLLBACK"); } catch { /* SQLite rolled back itself. */ }
      throw error;
    }
  }
}
