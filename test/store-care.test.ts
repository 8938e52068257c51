/** The copies a store gets by itself, and how one is put back. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Clock } from "../engine/clock.ts";
import { StoreError } from "../engine/errors.ts";
import { createStoreCare, restore, type StoreCare, type StoreCareOptions } from "../engine/store-care.ts";
import { openSqliteStore, type SqliteStore } from "../engine/store/sqlite.ts";
import { newReceipt, newRow, NOW } from "./contracts/store.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const failing = (code: string) => (error: unknown): boolean => error instanceof StoreError && error.code === code;

const ROOM = async (): Promise<{ free: number; size: number }> => ({ free: 1e12, size: 1e12 });
/** So long until what a timer began has ended: but for the copy itself it waits for nothing. */
let busy = 0;
async function settled(): Promise<void> {
  for (let quiet = 0; quiet < 3; quiet++) {
    await new Promise((resolve) => { setTimeout(resolve, 2); });
    if (busy > 0) quiet = 0;
  }
}
/** A clock that goes when told. */
function handClock(): Clock & { go(ms: number): Promise<void>; jump(ms: number): void } {
  let now = NOW;
  let went = 0;
  const timers = new Set<{ readonly at: number; readonly act: () => void }>();
  return {
    now: () => now,
    monotonic: () => went,
    after(ms, act) {
      const timer = { at: went + ms, act };
      timers.add(timer);
      return () => { timers.delete(timer); };
    },
    jump(ms) { now += ms; },
    async go(ms) {
      const end = went + ms;
      for (;;) {
        const next = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        now += next.at - went;
        went = next.at;
        timers.delete(next);
        next.act();
        await settled();
      }
      now += end - went;
      went = end;
    },
  };
}

