/**
 * How soon a restart has taken up what waits: 10,000 saved messages of 1,000 chats, the engine alone in this process (no Node-RED, no network), on a real store (FULL).
 * "Begun" is when the last run has begun; "done", when all are done and on disk. Medians.
 *
 *     npm run bench -- resume --waiting=10000 --chats=1000 --rounds=5
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemClock } from "../engine/clock.ts";
import { createGateway } from "../engine/gateway.ts";
import { openSqliteStore } from "../engine/store/sqlite.ts";
import { medians, option, sleep, table } from "./table.mjs";

const waiting = option("waiting", 10_000);
const chats = option("chats", 1_000);
const rounds = option("rounds", 5);

const message = (n) => {
  const at = { channel: "bench", account: "bench", chat: `chat ${n % chats}`, kind: "direct" };
  return { version: 1, id: `message ${n}`, ref: String(n), kind: "message", at, sender: { id: at.chat, name: "Ada", bot: false, self: false }, sentAt: Date.now(), text: `message ${n}: please tell me something about the lights`, attachments: [], addressed: true };
};
const nothing = { save: () => Promise.reject(new Error("no files here")), open: async () => undefined, remove: async () => undefined, sweep: async () => 0 };
async function open(folder) {
  const store = await openSqliteStore(folder, { clock: systemClock });
  const gateway = await createGateway({ store, clock: systemClock, spool: nothing, log: () => {}, fetchFor: async () => fetch, texts: { claimed: "", notice: () => "" } });
  return { store, gateway };
}

async function round() {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-resume-"));
  try {
    const before = await open(folder);
    await Promise.all(Array.from({ length: waiting }, (_, n) => before.gateway.accept(message(n), { trust: "owner", tainted: false })));
    await before.gateway.close();

    const { store, gateway } = await open(folder);
    const started = performance.now();
    let begun = 0;
    let firstMs = 0;
    let begunMs = 0;
    gateway.inbox.add({
      id: "in", gatherMs: 0, covers: () => true, matches: () => true,
      emit(run) {
        if (++begun === 1) firstMs = performance.now() - started;
        if (begun === waiting) begunMs = performance.now() - started;
        gateway.settle(run.id);
      },
    });
    gateway.start();
    while ((await store.counts()).done < waiting) await sleep(5);
    const doneMs = performance.now() - started;
    await gateway.close();
    return { firstMs, begunMs, doneMs };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const results = [];
for (let n = 0; n < rounds; n++) results.push(await round());
const { firstMs, begunMs, doneMs } = medians(results, ["firstMs", "begunMs", "doneMs"]);
table(`Taking up ${waiting} messages of ${chats} chats after a restart, the engine alone (to reach: 5 s), median of ${rounds}`, [
  ["first begun ms", "all begun ms", "all done and on disk ms", "runs/s"],
  [firstMs, begunMs, doneMs, Math.round((waiting / doneMs) * 1000)].map(Math.round),
]);
process.exit(0);
