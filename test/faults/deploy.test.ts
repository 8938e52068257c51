/**
 * F42-F47, in a real Node-RED (test/rigs/node-red.ts): a deploy of every kind while a run stands at each point, and many deploys under load: nothing lost, nothing doubled, no second poller.
 *
 *     npx mocha test/faults/deploy.test.ts                       each point with one kind of deploy
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …           each point with each kind, 50 deploys in 60 s; prints how long each took to answer all
 */
import assert from "node:assert/strict";
import { POINTS, type Point } from "../../engine/points.ts";
import type { FlowNode } from "../rigs/project.ts";
import { BOTS } from "./flow.ts";
import { type Finding, summary, type Verdict } from "./judge.ts";
import { mb } from "./load/figures.ts";
import { createGauge } from "./load/measure.ts";
import { pointsOf } from "./package.ts";
import { buildFaultPackage, type FaultRig, OUTSIDE, type SayOptions, startFaultRig } from "./rig.ts";
import { dice, talk } from "./rounds.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
const chosen = process.env.CLAWFLOW_POINTS?.split(",") ?? POINTS;

const edit = (flows: readonly FlowNode[], id: string, fields: object): FlowNode[] => flows.map((node) => (node.id === id ? { ...node, ...fields } : node));
/** What is changed before which kind of deploy; `n` makes each change a new one. */
const DEPLOYS: readonly { readonly name: string; readonly type: "full" | "flows" | "nodes" | "reload"; readonly change: (flows: readonly FlowNode[], n: number) => FlowNode[] }[] = [
  { name: "full", type: "full", change: (flows) => [...flows] },
  { name: "flows", type: "flows", change: (flows, n) => edit(flows, "clean", { name: `clean ${n}` }) },
  { name: "nodes", type: "nodes", change: (flows, n) => edit(flows, "agent", { system: `Answer. ${n}` }) },
  { name: "restart flows", type: "reload", change: (flows) => [...flows] },
  { name: "config node", type: "nodes", change: (flows, n) => edit(flows, "model", { name: `Stub ${n}` }) },
];

/** A tool whose flow a deploy ended is given up after 3 s, and so may be each one behind it in its chat. */
const STUCK_MS = 40_000;
const WORKERS = full ? 2 : 1;
/** So many handles may be open that were not before: a request that is under way in this moment. */
const SPARE = 8;

interface Pair { readonly point: Point; readonly deploy: (typeof DEPLOYS)[number] }
/** `ms`: from the deploy until all was answered; undefined where the point was not passed. */
interface Done extends Pair { readonly ms: number | undefined; readonly stuck: readonly string[] }
interface Course { readonly done: readonly Done[]; readonly verdict: Verdict; readonly where: ReadonlyMap<string, string>; readonly late: readonly string[] }
const nameOf = ({ deploy, point }: Pair): string => `${deploy.name} at ${point}`;
/** Node-RED gives a node 15 s to close, and says so when it took longer. */
const LATE = /Error stopping node|Close timed out|stopping node.*timed? ?out/i;

/** Deploys while a run stands at each of these points, one after the other in one Node-RED. */
async function carryOut(pairs: readonly Pair[], own: number): Promise<Course> {
  const random = dice(own);
  await using rig = await startFaultRig({ seed: own });
  const where = new Map<string, string>();
  const done: Done[] = [];
  for (const [number, { point, deploy }] of pairs.entries()) {
    const stuck: string[] = [];
    await rig.holdAt(point);
    for (const id of await rig.say(talk(random))) where.set(id, nameOf({ point, deploy }));
    const held = await rig.held();
    const from = performance.now();
    await rig.deploy(deploy.change(rig.flows, number + 1), deploy.type);
    await rig.release();
    try {
      await rig.settled(STUCK_MS);
    } catch (error) {
      stuck.push(short(error));
      // What still waits is taken up by a restart; what is lost stays lost.
      await rig.restart();
      const rest = await rig.settled(30_000).catch(short);
      if (rest !== undefined) { stuck.push(`also after a restart, ${rest}`); await rig.world.forget(); }
    }
    done.push({ point, deploy, ms: held ? performance.now() - from : undefined, stuck });
    if (done.filter((one) => one.stuck.length > 0).length >= 6) break;
  }
  return { done, where, verdict: await rig.verdict(), late: rig.red.lines.filter((line) => LATE.test(line)) };
}
function table(done: readonly Done[]): string {
  const cell = (point: Point, kind: string): string => {
    const one = done.find((other) => other.point === point && other.deploy.name === kind);
    return one === undefined ? "" : one.stuck.length > 0 ? "stuck" : one.ms === undefined ? "missed" : one.ms.toFixed(0);
  };
  const rows = [...new Set(done.map(({ point }) => point))].sort((one, other) => POINTS.indexOf(one) - POINTS.indexOf(other));
  return [["ms until all is answered", ...DEPLOYS.map(({ name }) => name)], ...rows.map((point) => [point, ...DEPLOYS.map(({ name }) => cell(point, name))])]
    .map(([first = "", ...cells]) => first.padEnd(24) + cells.map((text) => text.padStart(14)).join("")).join("\n");
}

