/**
 * Talks in great number: 1,000 sessions of 200 turns (`--sessions`, `--turns`) in the SQLite store, their windows summarised, and what is found in them.
 * Told: memory while they grow and at the end; time of a history (at hand, and read again), of a search of a talk (the first one indexes it), of a recall
 * from a book of notes and of a fact that is kept. By the clock and in CPU time: on a machine that is busy with other work only the latter says something.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
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
const NOTES = option("notes", 990);
const AT_ONCE = 200;
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
setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");
/** MB of objects in use, and MB resident once the engine has given back what it holds for garbage to come. */
function sizes() {
  for (let n = 0; n < 2; n++) gc({ type: "major", execution: "sync", flavor: "last-resort" });
  return [process.memoryUsage().heapUsed / 2 ** 20, residentMb(process.pid)];
}
const quantile = (times, part) => times.toSorted((a, b) => a - b)[Math.ceil(times.length * part) - 1];
/** Milliseconds by the clock (p50, p99) and of CPU (p50, p99). */
async function timed(count, act) {
  const times = [];
  const cpu = [];
  for (let n = 0; n < count; n++) {
    const [used, start] = [process.cpuUsage(), performance.now()];
    await act(n);
    times.push(performance.now() - start);
    const { user, system } = process.cpuUsage(used);
    cpu.push((user + system) / 1_000);
    // What is done behind it (a portion for the index) gets its turn.
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
  }
  return [quantile(times, 0.5), quantile(times, 0.99), quantile(cpu, 0.5), quantile(cpu, 0.99)];
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
const grown = [["turns in each talk", "MB in use", "MB resident"], ["none", ...sizes()]];
for (let at = 0; at < TURNS / 2; at++) {
  for (let n = 0; n < SESSIONS; n += AT_ONCE) await Promise.all(Array.from({ length: Math.min(AT_ONCE, SESSIONS - n) }, (_, k) => exchange(n + k, at)));
  if ((at + 1) % Math.max(1, TURNS / 10) === 0) grown.push([(at + 1) * 2, ...sizes()]);
}
const cpu = cpuMs(process.pid) - began;
const book = JSON.stringify(["person", "telegram", "bot", "ada"]);
await store.commit(Array.from({ length: NOTES }, (_, n) => ({ do: "note", book, at: n, tainted: false, text: textOf(n) })));

const asked = (n) => askedIn(`${WORDS[n % WORDS.length]} ${WORDS[(n * 3) % WORDS.length]} number ${n}`);
const some = Math.min(SESSIONS, 300);
const rows = [
  ["history of a talk at hand", ...await timed(some, (n) => sessions.history(session(SESSIONS - 1 - n), 40, 0))],
  ["history read from the store", ...await timed(some, async (n) => { sessions.summarised(session(n)); await sessions.history(session(n), 40, 0); })],
  ["first search of a talk", ...await timed(some, (n) => sessions.search(session(n), asked(n), 5))],
  ["search again", ...await timed(some, (n) => sessions.search(session(n), asked(n + 1), 5))],
  [`recall from ${NOTES} notes`, ...await timed(1_000, (n) => memory.recall(book, `${WORDS[n % WORDS.length]} and number ${n}`))],
  ["remember what is known already", ...await timed(100, (n) => memory.remember(book, textOf(n), false))],
];
grown.push(["and searched", ...sizes()]);
table(`${SESSIONS} talks of ${TURNS} turns: memory (${Math.round(cpu / (SESSIONS * TURNS / 2) * 1000)} µs of CPU for an exchange)`, grown);
table("Finding again, ms (to reach: 20 ms at p99)", [["", "p50", "p99", "CPU p50", "CPU p99"], ...rows]);
await store.close();
await rm(folder, { recursive: true, force: true });
