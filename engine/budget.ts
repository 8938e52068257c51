/**
 * Budgets: how much may be used, by whom, and until when. Pure; ledger.ts keeps the sums.
 * A call begins while there is something left of every limit, with what is reserved for calls under way. So no limit is passed by more than the last call.
 */
import { ClawError } from "./errors.ts";
import type { Usage } from "./models/model.ts";
import { gapEnd, instantsOf, wallAt } from "./schedule/zone.ts";
import type { UsageRow } from "./store/store.ts";

/** Whose call it is. */
export type Subject = Pick<UsageRow, "run" | "message" | "session" | "channel" | "account" | "person" | "agent">;
type Period = "ever" | "day" | "month";
interface Row { readonly by: readonly Exclude<keyof Subject, "message">[]; readonly period: Period }
export const BUDGETS = {
  run: { by: ["run"], period: "ever" },
  session: { by: ["session"], period: "ever" },
  agentDay: { by: ["agent"], period: "day" },
  personDay: { by: ["channel", "account", "person"], period: "day" },
  day: { by: [], period: "day" },
  month: { by: [], period: "month" },
} as const satisfies Record<string, Row>;
export type BudgetName = keyof typeof BUDGETS;
export const BUDGET_NAMES = Object.keys(BUDGETS) as BudgetName[];

export const UNITS = ["tokens", "micros"] as const;
/** Micros are millionths of a US dollar. */
export type Unit = (typeof UNITS)[number];
export type Amount = Readonly<Record<Unit, number>>;
/** The limits that are set; what is left out has none. */
export type Budgets = Readonly<Partial<Record<BudgetName, Readonly<Partial<Amount>>>>>;

/** What both leave: of each unit the smaller limit. */
export function lesser(one: Partial<Amount> = {}, other: Partial<Amount> = {}): Partial<Amount> {
  return Object.fromEntries(UNITS.flatMap((unit) => { const most = Math.min(one[unit] ?? Number.POSITIVE_INFINITY, other[unit] ?? Number.POSITIVE_INFINITY); return most === Number.POSITIVE_INFINITY ? [] : [[unit, most]]; }));
}

/** Instants; `from` ≤ now < `to`. */
export interface Span { readonly from: number; readonly to: number }
const EVER: Span = { from: 0, to: Number.MAX_SAFE_INTEGER };
const DAY = 86_400_000;

/** The day or month of this moment as the clocks of the zone have it; a day has 23 to 25 hours. */
export function spanOf(period: Period, zone: string, now: number): Span {
  if (period === "ever") return EVER;
  const wall = wallAt(zone, now);
  const { year, month } = { year: new Date(wall).getUTCFullYear(), month: new Date(wall).getUTCMonth() };
  const begin = (n: number): number => startOf(zone, period === "day" ? Math.floor(wall / DAY) * DAY + n * DAY : Date.UTC(year, month + n));
  const [from, to, after] = [begin(0), begin(1), begin(2)];
  // Where clocks are put back over midnight, the new day has begun already.
  return now < to ? { from, to } : { from: to, to: after };
}
/** Midnight may be skipped when clocks are put forward, or come twice. */
const startOf = (zone: string, wall: number): number => instantsOf(zone, wall)[0] ?? gapEnd(zone, wall);

/** What was used in a span, what calls under way may use, and of which units a warning was given. */
export interface Meter { readonly used: Record<Unit, number>; readonly held: Record<Unit, number>; readonly warned: Set<Unit> }
export const newMeter = (used: Amount, warned: Iterable<Unit> = []): Meter => ({ used: { tokens: used.tokens, micros: used.micros }, held: { tokens: 0, micros: 0 }, warned: new Set(warned) });

