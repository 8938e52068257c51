/**
 * A process that the tests of the SQLite store start and kill. Arguments: what to do, a folder.
 * `ack`: commits from several callers without end and writes `<id>` lines to stdout once a commit has resolved.
 * `disk`: fills the small disk the folder is, then makes it read-only; tells what the store did. `hold`: opens and waits. `die`: begins a step of migration and kills itself before it is committed.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../engine/errors.ts";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import { newReceipt, newRow, NOW } from "../contracts/store.ts";

const [, , what, folder] = process.argv as [string, string, string, string];
if (what === "die") {
  const { DatabaseSync } = await import("node:sqlite");
  const db = new DatabaseSync(join(folder, "store.sqlite"));
  db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; BEGIN IMMEDIATE; CREATE TABLE half (a); DROP TABLE kv; PRAGMA user_version = 2");
  process.kill(process.pid, "SIGKILL");
}
const codeOf = (error: unknown): string => (error as StoreError).code;
const store = await openSqliteStore(folder);
writeSync(1, "open\n");
if (what === "hold") setInterval(() => {}, 1000);
if (what === "disk") {
  const told: Record<string, unknown> = {};
  const ballast = join(folder, "ballast");
  writeFileSync(ballast, Buffer.alloc(1024 * 1024));
  const words = "w".repeat(20_000);
  let saved = 0;
  for (; told.full === undefined && saved < 1000; saved++) await store.commit([{ do: "set", space: "x", key: String(saved), value: words }]).catch((error) => { told.full = codeOf(error); saved--; });
  told.again = await store.commit([{ do: "set", space: "x", key: "again", value: words }]).then(() => "saved", codeOf);
  told.reads = (await store.list("x", "")).length === saved && saved > 10;
  const backup = store.backup(join(folder, "copy")).then(() => "saved", codeOf);
  told.backup = await backup;
  told.left = readdirSync(folder).filter((name) => name.startsWith("copy"));
  rmSync(ballast);
  told.freed = await store.commit([{ do: "set", space: "x", key: "freed", value: words }]).then(() => "saved", codeOf);
  await store.close();
  execFileSync("mount", ["-o", "remount,ro", folder]);
  told.readOnly = await openSqliteStore(folder).then(() => "opened", codeOf);
  execFileSync("mount", ["-o", "remount,rw", folder]);
  const again = await openSqliteStore(folder);
  told.writable = [again.problems.length, (await again.list("x", "")).length === saved + 1];
  await again.close();
  writeSync(1, JSON.stringify(told));
}
if (what === "ack") {
  for (let caller = 0; caller < 5; caller++) void (async () => {
    for (let n = 0; ; n++) {
      const id = `${process.pid}-${caller}-${n}`;
      const [seq] = await store.commit([
        { do: "receive", receipt: newReceipt(id) }, { do: "outbox", row: newRow(id) }, { do: "journal", run: `1.s.${id}`, entry: { step: "a", at: NOW, data: id } },
        { do: "turns", session: `s${caller}`, run: id, at: NOW, turns: [{ role: "user", text: id }] }, { do: "set", space: "acked", key: id, value: n },
      ]);
      if (n % 3 === 0) await store.commit([{ do: "receipt", seq: seq as number, state: "done" }, { do: "outbox-update", key: id, set: { state: "sent", ref: id } }]);
      writeSync(1, `${id} ${n % 3 === 0 ? "done" : "pending"}\n`);
    }
  })();
}
