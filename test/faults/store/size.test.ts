/** The store keeps its size: a limit is refused before anything is confirmed and ends by itself, and pages of what was removed are used again. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import type { StoreError } from "../../../engine/errors.ts";
import { openSqliteStore, type SqliteStore } from "../../../engine/store/sqlite.ts";
import type { Change } from "../../../engine/store/store.ts";
import { newReceipt, newRow, NOW } from "../../contracts/store.ts";
import { cleanUp, freshFolder, FULL } from "./common.ts";

const ROUNDS = FULL ? 100 : 12;
const DAY = 86_400_000;
/** Messages a day, and days they are known for. */
const DAILY = 150;
const KEPT = 3;
const words = "w".repeat(1500);

describe("the size of the store", function () {
  this.timeout(600_000);
  after(cleanUp);
  const bytes = (folder: string, ending = ""): number => statSync(join(folder, `store.sqlite${ending}`)).size;

  /** One day: each message comes in, runs, is answered and done; what is older is pruned. */
  async function live(store: SqliteStore, day: number): Promise<void> {
    const now = NOW + day * DAY;
    await Promise.all(Array.from({ length: DAILY }, async (_, n) => {
      const id = `${day}-${n}`;
      const { message, ...rest } = newReceipt(id, { receivedAt: now + n });
      const [seq] = await store.commit([{ do: "receive", receipt: { ...rest, message: { ...message, raw: words } } }]) as [number];
      await store.commit([{ do: "journal", run: `${seq}.s.n`, entry: { step: "model", at: now, data: { words } } }, { do: "turns", session: `s${n % 20}`, run: `${seq}.s.n`, at: now, turns: [{ role: "user", text: words }] }, { do: "outbox", row: newRow(id, { plannedAt: now, dueAt: now }) }]);
      await store.commit([{ do: "outbox-update", key: id, set: { state: "sent", ref: "1" } }, { do: "receipt", seq, state: "done" }]);
    }));
    await store.commit([{ do: "prune", before: now - KEPT * DAY, turnsBefore: now - KEPT * DAY }]);
  }

  it("stays what a few days need, however many pass", async () => {
    const folder = freshFolder();
    const clock = { day: 0, now: () => NOW + clock.day * DAY, monotonic: () => 0, after: () => () => undefined };
    const store = await openSqliteStore(folder, { clock, checkpointPages: 200 });
    const sizes: number[] = [];
    for (let day = 0; day < ROUNDS; day++) {
      clock.day = day;
      await live(store, day);
      sizes.push(bytes(folder));
    }
    const { received } = await store.counts();
    assert.ok(received <= DAILY * (KEPT + 2), `${received} are kept`);
    const filled = sizes[KEPT + 2] as number;
    assert.ok((sizes.at(-1) as number) <= filled * 1.15, `from ${filled} to ${sizes.at(-1)} bytes`);
    assert.ok(bytes(folder, "-wal") <= 17 * 1024 * 1024);
    await store.close();
    console.log(`      size: ${ROUNDS} days of ${DAILY} messages, ${KEPT} kept: ${(filled / 1e6).toFixed(1)} MB after ${KEPT + 3} days, ${((sizes.at(-1) as number) / 1e6).toFixed(1)} MB at the end`);
  });
  it("is refused beyond its limit before anything is confirmed, read on, and taken again after a prune, also after a restart", async () => {
    const folder = freshFolder();
    const maxBytes = 1_500_000;
    let store = await openSqliteStore(folder, { maxBytes, checkpointPages: 50 });
    const confirmed = new Set<string>();
    for (let round = 0; round < 3; round++) {
      let refused = 0;
      for (let n = 0; refused < 3; n++) {
        const id = `${round}-${n}`;
        const { message, ...rest } = newReceipt(id);
        await store.commit([{ do: "receive", receipt: { ...rest, message: { ...message, raw: words.repeat(5) } } }]).then(() => { confirmed.add(id); }, (error: StoreError) => {
          assert.deepEqual([error.code, error.retry], ["STORE_005", "later"]);
          refused++;
        });
        assert.ok(n < 1000, "the limit is never met");
      }
      assert.ok(bytes(folder) <= maxBytes);
      if (round === 1) {
        await store.close();
        store = await openSqliteStore(folder, { maxBytes, checkpointPages: 50 });
        assert.deepEqual(store.problems, []);
      }
      const pending = await store.pending(0, 1000);
      assert.deepEqual(new Set(pending.map(({ message }) => message.id)), confirmed, "exactly what was confirmed");
      await store.commit(pending.map(({ seq }): Change => ({ do: "receipt", seq, state: "done" })));
      await store.commit([{ do: "prune", before: NOW + 1, turnsBefore: 0 }]);
      confirmed.clear();
    }
    await store.close();
  });
});
