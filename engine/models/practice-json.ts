/** An answer of the practice model in a given form: by the simplest rules, so that a flow around it can be tried. */
import type { JsonSchema } from "./model.ts";

/** Numbers of the text in their order, a choice that the text names (else the first), yes unless the text says no, and the text itself where words are wanted. */
export function fillSchema(schema: JsonSchema, text: string): unknown {
  const numbers = [...text.matchAll(/-?\d+(?:[.,]\d+)?/g)].map(([found]) => Number(found.replace(",", ".")));
  const fill = (part: JsonSchema): unknown => {
    const { type, enum: choices, const: fixed, properties = {}, minimum } = part as { type?: unknown; enum?: unknown[]; const?: unknown; properties?: Record<string, JsonSchema>; minimum?: number };
    const kind = Array.isArray(type) ? type[0] : type;
    if (fixed !== undefined) return fixed;
    if (choices !== undefined) return choices.find((choice) => text.toLowerCase().includes(String(choice).toLowerCase())) ?? choices[0];
    if (kind === "object") return Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, fill(property)]));
    if (kind === "integer" || kind === "number") {
      const number = numbers.shift() ?? minimum ?? 0;
      return kind === "integer" ? Math.round(number) : number;
    }
    if (kind === "boolean") return !/\b(no|not|never|nein|nicht|kein\w*)\b/i.test(text);
    if (kind === "array") return [];
    return kind === "null" ? null : text;
  };
  return fill(schema);
}
