/** What an agent may call. On the canvas a tool is a flow; the engine only knows this contract. */
import type { Payer, ToolSpec } from "./models/model.ts";
import type { DraftFile, Message } from "./message.ts";
import type { HandOver } from "./team.ts";

/** Who somebody is to a gateway, from most to least. */
export type Trust = "owner" | "paired" | "allowed" | "stranger";
export type Risk = "read" | "write" | "dangerous";

/** Who calls: from the store, never from msg. */
export interface CallContext {
  readonly run: string;
  /** Names the call in its run; a tool that writes runs at most once for it. */
  readonly call: string;
  readonly person: string;
  readonly trust: Trust;
  readonly tainted: boolean;
  /** Monotonic milliseconds. */
  readonly deadline: number;
  readonly message: Message;
  /** Waits for a person beside the agent's work: the time of the call and of its agent stand still, and others may talk to the agent. */
  aside?<T>(act: () => Promise<T>): Promise<T>;
  /** Who pays for models that the tool asks: the agent that calls it. */
  readonly payer?: Payer;
}
export interface ToolResult { readonly text: string; /** Outside text is in it, whatever the tool says of itself. */ readonly tainted?: boolean; /** The lowest of all whose words are in it, where others than the caller have a part. */ readonly trust?: Trust; /** Another agent answers from now on: this one says no more. */ readonly handsOver?: HandOver; /** Files the agent's answer carries. */ readonly files?: readonly DraftFile[] }
export interface Tool extends ToolSpec {
  readonly tags: readonly string[];
  readonly risk: Risk;
  readonly readsPrivate: boolean;
  readonly talksOutside: boolean;
  /** People who are only allowed may use it too. */
  readonly shared: boolean;
  /** Its name was chosen by somebody else (an MCP server): it gives way to every other tool of that name. */
  readonly foreign?: true;
  readonly timeoutMs: number;
  /** Throws: the model reads the error text. */
  call(input: unknown, context: CallContext, signal: AbortSignal): Promise<ToolResult>;
}

/** For the model, of a call that may have been done; `why` nobody knows. */
export function outcomeUnknown(why: string): string {
  return `The outcome of this call is unknown: ${why}. Do not repeat it by yourself; tell the user and ask them to check.`;
}
