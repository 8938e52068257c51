/** A real Node-RED with the fault build, and the world around it. The stubs' logs are the judge. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Point } from "../../engine/points.ts";
import { type FlowNode, type NodeRed, projectRoot, startNodeRed } from "../rigs/node-red.ts";
import { watchStore } from "./conserve.ts";
import { BOTS, type Bot, CHANNELS, CORE, faultFlow } from "./flow.ts";
import { type Counts, judge, type Kill, type Verdict } from "./judge.ts";
import { type Entry, monotonicMs, readLog } from "./stubs/log.ts";
import { startWorld, type World } from "./world.ts";

/** Points that a stub acts at, because it alone knows: on a confirmation, on a tool's effect, on a request that it has taken. */
export const OUTSIDE: Partial<Record<Point, string>> = { "after-ack": "ack", "in-tool": "effect", "after-write": "send" };

/** `text` follows the id ("tool", "long", "slow"); `copies`: how often the platform delivers it at once. */
export interface SayOptions { readonly bot: Bot; readonly chat: string; readonly text?: string; readonly copies?: number }

export interface FaultRig extends AsyncDisposable {
  readonly red: NodeRed;
  readonly world: World;
  readonly flows: readonly FlowNode[];
  /** Makes these people trusted: only then may their messages use a tool that writes. `say` does it where it was not done. */
  meet(people: readonly Pick<SayOptions, "bot" | "chat">[]): Promise<void>;
  /** Says these, in this order. Resolves to their ids. */
  say(messages: readonly SayOptions[]): Promise<string[]>;
  /** The n-th passage of the point from now on kills Node-RED. */
  killAt(point: Point, n?: number): Promise<void>;
  /** The n-th passage from now on waits until `release`. */
  holdAt(point: Point, n?: number): Promise<void>;
  /** True when it waits there, false when all is answered before. */
  held(ms?: number): Promise<boolean>;
  /** Takes back every order. */
  release(): Promise<void>;
  /** Kills now. */
  kill(point?: string): Promise<void>;
  /** True when Node-RED has died by an order, false when all is answered before. */
  died(ms?: number): Promise<boolean>;
  /** Resolves, when the flows have started, to the time that took. */
  restart(): Promise<number>;
  /** Puts these flows in place, as the editor does; credentials stay as they are. */
  deploy(flows: readonly FlowNode[], type: "full" | "flows" | "nodes" | "reload"): Promise<void>;
  /** Resolves when every message is confirmed and answered; rejects with what is open. */
  settled(ms?: number): Promise<void>;
  readonly kills: readonly Kill[];
  /** What happened at the points. */
  points(): Entry[];
  /** The gateway's own count, once its records have settled too. */
  counts(): Promise<Counts>;
  verdict(): Promise<Verdict>;
}

