/**
 * F52, F53: more comes in than goes out, for a while (a burst) or for long (a slow platform). Whatever was confirmed is answered, once and in order;
 * what cannot be kept is not confirmed; memory has a bound. Times are printed, not judged.
 *
 *     npx mocha test/faults/load.test.ts                          1,500 messages over 150 sessions; 3,000 before a slow platform
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …            10,000 over 1,000; 30,000
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import { gateway, on, startSink, tab } from "../rigs/home.ts";
import { type FlowNode, projectRoot, startNodeRed, USUAL } from "../rigs/node-red.ts";
import { watchStore } from "./conserve.ts";
import { type Finding, summary } from "./judge.ts";
import { full, MIB, mb, quantile, seed } from "./load/figures.ts";
import { createGauge } from "./load/measure.ts";
import { pause, startLoad } from "./load/rig.ts";
import { startFaultRig } from "./rig.ts";
import { dice } from "./rounds.ts";
import type { Entry } from "./stubs/log.ts";

const burst = full ? 10_000 : 1_500;
const sessions = full ? 1_000 : 150;
const flood = full ? 30_000 : 3_000;
/** What a gateway holds before it asks to come again (engine/inbox.ts). */
const MAX_PENDING = 100_000;
const MEMORY = 64 * MIB;

describe("more than can be answered at once", function () {
  this.timeout(full ? 20 * 60_000 : 600_000);

  it(`a burst of ${burst} over ${sessions} sessions is answered whole and in order (seed ${seed})`, async () => {
    const random = dice(seed);
    await using rig = await startFaultRig({ seed });
    const people = Array.from({ length: sessions }, (_, n) => ({ bot: n % 3 === 2 ? "none" as const : "key" as const, chat: `b${n}` }));
    await rig.meet(people);
    const from = performance.now();
    await rig.say(Array.from({ length: burst }, (_, n) => ({ ...people[n % sessions] ?? { bot: "key", chat: "b0" }, text: random() < 0.1 ? "long" : "" })));
    for (let quiet = 0; quiet < 2; quiet++) while ((await rig.world.open()).length > 0) { assert.ok(performance.now() - from < (full ? 15 : 2) * 60_000, "all is answered some time"); await pause(250); }
    const ms = performance.now() - from;
    const { findings, ...verdict } = await rig.verdict();
    const times = ackTimes(await rig.world.seen());
    console.log(`      ${verdict.messages} messages, ${verdict.parts} parts in ${(ms / 1000).toFixed(1)} s (${(verdict.messages / ms * 1000).toFixed(0)} messages/s); until confirmed: p50 ${quantile(times, 0.5).toFixed(0)} ms, p99 ${quantile(times, 0.99).toFixed(0)} ms, at most ${quantile(times, 1).toFixed(0)} ms with ${sessions} requests at once; found wrong: ${summary({ findings })}`);
    assert.equal(verdict.messages, burst);
    assert.deepEqual(told(findings), []);
  });

  it(`a platform a hundred times slower than what comes in: memory has a bound, nothing confirmed is dropped (seed ${seed})`, async () => {
    await using rig = await startLoad({ agent: false });
    const chats = 100;
    const speak = (count: number) => rig.say(Array.from({ length: count }, (_, n) => ({ bot: n % 2 === 0 ? "key" as const : "none" as const, chat: `s${n % chats}` })));
    await speak(500);
    await rig.settled(60_000);
    const base = await rig.measure();
    // Thirteen bytes, half a second each: 100 chats together take about 15 messages a second.
    await rig.platform.control("fault", { op: "send", fault: { slowMs: 500 }, chance: 1 });
    const from = performance.now();
    const sent = (await rig.platform.entries()).length;
    await speak(flood);
    const most = { heap: base.heap, rss: base.rss, waiting: 0 };
    for (let acked = 0; acked < flood; await pause(500)) {
      acked = (await rig.platform.entries()).slice(sent).filter(({ what }) => what === "acked").length;
      const now = await rig.measure();
      for (const field of ["heap", "rss", "waiting"] as const) most[field] = Math.max(most[field], now[field]);
      assert.ok(performance.now() - from < 10 * 60_000, "all is confirmed some time");
    }
    const inMs = performance.now() - from;
    const shown = (await rig.platform.entries()).slice(sent).filter(({ what }) => what === "shown").length;
    await rig.platform.control("fault", {});
    const counts = await rig.settled(full ? 10 * 60_000 : 60_000, 250);
    const { findings, ...verdict } = await rig.verdict(counts);
    console.log(`      ${flood} in ${(inMs / 1000).toFixed(1)} s, ${shown} out meanwhile; up to ${most.waiting} waited, heap ${mb(base.heap)} → ${mb(most.heap)} MB, RSS ${mb(base.rss)} → ${mb(most.rss)} MB; all ${verdict.messages} answered after ${((performance.now() - from) / 1000).toFixed(1)} s; found wrong: ${summary({ findings })}`);
    assert.deepEqual(told(findings), []);
    assert.ok(most.waiting > flood / 2, "most of them had to wait");
    assert.ok(most.heap - base.heap < MEMORY, `the heap grew by ${mb(most.heap - base.heap)} MB`);
    assert.deepEqual([counts.dead, counts.outbox.dead], [0, 0]);
  });

  it(`a gateway that is full asks to come again before it confirms, in a real Node-RED with ${MAX_PENDING} messages waiting`, async () => {
    const userDir = mkdtempSync(path.join(tmpdir(), "clawflow-full-"));
    using gauge = createGauge();
    const sink = await startSink();
    try {
      const room = 20;
      const account = (slug: string, channel: string): FlowNode => ({ id: `acc-${slug}`, type: "clawflow-account", name: slug, gateway: "gw", slug, channel, settings: { sink: sink.url }, policy: "open", version: 1 });
      const entry = on("in", "clawflow-channel-in", { gateway: "gw", version: 1 }, ["out"], []);
      const flows: FlowNode[] = [tab, { ...gateway, pendingMaxHours: 1_000_000 }, account("echo", "echo"), on("out", "clawflow-channel-out", { gateway: "gw", action: "reply", version: 1 }, [])];
      const options = { core: USUAL, packages: [path.join(projectRoot, "test/plugins/echo-channel")], settings: { disableEditor: true }, env: gauge.env };
      const idle = async () => { await using empty = await startNodeRed({ ...options, flows }); return (await gauge.measure(empty.pid)).heap; };
      const [base] = await Promise.all([idle(), fill(path.join(userDir, "clawflow/home"), MAX_PENDING - room)]);
      await using red = await startNodeRed({ ...options, userDir, flows });
      await using _held = watchStore(path.join(userDir, "clawflow/home"));
      const post = async (id: string) => {
        const answer = await fetch(`${red.url}/clawflow/home/echo`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ id, chat: "new", text: id }) });
        return { status: answer.status, after: Number(answer.headers.get("retry-after")), text: await answer.text() };
      };
      for (let tries = 0; (await post("first")).status !== 200; tries++) { assert.ok(tries < 300, "the account opens"); await pause(100); }
      // Those that are on their way to the disk at the same time are not counted yet: the bound is as soft as they are many.
      const answers = await Promise.all(Array.from({ length: room * 2 }, (_, n) => post(`n${n}`)));
      const later = await Promise.all(Array.from({ length: room }, (_, n) => post(`l${n}`)));
      const { heap } = await gauge.measure(red.pid);
      const before = await red.admin<{ counts: { pending: number; received: number; done: number; dead: number } }>("GET", "/clawflow/gateway/gw");
      assert.deepEqual([...new Set([...answers, ...later].map(({ status }) => status))].sort(), [200, 503]);
      assert.ok(later.every(({ status }) => status === 503), "who comes when it is full is refused");
      const refused = [...answers, ...later].filter(({ status }) => status === 503);
      assert.ok(refused.every(({ after, text }) => after >= 1 && /STORE_005/.test(text)), `503 says when to come again and why, got ${JSON.stringify(refused[0])}`);
      const accepted = answers.length + later.length - refused.length;
      assert.equal(before.counts.pending, MAX_PENDING - room + 1 + accepted, "what was confirmed is there, what was refused is not");
      // Somebody takes them now: there is room again.
      const opened = performance.now();
      await red.deploy([...flows, entry], "full");
      for (let tries = 0; (await post("again")).status !== 200; tries++) { assert.ok(tries < 600, "there is room again some time"); await pause(50); }
      const roomMs = performance.now() - opened;
      for (let tries = 0; sink.said.length < 3_000; tries++) { assert.ok(tries < 1_200, "the waiting are answered"); await pause(50); }
      const { counts } = await red.admin<typeof before>("GET", "/clawflow/gateway/gw");
      console.log(`      ${refused.length} of ${answers.length + later.length} asked to come again after ${refused[0]?.after} s; heap ${mb(base)} MB, with ${MAX_PENDING} waiting ${mb(heap)} MB; room again ${roomMs.toFixed(0)} ms after the deploy; then pending ${counts.pending}, done ${counts.done}, dead ${counts.dead}`);
      assert.ok(heap - base < MEMORY, `the heap is ${mb(heap - base)} MB above that of an empty gateway`);
      assert.deepEqual([counts.dead, counts.received], [0, counts.done + counts.pending]);
      assert.deepEqual(orderFaults(sink.said.map(({ draft }) => draft?.text ?? "")), []);
    } finally {
      await sink.close();
      rmSync(userDir, { recursive: true, force: true });
    }
  });
});

