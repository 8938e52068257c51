/** What Twilio and the network say, as ChannelErrors. Codes: https://www.twilio.com/docs/api/errors */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";
import { retryAfter } from "../../retry-after.ts";

interface Rule { readonly code?: readonly number[]; readonly status?: number; readonly as: ErrorCode; readonly retry?: Retry; readonly hint?: string }

/** The first rule that fits wins. */
const RULES: readonly Rule[] = [
  { code: [20003, 20005, 20006], as: "CONN_002", hint: "Copy Account SID and auth token again from the Twilio console." },
  { code: [20429, 14107, 63018, 20008], as: "CONN_003", retry: "later" },
  { code: [21610], as: "MSG_002", hint: "This person answered STOP; only their START lets messages through again." },
  { code: [63016], as: "MSG_002", hint: "More than 24 hours have passed since this person wrote: WhatsApp takes only an approved template now (draft.template with its ContentSid as name)." },
  { code: [21211, 21214, 21217, 21401, 21421, 21614, 21612, 21408, 63003, 63024], as: "MSG_002", hint: "This number cannot be reached from yours." },
  { code: [21220], as: "MSG_002", hint: "The call is over." },
  { code: [21606, 21212, 21659, 21660, 63007], as: "CONF_001", hint: "The Twilio number of this account cannot send this." },
  { code: [21617, 21605, 12300, 21623, 63021], as: "MSG_003" },
  { code: [21620, 63019, 11200], as: "MSG_002", hint: "Twilio could not fetch the file: it needs a public https address." },
  { status: 401, as: "CONN_002", hint: "Copy Account SID and auth token again from the Twilio console." },
  { status: 403, as: "CONN_002", hint: "This account may not do that." },
  { status: 404, as: "MSG_002", hint: "It is not there (any more)." },
  { status: 413, as: "MSG_003" },
  { status: 429, as: "CONN_003", retry: "later" },
  { status: 400, as: "MSG_002" },
];

/** Twilio's answer of a status that is no success; `what`: the request that failed. */
export function fromAnswer(status: number, body: unknown, header: (name: string) => string | null, what: string, now: number): ChannelError {
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
  const rule = RULES.find((each) => (each.code === undefined ? each.status === status : typeof code === "number" && each.code.includes(code)));
  const said = typeof message === "string" && message !== "" ? `${message.slice(0, 300)} (${typeof code === "number" ? code : status})` : `status ${status}`;
  const text = `Twilio refused ${what}: ${said}.${rule?.hint === undefined ? "" : ` ${rule.hint}`}`;
  const afterMs = rule === undefined || rule.retry === "later" ? retryAfter({ header, body }, now) : undefined;
  // Its own "no", a 5xx as well, is taken at its word: nothing was posted.
  const waits = { answered: true, ...(afterMs === undefined ? {} : { afterMs }) };
  return rule === undefined ? new ChannelError("CONN_001", { retry: "later", ...waits }, text) : new ChannelError(rule.as, { retry: rule.retry ?? "no", ...waits }, text);
}

/** No answer came. */
export function fromFault(thrown: unknown, what: string): ChannelError {
  if (thrown instanceof ChannelError) return thrown;
  if (thrown instanceof ClawError) return new ChannelError(thrown.code, { retry: thrown.retry, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, thrown.message);
  const why = codeOf(thrown) ?? (thrown instanceof Error ? thrown.message : String(thrown));
  return new ChannelError("CONN_001", { retry: "later", unsent: neverSent(thrown) }, `${what} did not reach Twilio or its answer was lost: ${why}.`);
}
