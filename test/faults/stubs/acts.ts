/** What a stub does to the process that talks to it, at a moment that it alone knows: kills it, or holds its answer back while the test deploys. */
import type { Log } from "./log.ts";

/** When `on` happens for the n-th time from now: kills `pid`, or, without one, holds the answer back until the order is taken away. */
interface Act { readonly on: string; n: number; readonly pid?: number; readonly point: string }
export interface Acts {
  /** Puts a new order in the place of the old one; none where `on` is left out. */
  order(body: Readonly<Record<string, unknown>>): void;
  /** True: the process that waits for our answer is dead, so it gets none. */
  stopped(on: string, id: string): Promise<boolean>;
}

export function createActs(log: Log): Acts {
  let act: Act | undefined;
  let letGo: () => void = () => undefined;
  return {
    order(body) {
      act = body.on === undefined ? undefined : (body as unknown as Act);
      letGo();
    },
    async stopped(on, id) {
      if (act?.on !== on || --act.n > 0) return false;
      const { pid, point } = act;
      act = undefined;
      if (pid === undefined) {
        log("held", { point, id });
        await new Promise<void>((resolve) => { letGo = resolve; });
        return false;
      }
      log("kill", { point, id });
      process.kill(pid, "SIGKILL");
      return true;
    },
  };
}
