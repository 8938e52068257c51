/** Comparing secrets without telling by time how much of a guess was right. */
import { hash, timingSafeEqual } from "node:crypto";

const digest = (value: string | Uint8Array): Buffer => hash("sha256", value, "buffer");

/** True when both are the same. Digests are compared, so neither content nor length shows in the time taken; nothing equals an empty secret. */
export function sameSecret(given: string | Uint8Array | undefined, expected: string | Uint8Array | undefined): boolean {
  if (given === undefined || expected === undefined || expected.length === 0) return false;
  return timingSafeEqual(digest(given), digest(expected));
}
