/** One row of a rule: checked, then compiled to a plain function, once at deploy. */
import { compilePattern, fold, glob } from "./patterns.ts";
import { TRUSTS } from "./policy.ts";
import { FIELDS, TESTS, type Facts, type Field, type FieldId, type Got, type TestId } from "./route-fields.ts";
import { inWindow, readWindow, wallWords, windowWords, type TimeWindow } from "./route-window.ts";
import type { Trust } from "./tool.ts";

export interface Row {
  readonly field: FieldId;
  readonly test: TestId;
  /** A text, a list (or one text, parted by commas or lines), a time window (route-window.ts), or nothing; TESTS says which. */
  readonly value?: unknown;
  /** The row holds when the test does not. */
  readonly not?: boolean;
}

/** The values of one message, read and folded once for all rules. */
export interface View { read(field: Field): Got; folded(field: Field): Got; readonly facts: Facts }

export interface CompiledRow {
  readonly row: Row;
  readonly field: Field;
  /** In words: `account is "home"`. */
  readonly words: string;
  /** The value asked for, in words. */
  readonly expected: string;
  /** What the message has, in words. */
  got(view: View): string;
  holds(view: View): boolean;
}

/** Longest value and list of values. */
const MAX_VALUE = 1000;
const byId = <T extends { readonly id: string }>(table: readonly T[], id: unknown): T | undefined => table.find((entry) => entry.id === id);
const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);

/** Values as a list: of a list its entries, of a text its parts; numbers are ids that were typed as such. */
function listOf(value: unknown): string[] {
  const entries: unknown[] = Array.isArray(value) ? value : typeof value === "string" ? value.split(/[,\n]/) : [value];
  return entries.filter((entry) => ["string", "number", "boolean"].includes(typeof entry)).map((entry) => String(entry).trim()).filter((entry) => entry !== "");
}

/** What is wrong with a row, as sentences that follow "Rule …, row …: ". */
export function checkRow(row: unknown): string[] {
  if (!isRecord(row)) return ["Expected a row of field, test and value. Remove it and draw it again."];
  const field = byId(FIELDS, row["field"]);
  if (field === undefined) return [`Expected a field (${FIELDS.map(({ id }) => id).join(", ")}), got ${JSON.stringify(row["field"])}.`];
  const test = byId(TESTS, row["test"]);
  if (test === undefined || !field.tests.includes(test.id)) return [`Expected one of the tests ${field.tests.join(", ")} for ${field.label}, got ${JSON.stringify(row["test"])}.`];
  const value = row["value"];
  if (test.value === "none") return [];
  if (test.value === "window") return [...readWindow(value).problems];
  const values = listOf(test.value === "list" ? value : [value]);
  if (values.length === 0) return [`Expected a value for "${field.label} ${test.label}", got nothing. Fill it in or remove the row.`];
  if (values.length > MAX_VALUE) return [`Expected at most ${MAX_VALUE} values for "${field.label} ${test.label}", got ${values.length}.`];
  if (test.value === "pattern") return checkedPattern(value);
  const long = values.find((entry) => entry.length > MAX_VALUE);
  if (long !== undefined) return [`Expected a value of at most ${MAX_VALUE} characters for "${field.label} ${test.label}", got ${long.length}.`];
  const strange = field.values === undefined ? undefined : values.find((entry) => !field.values?.includes(entry));
  return strange === undefined ? [] : [`Expected ${field.label} to be one of ${field.values?.join(", ")}, got "${strange}".`];
}

function checkedPattern(value: unknown): string[] {
  try {
    compilePattern(String(value), { ignoreCase: true });
    return [];
  } catch (error) {
    return [(error as Error).message];
  }
}

/** Compiles a row that `checkRow` found good. */
export function compileRow(row: Row): CompiledRow {
  const field = byId(FIELDS, row.field) as Field;
  const test = (byId(TESTS, row.test) as (typeof TESTS)[number]);
  if (test.value === "window") return compileTime(row, field, readWindow(row.value).window as TimeWindow);
  const values = test.value === "none" ? [] : listOf(test.value === "list" ? row.value : [row.value]);
  const expected = values.map((entry) => `"${entry}"`).join(", ");
  const words = `${field.label} ${row.not ? "not: " : ""}${test.label}${expected === "" ? "" : ` ${expected}`}`;
  const held = compileTest(row, field, values);
  return { row, field, words, expected, got: (view) => gotWords(view.read(field)), holds: row.not === true ? (view) => !held(view) : held };
}

function compileTime(row: Row, field: Field, window: TimeWindow): CompiledRow {
  const held = inWindow(window);
  const expected = windowWords(window);
  const words = `${field.label} is ${row.not ? "not " : ""}between ${expected}`;
  return { row, field, words, expected, got: ({ facts }) => wallWords(window, facts), holds: ({ facts }) => held(facts) !== (row.not === true) };
}

const any = (got: Got, test: (value: string) => boolean): boolean => (got === undefined ? false : typeof got === "string" ? test(got) : got.some(test));

function compileTest(row: Row, field: Field, given: readonly string[]): (view: View) => boolean {
  if (row.test === "exists") return (view) => any(view.read(field), (value) => value !== "");
  if (row.test === "pattern") {
    const pattern = compilePattern(String(row.value), { ignoreCase: true });
    return (view) => any(view.read(field), (text) => pattern.test(text));
  }
  const spell = (value: string) => (field.folds ? fold(field.id === "command" ? value.replace(/^\//, "") : value) : value);
  const test = comparison(row.test, field.id, given.map(spell));
  return field.folds ? (view) => any(view.folded(field), test) : (view) => any(view.read(field), test);
}

function comparison(test: TestId, field: FieldId, values: readonly string[]): (got: string) => boolean {
  const first = values[0] as string;
  switch (test) {
    case "contains": return (got) => got.includes(first);
    case "startsWith": return (got) => got.startsWith(first);
    case "endsWith": return (got) => got.endsWith(first);
    case "glob": return (got) => glob(first, got);
    case "atLeast": {
      const rank = TRUSTS.indexOf(first as Trust);
      return (got) => TRUSTS.includes(got as Trust) && TRUSTS.indexOf(got as Trust) <= rank;
    }
    default: {
      // "de" is said of de-AT too.
      if (field === "language") return (got) => values.some((value) => got === value || got.startsWith(`${value}-`));
      // A text is compared without the space around it.
      const set = new Set(values);
      return field === "text" ? (got) => set.has(got.trim()) : (got) => set.has(got);
    }
  }
}

function gotWords(got: Got): string {
  const values = got === undefined ? [] : typeof got === "string" ? [got] : got;
  return values.length === 0 ? "nothing" : values.map((value) => `"${value.length > 200 ? `${value.slice(0, 200)}…` : value}"`).join(", ");
}
