/** What a skill says of itself, in `skill.json` or `<name>.skill.json`, checked field by field. Pure. */
import type { JsonSchema } from "../models/model.ts";
import { checkSchema } from "../tool-input.ts";
import type { Risk } from "../tool.ts";

export interface Manifest {
  readonly name: string;
  readonly description: string;
  readonly parameters: JsonSchema;
  /** A program of the system by its name, or a file of the folder, and its arguments. */
  readonly command: readonly string[];
  readonly risk: Risk;
  readonly timeoutSeconds: number;
  readonly memoryMb: number;
  readonly outputKb: number;
  /** It may reach the network. */
  readonly network: boolean;
  readonly readsPrivate: boolean;
  /** What it returns may have been written by others. */
  readonly talksOutside?: boolean;
  readonly shared: boolean;
  readonly tags: readonly string[];
}

/** A problem of one manifest: where, and what was expected. */
export interface SkillProblem { readonly file: string; /** `3:14`, line and column, or the name of a field. */ readonly at: string; readonly text: string }

type Check = (value: unknown) => string | undefined;
const number = (min: number, max: number): Check => (value) => (typeof value === "number" && value >= min && value <= max ? undefined : `a number from ${min} to ${max}`);
const flag: Check = (value) => (typeof value === "boolean" ? undefined : "true or false");
const texts: Check = (value) => (Array.isArray(value) && value.every((one) => typeof one === "string") ? undefined : "a list of texts");
const FIELDS: Readonly<Record<keyof Manifest, { readonly check: Check; readonly initial?: unknown; readonly optional?: true }>> = {
  name: { check: (value) => (typeof value === "string" && /^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/.test(value) ? undefined : "letters, digits, _ or -, at most 64") },
  description: { check: (value) => (typeof value === "string" && value.trim().length >= 5 ? undefined : "a text that tells a model what it does") },
  parameters: { check: checkSchema, initial: { type: "object" } },
  command: { check: (value) => (Array.isArray(value) && value.length > 0 && value.every((one) => typeof one === "string" && one !== "" && !one.includes("\0")) ? undefined : 'a list of texts such as ["python3", "weather.py"]; there is no shell') },
  risk: { check: (value) => (["read", "write", "dangerous"].includes(value as string) ? undefined : "read, write or dangerous"), initial: "dangerous" },
  timeoutSeconds: { check: number(1, 3_600), initial: 30 },
  memoryMb: { check: number(16, 65_536), initial: 256 },
  outputKb: { check: number(1, 4_096), initial: 64 },
  network: { check: flag, initial: false },
  readsPrivate: { check: flag, initial: false },
  talksOutside: { check: flag, optional: true },
  shared: { check: flag, initial: false },
  tags: { check: texts, initial: [] },
};

/** A manifest, or everything that is wrong with it. */
export function parseManifest(file: string, text: string): Manifest | readonly SkillProblem[] {
  let given: unknown;
  try {
    given = JSON.parse(text);
  } catch (error) {
    return [{ file, at: placeIn(text, (error as Error).message), text: `Expected JSON: ${(error as Error).message}` }];
  }
  if (given === null || typeof given !== "object" || Array.isArray(given)) return [{ file, at: "1:1", text: "Expected an object with name, description and command." }];
  const problems: SkillProblem[] = [];
  const manifest: Record<string, unknown> = {};
  for (const [field, { check, initial, optional }] of Object.entries(FIELDS)) {
    const value = Object.hasOwn(given, field) ? (given as Record<string, unknown>)[field] : initial;
    if (value === undefined && optional) continue;
    const expected = check(value);
    if (expected === undefined) manifest[field] = value;
    else problems.push({ file, at: field, text: expected.startsWith("Expected") ? expected : `Expected ${expected}, got ${JSON.stringify(value) ?? "nothing"}.` });
  }
  for (const field of Object.keys(given)) if (!Object.hasOwn(FIELDS, field) && field !== "$schema") problems.push({ file, at: field, text: `Expected one of ${Object.keys(FIELDS).join(", ")}.` });
  return problems.length > 0 ? problems : (manifest as unknown as Manifest);
}

/** Node says the place in several ways, depending on the fault. */
function placeIn(text: string, message: string): string {
  const named = /line (\d+) column (\d+)/.exec(message);
  if (named !== null) return `${named[1]}:${named[2]}`;
  const position = /position (\d+)/.exec(message);
  const before = text.slice(0, position === null ? text.length : Number(position[1])).split("\n");
  return `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}
