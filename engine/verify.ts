/** Comparing secrets without telling by time how much of a guess was right. */
import { timingSafeEqual } from "node:crypto";

/** True when both are the same. The time taken tells at most whether the lengths are; nothing equals an empty secret. */
export function sameSecret(given: string | Uint8Array | undefined, expected: string | Uint8Array | undefined): boolean {
  if (given === undefined || expected === undefined || expected.length === 0) return false;
  const [left, right] = [Buffer.from(given as string), Buffer.from(expected as string)];
  return left.length === right.length && timingSafeEqual(left, right);
}
