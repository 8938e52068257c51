/** What people do to messages that wait or are under way: stop them, take their place, join them, hold them back. Each decision that touches a message is the reducer's (life.ts). */
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "./clock.ts";
import { begun as begunStep, reduce, type Life } from "./life.ts";
import { laneOf, type Address, type DraftFile, type Message } from "./message.ts";
import type { Tell } from "./metrics.ts";
import { mergeMessages } from "./normalize/merge.ts";
import { seqOf, type Active, type Lane, type Queues } from "./queues.ts";
import type { Entry, MoreMode, Run } from "./run.ts";
import type { Steps } from "./steps.ts";
import { Stopped, type StopCause } from "./stopped.ts";
import type { Change, Receipt, RunEnd, Step, Store } from "./store/store.ts";
import { bringsOutside } from "./taint.ts";

/** What was said while a run was at work, as its next model round gets it. */
export interface Said { readonly text: string; readonly ref: string; readonly files?: readonly DraftFile[]; /** Text of others came with it. */ readonly outside?: true }

export interface Control {
  /** Ends what is under way and what waits in this chat and thread, as far as it came before `before` (a receipt's number). `write`: what ends it on disk; the memory of it is gone at once. */
  stop(at: Address, before: number, reason: string): Promise<{ readonly write: readonly Change[]; readonly count: number }>;
  /** Breaks off what is under way there, and puts it back to the head of its lane: it begins anew once its chat is not paused any more. */
  suspend(isMeant: (message: Message) => boolean): void;
  /** An agent works in this run until the returned function is called; with `interrupt` what waits already takes its place at once. */
  more(run: string, mode: MoreMode): () => void;
  /** Takes what was said meanwhile in the run's chat by the same person: the step that keeps it, or undefined where there is nothing. If `once` fails with it, `giveBack`. */
  join(run: string): Promise<{ readonly step: Step<readonly Said[]>; giveBack(): void } | undefined>;
  /** A message has come: does it take the place of what is under way? */
  interrupt(receipt: Receipt): Promise<void>;
  /** Why this run was broken off; undefined where it was not, or has begun anew. */
  stopped(run: string): StopCause | undefined;
  /** What is under way and how much waits in this chat and thread. */
  at(address: Address): { readonly runs: readonly Run[]; readonly waiting: number };
  /** Lanes that wait look again. */
  wake(): void;
  /** For the inbox: receipts that were put back, with the number of their last pass. */
  readonly begun: Map<number, number>;
  begins(run: string): void;
}

export interface Floor {
  readonly store: Pick<Store, "receipt">;
  readonly clock: Clock;
  readonly queues: Queues;
  readonly runs: Map<string, Run>;
  readonly homes: Map<Run, Active>;
  readonly entries: ReadonlyMap<string, Entry>;
  readonly tell: Tell | undefined;
  lifeOf(receipt: Receipt): Life;
  forget(seq: number, run?: string): Change[];
  commit(changes: readonly Change[]): Promise<unknown>;
  release(key: string, lane: NonNullable<ReturnType<Queues["lanes"]["get"]>>, keep?: boolean): void;
  prepare?(message: Message): Promise<Message>;
  wakeAll(): void;
  /** A run is gone; without an end it begins anew. */
  onEnd(run: Run, end: RunEnd | undefined): void;
}

/** Of so many runs it is known that they were broken off: what their flows still bring is not used. */
const KEPT = 2_000;

