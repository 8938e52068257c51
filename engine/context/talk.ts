/** What an agent begins with: the history of its session, brought within limits, and the tools that reach beyond it. */
import type { AgentEvent } from "../agent.ts";
import type { Gateway } from "../gateway.ts";
import { bookOf, type MemoryScope, memoryTools } from "../memory.ts";
import type { Message } from "../message.ts";
import type { Model, Turn } from "../models/model.ts";
import type { Step } from "../store/store.ts";
import type { Tool } from "../tool.ts";
import type { Limits } from "./compact.ts";
import { historyTool } from "./history-tool.ts";

export interface TalkSettings extends Limits {
  /** What no longer fits is summarised by the model; else it is left out. */
  readonly summarise: boolean;
  /** Whose book it remembers in; undefined: none. */
  readonly memory: MemoryScope | undefined;
}
export interface TalkDeps {
  readonly model: Model;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  once<T>(step: string, act: () => Promise<Step<T>>): Promise<T>;
  /** From the store, never from msg: whose memory it is. */
  readonly message: Message;
  on(event: AgentEvent): void;
}
export interface Talk { readonly history: readonly Turn[]; readonly tainted: boolean; readonly tools: readonly Tool[] }

/** To be called with the session's lock held. Throws StoreError, and what the signal was aborted with. */
export async function openTalk(gateway: Pick<Gateway, "sessions" | "compactor" | "memory">, session: string, { turns, tokens, summarise, memory }: TalkSettings, deps: TalkDeps): Promise<Talk> {
  const { sessions, compactor } = gateway;
  if (summarise) {
    await compactor.compact(session, { turns, tokens }, {
      ...deps,
      tell(what) {
        if ("summary" in what) return deps.on({ type: "summary", turns: what.summary.turns });
        deps.on({ type: "summary", turns: 0, error: { code: what.error.code, text: what.error.message } });
      },
    });
  }
  const [history, tainted] = await Promise.all([sessions.history(session, turns, tokens), sessions.tainted(session)]);
  const outside = turns > 0 && await sessions.reachesBack(session, history.length);
  return { history, tainted, tools: [...(outside ? [historyTool(sessions, session)] : []), ...(memory === undefined ? [] : memoryTools(gateway.memory, memory, bookOf(memory, deps.message)))] };
}
