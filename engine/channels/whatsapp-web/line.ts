/** Messages on their way to the store, in order. Baileys has confirmed them already, so what cannot be saved is kept here and offered again. */
import type { ChannelContext } from "../channel.ts";
import { asClawError } from "../../errors.ts";
import type { Message } from "../../message.ts";

const AGAIN_MS = 1_000;

export interface Line {
  push(message: Message): void;
  /** Takes no more, and offers what waits once more; resolves to how many could not be saved. */
  close(): Promise<number>;
}

export function createLine({ receive, clock, status }: Pick<ChannelContext, "receive" | "clock" | "status">): Line {
  const waiting: Message[] = [];
  let closed = false;
  let running: Promise<void> | undefined;
  let wake: (() => void) | undefined;

  async function run(): Promise<void> {
    let troubled = false;
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      try {
        await receive(first);
        waiting.shift();
        if (troubled && !closed) { troubled = false; status("connected"); }
      } catch (thrown) {
        const error = asClawError(thrown, "STORE_001", "later");
        if (closed) break;
        troubled = true;
        status("error", error);
        await new Promise<void>((resolve) => {
          const cancel = clock.after(error.afterMs ?? AGAIN_MS, resolve);
          wake = () => { cancel(); resolve(); };
        });
        wake = undefined;
      }
    }
    running = undefined;
  }
  return {
    push(message) {
      if (closed) return;
      waiting.push(message);
      running ??= run();
    },
    async close() {
      closed = true;
      wake?.();
      await running;
      return waiting.length;
    },
  };
}
