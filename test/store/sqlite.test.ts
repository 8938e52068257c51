/** What a disk adds: kills, locks, versions, damage, a full disk. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import type { StoreError } from "../../engine/errors.ts";
import { migrate, schemaVersion, STEPS } from "../../engine/store/schema.ts";
import { openSqliteStore, type SqliteOptions, type SqliteStore } from "../../engine/store/sqlite.ts";
import type { Change } from "../../engine/store/store.ts";
import { askedIn } from "../../engine/words.ts";
import { message, newReceipt, newRow, NOW, storeContract } from "../contracts/store.ts";

const folders: string[] = [];
const children: ChildProcess[] = [];
const stores: SqliteStore[] = [];
function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "clawflow-store-"));
  folders.push(made);
  return join(made, "gateway");
}
async function open(path: string, options?: SqliteOptions): Promise<SqliteStore> {
  const store = await openSqliteStore(path, options);
  stores.push(store);
  return store;
}
function childCommand(what: string, path: string): [string, ...string[]] {
  return [process.execPath, "--no-warnings", "--experimental-strip-types", fileURLToPath(new URL("sqlite-child.ts", import.meta.url)), what, path];
}
async function child(what: string, path: string): Promise<{ process: ChildProcess; out: () => string }> {
  const [program, ...args] = childCommand(what, path);
  const process_ = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  children.push(process_);
  let text = "";
  process_.stdout?.setEncoding("utf8").on("data", (data: string) => { text += data; });
  while (what !== "die" && !text.includes("open\n")) await once(process_.stdout as NodeJS.ReadableStream, "data");
  return { process: process_, out: () => text };
}
async function kill(process_: ChildProcess): Promise<void> {
  if (process_.exitCode !== null || process_.signalCode !== null) return;
  const ended = once(process_, "close");
  process_.kill("SIGKILL");
  await ended;
}
const failing = (code: string, retry?: string) => (error: StoreError): boolean => {
  assert.equal(error.code, code, error.message);
  if (retry !== undefined) assert.equal(error.retry, retry);
  return true;
};
const receive = (id: string): Change => ({ do: "receive", receipt: newReceipt(id) });
const fileOf = (path: string): string => join(path, "store.sqlite");

storeContract("the SQLite store", () => openSqliteStore(folder()));

describe("the SQLite store on its disk", () => {
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    for (const process_ of children.splice(0)) await kill(process_);
  });
  after(() => { for (const made of folders) rmSync(made, { recursive: true, force: true }); });

  it("keeps everything over a restart, and goes on counting after all was pruned", async () => {
    const path = folder();
    const first = await open(path);
    await first.commit([receive("a"), { do: "outbox", row: newRow("a") }, { do: "turns", session: "s", run: "r", at: NOW, turns: [{ role: "user", text: "1" }, { role: "user", text: "2" }] }, { do: "set", space: "x", key: "k", value: 1 }]);
    await first.close();
    const second = await open(path);
    assert.deepEqual([(await second.receipt(1))?.message.text, (await second.outboxRow("a"))?.draft.text, await second.get("x", "k")], ["text of a", "draft of a", 1]);
    assert.deepEqual((await second.turns("s", 9)).map(({ n, turn }) => [n, turn.text]), [[1, "1"], [2, "2"]]);
    assert.equal((await second.counts()).received, 1);
    await second.commit([{ do: "receipt", seq: 1, state: "done" }, { do: "outbox-update", key: "a", set: { state: "sent" } }, { do: "prune", before: NOW + 1, turnsBefore: NOW + 1 }]);
    await second.close();
    const third = await open(path);
    const [receipt, row, turn] = await third.commit([receive("a"), { do: "outbox", row: newRow("a") }, { do: "turns", session: "s", run: "r", at: NOW, turns: [{ role: "user", text: "3" }] }]);
    assert.deepEqual([receipt, row], [2, 2]);
    assert.ok((turn as number) > 2);
    assert.deepEqual(third.problems, []);
  });

  it("finds turns in the index, before it and across, also after a restart and a forgetting", async () => {
    const path = folder();
    let store = await open(path);
    const say = (n: number): Change => ({ do: "turns", session: `s${n % 3}`, run: `r${n % 2}`, at: NOW + n, turns: [{ role: "user", text: `${n}a` }, { role: "assistant", text: `${n}b` }] });
    for (let n = 0; n < 2500; n++) await store.commit(n % 2 === 0 ? [say(n), { do: "set", space: "x", key: "k", value: n }] : [say(n)]);
    const expected = (session: number, keep: (n: number) => boolean = () => true): string[] => Array.from({ length: 2500 }, (_, n) => n).filter((n) => n % 3 === session && keep(n)).flatMap((n) => [`${n}a`, `${n}b`]);
    const read = async (session: number, limit: number): Promise<string[]> => (await store.turns(`s${session}`, limit)).map(({ turn }) => turn.text);
    for (const restart of [false, true]) {
      if (restart) {
        await store.close();
        store = await open(path);
      }
      for (const session of [0, 1, 2]) for (const limit of [1, 7, 500, 1500, 9999]) assert.deepEqual(await read(session, limit), expected(session).slice(-limit));
    }
    await store.commit([{ do: "forget-turns", session: "s0" }, { do: "forget-turns", session: "s1", run: "r1" }]);
    assert.deepEqual([await read(0, 9999), await read(1, 9999), await read(2, 9999)], [[], expected(1, (n) => n % 2 === 0), expected(2)]);
    await store.commit([{ do: "prune", before: 0, turnsBefore: NOW + 1200 }]);
    assert.deepEqual([await read(1, 9999), await read(2, 9999)], [expected(1, (n) => n % 2 === 0 && n >= 1200), expected(2, (n) => n >= 1200)]);
  });

  it("finds what was said in a talk of any length, first by looking and then by the index", async () => {
    const path = folder();
    let store = await open(path);
    const asked = askedIn("needle");
    const long = "straw ".repeat(10_000);
    const say = (session: string, n: number, text: string): Change => ({ do: "turns", session, run: `r${n}`, at: NOW + n, turns: [{ role: "user", text }] });
    // Few and huge, few, as many as are looked through, more than that.
    for (const [session, count, filler] of [["huge", 12, long], ["few", 5, "straw"], ["some", 150, "straw"], ["many", 450, "straw"]] as const) {
      await store.commit(Array.from({ length: count }, (_, n) => say(session, n, n === 1 || n === count - 2 ? `needle ${n} ${filler}` : filler)));
      const found = async (): Promise<string[]> => (await store.findTurns(session, asked, 9)).map(([row]) => row?.run ?? "");
      for (const _ of [1, 2, 3, 4]) assert.deepEqual(await found(), [`r${count - 2}`, "r1"], session);
      await store.commit([say(session, count, "needle again")]);
      assert.deepEqual(await found(), [`r${count}`, `r${count - 2}`, "r1"], session);
      await store.close();
      store = await open(path);
      assert.deepEqual(await found(), [`r${count}`, `r${count - 2}`, "r1"], `${session} after a restart`);
    }
  });

  it("rejects one caller's bad values without harm to the others of its transaction", async () => {
    const store = await open(folder());
    const results = await Promise.allSettled([
      store.commit([receive("a"), { do: "turns", session: "s", run: "r", at: NOW, turns: [{ role: "user", text: "a" }] }]),
      store.commit([receive("bad"), { do: "turns", session: "s", run: "r", at: NOW, turns: [{ role: "user", text: "bad" }] }, { do: "journal", run: null as unknown as string, entry: { step: "x", at: NOW, data: 1 } }]),
      store.commit([receive("b"), { do: "journal", run: "1.s.n", entry: { step: "x", at: undefined as unknown as number, data: 1 } }]),
      store.commit([receive("c"), { do: "turns", session: "s", run: "r", at: NOW, turns: [{ role: "user", text: "c" }] }]),
    ]);
    assert.deepEqual(results.map((result) => (result.status === "fulfilled" ? result.value : (result.reason as StoreError).code)), [[1, 1], "MSG_001", "MSG_001", [2, 2]]);
    assert.deepEqual((await store.pending(0, 9)).map(({ message }) => message.id), ["a", "c"]);
    assert.deepEqual((await store.turns("s", 9)).map(({ turn }) => turn.text), ["a", "c"]);
  });

  it("prunes in portions up to the first young row, past those a wrong clock wrote", async () => {
    const path = folder();
    const store = await open(path, { clock: { now: () => NOW, monotonic: () => 0, after: () => () => {} } });
    const year = 365 * 24 * 60 * 60 * 1000;
    const at = (n: number): number => (n === 10 ? NOW + year : n < 4500 ? NOW - year : NOW);
    await store.commit(Array.from({ length: 5000 }, (_, n): Change => ({ do: "receive", receipt: newReceipt(`p${n}`, { receivedAt: at(n) }) })));
    await store.commit(Array.from({ length: 5000 }, (_, n): Change[] => [{ do: "receipt", seq: n + 1, state: "done" }, { do: "journal", run: `${n + 1}.s.n`, entry: { step: "a", at: NOW, data: 1 } }]).flat());
    assert.deepEqual(await store.commit([{ do: "prune", before: NOW, turnsBefore: 0 }]), [2 * 4499]);
    assert.equal((await store.counts()).received, 501);
    const left = await Promise.all([10, 11, 12, 4500, 4501].map(async (seq) => [(await store.receipt(seq)) !== undefined, (await store.journal(`${seq}.s.n`)).length]));
    assert.deepEqual(left, [[false, 0], [true, 1], [false, 0], [false, 0], [true, 1]]);
  });

  it("serves a burst of thousands of callers", async () => {
    const store = await open(folder());
    const results = await Promise.all(Array.from({ length: 3500 }, (_, n) => store.commit([receive(`b${n}`)])));
    assert.deepEqual(results.map(([seq]) => seq), Array.from({ length: 3500 }, (_, n) => n + 1));
  });

  it("refuses a second user by name, in this process and another, and is free at once after a kill", async () => {
    const path = folder();
    const holder = await child("hold", path);
    await assert.rejects(openSqliteStore(path), failing("STORE_004", "later"));
    await kill(holder.process);
    const store = await open(path);
    await assert.rejects(openSqliteStore(path), failing("STORE_004"));
    await store.commit([receive("a")]);
    assert.equal((await store.pending(0, 9)).length, 1, "the first is not disturbed");
    await store.close();
    assert.equal((await (await open(path)).pending(0, 9)).length, 1);
  });

  it("keeps its files to its owner", async function () {
    if (process.platform === "win32") this.skip();
    const path = folder();
    mkdirSync(path, { mode: 0o755 });
    const store = await open(path);
    await store.commit([receive("a")]);
    await store.backup(join(path, "copies", "one"));
    assert.equal(statSync(path).mode & 0o777, 0o700);
    const files = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
    assert.ok(files.some((file) => file.endsWith("-wal")));
    for (const file of files) assert.equal(statSync(file).mode & 0o777, 0o600, file);
  });

  describe("versions", () => {
    it("refuses a store of a newer version and touches nothing", async () => {
      const path = folder();
      await (await open(path)).close();
      const db = new DatabaseSync(fileOf(path));
      db.exec(`PRAGMA user_version = ${STEPS.length + 1}; CREATE TABLE of_the_future (a)`);
      db.close();
      const before = readFileSync(fileOf(path));
      const names = readdirSync(path);
      await assert.rejects(openSqliteStore(path), failing("STORE_003", "no"));
      assert.deepEqual(readFileSync(fileOf(path)), before);
      assert.deepEqual(readdirSync(path), names);
    });
    it("brings an old store forward step by step, and keeps whole steps when one fails", () => {
      const db = new DatabaseSync(":memory:");
      migrate(db, ["CREATE TABLE a (x)"]);
      db.exec("INSERT INTO a VALUES (1)");
      assert.throws(() => migrate(db, ["", "ALTER TABLE a ADD COLUMN y", "CREATE TABLE b (x); DROP TABLE a; not sql"]));
      assert.equal(schemaVersion(db), 2);
      assert.equal(db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'b'").get()?.n, 0);
      migrate(db, ["", "", "CREATE TABLE b (x)"]);
      assert.equal(schemaVersion(db), 3);
      assert.deepEqual({ ...db.prepare("SELECT * FROM a").get() }, { x: 1, y: null });
      assert.throws(() => migrate(db, ["", ""]), failing("STORE_003"));
      db.close();
    });
    it("undoes a step that a kill interrupted", async () => {
      const path = folder();
      const store = await open(path);
      await store.commit([receive("a"), { do: "set", space: "x", key: "k", value: 1 }]);
      await store.close();
      const { process: process_ } = await child("die", path);
      await once(process_, "close");
      assert.equal(process_.signalCode, "SIGKILL");
      const again = await open(path);
      assert.deepEqual([again.problems, await again.get("x", "k"), (await again.pending(0, 9)).length], [[], 1, 1]);
    });
  });

  describe("damage", () => {
    async function filled(path: string): Promise<void> {
      const store = await open(path);
      for (let n = 0; n < 100; n++) {
        await store.commit([receive(`m${n}`), { do: "outbox", row: newRow(`k${n}`) }, { do: "journal", run: `${n + 1}.s.n`, entry: { step: "a", at: NOW, data: { n } } },
          { do: "turns", session: `s${n % 5}`, run: "r", at: NOW, turns: [{ role: "user", text: `t${n}` }] }, { do: "set", space: "x", key: `k${n}`, value: { n } }]);
      }
      await store.close();
    }
    async function usable(store: SqliteStore): Promise<void> {
      assert.deepEqual((await store.commit([receive("fresh"), { do: "set", space: "x", key: "fresh", value: 1 }])).length, 2);
      assert.ok((await store.pending(0, 1000)).some(({ message }) => message.id === "fresh"));
      assert.equal(await store.get("x", "fresh"), 1);
    }
    const moved = (path: string): string[] => readdirSync(path).filter((name) => name.includes("damaged"));

    for (const [name, harm] of Object.entries({
      "an empty file": (file: string) => truncateSync(file, 0),
      "a missing file": (file: string) => rmSync(file),
      "a file cut in the middle": (file: string) => truncateSync(file, 40_960 + 100),
      "a file of something else": (file: string) => writeFileSync(file, "this is no database ".repeat(1000)),
      "a table of another name": (file: string) => { const bytes = readFileSync(file); bytes[bytes.indexOf("CREATE TABLE kv (") + 13] = 0x6a; writeFileSync(file, bytes); },
      "a page of zeros": (file: string) => { const bytes = readFileSync(file); bytes.fill(0, 8192, 12_288); writeFileSync(file, bytes); },
    })) {
      it(`names ${name}, moves it aside and begins anew`, async () => {
        const path = folder();
        await filled(path);
        harm(fileOf(path));
        const store = await open(path, { clock: { now: () => NOW, monotonic: () => 0, after: () => () => {} } });
        assert.deepEqual(store.problems.map(({ code, backup }) => [code, backup]), [["STORE_002", undefined]]);
        const [problem] = store.problems;
        assert.match(problem?.text ?? "", /was damaged: .+ A new one was begun( with what could be read of it: \d+ messages .+)?\. There is no backup\.$/);
        if (name === "a missing file") assert.deepEqual(moved(path), []);
        else {
          assert.equal(problem?.moved, `${fileOf(path)}.damaged-2026-09-21T14-13-20-000Z`);
          assert.ok(problem?.text.includes(problem.moved) && existsSync(problem.moved));
        }
        await usable(store);
        assert.equal((await store.pending(0, 1000)).length, 1 + (problem?.saved?.waiting ?? 0));
        await store.close();
        assert.deepEqual((await open(path)).problems, [], "told once");
      });
    }
    it("offers the last backup, and a backup opens as a store", async () => {
      const path = folder();
      const store = await open(path);
      await store.commit([receive("a")]);
      const copy = join(path, "backups", "monday.sqlite");
      await store.backup(join(path, "backups", "sunday.sqlite"));
      await store.backup(copy);
      await store.close();
      truncateSync(fileOf(path), 5000);
      const again = await open(path);
      assert.equal(again.problems[0]?.backup, copy);
      assert.ok(again.problems[0]?.text.endsWith(`The last backup is ${copy}.`));
      await again.close();
      copyFileSync(copy, fileOf(path));
      const restored = await open(path);
      assert.deepEqual([restored.problems.map(({ code }) => code), (await restored.dead(9)).map(({ message }) => message.id)], [["STORE_006"], ["a"]]);
    });
    it("hands out a receipt whose words were damaged with the reason and without rights, writes off such a row of the outbox, and serves the others", async () => {
      const path = folder();
      await filled(path);
      const db = new DatabaseSync(fileOf(path));
      db.exec("UPDATE inbox SET body = '{\"version\":1,' WHERE seq <= 2; UPDATE outbox SET draft = 'x' WHERE seq = 1; UPDATE turn SET data = '[' WHERE n IN (6, 100); UPDATE kv SET value = '{' WHERE key = 'k1'");
      db.close();
      const store = await open(path);
      const lost = { state: "pending", trust: "stranger", tainted: true, reason: "Its record was damaged on disk." };
      assert.deepEqual((await store.pending(0, 3)).map(({ seq, state, trust, tainted, reason }) => ({ seq, state, trust, tainted, reason })), [{ seq: 1, ...lost }, { seq: 2, ...lost }, { seq: 3, state: "pending", trust: "owner", tainted: false, reason: undefined }]);
      for (const seq of [1, 2]) await store.commit([{ do: "receipt", seq, state: "dead", reason: lost.reason }]);
      assert.equal((await store.pending(0, 1))[0]?.seq, 3);
      assert.deepEqual((await store.unsent(0, 1)).map(({ seq }) => seq), [2]);
      assert.deepEqual((await store.turns("s0", 2)).map(({ turn }) => turn.text), ["t90", "t95"]);
      assert.equal((await store.turns("s0", 99)).length, 19);
      assert.equal((await store.turns("s4", 99)).length, 19);
      await store.commit([{ do: "turns", session: "s4", run: "r", at: NOW, turns: [{ role: "user", text: "new" }] }]);
      assert.equal((await store.turns("s4", 1))[0]?.turn.text, "new");
      await store.commit([]);
      await new Promise((resolve) => { setTimeout(resolve, 10); });
      assert.deepEqual((await store.dead(9)).map(({ seq, reason, message: { id, at } }) => [seq, reason, id, at.chat]), [[2, "Its record was damaged on disk.", "m1", "7"], [1, "Its record was damaged on disk.", "m0", "7"]]);
      assert.deepEqual((await store.counts()).dead, 2);
      assert.deepEqual([(await store.outboxRow("k0"))?.state, (await store.outboxRow("k0"))?.error?.code], ["dead", "STORE_002"]);
      await assert.rejects(store.get("x", "k1"), failing("STORE_002"));
    });
    it("looks at all of the file after damage was met at work", async () => {
      const path = folder();
      await filled(path);
      const store = await open(path);
      await store.commit([{ do: "set", space: "x", key: "bad", value: 1 }]);
      const db = store as unknown as { close(): Promise<void> };
      assert.equal(JSON.parse(readFileSync(join(path, "store.json"), "utf8")).state, "open");
      await db.close();
      assert.equal(JSON.parse(readFileSync(join(path, "store.json"), "utf8")).state, "closed");
      const other = new DatabaseSync(fileOf(path));
      other.exec("UPDATE kv SET value = '{' WHERE key = 'bad'");
      other.close();
      const again = await open(path);
      await assert.rejects(again.get("x", "bad"), failing("STORE_002"));
      await again.close();
      assert.equal(JSON.parse(readFileSync(join(path, "store.json"), "utf8")).state, "damaged");
    });
  });

  describe("a full or closed disk", () => {
    it("refuses commits by name when full, reads on, and works again when there is room", async () => {
      const store = await open(folder(), { maxBytes: 400_000 });
      const big = "x".repeat(20_000);
      const saved: number[] = [];
      let refused: unknown;
      for (let n = 0; n < 100 && refused === undefined; n++) {
        try {
          const [seq] = await store.commit([{ do: "receive", receipt: newReceipt(`f${n}`, { message: message(`f${n}`, { raw: big }) }) }]);
          saved.push(seq as number);
        } catch (error) {
          refused = error;
        }
      }
      failing("STORE_005", "later")(refused as StoreError);
      assert.ok(saved.length > 5);
      const parallel = await Promise.allSettled([1, 2, 3].map((n) => store.commit([{ do: "set", space: "x", key: `big${n}`, value: big.repeat(2) }])));
      assert.deepEqual(parallel.map(({ status }) => status), ["rejected", "rejected", "rejected"]);
      assert.deepEqual((await store.pending(0, 999)).map(({ seq }) => seq), saved);
      assert.deepEqual(await store.list("x", ""), []);
      await store.commit(saved.map((seq): Change => ({ do: "receipt", seq, state: "done" })));
      await store.commit([{ do: "prune", before: NOW + 1, turnsBefore: 0 }]);
      assert.deepEqual(await store.commit([receive("after")]), [(saved.at(-1) as number) + 1]);
      await store.commit([{ do: "set", space: "x", key: "big", value: big.repeat(2) }]);
    });
    it("names a folder that cannot be made or written", async () => {
      const path = folder();
      writeFileSync(path, "a file");
      await assert.rejects(openSqliteStore(path), failing("STORE_001", "later"));
      await assert.rejects(openSqliteStore(join(path, "below")), failing("STORE_001", "later"));
      rmSync(path);
      mkdirSync(fileOf(path), { recursive: true });
      await assert.rejects(openSqliteStore(path), failing("STORE_001", "later"));
    });
  });

  describe("backup", () => {
    it("is consistent while commits go on, and replaces the one before only when complete", async () => {
      const path = folder();
      const store = await open(path);
      const pair = (n: number): Change[] => [{ do: "set", space: "left", key: String(n).padStart(6, "0"), value: "v".repeat(2000) }, { do: "set", space: "right", key: String(n).padStart(6, "0"), value: n }];
      for (let n = 0; n < 1000; n++) await store.commit(pair(n));
      const target = join(path, "copy.sqlite");
      writeFileSync(target, "the one before");
      let running = true;
      const writing = (async () => {
        let n = 1000;
        for (; running && n < 20_000; n += 5) await Promise.all([0, 1, 2, 3, 4].map((more) => store.commit(pair(n + more))));
        return n;
      })();
      for (let copies = 0; copies < 12; copies++) await store.backup(target);
      running = false;
      const written = await writing;
      const home = folder();
      mkdirSync(home);
      copyFileSync(target, fileOf(home));
      const copy = await open(home);
      const [left, right] = await Promise.all([copy.list("left", ""), copy.list("right", "")]);
      assert.deepEqual(copy.problems.map(({ code }) => code), ["STORE_006"]);
      assert.deepEqual(left.map(([key]) => key), right.map(([key]) => key));
      assert.ok(right.length >= 1000 && right.length <= written);
      assert.deepEqual(right.map(([, value]) => value), Array.from({ length: right.length }, (_, n) => n));
      assert.deepEqual(readdirSync(path).filter((name) => name.includes(".part")), []);
      await assert.rejects(store.backup(fileOf(path)), failing("STORE_001"));
      await assert.rejects(store.backup(join(path, "copy.sqlite", "below")), failing("STORE_001"));
    });
  });
});