describe("store care", () => {
  const folders: string[] = [];
  const open: (SqliteStore | StoreCare)[] = [];
  function fresh(): string {
    const made = mkdtempSync(join(tmpdir(), "clawflow-care-"));
    folders.push(made);
    return join(made, "gateway");
  }
  const watched = (store: SqliteStore): Pick<SqliteStore, "backup"> => ({ backup: (file) => { busy++; return store.backup(file).finally(() => { busy--; }); } });
  async function setup(more: Partial<StoreCareOptions> = {}) {
    const folder = fresh();
    const clock = handClock();
    const store = await openSqliteStore(folder, { clock });
    const log: string[] = [];
    const care = createStoreCare({ store: watched(store), folder, clock, log: (level, text) => { log.push(`${level} ${text}`); }, disk: ROOM, ...more });
    open.push(care, store);
    const copies = (): string[] => (existsSync(join(folder, "backups")) ? readdirSync(join(folder, "backups")).sort() : []);
    return { folder, clock, store, care, log, copies };
  }
  afterEach(async () => { for (const each of open.splice(0)) await each.close(); });
  after(() => { for (const folder of folders) rmSync(folder, { recursive: true, force: true }); });

  describe("copies", () => {
    it("are made soon after the first start, once a day, and the three newest are kept", async () => {
      const { clock, copies, log } = await setup();
      await clock.go(4 * 60_000);
      assert.deepEqual(copies(), []);
      await clock.go(2 * 60_000);
      assert.deepEqual(copies(), ["store-2026-09-21T14-18-20-000Z.sqlite"]);
      await clock.go(22 * HOUR);
      assert.equal(copies().length, 1);
      await clock.go(4 * DAY);
      assert.equal(copies().length, 3);
      assert.deepEqual(copies().map((name) => name.slice(6, 16)), ["2026-09-23", "2026-09-24", "2026-09-25"]);
      assert.equal(log.filter((line) => line.startsWith("warn")).length, 0);
    });
    it("are counted from the newest that is there, also after a restart, and after a wrong clock", async () => {
      const { folder, clock, store, care, copies } = await setup();
      await care.backup();
      await care.close();
      const again = createStoreCare({ store: watched(store), folder, clock, log: () => undefined, disk: ROOM });
      open.push(again);
      await clock.go(23 * HOUR);
      assert.equal(copies().length, 1);
      await clock.go(2 * HOUR);
      assert.equal(copies().length, 2);
      clock.jump(-30 * DAY);
      await clock.go(2 * HOUR);
      assert.equal(copies().length, 3, "a copy from the future does not stand for today's");
      await clock.go(3 * HOUR);
      assert.equal(copies().length, 3);
    });
    it("never fill the disk: too little room is said once, and looked at every hour", async () => {
      const disk = { free: 200 * 1024 ** 2, size: 2000 * 1024 ** 2 };
      const { clock, care, copies, log } = await setup({ disk: async () => disk });
      await clock.go(5 * HOUR);
      assert.deepEqual([copies(), log.length], [[], 1]);
      assert.match(log[0] as string, /^warn Expected room for a backup of 1 MB with 200 MB to spare in .+backups, got 200 MB free\.$/);
      await assert.rejects(care.backup(), failing("STORE_001"));
      disk.free += 10 * 1024 ** 2;
      await clock.go(HOUR);
      assert.equal(copies().length, 1);
      disk.free = 0;
      await clock.go(2 * DAY);
      assert.equal(log.filter((line) => line.startsWith("warn")).length, 2);
    });
    it("that fail leave nothing behind and are tried again; what a kill left is removed; other files are not", async () => {
      let broken = true;
      const { folder, clock, store, log, copies } = await setup();
      const home = join(folder, "backups");
      mkdirSync(home);
      writeFileSync(join(home, "store-2020-01-01T00-00-00-000Z.sqlite.part"), "half");
      writeFileSync(join(home, "mine.sqlite"), "of a person");
      const care = createStoreCare({ folder, clock, log: (level, text) => { log.push(`${level} ${text}`); }, store: { backup: async (file) => { if (broken) throw new StoreError("STORE_001", { retry: "later" }, "no"); await store.backup(file); } } });
      open.push(care);
      await assert.rejects(care.backup(), failing("STORE_001"));
      assert.deepEqual(copies(), ["mine.sqlite"]);
      broken = false;
      for (let n = 0; n < 5; n++) await care.backup();
      assert.equal(copies().length, 4);
      assert.ok(copies().includes("mine.sqlite"));
    });
    it("are one when asked for at the same time, and none after close, which waits for the one under way", async () => {
      const { care, copies } = await setup();
      const [one, other] = await Promise.all([care.backup(), care.backup()]);
      assert.equal(one, other);
      const last = care.backup();
      await care.close();
      assert.ok(copies().includes(basename(await last)));
      await assert.rejects(care.backup(), failing("STORE_001"));
    });
    it("are offered when the store is damaged, also when the note beside it is gone", async () => {
      const { folder, store, care } = await setup();
      const made = await care.backup();
      await care.close();
      await store.close();
      rmSync(join(folder, "store.json"));
      writeFileSync(join(folder, "store.sqlite"), "x".repeat(9000));
      const again = await openSqliteStore(folder);
      open.push(again);
      assert.equal(again.problems[0]?.backup, made);
    });
  });

  describe("a backup that is put back", () => {
    /** A backup with one message and part of every kind, and what was done after it. */
    async function later() {
      const made = await setup();
      const { store, care, clock } = made;
      const say = async (id: string, due = clock.now()): Promise<void> => { await store.commit([{ do: "receive", receipt: newReceipt(id) }, { do: "outbox", row: newRow(id, { dueAt: due }) }, { do: "journal", run: `1.s.${id}`, entry: { step: "a", at: NOW, data: 1 } }]); };
      for (const id of ["done", "waiting", "sending"]) await say(id);
      await say("scheduled", clock.now() + 10 * DAY);
      await store.commit([{ do: "receipt", seq: 1, state: "done" }, { do: "outbox-update", key: "done", set: { state: "sent", ref: "9" } }, { do: "outbox-update", key: "sending", set: { state: "sending", startedAt: NOW + 5 } }]);
      const file = await care.backup();
      clock.jump(HOUR);
      await store.commit([{ do: "receipt", seq: 2, state: "done" }, { do: "outbox-update", key: "waiting", set: { state: "sent", ref: "10" } }]);
      await say("after");
      await care.close();
      await store.close();
      return { ...made, file };
    }
    async function look(folder: string, clock: Clock): Promise<SqliteStore> {
      const store = await openSqliteStore(folder, { clock });
      open.push(store);
      const [problem] = store.problems;
      assert.equal(problem?.code, "STORE_006");
      assert.match(problem?.text ?? "", /was put back from a backup\. What it still held as waiting may be done already: 3 messages are dead letters now, of 2 parts it is found out whether they were sent\.$/);
      assert.deepEqual(await store.pending(0, 9), []);
      assert.deepEqual((await store.dead(9)).map(({ message, reason }) => [message.id, message.text, reason]).reverse(), ["waiting", "sending", "scheduled"].map((id) => [id, `text of ${id}`, "It was waiting when the store was copied, and may have been answered since. Send it again if it was not."]));
      // What was sent stays sent; what may have been is for the outbox to find out, from when it was planned; what is due later cannot have been.
      assert.equal((await store.outboxRow("done"))?.state, "sent");
      assert.deepEqual((await store.unsent(0, 9)).map(({ key, state, startedAt }) => [key, state, startedAt]), [["waiting", "unknown", NOW], ["sending", "unknown", NOW + 5], ["scheduled", "planned", undefined]]);
      assert.deepEqual(await store.get("store", "restored"), { at: clock.now(), copiedAt: NOW });
      assert.deepEqual(await store.commit([{ do: "receive", receipt: newReceipt("done") }, { do: "receive", receipt: newReceipt("after") }]), [undefined, 5], "what it knows, it knows; what came later is new to it");
      return store;
    }

    it("does nothing again by itself, keeps the old store, and is told once", async () => {
      const { folder, clock, file } = await later();
      const { moved } = await restore(folder, file, clock);
      assert.ok(moved !== undefined && existsSync(moved) && moved.includes("store.sqlite.replaced-"));
      const store = await look(folder, clock);
      await store.close();
      const again = await openSqliteStore(folder, { clock });
      open.push(again);
      assert.deepEqual([again.problems, (await again.pending(0, 9)).map(({ message }) => message.id)], [[], ["after"]]);
      await again.close();
      // And the way back.
      await restore(folder, moved, clock);
      const old = await openSqliteStore(folder, { clock });
      open.push(old);
      assert.equal((await old.outboxRow("after"))?.state, "unknown");
    });
    it("does so on another machine, where nothing else is known, and when it was copied there by hand", async () => {
      const { clock, file } = await later();
      const elsewhere = fresh();
      assert.deepEqual(await restore(elsewhere, file, clock), {});
      await look(elsewhere, clock);
      const byHand = fresh();
      mkdirSync(byHand);
      copyFileSync(file, join(byHand, "store.sqlite"));
      await look(byHand, clock);
      assert.equal(statSync(join(elsewhere, "store.sqlite")).mode & 0o777, 0o600);
    });
    it("is put in the place of a killed store, whose last commits stay with it", async () => {
      const { folder, clock, file } = await later();
      const killed = fresh();
      mkdirSync(killed);
      for (const name of readdirSync(folder).filter((each) => statSync(join(folder, each)).isFile())) copyFileSync(join(folder, name), join(killed, name));
      writeFileSync(join(killed, "store.sqlite-wal"), "of the old store");
      writeFileSync(join(killed, "store.json"), '{"state":"open","log":true}');
      const { moved } = await restore(killed, file, clock);
      assert.equal(readFileSync(`${moved}-wal`, "utf8"), "of the old store");
      await look(killed, clock);
    });
    it("is refused when it is damaged, of the future, no store, or not there; and while the store is open. Nothing is changed then", async () => {
      const { folder, clock, file } = await later();
      const before = readFileSync(join(folder, "store.sqlite"));
      const bad = (name: string, make: (path: string) => void): string => { const path = join(folder, name); copyFileSync(file, path); make(path); return path; };
      await assert.rejects(restore(folder, join(folder, "none"), clock), failing("STORE_001"));
      await assert.rejects(restore(folder, join(folder, "store.sqlite"), clock), failing("STORE_001"));
      await assert.rejects(restore(folder, bad("text", (path) => writeFileSync(path, "text ".repeat(3000))), clock), failing("STORE_002"));
      await assert.rejects(restore(folder, bad("hurt", (path) => { const bytes = readFileSync(path); bytes.fill(0, 8192, 12_288); writeFileSync(path, bytes); }), clock), failing("STORE_002"));
      await assert.rejects(restore(folder, bad("other", (path) => { rmSync(path); const db = new DatabaseSync(path); db.exec("CREATE TABLE songs (a); PRAGMA user_version = 1"); db.close(); }), clock), failing("STORE_002"));
      await assert.rejects(restore(folder, bad("future", (path) => { const db = new DatabaseSync(path); db.exec("PRAGMA user_version = 99"); db.close(); }), clock), failing("STORE_003"));
      const store = await openSqliteStore(folder, { clock });
      open.push(store);
      await assert.rejects(restore(folder, file, clock), failing("STORE_004"));
      await store.commit([{ do: "set", space: "x", key: "k", value: 1 }]);
      await store.close();
      assert.equal(readFileSync(join(folder, "store.sqlite")).length, before.length);
      assert.deepEqual(readdirSync(folder).filter((name) => /next|part|replaced/.test(name)), []);
    });
  });
});
