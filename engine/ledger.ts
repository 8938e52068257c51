/**
 * The ledger: one row for each call of a model, and the sums that budgets are held against.
 *
 * A call is reserved in memory and in its row before it begins. What it did use replaces the row in the commit that keeps the reply, so it is neither
 * lost nor counted twice. A row that nobody came back to, after a crash or a cut connection, goes on counting with its reserve.
 */
import { type Amount, type Budgets, BudgetError, believed, hold, nearBudget, overBudget, settle, type Span, spanOf, type Standing, standings, type Subject } from "./budget.ts";
import type { Clock } from "./clock.ts";
import { frameTokens, turnsTokens } from "./context/estimate.ts";
import { createMeters, MARKS, type Counted, type MeasuredPlace } from "./ledger/meters.ts";
import type { Count } from "./metrics.ts";
import type { Bill, Model, ModelRequest, Payer, Usage, WorkBill, Worker } from "./models/model.ts";
import { costOf, type Work, workCost } from "./models/prices.ts";
import type { Change, Store, UsageRow, UsageSum } from "./store/store.ts";

/** A limit that came near; told once in its span. `mark` is to be committed with what is told. */
export interface Warning extends Standing { readonly subject: Subject; readonly key: string; readonly mark: Change }
export interface LedgerOptions {
  readonly store: Pick<Store, "commit" | "usage" | "lastUsage" | "list">;
  readonly clock: Clock;
  /** Where days begin, and the limits for everybody; asked each time. */
  zone(): string;
  budgets(): Budgets;
  /** Tokens of this model for one estimated, as it was learned. */
  ratio?(model: Model): number;
  readonly count?: Count;
  /** Commits the mark. */
  warned?(warning: Warning): void;
  log(text: string): void;
}
/** One run of one agent, whose calls are paid for. */
export interface Account {
  readonly subject: Subject;
  /** When its message came: no call of the run is older. */
  readonly since: number;
  /** The agent's own limits. */
  readonly budgets: Budgets;
  /** Hears of each warning that a call of this run brought about. */
  near?(warning: Warning): void;
}
export interface RunPayer extends Payer {
  /** What was booked since the last time, to be committed with what the calls came to. */
  changes(): readonly Change[];
  /** Commits what nobody took. */
  close(): void;
}
/** Whose usage is asked for; a field that is left out is not looked at. `budgets`: limits of the agent. */
export interface UsageScope extends Partial<Pick<Subject, "session" | "channel" | "account" | "person" | "agent">> { readonly budgets?: Budgets }
/** `session`: of this talk from its beginning. */
export interface UsageReport { readonly today: UsageSum; readonly month: UsageSum; readonly session?: UsageSum; readonly limits: readonly Standing[] }
export interface Ledger {
  payer(account: Account): RunPayer;
  /** Today and this month in the zone of the gateway, and how the limits stand. */
  usage(scope: UsageScope): Promise<UsageReport>;
  /** Removes the marks of warnings that nobody needs any more. */
  prune(): Promise<void>;
}

/** Where neither the agent nor the wire sets a length: few answers are longer. */
const USUAL_OUTPUT = 4_096;
/** A call that cost more is a mistake in a price. */
const MOST_MICROS = 1e12;
/** What models used is kept so long: a year, and the month a bill is written in. */
export const USAGE_MS = 396 * 86_400_000;
/** Longer than any day or month: what is younger is never removed, however little room there is, or budgets would forget what was spent. */
export const USAGE_LEAST_MS = 40 * 86_400_000;
const NOTHING: Amount = { tokens: 0, micros: 0 };

/** What a call used, or may use. */
type Spent = Pick<UsageRow, "input" | "output" | "cached" | "micros" | "work">;
/** A call under way: it ends with what it used, with nothing, or with what was reserved. */
interface Call { paid(spent: Spent, exact: boolean): void; broken(unused: boolean): void }

/** What a call may use: its input by estimate, and the longest answer it may give. `ratio`: tokens of this model for one estimated; `usual`: the length its wire asks for where the request sets none. */
export function reserveOf(request: ModelRequest, ratio = 1, usual = USUAL_OUTPUT): Usage {
  return { input: Math.ceil((frameTokens(request) + turnsTokens(request.turns)) * Math.max(1, ratio)), output: request.maxTokens ?? usual };
}
/** Micros, or null where the price is not known. */
const plausible = (cost = Number.NaN): number | null => (Number.isSafeInteger(cost) && cost >= 0 && cost <= MOST_MICROS ? cost : null);
const spentBy = ({ price }: Model, usage: Usage): Spent => ({ input: usage.input, output: usage.output, cached: usage.cachedInput ?? 0, micros: plausible(price === undefined ? undefined : costOf(price, usage)) });
/** Of several things that can be counted the one that is paid stands in the row. */
function spentOn({ price }: Worker, { size, tokens, ...work }: Work): Spent {
  const unit = price !== undefined && "per" in price ? ({ minute: "seconds", "million characters": "characters", picture: "pictures" } as const)[price.per] : (["pictures", "characters", "seconds"] as const).find((one) => work[one] !== undefined);
  const amount = unit === undefined ? undefined : work[unit];
  return {
    input: tokens?.input ?? 0, output: tokens?.output ?? 0, cached: tokens?.cachedInput ?? 0, micros: plausible(price === undefined ? undefined : workCost(price, { size, tokens, ...work } as Work)),
    ...(unit === undefined || amount === undefined ? {} : { work: { unit, amount: Math.ceil(amount * 1_000) / 1_000 } }),
  };
}
const amountOf = ({ input, output, micros }: Spent): Amount => ({ tokens: input + output, micros: micros ?? 0 });

