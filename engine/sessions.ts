/** What an agent remembers of a talk: the last turns, read from the store and kept at hand while the talk goes on. */
import type { Turn } from "./models/model.ts";
import type { Change, Store } from "./store/store.ts";

export interface Sessions {
  /** The last turns, at most `limit` and, where `tokens` > 0, about that many tokens; begins with something the user said. */
  history(session: string, limit: number, tokens: number): Promise<readonly Turn[]>;
  /** The changes that add turns; call `added` once they are committed. */
  changes(session: string, run: string, at: number, turns: readonly Turn[], tainted: boolean): Change[];
  added(session: string, turns: readonly Turn[], tainted: boolean): void;
  /** Outside text is in this session. */
  tainted(session: string): Promise<boolean>;
  forget(session: string): Promise<void>;
  /** The user edited the message `ref`, or deleted it (`text` undefined): then what was answered to it goes too. */
  correct(session: string, ref: string, text: string | undefined): Promise<void>;
  /** One run at a time in a session. The root run owns the lock; its sub-runs pass. Resolves to the release. */
  lock(session: string, root: string, signal: AbortSignal): Promise<() => void>;
}

const KEPT_SESSIONS = 1_000;
const KEPT_TURNS = 200;

/** About four characters a token; one for scripts that have no letters between words. */
export function estimateTokens(text: string): number {
  let wide = 0;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x2e80) wide++;
  return Math.ceil((text.length - wide) / 4) + wide;
}
function sizeOf(turn: Turn): number {
  return estimateTokens(turn.text) + (turn.role === "assistant" && turn.calls ? estimateTokens(JSON.stringify(turn.calls)) : 0) + 4;
}

/** The log of turns is only added to; what a user takes back or says anew stands beside it. */
const EDITS = "edits";
function corrected(turns: readonly Turn[], ref: string, text: string | undefined): Turn[] {
  const at = turns.findIndex((turn) => turn.role === "user" && turn.ref === ref);
  const turn = turns[at];
  if (turn?.role !== "user") return [...turns];
  if (text !== undefined) return turns.with(at, { ...turn, text });
  let end = at + 1;
  while (end < turns.length && turns[end]?.role !== "user") end++;
  return turns.toSpliced(at, end - at);
}

export function createSessions(store: Store): Sessions {
  const kept = new Map<string, Turn[]>();
  const taints = new Map<string, boolean>();
  const locks = new Map<string, { root: string; depth: number; waiting: (() => void)[] }>();

  async function turnsOf(session: string): Promise<Turn[]> {
    let turns = kept.get(session);
    if (turns === undefined) {
      turns = (await store.turns(session, KEPT_TURNS)).map((row) => row.turn);
      for (const [key, value] of await store.list(EDITS, `${session}\n`)) turns = corrected(turns, key.slice(session.length + 1), (value as { text?: string }).text);
    }
    else kept.delete(session);
    kept.set(session, turns);
    if (kept.size > KEPT_SESSIONS) kept.delete(kept.keys().next().value as string);
    return turns;
  }

  return {
    async history(session, limit, tokens) {
      const turns = await turnsOf(session);
      let from = Math.max(0, turns.length - limit);
      if (tokens > 0) {
        let used = 0;
        let first = turns.length;
        while (first > from) {
          used += sizeOf(turns[first - 1] as Turn);
          if (used > tokens) break;
          first--;
        }
        from = first;
      }
      // A call and its result are never parted, and a talk begins with the user.
      while (from < turns.length && turns[from]?.role !== "user") from++;
      return turns.slice(from);
    },
    changes(session, run, at, turns, tainted) {
      const changes: Change[] = [{ do: "turns", session, run, at, turns }];
      if (tainted && taints.get(session) !== true) changes.push({ do: "set", space: "tainted", key: session, value: true });
      return changes;
    },
    added(session, turns, tainted) {
      const list = kept.get(session);
      if (list !== undefined) {
        list.push(...turns);
        if (list.length > KEPT_TURNS * 2) list.splice(0, list.length - KEPT_TURNS);
      }
      if (tainted) taints.set(session, true);
    },
    async tainted(session) {
      let known = taints.get(session);
      if (known === undefined) {
        known = (await store.get("tainted", session)) === true;
        if (taints.size >= KEPT_SESSIONS) taints.delete(taints.keys().next().value as string);
        taints.set(session, known);
      }
      return known;
    },
    async forget(session) {
      await store.commit([{ do: "forget-turns", session }, { do: "set", space: "tainted", key: session, value: undefined }]);
      kept.delete(session);
      taints.delete(session);
    },
    async correct(session, ref, text) {
      const turns = await turnsOf(session);
      if (!turns.some((turn) => turn.role === "user" && turn.ref === ref)) return;
      await store.commit([{ do: "set", space: EDITS, key: `${session}\n${ref}`, value: text === undefined ? {} : { text } }]);
      kept.set(session, corrected(kept.get(session) ?? turns, ref, text));
    },
    async lock(session, root, signal) {
      for (;;) {
        signal.throwIfAborted();
        const held = locks.get(session);
        if (held === undefined || held.root === root) {
          const own = held ?? { root, depth: 0, waiting: [] };
          own.depth++;
          locks.set(session, own);
          return () => {
            if (--own.depth > 0) return;
            locks.delete(session);
            for (const wake of own.waiting) wake();
          };
        }
        await new Promise<void>((resolve) => {
          held.waiting.push(resolve);
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
      }
    },
  };
}
