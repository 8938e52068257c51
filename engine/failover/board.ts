/** The standings of all keys of this process: agents that share a model share what is known of it. */
import { FRESH, nextStanding, type Standing, type StandingEvent } from "./standing.ts";

export interface Board {
  /** `id`: of one key of one model with its settings, so that changed settings begin anew. */
  get(id: string): Standing;
  tell(id: string, event: StandingEvent): void;
  /** Somebody mended it, or proved that it works. */
  renew(id: string): void;
  /** Of the ids that begin with `owner`, only these are still there. */
  keep(owner: string, ids: readonly string[]): void;
  /** Calls `act` at every change; the returned function ends that. */
  watch(act: () => void): () => void;
}

export function createBoard(): Board {
  const standings = new Map<string, Standing>();
  const watchers = new Set<() => void>();
  const set = (id: string, next: Standing): void => {
    if (next === FRESH) standings.delete(id);
    else standings.set(id, next);
    for (const act of [...watchers]) act();
  };
  return {
    get: (id) => standings.get(id) ?? FRESH,
    tell(id, event) {
      const now = standings.get(id) ?? FRESH;
      const next = nextStanding(now, event);
      if (next !== now) set(id, next);
    },
    renew: (id) => set(id, FRESH),
    keep(owner, ids) {
      for (const id of standings.keys()) if (id.startsWith(owner) && !ids.includes(id)) standings.delete(id);
    },
    watch(act) {
      watchers.add(act);
      return () => { watchers.delete(act); };
    },
  };
}
