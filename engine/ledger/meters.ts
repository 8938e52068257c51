/** The sums of the spans that run now, in memory: read from the store when they are first needed, and forgotten when nobody needs them. */
import { BUDGET_NAMES, type BudgetName, BUDGETS, type Budgets, type Measured, type Meter, newMeter, type Span, spanOf, type Subject, UNITS } from "../budget.ts";
import type { Clock } from "../clock.ts";
import type { Store, UsageField } from "../store/store.ts";

/** Where warnings that were given are marked: `<key of the place>\n<unit>`. */
export const MARKS = "budgets";
const KEPT = 2_000;
/** What was settled so long ago is on disk. */
const SETTLED_MS = 60_000;

interface Kept { readonly meter: Meter; calls: number; touchedAt: number }
/** One meter that counts a call. */
export interface Place { readonly name: BudgetName; readonly span: Span; readonly key: string; readonly where: Readonly<Partial<Record<UsageField, string>>> }
export type MeasuredPlace = Measured & { readonly key: string };
/** A call under way on all its meters. */
export interface Counted { readonly meters: readonly Meter[]; measured(limits: Budgets): MeasuredPlace[]; end(): void }
export interface Meters {
  /** All meters that count a call of this subject at this moment, whether a limit is set or not: one may be set at any time. */
  places(subject: Partial<Subject> & { readonly since?: number }, now: number): Place[];
  /** Runs `act` in one turn of the event loop with the meters of these places. */
  with<T>(places: readonly Place[], act: (count: () => Counted, measured: (limits: Budgets) => MeasuredPlace[]) => T): Promise<T>;
}

export function createMeters({ store, clock, zone }: { readonly store: Pick<Store, "usage" | "list">; readonly clock: Clock; zone(): string }): Meters {
  const kept = new Map<string, Kept>();
  const loading = new Map<string, Promise<void>>();
  const spans = new Map<string, { readonly zone: string; readonly span: Span }>();

  /** Reckoning with zones takes long; a day is the same until it is over. */
  function spanNow(period: "ever" | "day" | "month", now: number): Span {
    const found = spans.get(period);
    if (found?.zone === zone() && found.span.from <= now && now < found.span.to) return found.span;
    const span = spanOf(period, zone(), now);
    spans.set(period, { zone: zone(), span });
    return span;
  }

  function places(subject: Partial<Subject> & { readonly since?: number }, now: number): Place[] {
    return BUDGET_NAMES.flatMap((name): Place[] => {
      const { by, period } = BUDGETS[name];
      // What belongs to no talk, person or agent counts for none.
      if (by.some((field) => !subject[field])) return [];
      const where = Object.fromEntries(by.map((field) => [field, subject[field] as string]));
      const span = spanNow(period, now);
      const from = name === "run" ? (subject.since ?? 0) : span.from;
      return [{ name, span: { from, to: span.to }, where, key: JSON.stringify([name, from, ...Object.values(where)]) }];
    });
  }
  /** Nobody writes a row of a place before this is done. */
  async function load({ key, span, where }: Place): Promise<void> {
    const [sum] = await store.usage({ ...span, where });
    const marks = new Set((await store.list(MARKS, `${key}\n`)).map(([mark]) => mark));
    const used = { tokens: (sum?.input ?? 0) + (sum?.output ?? 0), micros: sum?.micros ?? 0 };
    kept.set(key, { meter: newMeter(used, UNITS.filter((unit) => marks.has(`${key}\n${unit}`))), calls: 0, touchedAt: clock.monotonic() });
  }
  function loaded(place: Place): Promise<void> {
    const known = loading.get(place.key) ?? load(place).finally(() => loading.delete(place.key));
    loading.set(place.key, known);
    return known;
  }
  function tidy(): void {
    const limit = clock.monotonic() - SETTLED_MS;
    for (const [key, { calls, touchedAt }] of kept) {
      if (kept.size <= KEPT) return;
      if (calls === 0 && touchedAt < limit) kept.delete(key);
    }
  }
  /** The newest stand at the end. */
  function touch(list: readonly Place[], by: number): void {
    for (const { key } of list) {
      const one = kept.get(key) as Kept;
      one.calls += by;
      one.touchedAt = clock.monotonic();
      kept.delete(key);
      kept.set(key, one);
    }
  }
  async function withMeters<T>(list: readonly Place[], act: (count: () => Counted, measured: (limits: Budgets) => MeasuredPlace[]) => T): Promise<T> {
    for (let missing = list; missing.length > 0; missing = list.filter(({ key }) => !kept.has(key))) await Promise.all(missing.filter(({ key }) => !kept.has(key)).map(loaded));
    const meters = list.map(({ key }) => (kept.get(key) as Kept).meter);
    const measured = (limits: Budgets): MeasuredPlace[] => list.flatMap((place, at) => {
      const max = limits[place.name];
      return max === undefined ? [] : [{ ...place, max, meter: meters[at] as Meter }];
    });
    return act(() => { touch(list, 1); return { meters, measured, end() { touch(list, -1); tidy(); } }; }, measured);
  }
  return { places, with: withMeters };
}