export function createControl(floor: Floor): Control {
  const { queues, runs, homes } = floor;
  const begun = new Map<number, number>();
  const cuts = new Map<string, StopCause>();

  const isOf = (lane: string, { message }: Receipt): boolean => laneOf(message.at) === lane;
  /** Whatever is under way, also what stands aside or is still got ready. */
  function actives(): Set<Active> {
    const all = new Set(homes.values());
    for (const { active } of queues.lanes.values()) if (active !== undefined) all.add(active);
    return all;
  }
  function cut(current: Active, why: StopCause, end: RunEnd | undefined): void {
    current.over = true;
    for (const run of current.runs.values()) {
      runs.delete(run.id);
      homes.delete(run);
      cuts.delete(run.id);
      cuts.set(run.id, why);
      if (cuts.size > KEPT) cuts.delete(cuts.keys().next().value as string);
      run.abort.abort(new Stopped(why));
      floor.onEnd(run, end);
    }
    current.runs.clear();
  }
  function letGo(current: Active, keep = false): void {
    const lane = queues.lanes.get(current.lane);
    if (!current.aside && lane?.active === current) floor.release(current.lane, lane, keep);
  }

  async function stop(at: Address, before: number, reason: string): Promise<{ write: Change[]; count: number }> {
    const base = laneOf(at);
    const write: Change[] = [];
    let count = 0;
    const end = (receipt: Receipt, entries: readonly string[]): void => {
      const next = reduce({ receipt }, { type: "stopped", entries, reason });
      if (next.write.length === 0) return;
      count++;
      write.push(...next.write);
      floor.tell?.("done", receipt.message.at);
    };
    for (const [key, lane] of queues.lanes) {
      if (key !== base && !key.startsWith(`${base}\n`)) continue;
      const meant = new Set(lane.queue.map(seqOf).filter((seq) => seq < before));
      for (const one of queues.take(lane, meant)) {
        const receipt = typeof one === "number" ? await floor.store.receipt(one) : one;
        if (receipt === undefined) continue;
        // Put back or not begun again, it may have asked somebody.
        write.push(...floor.forget(receipt.seq));
        end(receipt, []);
      }
    }
    for (const current of actives()) {
      const head = current.receipts[0];
      if (head === undefined || head.seq >= before || !isOf(base, head)) continue;
      write.push(...floor.forget(head.seq));
      for (const receipt of current.receipts) end(receipt, [...current.runs.keys()]);
      begun.delete(head.seq);
      cut(current, "stopped", { state: "done", reason });
      letGo(current);
    }
    return { write, count };
  }

  function suspend(isMeant: (message: Message) => boolean): void {
    for (const current of actives()) {
      const head = current.receipts[0];
      // What waits for a person works on nothing; what is still got ready looks for a pause by itself.
      if (head === undefined || !isMeant(head.message) || current.runs.size === 0 || [...current.runs.values()].every((run) => run.waits > 0)) continue;
      putBack(current, head);
    }
  }
  function putBack(current: Active, head: Receipt): void {
    begun.set(head.seq, Math.max(...[...current.runs.values()].map(({ pass }) => pass)));
    cut(current, "paused", undefined);
    const lane = queues.putBack(current.lane, current.receipts);
    if (!current.aside && lane.active === current) floor.release(current.lane, lane, true);
    floor.wakeAll();
  }

  /** Said by the same person, as far trusted, and meant for this very flow. */
  function belongs(receipt: Receipt, current: Active): boolean {
    const head = current.receipts[0] as Receipt;
    const { message } = receipt;
    const wanted = [...floor.entries.values()].filter((entry) => entry.matches(message)).map(({ id }) => id);
    return message.kind === "message" && message.sender.id === head.message.sender.id && receipt.trust === head.trust && receipt.tainted === head.tainted
      && wanted.length === current.runs.size && wanted.every((id) => current.runs.has(id));
  }
  function isInterruptible(current: Active): boolean {
    const all = [...current.runs.values()];
    return !current.aside && all.length > 0 && all.every((run) => run.waits === 0 && !run.answered && !run.replayed && !hasChanged(run) && run.modes.length > 0 && run.modes.every((mode) => mode === "interrupt"));
  }

  async function interrupt(receipt: Receipt): Promise<void> {
    const lane = queues.lanes.get(receipt.lane);
    const current = lane?.active;
    const place = lane?.queue.findIndex((one) => seqOf(one) === receipt.seq) ?? -1;
    if (lane === undefined || current === undefined || place < 0 || !isInterruptible(current) || !belongs(receipt, current)) return;
    const entries = [...current.runs.keys()];
    const message: Message = { ...mergeMessages([...current.receipts.map((one) => one.message), receipt.message]), id: receipt.message.id };
    const write = current.receipts.flatMap((old) => reduce({ receipt: old }, { type: "interrupted", entries, answered: false, by: { seq: receipt.seq, message } }).write);
    if (write.length === 0) return;
    if (typeof lane.queue[place] !== "number") lane.queue[place] = { ...receipt, message };
    const saved = floor.commit(write);
    for (const old of current.receipts) floor.tell?.("done", old.message.at);
    cut(current, "interrupted", { state: "done", reason: "a newer message took its place" });
    letGo(current);
    await saved;
  }

  /** As it waits there now. What was deleted keeps its place by its number. */
  async function waiting({ queue }: Lane, seq: number): Promise<Receipt | undefined> {
    const one = queue.find((other) => seqOf(other) === seq);
    const receipt = typeof one === "number" ? await floor.store.receipt(one) : one;
    return receipt?.state === "pending" && receipt.reason === undefined ? receipt : undefined;
  }

  async function join(id: string): Promise<{ step: Step<readonly Said[]>; giveBack(): void } | undefined> {
    const run = runs.get(id);
    const current = run && homes.get(run);
    const lane = current && queues.lanes.get(current.lane);
    if (run === undefined || current === undefined || lane === undefined || current.aside) return undefined;
    const taken: Receipt[] = [];
    for (const seq of lane.queue.map(seqOf)) {
      const receipt = await waiting(lane, seq);
      if (receipt === undefined || !belongs(receipt, current)) continue;
      const message = await (floor.prepare?.(receipt.message) ?? receipt.message);
      // It may have been stopped, edited or taken back while its files were fetched: what it says now joins at the next round.
      const isSame = isDeepStrictEqual(await waiting(lane, seq), receipt);
      if (runs.get(id) !== run) break;
      if (isSame && queues.take(lane, new Set([receipt.seq])).length > 0) taken.push({ ...receipt, message });
    }
    if (taken.length === 0) return undefined;
    const data = taken.map(({ message }): Said => ({ text: message.text, ref: message.ref, ...filesOf(message), ...(bringsOutside(message) ? { outside: true } : {}) }));
    const also = taken.flatMap((receipt) => reduce({ receipt }, { type: "joined", run: id }).write);
    for (const { message } of taken) floor.tell?.("done", message.at);
    return { step: { data, also }, giveBack: () => { queues.putBack(current.lane, taken); floor.wakeAll(); } };
  }

  return {
    stop, suspend, interrupt, join, begun,
    more(id, mode) {
      const run = runs.get(id);
      if (run === undefined) return () => undefined;
      run.modes.push(mode);
      const home = homes.get(run);
      const next = mode === "interrupt" && home !== undefined ? queues.lanes.get(home.lane)?.queue.at(-1) : undefined;
      if (typeof next === "object") void interrupt(next).catch(floor.wakeAll);
      return () => { run.modes.splice(run.modes.indexOf(mode), 1); };
    },
    stopped: (run) => cuts.get(run),
    begins(run) { cuts.delete(run); },
    at(address) {
      const base = laneOf(address);
      const here = [...actives()].filter(({ receipts: [head] }) => head !== undefined && isOf(base, head));
      return { runs: here.flatMap((current) => [...current.runs.values()]), waiting: queues.lanes.get(base)?.queue.length ?? 0 };
    },
    wake: floor.wakeAll,
  };
}