describe("a deploy", function () {
  this.timeout(full ? 0 : 600_000);

  it(`loses and doubles nothing, wherever a run stands (seed ${seed})`, async () => {
    const random = dice(seed);
    const present = pointsOf(buildFaultPackage());
    const points = POINTS.filter((one) => chosen.includes(one) && (present.has(one) || OUTSIDE[one] !== undefined));
    const pairs = points.flatMap((point): Pair[] => (full ? DEPLOYS : [pick(DEPLOYS, random)]).map((deploy) => ({ point, deploy })));
    const started = performance.now();
    const courses = await Promise.all(Array.from({ length: WORKERS }, (_, worker) => carryOut(pairs.filter((_pair, at) => at % WORKERS === worker), seed + worker)));
    const done = courses.flatMap((course) => course.done);
    const sum = (of: (verdict: Verdict) => number) => courses.reduce((total, { verdict }) => total + of(verdict), 0);
    console.log([
      table(done),
      `${done.length} deploys in ${((performance.now() - started) / 1000).toFixed(0)} s, ${sum(({ messages }) => messages)} messages, ${sum(({ parts }) => parts)} parts; model asked ${sum(({ modelCalls }) => modelCalls)} times, ${sum(({ modelRepeats }) => modelRepeats)} of them again; found wrong: ${courses.map(({ verdict }) => summary(verdict)).join("; ")}`,
    ].join("\n").replace(/^/gm, "      "));
    const stuck = done.flatMap((one) => one.stuck.map((text) => `${nameOf(one)}: ${text}`));
    assert.deepEqual([...stuck, ...courses.flatMap(({ verdict, where }) => told(verdict.findings, where)).slice(0, 20)], []);
    assert.deepEqual(done.filter(({ ms }) => ms === undefined).map(nameOf), [], "points that were not passed");
    assert.equal(done.length, pairs.length);
    assert.deepEqual(courses.flatMap(({ late }) => late), [], "nodes that did not close in time");
  });

  it(`${full ? 50 : 10} in ${full ? 60 : 12} s under 20 messages/s lose and double nothing (seed ${seed})`, async () => {
    const random = dice(seed);
    using gauge = createGauge();
    await using rig = await startFaultRig({ seed, env: gauge.env });
    // Every chat has spoken once: the sockets it needs are open, and its person is known.
    await rig.say(CHATS);
    await rig.settled();
    const base = await gauge.measure(rig.red.pid);
    let number = 0;
    let loading = true;
    const load = (async () => { while (loading) { await sayOne(rig, random); await new Promise((resolve) => { setTimeout(resolve, 50); }); } })();
    for (let count = full ? 50 : 10; count > 0; count--) {
      const started = performance.now();
      const deploy = pick(DEPLOYS, random);
      await rig.deploy(deploy.change(rig.flows, ++number), deploy.type);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, 1_200 - (performance.now() - started))); });
    }
    loading = false;
    await load;
    await rig.settled();
    const { findings, ...verdict } = await rig.verdict();
    console.log(`      ${verdict.messages} messages, ${verdict.parts} parts; model asked ${verdict.modelCalls} times, ${verdict.modelRepeats} of them again; found wrong: ${summary({ findings })}`);
    assert.deepEqual(told(findings, new Map()), []);
    assert.deepEqual(rig.red.lines.filter((line) => LATE.test(line)), [], "nodes that did not close in time");
    let now = await gauge.measure(rig.red.pid);
    // Sockets that nobody uses any more are closed after some seconds.
    for (let tries = 0; (now.fds > base.fds + SPARE || now.timers > base.timers + SPARE) && tries < 30; tries++) { await new Promise((resolve) => { setTimeout(resolve, 1_000); }); now = await gauge.measure(rig.red.pid); }
    console.log(`      file handles ${base.fds} → ${now.fds}, timers ${base.timers} → ${now.timers}, heap ${mb(base.heap)} → ${mb(now.heap)} MB`);
    assert.ok(now.fds <= base.fds + SPARE && now.timers <= base.timers + SPARE, `file handles ${base.fds} → ${now.fds}, timers ${base.timers} → ${now.timers}`);
  });
});

const CHATS: readonly Pick<SayOptions, "bot" | "chat">[] = BOTS.flatMap((bot): Pick<SayOptions, "bot" | "chat">[] => (bot === "telegram" ? Array.from({ length: 8 }, (_, at) => ({ bot, chat: String(7001 + at) })) : Array.from({ length: 4 }, (_, at) => ({ bot, chat: `${bot}-${at}` }))));
const pick = <T>(list: readonly T[], random: () => number): T => list[Math.floor(random() * list.length)] as T;
const short = (error: unknown): string => (error as Error).message.split("\n").slice(0, 4).join("\n");
async function sayOne(rig: FaultRig, random: () => number): Promise<void> {
  await rig.say([{ ...pick(CHATS, random), text: pick(["", "", "tool", "long"], random) }]);
}
const told = (findings: readonly Finding[], where: ReadonlyMap<string, string>): string[] => findings.map(({ what, id, text }) => `${what}${id === undefined ? "" : ` (${where.get(id) ?? "?"})`}: ${text}`);
