/** What Telegram and the network say, as ChannelErrors. The token is part of every address: nothing of an address ever reaches a text. */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";

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
  { status: 404, code: "CONN_002", hint: "Copy the token again from @BotFather." },
  { status: 409, code: "CONN_005", retry: "later" },
  { status: 429, code: "CONN_003", retry: "later" },
  { status: 403, code: "MSG_002", hint: "The bot was blocked, removed, or may not write here." },
  { status: 413, code: "MSG_003" },
  { says: /can't parse|unsupported (?:start|end) tag|ENTITY_|ENTITIES_/i, code: "MSG_002", markup: true },
  { says: /too (?:long|big|large)|_TOO_LONG|BUTTON_DATA_INVALID/i, code: "MSG_003" },
  { says: /REACTION_INVALID|REACTIONS_TOO_MANY/, code: "MSG_005", hint: "Telegram allows a fixed list of reactions, and a group may allow fewer." },
  { says: /bad webhook/i, code: "CONF_001", hint: "Telegram needs a public https address on port 443, 80, 88 or 8443." },
  { says: /HTTP URL|web page content|file identifier/i, code: "MSG_002", hint: "Telegram could not fetch this file itself; hand the file over instead of its address." },
  { status: 400, code: "MSG_002" },
];

interface Answer { readonly error_code: number; readonly description: string; readonly parameters?: { readonly retry_after?: number; readonly migrate_to_chat_id?: number } }

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
  if (rule === undefined) return new ChannelError("CONN_001", { retry: "later" }, text);
  const wait = parameters?.retry_after;
  return new ChannelError(rule.code, {
    retry: rule.retry ?? "no",
    markup: rule.markup ?? false,
    ...(rule.retry === "later" && typeof wait === "number" ? { afterMs: wait * 1000 } : {}),
  }, text);
}

function hide(text: string, token: string): string {
  return token === "" ? text : text.replaceAll(token, "<token>").replaceAll(encodeURIComponent(token), "<token>").replace(/\/bot[^/\s]+\//g, "/bot<token>/");
}
