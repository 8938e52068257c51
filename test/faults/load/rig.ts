/** The host (host.ts) and the world around it; what the stubs saw is judged as in the rounds with Node-RED. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { watchStore } from "../conserve.ts";
import { startStub, type Stub } from "../child.ts";
import { type Counts, judge, type Kill, unfinished, type Verdict } from "../judge.ts";
import { type Entry, monotonicMs } from "../stubs/log.ts";
import type { Pace } from "./clock.ts";
import type { Measure, Settings } from "./host.ts";

export type Bot = "key" | "evidence" | "none";
export interface Spoken { readonly bot: Bot; readonly chat: string; readonly text?: string; readonly copies?: number }
export interface SaidMessage { readonly id: string; readonly bot: Bot; readonly chat: string; readonly from: string; readonly text: string; readonly copies: number; readonly atMs: number }

export interface LoadRig extends AsyncDisposable {
  readonly platform: Stub;
  readonly model: Stub;
  readonly kills: readonly Kill[];
  ask<T = unknown>(op: string, more?: object): Promise<T>;
  measure(): Promise<Measure>;
  counts(): Promise<Counts>;
  /** Time of the host. */
  now(): number;
  jump(ms: number): Promise<void>;
  /** In this order, at once. */
  say(messages: readonly Spoken[]): Promise<readonly SaidMessage[]>;
  /** Delivers this message once more, by webhook; resolves to the status. */
  repeat(message: SaidMessage): Promise<number>;
  open(): Promise<readonly string[]>;
  /** Resolves when all is confirmed and answered, and our records say so too. */
  settled(ms: number, everyMs?: number): Promise<Counts>;
  kill(): Promise<void>;
  /** True when it has died by an order, false when all is answered before. */
  died(ms: number): Promise<boolean>;
  start(): Promise<number>;
  /** Ends in order. */
  stop(): Promise<void>;
  verdict(counts?: Counts): Promise<Verdict>;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms); });

