/** From whatever a provider, its SDK or the network threw to a ModelError with the right code, retry and wait. */
import type { Clock } from "../clock.ts";
import { type ErrorCode, ModelError, type Retry } from "../errors.ts";
import { codeOf, neverSent } from "../http-error.ts";
import { retryAfter } from "../retry-after.ts";
import type { Usage } from "./model.ts";

/** What went wrong in a few words; the closed list of the Test button. */
export const FAULTS = [
  "key refused", "no network", "wrong address", "unknown model", "no credit", "rate limited", "overloaded", "too slow",
  "request refused", "answer refused", "bad answer", "bad settings",
] as const;
export type Fault = (typeof FAULTS)[number];

const CODES: Readonly<Record<Exclude<Fault, "bad settings"> | "too long", readonly [ErrorCode, Retry]>> = {
  "key refused": ["MODEL_002", "no"],
  "no network": ["MODEL_001", "later"],
  "wrong address": ["MODEL_001", "no"],
  "unknown model": ["MODEL_008", "no"],
  "no credit": ["MODEL_009", "no"],
  "rate limited": ["MODEL_003", "later"],
  overloaded: ["MODEL_004", "later"],
  "too slow": ["MODEL_010", "later"],
  "request refused": ["MODEL_008", "no"],
  "too long": ["MODEL_005", "no"],
  "answer refused": ["MODEL_006", "no"],
  "bad answer": ["MODEL_007", "later"],
};
export type Kind = keyof typeof CODES;

/** A ModelError that also knows its word. */
export class ModelFault extends ModelError {
  readonly fault: Fault;
  /** The word, and "too long" beside it: what failover goes by. */
  readonly kind: Kind;
  /** The request certainly never reached the provider: nothing was used. */
  readonly unsent: boolean;
  /** A piece of an answer had come: the provider may count what it wrote, also where none of it could be shown. */
  begun = false;
  /** What the provider counted of an answer that is none. */
  usage: Usage | undefined;
  /** A gateway between gave up waiting: the provider behind it may have gone on, and count it. */
  readonly unsure: boolean;
  constructor(kind: Kind, message: string, { unsent = false, unsure = false, ...options }: { retry?: Retry; afterMs?: number; unsent?: boolean; unsure?: boolean } = {}) {
    const [code, retry] = CODES[kind];
    super(code, { retry, ...options }, message);
    this.name = "ModelError";
    this.kind = kind;
    this.unsent = unsent;
    this.unsure = unsure;
    this.fault = kind === "too long" ? "request refused" : kind;
  }
}

/** Who is spoken to, and what must not appear in any text. */
export interface Party {
  /** Label and host, as in `OpenAI (api.openai.com)`. */
  readonly name: string;
  readonly model: string;
  /** Key, header values and whatever else is secret. */
  readonly secrets: readonly string[];
  readonly clock: Clock;
}

/** Body of an error, as one of the wires gives it. */
interface Facts { readonly status: number | undefined; readonly code: string; readonly text: string; readonly body: unknown; readonly header: (name: string) => string | null }

/** Anthropic tells the type also where the HTTP status says 200 (errors inside a stream). */
const TYPE_STATUS: Readonly<Record<string, number>> = {
  authentication_error: 401, billing_error: 402, permission_error: 403, not_found_error: 404, request_too_large: 413,
  rate_limit_error: 429, api_error: 500, timeout_error: 504, overloaded_error: 529, invalid_request_error: 400,
  server_error: 500, insufficient_quota: 429, rate_limit_exceeded: 429, tokens: 429, requests: 429,
};

