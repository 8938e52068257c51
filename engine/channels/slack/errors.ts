/** What Slack and the network say, as ChannelErrors. */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";
import { type Answered, retryAfter } from "../../retry-after.ts";

interface Rule { readonly says: RegExp; readonly code: ErrorCode; readonly retry?: Retry; readonly markup?: true; readonly hint?: string }

/** The first rule that fits wins. Names as the pages of the methods list them, https://docs.slack.dev/reference/methods/chat.postMessage#errors and others. */
const RULES: readonly Rule[] = [
  { says: /^(?:invalid_auth|not_authed|account_inactive|token_revoked|token_expired|not_allowed_token_type|invalid_token|app_uninstalled|bot_not_found)$/, code: "CONN_002", hint: "Copy the tokens again from api.slack.com/apps, or install the app anew." },
  { says: /^(?:org_login_required|ekm_access_denied|team_access_not_granted|enterprise_is_restricted|team_disabled|user_removed_from_team)$/, code: "CONN_002", hint: "The workspace does not let this app in." },
  { says: /^(?:missing_scope|no_permission|not_allowed|access_denied)$/, code: "MSG_005", hint: "Add the scope to the app, and install it anew." },
  { says: /^(?:rate_?limited|message_limit_exceeded|too_many_requests|accesslimited)$/, code: "CONN_003", retry: "later" },
  { says: /^(?:internal_error|fatal_error|service_unavailable|request_timeout|team_added_to_org|service_timeout|failed_sending_dialog)$/, code: "CONN_001", retry: "later" },
  { says: /^invalid_blocks/, code: "MSG_002", markup: true },
  { says: /too_(?:long|large|many_(?:attachments|blocks|contact_cards|files|options))|_exceeded$|^over_.*limit|^storage_limit/, code: "MSG_003" },
  { says: /^(?:expired_trigger_id|trigger_expired|trigger_exchanged|exchanged_trigger_id|invalid_trigger(?:_id)?)$/, code: "MSG_002", hint: "A form opens only within 3 seconds of a press or a command." },
  { says: /^(?:unknown_method|method_deprecated|deprecated_endpoint|method_not_supported_for_channel_type|invalid_name|invalid_emoji|too_many_(?:emoji|reactions)|as_user_not_supported|cannot_.*|streaming_.*|message_not_in_streaming_state|message_not_owned_by_app|channel_type_not_supported|feature_not_enabled|.*_not_(?:enabled|supported))$/, code: "MSG_005" },
  { says: /^(?:not_in_channel|channel_not_found)$/, code: "MSG_002", hint: "Invite the app into the channel with /invite." },
];

/** Slack's own name of a failure, inside what the SDK throws. */
function nameIn(thrown: unknown): string | undefined {
  const data = (thrown as { data?: { ok?: unknown; error?: unknown } } | undefined)?.data;
  return typeof data === "object" && data?.ok === false && typeof data.error === "string" ? data.error : undefined;
}

/** A ChannelError that still knows Slack's name of the failure. */
export class SlackError extends ChannelError {
  readonly says: string;
  constructor(says: string, ...rest: ConstructorParameters<typeof ChannelError>) {
    super(...rest);
    this.says = says;
    this.name = "ChannelError";
  }
}
/** Slack's name of the failure: "channel_not_found"; "" where it is none of Slack's. */
export const saysOf = (error: unknown): string => (error instanceof SlackError ? error.says : "");

/** `what`: the method that failed. `secrets`: taken out of any text that might hold them. */
export function toChannelError(thrown: unknown, what: string, secrets: readonly string[]): ChannelError {
  const name = nameIn(thrown);
  if (name !== undefined) return fromName(name.slice(0, 200), what, (thrown as { data: { response_metadata?: unknown; needed?: unknown } }).data, secrets);
  const inner = (thrown as { original?: unknown } | undefined)?.original ?? thrown;
  if (inner instanceof ChannelError) return inner;
  if (inner instanceof ClawError) return new ChannelError(inner.code, { retry: inner.retry, ...(inner.afterMs === undefined ? {} : { afterMs: inner.afterMs }) }, hide(inner.message, secrets));
  const text = codeOf(inner) ?? hide(inner instanceof Error ? inner.message : String(inner), secrets);
  return new ChannelError("CONN_001", { retry: "later", unsent: neverSent(inner) }, `${what} did not reach Slack or its answer was lost: ${text}.`);
}

function fromName(name: string, what: string, data: { readonly response_metadata?: unknown; readonly needed?: unknown }, secrets: readonly string[]): ChannelError {
  const rule: Omit<Rule, "says"> = RULES.find((each) => each.says.test(name)) ?? { code: "MSG_002" };
  const messages = (data.response_metadata as { messages?: unknown } | undefined)?.messages;
  const more = [...(typeof data.needed === "string" ? [`needed: ${data.needed}`] : []), ...(Array.isArray(messages) ? messages.slice(0, 2).map(String) : [])].join("; ").slice(0, 300);
  const afterMs = rule.retry === "later" ? retryAfter({ body: data.response_metadata }, 0) : undefined;
  const text = `Slack refused ${what}: ${name}${more === "" ? "" : ` (${more})`}.${rule.hint === undefined ? "" : ` ${rule.hint}`}`;
  // Its own "no" is taken at its word: nothing was posted.
  return new SlackError(name, rule.code, { retry: rule.retry ?? "no", markup: rule.markup ?? false, answered: true, ...(afterMs === undefined ? {} : { afterMs }) }, hide(text, secrets));
}

/** An answer by its status alone: of Slack in trouble, or of a proxy before it. It says that the request failed, and is believed. */
export function statusError(status: number, answered: Answered, now: number): ChannelError {
  const text = `Expected an answer of Slack, got status ${status}.`;
  if (status === 413) return new ChannelError("MSG_003", { answered: true }, text);
  const afterMs = retryAfter(answered, now);
  return new ChannelError(status === 429 ? "CONN_003" : "CONN_001", { retry: "later", answered: true, ...(afterMs === undefined ? {} : { afterMs }) }, text);
}

/** Tokens, the tickets of socket addresses, and the paths of response and webhook addresses let others speak for the bot. */
export function hide(text: string, secrets: readonly string[] = []): string {
  let shown = text;
  for (const secret of secrets) if (secret !== "") shown = shown.replaceAll(secret, "<secret>");
  return shown.replace(/\bx(?:oxe\.xox[a-z]|ox[a-z]|app)-[\w-]+/g, "<token>").replace(/ticket=[^&\s"]+/g, "ticket=<secret>").replace(/(hooks\.slack[\w.-]*\/)[^\s"<>]+/g, "$1<secret>");
}
