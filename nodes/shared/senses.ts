/** Hearing, seeing, translating and speaking for one msg of a run: each step once, by the model nodes of the form. */
import { BudgetError } from "../../engine/budget.ts";
import type { ClawError } from "../../engine/errors.ts";
import type { Gateway } from "../../engine/gateway.ts";
import { createSenses, type Senses } from "../../engine/senses/senses.ts";
import type { Step } from "../../engine/store/store.ts";
import { modelNode } from "./config.ts";
import type { Host } from "./gateways.ts";
import { shown } from "./input.ts";
import { told } from "./budgets.ts";
import type { FlowMsg, RedNode } from "./red.ts";
import type { Known } from "./run.ts";
import type { RunPayer } from "../../engine/ledger.ts";

/** Config nodes: `ear` hears and speaks, `mind` sees and translates. */
export interface Models { readonly ear?: string | undefined; readonly mind?: string | undefined }

/** Does a step once in the life of the run; without a run each time. */
export type Once = <T>(name: string, act: () => Promise<Step<T>>) => Promise<T>;
export function onceOf(gateway: Gateway, known: Pick<Known, "id"> | undefined, step: string): Once {
  return async (name, act) => {
    if (known !== undefined) return gateway.once(known.id, `${step} ${name}`, act);
    const { data, also = [] } = await act();
    if (also.length > 0) await gateway.store.commit(also);
    return data;
  };
}

export function sensesOf(host: Host, gateway: Gateway, known: Known | undefined, models: Models, once: Once, step: string, payer: RunPayer): Senses {
  return createSenses({
    once, payer, file: gateway.file,
    ear: () => modelNode(host, models.ear).media(),
    mind: () => modelNode(host, models.mind).model(),
    spent(name, usage) { if (known !== undefined) gateway.spent(known.id, `${step} ${name}`, usage); },
    signal: known?.signal ?? new AbortController().signal,
  });
}

/** Tells Catch nodes of what failed while the msg goes on, and the msg itself where nothing was left of a budget. Only when nothing of the node's own work is left to do: who logs an error and goes on working counts as broken. */
export function tellFaults(node: RedNode, faults: readonly ClawError[], msg: FlowMsg): void {
  const over = faults.find((fault) => fault instanceof BudgetError);
  if (over !== undefined) msg.budget = told(over.over);
  for (const fault of faults) node.error(shown(node, fault), msg);
}
