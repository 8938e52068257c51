/**
 * F59, R11: a day's messages (one a second) with every hundredth meeting a fault of each kind, in minutes: the host's clock runs fast, and jumps while all is quiet,
 * so far that what is remembered for 8 days is forgotten many times. Nothing may be lost, doubled or out of order, and nothing may grow.
 *
 *     npx mocha test/faults/soak.test.ts                          800 messages, and some in a real Node-RED
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …            86,400
 *
 * CLAWFLOW_MESSAGES says another number. CLAWFLOW_BROKEN=leak|timers|drop breaks the host, to see that it is found.
 */
import assert from "node:assert/strict";
import { type Finding, summary, type Verdict } from "./judge.ts";
import { average, full, mb, percent, quantile, rise, seed } from "./load/figures.ts";
import type { Measure } from "./load/host.ts";
import { type LoadRig, pause, type SaidMessage, type Spoken, startLoad } from "./load/rig.ts";
import { createGauge } from "./load/measure.ts";
import { startFaultRig } from "./rig.ts";
import { dice, talk as talkInFull } from "./rounds.ts";

const messages = Number(process.env.CLAWFLOW_MESSAGES ?? (full ? 86_400 : 800));
const BATCH = full ? 200 : 50;
/** One kill for every two hundred messages, with so many in flight each time. */
const kills = Math.round(messages / 200);
const PER_KILL = 10;
const batches = Math.max(12, Math.round((messages - kills * PER_KILL) / BATCH));
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** What is remembered of messages is forgotten after 8 days, in whole hours. */
const DEDUPE_DAYS = 8;
const DAYS = full ? 60 : 20;
const stepMs = Math.round((DAYS * DAY) / batches);
const CHATS = 20;
/** To measure is to collect all garbage twice. */
const MEASURE_EVERY = full ? 4 : 1;

type Fault = readonly [op: "send" | "model", fault: object];
const send = (fault: object): Fault => ["send", fault];
const model = (fault: string | number, headers?: object): Fault => ["model", { fault, ...(headers === undefined ? {} : { headers }) }];
/**
 * What a batch may meet. A platform that offers nothing against a doubled send shows a part twice when it falls silent after it has shown it: it is left out there.
 * Where the model gives nothing, the flow answers; no tool is called then.
 */
const COURSES: readonly { readonly bots: readonly Spoken["bot"][]; readonly texts: readonly string[]; readonly faults: readonly Fault[] }[] = [
  { bots: ["key", "evidence", "none"], texts: ["", "", "", "tool", "long", "tool long"], faults: [send({ status: 429, headers: { "retry-after": "0.5" } }), send({ status: 429 }), send({ status: 500 }), send({ status: 503, headers: { "retry-after": "2" } }), send({ reset: "before" })] },
  { bots: ["key", "evidence"], texts: ["", "", "", "tool", "long", "tool long"], faults: [send({ reset: "after" }), send({ reset: "middle" }), send({ slowMs: 5 }), send({ status: 502 })] },
  { bots: ["key", "evidence", "none"], texts: ["", "", "long"], faults: [model(500), model(529), model(429, { "retry-after": "1" }), model("reset"), model("html"), model("empty"), model(401), ...full ? [model("stall")] : []] },
];

