/** The index of a folder of documents: one SQLite file with FTS5, made anew whenever it cannot be used. */
import { rmSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { sqlite } from "../store/sqlite-file.ts";
import { askedIn, tokensOf } from "../words.ts";
import type { FoundFile } from "./folder.ts";
import { DocumentFault, type Fault, type Section } from "./read.ts";

export interface Passage extends Section { readonly file: string }
export interface Kept { readonly name: string; readonly bytes: number; readonly changedAt: number; /** `reading`, `again`: it ended in the middle of the first or second try. */ readonly state: "ready" | "reading" | "again" | Fault }
export interface Shelf {
  files(): Kept[];
  /** Notes that a file is about to be read, perhaps for the second time; what was known of it is gone. */
  begin(file: FoundFile, state: "reading" | "again"): void;
  put(file: FoundFile, passages: readonly Section[]): void;
  fail(file: FoundFile, fault: Fault): void;
  remove(name: string): void;
  search(question: string, limit: number): Passage[];
  count(): { readonly files: number; readonly passages: number };
  close(): void;
}

/** Milliseconds: the thread of a node that a deploy has just replaced may still write. */
const PATIENT = { timeout: 5_000 };
const VERSION = 1;
const TABLES = `
CREATE TABLE file (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL, changed INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE passage (id INTEGER PRIMARY KEY, file TEXT NOT NULL, place TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX passage_file ON passage (file);
CREATE VIRTUAL TABLE word USING fts5 (words, content = '', contentless_delete = 1, tokenize = 'ascii');
PRAGMA user_version = ${VERSION};
`;

export async function openShelf(file: string): Promise<Shelf> {
  const { DatabaseSync: Database } = await sqlite();
  try {
    return shelfOf(prepared(new Database(file, PATIENT)));
  } catch {
    // It holds nothing that cannot be read again.
    for (const ending of ["", "-wal", "-shm"]) rmSync(file + ending, { force: true });
    return shelfOf(prepared(new Database(file, PATIENT)));
  }
}
function prepared(db: DatabaseSync): DatabaseSync {
  try {
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -4000");
    const version = (db.prepare("PRAGMA user_version").get() as { user_version: number }).user_version;
    if (version === 0) db.exec(TABLES);
    if (version > VERSION || db.prepare("PRAGMA quick_check(1)").get()?.quick_check !== "ok") throw new DocumentFault("broken");
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

function shelfOf(db: DatabaseSync): Shelf {
  const all = db.prepare("SELECT name, bytes, changed AS changedAt, state FROM file ORDER BY name");
  const state = db.prepare("INSERT INTO file (name, bytes, changed, state) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET bytes = excluded.bytes, changed = excluded.changed, state = excluded.state");
  const forget = db.prepare("DELETE FROM file WHERE name = ?");
  const insert = db.prepare("INSERT INTO passage (file, place, text) VALUES (?, ?, ?)");
  const word = db.prepare("INSERT INTO word (rowid, words) VALUES (?, ?)");
  const clearWords = db.prepare("DELETE FROM word WHERE rowid IN (SELECT id FROM passage WHERE file = ?)");
  const clear = db.prepare("DELETE FROM passage WHERE file = ?");
  const find = db.prepare("SELECT file, place, text FROM word CROSS JOIN passage ON passage.id = word.rowid WHERE word MATCH ? ORDER BY rank LIMIT ?");
  const counts = db.prepare("SELECT (SELECT count(*) FROM file WHERE state = 'ready') AS files, (SELECT count(*) FROM passage) AS passages");
  function together(act: () => void): void {
    db.exec("BEGIN");
    try { act(); db.exec("COMMIT"); } catch (error) { db.exec("ROLLBACK"); throw error; }
  }
  const note = ({ name, bytes, changedAt }: FoundFile, value: string): void => { clearWords.run(name); clear.run(name); state.run(name, bytes, changedAt, value); };
  return {
    files: () => all.all() as unknown as Kept[],
    begin: (file, value) => together(() => note(file, value)),
    put: (file, passages) => together(() => {
      note(file, "ready");
      for (const { place, text } of passages) word.run(insert.run(file.name, place, text).lastInsertRowid, tokensOf(`${file.name} ${place} ${text}`).join(" "));
    }),
    fail: (file, fault) => together(() => note(file, fault)),
    remove: (name) => together(() => { clearWords.run(name); clear.run(name); forget.run(name); }),
    search(question, limit) {
      const asked = askedIn(question);
      // Words hold letters and digits alone, so nothing in it is FTS5's own syntax.
      return asked.length === 0 ? [] : (find.all(asked.map(({ word: text, open }) => `"${text}"${open ? "*" : ""}`).join(" OR "), limit) as unknown as Passage[]).map((row) => ({ ...row }));
    },
    count: () => ({ ...(counts.get() as unknown as { files: number; passages: number }) }),
    close: () => db.close(),
  };
}