export async function startLoad({ speed = 1, agent = true, keepMs, broken = process.env.CLAWFLOW_BROKEN }: { readonly speed?: number; readonly agent?: boolean; readonly keepMs?: number; readonly broken?: string | undefined } = {}): Promise<LoadRig> {
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-load-"));
  const [platform, model] = await Promise.all([startStub("platform", path.join(folder, "platform.log")), startStub("model", path.join(folder, "model.log"))]);
  let pace: Pace = { startMs: Date.now(), realMs: monotonicMs(), speed, jumpedMs: 0 };
  // Whoever lets weeks go by lets messages be forgotten.
  const held = watchStore(path.join(folder, "gateway"), { seen: async () => (pace.jumpedMs > 0 ? [] : platform.entries()) });
  const kills: Kill[] = [];
  const known = new Set<string>();
  const crashes: Entry[] = [];
  let errors = "";
  let child: ChildProcess | undefined;
  let port = 0;
  let asked = 0;
  let said = 0;
  let done = 0;
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  const alive = (): boolean => child !== undefined && child.exitCode === null && child.signalCode === null;

  async function start(): Promise<number> {
    const from = monotonicMs();
    const settings: Settings = { folder: path.join(folder, "gateway"), platform: platform.url, pace, ...(agent ? { model: model.url } : {}), ...(keepMs === undefined ? {} : { keepMs }), ...(broken === undefined ? {} : { broken }) };
    const { NODE_V8_COVERAGE: _, ...env } = process.env;
    const started = fork(fileURLToPath(new URL("host.ts", import.meta.url)), [JSON.stringify(settings)], { execArgv: ["--expose-gc", "--disable-warning=ExperimentalWarning"], env: { ...env, NODE_COMPILE_CACHE: path.join(folder, "compiled") }, stdio: ["ignore", "pipe", "pipe", "ipc"] });
    child = started;
    started.stdout?.setEncoding("utf8").on("data", (text: string) => { for (const line of text.split("\n")) if (line !== "") crashes.push(JSON.parse(line) as Entry); });
    started.stderr?.setEncoding("utf8").on("data", (text: string) => { errors += text; });
    started.on("message", ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
      const one = waiting.get(id);
      waiting.delete(id);
      if (error === undefined) one?.resolve(result);
      else one?.reject(new Error(error));
    });
    started.on("exit", () => { for (const { reject } of waiting.values()) reject(new Error(`the host is gone\n${errors}`)); waiting.clear(); });
    port = await new Promise<number>((resolve, reject) => { waiting.set(0, { resolve: resolve as (value: unknown) => void, reject }); });
    for (const bot of ["key", "none"]) await platform.control("hook", { bot, url: `http://127.0.0.1:${port}/${bot}` });
    return monotonicMs() - from;
  }
  function ask<T>(op: string, more: object = {}): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const id = ++asked;
      waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
      child?.send({ id, op, ...more }, (error) => { if (error !== null) { waiting.delete(id); reject(error); } });
    });
  }
  const rig: LoadRig = {
    platform, model, kills, ask, start,
    measure: () => ask<Measure>("measure"),
    counts: () => ask<Counts>("counts"),
    now: () => pace.startMs + (monotonicMs() - pace.realMs) * pace.speed + pace.jumpedMs,
    async jump(ms) { await ask("jump", { ms }); pace = { ...pace, jumpedMs: pace.jumpedMs + ms }; },
    async say(messages) {
      const made = messages.map(({ bot, chat, text = "", copies = 1 }): SaidMessage => { const id = `m${++said}`; return { bot, chat, from: `u-${bot}-${chat}`, id, copies, text: `${id} ${text}`.trim(), atMs: rig.now() }; });
      const people = [...new Map(made.filter(({ from }) => !known.has(from)).map(({ bot, from }) => [from, { bot, id: from }])).values()];
      for (const { id } of people) known.add(id);
      if (people.length > 0) await ask("meet", { people });
      await platform.control("say", { messages: made });
      return made;
    },
    async repeat({ bot, copies: _, atMs, ...message }) {
      const answer = await fetch(`http://127.0.0.1:${port}/${bot}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ ...message, sentAt: atMs }) });
      await answer.text();
      return answer.status;
    },
    async open() { return unfinished((await platform.entries()).slice(done)); },
    async settled(ms, everyMs = 10) {
      for (const from = monotonicMs(); ; await pause(everyMs)) {
        if (!alive()) throw new Error(`the host ended while messages were open\n${errors}`);
        const open = await rig.open();
        if (open.length === 0) {
          const counts = await rig.counts();
          if (counts.pending === 0 && [counts.outbox.planned, counts.outbox.sending, counts.outbox.unknown].every((count) => count === 0)) { done = (await platform.entries()).length; return counts; }
        }
        if (monotonicMs() - from > ms) throw new Error(`after ${ms} ms ${open.length} messages were open (${open.slice(0, 5).join(", ")} …), our records: ${JSON.stringify(await rig.counts())}\n${errors.slice(-3000)}`);
      }
    },
    async kill() {
      if (!alive() || child === undefined) return;
      const gone = once(child, "exit");
      const t = monotonicMs();
      child.kill("SIGKILL");
      await gone;
      kills.push({ t, until: monotonicMs() + 50, point: "random" });
    },
    async died(ms) {
      for (const from = monotonicMs(); alive(); await pause(5)) {
        // Taken back in time, or it dies by it after all.
        if ((monotonicMs() - from > ms || (await rig.open()).length === 0) && (await ask("killAfter", { n: 0 }).then(() => true, () => false))) return false;
      }
      const crash = crashes.findLast(({ t }) => t > (kills.at(-1)?.until ?? 0));
      if (crash === undefined) throw new Error(`the host ended, and nobody had ordered it\n${errors}`);
      kills.push({ t: crash.t, until: monotonicMs() + 50, point: String(crash.point) });
      return true;
    },
    async stop() {
      if (child === undefined) return;
      await ask("stop");
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
    async verdict(counts) { return judge(await platform.entries(), await model.entries(), kills, counts); },
    async [Symbol.asyncDispose]() {
      try {
        if (alive() && child !== undefined) { const gone = once(child, "exit"); child.kill("SIGKILL"); await gone; }
        await held[Symbol.asyncDispose]();
      } finally {
        await Promise.all([platform.close(), model.close()]);
      }
      if (errors !== "") console.log(`      the host said:\n${errors.slice(0, 2000)}`);
      rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    },
  };
  await start();
  return rig;
}