describe("a soak", function () {
  this.timeout(full ? 0 : 600_000);

  it(`of ${messages} messages, ${kills} kills among them, loses and doubles nothing, and nothing grows (seed ${seed})`, async () => {
    const started = performance.now();
    // Side by side, each with a gateway and platforms of its own: two cores have work.
    const [steady, killed] = await Promise.all([steadyRounds(dice(seed)), killRounds(dice(seed + 1))]);
    report(steady, killed, performance.now() - started);

    assert.deepEqual(told20([...steady.verdict.findings, ...killed.verdict.findings]), []);
    const settled = warm(steady.samples);
    const heap = rise(settled.map((sample) => sample.heap));
    assert.ok(heap < (full ? 0.01 : 0.03), `the heap rises by ${percent(heap)} of ${mb(average(settled.map((sample) => sample.heap)))} MB over ${settled.length * BATCH * MEASURE_EVERY} messages`);
    const late = settled.slice(-3);
    assert.ok(Math.min(...late.map(({ timers }) => timers)) <= Math.min(...settled.slice(0, 3).map(({ timers }) => timers)) + 1, `timers: ${settled.map(({ timers }) => timers).join(" ")}`);
    assert.ok(rise(settled.map(({ fds }) => fds)) < 0.25, `file handles: ${settled.map(({ fds }) => fds).join(" ")}`);
    assert.ok(late.every(({ waiting }) => waiting === 0), "the inbox is empty while nobody speaks");
    const most = (Math.ceil((DEDUPE_DAYS * DAY + 2 * HOUR) / stepMs) + 1) * BATCH;
    assert.ok(Math.max(...steady.rows) <= most, `at most ${most} messages are remembered, got ${Math.max(...steady.rows)}`);
  });

  it(`in a real Node-RED loses and doubles nothing, and nothing grows (seed ${seed})`, async () => {
    const random = dice(seed);
    using gauge = createGauge();
    await using rig = await startFaultRig({ seed, env: gauge.env });
    const started = performance.now();
    const samples: Measure[] = [];
    let deploys = 0;
    const rounds = full ? 60 : 6;
    for (let round = 0; round < rounds; round++) {
      const silent = round % 3 === 1;
      // Telegram shows one message a second in a chat: one turn of it is enough.
      const said = Array.from({ length: 4 }, (_, turn) => talkInFull(random).filter(({ bot }) => (turn === 0 || bot !== "telegram") && (!silent || bot === "key" || bot === "evidence"))).flat();
      const fault = pick((silent ? COURSES[1] : COURSES[0])?.faults ?? [], random);
      await rig.world.platform.control("fault", { op: "send", fault: fault[1] });
      await rig.say(said);
      if (round % 2 === 1) {
        await pause(random() * 100);
        await rig.deploy(rig.flows.map((node) => (node.id === "clean" ? { ...node, name: `clean ${round}` } : node)), pick(["full", "flows", "nodes"] as const, random));
        deploys++;
      }
      await rig.settled();
      await rig.world.platform.control("fault", {});
      await rig.counts();
      samples.push(await gauge.measure(rig.red.pid));
    }
    const steady = samples.length;
    for (let count = full ? 20 : 1; count > 0; count--) {
      await rig.say(talkInFull(random));
      await pause(random() * 150);
      await rig.kill();
      await rig.restart();
      await rig.settled();
    }
    const { findings, ...verdict } = await rig.verdict();
    console.log([
      `${verdict.messages} messages, ${verdict.parts} parts, ${deploys} deploys, ${rig.kills.length} kills in ${((performance.now() - started) / 1000).toFixed(0)} s, seed ${seed}; doubled where the platform offers nothing: ${verdict.extras.length}; found wrong: ${summary({ findings })}`,
      `heap MB ${samples.map(({ heap }) => mb(heap)).join(" ")}`, `file handles ${samples.map(({ fds }) => fds).join(" ")}; timers ${samples.map(({ timers }) => timers).join(" ")}`,
    ].map((text) => `      ${text}`).join("\n"));
    assert.deepEqual(told20(findings), []);
    const settled = samples.slice(Math.floor(steady / 3));
    const heap = rise(settled.map((sample) => sample.heap));
    // Sessions that are kept at hand still fill up here, by about a kilobyte for each message.
    assert.ok(heap < 0.05, `the heap rises by ${percent(heap)} of ${mb(average(settled.map((sample) => sample.heap)))} MB`);
    assert.ok(Math.max(...settled.slice(-2).map(({ fds }) => fds)) <= Math.max(...settled.slice(0, 3).map(({ fds }) => fds)) + 30, "file handles");
  });
});

const pick = <T>(list: readonly T[], random: () => number): T => list[Math.floor(random() * list.length)] as T;
function talk(bots: readonly Spoken["bot"][], texts: readonly string[], count: number, random: () => number): Spoken[] {
  return Array.from({ length: count }, () => ({ bot: pick(bots, random), chat: `c${Math.floor(random() * CHATS)}`, text: pick(texts, random), copies: random() < 0.01 ? 3 : 1 }));
}
/** The next request of its kind meets it; without one, all orders are taken back. */
async function order(rig: LoadRig, fault: Fault | undefined): Promise<void> {
  if (fault === undefined) { await Promise.all([rig.platform.control("fault", {}), rig.model.control("fault", {})]); return; }
  if (fault[0] === "send") await rig.platform.control("fault", { op: "send", fault: fault[1] });
  else await rig.model.control("fault", fault[1]);
}

interface Steady { readonly verdict: Verdict; readonly samples: readonly Measure[]; readonly rows: readonly number[]; readonly ms: number; readonly repeats: number; readonly faults: number; readonly deploys: number }
/** Batches of messages, each with faults, late repeats and deploys, then hours in which all is quiet. */
async function steadyRounds(random: () => number): Promise<Steady> {
  const started = performance.now();
  await using rig = await startLoad({ speed: 20, keepMs: DAY });
  const samples: Measure[] = [];
  const rows: number[] = [];
  const told: SaidMessage[] = [];
  let repeats = 0;
  let faults = 0;
  let deploys = 0;
  for (let batch = 0; batch < batches; batch++) {
    const course = COURSES[batch % COURSES.length] ?? COURSES[0];
    if (course === undefined) break;
    for (let count = Math.ceil(BATCH / 100); count > 0; count--) { await order(rig, pick(course.faults, random)); faults++; }
    const said = await rig.say(talk(course.bots, course.texts, BATCH, random));
    const recent = told.filter(({ atMs }) => rig.now() - atMs < (DEDUPE_DAYS - 1) * DAY);
    for (let count = Math.ceil(BATCH / 100); count > 0 && recent.length > 0; count--) { assert.equal(await rig.repeat(pick(recent, random)), 200); repeats++; }
    for (let count = Math.ceil(BATCH / 100); count > 0; count--) {
      await pause(random() * 60);
      await rig.ask("deploy", { kind: pick(["full", "flows", "account"] as const, random) });
      deploys++;
    }
    const counts = await rig.settled(120_000);
    assert.deepEqual([counts.pending, counts.dead], [0, 0]);
    told.splice(0, Math.max(0, told.length - 5_000), ...said);
    // A fault that nobody met would come in a course that does not stand it.
    await order(rig, undefined);
    await rig.ask("forget", full ? { share: 1 / 20, n: batch } : {});
    await rig.jump(stepMs);
    if (batch % MEASURE_EVERY === MEASURE_EVERY - 1) samples.push(await rig.measure());
    rows.push(counts.received);
    if (full && batch % 50 === 49) console.log(`      ${((batch + 1) * BATCH)} messages after ${((performance.now() - started) / 1000).toFixed(0)} s, heap ${mb(samples.at(-1)?.heap ?? 0)} MB`);
  }
  return { verdict: await rig.verdict(), samples, rows, ms: performance.now() - started, repeats, faults, deploys };
}

