/**
 * F01-F19: a real Node-RED (test/rigs/node-red.ts) is killed at each point and at random times, now and then once more while it recovers;
 * nothing confirmed may be lost, nothing doubled, nothing out of order.
 *
 *     npx mocha test/faults/kill.test.ts                               each point once, and some random times
 *     CLAWFLOW_FAULTS=full CLAWFLOW_SEED=7 npx mocha …                 1,000 kills, each point at least 40 times with a run in flight
 *     CLAWFLOW_FAULTS=5 …                                              each point 5 times
 *
 * CLAWFLOW_POINTS="after-write,before-record" takes only these points; CLAWFLOW_KEEP=1 keeps the logs.
 */
import assert from "node:assert/strict";
import { POINTS, type Point } from "../../engine/points.ts";
import { summary, type Verdict } from "./judge.ts";
import { pointsOf } from "./package.ts";
import { buildFaultPackage, OUTSIDE, startFaultRig } from "./rig.ts";
import { carryOut, dice, median, type Plan, type RoundResult, table } from "./rounds.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const wanted = full ? 40 : Number(process.env.CLAWFLOW_FAULTS) || 1;
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
const chosen = process.env.CLAWFLOW_POINTS?.split(",") ?? POINTS;
const WORKERS = full ? 2 : 1;

describe("a kill", function () {
  this.timeout(wanted > 1 ? 0 : 600_000);
  let points: Point[] = [];

  it("can come at every point: the fault build has them all", function () {
    this.timeout(120_000);
    const present = pointsOf(buildFaultPackage());
    points = POINTS.filter((point) => chosen.includes(point) && (present.has(point) || OUTSIDE[point] !== undefined));
    assert.deepEqual(POINTS.filter((point) => !present.has(point) && OUTSIDE[point] === undefined), [], "points that no code passes");
  });

  it(`loses nothing, doubles nothing and keeps the order (seed ${seed})`, async () => {
    const plan: Plan = { each: Math.ceil(wanted / WORKERS), random: wanted === 1 ? 4 : Math.ceil((wanted * 7) / WORKERS), againEvery: 5, points };
    const started = performance.now();
    const workers = await Promise.all(Array.from({ length: WORKERS }, (_, worker) => run(plan, seed + worker)));
    const results = workers.flatMap((worker) => worker.results);
    const restarts = results.flatMap(({ restartMs }) => restartMs);
    const sum = (of: (verdict: Verdict) => number) => workers.reduce((total, { verdict }) => total + of(verdict), 0);
    console.log([
      table(results),
      `${restarts.length} kills in ${((performance.now() - started) / 1000).toFixed(0)} s, seed ${seed}; ${sum(({ messages }) => messages)} messages, ${sum(({ parts }) => parts)} parts; restart ${median(restarts).toFixed(0)} ms (median)`,
      `doubled where the platform offers nothing: ${sum(({ extras }) => extras.length)}, in the send window and at most one for each kill, over all chats; rows given up: ${sum(({ deadRows }) => deadRows)}`,
      `model asked ${sum(({ modelCalls }) => modelCalls)} times, ${sum(({ modelRepeats }) => modelRepeats)} of them again; tools had ${sum(({ effects }) => effects)} effects; found wrong: ${workers.map(({ verdict }) => summary(verdict)).join("; ")}`,
    ].map((line) => line.replace(/^/gm, "      ")).join("\n"));
    const where = (id: string | undefined, of: readonly RoundResult[]) => of.find(({ ids }) => ids.includes(id ?? ""))?.target ?? "?";
    const found = workers.flatMap(({ verdict, results: own }) => verdict.findings.map((one) => `${one.what} (kill at ${where(one.id, own)}): ${one.text}`));
    const stuck = results.flatMap((result) => (result.stuck === undefined ? [] : [`kill at ${result.target}: ${result.stuck}`]));
    assert.deepEqual([...stuck, ...found.slice(0, 30)], [], `${found.length} findings`);
    assert.deepEqual(points.filter((point) => results.filter(({ target, inFlight }) => target === point && inFlight > 0).length < wanted), [], `points that were not hit ${wanted} times with a run in flight`);
  });
});

async function run(plan: Plan, own: number): Promise<{ results: RoundResult[]; verdict: Verdict }> {
  await using rig = await startFaultRig({ seed: own });
  const results = await carryOut(rig, plan, dice(own));
  return { results, verdict: await rig.verdict() };
}
