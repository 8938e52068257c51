/** What Discord and the network say, as ChannelErrors. Addresses of interactions and webhooks hold tokens: nothing of an address ever reaches a text. */
import { ChannelError, ClawError, type ErrorCode, type Retry } from "../../errors.ts";
import { codeOf, neverSent } from "../../http-error.ts";

interface Rule {
  readonly status?: number;
  /** Discord's own codes (docs, "JSON Error Codes"). */
  readonly codes?: readonly number[];
  readonly says?: RegExp;
  readonly code: ErrorCode;
  readonly retry?: Retry;
  readonly hint?: string;
}

/** The first rule that fits wins. */
const RULES: readonly Rule[] = [
  { codes: [10062, 10015, 50027], code: "MSG_002", hint: "An interaction takes answers for 15 minutes, the first within 3 seconds." },
  { status: 401, code: "CONN_002", hint: "Copy the token again from the developer portal." },
  { codes: [40001], code: "CONN_002", hint: "Copy the token again from the developer portal." },
  { codes: [40060], code: "MSG_002", hint: "The interaction was answered already." },
  { codes: [10014, 90001, 50024, 50021], code: "MSG_005" },
  { codes: [50001, 50013], code: "MSG_002", hint: "Give the bot the permissions View Channel, Send Messages and Read Message History there." },
  { codes: [50007, 50278], code: "MSG_002", hint: "This person takes no direct messages from the bot, or shares no server with it." },
  { codes: [40005], code: "MSG_003" },
  { status: 413, code: "MSG_003" },
  { codes: [50035], says: /MAX_LENGTH|BAD_LENGTH|or fewer|between \d+ and/i, code: "MSG_003" },
  { codes: [50035], says: /MESSAGE_REFERENCE|Unknown message/i, code: "MSG_002" },
  { codes: [130000, 40333], code: "CONN_001", retry: "later", hint: "Discord is overloaded." },
  { codes: [30046, 20016, 20028, 20022], code: "CONN_003", retry: "later" },
  { status: 429, code: "CONN_003", retry: "later" },
];

interface Told { readonly status: number; readonly code?: number | undefined; readonly message: string }

/** `what`: the call that failed, without ids. `secrets`: taken out of any text that might hold them. */
export function toChannelError(thrown: unknown, what: string, secrets: readonly string[]): ChannelError {
  if (thrown instanceof ChannelError) return thrown;
  const hide = (text: string): string => secrets.reduce((out, secret) => (secret === "" ? out : out.replaceAll(secret, "<token>")), text).replace(/\/(webhooks|interactions)\/\d+\/[^/\s?]+/g, "/$1/<token>");
  if (thrown instanceof ClawError) return new ChannelError(thrown.code, { retry: thrown.retry, ...(thrown.afterMs === undefined ? {} : { afterMs: thrown.afterMs }) }, hide(thrown.message));
  const limited = limitIn(thrown);
  if (limited !== undefined) return new ChannelError("CONN_003", { retry: "later", answered: true, ...(limited > 0 ? { afterMs: Math.ceil(limited) } : {}) }, `Discord allows ${what} again in ${Math.ceil(limited / 1000)} s.`);
  const told = toldIn(thrown);
  if (told !== undefined) return fromAnswer(told, what, hide);
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  // After a 401 the SDK forgets the token, and sends nothing any more.
  if (/^Expected token to be set/.test(text)) return new ChannelError("CONN_002", { unsent: true }, "Discord refused the token before. Copy it again from the developer portal.");
  const why = codeOf(thrown) ?? (thrown instanceof SyntaxError ? "the answer was not JSON, so it did not come from Discord" : hide(text));
  return new ChannelError("CONN_001", { retry: "later", unsent: neverSent(thrown) }, `${what} did not reach Discord or its answer was lost: ${why}.`);
}

/** Milliseconds, where the SDK held a call back or Discord answered 429. */
function limitIn(thrown: unknown): number | undefined {
  const { timeToReset, retryAfter, sublimitTimeout, route } = (thrown ?? {}) as { timeToReset?: unknown; retryAfter?: unknown; sublimitTimeout?: unknown; route?: unknown };
  if (typeof route !== "string" || typeof retryAfter !== "number") return undefined;
  return Math.max(0, ...[retryAfter, sublimitTimeout, timeToReset].filter((each): each is number => typeof each === "number" && Number.isFinite(each)));
}

function toldIn(thrown: unknown): Told | undefined {
  const { status, code, rawError, message } = (thrown ?? {}) as { status?: unknown; code?: unknown; rawError?: unknown; message?: unknown };
  if (typeof status !== "number") return undefined;
  const ownCode = (rawError as { code?: unknown } | undefined)?.code;
  return { status, ...(typeof ownCode === "number" && code !== undefined ? { code: ownCode } : {}), message: typeof message === "string" ? message : "" };
}

function fromAnswer({ status, code, message }: Told, what: string, hide: (text: string) => string): ChannelError {
  // A refusal of Discord's API has a code; without one it is of something that stands before it.
  if (status >= 500 || (code === undefined && status !== 401 && status !== 413 && status !== 429)) return new ChannelError("CONN_001", { retry: "later", answered: true }, `Expected an answer of Discord to ${what}, got status ${status}.`);
  const rule = RULES.find((each) => (each.status === undefined || each.status === status) && (each.codes === undefined || (code !== undefined && each.codes.includes(code))) && (each.says?.test(message) ?? true));
  const text = `Discord refused ${what}: ${hide(message).slice(0, 500)} (${code ?? status}).${rule?.hint === undefined ? "" : ` ${rule.hint}`}`;
  return new ChannelError(rule?.code ?? "MSG_002", { retry: rule?.retry ?? "no", answered: true }, text);
}

/** Close codes of the gateway that stay until somebody changes something (docs, "Gateway Close Event Codes"). */
const FINAL: ReadonlyMap<number, readonly [ErrorCode, string]> = new Map([
  [4004, ["CONN_002", "Discord refused the token (4004). Copy it again from the developer portal."]],
  [4010, ["CONF_001", "Discord refused the shard (4010). Tell the makers of this channel."]],
  [4011, ["CONF_001", "The bot is in too many servers for one connection (4011). Discord asks for more shards than were opened; deploy again."]],
  [4012, ["CONF_001", "Discord does not speak this version of its gateway any more (4012). Update ClawFlow."]],
  [4013, ["CONF_001", "Discord does not know one of the intents (4013). Update ClawFlow."]],
  [4014, ["CONF_001", "Discord did not grant an intent (4014). Switch on Message Content Intent, and Server Members Intent where members are to be told, in the developer portal under Bot, or switch them off in the account."]],
]);

/** Why a gateway closed; undefined where it may be opened again. */
export function finalClose(code: number): ChannelError | undefined {
  const found = FINAL.get(code);
  return found === undefined ? undefined : new ChannelError(found[0], {}, found[1]);
}
