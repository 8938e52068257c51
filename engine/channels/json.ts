/** Reading what may be no JSON at all. */

/** Undefined where it is none. */
export function parseJson(given: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof given === "string" ? given : Buffer.from(given.buffer, given.byteOffset, given.byteLength).toString("utf8"));
  } catch {
    return undefined;
  }
}
/** Undefined where it is no object (a list is none). */
export function parseObject(given: string | Uint8Array): Readonly<Record<string, unknown>> | undefined {
  const value = parseJson(given);
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Readonly<Record<string, unknown>>) : undefined;
}
