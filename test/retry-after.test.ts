/** Every form in which a platform or a provider says how long to wait, and what must not be believed. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { type Answered, MAX_WAIT_MS, retryAfter } from "../engine/retry-after.ts";

const NOW = Date.UTC(2026, 9, 3, 12, 0, 0);
const at = (ms: number): Date => new Date(NOW + ms);
const epoch = (ms: number): string => String((NOW + ms) / 1000);

type Headers = Readonly<Record<string, string>>;
type Row = readonly [about: string, said: { readonly headers?: Headers; readonly body?: unknown; readonly text?: string }, ms: number | undefined];
const header = (about: string, headers: Headers, ms: number | undefined): Row => [about, { headers }, ms];
const body = (about: string, said: unknown, ms: number | undefined): Row => [about, { body: said }, ms];
const text = (said: string, ms: number | undefined): Row => [`"${said.slice(0, 60)}"`, { text: said }, ms];

const SAID: readonly Row[] = [
  header("whole seconds", { "retry-after": "20" }, 20_000),
  header("no seconds", { "retry-after": "0" }, 0),
  header("a fraction of seconds", { "retry-after": "1.337" }, 1337),
  header("a fraction without a whole", { "retry-after": ".5" }, 500),
  header("parts of a millisecond, rounded up", { "retry-after": "0.0001" }, 1),
  header("an hour", { "retry-after": "3600" }, 3_600_000),
  header("blanks around", { "retry-after": "  7 " }, 7_000),
  header("the header twice: the longer", { "retry-after": "5, 120" }, 120_000),
  header("an HTTP date", { "retry-after": at(90_000).toUTCString() }, 90_000),
  header("an HTTP date that has passed", { "retry-after": at(-90_000).toUTCString() }, 0),
  header("an HTTP date, by the sender's own clock", { date: at(-7_200_000).toUTCString(), "retry-after": at(-7_170_000).toUTCString() }, 30_000),
  header("the old form of RFC 850", { "retry-after": "Saturday, 03-Oct-26 12:01:00 GMT" }, 60_000),
  header("the form of asctime, which means GMT", { "retry-after": "Sat Oct  3 12:01:00 2026" }, 60_000),
  header("RFC 3339", { "retry-after": "2026-10-03T12:00:45Z" }, 45_000),
  header("a duration with its unit", { "retry-after": "1m30s" }, 90_000),
  header("milliseconds (OpenAI, Azure)", { "retry-after-ms": "250" }, 250),
  header("milliseconds go before seconds", { "retry-after-ms": "250", "retry-after": "9" }, 250),
  header("a fraction of milliseconds", { "retry-after-ms": "1234.5" }, 1235),
  header("milliseconds (Azure)", { "x-ms-retry-after-ms": "4000" }, 4_000),
  header("unreadable milliseconds leave the seconds", { "retry-after-ms": "soon", "retry-after": "9" }, 9_000),
  header("Discord's reset-after", { "x-ratelimit-reset-after": "64.57", "x-ratelimit-remaining": "0" }, 64_570),
  header("Discord's reset-after goes before its reset", { "x-ratelimit-reset-after": "2.5", "x-ratelimit-reset": epoch(9_000) }, 2_500),
  header("Unix seconds (GitHub, Discord)", { "x-ratelimit-reset": epoch(30_000) }, 30_000),
  header("Unix seconds with a fraction (Discord)", { "x-ratelimit-reset": epoch(1_250) }, 1_250),
  header("Unix milliseconds (OpenRouter, Rocket.Chat)", { "x-ratelimit-reset": String(NOW + 12_345) }, 12_345),
  header("Unix seconds by the sender's own clock", { date: at(86_400_000 * 3).toUTCString(), "x-ratelimit-reset": epoch(86_400_000 * 3 + 5_000) }, 5_000),
  header("Unix seconds that have passed", { "x-ratelimit-reset": epoch(-30_000) }, 0),
  header("seconds from now (Mattermost)", { "x-ratelimit-reset": "1" }, 1_000),
  header("Unix seconds under another name (Okta)", { "x-rate-limit-reset": epoch(8_000) }, 8_000),
  header("the first draft of the IETF", { "ratelimit-reset": "50" }, 50_000),
  header("the second draft", { ratelimit: "limit=100, remaining=0, reset=50" }, 50_000),
  header("the third draft", { ratelimit: '"default";r=0;t=7' }, 7_000),
  header("a window that has something left is not what stopped us", { "x-ratelimit-remaining": "12", "x-ratelimit-reset": epoch(3_600_000) }, undefined),
  header("OpenAI's 1m30s", { "x-ratelimit-reset-requests": "1m30s" }, 90_000),
  header("OpenAI's 250ms", { "x-ratelimit-reset-requests": "250ms" }, 250),
  header("OpenAI's 6m0s", { "x-ratelimit-reset-tokens": "6m0s" }, 360_000),
  header("OpenAI's 1h2m3.5s", { "x-ratelimit-reset-tokens": "1h2m3.5s" }, 3_723_500),
  header("of two windows the one that is used up", { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "8.64s", "x-ratelimit-remaining-tokens": "149984", "x-ratelimit-reset-tokens": "6m0s" }, 8_640),
  header("of two used-up windows the later end", { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "8.64s", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s" }, 360_000),
  header("Anthropic's RFC 3339", { "anthropic-ratelimit-input-tokens-remaining": "0", "anthropic-ratelimit-input-tokens-reset": "2026-10-03T12:00:17Z", "anthropic-ratelimit-requests-remaining": "49", "anthropic-ratelimit-requests-reset": "2026-10-03T12:05:00Z" }, 17_000),
  header("Anthropic's retry-after goes before its windows", { "retry-after": "3", "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-10-03T12:00:17Z" }, 3_000),
  header("Anthropic's Unix seconds", { "anthropic-ratelimit-unified-reset": epoch(600_000) }, 600_000),
  header("Meta's minutes", { "x-business-use-case-usage": '{"1":[{"type":"messages","call_count":100,"estimated_time_to_regain_access":5}]}' }, 300_000),
  header("Meta while nothing is blocked", { "x-business-use-case-usage": '{"1":[{"type":"messages","estimated_time_to_regain_access":0}]}' }, undefined),
  body("Telegram", { ok: false, error_code: 429, description: "Too Many Requests: retry after 14", parameters: { retry_after: 14 } }, 14_000),
  body("Telegram, 0", { parameters: { retry_after: 0 } }, 0),
  body("Discord", { message: "You are being rate limited.", retry_after: 64.57, global: false }, 64_570),
  body("Discord's short one", { retry_after: 0.0005, global: true }, 1),
  body("Matrix", { errcode: "M_LIMIT_EXCEEDED", error: "Too many requests", retry_after_ms: 2_000 }, 2_000),
  body("Zulip", { result: "error", code: "RATE_LIMIT_HIT", "retry-after": 28.706807374954224 }, 28_707),
  body("Google's RetryInfo", [{ error: { code: 429, details: [{ "@type": "type.googleapis.com/google.rpc.QuotaFailure", violations: [] }, { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "34s" }] } }], 34_000),
  body("Google's RetryInfo with a fraction", { details: [{ retryDelay: "34.074824224s" }] }, 34_075),
  body("Google's RetryInfo in parts", { details: [{ retryDelay: { seconds: "34", nanos: 500_000_000 } }] }, 34_500),
  body("OpenRouter's headers of its provider", { error: { code: 429, metadata: { headers: { "X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": String(NOW + 41_000) } } } }, 41_000),
  body("a number written as text", { retry_after: "15" }, 15_000),
  body("plain words", "Rate limited, please try again in 3s", 3_000),
  ["a header goes before the body", { headers: { "retry-after": "2" }, body: { retry_after: 9 } }, 2_000],
  ["the body goes before the end of a window", { headers: { "x-ratelimit-reset": epoch(9_000) }, body: { retry_after: 2 } }, 2_000],
  text("Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s. Visit the site.", 2_000),
  text("Please try again in 6m0s.", 360_000),
  text("try again in 1.2s", 1_200),
  text("Please try again in 20ms", 20),
  text("Please retry after 59 seconds.", 59_000),
  text("Too Many Requests: retry after 14", 14_000),
  text("Please retry in 34.074824224s.", 34_075),
  text("Please wait for 2 minutes and 5 seconds.", 125_000),
  text("Wait 10 seconds", 10_000),
  text("available again in 1 hour, 1 minute", 3_660_000),
  text("Please try again later.", undefined),
  text("I shall retry 3 times; limit 20, try 5", undefined),
  text("try again in 5 months", undefined),
];

const HOSTILE: readonly Row[] = [
  header("nothing", {}, undefined),
  header("an empty header", { "retry-after": "" }, undefined),
  header("a negative wait", { "retry-after": "-5" }, undefined),
  header("negative milliseconds", { "retry-after-ms": "-1" }, undefined),
  header("NaN", { "retry-after": "NaN" }, undefined),
  header("Infinity", { "retry-after": "Infinity" }, undefined),
  header("an exponent", { "retry-after": "1e9" }, undefined),
  header("a hexadecimal number", { "retry-after": "0x10" }, undefined),
  header("a year of seconds", { "retry-after": "31536000" }, MAX_WAIT_MS),
  header("more seconds than a number holds", { "retry-after": "9".repeat(400) }, undefined),
  header("twenty digits", { "retry-after": "9".repeat(20) }, MAX_WAIT_MS),
  header("a date in the year 9999", { "retry-after": "Fri, 31 Dec 9999 23:59:59 GMT" }, MAX_WAIT_MS),
  header("a date that is none", { "retry-after": "Sat, 99 Oct 2026 99:99:99 GMT" }, undefined),
  header("words that Date.parse takes for a date", { "retry-after": "soon 5" }, undefined),
  header("other digits", { "retry-after": "١٢" }, undefined),
  header("a megabyte", { "retry-after": "1".repeat(1_000_000) }, undefined),
  header("a Date header of nonsense leaves our clock", { date: "yesterday", "retry-after": at(10_000).toUTCString() }, 10_000),
  header("a reset at the end of time", { "x-ratelimit-reset": "99999999999999999999" }, MAX_WAIT_MS),
  header("a reset in 1970", { "x-ratelimit-reset": "1000000000" }, 0),
  header("a unit that is none", { "x-ratelimit-reset-requests": "5 bananas" }, undefined),
  header("a duration of years", { "x-ratelimit-reset-requests": "999999999999d" }, MAX_WAIT_MS),
  body("null", null, undefined),
  body("a number", 5, undefined),
  body("a negative wait", { retry_after: -3 }, undefined),
  body("no number", { retry_after: Number.NaN }, undefined),
  body("no end", { retry_after: Number.POSITIVE_INFINITY }, undefined),
  body("an absurd number", { retry_after: 1e12 }, MAX_WAIT_MS),
  body("an object for a number", { retry_after: { toString: "x" } }, undefined),
  body("a list for a number", { retry_after: [5] }, undefined),
  body("true", { retry_after: true }, undefined),
  body("a wait that is no good leaves the next", { retry_after: "soon", parameters: { retry_after: 4 } }, 4_000),
  body("names of every object", JSON.parse('{"constructor":5,"toString":"7","__proto__":{"retry_after":9},"hasOwnProperty":1}'), 9_000),
  body("a prototype that was changed", Object.create({ retry_after: 9 }), undefined),
  body("parts of a delay that are no numbers", { retryDelay: { seconds: "x", nanos: {} } }, undefined),
  body("negative parts of a delay", { retryDelay: { seconds: -5 } }, undefined),
  body("a delay that lies deeper than anybody writes it", nested(40, { retry_after: 5 }), undefined),
  body("a delay behind a hundred thousand fields", { ...Object.fromEntries(Array.from({ length: 100_000 }, (_, n) => [`f${n}`, n])), retry_after: 5 }, undefined),
  text("", undefined),
  text(`try again in ${"9".repeat(100_000)}s`, undefined),
  text(`${"retry ".repeat(100_000)}after 5s`, undefined),
  text("try again in ....5s", undefined),
  text("try again in -5s", undefined),
];

function nested(depth: number, value: unknown): unknown {
  return depth === 0 ? value : { inner: nested(depth - 1, value) };
}
function read({ headers = {}, ...rest }: Row[1]): number | undefined {
  return retryAfter({ header: (name) => headers[name] ?? null, ...rest }, NOW);
}

describe("retryAfter", () => {
  describe("reads", () => {
    for (const [about, said, ms] of SAID) it(`${about} → ${ms === undefined ? "nothing" : `${ms} ms`}`, () => assert.equal(read(said), ms));
  });

  describe("is not taken in by", () => {
    for (const [about, said, ms] of HOSTILE) it(`${about} → ${ms === undefined ? "nothing" : `${ms} ms`}`, () => assert.equal(read(said), ms));
  });

  it("gives a whole number from 0 to a day or nothing, whatever comes, and never throws", () => {
    const names = ["date", "retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-after", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset", "ratelimit", "x-business-use-case-usage"];
    const value = fc.oneof(fc.string(), fc.double().map(String), fc.integer().map(String), fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()), fc.date({ noInvalidDate: true }).map((date) => date.toISOString()), fc.stringMatching(/^\d{1,4}[hms]{1,2}\d{0,3}[hms]?$/));
    const headers = fc.dictionary(fc.constantFrom(...names), value);
    const field = fc.dictionary(fc.constantFrom("retry_after", "retry_after_ms", "retryDelay", "retry-after", "X-RateLimit-Reset"), fc.oneof(fc.double(), fc.string(), fc.jsonValue()));
    let read = 0;
    fc.assert(fc.property(headers, fc.oneof(fc.jsonValue(), field), fc.string(), fc.integer(), (said, json, words, now) => {
      const answered: Answered = { header: (name) => said[name] ?? null, body: json, text: words };
      const ms = retryAfter(answered, now);
      if (ms === undefined) return;
      read++;
      assert.ok(Number.isSafeInteger(ms) && ms >= 0 && ms <= MAX_WAIT_MS, String(ms));
    }), { numRuns: 3_000 });
    assert.ok(read > 100, `only ${read} were read at all`);
  });
});
