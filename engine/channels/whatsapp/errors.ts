/** What the Graph API and the network say, as ChannelErrors. */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";
import { type Answered, retryAfter } from "../../retry-after.ts";

interface Rule {
  readonly codes: readonly number[];
  readonly subcode?: number;
  readonly says?: RegExp;
  readonly code: ErrorCode;
  readonly retry?: Retry;
  /** Wait where the answer names none. */
  readonly afterMs?: number;
  readonly hint?: string;
}

export const WINDOW_HINT = "Expected a message of this person within the last 24 hours, got none: WhatsApp takes nothing but an approved template then. Send a draft with template: { name, language, values }, and free text again once the person has answered.";
const TOKEN_HINT = "Make a new access token of a system user and copy it into the account.";
const RIGHT_HINT = "Give the token the permissions whatsapp_business_messaging and whatsapp_business_management, and its system user the WhatsApp account.";
const NUMBER_HINT = "Compare the phone number id with WhatsApp Manager, API setup; it is no phone number.";
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index);
const MINUTE = 60_000;

/** The first rule that fits wins. …/whatsapp/support/error-codes; what a limit waits where Meta names no time is said there, or a guess on the long side. */
const RULES: readonly Rule[] = [
  { codes: [131047], code: "MSG_002", hint: WINDOW_HINT },
  { codes: [0, 102, 190], code: "CONN_002", hint: TOKEN_HINT },
  { codes: [3, 10, 131005, ...range(200, 299)], code: "CONN_002", hint: RIGHT_HINT },
  { codes: [100], subcode: 33, code: "CONF_001", hint: NUMBER_HINT },
  { codes: [33, 133010, 131045], code: "CONF_001", hint: "The phone number is gone or not registered for the Cloud API. Register it in WhatsApp Manager." },
  { codes: [100, 131009, 132005, 131053], says: /too long|too large|too big|at most|exceed|maximum|length/i, code: "MSG_003" },
  // Pair limit: one message in 6 seconds to the same person, with bursts.
  { codes: [131056], code: "CONN_003", retry: "later", afterMs: 6_000, hint: "Too many messages to this person in a short time." },
  { codes: [130429], code: "CONN_003", retry: "later", afterMs: 2_000 },
  { codes: [4, 17, 32, 613, 80007], code: "CONN_003", retry: "later", afterMs: MINUTE },
  { codes: [131048, 131064], code: "CONN_003", retry: "later", afterMs: 60 * MINUTE, hint: "Too many messages of this number were blocked or reported, or its daily limit is reached. See its quality in WhatsApp Manager." },
  { codes: [133016], code: "CONN_003", retry: "later", afterMs: 60 * MINUTE },
  { codes: [1, 2, 131000, 131016, 131057], code: "CONN_001", retry: "later" },
  { codes: [131026], code: "MSG_002", hint: "This number is not on WhatsApp, has an old version, or has not accepted the terms; or the person has blocked you." },
  { codes: [131030], code: "MSG_002", hint: "A test number writes only to the people on its list. Add this one in the app's API setup." },
  { codes: [131021], code: "MSG_002", hint: "The number cannot write to itself." },
  { codes: [131042, 131044], code: "MSG_002", hint: "Something is wrong with the payment method. Mend it in WhatsApp Manager, Payment settings." },
  { codes: [131049, 130472, 131050, 131063], code: "MSG_002", hint: "Meta holds back marketing templates here: too many for this person, stopped by them, or part of an experiment." },
  { codes: [368, 131031, 130497], code: "MSG_002", hint: "Meta has restricted this business account. See Business Support Home for why." },
  { codes: [131037], code: "CONF_001", hint: "The number needs an approved display name first." },
  { codes: [131051], code: "MSG_005" },
  { codes: [131062], code: "MSG_005", hint: "This kind of message needs the person's phone number." },
  { codes: [131052, 131053], code: "MSG_002", hint: "WhatsApp could not use the file; its content has to be of the type that its name says." },
  { codes: [132000, 132012], code: "MSG_002", hint: "The values do not fit the gaps of the template: as many texts, in order, as it has." },
  { codes: [132001], code: "MSG_002", hint: "No approved template has this name in this language. Names and languages stand in WhatsApp Manager, Message templates." },
  { codes: [132005], code: "MSG_003" },
  { codes: [132007, 132008, 132015, 132016, 132068, 132069], code: "MSG_002", hint: "See the template in WhatsApp Manager." },
];

