/** Budgets of a form, and what a node tells when one is used up. */
import { BudgetError, type Budgets, dollars, type Standing } from "../../engine/budget.ts";
import type { Act } from "../../engine/steps.ts";

export type Limit = number | string | undefined;
/** Tokens and US dollars as a form has them; an empty field or 0 sets no limit. */
function amount(tokens: Limit, usd: Limit): { readonly tokens?: number; readonly micros?: number } | undefined {
  const [most, micros] = [Math.floor(Number(tokens)), Math.round(Number(usd) * 1e6)];
  const found = { ...(most > 0 ? { tokens: most } : {}), ...(micros > 0 ? { micros } : {}) };
  return Object.keys(found).length === 0 ? undefined : found;
}
/** By the name of the limit: tokens, US dollars. */
export function budgetsOf(limits: Readonly<Partial<Record<keyof Budgets, readonly [tokens: Limit, usd: Limit]>>>): Budgets {
  return Object.fromEntries(Object.entries(limits).flatMap(([name, [tokens, usd]]) => { const found = amount(tokens, usd); return found === undefined ? [] : [[name, found]]; }));
}

/** A limit as a flow reads it: tokens, or US dollars. `until`: Unix milliseconds. */
export interface BudgetTold { readonly limit: Standing["limit"]; readonly unit: "tokens" | "usd"; readonly used: number; readonly max: number; readonly until?: number }
export function told({ limit, unit, used, max, until }: Standing): BudgetTold {
  const shown = (value: number): number => (unit === "tokens" ? value : Number(dollars(value)));
  return { limit, unit: unit === "tokens" ? "tokens" : "usd", used: shown(used), max: shown(max), ...(until === undefined ? {} : { until }) };
}

interface Refused { readonly overBudget: Standing }
const isRefused = (data: unknown): data is Refused => typeof data === "object" && data !== null && "overBudget" in data;
type Once = <T>(step: string, act: Act<T>, unknown?: () => T) => Promise<T>;
/** Where the flow says so in the chat, being over budget is a result like any other: a second pass comes to the same. */
export function refusable(once: Once): Once {
  return async <T>(step: string, act: Act<T>, unknown?: () => T): Promise<T> => {
    const data = await once<T | Refused>(step, async (begin) => {
      try {
        return await act(begin);
      } catch (error) {
        if (error instanceof BudgetError) return { data: { overBudget: error.over } };
        throw error;
      }
    }, unknown);
    if (isRefused(data)) throw new BudgetError(data.overBudget);
    return data;
  };
}
