/** In which order models are asked that stand in for each other. */
import { SettingError } from "../errors.ts";

/**
 * Ids in the order in which they are asked: `first`, those that it names, then those that these name; each once. Throws CONF_001 where the way comes back
 * to where it began. `nameOf` is for the error.
 */
export function chainOf(first: string, namedBy: (id: string) => readonly string[], nameOf: (id: string) => string): string[] {
  refuseCircle([first], namedBy, nameOf);
  const order = [first];
  // It grows while it is walked.
  for (const id of order) for (const next of namedBy(id)) if (!order.includes(next)) order.push(next);
  return order;
}

function refuseCircle(way: readonly string[], namedBy: (id: string) => readonly string[], nameOf: (id: string) => string): void {
  for (const next of namedBy(way.at(-1) as string)) {
    const from = way.indexOf(next);
    if (from >= 0) throw new SettingError("CONF_001", {}, `Expected models that stand in for each other to come to an end, got a circle: ${[...way.slice(from), next].map(nameOf).join(" → ")}. Take one of them out of "If it does not answer".`);
    refuseCircle([...way, next], namedBy, nameOf);
  }
}
