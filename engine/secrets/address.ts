/** Addresses are saved in the flow as they are and go along in every export: a password or key has no place in them. */
import { hideTokens } from "./shapes.ts";

const SECRET_PARAMETER = /key$|token|secret|passw|^pwd$|^sig$|signature|credential|^auth(?!or)|^code$/i;

/** The problem of an address that holds a secret, which is not repeated; undefined where it holds none, or is no address. `instead`: where the secret belongs. */
export function secretInAddress(name: string, address: string, instead: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const url = new URL(address);
  const parameter = [...url.searchParams].find(([key, value]) => value !== "" && SECRET_PARAMETER.test(key))?.[0];
  const what = url.username !== "" || url.password !== "" ? "a user name or password" : parameter !== undefined ? `a secret ("${parameter}")` : hideTokens(address, "") !== address ? "what looks like a token" : undefined;
  return what && `Expected "${name}" to be a bare address, got ${what} in it, which would go along in every export. ${instead}`;
}
