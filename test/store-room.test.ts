/** A store keeps below its size: the oldest of what is finished goes first, then new messages are refused until there is room. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRoom } from "../engine/store-room.ts";
import { openSqliteStore } from "../engine/store/sqlite.ts";
import { newReceipt, NOW } from "./contracts/store.ts";
import { usageRow } from "./contracts/store-usage.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MB = 1024 * 1024;

describe("room in the store", function () {
  this.timeout(60_000);
  const folders: string[] = [];
  after(() => { for (const folder of folders) rmSync(folder, { recursive: true, force: true }); });

  async function setup(storeBytes: number) {
    const folder = mkdtempSync(join(tmpdir(), "clawflow-room-"));
    folders.push(folder);
    const clock = { at: NOW, now: () => clock.at, monotonic: () => 0, after: () => () => undefined };
    const store = await openSqliteStore(folder, { clock });
    const log: string[] = [];
    const states: string[] = [];
    const limits = { storeBytes, keepMs: 30 * DAY };
    const room = createRoom({ store, clock, limits: () => limits, log: (level, text) => { log.push(`${level} ${text}`); }, onChange: () => { states.push(room.state); } });
    let n = 0;
    const seqs: number[] = [];
    /** A message of about 100 kB, most of which stays when it is done. */
    async function message(state?: "done" | "dead"): Promise<number> {
      const { message, ...rest } = newReceipt(`m${++n}`, { receivedAt: clock.at });
      const [seq] = await store.commit([{ do: "receive", receipt: { ...rest, message: { ...message, text: "" } } }]) as [number];
      const run = `${seq}.s.n`;
      await store.commit([{ do: "journal", run, entry: { step: "model", at: clock.at, data: "x".repeat(100_000) } }, { do: "turns", session: "s", run, at: clock.at, turns: [{ role: "user", text: `t${n}` }] }]);
      if (state !== undefined) await store.commit([{ do: "receipt", seq, state, ...state === "dead" ? { reason: "lost" } : {} }]);
      seqs.push(seq);
      return seq;
    }
    const known = async (): Promise<number[]> => (await Promise.all(seqs.map((seq) => store.receipt(seq)))).flatMap((receipt) => receipt?.seq ?? []);
    return { clock, store, room, limits, log, states, message, known, seqs };
  }

  it("forgets usage from its oldest end too, but never what a month's budget or its bill still needs", async () => {
    const { clock, store, room } = await setup(4 * MB);
    // A year of calls, each with a name as long as platforms allow: 4 MB of nothing else.
    const days = 390;
    for (let day = days; day >= 0; day--) await store.commit(Array.from({ length: 10 }, (_, n) => ({ do: "usage" as const, n: (days - day) * 10 + n + 1, row: usageRow({ at: NOW - day * DAY, message: "m".repeat(900) }) })));
    clock.at = NOW;
    const count = async (from: number): Promise<number> => (await store.usage({ from, to: NOW + 1 }))[0]?.calls ?? 0;
    assert.equal(await count(0), 3910);
    await room.look();
    assert.ok(room.used < 0.9 * 4 * MB && room.refusal() === undefined, `${room.used} of ${room.max}`);
    const left = await count(0);
    assert.ok(left < 3910 && left >= 400, `${left} calls are left`);
    assert.equal(await count(NOW - 39 * DAY), 400, "the last 40 days whole");
    assert.equal(await count(NOW - Math.floor(left / 10 - 1) * DAY), left - left % 10, "the youngest, without a gap");
    await store.close();
  });

  it("forgets the oldest that is finished, and keeps dead letters, what waits, and the last hour", async () => {
    const { clock, store, room, log, states, message, known } = await setup(4 * MB);
    const dead = await message("dead");
    const waiting = await message();
    // One each two hours: 38 of them are nearly 4 MB.
    for (let each = 0; each < 38; each++) { clock.at += 2 * HOUR; await message("done"); }
    const young = await message("done");
    const before = (await known()).length;
    await room.look();
    const left = await known();
    assert.ok(room.used < 0.9 * 4 * MB && room.refusal() === undefined, `${room.used} of ${room.max}`);
    assert.ok(left.length < before && left.length > 10, `${left.length} of ${before} are left`);
    for (const seq of [dead, waiting, young]) assert.ok(left.includes(seq));
    const finished = left.filter((seq) => seq !== dead && seq !== waiting);
    assert.deepEqual(finished, Array.from({ length: finished.length }, (_, place) => young - finished.length + 1 + place), "the youngest, without a gap");
    assert.match(log.join("\n"), /^warn The store is near its limit of 4 MB: \d+ records of finished messages older than \d+ h/);
    assert.deepEqual(states, []);
    room.close();
    await store.close();
  });

  it("refuses what is new where nothing can go, lets what is under way be finished, and takes again by itself", async () => {
    const { clock, store, room, limits, log, states, message, seqs } = await setup(4 * MB);
    for (let each = 0; each < 37; each++) await message();
    await room.look();
    assert.equal(room.state, "near");
    assert.equal(room.refusal(), undefined);
    for (let each = 0; each < 8; each++) await message();
    await room.look();
    const refusal = room.refusal();
    assert.deepEqual([refusal?.code, refusal?.retry, refusal?.afterMs], ["STORE_005", "later", 5_000]);
    assert.match(refusal?.message ?? "", /^Expected the store to stay below 4 MB, the limit of the gateway, got 5 MB of messages that are not finished/);
    // Above the limit it goes on for those.
    for (const seq of seqs) await store.commit([{ do: "receipt", seq, state: "done" }]);
    await room.look();
    assert.equal(room.state, "full", "they are known for an hour, so that nothing is done twice");
    clock.at += 2 * HOUR;
    await room.look();
    assert.deepEqual([room.state, room.refusal()], ["roomy", undefined]);
    assert.deepEqual(states, ["near", "full", "roomy"]);
    assert.equal(log.filter((line) => line.startsWith("warn [STORE_005] ")).length, 1);
    assert.match(log.at(-1) ?? "", /^info The store has room again/);
    // A deploy may set another limit, or none.
    limits.storeBytes = 0;
    await room.look();
    for (let each = 0; each < 60; each++) await message();
    await room.look();
    assert.deepEqual([room.state, room.max], ["roomy", 0]);
    room.close();
    await store.close();
  });

  it("ends at a wall behind the limit: STORE_005 and nothing half written, until there is room", async () => {
    const { store, room, message } = await setup(1 * MB);
    await room.look();
    let refused: unknown;
    for (let each = 0; each < 400 && refused === undefined; each++) await message().catch((error: unknown) => { refused = error; });
    assert.equal((refused as { code?: string } | undefined)?.code, "STORE_005");
    assert.ok(await store.size?.() as number <= 18 * MB);
    store.limit?.(undefined);
    await message();
    room.close();
    await store.close();
  });
});
