/** The contract of a language model. A model throws ModelError and never retries by itself. */
import type { DraftFile } from "../message.ts";
import type { MediaPrice, Price, Work } from "./prices.ts";

/** A JSON Schema of type object. */
export type JsonSchema = Readonly<Record<string, unknown>>;
export interface ToolSpec { readonly name: string; readonly description: string; readonly parameters: JsonSchema }

/** One use of a tool. `input` is what the model wrote, parsed; when it was no JSON, `input` is undefined and `malformed` holds the text. */
export interface ToolCall { readonly id: string; readonly name: string; readonly input: unknown; readonly malformed?: string; /** Provider's own data that must be echoed in the next turn. */ readonly echo?: unknown }

/** One entry of a session's memory. */
export type Turn =
  /** `ref`: the message it came with, so that an edit or removal of that message finds it. `by`: its speaker (message.ts), who alone may edit or remove it. */
  | { readonly role: "user"; readonly text: string; readonly files?: readonly DraftFile[]; readonly ref?: string; readonly by?: string; /** Stands for the turns before it. */ readonly summary?: true;
    /** What holds for it by the agent's settings. No session keeps it: it changes, and what stands before it stays the same for a provider's prompt cache. */ readonly context?: string }
  | { readonly role: "assistant"; readonly text: string; readonly calls?: readonly ToolCall[]; readonly echo?: unknown }
  | { readonly role: "tool"; readonly call: string; readonly name: string; readonly text: string; readonly failed: boolean };

/** Tokens of one request, or of several. */
export interface Usage {
  /** Everything the model read, from the provider's cache or not. */
  readonly input: number;
  /** Everything it wrote, its reasoning with it. */
  readonly output: number;
  /** Of the input: read from the provider's cache, and written into it. */
  readonly cachedInput?: number;
  readonly storedInput?: number;
  /** Of the output. */
  readonly reasoning?: number;
  /** The server told nothing: it is an estimate of ours. */
  readonly guessed?: true;
}

export interface ModelRequest {
  readonly system: string;
  readonly turns: readonly Turn[];
  readonly tools: readonly ToolSpec[];
  readonly temperature?: number;
  readonly maxTokens?: number;
  /** The answer is to be JSON of this form, as far as the provider can be held to it: `jsonModel` in json-answer.ts sees to the rest. */
  readonly schema?: JsonSchema;
  /** False: nobody watches, so the answer may come in one piece (cheaper on the wire). */
  readonly live: boolean;
  /** Milliseconds that are left for the answer. Left out: no limit. */
  readonly withinMs?: number;
  /** Whose budget it is; `chargeModel` asks it, and no wire ever sees it. */
  readonly payer?: Payer;
}

/** Who pays for a request, whichever models it goes to. */
export interface Payer {
  /** Reserves what the call may use. Throws BudgetError, and the model is not asked. */
  begin(model: Model, request: ModelRequest): Promise<Bill>;
  /** The same for sound and pictures. `most`: what it may come to. */
  beginWork(model: Worker, most: Work): Promise<WorkBill>;
}
/** A model for sound or pictures, as the ledger sees it. */
export interface Worker { readonly id: string; readonly provider: string; readonly price?: MediaPrice }
/** As Bill; `exact`: the provider or the file itself told how much it was. */
export interface WorkBill { paid(work: Work, exact: boolean): void; broken(unused: boolean): void }
/** Of one call; exactly one of the two is called. */
export interface Bill {
  /** The provider told what it counted, also of an answer that is none. Gives the usage as it was booked: a provider's impossible figures are not believed. */
  paid(usage: Usage): Usage;
  /** It broke off: what was reserved stays booked. `unused`: the model certainly did nothing, so nothing is. */
  broken(unused: boolean): void;
}

/** One model in another's place. Names as a person gave them, with the number of the key where there are several; `why` is the code and text of the fault. */
export interface Failover { readonly from: string; readonly to: string; readonly why: string }

