/** What the inbox hands over, and to whom: a message's way through one flow. */
import type { Message } from "./message.ts";
import type { Usage } from "./models/model.ts";
import type { Change, Priority, Receipt } from "./store/store.ts";
import type { Trust } from "./tool.ts";

/** Where a flow begins: a channel in, cron, webhook or mapping node. */
export interface Entry {
  readonly id: string;
  /** Listens to the account of this message at all. */
  covers(message: Message): boolean;
  /** Wants this message. */
  matches(message: Message): boolean;
  /** Milliseconds of quiet in the lane that end a burst; 0 = every message by itself. */
  readonly gatherMs: number;
  /** Sends it into the flow. */
  emit(run: Run): void;
}

/** One message's way through one entry node's flow, while it is under way in this process. */
export interface Run {
  readonly id: string;
  readonly entry: string;
  readonly receipt: Receipt;
  /** A gathered burst, oldest first; one message as a rule. */
  readonly messages: readonly Message[];
  /** Steps that happened already: replayed, never repeated. */
  readonly journal: Map<string, unknown>;
  /** How often a (pass, parent step, node) was reached, for step keys. */
  readonly counters: Map<string, number>;
  /** Counts passes: a deploy that takes the flow away under a run starts another. */
  pass: number;
  /** Monotonic milliseconds of the last sign of life. */
  touchedAt: number;
  /** Aborted when the run is stopped or given up. */
  readonly abort: AbortController;
  /** A visible answer was planned. Of a replay that is not known at once. */
  answered: boolean;
  /** It had steps before: an earlier pass, or an earlier process. */
  readonly replayed: boolean;
  /** Questions to people that it waits for. */
  waits: number;
  /** Tokens its agents used, by step: a second pass counts nothing twice. */
  readonly usage: Map<string, Usage>;
  /** Agents that work in it now, by what a new message of the same chat does to them. */
  readonly modes: MoreMode[];
  /** The receipts of `messages`. */
  readonly seqs: readonly number[];
}

/** A new message while an agent works: it waits, joins before the next model round, or takes the run's place. */
export type MoreMode = "queue" | "steer" | "interrupt";

/** What is known of a message when it comes in. */
export interface Facts { readonly trust: Trust; readonly tainted: boolean; readonly priority?: Priority }

/** What the inbox asks about questions to people (asks.ts). */
export interface Questions {
  /** True: these are words for a question, saved as such, and dealt with there. */
  takes(receipt: Receipt): boolean;
  /** The head of the burst that waited for a person when the last process ended, and this receipt is of. */
  headOf(seq: number): number | undefined;
  /** Why the run that asked cannot go on. */
  broken(seq: number): string | undefined;
  /** What is written with the end of a run, or of all runs of a receipt: nobody waits there any more. */
  forget(seq: number, run?: string): Change[];
}
