/** F24: a migration that is killed at any statement leaves a whole step or none; a store of a newer version is refused and not touched. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { StoreError } from "../../../engine/errors.ts";
import { migrate, STEPS } from "../../../engine/store/schema.ts";
import { openSqliteStore } from "../../../engine/store/sqlite.ts";
import { newReceipt } from "../../contracts/store.ts";
import { childArgs, childEnv, cleanUp, freshFolder, FULL } from "./common.ts";

/** Two steps as they may come: new tables, rewritten rows, a table made anew. `point()` is where the process may be killed. */
const LATER = [
  "ALTER TABLE inbox ADD COLUMN later TEXT; SELECT point(); UPDATE inbox SET later = 'x' || seq WHERE point() > 0; SELECT point(); CREATE TABLE extra (a INTEGER PRIMARY KEY, b TEXT); SELECT point(); INSERT INTO extra (b) SELECT message FROM (SELECT hex(zeroblob(2000)) AS message FROM inbox) WHERE point() > 0; SELECT point()",
  "CREATE TABLE kv2 (space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, at INTEGER NOT NULL DEFAULT 7, PRIMARY KEY (space, key)) WITHOUT ROWID; SELECT point(); INSERT INTO kv2 (space, key, value) SELECT space, key, value FROM kv WHERE point() > 0; SELECT point(); DROP TABLE kv; SELECT point(); ALTER TABLE kv2 RENAME TO kv; SELECT point(); DROP TABLE extra; SELECT point()",
];
const ROWS = 10;

describe("migrations of the store", function () {
  this.timeout(600_000);
  after(cleanUp);

  const run = (folder: string, at?: number) => spawnSync(process.execPath, childArgs("migrate", folder, JSON.stringify({ steps: LATER, ...(at === undefined ? {} : { at }) })), { encoding: "utf8", env: childEnv(), timeout: 30_000 });
  async function old(): Promise<string> {
    const folder = freshFolder();
    const store = await openSqliteStore(folder);
    for (let n = 0; n < ROWS; n++) await store.commit([{ do: "receive", receipt: newReceipt(`m${n}`) }, { do: "set", space: "x", key: `k${n}`, value: n }]);
    await store.close();
    return folder;
  }
  /** What must hold at each number of steps done. */
  function look(db: DatabaseSync): number {
    const { user_version: version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
    const done = version - STEPS.length;
    const count = (sql: string): number => (db.prepare(sql).get() as { n: number }).n;
    const tables = new Set(db.prepare("SELECT name FROM sqlite_schema").all().map(({ name }) => name));
    assert.ok(done >= 0 && done <= LATER.length);
    assert.equal(count("SELECT count(*) AS n FROM inbox"), ROWS);
    assert.equal(count("SELECT count(*) AS n FROM kv"), ROWS);
    assert.equal(count("SELECT count(*) AS n FROM pragma_table_info('inbox') WHERE name = 'later'"), done > 0 ? 1 : 0);
    if (done > 0) assert.equal(count("SELECT count(*) AS n FROM inbox WHERE later = 'x' || seq"), ROWS);
    assert.equal(tables.has("extra"), done === 1);
    if (done === 1) assert.equal(count("SELECT count(*) AS n FROM extra"), ROWS);
    assert.equal(count("SELECT count(*) AS n FROM pragma_table_info('kv') WHERE name = 'at'"), done === 2 ? 1 : 0);
    assert.ok(!tables.has("kv2"));
    assert.equal((db.prepare("PRAGMA integrity_check").get() as { integrity_check: string }).integrity_check, "ok");
    return done;
  }
  /** As the next start finds and finishes it. */
  function finish(folder: string): number {
    const db = new DatabaseSync(join(folder, "store.sqlite"));
    db.function("point", () => 1);
    const found = look(db);
    migrate(db, [...STEPS, ...LATER]);
    assert.equal(look(db), LATER.length);
    db.close();
    return found;
  }

  it("are whole or not there after a kill at any statement, and are finished by the next start", async () => {
    const points = Number(/points (\d+)/.exec(run(await old()).stdout)?.[1]);
    assert.ok(points > 40, `only ${points} points`);
    const seen = [0, 0, 0];
    const wanted = Array.from({ length: points }, (_, point) => point).filter((point) => FULL || point % 3 === 0 || point === points - 1);
    for (const at of wanted) {
      const folder = await old();
      const { signal, stderr } = run(folder, at);
      assert.equal(signal, "SIGKILL", stderr);
      const found = finish(folder);
      seen[found] = (seen[found] as number) + 1;
    }
    console.log(`      migrations killed at ${wanted.length} of ${points} points: found with ${seen.join(", ")} of 0, 1, 2 steps done, 0 in between`);
    assert.ok(seen.every((times) => times > 0));
  });

  for (const left of ["closed", "killed"]) {
    it(`refuse a newer store that was ${left}, and leave every byte of it`, async () => {
      const folder = await old();
      const { status, signal } = run(folder);
      assert.equal(status, 0, String(signal));
      // The newer program worked on: what it did last is in the -wal alone.
      if (left === "killed") {
        const program = `const { DatabaseSync } = require("node:sqlite"); const db = new DatabaseSync(process.argv[1]); db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; INSERT INTO kv (space, key, value) VALUES ('y', 'new', '1')"); process.kill(process.pid, "SIGKILL")`;
        spawnSync(process.execPath, ["-e", program, join(folder, "store.sqlite")], { env: childEnv() });
        assert.ok(existsSync(join(folder, "store.sqlite-wal")));
      }
      const bytes = (): Record<string, string> => Object.fromEntries(readdirSync(folder).sort().map((name) => [name, readFileSync(join(folder, name)).toString("hex")]));
      const before = bytes();
      for (let n = 0; n < 2; n++) await assert.rejects(openSqliteStore(folder), (error: StoreError) => error.code === "STORE_003" && error.retry === "no" && error.message.includes(`version ${STEPS.length + LATER.length}`));
      assert.deepEqual(bytes(), before);
    });
  }
});
