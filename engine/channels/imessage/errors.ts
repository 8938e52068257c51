/** What the BlueBubbles server and the network say, as ChannelErrors. Its answers: { status, message, error: { type, error } }. The password is part of every address: nothing of an address reaches a text. */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";
import { retryAfter } from "../../retry-after.ts";

interface Rule { readonly status?: number; readonly says?: RegExp; readonly code: ErrorCode; readonly retry?: Retry; readonly hint?: string; readonly doubt?: true }
/** The first rule that fits wins. */
const RULES: readonly Rule[] = [
  { status: 401, code: "CONN_002", hint: "Copy the password again from the BlueBubbles server." },
  { status: 403, says: /private api/i, code: "MSG_005", hint: "Set up the Private API on the Mac, or switch it off in the account." },
  { status: 403, code: "CONN_002" },
  // The same send under way for a second time: whether it arrives, nobody knows yet.
  { says: /already queued/i, code: "CONN_001", retry: "later", doubt: true },
  { says: /timed? ?out|timeout/i, code: "CONN_001", retry: "later", doubt: true },
  { says: /private api/i, code: "MSG_005", hint: "Set up the Private API on the Mac, or switch it off in the account." },
  { says: /not (?:registered|connected) (?:with|to) iMessage|not signed in/i, code: "CONN_001", retry: "later", hint: "Sign in to Messages on the Mac." },
  { status: 404, code: "MSG_002", hint: "The chat or message is not there." },
  { status: 413, code: "MSG_003" },
  { status: 429, code: "CONN_003", retry: "later" },
  { status: 400, code: "MSG_002" },
  // "Message Send Error": Messages itself refused it, and shows it as not delivered.
  { status: 500, says: /Failed to send|Message Send Error|See attached message/i, code: "MSG_002", hint: "Messages on the Mac could not send it." },
];

export function fromAnswer(status: number, body: unknown, header: (name: string) => string | null, what: string, now: number): ChannelError {
  const { message, error } = (body ?? {}) as { message?: unknown; error?: { message?: unknown; error?: unknown } };
  const said = [message, error?.error ?? error?.message].filter((part) => typeof part === "string" && part !== "").join(": ");
  const rule = RULES.find((each) => (each.status ?? status) === status && (each.says?.test(said) ?? true));
  const text = `BlueBubbles refused ${what}: ${said === "" ? `status ${status}` : `${said.slice(0, 300)} (${status})`}.${rule?.hint === undefined ? "" : ` ${rule.hint}`}`;
  const afterMs = rule === undefined || rule.retry === "later" ? retryAfter({ header, body }, now) : undefined;
  const waits = { answered: rule?.doubt !== true, ...(afterMs === undefined ? {} : { afterMs }) };
  return rule === undefined ? new ChannelError("CONN_001", { retry: "later", ...waits }, text) : new ChannelError(rule.code, { retry: rule.retry ?? "no", ...waits }, text);
}

export function fromFault(thrown: unknown, what: string): ChannelError {
  if (thrown instanceof ChannelError) return thrown;
  if (thrown instanceof ClawError) return new ChannelError(thrown.code, { retry: thrown.retry, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, thrown.message);
  const why = codeOf(thrown) ?? (thrown instanceof DOMException ? thrown.name : "the request failed");
  return new ChannelError("CONN_001", { retry: "later", unsent: neverSent(thrown) }, `${what} did not reach the BlueBubbles server or its answer was lost: ${why}.`);
}