/** Reserves for a call on all meters that count it, and settles what became of it. */
export function hold(meters: readonly Meter[], reserve: Amount): void {
  for (const { held } of meters) for (const unit of UNITS) held[unit] += reserve[unit];
}
export function settle(meters: readonly Meter[], reserve: Amount, real: Amount): void {
  for (const { held, used } of meters) for (const unit of UNITS) { held[unit] -= reserve[unit]; used[unit] += real[unit]; }
}

/** How a limit stands. `until`: when it begins anew, Unix milliseconds; a run or session has no such time. */
export interface Standing { readonly limit: BudgetName; readonly unit: Unit; readonly used: number; readonly max: number; readonly until?: number }
export interface Measured { readonly name: BudgetName; readonly span: Span; readonly meter: Meter; readonly max: Readonly<Partial<Amount>> }

/** All limits that are set, as they stand; `held`: with what is reserved. */
export function standings(measured: readonly Measured[], held: boolean): Standing[] {
  return measured.flatMap(({ name, span, meter, max }) => UNITS.flatMap((unit) => {
    const most = max[unit];
    if (most === undefined) return [];
    return [{ limit: name, unit, used: meter.used[unit] + (held ? meter.held[unit] : 0), max: most, ...(span.to === EVER.to ? {} : { until: span.to }) }];
  }));
}
/** The limit that nothing is left of, if there is one: of several the one that lasts longest. */
export function overBudget(measured: readonly Measured[]): Standing | undefined {
  const ends = ({ until = Number.POSITIVE_INFINITY }: Standing): number => until;
  return standings(measured, true).filter(({ used, max }) => used >= max).sort((a, b) => ends(b) - ends(a))[0];
}

const WARN_AT = 0.8;
/** Limits that have come near for the first time in their span; they are marked as told. */
export function nearBudget(measured: readonly Measured[]): { readonly standing: Standing; readonly of: Measured }[] {
  return measured.flatMap((one) => standings([one], false).filter(({ unit, used, max }) => {
    if (used < max * WARN_AT || one.meter.warned.has(unit)) return false;
    one.meter.warned.add(unit);
    return true;
  }).map((standing) => ({ standing, of: one })));
}

/** No context is that large: what claims more is not believed. */
const MOST_TOKENS = 20_000_000;
/** A provider's figures, where it told any that can be true; else the estimate, with the output that was seen. Fractions are rounded up. */
export function believed(said: Usage, estimate: Usage): { readonly usage: Usage; readonly exact: boolean } {
  if (said.guessed) return { usage: { ...said, input: Math.max(said.input, estimate.input) }, exact: false };
  const counts = [said.input, said.output, said.cachedInput ?? 0];
  const possible = counts.every((count) => typeof count === "number" && count >= 0 && count <= MOST_TOKENS) && (said.cachedInput ?? 0) <= said.input;
  if (!possible) return { usage: estimate, exact: false };
  const [input = 0, output = 0] = counts.map(Math.ceil);
  return { usage: { ...said, input, output, ...(said.cachedInput === undefined ? {} : { cachedInput: Math.ceil(said.cachedInput) }) }, exact: true };
}

/** A call was not begun: nothing is left of a limit. */
export class BudgetError extends ClawError {
  readonly over: Standing;
  constructor(over: Standing) {
    super("BUDGET_001", {}, `Expected something to be left of the budget "${over.limit}", got ${inWords(over.used, over.unit)} of ${inWords(over.max, over.unit)} used or reserved${over.until === undefined ? "" : ` until ${new Date(over.until).toISOString()}`}.`);
    this.over = over;
  }
}
const inWords = (amount: number, unit: Unit): string => (unit === "tokens" ? `${amount} tokens` : `${dollars(amount)} USD`);
/** Micros as decimal text, exact: 1234567 is 1.234567. At least two digits stand behind the point. */
export function dollars(micros: number): string {
  const text = String(Math.abs(micros)).padStart(7, "0");
  return `${micros < 0 ? "-" : ""}${text.slice(0, -6)}.${text.slice(-6).replace(/0{1,4}$/, "")}`;
}