export interface GraphError { readonly message: string; readonly code: number; readonly error_subcode?: number; readonly error_data?: { readonly details?: string }; readonly is_transient?: boolean }

/** The Graph API's own words in a body, if it is one of its errors. */
export function graphErrorIn(body: unknown): GraphError | undefined {
  const error = (body as { error?: Partial<GraphError> } | null | undefined)?.error;
  return typeof error === "object" && error !== null && typeof error.code === "number" ? { ...error, code: error.code, message: typeof error.message === "string" ? error.message : "no reason given" } : undefined;
}

/** An answer that is no success. `what`: what was asked. `token`: Meta repeats it ("Malformed access token …"); it is taken out. */
export function fromAnswer(status: number, error: GraphError, answered: Answered, what: string, token: string, now: number): ChannelError {
  const details = typeof error.error_data?.details === "string" ? error.error_data.details : "";
  const words = hide(details === "" || error.message.includes(details) ? error.message : `${error.message} ${details}`, token).slice(0, 500);
  const rule = RULES.find((each) => each.codes.includes(error.code) && (each.subcode ?? error.error_subcode) === error.error_subcode && (each.says?.test(words) ?? true));
  const text = `WhatsApp refused ${what}: ${words} (${error.code}).${rule?.hint === undefined ? "" : ` ${rule.hint}`}`;
  const passes = error.is_transient === true || status >= 500 || status === 429;
  if (rule === undefined && !passes) return new ChannelError("MSG_002", { answered: true }, text);
  const code = rule?.code ?? (status === 429 ? "CONN_003" : "CONN_001");
  const retry = rule === undefined ? "later" : (rule.retry ?? "no");
  const afterMs = retry === "later" ? (retryAfter(answered, now) ?? rule?.afterMs) : undefined;
  return new ChannelError(code, { retry, answered: true, ...(afterMs === undefined ? {} : { afterMs }) }, text);
}

/** What a status webhook says of a message that was taken and failed afterwards. */
export function fromStatusError(error: GraphError): ChannelError {
  return fromAnswer(200, error, {}, "the message", "", 0);
}

/** An answer in other words than the Graph API's: of a proxy, or of a server in front. It says that the request failed, and is believed. */
export function foreignAnswer(status: number, answered: Answered, now: number): ChannelError {
  const text = `Expected an answer of the Graph API, got status ${status} from something that stands before it.`;
  if (status === 413) return new ChannelError("MSG_003", { answered: true }, text);
  const afterMs = retryAfter(answered, now);
  return new ChannelError(status === 429 ? "CONN_003" : "CONN_001", { retry: "later", answered: true, ...(afterMs === undefined ? {} : { afterMs }) }, text);
}

/** What was thrown while the request was under way. */
export function fromThrown(thrown: unknown, what: string, token: string): ChannelError {
  if (thrown instanceof ChannelError) return thrown;
  if (thrown instanceof ClawError) return new ChannelError(thrown.code, { retry: thrown.retry, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, hide(thrown.message, token));
  const text = codeOf(thrown) ?? hide(thrown instanceof Error ? thrown.message : String(thrown), token);
  return new ChannelError("CONN_001", { retry: "later", unsent: neverSent(thrown) }, `${what} did not reach WhatsApp or its answer was lost: ${text}.`);
}

function hide(text: string, token: string): string {
  return (token === "" ? text : text.replaceAll(token, "<token>").replaceAll(encodeURIComponent(token), "<token>")).replace(/\bEAA[\w-]{10,}/g, "<token>");
}
