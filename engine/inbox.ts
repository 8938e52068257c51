/** Inbox and lanes: what came in is saved, then handed to the flows in strict order within its lane. */
import { randomUUID } from "node:crypto";
import type { Received } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";
import { StoreError } from "./errors.ts";
import { laneOf, type Message } from "./message.ts";
import { endOf, reduce, type Act, type Life } from "./life.ts";
import { at, reached } from "./points.ts";
import { insist } from "./store/insist.ts";
import { parseRunId, PRIORITIES, runId, type Change, type NewOutboxRow, type NewReceipt, type Priority, type Receipt, type RunEnd, type Store } from "./store/store.ts";
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
  /** A visible answer was planned. */
  answered: boolean;
}

/** What waits: in memory, or by its number. */
interface Lane { readonly queue: (Receipt | number)[]; active: Active | undefined; waiting: (() => void) | undefined }
/** What is under way: the head of the lane, or a burst; by entry node the runs that have not ended. */
interface Active { readonly receipts: Receipt[]; readonly runs: Map<string, Run> }

export interface InboxOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Receipts that may wait at once; more are refused with STORE_005 before they are confirmed. */
  readonly maxPending?: number;
  /** Receipts kept in memory while they wait; the others are read again when their turn comes. */
  readonly maxInMemory?: number;
  readonly maxActive?: number;
  /** Asked each time: they may change while runs are under way. */
  limits(): { readonly pendingMaxMs: number; readonly idleMs: number };
  /** Fetches files that came with a message; resolves to the same message where there is nothing to fetch. */
  prepare?(message: Message): Promise<Message>;
  /** Makes the notice of a message that is given up; undefined where nobody shall be told. */
  notice?(receipt: Receipt, code: string): NewOutboxRow | undefined;
  /** That notice is on disk; `seq` undefined: it was there already. */
  onNotice?(notice: NewOutboxRow, seq: number | undefined): void;
  onDead(receipt: Receipt, reason: string): void;
  /** A flow takes it up. */
  onBegin?(run: Run): void;
  onEnd?(run: Run, end: RunEnd): void;
}

export interface Inbox {
  receive(message: Message, facts: { readonly trust: Trust; readonly tainted: boolean; readonly priority?: Priority }): Promise<Received>;
  add(entry: Entry): void;
  /** Nothing new begins there. What is under way goes on, unless the flow loses it (`interrupt`). */
  remove(id: string): void;
  /** Reads what an earlier process left. Call once before `start`. */
  load(): Promise<void>;
  /** The flows are there: begin, and begin again what was interrupted. What has no entry any more ends as a dead letter. */
  start(): void;
  stop(): void;
  run(id: string): Run | undefined;
  /** Run by its id even when it ended already: late output still finds its message. */
  find(id: string): Promise<Pick<Run, "id" | "receipt"> | undefined>;
  /** The flow has settled; `fault`: text of one that no Catch node took. */
  end(id: string, how?: RunEnd | { readonly fault: string }): Promise<void>;
  /** The flow lost this run (a deploy): it starts again from its entry at the next `start`. */
  interrupt(id: string): void;
  runs(): Iterable<Run>;
  readonly size: number;
  /** Notes that this process may end now, in order: nothing that is under way is to blame. `start` takes it back. */
  rest(): Promise<void>;
  close(): Promise<void>;
}

/** A suspect has the process for itself no longer than this: one that waits for a person must not hold up the others. */
const TRIAL_MS = 60_000;
const PROCESS = "process";
const ENDED = "ended in order";

