/** What came in waits here until it is on disk: each channel in its order, all channels side by side. Discord confirms nothing, so what waits is ours alone. */
import type { ChannelContext } from "../channel.ts";
import { asClawError } from "../../errors.ts";
import { backoffMs } from "../../life.ts";
import type { Message } from "../../message.ts";

/** Tasks that may wait in all lanes together. What is beyond is read again from Discord later. */
const MOST = 2_000;

export interface Lanes {
  /** Runs `task` after those before it in its lane. `later`: there is no room, `instead` runs once the lane is through. `none`: something of that name will run then already. */
  push(lane: string, task: () => Promise<void>, instead?: { readonly name: string; act(): void }): "queued" | "later" | "none";
  /** Saves one message, however long that takes. False: the account closed before. */
  save(message: Message): Promise<boolean>;
  /** Waits; resolves early when the account closes. */
  pause(ms: number): Promise<void>;
  /** Resolves when all that is under way has ended. */
  settled(): Promise<void>;
}

export function createLanes(context: Pick<ChannelContext, "receive" | "clock" | "status" | "log">, signal: AbortSignal): Lanes {
  const { clock } = context;
  const lanes = new Map<string, { readonly tasks: (() => Promise<void>)[]; readonly idle: Map<string, () => void> }>();
  const running = new Set<Promise<void>>();
  let waiting = 0;
  let stuck = 0;

  async function drain(name: string): Promise<void> {
    const lane = lanes.get(name);
    for (let task = lane?.tasks[0]; lane !== undefined && task !== undefined && !signal.aborted; task = lane.tasks[0]) {
      await task().catch((error: Error) => context.log("warn", `MSG_001: an event of Discord is left out: ${error.message}`));
      lane.tasks.shift();
      waiting -= 1;
    }
    lanes.delete(name);
    if (!signal.aborted) for (const act of lane?.idle.values() ?? []) act();
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(ms, done);
      signal.addEventListener("abort", done, { once: true });
      function done(): void {
        cancel();
        signal.removeEventListener("abort", done);
        resolve();
      }
      if (signal.aborted) done();
    });
  }

  return {
    push(name, task, instead) {
      const lane = lanes.get(name);
      if (lane === undefined) {
        lanes.set(name, { tasks: [task], idle: new Map() });
        waiting += 1;
        const run: Promise<void> = drain(name).finally(() => running.delete(run));
        running.add(run);
        return "queued";
      }
      // One that is short of room stays so until it is through: nothing may overtake what was left out.
      if (waiting >= MOST || lane.idle.size > 0) {
        if (instead === undefined || lane.idle.has(instead.name)) return "none";
        lane.idle.set(instead.name, () => instead.act());
        return "later";
      }
      lane.tasks.push(task);
      waiting += 1;
      return "queued";
    },
    async save(message) {
      for (let tries = 1; !signal.aborted; tries++) {
        try {
          await context.receive(message);
          if (tries > 1) {
            stuck -= 1;
            if (stuck === 0 && !signal.aborted) context.status("connected");
          }
          return true;
        } catch (thrown) {
          if (signal.aborted) return false;
          const error = asClawError(thrown, "STORE_001", "later");
          if (tries === 1) stuck += 1;
          context.status("error", error);
          await pause(error.afterMs ?? backoffMs(tries, (clock.now() % 1000) / 1000));
        }
      }
      return false;
    },
    pause,
    async settled() { await Promise.all([...running]); },
  };
}
