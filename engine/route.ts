/** Which way a message goes: rules drawn as rows, compiled once, decided without I/O. The same function answers "try a message" in the form. */
import { SettingError } from "./errors.ts";
import type { Message } from "./message.ts";
import { fold } from "./patterns.ts";
import type { Facts, Field, FieldId, Got } from "./route-fields.ts";
import { checkRow, compileRow, type CompiledRow, type Row, type View } from "./route-row.ts";

export { FIELDS, TESTS, type Facts, type Field, type FieldId, type TestId } from "./route-fields.ts";
export type { Row } from "./route-row.ts";
export type { TimeWindow } from "./route-window.ts";

/** Holds when all its rows hold; without rows it takes everything. */
export interface Rule {
  readonly id: string;
  readonly name: string;
  readonly rows: readonly Row[];
  /** Number of the output, from 0. */
  readonly output: number;
}
/** `binding`: the most specific rule; `first`: the first that holds; `all`: every one. */
export type RouteMode = "binding" | "first" | "all";
export const ROUTE_MODES: readonly RouteMode[] = ["binding", "first", "all"];

/** How closely a rule is bound to where a message comes from, closest first. A guild and a team are both a `space`. */
export const TIERS = ["peer", "parent", "space+role", "space", "role", "account", "channel", "default"] as const;
export type Tier = (typeof TIERS)[number];

export interface RouteMatch { readonly rule: string; readonly name: string; readonly output: number; /** In words, for msg.route and the form. */ readonly why: string }
export interface RowExplanation { readonly field: FieldId; readonly test: string; readonly not: boolean; readonly expected: string; readonly got: string; readonly held: boolean }
export interface RuleExplanation { readonly rule: string; readonly name: string; readonly output: number; readonly held: boolean; readonly chosen: boolean; readonly tier: Tier; readonly rows: readonly RowExplanation[] }
export interface RouteResult {
  /** Empty: nothing matched, the message goes to the output "else". */
  readonly matches: readonly RouteMatch[];
  /** Every rule and row, when asked for. */
  readonly explain: readonly RuleExplanation[];
}

interface CompiledRule extends Rule { readonly compiled: readonly CompiledRow[]; readonly words: string; readonly bound: ReadonlySet<FieldId> }
export interface CompiledRules { readonly mode: RouteMode; readonly rules: readonly CompiledRule[] }

/** Problems of the rules, each a sentence that names rule and row. */
export function checkRules(rules: readonly Rule[]): string[] {
  if (!Array.isArray(rules)) return ["Expected a list of rules."];
  const problems: string[] = [];
  const ids = new Set<string>();
  for (const [index, rule] of (rules as readonly Partial<Rule>[]).entries()) {
    const title = `Rule ${typeof rule?.name === "string" && rule.name !== "" ? `"${rule.name}"` : index + 1}`;
    if (typeof rule?.id !== "string" || rule.id === "" || ids.has(rule.id)) problems.push(`${title}: Expected an id of its own, got ${JSON.stringify(rule?.id)}.`);
    else ids.add(rule.id);
    if (!Number.isInteger(rule?.output) || (rule?.output ?? -1) < 0) problems.push(`${title}: Expected an output number from 0, got ${JSON.stringify(rule?.output)}.`);
    if (!Array.isArray(rule?.rows)) problems.push(`${title}: Expected a list of rows.`);
    else for (const [row, given] of rule.rows.entries()) for (const problem of checkRow(given)) problems.push(`${title}, row ${row + 1}: ${problem}`);
  }
  return problems;
}

/** Prepares rules for `route`, once at deploy. Throws SettingError CONF_003 with all problems, a line each. */
export function compileRules(rules: readonly Rule[], mode: RouteMode = "first"): CompiledRules {
  const problems = checkRules(rules);
  if (!ROUTE_MODES.includes(mode)) problems.push(`Expected the mode to be one of ${ROUTE_MODES.join(", ")}, got ${JSON.stringify(mode)}.`);
  if (problems.length > 0) throw new SettingError("CONF_003", {}, problems.join("\n"));
  return {
    mode,
    rules: rules.map((rule) => {
      const compiled = rule.rows.map(compileRow);
      const exact = rule.rows.filter(({ test, not }) => not !== true && (test === "is" || test === "oneOf"));
      return { ...rule, compiled, words: compiled.length === 0 ? "takes every message" : compiled.map(({ words }) => words).join(" and "), bound: new Set(exact.map(({ field }) => field)) };
    }),
  };
}

/** Decides. Pure and synchronous; `explain` costs time and is for the form. */
export function route(message: Message, { mode, rules }: CompiledRules, facts: Facts, options: { readonly explain?: boolean } = {}): RouteResult {
  const view = viewOf(message, facts);
  const chosen = choose(message, mode, rules, view);
  const matches = chosen.map((rule) => ({
    rule: rule.id, name: rule.name, output: rule.output,
    why: mode === "binding" ? `${rule.words} (bound to ${TIER_WORDS[tierOf(rule.bound, message)]})` : rule.words,
  }));
  return { matches, explain: options.explain === true ? rules.map((rule) => explainRule(rule, message, view, chosen.includes(rule))) : [] };
}

function choose(message: Message, mode: RouteMode, rules: readonly CompiledRule[], view: View): readonly CompiledRule[] {
  if (mode === "all") return rules.filter((rule) => holds(rule, view));
  let best: CompiledRule | undefined;
  let rank: number = TIERS.length;
  for (const rule of rules) {
    const closer = mode === "first" ? 0 : TIERS.indexOf(tierOf(rule.bound, message));
    if (closer >= rank || !holds(rule, view)) continue;
    best = rule;
    rank = closer;
    if (rank === 0) break;
  }
  return best === undefined ? [] : [best];
}

const holds = (rule: CompiledRule, view: View): boolean => rule.compiled.every((row) => row.holds(view));

const TIER_WORDS: Readonly<Record<Tier, string>> = {
  peer: "this very person, chat or thread", parent: "the chat of this thread", "space+role": "a role in this space", space: "this space", role: "a role",
  account: "this account", channel: "this channel", default: "no place",
};

/** Only exact rows bind ("is", "is one of", not negated). A chat is the peer of its own messages, and the parent of those in its threads. */
function tierOf(bound: ReadonlySet<FieldId>, message: Message): Tier {
  if (bound.has("sender") || bound.has("thread")) return "peer";
  if (bound.has("chat")) return message.at.thread === undefined ? "peer" : "parent";
  if (bound.has("space")) return bound.has("role") ? "space+role" : "space";
  if (bound.has("role")) return "role";
  if (bound.has("account")) return "account";
  return bound.has("channel") ? "channel" : "default";
}

function viewOf(message: Message, facts: Facts): View {
  const raw = new Map<Field, Got>();
  const folded = new Map<Field, Got>();
  const read = (field: Field): Got => {
    if (!raw.has(field)) raw.set(field, field.read(message, facts));
    return raw.get(field);
  };
  return {
    facts, read,
    folded(field) {
      if (!folded.has(field)) {
        const got = read(field);
        folded.set(field, typeof got === "string" ? fold(got) : got?.map(fold));
      }
      return folded.get(field);
    },
  };
}

function explainRule(rule: CompiledRule, message: Message, view: View, chosen: boolean): RuleExplanation {
  const rows = rule.compiled.map((row) => ({ field: row.field.id, test: row.row.test, not: row.row.not === true, expected: row.expected, got: row.got(view), held: row.holds(view) }));
  return { rule: rule.id, name: rule.name, output: rule.output, held: rows.every(({ held }) => held), chosen, tier: tierOf(rule.bound, message), rows };
}