export function createInbox(options: InboxOptions): Inbox {
  const { store, clock, maxPending = 100_000, maxInMemory = 2_000, maxActive = 1_000 } = options;
  const lanes = new Map<string, Lane>();
  const entries = new Map<string, Entry>();
  const runs = new Map<string, Run>();
  const interrupted = new Set<string>();
  let started = false;
  let closed = false;
  let rested = false;
  let waiting = 0;
  let inMemory = 0;
  let active = 0;
  /** Lanes that wait because too much is under way, the most urgent first. */
  const starved = PRIORITIES.map(() => new Set<string>());
  /** First in their lanes when an earlier process broke off: they may be why. */
  const suspects = new Set<number>();
  /** The suspect that is tried without the others, since `since` by the monotonic clock; and lanes whose suspects wait for it. */
  let trial: { readonly lane: string; readonly since: number } | undefined;
  const onTrial = new Set<string>();
  /** The newest receipt of an earlier process: up to here there may be a journal. */
  let lastLeft = 0;

  function enqueue(receipt: Receipt): void {
    let lane = lanes.get(receipt.lane);
    if (lane === undefined) {
      lane = { queue: [], active: undefined, waiting: undefined };
      lanes.set(receipt.lane, lane);
    }
    waiting++;
    if (inMemory < maxInMemory) { inMemory++; lane.queue.push(receipt); } else lane.queue.push(receipt.seq);
    if (started) void pump(receipt.lane, lane);
  }

  /** What was edited or deleted while it still waits is changed in its place; the act itself needs no run then. */
  async function amend(seq: number, key: string, change: Message): Promise<boolean> {
    for (const [place, waiting] of (lanes.get(key)?.queue ?? []).entries()) {
      const receipt = typeof waiting === "number" ? await store.receipt(waiting) : waiting;
      const lane = lanes.get(key);
      if (receipt === undefined || lane?.queue[place] !== waiting || receipt.message.ref !== change.ref || receipt.message.kind !== "message" || receipt.message.sender.id !== change.sender.id) continue;
      const done = { do: "receipt", seq, state: "done", reason: `${change.kind} of a message that was still waiting` } as const;
      if (change.kind === "delete") {
        // It keeps its place in the lane; whoever takes it up sees that it is done.
        if (typeof waiting !== "number") { lane.queue[place] = receipt.seq; inMemory--; }
        await store.commit([done, { do: "receipt", seq: receipt.seq, state: "done", reason: "deleted by its sender" }]);
      } else {
        const message = { ...receipt.message, text: change.text, attachments: change.attachments };
        if (typeof waiting !== "number") lane.queue[place] = { ...receipt, message };
        await store.commit([done, { do: "receipt", seq: receipt.seq, message }]);
      }
      return true;
    }
    return false;
  }

  async function shift(lane: Lane): Promise<Receipt | undefined> {
    const next = lane.queue[0];
    if (next === undefined) return undefined;
    // Read before it leaves the queue: a store that cannot be read loses nothing.
    const receipt = typeof next === "number" ? await store.receipt(next) : next;
    lane.queue.shift();
    waiting--;
    if (typeof next !== "number") inMemory--;
    return receipt;
  }

  /** Takes up the head of a lane unless something is under way there. */
  async function pump(key: string, lane: Lane): Promise<void> {
    if (!started || closed || lane.active !== undefined || lane.waiting !== undefined) return;
    if (lane.queue.length === 0) { lanes.delete(key); return; }
    if (active >= maxActive) { starved[rankOf(lane.queue[0])]?.add(key); return; }
    active++;
    const current: Active = { receipts: [], runs: new Map() };
    lane.active = current;
    try {
      const head = await shift(lane);
      if (head === undefined) return release(key, lane);
      current.receipts.push(head);
      await take(key, lane, current, head);
    } catch (error) {
      // The store cannot be read or written now: what was taken stays pending on disk and first in its lane.
      putBack(lane, current);
      release(key, lane, true);
      sleep(key, lane, error instanceof StoreError ? (error.afterMs ?? 1000) : 1000);
    }
  }

  async function take(key: string, lane: Lane, current: Active, head: Receipt): Promise<void> {
    const views = [...entries.values()].map((entry) => ({ id: entry.id, covers: entry.covers(head.message), matches: entry.matches(head.message) }));
    const suspect = suspects.has(head.seq);
    const onTrialMs = trial === undefined ? 0 : trial.since + TRIAL_MS - clock.monotonic();
    const { write, act } = reduce(lifeOf(head), { type: "taken", suspect, onTrialMs, entries: views, now: clock.now(), maxAgeMs: options.limits().pendingMaxMs });
    if (act.type === "release") {
      if (write.length > 0) await finish(current, write, act);
      return release(key, lane);
    }
    if (act.type === "wait") {
      if (suspect && onTrialMs > 0) onTrial.add(key);
      putBack(lane, current);
      release(key, lane, true);
      return sleep(key, lane, Math.min(act.untilMs - clock.now(), 60_000));
    }
    if (act.type !== "run") return;
    if (suspect && head.attempts > 0) trial = { lane: key, since: clock.monotonic() };
    await store.commit(write);
    suspects.delete(head.seq);
    FAULT: await reached("lane-claimed", head.message.id);
    const journals = new Map<string, Map<string, unknown>>();
    for (const entry of act.entries) journals.set(entry, await journalOf(head, entry));
    await gather(lane, current, act.entries, journals);
    if (options.prepare !== undefined) await prepareAll(current, options.prepare);
    if (started && act.entries.every((entry) => entries.has(entry))) {
      for (const entry of act.entries) begin(current, current.receipts[0] ?? head, entry, journals.get(entry) ?? new Map());
      return;
    }
    // The flows were stopped or changed while it was got ready: it stays the first of its lane, and is taken up anew.
    putBack(lane, current);
    release(key, lane, true);
    void pump(key, lane);
  }
  function putBack(lane: Lane, { receipts }: Active): void {
    lane.queue.unshift(...receipts);
    waiting += receipts.length;
    inMemory += receipts.length;
  }

  async function journalOf(receipt: Receipt, entry: string): Promise<Map<string, unknown>> {
    if (receipt.seq > lastLeft) return new Map();
    return new Map((await store.journal(runId(receipt, entry))).map((row) => [row.step, row.data]));
  }

  /** Waits for the quiet that ends a burst, and takes the whole burst. What was gathered is journaled: a replay has the same messages. */
  async function gather(lane: Lane, current: Active, ids: readonly string[], journals: Map<string, Map<string, unknown>>): Promise<void> {
    const head = current.receipts[0] as Receipt;
    const known = [...journals.values()].map((journal) => journal.get("gather")).find((seqs) => Array.isArray(seqs)) as number[] | undefined;
    const ms = Math.max(0, ...ids.map((id) => entries.get(id)?.gatherMs ?? 0));
    if (known === undefined && (ms === 0 || head.message.kind !== "message")) return;
    if (known === undefined) {
      for (let seen = -1; seen !== lane.queue.length; ) {
        seen = lane.queue.length;
        await new Promise<void>((resolve) => { clock.after(ms, resolve); });
      }
    }
    while (lane.queue.length > 0) {
      const next = lane.queue[0] as Receipt | number;
      const receipt = typeof next === "number" ? await store.receipt(next) : next;
      const belongs = receipt !== undefined && (known ? known.includes(receipt.seq) : receipt.message.kind === "message" && receipt.message.sender.id === head.message.sender.id);
      if (!belongs) break;
      await shift(lane);
      current.receipts.push(receipt);
    }
    if (known === undefined && current.receipts.length > 1) {
      const seqs = current.receipts.map((receipt) => receipt.seq);
      await store.commit(ids.map((entry) => ({ do: "journal", run: runId(head, entry), entry: { step: "gather", at: clock.now(), data: seqs } })));
    }
  }

  async function prepareAll(current: Active, prepare: (message: Message) => Promise<Message>): Promise<void> {
    for (const [place, receipt] of current.receipts.entries()) {
      if (!receipt.message.attachments.some((file) => "state" in file && file.state === "remote")) continue;
      const message = await prepare(receipt.message);
      current.receipts[place] = { ...receipt, message };
      await store.commit([{ do: "receipt", seq: receipt.seq, message }]);
    }
  }

  function begin(current: Active, head: Receipt, entryId: string, journal: Map<string, unknown>): void {
    const entry = entries.get(entryId);
    if (entry === undefined) return;
    const id = runId(head, entryId);
    const run: Run = { id, entry: entryId, receipt: head, messages: current.receipts.map((receipt) => receipt.message), journal, counters: new Map(), pass: 0, touchedAt: clock.monotonic(), abort: new AbortController(), answered: false };
    runs.set(id, run);
    current.runs.set(entryId, run);
    options.onBegin?.(run);
    entry.emit(run);
  }

  function lifeOf(receipt: Receipt): Life {
    return { receipt, notice: (code) => options.notice?.(receipt, code) };
  }

  /** All messages of a burst end alike. Not to be lost: else the next start does it all again. */
  async function finish(current: Active, write: readonly Change[], { state, reason, notice }: Extract<Act, { type: "release" }>): Promise<void> {
    const head = current.receipts[0];
    if (state === "dead" && head !== undefined) options.onDead(head, reason ?? "");
    const all = write.flatMap((change): Change[] => (change.do === "receipt" ? current.receipts.map(({ seq }) => ({ ...change, seq })) : [change]));
    const seqs = await insist(store, clock, all, () => closed);
    if (notice !== undefined) options.onNotice?.(notice, seqs.at(-1));
  }

  function release(key: string, lane: Lane, keep = false): void {
    if (lane.active !== undefined) active--;
    lane.active = undefined;
    if (trial?.lane === key) endTrial();
    if (!keep) {
      if (lane.queue.length === 0) lanes.delete(key);
      else void pump(key, lane);
    }
    for (const rank of starved) {
      for (const other of rank) {
        if (active >= maxActive) return;
        rank.delete(other);
        const next = lanes.get(other);
        if (next !== undefined) void pump(other, next);
      }
    }
  }

  function endTrial(): void {
    trial = undefined;
    for (const key of onTrial) {
      onTrial.delete(key);
      lanes.get(key)?.waiting?.();
      const lane = lanes.get(key);
      if (lane !== undefined) void pump(key, lane);
      if (trial !== undefined) return;
    }
  }
  function sleep(key: string, lane: Lane, ms: number): void {
    lane.waiting?.();
    const cancel = clock.after(Math.max(50, ms), wake);
    function wake(): void { cancel(); lane.waiting = undefined; void pump(key, lane); }
    lane.waiting = () => { cancel(); lane.waiting = undefined; };
  }

  function wakeAll(): void {
    for (const [key, lane] of lanes) { lane.waiting?.(); void pump(key, lane); }
  }

  function laneOfRun(run: Run): Lane | undefined { return lanes.get(run.receipt.lane); }

  const idleTimer = { cancel: () => {} };
  function watchIdle(): void {
    const everyMs = Math.min(5_000, Math.max(50, options.limits().idleMs / 4));
    const due = clock.monotonic() + everyMs;
    idleTimer.cancel = clock.after(everyMs, () => {
      // So long the whole process stood still, and no flow could show a sign of life.
      const stoodMs = clock.monotonic() - due;
      if (stoodMs > everyMs) for (const run of runs.values()) run.touchedAt += stoodMs;
      const limit = clock.monotonic() - options.limits().idleMs;
      for (const run of runs.values()) {
        if (run.touchedAt < limit && !interrupted.has(run.id)) {
          run.abort.abort();
          void inbox.end(run.id, { state: "done", reason: run.answered ? "the flow did not end by itself" : "unanswered: the flow did not end in time" }).catch(() => wakeAll());
        }
      }
      if (!closed) watchIdle();
    });
  }

  const inbox: Inbox = {
    async receive(message, facts) {
      if (waiting >= maxPending) throw new StoreError("STORE_005", { retry: "later", afterMs: 5_000 }, `Expected fewer than ${maxPending} waiting messages; the flows do not keep up.`);
      // What answers or steers a run must not wait behind that run.
      const beside = message.kind === "action" && message.action?.type !== "command";
      const fresh: NewReceipt = {
        // 74 random bits; Node.js draws UUIDs from the system by the hundred.
        secret: randomUUID().slice(0, 23), lane: beside ? `${laneOf(message.at)}\n${message.id}` : laneOf(message.at),
        priority: facts.priority ?? (beside ? "high" : "normal"), message, trust: facts.trust, tainted: facts.tainted, receivedAt: clock.now(),
      };
      FAULT: await reached("before-inbox", message.id);
      const [seq] = await store.commit(reduce({}, { type: "arrived", receipt: fresh }).write);
      FAULT: await reached("after-inbox", message.id);
      if (seq === undefined) return "duplicate";
      if ((message.kind === "edit" || message.kind === "delete") && (await amend(seq, fresh.lane, message))) return "saved";
      FAULT: at("after-dedupe", message.id);
      enqueue({ ...fresh, seq, state: "pending", attempts: 0, runs: {} });
      return "saved";
    },
    add(entry) { entries.set(entry.id, entry); },
    remove(id) { entries.delete(id); },
    async load() {
      const heads = new Set<string>();
      const inOrder = (await store.get(PROCESS, ENDED)) !== undefined;
      if (inOrder) await store.commit([{ do: "set", space: PROCESS, key: ENDED, value: undefined }]);
      for (let after = 0; ; ) {
        const page = await store.pending(after, 1_000);
        for (const receipt of page) {
          // Only the head of a lane can have been under way.
          if (!inOrder && !heads.has(receipt.lane)) suspects.add(receipt.seq);
          heads.add(receipt.lane);
          enqueue(receipt);
        }
        after = page.at(-1)?.seq ?? after;
        lastLeft = Math.max(lastLeft, after);
        if (page.length < 1_000) return;
      }
    },
    start() {
      started = true;
      if (rested) {
        rested = false;
        insist(store, clock, [{ do: "set", space: PROCESS, key: ENDED, value: undefined }], () => closed).catch(() => { /* Closed meanwhile. */ });
      }
      for (const id of [...interrupted]) {
        interrupted.delete(id);
        const run = runs.get(id);
        const entry = run && entries.get(run.entry);
        if (run === undefined) continue;
        if (entry === undefined) { void inbox.end(id, { state: "dead", reason: "its channel in was removed while it was under way" }); continue; }
        run.pass++;
        run.touchedAt = clock.monotonic();
        entry.emit(run);
      }
      wakeAll();
    },
    stop() { started = false; },
    run(id) { return runs.get(id); },
    async find(id) {
      const live = runs.get(id);
      if (live !== undefined) return live;
      const parts = parseRunId(id);
      const receipt = parts && (await store.receipt(parts.seq));
      return receipt !== undefined && parts !== undefined && receipt.secret === parts.secret ? { id, receipt } : undefined;
    },
    async end(id, how = { state: "done" }) {
      const run = runs.get(id);
      // What breaks off because the process ends has not ended: the next process goes on with it.
      if (run === undefined || closed) return;
      const end = "fault" in how ? endOf(how.fault, run.answered) : how;
      const lane = laneOfRun(run);
      const current = lane?.active;
      if (lane === undefined || current === undefined || current.runs.get(run.entry) !== run) return;
      const head = current.receipts[0] as Receipt;
      current.runs.delete(run.entry);
      runs.delete(id);
      interrupted.delete(id);
      const { write, act } = reduce(lifeOf(head), { type: "settled", entry: run.entry, end, others: current.runs.size > 0 });
      current.receipts[0] = { ...head, runs: { ...head.runs, [run.entry]: end } };
      const saved = act.type === "release" ? finish(current, write, act) : insist(store, clock, write, () => closed);
      options.onEnd?.(run, end);
      FAULT: at("before-release", run.receipt.message.id);
      if (act.type === "release") release(run.receipt.lane, lane);
      await saved;
    },
    interrupt(id) { if (runs.has(id)) interrupted.add(id); },
    runs: () => runs.values(),
    get size() { return waiting + active; },
    async rest() {
      rested = true;
      await store.commit([{ do: "set", space: PROCESS, key: ENDED, value: clock.now() }]).catch(() => { /* Then what is under way counts as interrupted. */ });
    },
    async close() {
      started = false;
      await inbox.rest();
      closed = true; idleTimer.cancel(); 
      for (const lane of lanes.values()) lane.waiting?.();
      for (const run of runs.values()) run.abort.abort();
    },
  };
  watchIdle();
  return inbox;
}

/** Of a lane's head; what is not in memory was there for so long that it is nobody's urgent matter. */
function rankOf(head: Receipt | number | undefined): number {
  return PRIORITIES.indexOf(typeof head === "object" ? head.priority : "normal");
}
