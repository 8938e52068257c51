/** Sums of tokens. */
import type { Usage } from "./model.ts";

const FIELDS = ["input", "output", "cachedInput", "storedInput", "reasoning"] as const;

/** Both together; a count that neither has stays away. */
export function addUsage(a: Usage, b: Usage): Usage {
  const sum: { -readonly [Field in keyof Usage]: Usage[Field] } = { input: 0, output: 0 };
  for (const field of FIELDS) if (a[field] !== undefined || b[field] !== undefined) sum[field] = (a[field] ?? 0) + (b[field] ?? 0);
  if (a.guessed || b.guessed) sum.guessed = true;
  return sum;
}