/** What was said meanwhile, for the model round that step `before` of this agent is. Kept once: a replay has the same words at the same place. */
export async function joinBefore({ inbox, once }: { readonly inbox: { readonly control: Control; run(id: string): Run | undefined }; readonly once: Steps["once"] }, run: string, agent: string, before: string): Promise<readonly Said[]> {
  const step = `${agent} joined before ${before}`;
  const journal = inbox.run(run)?.journal;
  if (journal === undefined) return [];
  if (journal.has(step)) return journal.get(step) as readonly Said[];
  if (journal.has(`${agent} ${before}`)) return [];
  const found = await inbox.control.join(run);
  if (found === undefined) return [];
  try {
    return await once(run, step, async () => found.step);
  } catch (error) {
    found.giveBack();
    throw error;
  }
}

/** A tool of it that changes something has begun: a run with another journal would know nothing of that, and do it again. */
function hasChanged({ journal }: Run): boolean { return [...journal.keys()].some((step) => step.endsWith(begunStep(""))); }

/** What a model can see of a message. */
export function picturesOf({ attachments }: Pick<Message, "attachments">): DraftFile[] {
  return attachments.flatMap((file) => (file.kind === "image" && file.state === "ready" ? [{ kind: file.kind, media: file.media, ...(file.mime === undefined ? {} : { mime: file.mime }) }] : []));
}
function filesOf(message: Message): Pick<Said, "files"> {
  const files = picturesOf(message);
  return files.length === 0 ? {} : { files };
}
