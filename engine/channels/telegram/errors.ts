/** What Telegram and the network say, as ChannelErrors. The token is part of every address: nothing of an address ever reaches a text. */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";
import { type Answered, retryAfter } from "../../retry-after.ts";

interface Rule {
  readonly status?: number;
  readonly says?: RegExp;
  readonly code: ErrorCode;
  readonly retry?: Retry;
  readonly markup?: true;
  readonly hint?: string;
}

/** The first rule that fits wins. Descriptions as the Bot API server writes them (tdlib/telegram-bot-api, Client.cpp). */
const RULES: readonly Rule[] = [
  { status: 401, code: "CONN_002", hint: "Copy the token again from @BotFather." },
  { status: 404, says: /method/i, code: "MSG_005", hint: "This Bot API server is older than the method." },
  { status: 404, says: /chat|user|message|thread|topic/i, code: "MSG_002" },
  { status: 404, code: "CONN_002", hint: "Copy the token again from @BotFather." },
  { status: 409, code: "CONN_005", retry: "later" },
  { status: 429, code: "CONN_003", retry: "later" },
  { status: 403, code: "MSG_002", hint: "The bot was blocked, removed, or may not write here." },
  { status: 413, code: "MSG_003" },
  // Of the many things Telegram "can't parse" only entities are ours to leave out; a keyboard or a poll stays what it is.
  { status: 400, says: /can't parse (?:message |caption )?entit|unsupported (?:start|end) tag|ENTITY_|ENTITIES_/i, code: "MSG_002", markup: true },
  { status: 400, says: /too (?:long|big|large)|_TOO_LONG|BUTTON_DATA_INVALID/i, code: "MSG_003" },
  { status: 400, says: /REACTION_INVALID|REACTIONS_TOO_MANY/, code: "MSG_005", hint: "Telegram allows a fixed list of reactions, and a group may allow fewer." },
  { status: 400, says: /query is too old|query ID is invalid|QUERY_ID_INVALID/i, code: "MSG_002", hint: "Telegram waits some seconds for the answer to an inline query, and takes one." },
  { status: 400, says: /bad webhook/i, code: "CONF_001", hint: "Telegram needs a public https address on port 443, 80, 88 or 8443." },
  { status: 400, says: /HTTP URL|web page content|file identifier/i, code: "MSG_002", hint: "Telegram could not fetch this file itself; hand the file over instead of its address." },
  { status: 400, code: "MSG_002" },
];

export interface Answer { readonly ok?: false; readonly error_code: number; readonly description: string; readonly parameters?: { readonly retry_after?: number; readonly migrate_to_chat_id?: number } }

/** The Bot API's own answer inside what grammY throws, if it is one. */
export function answerIn(thrown: unknown): Answer | undefined {
  const { error_code, description } = (thrown ?? {}) as Partial<Answer>;
  return typeof error_code === "number" && typeof description === "string" ? (thrown as Answer) : undefined;
}

/** `what`: the method that failed. `token`: taken out of any text that might hold it. */
export function toChannelError(thrown: unknown, what: string, token: string): ChannelError {
  const answer = answerIn(thrown);
  if (answer !== undefined) return fromAnswer(answer, what, token);
  const inner = (thrown as { error?: unknown } | undefined)?.error ?? thrown;
  if (inner instanceof ChannelError) return inner;
  if (inner instanceof ClawError) return new ChannelError(inner.code, { retry: inner.retry, ...(inner.afterMs === undefined ? {} : { afterMs: inner.afterMs }) }, hide(inner.message, token));
  const code = codeOf(inner);
  const text = code ?? (inner instanceof SyntaxError ? "the answer was not JSON, so it did not come from Telegram" : hide(inner instanceof Error ? inner.message : String(inner), token));
  return new ChannelError("CONN_001", { retry: "later", unsent: neverSent(inner) }, `${what} did not reach Telegram or its answer was lost: ${text}.`);
}

function fromAnswer({ error_code: status, description, parameters }: Answer, what: string, token: string): ChannelError {
  const rule = RULES.find((each) => (each.status ?? status) === status && (each.says?.test(description) ?? true));
  const text = `Telegram refused ${what}: ${hide(description, token)} (${status}).${rule?.hint === undefined ? "" : ` ${rule.hint}`}`;
  // The answer names its wait in seconds from now: no clock is needed.
  const afterMs = rule === undefined || rule.retry === "later" ? retryAfter({ body: parameters, text: description }, 0) : undefined;
  // Its own "no", a 5xx as well, is taken at its word: nothing was posted. A platform in trouble for minutes would cost every answer else.
  const waits = { answered: true, ...(afterMs === undefined ? {} : { afterMs }) };
  // What no rule knows is a server in trouble (5xx): it may pass.
  if (rule === undefined) return new ChannelError("CONN_001", { retry: "later", ...waits }, text);
  return new ChannelError(rule.code, { retry: rule.retry ?? "no", markup: rule.markup ?? false, ...waits }, text);
}

/** An answer in other words than the Bot API's: of a proxy, or of a web server in front of an own Bot API server. It says that the request failed, and is believed. */
export function foreignAnswer(status: number, answered: Answered, now: number): ChannelError {
  const text = `Expected an answer of Telegram, got status ${status} from something that stands before it.`;
  if (status === 413) return new ChannelError("MSG_003", { answered: true }, text);
  const afterMs = retryAfter(answered, now);
  return new ChannelError(status === 429 ? "CONN_003" : "CONN_001", { retry: "later", answered: true, ...(afterMs === undefined ? {} : { afterMs }) }, text);
}

function hide(text: string, token: string): string {
  return token === "" ? text : text.replaceAll(token, "<token>").replaceAll(encodeURIComponent(token), "<token>").replace(/\/bot[^/\s]+\//g, "/bot<token>/");
}
