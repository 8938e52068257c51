/** A run's turn in a session: nobody else answers there meanwhile, but while the run waits for a person. */
import type { Sessions } from "./sessions.ts";

export interface SessionTurn {
  /** Others may have their turn until `act` has ended; then this run waits for its own again. */
  aside<T>(act: () => Promise<T>): Promise<T>;
  end(): void;
}

/** Resolves when it is this run's turn. `root`: the run that sub-runs belong to. */
export async function takeTurn(sessions: Sessions, session: string, root: string, signal: AbortSignal): Promise<SessionTurn> {
  let release: (() => void) | undefined = await sessions.lock(session, root, signal);
  let away = 0;
  let ended = false;
  let back: Promise<void> | undefined;
  const letGo = (): void => { release?.(); release = undefined; };
  async function comeBack(): Promise<void> {
    release = await sessions.lock(session, root, signal);
    if (ended) letGo();
  }
  return {
    async aside(act) {
      if (away++ === 0) { await back; letGo(); back = undefined; }
      try {
        return await act();
      } finally {
        if (--away === 0 && !ended) back = comeBack();
        await back;
      }
    },
    end() { ended = true; letGo(); },
  };
}
