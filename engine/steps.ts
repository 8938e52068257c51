/** Steps of runs: each is done once, and named so that a replay finds it again. */
import type { Clock } from "./clock.ts";
import type { Inbox, Run } from "./inbox.ts";
import { begun, reduce } from "./life.ts";
import { reached } from "./points.ts";
import type { Step, Store } from "./store/store.ts";

export type Act<T> = (begin: () => Promise<void>) => Promise<Step<T>>;
export interface Steps {
  /** Names the next step of this node in this run. Each pass counts anew, so that what two passes reach has one name. */
  step(run: string, node: string, parent: string, pass?: number): string;
  /**
   * Does a step once in the life of a run; a replay gets what the journal has. An act that is rather not done than twice calls `begin` first: that it has begun is on disk then.
   * When it began and never ended, `unknown` is its result, and `act` is not asked.
   */
  once<T>(run: string, step: string, act: Act<T>, unknown?: () => T): Promise<T>;
  /** Joins what is under way for this step, without a record of its own: its parts have theirs. */
  join<T>(run: string, step: string, act: () => Promise<T>): Promise<T>;
}

export function createSteps(store: Store, clock: Clock, inbox: () => Inbox): Steps {
  const flights = new Map<string, { readonly work: Promise<unknown>; readonly live: Run | undefined }>();

  /** Of a run that is over here the journal is read from disk: late output of its flow repeats nothing either. */
  async function once<T>(run: string, step: string, act: Act<T>, unknown?: () => T): Promise<T> {
    const isStale = flights.get(`${run}\n${step}`) !== undefined && flights.get(`${run}\n${step}`)?.live !== inbox().run(run);
    return join(run, step, async () => {
      const live = inbox().run(run);
      // What the broken-off way came to may be on disk only since this one has read its journal.
      if (isStale) for (const entry of await store.journal(run)) live?.journal.set(entry.step, entry.data);
      const journal = live?.journal ?? new Map((await store.journal(run)).map((entry) => [entry.step, entry.data]));
      const state = journal.has(step) ? "done" : journal.has(begun(step)) ? "begun" : undefined;
      const ask = (once: boolean) => reduce(state === undefined ? {} : { step: state }, { type: "asked", run, step, once, now: clock.now() });
      const asked = ask(false);
      if (asked.act.type === "use") return journal.get(step) as T;
      const begin = async (): Promise<void> => {
        await store.commit(ask(true).write);
        journal.set(begun(step), true);
      };
      const { data, also, saving } = asked.act.type === "tell-unknown" && unknown !== undefined ? { data: unknown() } as Step<T> : await act(begin);
      FAULT: await reached("before-journal", run);
      const acted = reduce({}, { type: "acted", run, entry: { step, at: clock.now(), data }, ...(also === undefined ? {} : { also }), behind: saving !== undefined });
      const saved = store.commit(acted.write);
      if (acted.wait) {
        await saved;
        FAULT: await reached("after-journal", run);
      } else saved.catch(() => { /* Whoever asked for it hears of it. */ });
      saving?.(saved);
      journal.set(step, data);
      if (live !== undefined) live.touchedAt = clock.monotonic();
      return data;
    });
  }
  async function join<T>(run: string, step: string, act: () => Promise<T>): Promise<T> {
    const key = `${run}\n${step}`;
    for (let flight = flights.get(key); flight !== undefined; flight = flights.get(key)) {
      if (flight.live === inbox().run(run)) return flight.work as Promise<T>;
      // It belongs to a way through the flow that was broken off: what that came to is in the journal, or did not happen.
      await flight.work.catch(() => undefined);
    }
    const work = act();
    flights.set(key, { work, live: inbox().run(run) });
    try {
      return await work;
    } finally {
      flights.delete(key);
    }
  }

  return {
    once, join,
    step(run, node, parent, pass) {
      const live = inbox().run(run);
      const key = `${pass ?? live?.pass ?? 0}\n${parent}\n${node}`;
      const n = live?.counters.get(key) ?? 0;
      live?.counters.set(key, n + 1);
      return `${parent}/${node}${n === 0 ? "" : `#${n}`}`;
    },
  };
}
