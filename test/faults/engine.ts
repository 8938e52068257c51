/** The engine alone on a real store, with a clock that a test moves: what needs weeks outside takes milliseconds here. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Channel } from "../../engine/channels/channel.ts";
import { createGateway, type Gateway, type GatewayAccount, type GatewayEvents, type GatewayLimits } from "../../engine/gateway.ts";
import { createFetch } from "../../engine/http.ts";
import type { Run } from "../../engine/inbox.ts";
import type { Message } from "../../engine/message.ts";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import { settle } from "../kit/scripted.ts";
import { readHeld, watchStore } from "./conserve.ts";
import { fakeClock } from "../schedule/fake-clock.ts";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
/** A Monday in June: no change of clocks is near. */
export const NOON = Date.UTC(2026, 5, 1, 12);

export interface EngineOptions {
  readonly accounts?: readonly { readonly account: Partial<GatewayAccount> & { readonly id: string }; readonly channel: Channel }[];
  readonly start?: number;
  readonly limits?: Partial<GatewayLimits>;
  /** What the flow does with a run; ends it at once where nothing is said. */
  readonly flow?: (run: Run, gateway: Gateway) => void;
  /** Which messages the flow takes; all of them where nothing is said. */
  readonly takes?: (message: Message) => boolean;
  /** Whether there is a flow at all. */
  readonly deployed?: () => boolean;
}
export interface EngineRig extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly time: ReturnType<typeof fakeClock>;
  /** Every run that began, in all processes. */
  readonly runs: Run[];
  /** Texts of their messages. */
  texts(): string[];
  /** Every dead letter and dead delivery. */
  readonly dead: GatewayEvents["dead"][0][];
  /** What the gateway itself said. */
  readonly notices: string[];
  /** Lets time go by, in steps short enough for what waits for the disk in between, or, with `breatheMs` of real time each, for the network. */
  pass(ms: number, breatheMs?: number): Promise<void>;
  /** The machine sleeps so long: time goes by, and timers do not see it. */
  sleep(ms: number): void;
  /** The process stands still so long, as under SIGSTOP: time goes by for all clocks, and no timer comes in it. */
  stand(ms: number): void;
  /** The process ends (in order, or as a crash does) and the next one opens the same store. */
  restart(how?: "order" | "crash"): Promise<void>;
  /** Received = done + dead + pending. */
  conserve(): Promise<{ readonly received: number; readonly pending: number; readonly done: number; readonly dead: number }>;
}

export async function startEngine(options: EngineOptions = {}): Promise<EngineRig> {
  const { accounts = [], limits = {}, takes = () => true, deployed = () => true, flow = (run, gateway) => gateway.settle(run.id) } = options;
  const folder = mkdtempSync(path.join(tmpdir(), "clawflow-engine-"));
  const time = fakeClock(options.start ?? NOON);
  let asleep = 0;
  let stood = 0;
  const { monotonic } = time.clock;
  Object.assign(time.clock, { monotonic: () => monotonic() + stood, elapsed: () => monotonic() + stood + asleep });
  const fetch = createFetch();
  const held = watchStore(path.join(folder, "store"));
  const runs: Run[] = [];
  const dead: EngineRig["dead"] = [];
  const notices: string[] = [];
  let gateway: Gateway;

  async function open(): Promise<void> {
    const store = await openSqliteStore(path.join(folder, "store"), { clock: time.clock });
    assert.deepEqual(store.problems, []);
    const made = await createGateway({
      store, clock: time.clock, random: () => 0.5, limits: () => limits, log: () => undefined, fetchFor: async () => fetch as never,
      spool: { save: () => Promise.reject(new Error("no files here")), open: async () => undefined, remove: async () => undefined, sweep: async () => 0 },
      texts: { claimed: "claimed", notice: ({ what, code }) => { notices.push(`${what} ${code}`); return `${what} lost: ${code}`; } },
    });
    gateway = made;
    made.events.on("dead", (one) => dead.push(one));
    made.inbox.add({ id: "in", gatherMs: 0, covers: deployed, matches: (one) => deployed() && takes(one), emit: (run) => { runs.push(run); flow(run, made); } });
    await made.setAccounts(accounts.map(({ account, channel }) => ({ account: { channel: channel.id, name: account.id, settings: {}, policy: { policy: "open", allow: [] }, ...account }, channel })));
    await settle();
    made.start();
    await settle();
  }
  await open();
  const rig: EngineRig = {
    get gateway() { return gateway; },
    time, runs, dead, notices,
    texts: () => runs.map(({ messages }) => messages.map(({ text }) => text).join("+")),
    async pass(ms, breatheMs = 0) {
      for (let left = ms; left > 0; left -= 5_000) {
        await time.pass(Math.min(left, 5_000));
        await settle(8);
        if (breatheMs > 0) await new Promise((resolve) => { setTimeout(resolve, breatheMs); });
      }
    },
    sleep(ms) {
      asleep += ms;
      time.jump(time.clock.now() + ms);
    },
    stand(ms) {
      stood += ms;
      time.jump(time.clock.now() + ms);
    },
    async restart(how = "order") {
      // After a crash the next process finds no word about the end of the last one.
      if (how === "crash") gateway.inbox.rest = async () => undefined;
      gateway.stop();
      await gateway.close();
      await open();
    },
    async conserve() {
      const { received, pending, done, dead: lost } = await gateway.store.counts();
      const { keys: _, ...rows } = readHeld(path.join(folder, "store")) ?? { received: 0, pending: 0, done: 0, dead: 0, keys: undefined };
      assert.deepEqual({ received, pending, done, dead: lost }, rows);
      assert.equal(received, pending + done + lost, "received = done + dead + pending");
      return rows;
    },
    async [Symbol.asyncDispose]() {
      gateway.stop();
      await gateway.close();
      await fetch.destroy();
      await held[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return rig;
}
