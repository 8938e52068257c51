/**
 * How long the other side asks us to wait: one pure function over headers, body and words of an answer, in all forms seen in the wild.
 * Everything here comes from outside: what is negative, endless or no number at all counts as not said, and no wait is longer than a day.
 */

export interface Answered {
  /** A header by its name in lower case. */
  readonly header?: (name: string) => string | null | undefined;
  /** Parsed JSON. */
  readonly body?: unknown;
  /** Words for people: "Please try again in 20s". */
  readonly text?: string;
}

/** The longest wait anybody is granted, milliseconds. */
export const MAX_WAIT_MS = 86_400_000;

/** Longest header and text that are looked at, characters. */
const MAX_HEADER = 1_000;
const MAX_TEXT = 2_000;

/**
 * Milliseconds to wait from now, 0 to 24 h; undefined where nothing (readable) is said. What names the wait itself goes before what names
 * the end of a window: a platform that sends both means the first. `now`: Unix milliseconds, used only where the answer has no Date header:
 * the difference of two times of the other side is right even when our clock is not.
 */
export function retryAfter({ header = () => null, body, text = "" }: Answered, now: number): number | undefined {
  const get = (name: string): string => (header(name) ?? "").slice(0, MAX_HEADER).trim();
  const theirs = instant(get("date")) ?? now;
  const waits: readonly (() => number | undefined)[] = [
    () => largest(get("retry-after-ms"), amount),
    () => largest(get("x-ms-retry-after-ms"), amount),   // Azure
    () => wait(get("retry-after"), theirs),
    () => inBody(body, theirs),
    ...WINDOWS.map((group) => () => windows(group, get, theirs)),
    () => inRateLimit(get("ratelimit")),
    () => regain(get("x-business-use-case-usage")),
    () => words(text),
    () => words(typeof body === "string" ? body : ""),
  ];
  for (const each of waits) {
    const ms = each();
    if (ms !== undefined && Number.isFinite(ms) && ms >= 0) return Math.min(Math.ceil(ms), MAX_WAIT_MS);
  }
  return undefined;
}

/** A plain decimal number; not what Number() takes besides: "", "0x10", "1e9", "Infinity". */
function amount(text: string): number | undefined {
  return /^\d{1,20}(\.\d{0,20})?$|^\.\d{1,20}$/.test(text) ? Number(text) : undefined;
}
function seconds(text: string): number | undefined {
  const found = largest(text, amount);
  return found === undefined ? undefined : found * 1000;
}

/** A header that came twice arrives joined by commas: the longest wait counts. */
function largest(text: string, read: (part: string) => number | undefined): number | undefined {
  const found = text.split(",").map((part) => read(part.trim()));
  return found.some((each) => each === undefined) ? undefined : Math.max(...(found as number[]));
}

/** `Retry-After`: seconds, also as a fraction (RFC 9110 knows whole ones), a date, or "1m30s". */
function wait(text: string, now: number): number | undefined {
  return seconds(text) ?? since(instant(text), now) ?? duration(text);
}

/** A time that has passed is no wait. */
function since(at: number | undefined, now: number): number | undefined {
  return at === undefined ? undefined : Math.max(0, at - now);
}

// Date.parse alone takes nearly anything: "soon 5" is May 2001 to V8.
const RFC3339 = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2})$/i;
/** The three forms of RFC 9110, section 5.6.7; the last has no zone and means GMT. */
const HTTP_DATE = /^[A-Z][a-z]{2,8}, \d{1,2}[ -][A-Z][a-z]{2}[ -](\d{2}|\d{4}) \d{2}:\d{2}:\d{2} (GMT|UTC|[+-]\d{4})$/;
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/** Unix milliseconds. */
function instant(text: string): number | undefined {
  const at = RFC3339.test(text) || HTTP_DATE.test(text) ? Date.parse(text) : ASCTIME.test(text) ? Date.parse(`${text} GMT`) : Number.NaN;
  return Number.isNaN(at) ? undefined : at;
}

/** End of a window: seconds from now (Mattermost, RateLimit drafts), Unix seconds (GitHub, Discord), Unix milliseconds (OpenRouter, Rocket.Chat), a date, or "1m30s". */
function resetIn(text: string, now: number): number | undefined {
  const number = amount(text);
  if (number === undefined) return since(instant(text), now) ?? duration(text);
  if (number < 1e9) return number * 1000;
  return Math.max(0, (number < 1e11 ? number * 1000 : number) - now);
}

/** What is left of a window, and when it begins anew. Of one group the last end counts; an earlier group goes before a later one. */
const WINDOWS: readonly (readonly (readonly [left: string, reset: string])[])[] = [
  [["x-ratelimit-remaining", "x-ratelimit-reset-after"]],   // Discord
  ["requests", "tokens"].map((what) => [`x-ratelimit-remaining-${what}`, `x-ratelimit-reset-${what}`]),   // OpenAI and those who do the same
  ["requests", "tokens", "input-tokens", "output-tokens"].map((what) => [`anthropic-ratelimit-${what}-remaining`, `anthropic-ratelimit-${what}-reset`]),
  [["anthropic-ratelimit-unified-remaining", "anthropic-ratelimit-unified-reset"]],
  [["x-ratelimit-remaining", "x-ratelimit-reset"]],
  [["x-rate-limit-remaining", "x-rate-limit-reset"]],
  [["ratelimit-remaining", "ratelimit-reset"]],
];

