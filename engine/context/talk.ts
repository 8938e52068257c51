/** What an agent begins with: the history of its session, brought within limits, and the tools that reach beyond it. */
import type { AgentEvent } from "../agent.ts";
import { asClawError } from "../errors.ts";
import type { Gateway } from "../gateway.ts";
import type { Model, Turn } from "../models/model.ts";
import type { Step } from "../store/store.ts";
import type { Tool } from "../tool.ts";
import type { Limits } from "./compact.ts";

export interface TalkSettings extends Limits {
  /** What no longer fits is summarised by the model; else it is left out. */
  readonly summarise: boolean;
}
export interface TalkDeps {
  readonly model: Model;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  once<T>(step: string, act: () => Promise<Step<T>>): Promise<T>;
  on(event: AgentEvent): void;
}
export interface Talk { readonly history: readonly Turn[]; readonly tainted: boolean; readonly tools: readonly Tool[] }

/** To be called with the session's lock held. Throws StoreError, and what the signal was aborted with. */
export async function openTalk(gateway: Pick<Gateway, "sessions" | "compactor">, session: string, { turns, tokens, summarise }: TalkSettings, deps: TalkDeps): Promise<Talk> {
  const { sessions, compactor } = gateway;
  if (summarise) {
    await compactor.compact(session, { turns, tokens }, {
      ...deps,
      tell(what) {
        if ("summary" in what) return deps.on({ type: "summary", turns: what.summary.turns });
        const { code, message } = asClawError(what.error, "MODEL_007");
        deps.on({ type: "summary", turns: 0, error: { code, text: message } });
      },
    });
  }
  const [history, tainted] = await Promise.all([sessions.history(session, turns, tokens), sessions.tainted(session)]);
  return { history, tainted, tools: [] };
}
