/** Rounds of kills: say something in several chats, kill at a point or at a random time, start again, wait until all is answered. One seed, one course. */
import { POINTS, type Point } from "../../engine/points.ts";
import { BOTS, type Bot } from "./flow.ts";
import { type FaultRig, OUTSIDE, type SayOptions } from "./rig.ts";

export type Target = Point | "random";
export interface RoundResult {
  readonly target: Target;
  /** False: all was answered before the point was passed for the n-th time. */
  readonly hit: boolean;
  readonly inFlight: number;
  readonly restartMs: readonly number[];
  readonly ids: readonly string[];
  /** What was still open long after the last start. */
  readonly stuck?: string;
}

/** Reproducible numbers in [0, 1). */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Passages that a round surely has: kills come at the first and at later ones. */
const PASSAGES: Partial<Record<Point, number>> = { "mid-stream": 12, "in-tool": 2, "after-tool": 2, "between-parts": 2, "after-write": 6, "after-ack": 6 };
const RANDOM_WITHIN_MS = 250;
/** From here on the point itself stands inside a run. */
const FIRST_INSIDE = POINTS.indexOf("lane-claimed");

/** Telegram takes one message a second in a chat: there each chat has one. */
const chatsOf = (bot: Bot): string[] => (bot === "telegram" ? ["7001", "7002"] : [`${bot}-1`, `${bot}-2`]);
/** Two chats on each account, one or two messages in each; three use the tool, three are long, some are delivered several times at once. */
export function talk(random: () => number): SayOptions[] {
  const said: SayOptions[] = [];
  for (const bot of BOTS) for (const chat of chatsOf(bot)) for (let count = bot === "telegram" ? 1 : 1 + Math.floor(random() * 2); count > 0; count--) said.push({ bot, chat });
  const texts = ["tool", "long", "tool long", "tool", "long", ...Array.from({ length: said.length }, () => "")].slice(0, said.length);
  for (const [at, one] of said.entries()) {
    const pick = Math.floor(random() * texts.length);
    said[at] = { ...one, text: texts.splice(pick, 1)[0] ?? "", copies: random() < 0.15 ? 3 : 1 };
  }
  return said;
}

/** A run that is in flight for a while. */
async function underWay(rig: FaultRig, random: () => number): Promise<string[]> {
  const bot = BOTS[Math.floor(random() * BOTS.length)] ?? "key";
  const ids = await rig.say([{ bot, chat: bot === "telegram" ? "7003" : `${bot}-slow`, text: "slow" }]);
  while ((await rig.world.inFlight()) === 0) await new Promise((resolve) => { setTimeout(resolve, 5); });
  return ids;
}

/** One round. `again`: the new process is killed once more while it takes up what the old one left. */
export async function round(rig: FaultRig, target: Target, random: () => number, { first = false, again }: { readonly first?: boolean; readonly again?: Point } = {}): Promise<RoundResult> {
  const restartMs: number[] = [];
  const ids: string[] = [];
  if (target === "random" || POINTS.indexOf(target) < FIRST_INSIDE) ids.push(...await underWay(rig, random));
  const said = talk(random);
  await rig.meet(said);
  if (target !== "random") await rig.killAt(target, first ? 1 : 1 + Math.floor(random() * (PASSAGES[target] ?? 5)));
  ids.push(...await rig.say(said));
  let hit: boolean;
  if (target === "random") {
    await new Promise((resolve) => { setTimeout(resolve, random() * RANDOM_WITHIN_MS); });
    await rig.kill();
    hit = true;
  } else hit = await rig.died();
  const confirmed = await rig.world.inFlight();
  const inFlight = target !== "random" && POINTS.indexOf(target) >= FIRST_INSIDE ? Math.max(1, confirmed) : confirmed;
  await rig.release();
  if (hit) {
    if (again !== undefined) await rig.killAt(again, 1 + Math.floor(random() * 3));
    restartMs.push(await rig.restart());
    if (again !== undefined && (await rig.died())) {
      await rig.release();
      restartMs.push(await rig.restart());
    } else await rig.release();
  }
  const stuck = await rig.settled().then(() => undefined, (error: Error) => error.message);
  if (stuck !== undefined) await rig.world.forget();
  const { received, done, dead, pending } = await rig.counts();
  if (received !== done + dead + pending) throw new Error(`received ${received} is not done ${done} + dead ${dead} + pending ${pending}`);
  return { target, hit, inFlight: hit ? inFlight : 0, restartMs, ids, ...(stuck === undefined ? {} : { stuck }) };
}

/** Points that Node-RED itself acts at: the ones a process may be told before it starts. */
export const INSIDE: readonly Point[] = POINTS.filter((point) => OUTSIDE[point] === undefined);

/** After so many there is nothing new to learn. */
const MOST_STUCK = 3;

export interface Plan { readonly each: number; readonly random: number; /** Every so many rounds have a second kill; 0: none. */ readonly againEvery: number; readonly points: readonly Point[] }

/** Carries out a plan; a point that was not passed often enough is tried again at its first passage. */
export async function carryOut(rig: FaultRig, plan: Plan, random: () => number): Promise<RoundResult[]> {
  const targets: Target[] = [...Array.from({ length: plan.each }, () => plan.points).flat(), ...Array.from({ length: plan.random }, () => "random" as const)];
  for (let at = targets.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [targets[at], targets[other]] = [targets[other] as Target, targets[at] as Target];
  }
  const inside = INSIDE.filter((point) => plan.points.includes(point));
  const results: RoundResult[] = [];
  for (const [number, target] of targets.entries()) {
    const again = plan.againEvery > 0 && number % plan.againEvery === plan.againEvery - 1 ? inside[Math.floor(random() * inside.length)] : undefined;
    for (let tries = 0; tries < 3; tries++) {
      const result = await round(rig, target, random, { first: tries > 0, ...(again === undefined ? {} : { again }) });
      results.push(result);
      if (results.filter(({ stuck }) => stuck !== undefined).length >= MOST_STUCK) return results;
      if (result.hit && result.inFlight > 0) break;
    }
  }
  return results;
}

/** One line for each point: kills, and how many of them with a run in flight. */
export function table(results: readonly RoundResult[]): string {
  const rows = [...POINTS, "random" as const].map((target) => {
    const own = results.filter((result) => result.target === target);
    return `${target.padEnd(15)} ${String(own.filter(({ hit }) => hit).length).padStart(5)} ${String(own.filter(({ hit, inFlight }) => hit && inFlight > 0).length).padStart(10)} ${String(own.filter(({ hit }) => !hit).length).padStart(7)}`;
  });
  return [`${"point".padEnd(15)} kills  in flight  missed`, ...rows].join("\n");
}
export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
