/** What happens to a lane's messages before they run: a burst is gathered, files are put in place, and what is edited or deleted while it waits is changed. */
import type { Clock } from "./clock.ts";
import type { Message } from "./message.ts";
import { runId, type Receipt, type Store } from "./store/store.ts";

/** Receipts that wait: in memory, or by their number. */
export type Queue = (Receipt | number)[];

export interface Gathering {
  readonly store: Store;
  readonly clock: Clock;
  /** Milliseconds of quiet that end the burst. */
  readonly ms: number;
  /** Entry nodes that take it. */
  readonly entries: readonly string[];
  readonly journals: ReadonlyMap<string, ReadonlyMap<string, unknown>>;
  shift(): Promise<Receipt | undefined>;
  /** In front of what waits. */
  putBack(receipt: Receipt): void;
  /** It is of no burst: it had ended while it waited, or is damaged. */
  gone(receipt: Receipt): void;
  /** Its head was stopped: the lane is another's now. */
  over(): boolean;
}

/** Waits for the quiet that ends a burst, and takes the whole burst behind its head: what the same person said, as far trusted (what was passed on is another matter than what was typed). What was gathered is journaled: a replay has the same messages. */
export async function gather(queue: Queue, receipts: Receipt[], { store, clock, ms, entries, journals, shift, putBack, gone, over }: Gathering): Promise<void> {
  const head = receipts[0] as Receipt;
  const known = [...journals.values()].map((journal) => journal.get("gather")).find((seqs) => Array.isArray(seqs)) as number[] | undefined;
  if (known === undefined && (ms === 0 || head.message.kind !== "message")) return;
  if (known === undefined) {
    for (let seen = -1; seen !== queue.length && !over(); ) {
      seen = queue.length;
      await new Promise<void>((resolve) => { clock.after(ms, resolve); });
    }
  }
  while (queue.length > 0 && !over()) {
    const next = queue[0] as Receipt | number;
    const receipt = typeof next === "number" ? await store.receipt(next) : next;
    if (receipt === undefined) break;
    const isGone = receipt.state !== "pending" || receipt.reason !== undefined;
    const belongs = known ? known.includes(receipt.seq) : receipt.message.kind === "message" && receipt.message.sender.id === head.message.sender.id && receipt.trust === head.trust && receipt.tainted === head.tainted;
    if (!(belongs || isGone) || over()) break;
    const taken = await shift();
    if (taken === undefined) break;
    if (isGone || taken.state !== "pending") gone(taken);
    else if (over()) putBack(taken);
    else receipts.push(taken);
  }
  if (known === undefined && receipts.length > 1 && !over()) {
    const seqs = receipts.map((receipt) => receipt.seq);
    await store.commit(entries.map((entry) => ({ do: "journal", run: runId(head, entry), entry: { step: "gather", at: clock.now(), data: seqs } })));
  }
}

export interface Amending {
  readonly store: Store;
  /** Asked anew each time: a lane comes and goes. */
  queue(): Queue | undefined;
  /** One fewer is kept in memory. */
  left(): void;
  /** Takes the act itself out of the lane; false: it has begun. */
  leave(): boolean;
  /** In its place again. */
  comeBack(): void;
}

/**
 * Changes what still waits and was edited or deleted by its sender; the act itself (`seq`) needs no run then. False: it does not wait any more.
 * Throws where the store cannot read or take it: then the act waits in the lane, for a run of its own.
 */
export async function amend(seq: number, change: Message, { store, queue, left, leave, comeBack }: Amending): Promise<boolean> {
  for (const [place, waiting] of (queue() ?? []).entries()) {
    const receipt = typeof waiting === "number" ? await store.receipt(waiting) : waiting;
    const now = queue();
    if (receipt === undefined || now?.[place] !== waiting || receipt.message.ref !== change.ref || receipt.message.kind !== "message" || receipt.message.sender.id !== change.sender.id) continue;
    if (!leave()) return false;
    const message = { ...receipt.message, text: change.text, attachments: change.attachments };
    const changed = { ...receipt, message };
    // What was deleted keeps its place in the lane; whoever takes it up sees that it is done.
    if (typeof waiting !== "number") now[place] = change.kind === "delete" ? receipt.seq : changed;
    if (typeof waiting !== "number" && change.kind === "delete") left();
    try {
      await store.commit([
        { do: "receipt", seq, state: "done", reason: `${change.kind} of a message that was still waiting` },
        { do: "receipt", seq: receipt.seq, ...(change.kind === "delete" ? { state: "done", reason: "deleted by its sender" } : { message }) },
      ]);
    } catch (error) {
      const still = queue();
      const at = still?.indexOf(changed) ?? -1;
      if (at >= 0) still?.splice(at, 1, waiting);
      comeBack();
      throw error;
    }
    return true;
  }
  return false;
}

/** Puts the files of these messages in their place, in memory and on disk. */
export async function prepareAll(store: Store, receipts: Receipt[], prepare: (message: Message) => Promise<Message>): Promise<void> {
  for (const [place, receipt] of receipts.entries()) {
    if (!receipt.message.attachments.some((file) => "state" in file && file.state === "remote")) continue;
    const message = await prepare(receipt.message);
    receipts[place] = { ...receipt, message };
    await store.commit([{ do: "receipt", seq: receipt.seq, message }]);
  }
}
