/** One channel through all that can happen to it: delivered again, refused by the store, killed on the way in and on the way out, failed by the platform, cut off. The stub is the judge. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Point } from "../../../engine/points.ts";
import { classOf, type DeliveryClass } from "../../kit/delivery-class.ts";
import { readHeld, unconserved } from "../conserve.ts";
import { answerTo, LONG, PARTS } from "./words.ts";
import { createDoor, type Door } from "./door.ts";
import { type Child, createChild, PATIENCE_MS, pause, until } from "./process.ts";
import type { Side } from "./sides.ts";

export interface Row {
  readonly name: string;
  readonly class: DeliveryClass;
  inKills: number;
  /** Confirmed or saved, and never answered. */
  lost: number;
  doubled: number;
  disorder: number;
  outKills: number;
  allowed: number;
  extra: number;
  drops: number;
  /** Not brought again by the platform: nobody was told yes. */
  away: number;
  readonly remarks: Set<string>;
  /** What must not be, one line each. */
  readonly wrong: string[];
}

type InPoint = Extract<Point, "before-inbox" | "after-inbox" | "lane-claimed"> | "yes lost" | "yes told" | "random";
type OutPoint = Extract<Point, "after-sending" | "before-record" | "between-parts"> | "reset";
const QUIET_MS = 400;

/** What happens on the way in, on the way out, and between us and the platform: each with a process and a stub of its own, so that they can run side by side. */
export const SECTIONS = ["out", "faults", "in"] as const;
export const OUTGOING = ["out", "faults"] as const;
export type Section = (typeof SECTIONS)[number];
export interface TrialOptions { readonly rounds: number; /** In [0, 1). */ readonly random: () => number }
interface Scene extends TrialOptions { readonly side: Side; readonly door: Door; readonly child: Child; readonly row: Row; n: number }
interface Said { readonly text: string; readonly expected: readonly string[] }

