/** F23: whatever was damaged, the store opens, says what was lost, offers the last backup, and hands out nothing that is not what it says it is. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { StoreError } from "../../../engine/errors.ts";
import { openSqliteStore, type SqliteStore } from "../../../engine/store/sqlite.ts";
import type { Change, OutboxRow, Receipt } from "../../../engine/store/store.ts";
import { newReceipt, newRow, NOW } from "../../contracts/store.ts";
import { cleanUp, dice, freshFolder, FULL, kill, SEED, start } from "./common.ts";

const FLIPS = FULL ? 1000 : 100;
const CUTS = FULL ? 200 : 30;
const MESSAGES = 120;
/** So that each table has several pages. */
const WORDS = "w".repeat(300);
const file = (folder: string): string => join(folder, "store.sqlite");
const clock = { now: () => NOW, monotonic: () => 0, after: () => () => {} };

describe("damage to the store", function () {
  this.timeout(FULL ? 900_000 : 600_000);
  after(cleanUp);
  let closed: string;
  /** Two that were killed, with much in their -wal: of one generation, and of several behind one another. */
  const killed: string[] = [];
  let backup: string;

  /** Every third message done, every third begun (it has steps), the others not begun. */
  async function fill(store: SqliteStore): Promise<void> {
    for (let n = 1; n <= MESSAGES; n++) {
      await store.commit([{ do: "receive", receipt: newReceipt(`m${n}`) }, { do: "outbox", row: newRow(`k${n}`) }, ...(n % 3 === 2 ? [] : [{ do: "journal", run: `${n}.s.n`, entry: { step: "a", at: NOW, data: { n } } } as const]),
        { do: "turns", session: `s${n % 5}`, run: "r", at: NOW, turns: [{ role: "user", text: `t${n} ${WORDS}` }] }, { do: "set", space: "x", key: `k${n}`, value: { n, WORDS } }]);
      if (n % 3 === 0) await store.commit([{ do: "receipt", seq: n, state: "done" }, { do: "outbox-update", key: `k${n}`, set: { state: "sent", ref: "1" } }]);
    }
  }
  before(async () => {
    closed = freshFolder();
    const store = await openSqliteStore(closed);
    await fill(store);
    backup = join(closed, "backups", "store-2026-09-21T14-13-20-000Z.sqlite");
    await store.backup(backup);
    await store.close();
    for (const checkpointPages of [1_000_000, 300]) {
      const folder = freshFolder();
      const child = start("work", [folder, JSON.stringify({ checkpointPages })]);
      const target = Date.now() + 20_000;
      while (child.out().split("\n").length < 400 && Date.now() < target) await new Promise((resolve) => { setTimeout(resolve, 20); });
      await kill(child.process);
      assert.ok(statSync(`${file(folder)}-wal`).size > 200_000);
      killed.push(folder);
    }
  });

  function copyOf(folder: string): string {
    const made = freshFolder();
    cpSync(folder, made, { recursive: true });
    return made;
  }
  function flip(path: string, random: () => number, below = Number.POSITIVE_INFINITY): number {
    const bytes = readFileSync(path);
    const at = Math.floor(random() * Math.min(below, bytes.length));
    bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(random() * 8));
    writeFileSync(path, bytes);
    return at;
  }

  const isText = (value: unknown): boolean => typeof value === "string";
  const isNumber = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value);
  function soundReceipt({ seq, secret, lane, attempts, state, priority, trust, tainted, receivedAt, runs, message }: Receipt): boolean {
    return [seq, attempts, receivedAt, message.sentAt].every(isNumber) && [secret, lane, message.id, message.text, message.ref, message.at.channel, message.at.account, message.at.chat, message.sender.id, message.sender.name].every(isText)
      && ["pending", "done", "dead"].includes(state) && ["urgent", "high", "normal", "low"].includes(priority) && ["owner", "paired", "allowed", "stranger"].includes(trust) && typeof tainted === "boolean" && typeof runs === "object" && Array.isArray(message.attachments);
  }
  function soundRow({ key, seq, run, op, to, draft, state, attempts, dueAt, plannedAt }: OutboxRow): boolean {
    return [key, run, to.channel, to.account, to.chat].every(isText) && [seq, attempts, dueAt, plannedAt].every(isNumber) && ["send", "edit", "react", "remove"].includes(op) && ["planned", "sending", "unknown", "sent", "dead"].includes(state) && typeof draft === "object" && draft !== null;
  }
  /** Asks for everything; whatever is refused is refused by name. */
  async function exercise(store: SqliteStore, what: string): Promise<void> {
    const named = (error: unknown): undefined => { assert.ok(error instanceof StoreError && error.code === "STORE_002", `${what}: ${String((error as Error).stack)}`); };
    const receipts = [...await store.pending(0, 1000).catch(named) ?? [], ...await store.dead(1000).catch(named) ?? [], await store.receipt(6).catch(named), await store.receipt(7).catch(named)];
    for (const receipt of receipts) assert.ok(receipt === undefined || soundReceipt(receipt), `${what}: ${JSON.stringify(receipt)}`);
    for (const row of [...await store.unsent(0, 1000).catch(named) ?? [], await store.outboxRow("k3").catch(named)]) assert.ok(row === undefined || soundRow(row), `${what}: ${JSON.stringify(row)}`);
    for (const session of ["s0", "s1", "s2"]) for (const { turn } of await store.turns(session, 99).catch(named) ?? []) assert.ok(typeof turn === "object" && turn !== null, what);
    for (const run of ["1.s.n", "7.s.n"]) await store.journal(run).catch(named);
    await Promise.all([store.list("x", "").catch(named), store.counts().catch(named), store.get("x", "k5").catch(named)]);
    await store.commit([{ do: "receive", receipt: newReceipt("fresh") }, { do: "set", space: "x", key: "fresh", value: 1 }]).catch(named);
  }
  /** Opens, uses, closes and opens again: at last by then all is well, and said. */
  async function survive(folder: string, what: string): Promise<{ problems: SqliteStore["problems"]; refused: boolean }> {
    let store: SqliteStore;
    try {
      store = await openSqliteStore(folder, { clock });
    } catch (error) {
      // The version is a number in the file: with a bit more it is a store from the future, which is left alone.
      assert.ok(error instanceof StoreError && error.code === "STORE_003", `${what}: ${String((error as Error).stack)}`);
      return { problems: [], refused: true };
    }
    await exercise(store, what);
    await store.close().catch((error: unknown) => { assert.ok(error instanceof StoreError, `${what}: ${String(error)}`); });
    const again = await openSqliteStore(folder, { clock });
    const problems = [...store.problems, ...again.problems];
    await again.commit([{ do: "set", space: "x", key: "still", value: 1 }]);
    assert.equal(await again.get("x", "still"), 1, what);
    await again.list("x", "");
    await again.close();
    for (const { text, moved, code, backup: offered } of problems) {
      assert.ok(code === "STORE_002" && text.length > 20 && (moved === "" || existsSync(moved)), `${what}: ${text}`);
      if (folder !== closed && existsSync(join(folder, "backups")) && moved !== "") assert.ok(offered !== undefined && existsSync(offered) && text.includes(offered), `${what}: ${text}`);
    }
    return { problems, refused: false };
  }

  it("of single bits is found, or of no account to what is handed out", async () => {
    const random = dice(SEED);
    const found = { opened: 0, named: 0, refused: 0, rescued: 0, waiting: 0 };
    for (let round = 0; round < FLIPS; round++) {
      const folder = copyOf(closed);
      const at = flip(file(folder), random, round % 10 < 2 ? 4096 : undefined);
      const { problems, refused } = await survive(folder, `seed ${SEED}, flip ${round} at ${at}`);
      if (refused) found.refused++; else found.opened++;
      if (problems.length > 0) found.named++;
      const saved = problems.find((problem) => problem.saved !== undefined)?.saved;
      if (saved !== undefined) { found.rescued++; found.waiting += saved.waiting; }
      rmSync(join(folder, ".."), { recursive: true });
    }
    console.log(`      ${FLIPS} flipped bits, seed ${SEED}: ${found.opened} opened, ${found.refused} refused as newer, ${found.named} named, ${found.rescued} read over with ${(found.waiting / Math.max(1, found.rescued)).toFixed(0)} of ${MESSAGES * 2 / 3} waiting messages on average`);
    assert.ok(found.named > 0 && found.rescued > 0);
  });
  it("of the -wal by a bit, a cut or its removal is survived, and named where confirmed work is gone", async () => {
    const random = dice(SEED + 1);
    const told = { flips: 0, cuts: 0 };
    for (let round = 0; round < CUTS; round++) {
      const folder = copyOf(killed[round % 2] as string);
      flip(`${file(folder)}-wal`, random);
      if ((await survive(folder, `seed ${SEED}, -wal flip ${round}`)).problems.length > 0) told.flips++;
      rmSync(join(folder, ".."), { recursive: true });
    }
    for (let round = 0; round < CUTS; round++) {
      const folder = copyOf(killed[round % 2] as string);
      truncateSync(`${file(folder)}-wal`, Math.floor(random() * statSync(`${file(folder)}-wal`).size));
      if ((await survive(folder, `seed ${SEED}, -wal cut ${round}`)).problems.length > 0) told.cuts++;
      rmSync(join(folder, ".."), { recursive: true });
    }
    console.log(`      -wal: ${told.flips} of ${CUTS} flips and ${told.cuts} of ${CUTS} cuts named`);
    assert.ok(told.flips > 0);
    const folder = copyOf(killed[0] as string);
    rmSync(`${file(folder)}-wal`);
    rmSync(`${file(folder)}-shm`, { force: true });
    const store = await openSqliteStore(folder);
    assert.match(store.problems[0]?.text ?? "", /lost what was saved last: its -wal file is missing\. What it still held as waiting may be done already: \d+ messages are dead letters now/);
    assert.deepEqual([(await store.pending(0, 9)).length, (await store.unsent(0, 9)).every(({ state }) => state === "unknown")], [0, true]);
    await store.close();
    const again = await openSqliteStore(folder);
    assert.deepEqual(again.problems, []);
    await again.close();
  });
  it("of the whole file, or its absence, begins anew and offers the backup", async () => {
    const cases: Record<string, (path: string) => void> = {
      "zero length": (path) => truncateSync(path, 0), "missing": (path) => rmSync(path), "something else": (path) => writeFileSync(path, "no database ".repeat(9000)),
      "header of zeros": (path) => { const bytes = readFileSync(path); bytes.fill(0, 0, 100); writeFileSync(path, bytes); },
      // The version of the format: of a program of the future, that allows this one to read and not to write.
      "a header that forbids to write": (path) => { const bytes = readFileSync(path); bytes[18] = 18; writeFileSync(path, bytes); },
      "one byte": (path) => truncateSync(path, 1), "one page": (path) => truncateSync(path, 4096), "cut in a page": (path) => truncateSync(path, 70_001),
      "all noise behind the header": (path) => { const bytes = readFileSync(path); const random = dice(SEED); for (let at = 100; at < bytes.length; at++) bytes[at] = Math.floor(random() * 256); writeFileSync(path, bytes); },
    };
    for (const [name, harm] of Object.entries(cases)) {
      const folder = copyOf(closed);
      harm(file(folder));
      const { problems } = await survive(folder, name);
      assert.equal(problems.length, 1, name);
      assert.ok(problems[0]?.text.includes("A new one was begun") && problems[0].backup !== undefined, problems[0]?.text);
    }
  });

  describe("is read over", () => {
    const rescue = async (harm: (folder: string) => void): Promise<SqliteStore> => {
      const folder = copyOf(closed);
      harm(folder);
      const store = await openSqliteStore(folder, { clock });
      assert.equal(store.problems.length, 1);
      return store;
    };
    const pages = (folder: string, name: string): number[] => {
      const db = new DatabaseSync(file(folder), { readOnly: true });
      const found = db.prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno").all(name).map(({ pageno }) => Number(pageno));
      db.close();
      return found;
    };
    const wipe = (...tables: readonly string[]) => (folder: string): void => {
      const bytes = readFileSync(file(folder));
      const wiped = tables.map((table) => { const all = pages(folder, table); return all[Math.floor(all.length / 2)] as number; });
      for (const page of wiped) bytes.fill(0, (page - 1) * 4096, page * 4096);
      writeFileSync(file(folder), bytes);
      writeFileSync(join(folder, "store.json"), JSON.stringify({ state: "open", backup }));
    };
    const duplicates = async (store: SqliteStore): Promise<number> => {
      const results = await store.commit(Array.from({ length: MESSAGES }, (_, n): Change => ({ do: "receive", receipt: newReceipt(`m${n + 1}`) })));
      return results.filter((seq) => seq === undefined).length;
    };

    it("so that messages that wait go on, and what is lost is known by its key", async () => {
      const store = await rescue(wipe("inbox"));
      const { saved, text } = store.problems[0] as SqliteStore["problems"][number];
      assert.ok(saved !== undefined && saved.lost > 0 && saved.messages + saved.lost === MESSAGES && saved.parts === MESSAGES && saved.values === MESSAGES && !saved.complete);
      assert.match(text, new RegExp(`A new one was begun with what could be read of it: ${saved.messages} messages \\(${saved.waiting} of them waiting\\), 120 parts to send, 120 turns of talks, 120 values; more could not be read, of ${saved.lost} records only the key\\. The last backup is `));
      const pending = await store.pending(0, 1000);
      const dead = await store.dead(1000);
      assert.equal(pending.length, saved.waiting);
      assert.equal(pending.length + dead.length, MESSAGES * 2 / 3, "each that waited waits, or is a dead letter");
      assert.ok(pending.every(({ message: { id, text: words } }) => words === `text of ${id}`));
      assert.ok(dead.every(({ reason, message: { id, at } }) => reason === "Its record was damaged on disk." && /^m\d+$/.test(id) && at.account === "home"));
      assert.deepEqual((await store.journal("1.s.n")).map(({ data }) => data), [{ n: 1 }]);
      assert.equal(await duplicates(store), MESSAGES, "none comes in twice");
      const [seq] = await store.commit([{ do: "receive", receipt: newReceipt("new") }]);
      assert.ok((seq as number) > 1_000_000);
      await store.close();
    });
    it("without doing again what may have been begun: steps that cannot be read end their message", async () => {
      const store = await rescue(wipe("journal"));
      const pending = (await store.pending(0, 1000)).map(({ seq }) => seq);
      const dead = (await store.dead(1000)).map(({ seq }) => seq);
      assert.ok(dead.length > 0 && dead.every((seq) => seq % 3 !== 0));
      assert.equal(pending.length + dead.length, MESSAGES * 2 / 3);
      for (const seq of pending) assert.equal((await store.journal(`${seq}.s.n`)).length, seq % 3 === 1 ? 1 : 0);
      await store.close();
    });
    it("without sending again what was lost: its keys stay taken", async () => {
      const store = await rescue(wipe("outbox"));
      const results = await store.commit(Array.from({ length: MESSAGES }, (_, n): Change => ({ do: "outbox", row: newRow(`k${n + 1}`) })));
      assert.ok(results.every((seq) => seq === undefined));
      const { outbox } = await store.counts();
      assert.deepEqual([outbox.planned + outbox.dead, outbox.sent, outbox.dead > 0], [MESSAGES * 2 / 3, MESSAGES / 3, true]);
      await store.close();
    });
    it("with its keys lost, ending what was begun", async () => {
      const store = await rescue(wipe("outbox", "sqlite_autoindex_outbox_1"));
      assert.ok((await store.pending(0, 1000)).every(({ seq }) => seq % 3 === 2));
      await store.close();
    });
    it("around damaged values and turns", async () => {
      const store = await rescue(wipe("kv", "turn"));
      const { saved } = store.problems[0] as SqliteStore["problems"][number];
      assert.ok(saved !== undefined, store.problems[0]?.text);
      assert.ok(saved.values > 0 && saved.values < MESSAGES && saved.turns > 0 && saved.turns < MESSAGES && saved.waiting === MESSAGES * 2 / 3);
      assert.equal((await store.list("x", "")).length, saved.values);
      const turns = (await Promise.all(["s0", "s1", "s2", "s3", "s4"].map((session) => store.turns(session, 1000)))).flat();
      assert.equal(turns.length, saved.turns);
      await store.close();
    });
    it("again from the start when it was killed in the middle, and never half", async () => {
      const folder = copyOf(closed);
      wipe("inbox")(folder);
      // As a kill leaves it: the new file not complete; and, later, complete with the old one moved away.
      writeFileSync(`${file(folder)}.next.part`, "half");
      let store = await openSqliteStore(folder, { clock });
      const waiting = store.problems[0]?.saved?.waiting;
      await store.close();
      cpSync(file(folder), `${file(folder)}.next`);
      rmSync(file(folder));
      // Of the old store: its pages would be taken for the new one's.
      cpSync(`${file(killed[0] as string)}-wal`, `${file(folder)}-wal`);
      store = await openSqliteStore(folder, { clock });
      assert.deepEqual([store.problems, (await store.pending(0, 1000)).length], [[], waiting]);
      await store.close();
    });
    it("value by value after a fault at work: those that are JSON no more are taken out and named", async () => {
      const folder = copyOf(closed);
      const db = new DatabaseSync(file(folder));
      db.exec("UPDATE kv SET value = '{' WHERE key = 'k5'; UPDATE journal SET data = '[' WHERE run = '7.s.n'");
      db.close();
      let store = await openSqliteStore(folder, { clock });
      await assert.rejects(store.list("x", ""), (error: StoreError) => error.code === "STORE_002");
      await store.close();
      store = await openSqliteStore(folder, { clock });
      assert.match(store.problems[0]?.text ?? "", /^2 records of .+ were damaged and are gone: value x\/k5, step a of run 7\.s\.n\. The last backup is /);
      assert.equal((await store.list("x", "")).length, MESSAGES - 1);
      assert.equal((await store.receipt(7))?.state, "dead");
      await store.close();
    });
  });
});
