/**
 * The secrets of this deployment, and how they are kept out of everything that is shown or written. One set for the process, as its gateways are;
 * it only grows, because a token that was replaced stays a secret.
 */
import { createRedactor } from "../../engine/secrets.ts";

const known = new Set<string>();
/** Shorter ones are likely to be words, which tools have to be able to say. */
const SHORTEST_IN_RESULTS = 10;

/** Called as soon as a node has its credentials: before anything can fail. */
export function learnSecrets(values: Iterable<string | undefined>): void {
  for (const value of values) if (value !== undefined && value.trim() !== "") known.add(value.trim());
}

/** Cleans every text of ours that is an error, a status or a line of the log. */
export const { redact } = createRedactor(() => known);
/** Cleans what a model reads and what is kept: known secrets go, everything else stays as it is. */
export const { hide } = createRedactor(() => known, SHORTEST_IN_RESULTS);
/** For a form whose secrets are not deployed yet. */
export const redactWith = (values: Iterable<string | undefined>): ((text: string) => string) => {
  const own = [...values].filter((value) => value !== undefined);
  return createRedactor(() => [...known, ...own]).redact;
};
