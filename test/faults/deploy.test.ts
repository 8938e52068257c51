/**
 * F42-F47, in a real Node-RED (test/rigs/node-red.ts): a deploy of every kind while a run stands at each point, and many deploys under load: nothing lost, nothing doubled, no second poller.
 *
 *     npx mocha test/faults/deploy.test.ts                       each point with one kind of deploy
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …           each point with each kind, 50 deploys in 60 s
 */
import assert from "node:assert/strict";
import { POINTS, type Point } from "../../engine/points.ts";
import type { FlowNode } from "../rigs/project.ts";
import { BOTS } from "./flow.ts";
import { type Finding, summary } from "./judge.ts";
import { pointsOf } from "./package.ts";
import { buildFaultPackage, type FaultRig, OUTSIDE, startFaultRig } from "./rig.ts";
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
const STUCK_MS = 20_000;

describe("a deploy", function () {
  this.timeout(full ? 0 : 300_000);
  const random = dice(seed);
  let number = 0;
  const pairs = (points: readonly Point[]) => points.flatMap((point) => (full ? DEPLOYS : [DEPLOYS[Math.floor(random() * DEPLOYS.length)] ?? DEPLOYS[0]]).flatMap((deploy) => (deploy === undefined ? [] : [{ point, deploy }])));

  it(`loses and doubles nothing, wherever a run stands (seed ${seed})`, async () => {
    const present = pointsOf(buildFaultPackage());
    await using rig = await startFaultRig({ seed });
    const where = new Map<string, string>();
    const missed: string[] = [];
    const stuck: string[] = [];
    for (const { point, deploy } of pairs(POINTS.filter((one) => chosen.includes(one) && (present.has(one) || OUTSIDE[one] !== undefined)))) {
      const name = `${deploy.name} at ${point}`;
      await rig.holdAt(point);
      for (const id of await rig.say(talk(random))) where.set(id, name);
      if (!(await rig.held())) missed.push(name);
      await rig.deploy(deploy.change(rig.flows, ++number), deploy.type);
      await rig.release();
      try {
        await rig.settled(STUCK_MS);
      } catch (error) {
        stuck.push(`${name}: ${short(error)}`);
        // What still waits is taken up by a restart; what is lost stays lost.
        await rig.restart();
        const rest = await rig.settled(10_000).catch(short);
        if (rest !== undefined) { stuck.push(`${name}: also after a restart, ${rest}`); await rig.world.forget(); }
        if (stuck.length >= 6) break;
      }
    }
    const { findings, ...verdict } = await rig.verdict();
    console.log(`      ${number} deploys, ${verdict.messages} messages, ${verdict.parts} parts; model asked ${verdict.modelCalls} times, ${verdict.modelRepeats} of them again; found wrong: ${summary({ findings })}`);
    assert.deepEqual([...stuck, ...told(findings, where).slice(0, 20)], []);
    assert.deepEqual(missed, [], "points that were not passed");
  });

  it(`${full ? 50 : 10} in ${full ? 60 : 12} s under 20 messages/s lose and double nothing (seed ${seed})`, async () => {
    await using rig = await startFaultRig({ seed });
    let loading = true;
    const load = (async () => { while (loading) { await sayOne(rig, random); await new Promise((resolve) => { setTimeout(resolve, 50); }); } })();
    for (let count = full ? 50 : 10; count > 0; count--) {
      const started = performance.now();
      const deploy = DEPLOYS[Math.floor(random() * DEPLOYS.length)];
      if (deploy !== undefined) await rig.deploy(deploy.change(rig.flows, ++number), deploy.type);
      await new Promise((resolve) => { setTimeout(resolve, Math.max(0, 1_200 - (performance.now() - started))); });
    }
    loading = false;
    await load;
    await rig.settled();
    const { findings, ...verdict } = await rig.verdict();
    console.log(`      ${verdict.messages} messages, ${verdict.parts} parts; model asked ${verdict.modelCalls} times, ${verdict.modelRepeats} of them again; found wrong: ${summary({ findings })}`);
    assert.deepEqual(told(findings, new Map()), []);
  });
});

const short = (error: unknown): string => (error as Error).message.split("\n").slice(0, 4).join("\n");
async function sayOne(rig: FaultRig, random: () => number): Promise<void> {
  const bot = BOTS[Math.floor(random() * BOTS.length)] ?? "key";
  await rig.say([{ bot, chat: bot === "telegram" ? String(7001 + Math.floor(random() * 8)) : `${bot}-${Math.floor(random() * 4)}`, text: ["", "", "tool", "long"][Math.floor(random() * 4)] ?? "" }]);
}
const told = (findings: readonly Finding[], where: ReadonlyMap<string, string>): string[] => findings.map(({ what, id, text }) => `${what}${id === undefined ? "" : ` (${where.get(id) ?? "?"})`}: ${text}`);
