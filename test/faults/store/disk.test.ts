/** F21, F22: a disk that is full, read-only, out of reach or failing: refused by name, read on, and well again by itself. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { openSqliteStore } from "../../../engine/store/sqlite.ts";
import { skip } from "../../rigs/skip.ts";
import { cleanUp, diskLibrary, freshFolder, stepper } from "./common.ts";

const REFUSED = "STORE_001 later";
const RECOVERY_MS = 5000;
const { errno } = constants;

describe("the disk under the store", function () {
  this.timeout(600_000);
  after(cleanUp);

  type Stepper = Awaited<ReturnType<typeof stepper>>;
  /** What was refused is taken again, without anybody's help, within 5 s. */
  async function recovers({ ask }: Stepper, what: string): Promise<number> {
    const began = performance.now();
    for (;;) {
      const answer = await ask(what);
      const ms = performance.now() - began;
      if (answer !== REFUSED) { assert.equal(typeof answer, "number", String(answer)); return Math.round(ms); }
      assert.ok(ms < RECOVERY_MS, `${what} is still refused after ${ms} ms`);
      await new Promise((resolve) => { setTimeout(resolve, 100); });
    }
  }

  describe("full or read-only (a file system of 2 MB)", () => {
    const mount = 'mount -t tmpfs -o size=2m none "$0" && exec "$@"';
    async function small(test: Mocha.Context): Promise<Stepper> {
      const tried = spawnSync("unshare", ["-m", "sh", "-c", 'mount -t tmpfs -o size=2m none "$0"', "/mnt"], { encoding: "utf8" });
      if (tried.error !== undefined || tried.status !== 0) return skip(test, "no right to mount a small disk here (unshare -m)");
      const folder = freshFolder();
      mkdirSync(folder);
      return stepper(folder, { command: ["unshare", "-m", "sh", "-c", mount, folder] });
    }

    it("is refused before anything is confirmed, read on, and used again when there is room", async function () {
      const disk = await small(this);
      const { ask } = disk;
      assert.deepEqual([await ask("open"), await ask("ballast"), await ask("fill")], [0, "ok", REFUSED]);
      for (let n = 0; n < 5; n++) assert.equal(await ask("commit"), REFUSED);
      assert.deepEqual([await ask("read"), await ask("backup"), await ask("left")], [[true, true], REFUSED, []]);
      await ask("room");
      const ms = await recovers(disk, "commit");
      assert.deepEqual([await ask("read"), await ask("close"), await ask("check"), await ask("open"), await ask("read")], [[true, true], "closed", "ok", 0, [true, true]]);
      console.log(`      full disk: refused 6 times, read on, used again after ${ms} ms, 0 confirmed rows lost`);
      await disk.end();
    });
    it("is opened while it is full, and nothing is alarmed by that", async function () {
      const { ask, end } = await small(this);
      assert.deepEqual([await ask("open"), await ask("ballast"), await ask("fill")], [0, "ok", REFUSED]);
      await ask("close");
      assert.deepEqual([await ask("open"), await ask("read"), await ask("commit")], [0, [true, true], REFUSED]);
      await ask("room");
      assert.equal(typeof await ask("commit"), "number");
      assert.deepEqual([await ask("close"), await ask("check"), await ask("open"), await ask("read")], ["closed", "ok", 0, [true, true]]);
      await end();
    });
    it("is refused while it is read-only, and opened when it is not", async function () {
      const { ask, end } = await small(this);
      assert.deepEqual([await ask("open"), await ask("commit"), await ask("close"), await ask("readOnly")], [0, 1, "closed", "ok"]);
      const handles = await ask("handles");
      for (let n = 0; n < 20; n++) assert.equal(await ask("open"), REFUSED);
      assert.equal(await ask("handles"), handles, "a refused try leaves nothing open");
      assert.deepEqual([await ask("writable"), await ask("open"), await ask("commit"), await ask("read")], ["ok", 0, 2, [true, true]]);
      await end();
    });
  });

  describe("failing", () => {
    const [WRITE, SYNC, OPEN, READ, CUT, NAME] = [1, 2, 4, 8, 16, 32];
    async function faulty(test: Mocha.Context, options: object = {}): Promise<Stepper & { fail(what: number, code: number, where?: number): void }> {
      const { path: library, missing } = diskLibrary();
      if (library === undefined) return skip(test, missing as string);
      const folder = freshFolder();
      mkdirSync(folder);
      const control = `${folder}.fault`;
      writeFileSync(control, Buffer.from([0, 0, 0]));
      const made = await stepper(folder, { env: { LD_PRELOAD: library, DISK_FAULT: control, DISK_ROOT: folder }, options });
      return { ...made, fail: (what, code, where = 0) => writeFileSync(control, Buffer.from([what, code, where]), { flag: "r+" }) };
    }

    it("is refused whatever it says, read on, and used again when it works", async function () {
      const disk = await faulty(this);
      const { ask, fail } = disk;
      assert.equal(await ask("open"), 0);
      let worst = 0;
      const cases = Object.entries({ EIO: errno.EIO, ENOSPC: errno.ENOSPC, EROFS: errno.EROFS, EDQUOT: errno.EDQUOT, EACCES: errno.EACCES }).flatMap(([name, code]) => [[name, WRITE, code], [name, SYNC, code], [name, WRITE | SYNC | OPEN | CUT | NAME, code]] as const);
      for (const [name, what, code] of cases) {
        // So many that the -wal is brought home at different places.
        for (let n = 0; n < 20; n++) assert.equal(typeof await ask("commit"), "number");
        fail(what, code, what === SYNC ? 1 : 0);
        for (let n = 0; n < 3; n++) assert.equal(await ask("commit"), REFUSED, `${name} ${what}`);
        assert.deepEqual(await ask("read"), [true, true], `${name} ${what}`);
        fail(0, 0);
        worst = Math.max(worst, await recovers(disk, "commit"));
        assert.deepEqual(await ask("read"), [true, true]);
      }
      assert.deepEqual([await ask("close"), await ask("check"), await ask("open"), await ask("read")], ["closed", "ok", 0, [true, true]]);
      console.log(`      failing disk: ${cases.length} kinds of fault, ${cases.length * 3} commits refused, used again after at most ${worst} ms, 0 confirmed rows lost`);
      await disk.end();
    });
    it("loses nothing where the -wal cannot be brought home, nor at closing", async function () {
      const { ask, fail, end } = await faulty(this);
      assert.equal(await ask("open"), 0);
      for (const what of [WRITE, SYNC, CUT]) {
        fail(what, errno.EIO, 2);
        for (let n = 0; n < 120; n++) assert.equal(typeof await ask("commit"), "number", "what is in the -wal is on disk");
        assert.deepEqual(await ask("read"), [true, true]);
        const closing = await ask("close");
        assert.ok(closing === "closed" || closing === REFUSED, String(closing));
        fail(0, 0);
        assert.deepEqual([await ask("open"), await ask("read")], [0, [true, true]]);
      }
      fail(WRITE | SYNC | OPEN | CUT | NAME, errno.EIO);
      const closing = await ask("close");
      assert.ok(closing === "closed" || closing === REFUSED, String(closing));
      fail(0, 0);
      assert.deepEqual([await ask("open"), await ask("read"), await ask("close"), await ask("check")], [0, [true, true], "closed", "ok"]);
      await end();
    });
    it("is refused at opening, and opened when it works", async function () {
      const { ask, fail, end } = await faulty(this);
      assert.deepEqual([await ask("open"), await ask("commit"), await ask("close")], [0, 1, "closed"]);
      const handles = await ask("handles");
      for (const code of [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.EIO, errno.EROFS]) {
        fail(OPEN, code);
        for (let n = 0; n < 5; n++) assert.equal(await ask("open"), REFUSED, String(code));
        fail(0, 0);
        assert.deepEqual([await ask("handles"), await ask("open"), await ask("read"), await ask("close")], [handles, 0, [true, true], "closed"]);
      }
      for (const code of [errno.EIO]) {
        fail(READ, code);
        assert.equal(await ask("open"), REFUSED);
        fail(0, 0);
        assert.deepEqual([await ask("handles"), await ask("open"), await ask("read")], [handles, 0, [true, true]]);
      }
      await end();
    });
    it("is named where it fails at reading, and nothing is taken for damage", async function () {
      const { ask, fail, end } = await faulty(this);
      assert.deepEqual([await ask("open"), await ask("fill"), await ask("close"), await ask("open")], [0, "never full", "closed", 0]);
      fail(READ, errno.EIO);
      // In the middle of a table SQLite itself takes a read that failed for damage: then all of the file is checked at the next opening.
      assert.match(String(await ask("read")), /^STORE_00[12] later$/);
      fail(0, 0);
      assert.deepEqual([await ask("read"), await ask("commit"), await ask("close"), await ask("open"), await ask("read")], [[true, true], 601, "closed", 0, [true, true]]);
      await end();
    });
  });

  describe("out of reach", () => {
    it("without a file handle to be had: an open store works on, another try is refused", async () => {
      const { ask, end } = await stepper(freshFolder(), { command: ["sh", "-c", 'ulimit -n 80 && exec "$@"', "sh"] });
      assert.deepEqual([await ask("open"), await ask("commit"), await ask("exhaust")], [0, 1, "EMFILE"]);
      for (let n = 2; n < 60; n++) assert.equal(await ask("commit"), n);
      assert.deepEqual([await ask("read"), await ask("backup")], [[true, true], REFUSED]);
      assert.deepEqual([await ask("relax"), await ask("backup"), await ask("close"), await ask("exhaust"), await ask("open"), await ask("relax")], ["ok", "saved", "closed", "EMFILE", REFUSED, "ok"]);
      assert.deepEqual([await ask("open"), await ask("read")], [0, [true, true]]);
      await end();
    });
    it("for want of rights: the folder, the file, or both", async function () {
      if (process.platform === "win32") return skip(this, "rights are another matter on Windows");
      const folder = freshFolder();
      await (await openSqliteStore(folder)).close();
      const { ask, end } = await stepper(folder);
      const root = process.geteuid?.() === 0;
      const become = async (name: "user" | "root"): Promise<void> => { if (root) await ask(name); };
      const file = join(folder, "store.sqlite");
      for (const [above, inside, bytes] of [[0o700, 0o700, 0o600], [0o755, 0o555, 0o444], [0o755, 0o555, 0o666], [0o755, 0o777, 0o444], [0o755, 0o777, 0o000]] as const) {
        // Whoever runs the tests as himself has his own folder above.
        if (!root && above === 0o700) continue;
        chmodSync(file, bytes);
        chmodSync(folder, inside);
        chmodSync(dirname(folder), above);
        await become("user");
        for (let n = 0; n < 3; n++) assert.equal(await ask("open"), REFUSED, `${inside.toString(8)} ${bytes.toString(8)}`);
        await become("root");
        chmodSync(dirname(folder), 0o700);
        chmodSync(folder, 0o700);
        chmodSync(file, 0o600);
        assert.deepEqual([await ask("open"), typeof await ask("commit"), await ask("close")], [0, "number", "closed"]);
      }
      assert.equal(statSync(file).mode & 0o777, 0o600);
      await end();
    });
  });
});
