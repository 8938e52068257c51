/**
 * A process that the tests of the SQLite store start and kill. Arguments: what to do, a folder.
 * `hold`: opens and waits. `die`: begins a step of migration and kills itself before it is committed.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { openSqliteStore } from "../../engine/store/sqlite.ts";

const [, , what, folder] = process.argv as [string, string, string, string];
if (what === "die") {
  const { DatabaseSync } = await import("node:sqlite");
  const db = new DatabaseSync(join(folder, "store.sqlite"));
  db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; CREATE TABLE half (a); DROP TABLE kv; PRAGMA user_version = 2");
  process.kill(process.pid, "SIGKILL");
}
const store = await openSqliteStore(folder);
writeSync(1, "open\n");
if (what === "hold") setInterval(() => store.problems, 1000);
