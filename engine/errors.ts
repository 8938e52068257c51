/** Errors a person can act on. Their codes, and what each means, stand in error-table.ts. */
import { ERRORS } from "./error-table.ts";

export { ERRORS };
export type ErrorCode = keyof typeof ERRORS;
/** `no`: permanent, trying again changes nothing. `later`: try again after `afterMs` or a backoff. */
export type Retry = "no" | "later";
export interface ErrorOptionsOf { readonly retry?: Retry; readonly afterMs?: number; readonly cause?: unknown }

/** An error a person can act on: its message says what was expected and what was got; `code` leads to the remedy. */
export class ClawError extends Error {
  readonly code: ErrorCode;
  readonly retry: Retry;
  /** Milliseconds to wait before the next try, where the other side named them. */
  readonly afterMs: number | undefined;
  /** Its text may hold words from outside: what a model wrote who had read some. */
  tainted = false;
  constructor(code: ErrorCode, options: ErrorOptionsOf, message: string = ERRORS[code].title) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.retry = options.retry ?? "no";
    this.afterMs = options.afterMs;
  }
  get remedy(): string { return ERRORS[this.code].remedy; }
}
export interface ChannelErrorOptions extends ErrorOptionsOf {
  /** The platform refused our markup: the engine sends the same text once more, plain. */
  readonly markup?: boolean;
  /** The request certainly never reached the platform (name not found, connection refused): a resend cannot double. */
  readonly unsent?: boolean;
  /** The platform itself answered that it failed: nothing was posted. Without either, nobody knows. */
  readonly answered?: boolean;
}
/** A live fault of a chat platform, reported by its adapter. The engine decides what follows. */
export class ChannelError extends ClawError {
  readonly markup: boolean;
  readonly unsent: boolean;
  readonly answered: boolean;
  constructor(code: ErrorCode, options: ChannelErrorOptions, message?: string) {
    super(code, options, message);
    this.markup = options.markup ?? false;
    this.unsent = options.unsent ?? false;
    this.answered = options.answered ?? false;
  }
}
/** A fault of a model or its provider. */
export class ModelError extends ClawError {}
/** A fault of a tool; its message is read by the model. */
export class ToolError extends ClawError {}
export class StoreError extends ClawError {}
/** A setting that cannot work. */
export class SettingError extends ClawError {}

/**
 * Whatever was thrown, as a ClawError. A channel of another package cannot import our classes: an error with one of our codes counts as ours.
 * Any other error becomes `code` and keeps its text and cause.
 */
export function asClawError(thrown: unknown, code: ErrorCode, retry: Retry = "no"): ClawError {
  if (thrown instanceof ClawError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  const given = (thrown ?? {}) as { code?: unknown; retry?: unknown; afterMs?: unknown; markup?: unknown; unsent?: unknown; answered?: unknown };
  if (typeof given.code === "string" && Object.hasOwn(ERRORS, given.code)) {
    return new ChannelError(given.code as ErrorCode, { retry: given.retry === "later" ? "later" : "no", ...(typeof given.afterMs === "number" ? { afterMs: given.afterMs } : {}), markup: given.markup === true, unsent: given.unsent === true, answered: given.answered === true, cause: thrown }, text);
  }
  return new ClawError(code, { retry, cause: thrown }, text);
}