export type ModelEvent =
  | { readonly type: "text"; readonly delta: string }
  /** Reasoning, where the provider shows it. Never goes to a chat. */
  | { readonly type: "thought"; readonly delta: string }
  | { readonly type: "call"; readonly call: ToolCall }
  /** What was said so far counts no more: another model, or the same one once more, begins anew. */
  | { readonly type: "again"; readonly failover?: Failover }
  /** Always last. `echo` must be kept on the assistant turn where present. `by`: who answered in the place of the first model. */
  | { readonly type: "end"; readonly reason: "stop" | "calls" | "length"; readonly usage: Usage; readonly echo?: unknown; readonly by?: string };

/** One model at one provider. */
export interface Model {
  readonly id: string;
  readonly provider: string;
  /** Size of the context window in tokens. */
  readonly contextTokens: number;
  /** Tokens its wire asks for at most where a request sets no limit. Left out: it sends none. */
  readonly maxTokens?: number;
  /** What its tokens cost, where that is known: `costOf(price, usage)` in prices.ts. */
  readonly price?: Price;
  stream(request: ModelRequest, signal: AbortSignal): AsyncIterable<ModelEvent>;
}

/** `openai`: chat completions; `responses`: OpenAI's newer API. */
export type Wire = "openai" | "responses" | "anthropic" | "practice";
/** How much a model thinks before it answers; which of these it knows depends on the model. */
export const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"] as const;
export type Effort = (typeof EFFORTS)[number];
/** What differs between providers of one wire. */
export interface Quirks {
  /** May `stream_options.include_usage` be sent. Default true. */
  readonly streamUsage?: boolean;
  readonly maxTokensParam?: "max_tokens" | "max_completion_tokens";
  /** Name of the system role. Default "system". */
  readonly systemRole?: "system" | "developer";
  readonly parallelTools?: boolean;
  readonly images?: boolean;
  /** Field of a delta that holds reasoning. */
  readonly reasoningField?: string;
  readonly dropParams?: readonly string[];
  /** Tool-call ids the provider accepts. */
  readonly toolIdRule?: "nine-alphanumerics";
  /** Schema keywords the provider rejects; they are removed. */
  readonly dropSchemaKeywords?: readonly string[];
  /** Fields of an answer that calls tools which the provider wants back unchanged in the next request (reasoning and its proofs). */
  readonly echoFields?: readonly string[];
  /** Anthropic wire: mark what stays the same for the provider's prompt cache. */
  readonly promptCache?: boolean;
  /** OpenAI wires: send `prompt_cache_key`, which brings requests that begin alike to the same cache. */
  readonly cacheKey?: boolean;
  /** It has OpenAI's Responses API too; models whose name contains one of these go there by themselves, because chat completions do not have them, or not with tools. */
  readonly responses?: readonly string[];
  /** Beginnings of the names of models that think: they refuse a temperature. */
  readonly reasoners?: readonly string[];
  /** How an answer of a given form is asked for: by the schema (also while there are tools, or only without), by "some JSON" and words, or by words alone. Default "prompt". */
  readonly json?: "schema" | "schema-alone" | "object" | "prompt";
  /** Beginnings of the names of models that know only words. */
  readonly jsonNot?: readonly string[];
}
/** A provider is data: one of a few wire formats at some URL, with small flags for what differs. */
export interface Provider {
  readonly id: string;
  readonly label: string;
  readonly wire: Wire;
  /** `{name}` parts are filled from the model node's fields of that name. */
  readonly baseUrl: string;
  readonly keyless?: boolean;
  /** Environment variable in which people keep the key. */
  readonly env?: string;
  readonly quirks?: Quirks;
  /** Headers that every request to this provider carries. */
  readonly headers?: Readonly<Record<string, string>>;
}
/** What a model node holds. */
export interface ModelSettings {
  readonly provider: string;
  readonly model: string;
  readonly key?: string;
  readonly baseUrl?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Values for the `{name}` parts of the provider's base URL (Azure's resource, a region). */
  readonly fields?: Readonly<Record<string, string>>;
  readonly contextTokens?: number;
  /** The API where the provider has both; else what the model needs. */
  readonly api?: "chat" | "responses";
  readonly effort?: Effort;
  /** What the user says it costs; else the table's. */
  readonly price?: Price;
  /** Milliseconds until the first byte, and between two. */
  readonly firstByteMs?: number;
  readonly stallMs?: number;
}
