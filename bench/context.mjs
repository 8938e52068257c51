/**
 * Talks in great number: 1,000 sessions of 200 turns (`--sessions`, `--turns`) in the SQLite store, their windows summarised, and what is found in them.
 * Told: memory while they grow and at the end; time of a history, of a search of a talk (the first one indexes it) and of a recall from a book of notes.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemClock } from "../engine/clock.ts";
import { createCompactor } from "../engine/context/compact.ts";
import { createGauge } from "../engine/context/estimate.ts";
import { createMemory } from "../engine/memory.ts";
import { createSessions } from "../engine/sessions.ts";
import { openSqliteStore } from "../engine/store/sqlite.ts";
import { askedIn } from "../engine/words.ts";
import { cpuMs, option, residentMb, table } from "./table.mjs";

const SESSIONS = option("sessions", 1_000);
const TURNS = option("turns", 200);
const NOTES = option("notes", 1_000);
const AT_ONCE = 50;
const WORDS = "boiler garden window sister birthday invoice heating ticket doctor dinner kitchen printer contract holiday school battery password camera letter bicycle".split(" ");
const textOf = (n) => `${Array.from({ length: 20 }, (_, k) => WORDS[(n * 7 + k * (n % 5 + 1)) % WORDS.length]).join(" ")} number ${n}`;
const session = (n) => `agent:home:telegram:bot:direct:${n}`;

const model = {
  id: "bench", provider: "bench", contextTokens: 100_000,
  async *stream({ turns }) { yield { type: "text", delta: turns[0].text.slice(0, 800) }; yield { type: "end", reason: "stop", usage: { input: 1_000, output: 200 } }; },
};

const folder = await mkdtemp(path.join(tmpdir(), "clawflow-bench-"));
const store = await openSqliteStore(folder);
const sessions = createSessions(store);
const compactor = createCompactor({ sessions, gauge: createGauge(), clock: systemClock });
const memory = createMemory(store, systemClock);
const signal = new AbortController().signal;
const resident = () => { globalThis.gc?.(); return residentMb(process.pid); };
/** Milliseconds: the middle, and what 99 of 100 are below. */
const spread = (times) => { const sorted = times.toSorted((a, b) => a - b); return [sorted[sorted.length >> 1], sorted[Math.ceil(sorted.length * 0.99) - 1]]; };
async function timed(count, act) {
  const times = [];
  const used = process.cpuUsage();
  for (let n = 0; n < count; n++) {
    const start = performance.now();
    await act(n);
    times.push(performance.now() - start);
  }
  const { user, system } = process.cpuUsage(used);
  return [...spread(times), (user + system) / 1_000 / count];
}

async function exchange(n, at) {
  const key = session(n);
  const once = async (step, act) => {
    const { data, also = [] } = await act();
    await store.commit([{ do: "journal", run: `${at}.s.${n}`, entry: { step, at, data } }, ...also]);
    return data;
  };
  await compactor.compact(key, { turns: 40, tokens: 0 }, { model, signal, timeoutMs: 10_000, once, tell() {} });
  await sessions.history(key, 40, 0);
  const turns = [{ role: "user", text: textOf(n * TURNS + at), ref: `m${at}` }, { role: "assistant", text: textOf(n * TURNS + at + 1) }];
  await store.commit(sessions.changes(key, `${at}.s.${n}`, Date.now(), turns, false));
  sessions.added(key, turns, false);
}

const began = cpuMs(process.pid);
const sizes = [["turns in each talk", "MB resident"], ["none", resident()]];
for (let at = 0; at < TURNS / 2; at++) {
  for (let n = 0; n < SESSIONS; n += AT_ONCE) await Promise.all(Array.from({ length: Math.min(AT_ONCE, SESSIONS - n) }, (_, k) => exchange(n + k, at)));
  if ((at + 1) % Math.max(1, TURNS / 10) === 0) sizes.push([(at + 1) * 2, resident()]);
}
const cpu = cpuMs(process.pid) - began;
const book = JSON.stringify(["person", "telegram", "bot", "ada"]);
for (let n = 0; n < NOTES; n++) await store.commit([{ do: "note", book, at: n, tainted: false, text: textOf(n) }]);

const asked = (n) => askedIn(`${WORDS[n % WORDS.length]} ${WORDS[(n * 3) % WORDS.length]} number ${n}`);
const some = Math.min(SESSIONS, 300);
const rows = [
  ["history of a talk at hand", ...await timed(some, (n) => sessions.history(session(SESSIONS - 1 - n), 40, 0))],
  ["first search of a talk", ...await timed(some, (n) => sessions.search(session(n), asked(n), 5))],
  ["search again", ...await timed(some, (n) => sessions.search(session(n), asked(n + 1), 5))],
  [`recall from ${NOTES} notes`, ...await timed(300, (n) => memory.recall(book, `${WORDS[n % WORDS.length]} and number ${n}`))],
];
table(`${SESSIONS} talks of ${TURNS} turns: memory (${Math.round(cpu / (SESSIONS * TURNS / 2) * 1000)} µs of CPU for an exchange)`, sizes);
table("Finding again, ms", [["", "p50", "p99", "CPU"], ...rows]);
await store.close();
await rm(folder, { recursive: true, force: true });
