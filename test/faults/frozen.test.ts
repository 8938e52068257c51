/**
 * F57, F58: the event loop is blocked by another node, the process is stopped and goes on, or is killed as the kernel does when memory is short, in a real Node-RED.
 *
 *     npx mocha test/faults/frozen.test.ts                   5 s each
 *     CLAWFLOW_FAULTS=full npx mocha …                       blocked 30 s, stopped 60 s, with a run at each point
 *
 * CLAWFLOW_POINTS="mid-stream,in-tool" takes only these points.
 */
import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { POINTS, type Point } from "../../engine/points.ts";
import { buildFaultPackage, type FaultRig, startFaultRig } from "./rig.ts";
import { dice, talk } from "./rounds.ts";
import { findings, linesOf, opened, put, workFlow } from "./work.ts";

const full = process.env.CLAWFLOW_FAULTS === "full";
const seed = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1_000_000));
const BLOCKED_MS = full ? 30_000 : 5_000;
const STOPPED_MS = full ? 60_000 : 5_000;
/** Shorter than any pause here: a run that is blamed for the pause would end "unanswered". */
const IDLE_MINUTES = 0.05;
const chosen = process.env.CLAWFLOW_POINTS?.split(",") ?? POINTS;
const inside = POINTS.slice(POINTS.indexOf("lane-claimed")).filter((point) => chosen.includes(point));

const BLOCKER = { bot: "key", chat: "key-block" } as const;
const LATER = [{ bot: "evidence", chat: "evidence-3" }, { bot: "telegram", chat: "7005" }, { bot: "key", chat: "key-5", text: "long" }] as const;

/** Says some things, of which one stands at a point of its run; resolves when it stands there. */
async function underWay(rig: FaultRig, random: () => number, point: Point): Promise<void> {
  await rig.holdAt(point);
  await rig.say(talk(random));
  assert.ok(await rig.held(), `nobody passed ${point}`);
}

describe("a process that does not move", function () {
  this.timeout(full ? 0 : 600_000);
  before(function () { this.timeout(120_000); buildFaultPackage(); });

  it(`is blocked for ${BLOCKED_MS / 1000} s by another node (F57), stopped for ${STOPPED_MS / 1000} s, or killed while it is stopped (F58), wherever a run stands: nothing is lost or doubled, and no run ends for that (seed ${seed})`, async () => {
    const random = dice(seed);
    const anywhere = () => (full ? inside : [inside[Math.floor(random() * inside.length)] as Point]);
    await using rig = await startFaultRig({ seed });
    await put(rig, workFlow(rig.flows, { idleMinutes: IDLE_MINUTES }));
    // A new process looks for idle runs as often as the new limit asks.
    await rig.red.restart();
    await opened(rig);
    for (const point of anywhere()) {
      const more = talk(random);
      await rig.meet([...more, BLOCKER]);
      await underWay(rig, random, point);
      const from = performance.now();
      await rig.say([{ ...BLOCKER, text: `block ${BLOCKED_MS}` }]);
      // What is said while nobody listens is there afterwards.
      await rig.release();
      await rig.say(more);
      await rig.settled(BLOCKED_MS + 90_000);
      assert.ok(performance.now() - from >= BLOCKED_MS, "it was not blocked");
    }
    const { accounts } = await rig.red.admin<{ accounts: { slug: string; state: string }[] }>("GET", "/clawflow/gateway/gw");
    assert.deepEqual(accounts.filter(({ state }) => state !== "connected"), []);
    for (const point of anywhere()) {
      await rig.meet(LATER);
      await underWay(rig, random, point);
      process.kill(rig.red.pid, "SIGSTOP");
      try {
        await rig.release();
        // Polled accounts do not ask, webhooks do not answer; the platforms wait.
        await rig.say(LATER);
        await pause(STOPPED_MS);
      } finally {
        process.kill(rig.red.pid, "SIGCONT");
      }
      await rig.settled(90_000);
    }
    for (const point of anywhere()) {
      await underWay(rig, random, point);
      process.kill(rig.red.pid, "SIGSTOP");
      await rig.release();
      await pause(100);
      await rig.kill(`stopped at ${point}`);
      await rig.restart();
      await opened(rig);
      await rig.settled(90_000);
    }
    assert.deepEqual(await findings(rig), []);
    assert.deepEqual(linesOf(rig, /did not end in time|did not end by itself|Dead letter/), []);
  });
});