const told = (findings: readonly Finding[]): string[] => findings.slice(0, 20).map(({ what, text }) => `${what}: ${text}`);

/** A platform delivers a chat's next message when it has the confirmation of the one before: from then on it waits. */
function ackTimes(seen: readonly Entry[]): number[] {
  const said = new Map<unknown, number>();
  const last = new Map<unknown, number>();
  const times: number[] = [];
  for (const { what, id, chat, t } of seen) {
    if (what === "said") said.set(id, t);
    if (what !== "acked") continue;
    times.push(t - Math.max(said.get(id) ?? t, last.get(chat) ?? 0));
    last.set(chat, t);
  }
  return times;
}

/** A store with so many messages that nobody has taken yet, over 1,000 chats. */
async function fill(folder: string, count: number): Promise<void> {
  const store = await openSqliteStore(folder);
  const receivedAt = Date.now();
  for (let from = 0; from < count; from += 1_000) {
    await store.commit(Array.from({ length: Math.min(1_000, count - from) }, (_, n) => ({
      do: "receive", receipt: {
        secret: `s${from + n}`.padEnd(23, "x"), lane: `echo\necho\nw${n}\n`, priority: "normal", trust: "allowed", tainted: false, receivedAt,
        message: { version: 1, id: `w${from + n}`, ref: `w${from + n}`, kind: "message", at: { channel: "echo", account: "echo", chat: `w${n}`, kind: "direct" }, sender: { id: `u${n}`, name: `u${n}`, bot: false, self: false }, sentAt: receivedAt, text: `w${n} ${from / 1_000} ${"and some more words ".repeat(5)}`, attachments: [], addressed: true },
      },
    })));
  }
  await store.close();
}
/** Texts "<chat> <number> …" that stand behind a later one of their chat. */
function orderFaults(texts: readonly string[]): string[] {
  const last = new Map<string, number>();
  const faults: string[] = [];
  for (const text of texts) {
    const [, chat, number] = /^(w\d+) (\d+)/.exec(text) ?? [];
    if (chat === undefined) continue;
    if (Number(number) !== (last.get(chat) ?? -1) + 1) faults.push(`${chat}: ${number} after ${last.get(chat)}`);
    last.set(chat, Number(number));
  }
  return faults;
}