/** The package as the fault tests need it: with the points left in. Built where a source is newer. */
export function buildFaultPackage(): string {
  const built = spawnSync(process.execPath, ["build.mjs", "--if-stale"], { cwd: projectRoot, encoding: "utf8", timeout: 120_000, env: { ...process.env, CLAWFLOW_FAULTS: "1" } });
  if (built.status !== 0) throw new Error(`The fault build failed:\n${built.stdout}${built.stderr}`);
  return path.join(projectRoot, "node_modules/.clawflow-faults/package");
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });
export async function startFaultRig({ seed = 1, env = {} }: { readonly seed?: number; readonly env?: Readonly<Record<string, string>> } = {}): Promise<FaultRig> {
  const folder = mkdtempSync(path.join(tmpdir(), `clawflow-faults-${seed}-`));
  const file = (name: string) => path.join(folder, name);
  const clawflow = buildFaultPackage();
  const world = await startWorld(folder);
  const { token } = await world.telegram.control<{ token: string }>("about");
  const flows = faultFlow({ platform: world.platform.url, telegram: world.telegram.url, token, model: world.model.url });
  const red = await startNodeRed({
    clawflow, flows, packages: [path.join(projectRoot, "test/plugins/fault-channels")], nodeArgs: ["--require", path.join(projectRoot, "test/faults/arm.cjs")],
    env: { CLAWFLOW_FAULT_DIR: folder, NODE_COMPILE_CACHE: file("compiled"), ...env },
    core: CORE, settings: { disableEditor: true },
  });
  const held = watchStore(path.join(red.userDir, "clawflow/home"), { seen: world.seen });
  const kills: Kill[] = [];
  const known = new Set<string>();
  let serial = 0;
  let ids = 0;
  let heldFrom = 0;

  function order(what: Record<string, unknown>): void {
    writeFileSync(file("order.part"), JSON.stringify({ serial: ++serial, act: "none", ...what }));
    renameSync(file("order.part"), file("order.json"));
  }
  function points(): Entry[] {
    try {
      return readLog(file("points.log"));
    } catch {
      return [];
    }
  }
  const alive = (): boolean => { try { process.kill(red.pid, 0); return true; } catch { return false; } };
  /** What a dead process has put on the wire may arrive until the next one is there, which takes longer than this to say its first word. */
  const BOOT_MS = 300;
  const gone = (): number => monotonicMs() + BOOT_MS;
  async function counts(): Promise<Counts> {
    for (let tries = 0; ; tries++) {
      const { counts: now } = await red.admin<{ counts: Counts }>("GET", "/clawflow/gateway/gw");
      if (tries >= 200 || (now.pending === 0 && (now.outbox.planned ?? 0) + (now.outbox.sending ?? 0) === 0)) return now;
      await pause(25);
    }
  }

  const rig: FaultRig = {
    red, world, flows, kills, points, counts,
    async meet(people) {
      for (const { bot, chat } of people) {
        if (known.has(`${bot}/${chat}`)) continue;
        await red.admin("POST", "/clawflow/gateway/gw/people", { channel: CHANNELS[bot], account: bot, id: personOf(bot, chat), name: chat, trust: "paired" });
        known.add(`${bot}/${chat}`);
      }
    },
    async say(messages) {
      await rig.meet(messages);
      const made = messages.map(({ bot, chat, text = "", copies = 1 }) => { const id = `m${++ids}`; return { bot, chat, from: personOf(bot, chat), id, copies, text: `${id} ${text}`.trim() }; });
      await world.say(made);
      return made.map(({ id }) => id);
    },
    async killAt(point, n = 1) {
      const on = OUTSIDE[point];
      if (on === undefined) order({ act: "crash", point, n });
      else await world.act({ on, n, pid: red.pid, point });
    },
    async holdAt(point, n = 1) {
      heldFrom = monotonicMs();
      const on = OUTSIDE[point];
      if (on === undefined) order({ act: "hold", point, n });
      else await world.act({ on, n, point });
    },
    async held(ms = 20_000) {
      const isHeld = ({ what, t }: Entry) => (what === "held" || what === "told") && t > heldFrom;
      for (const from = monotonicMs(); monotonicMs() - from < ms; await pause(5)) {
        if (points().some(isHeld) || (await world.seen()).some(isHeld)) return true;
        if ((await world.open()).length === 0) return false;
      }
      return false;
    },
    async release() { order({}); await world.act({}); },
    async kill(point = "random") {
      if (!alive()) return;
      const t = monotonicMs();
      await red.kill();
      kills.push({ t, until: gone(), point });
    },
    async died(ms = 20_000) {
      for (const from = monotonicMs(); alive(); await pause(10)) {
        if (monotonicMs() - from > ms) return false;
        // What was answered last may still be on its way through the points behind an answer.
        if ((await world.open()).length === 0 && (await counts().catch(() => undefined)) !== undefined) return false;
      }
      await red.kill();
      const last = kills.at(-1)?.until ?? 0;
      const crash = [...points().filter(({ what }) => what === "crash"), ...(await world.seen()).filter(({ what }) => what === "kill")].find(({ t }) => t > last);
      if (crash === undefined) throw new Error(`Node-RED ended, and nobody had ordered it:\n${red.lines.slice(-30).join("\n")}`);
      kills.push({ t: crash.t, until: gone(), point: String(crash.point) });
      return true;
    },
    async restart() {
      const from = monotonicMs();
      if (alive()) await rig.kill("restart");
      const last = kills.at(-1);
      if (last !== undefined) last.until = gone();
      await red.start();
      return monotonicMs() - from;
    },
    async deploy(changed, type) { await red.deploy(changed.map(({ credentials: _, ...node }) => node as FlowNode), type); },
    async settled(ms = 60_000) {
      for (const from = monotonicMs(); ; await pause(20)) {
        const open = await world.open();
        if (open.length === 0) return world.forget();
        if (!alive()) throw new Error(`Node-RED ended while messages were open:\n${red.lines.slice(-20).join("\n")}`);
        if (monotonicMs() - from > ms) throw new Error(`after ${ms} ms ${open.length} messages were open (our records: ${JSON.stringify((await red.admin<{ counts: Counts }>("GET", "/clawflow/gateway/gw")).counts)}):\n${(await Promise.all(open.slice(0, 5).map((id) => world.story(id, kills)))).join("\n")}\n${red.lines.slice(-15).join("\n")}`);
      }
    },
    async verdict() { return judge(await world.seen(), await world.model.entries(), kills, await counts()); },
    async [Symbol.asyncDispose]() {
      try {
        await red.kill();
        await held[Symbol.asyncDispose]();
      } finally {
        await red.remove();
        await world.close();
      }
      if (process.env.CLAWFLOW_KEEP === undefined) rmSync(folder, { recursive: true, force: true });
      else console.log(`kept ${folder}`);
    },
  };
  for (const bot of BOTS) if (bot === "key" || bot === "none") await world.platform.control("hook", { bot, url: `${red.url}/clawflow/home/${bot}` });
  // Stopped in order once: the compiled code is kept for all starts that follow.
  await red.stop();
  await red.start();
  return rig;
}

/** In a direct chat of Telegram the person and the chat have one number. */
const personOf = (bot: Bot, chat: string): string => (bot === "telegram" ? chat : `u-${chat}`);
