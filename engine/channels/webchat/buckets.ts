/** So many acts a minute for each key. */
import type { Clock } from "../../clock.ts";

const MAX_KEYS = 10_000;

/** Returns 0 when the act may pass, else the milliseconds to wait. */
export function createBuckets(clock: Clock, perMinute: number): (key: string) => number {
  const buckets = new Map<string, { tokens: number; at: number }>();
  return (key) => {
    const now = clock.monotonic();
    const bucket = buckets.get(key) ?? { tokens: perMinute, at: now };
    buckets.delete(key);
    buckets.set(key, bucket);
    if (buckets.size > MAX_KEYS) buckets.delete(buckets.keys().next().value as string);
    bucket.tokens = Math.min(perMinute, bucket.tokens + ((now - bucket.at) * perMinute) / 60_000);
    bucket.at = now;
    if (bucket.tokens < 1) return ((1 - bucket.tokens) * 60_000) / perMinute;
    bucket.tokens--;
    return 0;
  };
}