const CREDIT = /insufficient[_ ](quota|balance|credits?|funds)|credit balance|exceeded_current_quota|billing_(hard_limit|not_active)|hard limit|spend(ing)? limit|payment required|out of credits?|account_deactivated/i;
const KEY = /api[_ -]?key.{0,40}(invalid|not valid|incorrect|missing|expired)|(invalid|incorrect|no|missing|wrong).{0,20}api[_ -]?key|invalid[_ ]api[_ ]key|unauthori[sz]ed|authentication/i;
const LENGTH = /context_length|maximum context|context (window|length|size)|prompt is too long|input is too long|too many (input )?tokens|reduce the length|exceeds? the (available|model'?s?|maximum) /i;
const MODERATION = /content[_ ](filter|policy|management)|moderation|flagged|safety (system|filter)|responsible ai/i;
const MODEL = /(model|deployment)[\s\S]{0,120}(not[ _]found|does(n't| not) exist|not exist|is not available|invalid|unknown|not a valid|no longer|decommissioned|not supported|do(es)? not have access)|(unknown|invalid|no such|missing|not a valid) (model|deployment)|model_not_found|DeploymentNotFound|^model: /i;

/** A gateway's word of the server behind it, which says nothing about what that one did; 520 to 524 are Cloudflare's. */
const GATEWAY: ReadonlySet<number> = new Set([504, 520, 521, 522, 523, 524]);

/** Classifies what was thrown. An error that is classified already passes. */
export function modelFault(thrown: unknown, party: Party): ModelError {
  if (thrown instanceof ModelError) return thrown;
  const facts = factsOf(thrown);
  const say = (what: string, detail: string = facts.text): string => scrub(`${party.name} ${what}${detail === "" ? "." : `: ${detail}`}`, party.secrets);
  if (facts.status === undefined) {
    if (thrown instanceof SyntaxError) return new ModelFault("bad answer", say("answered with broken JSON", ""));
    return connectionFault(thrown, party, say);
  }
  const kind = kindOf(facts);
  const status = facts.status === undefined ? "" : ` (${facts.status})`;
  const afterMs = kind === "rate limited" || kind === "overloaded" ? retryAfter(facts, party.clock.now()) : undefined;
  const told = facts.header("x-should-retry");
  const retry: Retry | undefined = told === "true" ? "later" : told === "false" ? "no" : undefined;
  const options = { unsure: GATEWAY.has(facts.status), ...(retry === undefined ? {} : { retry }), ...(afterMs === undefined ? {} : { afterMs }) };
  return new ModelFault(kind, say(`${SAID[kind]}${status}`), options);
}

const SAID: Readonly<Record<Kind, string>> = {
  "key refused": "refused the key", "no network": "could not be reached", "wrong address": "has no such address; check the base URL",
  "unknown model": "does not know the model", "no credit": "says the account has no credit", "rate limited": "says: too many requests",
  overloaded: "is overloaded or failing", "too slow": "took too long", "request refused": "rejected the request", "too long": "says the conversation is too long",
  "answer refused": "refused to answer", "bad answer": "answered nonsense",
};

function kindOf(facts: Facts): Kind {
  const { status = 0, text, code } = facts;
  const all = `${code} ${text}`;
  if (status === 402 || CREDIT.test(all)) return "no credit";
  if (status === 401) return "key refused";
  if (status === 413 || ((status === 400 || status === 422 || status === 500) && LENGTH.test(all))) return "too long";
  if (status === 429) return "rate limited";
  if (status === 408 || status === 504) return status === 408 ? "too slow" : "overloaded";
  if (status === 409 || status >= 500) return "overloaded";
  if (status >= 400 && MODERATION.test(all)) return "answer refused";
  if (status === 403) return MODEL.test(all) ? "unknown model" : "key refused";
  if (status === 404) return /invalid url|no route|cannot (post|get)/i.test(text) || !/model|deployment/i.test(all) ? "wrong address" : "unknown model";
  if (status === 405) return "wrong address";
  if (status === 400 && KEY.test(all)) return "key refused";
  if (status >= 400) return MODEL.test(all) ? "unknown model" : "request refused";
  return "wrong address";
}

function connectionFault(thrown: unknown, party: Party, say: (what: string, detail?: string) => string): ModelError {
  const inner = innermost(thrown);
  const code = codeOf(thrown);
  if (code !== undefined && /TIMEOUT/.test(code) && !neverSent(thrown)) return new ModelFault("too slow", say("took too long", `no answer in time (${code})`));
  const refused = code !== undefined && /CERT|SELF_SIGNED|ERR_INVALID_URL|WRONG_VERSION|EPROTO|PACKET_LENGTH/.test(code);
  const text = inner instanceof Error ? inner.message : String(inner);
  return new ModelFault(refused ? "wrong address" : "no network", scrub(text.startsWith("Could not reach") ? text : `${party.name} could not be reached: ${brief(text)}`, party.secrets), { unsent: neverSent(thrown) });
}

function innermost(thrown: unknown): unknown {
  let inner = thrown;
  for (let depth = 0; depth < 5 && inner instanceof Error && inner.cause instanceof Error; depth++) inner = inner.cause;
  return inner;
}

/** Reads both SDKs' APIError, and an error object found inside an answer (`status` is then in its code). */
function factsOf(thrown: unknown): Facts {
  const { status, error, headers, message } = (thrown ?? {}) as { status?: unknown; error?: unknown; headers?: unknown; message?: unknown };
  const body = unwrap(error);
  const { code, type, message: said } = (typeof body === "object" && body !== null ? body : {}) as { code?: unknown; type?: unknown; message?: unknown };
  const words = [code, type].filter((word) => typeof word === "string" || typeof word === "number").join(" ");
  const fromCode = Number(code) >= 400 && Number(code) < 600 ? Number(code) : undefined;
  const fromType = words.split(" ").map((word) => TYPE_STATUS[word]).find((known) => known !== undefined);
  const inBody = body !== undefined && body !== null ? (fromCode ?? fromType ?? (typeof status === "number" ? undefined : 500)) : undefined;
  const text = typeof said === "string" ? said : typeof body === "string" ? body : body === undefined || body === null ? (typeof status === "number" ? String(message ?? "") : "") : JSON.stringify(body);
  const get = (headers as { get?: unknown } | undefined)?.get;
  return {
    status: typeof status === "number" ? status : inBody,
    code: words,
    text: brief(text),
    body,
    header: (name) => (typeof get === "function" ? ((get.call(headers, name) as string | null) ?? null) : null),
  };
}

/** `[{ error: { … } }]` (Gemini) and `{ type, error: { … } }` (Anthropic) to the object that says something. */
function unwrap(error: unknown): unknown {
  let inner = error;
  for (let depth = 0; depth < 3; depth++) {
    if (Array.isArray(inner)) inner = inner[0];
    else if (typeof inner === "object" && inner !== null && "error" in inner) inner = (inner as { error: unknown }).error;
    else break;
  }
  return inner;
}

/** At most 300 characters on one line; of a web page only its title. */
function brief(text: string): string {
  const bare = text.replace(/^\d{3} (?=\S)/, "");
  if (/^\s*</.test(bare)) return `a web page "${/<title[^>]*>([^<]{0,100})/i.exec(bare)?.[1]?.trim() ?? "without a title"}"`;
  const line = bare.replace(/\s+/g, " ").trim();
  return line.length > 300 ? `${line.slice(0, 299)}…` : line;
}

/** Secrets in a text become ***. Short ones are left: they would hit ordinary words, and a key is long. */
export function scrub(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret.length < 4) continue;
    clean = clean.replaceAll(secret, "***");
    const encoded = encodeURIComponent(secret);
    if (encoded !== secret) clean = clean.replaceAll(encoded, "***");
  }
  return clean;
}