export async function trial(name: string, section: Section, make: (door: Door, port: () => number) => Promise<Side>, options: TrialOptions): Promise<Row> {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-channel-"));
  let child: Child | undefined;
  const door = createDoor(() => child?.port ?? 9);
  const side = await make(door, () => child?.port ?? 9);
  const row: Row = { name, class: classOf(side.channel), inKills: 0, lost: 0, doubled: 0, disorder: 0, outKills: 0, allowed: 0, extra: 0, drops: 0, away: 0, remarks: new Set(side.remarks), wrong: [] };
  try {
    child = await createChild({ folder, account: side.account, seed: side.seed, ...(side.webhookUrl === undefined ? {} : { webhookUrl: side.webhookUrl }) });
    const scene: Scene = { ...options, side, door, child, row, n: 0 };
    await start(scene);
    await PLAYS[section](scene);
    await child.kill();
    const held = readHeld(path.join(folder, "store"));
    if (held === undefined) row.wrong.push("there is no store");
    else row.wrong.push(...unconserved(held, []), ...(held.pending === 0 ? [] : [`${held.pending} messages are pending at the end`]));
    row.wrong.push(...side.problems());
  } catch (error) {
    row.wrong.push(`${section}: ${(error as Error).message}; it told ${JSON.stringify(child?.told.slice(-6))}`);
  } finally {
    await child?.close();
    await side.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return row;
}
/** The sections of a channel as one row. */
export function merged(rows: readonly Row[]): Row {
  const [first, ...more] = rows as readonly [Row, ...Row[]];
  const row = { ...first, remarks: new Set(first.remarks), wrong: [...first.wrong] };
  for (const one of more) {
    for (const key of ["inKills", "lost", "doubled", "disorder", "outKills", "allowed", "extra", "drops", "away"] as const) row[key] += one[key];
    for (const remark of one.remarks) row.remarks.add(remark);
    row.wrong.push(...one.wrong);
  }
  return row;
}

const PLAYS: Readonly<Record<Section, (scene: Scene) => Promise<void>>> = {
  async in(scene) {
    await again(scene);
    await refusedByStore(scene);
    for (let round = 0; round < scene.rounds; round++) for (const point of inPoints(scene.side, scene.rounds)) await killInbound(scene, point);
  },
  async out(scene) {
    for (let round = 0; round < scene.rounds; round++) for (const point of outPoints(scene.side)) await killOutbound(scene, point);
  },
  async faults(scene) {
    await platformFaults(scene);
    await refusedForGood(scene);
    await tokenRevoked(scene);
    for (let round = 0; round < Math.min(scene.rounds, 5); round++) await dropped(scene);
  },
};
const inPoints = ({ hook, confirmed }: Side, rounds: number): InPoint[] => [
  "before-inbox", "after-inbox", ...(hook ? ["yes lost", "yes told"] as const : confirmed === undefined ? ["lane-claimed"] as const : ["yes told"] as const), ...(rounds > 1 ? ["random"] as const : []),
];
const isParted = ({ channel }: Side): boolean => channel.limits.text <= LONG;
const outPoints = (side: Side): OutPoint[] => ["after-sending", "before-record", ...(isParted(side) ? ["between-parts"] as const : []), ...(side.fail === undefined ? [] : ["reset"] as const)];

async function start({ child }: Scene): Promise<void> {
  child.crashAt(undefined);
  const from = child.told.length;
  await child.start();
  await child.heard("state", from, ({ state }) => state === "connected");
}

function make(scene: Scene, kind: "m" | "l" = "m"): Said {
  const text = `${kind}${++scene.n}`;
  return { text, expected: kind === "m" ? [answerTo(text)] : Array.from({ length: PARTS }, (_, part) => answerTo(text, part + 1)) };
}
function say(scene: Scene, kind: "m" | "l" = "m", copies = 1): Said {
  const one = make(scene, kind);
  speak(scene, one, copies);
  return one;
}
function speak({ side, child }: Scene, { text }: Said, copies = 1): void {
  if (side.sendsOnly === true) child.order({ do: "answer", to: side.to, text }); else side.say(text, copies);
}
const shows = (shown: string, wanted: string): boolean => (/ part \d $/.test(wanted) ? shown.startsWith(wanted) : shown === wanted);
const times = (shown: readonly string[], wanted: string): number => shown.filter((each) => shows(each, wanted)).length;
async function isShown({ side }: Scene, { expected }: Said): Promise<boolean> {
  const shown = await side.shown();
  return expected.every((each) => times(shown, each) > 0);
}
/** Until each is answered and nothing is under way. */
async function settled(scene: Scene, said: readonly Said[], mayMiss: readonly Said[] = []): Promise<void> {
  const all = async (some: readonly Said[]): Promise<boolean> => (await Promise.all(some.map((one) => isShown(scene, one)))).every(Boolean);
  const must = said.filter((one) => !mayMiss.includes(one));
  let last = "";
  await until(async () => {
    if (await all(must)) return true;
    last = JSON.stringify((await scene.side.shown()).slice(-4).map((each) => each.slice(0, 24)));
    return false;
  }, () => `answers to ${must.map(({ text }) => text).join(", ")}, shown last ${last}`);
  await until(() => all(said), () => "an answer", 5_000).catch(() => undefined);
  await calm(scene);
}
async function calm({ child, side }: Scene): Promise<void> {
  side.calm?.();
  await until(async () => (await child.open()) === 0, () => "all to come to an end");
  await pause(QUIET_MS);
  await until(async () => (await child.open()) === 0, () => "all to come to an end");
}

/** Holds what is shown against what was said. Resolves to the copies too many. */
async function judge({ side, row }: Scene, what: string, said: readonly Said[], { allowed = 0, mayMiss = [] as readonly Said[] } = {}): Promise<number> {
  const shown = await side.shown();
  const found = said.map(({ text, expected }) => ({ text, counts: expected.map((each) => times(shown, each)), places: expected.map((each) => shown.findIndex((one) => shows(one, each))) }));
  for (const { text, counts } of found) {
    if (counts.every((count) => count > 0)) continue;
    if (mayMiss.some((one) => one.text === text) && counts.every((count) => count === 0)) { row.away++; continue; }
    row.lost++;
    row.wrong.push(`${what}: the answer to ${text} is missing (${counts.join(", ")})`);
  }
  const places = found.flatMap((each) => each.places).filter((place) => place >= 0);
  if (places.some((place, at) => at > 0 && place < (places[at - 1] ?? 0))) { row.disorder++; row.wrong.push(`${what}: answers stand at ${places.join(", ")}`); }
  const extra = found.flatMap(({ counts }) => counts).reduce((sum, count) => sum + Math.max(0, count - 1), 0);
  if (extra > allowed) { row.doubled += extra - allowed; row.wrong.push(`${what}: ${extra} copies too many, ${allowed} allowed: ${found.map(({ text, counts }) => `${text} ${counts.join("/")}`).join(", ")}`); }
  return extra;
}
const runsOf = ({ child }: Scene, { text }: Said): number => child.told.filter((one) => one.what === "run" && one.text === text).length;

/** Three times at once, and all of it again after a restart: one run. */
async function again(scene: Scene): Promise<void> {
  const { child, side, row } = scene;
  const first = [say(scene, "m", 3), say(scene, isParted(side) ? "l" : "m", 3)];
  await settled(scene, first);
  await child.kill();
  await start(scene);
  await side.replay?.();
  const last = say(scene);
  await settled(scene, [last]);
  await judge(scene, "delivered again", [...first, last]);
  for (const one of [...first, last]) if (runsOf(scene, one) !== 1) { row.doubled++; row.wrong.push(`delivered again: ${runsOf(scene, one)} runs of ${one.text}`); }
  if (side.replay === undefined) row.remarks.add("nothing comes twice: it is asked for what is newer");
}

async function refusedByStore(scene: Scene): Promise<void> {
  const { child, row, side } = scene;
  const from = child.told.length;
  child.order({ do: "refuse", times: 1 });
  const one = say(scene);
  await child.heard("refused", from);
  const came = await until(() => isShown(scene, one), () => "it to come again", 15_000).then(() => true, () => false);
  if (!came) {
    await child.kill();
    await start(scene);
    await until(() => isShown(scene, one), () => "it to come again", 10_000).catch(() => undefined);
    row.remarks.add((await isShown(scene, one)) ? "what the store refused comes at the next start" : "what the store refused is not brought again");
  }
  await calm(scene);
  await judge(scene, "refused by the store", [one], { mayMiss: side.brings === "once" ? [one] : [] });
}

async function killInbound(scene: Scene, point: InPoint): Promise<void> {
  const { child, side, door, row, random } = scene;
  let told: Promise<void> = Promise.resolve();
  const before = side.confirmed?.() ?? 0;
  const gone = Promise.withResolvers<void>();
  /** In the first round the first of two messages; later sometimes the second. */
  const nth = scene.rounds > 1 && random() < 0.5 ? 2 : 1;
  if (point === "yes lost" || point === "yes told") {
    if (side.hook) door.onYes = async () => { await child.kill(); gone.resolve(); return point === "yes told"; };
    else told = until(() => (side.confirmed?.() ?? 0) > before, () => "the platform to be told yes").then(() => child.kill()).then(gone.resolve);
  } else {
    if (point === "random") setTimeout(() => void child.kill(), random() * 400); else child.crashAt(point, nth);
    void child.ended().then(gone.resolve);
  }
  const said = [say(scene), say(scene)] as const;
  await Promise.race([gone.promise, pause(PATIENCE_MS).then(() => { throw new Error(`Expected a kill at ${point}, none came`); })]);
  await told;
  row.inKills++;
  await start(scene);
  // Both are said at once; a platform that hands out and forgets may lose what was not saved.
  const mayMiss = side.brings !== "once" ? [] : point === "random" || (point === "before-inbox" && nth === 1) ? said : said.slice(1);
  await settled(scene, said, mayMiss);
  // Its answer may be on its way out by then.
  const allowed = row.class === "C" && (point.startsWith("yes") || point === "random") ? 1 : 0;
  const extra = await judge(scene, `killed ${point}`, said, { allowed, mayMiss });
  row.allowed += allowed;
  row.extra += extra;
  if (extra > 0) row.remarks.add("a copy where a kill met the send");
}

async function killOutbound(scene: Scene, point: OutPoint): Promise<void> {
  const { child, side, row } = scene;
  const one = make(scene, point === "between-parts" ? "l" : "m");
  if (point === "reset") await quietly(scene, one, () => side.fail?.("reset"));
  else { child.crashAt(point); speak(scene, one); }
  const ended = child.ended();
  if (point === "reset") { await until(() => isShown(scene, one), () => "the platform to have it"); await child.kill(); }
  await Promise.race([ended, pause(PATIENCE_MS).then(() => { throw new Error(`Expected a kill at ${point}, none came`); })]);
  row.outKills++;
  // That a part was sent is not waited for before the next one is begun: between two parts it may not be on disk.
  const allowed = (row.class === "C" && point !== "after-sending") || (side.gap !== undefined && point === "reset") ? 1 : 0;
  row.allowed += allowed;
  await start(scene);
  const next = say(scene);
  await settled(scene, [one, next]);
  const extra = await judge(scene, `killed ${point}`, [one, next], { allowed });
  row.extra += extra;
  if (extra > 0) row.remarks.add(side.gap ?? "a copy where a kill met the send");
}
/** Makes the next send meet what is planted. Where answers go back with requests, a process that knows of no request sends it by the API. */
async function quietly(scene: Scene, one: Said, plant: () => unknown): Promise<void> {
  const { side, child } = scene;
  if (side.answersRequests !== true) { plant(); speak(scene, one); return; }
  await child.kill();
  await start(scene);
  plant();
  for (const text of one.expected) child.order({ do: "send", to: side.to, text });
}

/** 429, 5xx, and a connection that breaks before or after the platform has read it. */
async function platformFaults(scene: Scene): Promise<void> {
  const { side, row } = scene;
  const FAULTS: readonly (readonly [string, () => unknown])[] = [
    ["429", () => side.fail?.("rate")], ["5xx", () => side.fail?.("server")], ["reset before", () => side.resetBefore?.()], ["reset after", () => side.fail?.("reset")],
  ];
  for (const [what, plant] of FAULTS) {
    if (side.fail === undefined) { row.remarks.add("no platform beside us that could fail"); return; }
    const one = make(scene);
    await quietly(scene, one, plant);
    await settled(scene, [one]);
    const allowed = (row.class === "C" || side.gap !== undefined) && what === "reset after" ? 1 : 0;
    row.allowed += allowed;
    row.extra += await judge(scene, what, [one], { allowed });
  }
}

/** A dead letter with exactly one event and one notice. */
async function refusedForGood(scene: Scene): Promise<void> {
  const { side, child, row } = scene;
  const notice = "notice of a delivery";
  const before = times(await side.shown(), notice);
  const from = child.told.length;
  if (side.refuse === undefined) return;
  const one = make(scene);
  await quietly(scene, one, side.refuse);
  await child.heard("dead", from);
  await until(async () => times(await side.shown(), notice) > before, () => "a notice");
  await calm(scene);
  const notices = times(await side.shown(), notice) - before;
  const dead = child.told.slice(from).filter(({ what }) => what === "dead").length;
  if (notices !== 1 || dead !== 1 || (await isShown(scene, one))) row.wrong.push(`refused for good: ${dead} dead letters, ${notices} notices, ${(await isShown(scene, one)) ? "and an answer" : "no answer"}`);
}

async function tokenRevoked(scene: Scene): Promise<void> {
  const { side, child, row } = scene;
  if (side.wrong === undefined) return;
  const text = `t${++scene.n}`;
  const from = child.told.length;
  child.order({ do: "account", account: side.wrong });
  await child.heard("state", from);
  child.order({ do: "send", to: side.to, text });
  await until(async () => (await child.open()) > 0, () => "it to wait");
  await pause(1_000);
  if (times(await side.shown(), text) > 0) row.wrong.push("token revoked: it was sent without a token");
  child.order({ do: "account", account: side.account });
  await until(async () => times(await side.shown(), text) > 0, () => "it to be sent with the new token");
  await calm(scene);
  const count = times(await side.shown(), text);
  if (count !== 1) row.wrong.push(`token revoked: ${count} copies`);
}

async function dropped(scene: Scene): Promise<void> {
  const { side, child, row } = scene;
  if (side.drop === undefined) return;
  const first = say(scene);
  await settled(scene, [first]);
  const from = child.told.length;
  await side.drop();
  const meanwhile = [say(scene), say(scene)];
  const mayMiss = side.dropLoses === undefined ? [] : meanwhile;
  if (mayMiss.length > 0) { await child.heard("state", from, ({ state }) => state === "connected"); }
  const last = say(scene);
  await settled(scene, [...meanwhile, last], mayMiss);
  row.drops++;
  const { away } = row;
  await judge(scene, "link dropped", [first, ...meanwhile, last], { mayMiss });
  if (row.away > away) row.remarks.add(side.dropLoses ?? "");
}
