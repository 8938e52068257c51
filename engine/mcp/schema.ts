/** A JSON Schema that somebody else wrote, as one that our validator can be given. Pure. */
import { ToolError } from "../errors.ts";
import type { JsonSchema } from "../models/model.ts";
import { checkSchema } from "../tool-input.ts";
import { withoutHidden } from "./names.ts";

/** Of its JSON: to compile more costs the event loop too much. */
const MAX_TEXT = 32_768;
const MAX_DEPTH = 24;
const POISON: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"]);
/** Their patterns would run on an engine that some of them can stall. The server checks them itself. */
const PATTERNS: ReadonlySet<string> = new Set(["pattern", "patternProperties"]);
/** Words for the model, which nothing is compared with. */
const WORDS: ReadonlySet<string> = new Set(["description", "title", "$comment"]);
/** Signs nobody sees and no language needs, each of which can stand for a letter: a name or a value that has them hides words. */
const SMUGGLED = /[\u{e0000}-\u{e0fff}]/u;
/** Maps of names: a property may well be called "pattern". */
const NAMED: ReadonlySet<string> = new Set(["properties", "$defs", "definitions", "dependentSchemas", "dependentRequired"]);

export type Cleaned = { readonly schema: JsonSchema } | { readonly problem: string };

/** A copy without what could harm, or why it cannot be used. A missing schema is one of no arguments. */
export function cleanSchema(given: unknown): Cleaned {
  if (given === undefined || given === null) return { schema: { type: "object" } };
  const text = JSON.stringify(given) ?? "";
  if (text.length > MAX_TEXT) return { problem: `Expected a schema of at most ${MAX_TEXT} characters, got ${text.length}.` };
  try {
    const schema = copy(given, 0, false);
    const problem = checkSchema(schema);
    return problem === undefined ? { schema: schema as JsonSchema } : { problem };
  } catch (error) {
    return { problem: (error as Error).message };
  }
}

function copy(value: unknown, depth: number, names: boolean): unknown {
  if (depth > MAX_DEPTH) throw new ToolError("TOOL_006", {}, `Expected a schema at most ${MAX_DEPTH} levels deep.`);
  if (Array.isArray(value)) return value.map((one) => copy(one, depth + 1, false));
  if (typeof value === "string" && SMUGGLED.test(value)) throw new ToolError("TOOL_006", {}, "Expected names and values without invisible signs.");
  if (value === null || typeof value !== "object") return value;
  const made: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    // A dialect or an identity of its own would be looked up, or stay in the validator.
    if (POISON.has(key) || (!names && (PATTERNS.has(key) || key === "$schema" || key === "$id" || key === "id"))) continue;
    if (SMUGGLED.test(key)) throw new ToolError("TOOL_006", {}, "Expected names and values without invisible signs.");
    made[key] = !names && WORDS.has(key) && typeof inner === "string" ? withoutHidden(inner) : copy(inner, depth + 1, !names && NAMED.has(key));
  }
  return made;
}
