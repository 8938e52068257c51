/**
 * What SMTP and IMAP servers and the network say, as ChannelErrors. Codes: RFC 5321 (4.2), RFC 3463 and RFC 5248 for the longer ones, RFC 4954 for logins.
 * Of a mail nobody knows what became of it only between the end of its text and the server's answer.
 */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";
import { retryAfter } from "../../retry-after.ts";

interface Rule { readonly reply?: RegExp; readonly says?: RegExp; readonly as: ErrorCode; readonly retry?: Retry; readonly afterMs?: number; readonly hint?: string }
const MINUTE_MS = 60_000;
export const TOKEN_REFUSED = "The mail server refused the access token";
/** The first rule that fits wins. `reply` is matched against the code and the longer code, "550 5.1.1". */
const RULES: readonly Rule[] = [
  { reply: /^(?:535|534|530|538)|^5\d\d 5\.7\.(?:8|9|14)/, as: "CONN_002", hint: "Check user and password (many services want an app password here), or get a new refresh token." },
  { reply: /^454/, says: /auth|login|credential/i, as: "CONN_001", retry: "later", afterMs: MINUTE_MS },
  { reply: /^4/, says: /grey ?list|gray ?list|try again in|deferred.{0,40}(?:first|unknown)/i, as: "CONN_003", retry: "later", afterMs: 5 * MINUTE_MS },
  { reply: /^421/, says: /too many|rate|limit|quota|exceed/i, as: "CONN_003", retry: "later", afterMs: MINUTE_MS },
  { reply: /^4\d\d 4\.(?:7\.0|7\.28|4\.5|2\.1)|^45[02]/, says: /too many|rate|limit|throttl|exceed|later|busy/i, as: "CONN_003", retry: "later", afterMs: MINUTE_MS },
  { reply: /^55\d 5\.4\.5|^55\d/, says: /daily (?:user )?sending (?:limit|quota)|sending limit|hourly/i, as: "CONN_003", retry: "later", afterMs: 60 * MINUTE_MS },
  { reply: /^4/, as: "CONN_001", retry: "later", afterMs: MINUTE_MS },
  { reply: /^552|^5\d\d 5\.(?:3\.4|2\.3)/, as: "MSG_003", hint: "The mail with its files is larger than the server takes." },
  { reply: /^554/, says: /size|too (?:large|big)/i, as: "MSG_003" },
  { reply: /^55[013] 5\.1\.|^55[013]/, says: /user|mailbox|recipient|address|no such|unknown/i, as: "MSG_002", hint: "Nobody has this address (any more)." },
  { reply: /^5/, as: "MSG_002" },
];

/** A server's reply of a failure; `what`: the step that failed. */
export function fromReply(reply: string, what: string, now: number): ChannelError {
  const said = reply.replace(/[\r\n]+\d{3}[ -]?/g, " ").replace(/\s+/g, " ").trim().slice(0, 300);
  const rule = RULES.find(({ reply: code, says }) => (code?.test(said) ?? true) && (says?.test(said) ?? true));
  const text = `The mail server refused ${what}: ${said}.${rule?.hint === undefined ? "" : ` ${rule.hint}`}`;
  const later = rule === undefined || rule.retry === "later";
  const afterMs = later ? (retryAfter({ text: said }, now) ?? rule?.afterMs) : undefined;
  return new ChannelError(rule?.as ?? "CONN_001", { retry: later ? "later" : "no", answered: true, ...(afterMs === undefined ? {} : { afterMs }) }, text);
}

