/**
 * Every fault ClawFlow can name. The code is what a person searches for, `remedy` is what they do about it.
 * docs/errors.md is generated from this table, and a test fails on a code that is used but not listed here.
 */
export const ERRORS = {
  CONN_001: { title: "Connection failed", remedy: "Check the network, the proxy and the address; ClawFlow tries again by itself." },
  CONN_002: { title: "Credentials refused", remedy: "Copy the token again from the platform and press Test." },
  CONN_003: { title: "Rate limit reached", remedy: "Nothing to do: ClawFlow waits as long as the platform asks." },
  CONN_004: { title: "Webhook verification failed", remedy: "Use the same secret on both sides; without a secret every request is refused." },
  CONN_005: { title: "A second program uses the same bot", remedy: "Stop the other program or Node-RED that polls this bot." },
  MSG_001: { title: "Message could not be understood", remedy: "Compare the mapping or the payload with the Message schema in docs/message.md." },
  MSG_002: { title: "Message could not be delivered", remedy: "Read the reason in the receipt; resend from the dead letters." },
  MSG_003: { title: "Message too large", remedy: "Send less at once, or raise the size limit of the gateway." },
  MSG_004: { title: "No flow takes this message", remedy: "Add a channel in node for this account, or widen its filters." },
  MSG_005: { title: "The platform cannot do this", remedy: "Choose another action; the channel's page lists what it can do." },
  SEC_001: { title: "Sender is not allowed", remedy: "Add the sender to the people of the gateway." },
  SEC_002: { title: "Invalid signature", remedy: "Use the secret that the sender signs with." },
  MODEL_001: { title: "Model could not be reached", remedy: "Check the base URL and the network; for a local model, start it." },
  MODEL_002: { title: "Model key refused", remedy: "Copy the key again from the provider and press Test." },
  MODEL_003: { title: "Model rate limit reached", remedy: "Wait, use another key, or add a second model." },
  MODEL_004: { title: "Provider overloaded or failing", remedy: "Nothing to do if it passes; add a second model for such hours." },
  MODEL_005: { title: "Conversation too long for the model", remedy: "Lower the history limit or choose a model with a larger context." },
  MODEL_006: { title: "Model refused to answer", remedy: "Rephrase the request or the system prompt." },
  MODEL_007: { title: "Model answered nonsense", remedy: "Try again; if it stays, choose another model or wire." },
  MODEL_008: { title: "Provider rejected the request", remedy: "Read the provider's text: model name, parameters or tools are not accepted." },
  MODEL_009: { title: "Account has no credit", remedy: "Top up at the provider or lower the use." },
  MODEL_010: { title: "Model took too long", remedy: "Raise the timeout of the agent or choose a faster model." },
  TOOL_001: { title: "Tool arguments do not fit its schema", remedy: "The model is told and may try again; check the tool's parameters." },
  TOOL_002: { title: "Tool flow did not answer in time", remedy: "End the tool's flow in tool out, or raise its timeout." },
  TOOL_003: { title: "Tool flow failed", remedy: "Read the error text; it is what the model was told." },
  TOOL_004: { title: "Tool is not permitted here", remedy: "Set the tool's risk class, or who may use it." },
  TOOL_005: { title: "Outcome of a tool call is unknown", remedy: "Check by hand whether it happened; it is never repeated silently." },
  TOOL_006: { title: "Tool definition is not valid", remedy: "Give it a unique name and parameters that are a JSON Schema." },
  AGENT_001: { title: "Too many rounds", remedy: "Raise the round limit, or make the tools answer more directly." },
  AGENT_002: { title: "Prompt template failed", remedy: "Correct the Liquid template at the named line." },
  STORE_001: { title: "Store cannot be written", remedy: "Free disk space or correct the rights; ClawFlow recovers by itself." },
  STORE_002: { title: "Store is damaged", remedy: "It was moved aside and a new one begun; restore the last backup if needed." },
  STORE_003: { title: "Store was made by a newer version", remedy: "Update ClawFlow, or choose another folder." },
  STORE_004: { title: "Store is in use", remedy: "Give each gateway and each Node-RED its own folder." },
  STORE_005: { title: "Inbox is full", remedy: "Nothing is lost: the platform is asked to come again. Look for a flow that does not finish." },
  CONF_001: { title: "Setting is missing or wrong", remedy: "Open the node and correct the marked field." },
  CONF_002: { title: "Config node is missing or disabled", remedy: "Choose a gateway, account or model in the node, and deploy." },
  CONF_003: { title: "Rule or pattern is not valid", remedy: "Correct the pattern; look-around and back-references are not available." },
  CONF_004: { title: "Port or path is taken", remedy: "Choose another path." },
} as const;

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
}
/** A live fault of a chat platform, reported by its adapter. The engine decides what follows. */
export class ChannelError extends ClawError {
  readonly markup: boolean;
  readonly unsent: boolean;
  constructor(code: ErrorCode, options: ChannelErrorOptions, message?: string) {
    super(code, options, message);
    this.markup = options.markup ?? false;
    this.unsent = options.unsent ?? false;
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
  const given = (thrown ?? {}) as { code?: unknown; retry?: unknown; afterMs?: unknown; markup?: unknown; unsent?: unknown };
  if (typeof given.code === "string" && Object.hasOwn(ERRORS, given.code)) {
    return new ChannelError(given.code as ErrorCode, { retry: given.retry === "later" ? "later" : "no", ...(typeof given.afterMs === "number" ? { afterMs: given.afterMs } : {}), markup: given.markup === true, unsent: given.unsent === true, cause: thrown }, text);
  }
  return new ClawError(code, { retry, cause: thrown }, text);
}
