/** F19 for the store alone: what was confirmed outlives kill -9 at any moment, also at opening, closing and while the -wal is brought home. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import type { StoreError } from "../../../engine/errors.ts";
import { openSqliteStore } from "../../../engine/store/sqlite.ts";
import { cleanUp, dice, freshFolder, FULL, judge, kill, readAcks, SEED, start } from "./common.ts";

const KILLS = FULL ? 1000 : 60;

describe("kills of the store's process", function () {
  this.timeout(FULL ? 1_800_000 : 600_000);
  after(cleanUp);

  async function run(kills: number, options: Readonly<Record<string, unknown>>) {
    const folder = freshFolder();
    const random = dice(SEED);
    const acked = new Map<string, string>();
    let early = 0;
    let problems = "";
    for (let round = 0; round < kills; round++) {
      const child = start("work", [folder, JSON.stringify({ checkpointPages: 100, ...options })]);
      // Every sixth is killed while it opens the store.
      if (round % 6 === 5) early++;
      else await child.said("open");
      await new Promise((resolve) => { setTimeout(resolve, random() * (round % 6 === 5 ? 250 : 60)); });
      await kill(child.process);
      readAcks(child.out(), acked);
      problems += /problem .*/.exec(child.out())?.[0] ?? "";
    }
    const store = await openSqliteStore(folder);
    // Each kill may cut five commits short.
    const verdict = await judge(store, acked, kills * 5);
    await store.close();
    // Also of a start that was killed before it could say so.
    const aside = readdirSync(folder).filter((name) => /damaged|next/.test(name)).join();
    return { ...verdict, acked: acked.size, early, problems: problems + aside + store.problems.map(({ text }) => text).join() };
  }

  it("lose nothing that was confirmed", async () => {
    const { lost, halves, acked, early, problems } = await run(KILLS, {});
    console.log(`      kills of the store: ${KILLS} (${early} while it opened), seed ${SEED}: ${acked} confirmed, ${lost.length} lost, ${halves.length} halves`);
    assert.ok(acked > KILLS * 5, `only ${acked} were confirmed`);
    assert.deepEqual([lost.slice(0, 10), halves.slice(0, 10), problems], [[], [], ""]);
  });
  it("lose what is confirmed before it is committed (the test sees it)", async () => {
    const { lost } = await run(5, { early: true });
    console.log(`      kills of a store that says yes too early: 5, ${lost.length} lost`);
    assert.ok(lost.length > 0);
  });
  it("and others who try to open it meanwhile, disturb nothing", async () => {
    const folder = freshFolder();
    const child = start("work", [folder, JSON.stringify({ checkpointPages: 100 })]);
    await child.said("open");
    for (let n = 0; n < 40; n++) await assert.rejects(openSqliteStore(folder), (error: StoreError) => error.code === "STORE_004" && error.retry === "later");
    await kill(child.process);
    assert.deepEqual(readdirSync(folder).filter((name) => /damaged|next/.test(name)), []);
    const store = await openSqliteStore(folder);
    const { lost, halves } = await judge(store, readAcks(child.out()));
    await store.close();
    assert.deepEqual([store.problems, lost, halves], [[], [], []]);
  });
});