export async function createLedger({ store, clock, zone, budgets, ratio, count, warned, log }: LedgerOptions): Promise<Ledger> {
  const meters = createMeters({ store, clock, zone });
  let last = await store.lastUsage();
  const save = (changes: readonly Change[]): void => { store.commit(changes).catch((error: Error) => log(`usage: ${error.message}`)); };
  /** Marks of spans that are over; a talk's as long as its usage is kept. */
  async function prune(): Promise<void> {
    const isOld = (key: string, at: unknown): boolean => Number(at) < clock.now() - (key.startsWith('["session"') ? USAGE_MS : USAGE_LEAST_MS);
    const old = (await store.list(MARKS, "")).filter(([key, at]) => isOld(key, at));
    if (old.length > 0) save(old.map(([key]): Change => ({ do: "set", space: MARKS, key, value: undefined })));
  }
  await prune();

  function tellNear({ subject, near }: Account, measured: readonly MeasuredPlace[]): void {
    for (const { standing, of } of nearBudget(measured)) {
      const key = `${(of as MeasuredPlace).key}\n${standing.unit}`;
      const warning: Warning = { ...standing, subject, key, mark: { do: "set", space: MARKS, key, value: clock.now() } };
      count?.("clawflow_budget_warnings_total", { what: standing.limit });
      if (warned === undefined) save([warning.mark]); else warned(warning);
      near?.(warning);
    }
  }
  /** Throws BudgetError where nothing is left; else what the call may use is held from here on. */
  function reserve(measured: readonly MeasuredPlace[], begin: () => Counted, amount: Amount): Counted {
    const over = overBudget(measured);
    if (over !== undefined) {
      count?.("clawflow_budget_refusals_total", { what: over.limit });
      throw new BudgetError(over);
    }
    const counted = begin();
    hold(counted.meters, amount);
    return counted;
  }
  function payer(account: Account): RunPayer {
    let booked: Change[] = [];
    const limits = (): Budgets => ({ ...budgets(), ...account.budgets });
    async function open({ id, provider }: Worker, most: Spent): Promise<Call> {
      const at = clock.now();
      const amount = amountOf(most);
      const { counted, n, limited } = await meters.with(meters.places({ ...account.subject, since: account.since }, at), (start, measured) => {
        const limited = measured(limits());
        return { counted: reserve(limited, start, amount), n: ++last, limited: limited.length > 0 };
      });
      const end = (real: Amount): void => {
        settle(counted.meters, amount, real);
        tellNear(account, counted.measured(limits()));
        counted.end();
      };
      const rowOf = (spent: Spent, exact: boolean): UsageRow => ({ ...account.subject, at, provider, model: id, ...spent, exact });
      const saved = store.commit([{ do: "usage", n, row: rowOf(most, false) }]);
      // Without a limit nothing depends on the row, so the call needs not wait for the disk.
      if (limited) await saved.catch((error: unknown) => { end(NOTHING); throw error; });
      else saved.catch((error: Error) => log(`usage: ${error.message}`));
      return {
        paid(spent, exact) {
          if (spent.micros === null) count?.("clawflow_model_unpriced_total", { provider });
          else count?.("clawflow_model_cost_microdollars_total", { provider }, spent.micros);
          booked.push({ do: "usage", n, row: rowOf(spent, exact) });
          end(amountOf(spent));
        },
        broken(unused) {
          if (unused) save([{ do: "usage", n, row: undefined }]);
          end(unused ? NOTHING : amount);
        },
      };
    }
    async function begin(model: Model, request: ModelRequest): Promise<Bill> {
      const estimate = reserveOf(request, ratio?.(model), model.maxTokens);
      const call = await open(model, spentBy(model, estimate));
      return {
        broken: call.broken,
        paid(said) {
          const { usage, exact } = believed(said, estimate);
          call.paid(spentBy(model, usage), exact);
          return usage;
        },
      };
    }
    async function beginWork(model: Worker, most: Work): Promise<WorkBill> {
      const call = await open(model, spentOn(model, most));
      return { broken: call.broken, paid: (work, exact) => call.paid(spentOn(model, work), exact) };
    }
    const changes = (): readonly Change[] => { const taken = booked; booked = []; return taken; };
    return { begin, beginWork, changes, close() { const rest = changes(); if (rest.length > 0) save(rest); } };
  }

  async function usage({ budgets: own = {}, ...scope }: UsageScope): Promise<UsageReport> {
    const { session, ...where } = scope;
    const now = clock.now();
    const sum = async (span: Span, of: UsageScope): Promise<UsageSum> => (await store.usage({ ...span, where: of as Partial<Subject> }))[0] as UsageSum;
    const limits = await meters.with(meters.places(scope, now), (_start, measured) => standings(measured({ ...budgets(), ...own }), false));
    return {
      today: await sum(spanOf("day", zone(), now), where), month: await sum(spanOf("month", zone(), now), where), limits,
      ...(session === undefined ? {} : { session: await sum(spanOf("ever", "", 0), { session }) }),
    };
  }
  return { payer, usage, prune };
}
