/** F20: what was confirmed outlives a power cut at any moment. R2: 2,000 of them. */
import assert from "node:assert/strict";
import { openSqliteStore } from "../../../engine/store/sqlite.ts";
import { skip } from "../../rigs/skip.ts";
import { cleanUp, dice, diskLibrary, freshFolder, FULL, judge, readAcks, SEED } from "./common.ts";
import { lay, record, replay } from "./powercut.ts";

const CUTS = FULL ? 2000 : 150;
/** Small, so that bringing the -wal home, its restart and removal happen often. */
const WORK = { rounds: 5, commits: 80, checkpointPages: 40 };

describe("power cuts", function () {
  this.timeout(FULL ? 900_000 : 600_000);
  after(cleanUp);

  async function run(options: Readonly<Record<string, unknown>>, cuts: number) {
    const { path: library, missing } = diskLibrary();
    if (library === undefined) return missing as string;
    const acts = record(library, freshFolder(), { ...WORK, ...options });
    const folder = freshFolder();
    const result = { moments: acts.length, confirmed: 0, cuts: 0, lost: 0, losing: 0, most: 0, damaged: [] as string[], halves: [] as string[] };
    for (const { files, said, at } of replay(acts, cuts, dice(SEED))) {
      lay(files, folder);
      const acked = readAcks(said);
      const store = await openSqliteStore(folder);
      const { lost, halves } = await judge(store, acked);
      await store.close();
      result.cuts++;
      result.confirmed = Math.max(result.confirmed, acked.size);
      result.lost += lost.length;
      if (lost.length > 0) result.losing++;
      result.most = Math.max(result.most, lost.length);
      for (const { text } of store.problems) result.damaged.push(`moment ${at}: ${text}`);
      for (const half of halves) result.halves.push(`moment ${at}: ${half}`);
    }
    return result;
  }
  const told = (name: string, { moments, confirmed, cuts, lost, losing, most, damaged }: Exclude<Awaited<ReturnType<typeof run>>, string>): void =>
    console.log(`      power cuts, ${name}: ${cuts} cuts over ${moments} moments and ${confirmed} confirmed commits, seed ${SEED}: ${lost} confirmed rows lost (in ${losing} cuts, at most ${most}), ${damaged.length} problems`);

  it("lose nothing that was confirmed, damage nothing, and alarm nobody", async function () {
    const result = await run({}, CUTS);
    if (typeof result === "string") return skip(this, result);
    told("synchronous FULL", result);
    assert.ok(result.confirmed > 300);
    assert.deepEqual([result.lost, result.damaged, result.halves], [0, [], []]);
  });
  it("lose much where commits are confirmed before they are synced (the test sees it)", async function () {
    const result = await run({ synchronous: "NORMAL" }, Math.min(CUTS, 200));
    if (typeof result === "string") return skip(this, result);
    told("synchronous NORMAL", result);
    assert.ok(result.lost > 0);
  });
});
