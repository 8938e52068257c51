/** F60: copies made while the store is hard at work are consistent, hold all that was confirmed before, and what they brought out already is not brought out again. */
import assert from "node:assert/strict";
import { mkdirSync, copyFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../../engine/clock.ts";
import { createStoreCare, restore } from "../../../engine/store-care.ts";
import { openSqliteStore } from "../../../engine/store/sqlite.ts";
import type { Change } from "../../../engine/store/store.ts";
import { newReceipt, newRow } from "../../contracts/store.ts";
import { cleanUp, freshFolder, FULL } from "./common.ts";

const COPIES = FULL ? 40 : 6;
const words = "w".repeat(3000);

describe("backups under load", function () {
  this.timeout(600_000);
  after(cleanUp);

  it("are consistent, complete, and bring out nothing twice", async () => {
    const folder = freshFolder();
    const store = await openSqliteStore(folder, { checkpointPages: 500 });
    const care = createStoreCare({ store, folder, clock: systemClock, log: () => undefined, keep: () => COPIES });
    /** What the platform saw: this is the judge, not the store. */
    const seen = new Set<string>();
    const asked = new Set<string>();
    let running = true;
    const caller = async (name: number): Promise<void> => {
      for (let n = 0; running; n++) {
        const id = `${name}-${n}`;
        const { message, ...rest } = newReceipt(id);
        const [seq] = await store.commit([{ do: "receive", receipt: { ...rest, message: { ...message, raw: words } } }, { do: "outbox", row: newRow(id) }]) as [number];
        asked.add(id);
        await store.commit([{ do: "outbox-update", key: id, set: { state: "sending", startedAt: Date.now() } }]);
        seen.add(id);
        await store.commit([{ do: "outbox-update", key: id, set: { state: "sent", ref: id } }, { do: "receipt", seq, state: "done" }]);
      }
    };
    const callers = [0, 1, 2, 3, 4].map(caller);
    const total = { copies: 0, sent: 0, doubt: 0 };
    try {
      for (let round = 0; round < COPIES; round++) {
        await new Promise((resolve) => { setTimeout(resolve, 150); });
        const confirmed = new Set(seen);
        const planned = new Set(asked);
        const file = await care.backup();
        const sentBy = new Set(seen);
        const elsewhere = freshFolder();
        if (round % 2 === 0) await restore(elsewhere, file, systemClock);
        else {
          mkdirSync(elsewhere);
          copyFileSync(file, join(elsewhere, "store.sqlite"));
        }
        const copy = await openSqliteStore(elsewhere);
        assert.deepEqual(copy.problems.map(({ code }) => code), ["STORE_006"]);
        assert.deepEqual(await copy.pending(0, 9), [], "no message is answered again by itself");
        const unsent = await copy.unsent(0, 1000);
        assert.ok(unsent.every(({ state }) => state === "unknown"), "nothing is sent without asking the platform first");
        assert.ok(unsent.length <= 5 && unsent.every(({ key }) => asked.has(key)));
        const { received, outbox, dead } = await copy.counts();
        assert.equal(received, outbox.sent + outbox.unknown, "all of a commit or none of it");
        assert.ok(received >= planned.size, "nothing confirmed is missing");
        assert.ok(dead <= 5 && outbox.sent <= sentBy.size);
        for (const id of confirmed) if ((await copy.outboxRow(id))?.state === "planned") assert.fail(`${id} was sent before and would be sent again`);
        assert.ok((await copy.commit([...confirmed].slice(-500).map((id): Change => ({ do: "receive", receipt: newReceipt(id) })))).every((seq) => seq === undefined), "a message that was answered is known");
        await copy.close();
        rmSync(join(elsewhere, ".."), { recursive: true });
        total.copies++;
        total.sent += outbox.sent;
        total.doubt += outbox.unknown;
      }
    } finally {
      running = false;
      await Promise.all(callers);
      await care.close();
      await store.close();
    }
    console.log(`      backups under load: ${total.copies} copies of up to ${asked.size} messages put back elsewhere: ${total.sent} sent parts stay sent, ${total.doubt} in doubt, 0 planned again`);
  });
});
