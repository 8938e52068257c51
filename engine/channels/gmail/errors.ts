/** What Google and the network say, as ChannelErrors. https://developers.google.com/gmail/api/guides/handle-errors, RFC 6749 (5.2) for tokens. */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";
import { retryAfter } from "../../retry-after.ts";

interface Rule { readonly status?: number; readonly says?: RegExp; readonly as: ErrorCode; readonly retry?: Retry; readonly afterMs?: number; readonly hint?: string }
/** The first rule that fits wins. `says` is matched against reason, state and words together. */
const RULES: readonly Rule[] = [
  { says: /invalid_grant/, as: "CONN_002", hint: "Get a new refresh token. One of an app in the state Testing ends after 7 days: publish the app." },
  { says: /invalid_client|unauthorized_client|deleted_client/, as: "CONN_002", hint: "Copy client ID and client secret again." },
  { says: /dailyLimitExceeded|quotaExceeded/i, as: "CONN_003", retry: "later", afterMs: 600_000 },
  { says: /rateLimitExceeded|RESOURCE_EXHAUSTED|too many (?:concurrent )?requests/i, as: "CONN_003", retry: "later", afterMs: 10_000 },
  { status: 429, as: "CONN_003", retry: "later", afterMs: 10_000 },
  { says: /accessNotConfigured|SERVICE_DISABLED/, as: "CONN_002", hint: "Enable the Gmail API in the Google Cloud project." },
  { says: /insufficientPermissions|ACCESS_TOKEN_SCOPE_INSUFFICIENT/i, as: "CONN_002", hint: "Get the refresh token again, with the scope https://www.googleapis.com/auth/gmail.modify." },
  { status: 401, as: "CONN_002", hint: "Get a new refresh token." },
  { says: /mail service not enabled|domainPolicy/i, as: "CONN_002", hint: "This Google account has no Gmail, or its administrator does not let the app in." },
  { status: 403, as: "CONN_002", hint: "This account may not do that." },
  { says: /too (?:large|big)|uploadTooLarge|size limit/i, as: "MSG_003" },
  { status: 413, as: "MSG_003" },
  { status: 404, as: "MSG_002", hint: "It is not there (any more)." },
  { status: 400, as: "MSG_002" },
];

/** An answer of a status that is no success; `what`: the request that failed. */
export function fromAnswer(status: number, body: unknown, header: (name: string) => string | null, what: string, now: number): ChannelError {
  const said = wordsOf(body);
  const rule = RULES.find((each) => (each.status ?? status) === status && (each.says?.test(said) ?? true));
  const text = `Google refused ${what}: ${said === "" ? "" : `${said} `}(${status}).${rule?.hint === undefined ? "" : ` ${rule.hint}`}`;
  const later = rule === undefined || rule.retry === "later";
  const afterMs = later ? (until(said, now) ?? retryAfter({ header, body }, now) ?? rule?.afterMs) : undefined;
  return new ChannelError(rule?.as ?? "CONN_001", { retry: later ? "later" : "no", answered: true, ...(afterMs === undefined ? {} : { afterMs }) }, text);
}

/** Reason, state and words, in Google's form and in that of its OAuth server. */
function wordsOf(body: unknown): string {
  const { error, error_description: description } = (body ?? {}) as { error?: unknown; error_description?: unknown };
  const { message, status, errors, details } = (typeof error === "object" && error !== null ? error : {}) as { message?: unknown; status?: unknown; errors?: unknown; details?: unknown };
  const reasons = [errors, details].flatMap((list): unknown[] => (Array.isArray(list) ? list : [])).map((each) => (each as { reason?: unknown } | null)?.reason);
  return [error, ...reasons, status, message, description].filter((each): each is string => typeof each === "string" && each !== "").join(": ").slice(0, 300);
}
/** "Retry after 2026-11-28T10:00:00.000Z" stands in the words of limits of a user. */
function until(said: string, now: number): number | undefined {
  const at = Date.parse(/retry after (\d{4}-\d\d-\d\dT[\d:.]+Z)/i.exec(said)?.[1] ?? "");
  return Number.isNaN(at) ? undefined : Math.min(86_400_000, Math.max(1_000, at - now));
}

/** No answer came. */
export function fromFault(thrown: unknown, what: string): ChannelError {
  if (thrown instanceof ChannelError) return thrown;
  if (thrown instanceof ClawError) return new ChannelError(thrown.code, { retry: thrown.retry, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, thrown.message);
  const why = codeOf(thrown) ?? (thrown instanceof Error ? thrown.message : String(thrown));
  return new ChannelError("CONN_001", { retry: "later", unsent: neverSent(thrown) }, `${what} did not reach Google or its answer was lost: ${why}.`);
}
