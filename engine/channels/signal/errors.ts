/** What signal-cli-rest-api, signal-cli behind it, and the network say, as ChannelErrors. Texts: their sources (client.go, signal-cli's SendMessageResult and exceptions). */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";
import { retryAfter } from "../../retry-after.ts";

interface Rule { readonly status?: number; readonly says?: RegExp; readonly code: ErrorCode; readonly retry?: Retry; readonly hint?: string; readonly doubt?: true }
/** The first rule that fits wins. Nearly every fault has status 400. */
const RULES: readonly Rule[] = [
  { status: 401, code: "CONN_002", hint: "Check the bearer token." },
  { status: 403, code: "CONN_002", hint: "Check the bearer token." },
  { status: 429, code: "CONN_003", retry: "later", hint: "Signal wants a captcha to be solved: see the challenge in the server's log, and /v1/accounts/{number}/rate-limit-challenge." },
  { says: /rate ?limit|RateLimit|captcha/i, code: "CONN_003", retry: "later" },
  { says: /not registered|User .* is not registered|Specified account does not exist|AuthorizationFailed|unlinked|DeviceLink/i, code: "CONN_002", hint: "Register or link the number at the server again." },
  { says: /Unregistered user|UNREGISTERED|Invalid recipient|Invalid identifier|Invalid group|GROUP_NOT_FOUND|not a member|NotAGroupMember|untrusted identity|IdentityFailure/i, code: "MSG_002", hint: "This person or group cannot be reached; after a new phone, trust the identity at the server." },
  { says: /too large|exceeds|AttachmentInvalid|attachment.*(size|large)/i, code: "MSG_003" },
  { says: /timed? ?out|TimeoutException|websocket|Connection|IOException|temporarily|closed/i, code: "CONN_001", retry: "later", doubt: true },
  { status: 404, code: "MSG_002", hint: "It is not there (any more)." },
  { status: 413, code: "MSG_003" },
  { status: 400, code: "MSG_002" },
];

export function fromAnswer(status: number, body: unknown, header: (name: string) => string | null, what: string, now: number): ChannelError {
  const { error, message } = (body ?? {}) as { error?: unknown; message?: unknown };
  const said = typeof error === "string" ? error : typeof message === "string" ? message : "";
  const rule = RULES.find((each) => (each.status ?? status) === status && (each.says?.test(said) ?? true));
  const text = `signal-cli-rest-api refused ${what}: ${said === "" ? `status ${status}` : `${said.slice(0, 300).trim()} (${status})`}.${rule?.hint === undefined ? "" : ` ${rule.hint}`}`;
  const afterMs = rule === undefined || rule.retry === "later" ? retryAfter({ header, body }, now) : undefined;
  // The server can lose signal-cli in the middle of a send: then nobody knows.
  const waits = { answered: rule?.doubt !== true, ...(afterMs === undefined ? {} : { afterMs }) };
  return rule === undefined ? new ChannelError("CONN_001", { retry: "later", ...waits }, text) : new ChannelError(rule.code, { retry: rule.retry ?? "no", ...waits }, text);
}

export function fromFault(thrown: unknown, what: string): ChannelError {
  if (thrown instanceof ChannelError) return thrown;
  if (thrown instanceof ClawError) return new ChannelError(thrown.code, { retry: thrown.retry, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, thrown.message);
  const why = codeOf(thrown) ?? (thrown instanceof Error ? thrown.message : String(thrown));
  return new ChannelError("CONN_001", { retry: "later", unsent: neverSent(thrown) }, `${what} did not reach signal-cli-rest-api or its answer was lost: ${why}.`);
}