/** `handed`: the text of the mail had begun to go out, so the server may have it. */
export function fromSmtp(thrown: unknown, what: string, handed: boolean, now: number): ChannelError {
  if (thrown instanceof ChannelError) return thrown;
  if (thrown instanceof ClawError) return new ChannelError(thrown.code, { retry: thrown.retry, unsent: !handed, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, thrown.message);
  const { response, responseCode, code, command, message } = (thrown ?? {}) as { response?: unknown; responseCode?: unknown; code?: unknown; command?: unknown; message?: unknown };
  if (code === "ETLS") return new ChannelError("CONN_001", { retry: "later", unsent: true }, `No encrypted connection to the mail server could be made: ${String(message).slice(0, 200)}. Check port and security.`);
  // A "no" before the login is about the connection, not about a mail.
  if (typeof response === "string" && response.startsWith("5") && /^(?:CONN|EHLO|HELO)$/.test(String(command))) return new ChannelError("CONN_001", { retry: "later", unsent: true }, `The mail server refused the connection: ${response.replace(/\s+/g, " ").slice(0, 200)}.`);
  if (typeof response === "string" && typeof responseCode === "number" && responseCode >= 400) return fromReply(response, what, now);
  if (message === TOKEN_REFUSED) return new ChannelError("CONN_002", { unsent: true }, `${TOKEN_REFUSED}. Get a new refresh token, for this mailbox and with the right to send.`);
  if (code === "EAUTH" || code === "ENOAUTH") return new ChannelError("CONN_002", { unsent: true }, `The mail server has no way to log in that fits: ${String(message).slice(0, 200)}. Check the security of the connection.`);
  if (code === "EENVELOPE") return new ChannelError("MSG_001", { unsent: true }, `The mail server's client refused an address: ${String(message).slice(0, 200)}.`);
  if (code === "EMESSAGE" && /size/i.test(String(message))) return new ChannelError("MSG_003", { unsent: true }, "The mail with its files is larger than the server takes.");
  const why = codeOf(thrown) ?? String(message).slice(0, 200);
  return new ChannelError("CONN_001", { retry: "later", unsent: !handed }, `${what} did not reach the mail server or its answer was lost: ${why}.`);
}

/** A fault of IMAP. Nothing is sent by it. */
export function fromImap(thrown: unknown, what: string): ChannelError {
  if (thrown instanceof ChannelError) return thrown;
  if (thrown instanceof ClawError) return new ChannelError(thrown.code, { retry: thrown.retry, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, thrown.message);
  const { authenticationFailed, serverResponseCode, responseText, response, message, _err } = (thrown ?? {}) as { authenticationFailed?: unknown; serverResponseCode?: unknown; responseText?: unknown; response?: unknown; message?: unknown; _err?: unknown };
  const said = [responseText, response, message].find((each) => typeof each === "string" && each !== "");
  const words = String(said ?? "no reason given").replace(/\s+/g, " ").slice(0, 300);
  if (authenticationFailed === true && !/UNAVAILABLE|INUSE|LIMIT|CONTACTADMIN/.test(String(serverResponseCode))) return new ChannelError("CONN_002", {}, `The IMAP server refused the login: ${words}. Check user and password (many services want an app password here), or get a new refresh token.`);
  if (/unsupported authentication/i.test(words)) return new ChannelError("CONN_002", {}, "The IMAP server has no way to log in that fits. Choose the other login.");
  if (/TRYCREATE|NONEXISTENT/.test(String(serverResponseCode)) || /mailbox (?:does ?n[o']t|not) exist/i.test(words)) return new ChannelError("CONF_001", {}, `The IMAP server has no such folder (${what}): ${words}. Check the names of the folders.`);
  if (/LIMIT|INUSE/.test(String(serverResponseCode)) || /too many (?:simultaneous )?connections/i.test(words)) return new ChannelError("CONN_003", { retry: "later", afterMs: MINUTE_MS }, `The IMAP server wants fewer connections: ${words}.`);
  const cause = _err ?? thrown;
  return new ChannelError("CONN_001", { retry: "later", unsent: neverSent(cause) }, `${what} did not reach the IMAP server or its answer was lost: ${codeOf(cause) ?? words}.`);
}

/** What an OAuth server says for a refresh token (RFC 6749, 5.2). */
export function fromGrant(status: number, body: unknown, header: (name: string) => string | null, now: number): ChannelError {
  const { error, error_description: description } = (body ?? {}) as { error?: unknown; error_description?: unknown };
  const said = [error, description].filter((each): each is string => typeof each === "string" && each !== "").join(": ").replace(/\s+/g, " ").slice(0, 300);
  const later = status >= 500 || status === 429 || /^(?:temporarily_unavailable|server_error)/.test(said);
  const hint = later ? "" : /^(?:invalid_client|unauthorized_client)/.test(said) ? " Check client ID and client secret." : " Get a new refresh token.";
  const afterMs = later ? (retryAfter({ header, body }, now) ?? MINUTE_MS) : undefined;
  return new ChannelError(status === 429 ? "CONN_003" : later ? "CONN_001" : "CONN_002", { retry: later ? "later" : "no", answered: true, ...(afterMs === undefined ? {} : { afterMs }) }, `The OAuth server refused the refresh token: ${said === "" ? "" : `${said} `}(${status}).${hint}`);
}
/** No answer of it came. */
export function fromOauth(thrown: unknown): ChannelError {
  if (thrown instanceof ChannelError) return thrown;
  if (thrown instanceof ClawError) return new ChannelError(thrown.code, { retry: thrown.retry, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, thrown.message);
  return new ChannelError("CONN_001", { retry: "later", unsent: true }, `The OAuth server was not reached or its answer was lost: ${codeOf(thrown) ?? (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, 200)}.`);
}