/** A window with something left is not what stopped us; one that does not say what is left may be. */
function windows(group: (typeof WINDOWS)[number], get: (name: string) => string, now: number): number | undefined {
  const found = group
    .filter(([left]) => !((amount(get(left)) ?? 0) > 0))
    .map(([, reset]) => resetIn(get(reset), now))
    .filter((ms) => ms !== undefined);
  return found.length === 0 ? undefined : Math.max(...found);
}

/** `RateLimit: limit=100, remaining=0, reset=50` and `"default";r=0;t=50` (IETF drafts), seconds. */
function inRateLimit(text: string): number | undefined {
  const found = /(?:^|[\s,;])(?:reset|t)=(\d{1,9})(?:$|[\s,;])/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found) * 1000;
}

/** Meta's usage header: minutes, 0 while nothing is blocked. */
function regain(text: string): number | undefined {
  const minutes = [...text.matchAll(/"estimated_time_to_regain_access"\s*:\s*(\d{1,6})(?![\d.])/g)].map((match) => Number(match[1]));
  const longest = Math.max(0, ...minutes);
  return longest === 0 ? undefined : longest * 60_000;
}

/** What a field of a body says, wherever it stands: its unit as each platform means it. */
const FIELDS: ReadonlyMap<string, (value: string, now: number) => number | undefined> = new Map([
  ["retry_after_ms", amount],   // Matrix
  ["retryAfterMs", amount],
  ["retry_after", seconds],     // Telegram (in `parameters`), Discord (a fraction)
  ["retry-after", seconds],     // Zulip
  ["retryAfter", seconds],
  ["retryDelay", duration],     // Google: "34s", "34.07s"
  ["x-ratelimit-reset", resetIn],   // OpenRouter hands on headers of its provider in the body
]);
const DEPTH = 6;
const NODES = 300;

/** The first of FIELDS in a body; looks at a few hundred values at most. */
function inBody(body: unknown, now: number): number | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  let level: readonly object[] = [body];
  let left = NODES;
  for (let depth = 0; depth < DEPTH && level.length > 0; depth++) {
    const next: object[] = [];
    for (const node of level) {
      for (const key of Object.keys(node).slice(0, NODES)) {
        if (left-- <= 0) return undefined;
        const value = (node as Record<string, unknown>)[key];
        const read = FIELDS.get(key) ?? FIELDS.get(key.toLowerCase());
        const ms = read === undefined ? undefined : typeof value === "number" || typeof value === "string" ? read(String(value).slice(0, MAX_HEADER).trim(), now) : parts(value);
        if (ms !== undefined) return ms;
        if (typeof value === "object" && value !== null) next.push(value);
      }
    }
    level = next;
  }
  return undefined;
}

/** A duration of protobuf that was written as its parts: `{ seconds: 34, nanos: 74824224 }`. */
function parts(value: unknown): number | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { seconds: whole = 0, nanos = 0 } = value as { seconds?: unknown; nanos?: unknown };
  const ms = Number(whole) * 1000 + Number(nanos) / 1e6;
  return ms > 0 ? ms : undefined;
}

const UNITS: readonly (readonly [RegExp, number])[] = [
  [/^(?:ms|milliseconds?|millis)/i, 1], [/^(?:seconds?|secs?|s)/i, 1000], [/^(?:minutes?|mins?|m)/i, 60_000], [/^(?:hours?|hrs?|h)/i, 3_600_000], [/^(?:days?|d)/i, 86_400_000],
];

/** `1m30s`, `6m0s`, `250ms`, `1.5s`, `59 seconds`, `2 minutes and 5 seconds`, `1h2m3s`. Nothing else may stand before. */
function duration(text: string): number | undefined {
  let rest = text.trimStart();
  let ms: number | undefined;
  for (;;) {
    const [whole, number] = /^(\d{1,12}(?:\.\d{1,12})?) ?/.exec(rest) ?? [];
    if (whole === undefined) return ms;
    const after = rest.slice(whole.length);
    const unit = UNITS.map(([pattern, size]) => ({ length: pattern.exec(after)?.[0].length ?? 0, size })).find(({ length }) => length > 0 && !/^[a-z]/i.test(after.slice(length)));
    if (unit === undefined) return ms;
    ms = (ms ?? 0) + Number(number) * unit.size;
    rest = after.slice(unit.length).replace(/^(?:,? and |, | )/, "");
  }
}

/** "Please try again in 20s.", "retry after 14" (seconds where no unit is said). */
function words(text: string): number | undefined {
  const rest = /\b(?:(?:try(?:ing)?(?: your request)? again|retry(?:ing)?(?: your request| again)?|available again) (?:in|after)|wait(?: for)?)(?: about| at least| approximately)?:? (?=[\d.])([\s\S]{1,80})/i.exec(text.slice(0, MAX_TEXT))?.[1];
  if (rest === undefined) return undefined;
  return duration(rest) ?? seconds(/^\d{1,9}(?:\.\d{1,9})?(?=\s*(?:$|[,;!)]|\.(?:$|\s)))/.exec(rest)?.[0] ?? "");
}