interface Killed { readonly verdict: Verdict; readonly starts: readonly number[]; readonly ms: number; readonly last: Measure }
/** Half of the kills come at a passage of a point, half at any time; `starts`: how long the starts took. */
async function killRounds(random: () => number): Promise<Killed> {
  const started = performance.now();
  await using rig = await startLoad({ speed: 20, keepMs: DAY });
  const starts: number[] = [];
  const { bots, texts } = COURSES[0] ?? { bots: [], texts: [] };
  while (starts.length < kills) {
    const atPoint = random() < 0.5;
    if (atPoint) await rig.ask("killAfter", { n: 1 + Math.floor(random() * 120) });
    await rig.say(talk(bots, texts, PER_KILL, random)).catch(() => []);
    if (!atPoint) { await pause(random() * 60); await rig.kill(); }
    if (atPoint && !(await rig.died(5_000))) { await rig.settled(120_000); continue; }
    starts.push(await rig.start());
    const counts = await rig.settled(120_000);
    assert.deepEqual([counts.pending, counts.dead], [0, 0]);
    if (starts.length % PER_KILL === 0) await rig.jump(stepMs);
  }
  return { verdict: await rig.verdict(), starts, ms: performance.now() - started, last: await rig.measure() };
}

/** All that is warmed up once is there; what grows from here on grows for ever. */
const warm = (samples: readonly Measure[]): readonly Measure[] => samples.slice(Math.floor(samples.length * 0.3));
const told20 = (findings: readonly Finding[]): string[] => findings.slice(0, 20).map(({ what, text }) => `${what}: ${text}`);

function report({ verdict, samples, rows, ms, repeats, faults, deploys }: Steady, killed: Killed, allMs: number): void {
  const of = (field: keyof Measure) => samples.map((sample) => sample[field]);
  const both = (field: "messages" | "parts" | "modelCalls" | "modelRepeats" | "effects" | "deadRows") => verdict[field] + killed.verdict[field];
  const line = (name: string, values: readonly number[], show: (value: number) => string) => `${name.padEnd(16)} ${[0, 0.25, 0.5, 0.75, 1].map((part) => show(values[Math.min(values.length - 1, Math.floor(values.length * part))] ?? 0).padStart(9)).join("")}`;
  console.log([
    `${both("messages")} messages, ${both("parts")} parts in ${(allMs / 1000).toFixed(0)} s (without kills ${(batches * BATCH / ms * 1000).toFixed(0)} messages/s; ${killed.starts.length} kills in ${(killed.ms / 1000).toFixed(0)} s), ${DAYS} days by the host's clock, seed ${seed}`,
    `${faults} faults of platform and model, ${repeats} late repeats, ${deploys} deploys, ${killed.starts.length} kills (start ${quantile(killed.starts, 0.5).toFixed(0)} ms); model asked ${both("modelCalls")} times, ${both("modelRepeats")} of them again; tools had ${both("effects")} effects`,
    `doubled where the platform offers nothing: ${verdict.extras.length + killed.verdict.extras.length}; given up: ${both("deadRows")}; found wrong: ${summary({ findings: [...verdict.findings, ...killed.verdict.findings] })}`,
    `${line("heap MB", of("heap"), mb)}   rises by ${percent(rise(warm(samples).map(({ heap }) => heap)))}`, line("RSS MB", of("rss"), mb), line("file handles", of("fds"), String), line("timers", of("timers"), String), line("messages kept", rows, String), line("store MB", of("storeBytes"), mb), line("worst turn ms", of("worstTurnMs"), (value) => value.toFixed(0)),
    `after the kills: heap ${mb(killed.last.heap)} MB, ${killed.last.fds} file handles, ${killed.last.timers} timers`,
  ].map((text) => `      ${text}`).join("\n"));
}
