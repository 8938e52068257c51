/** Inbox and lanes: what came in is saved, then handed to the flows in strict order within its lane. */
import { randomUUID } from "node:crypto";
import type { Received } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";
import { StoreError } from "./errors.ts";
import { watchIdle } from "./idle.ts";
import { laneOf, type Address, type Message } from "./message.ts";
import type { Tell } from "./metrics.ts";
import { createControl, type Control } from "./control.ts";
import { amend, gather, prepareAll } from "./lane.ts";
import { endOf, reduce, type Act, type Life } from "./life.ts";
import { at, reached } from "./points.ts";
import { createQueues, type Active, type Lane } from "./queues.ts";
import type { Entry, Facts, Questions, Run } from "./run.ts";
import { insist } from "./store/insist.ts";
import { Stopped } from "./stopped.ts";
import { createTrials } from "./trial.ts";
import { parseRunId, PRIORITIES, runId, type Change, type NewOutboxRow, type NewReceipt, type Priority, type Receipt, type RunEnd, type Store } from "./store/store.ts";

export type { Entry, Facts, Questions, Run } from "./run.ts";

export interface InboxOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Receipts that may wait at once; more are refused with STORE_005 before they are confirmed. */
  readonly maxPending?: number;
  /** Why the store can take no more now. */
  full?(): StoreError | undefined;
  /** Receipts kept in memory while they wait; the others are read again when their turn comes. */
  readonly maxInMemory?: number;
  readonly maxActive?: number;
  /** Asked each time: they may change while runs are under way. */
  limits(): { readonly pendingMaxMs: number; readonly idleMs: number };
  /** Fetches files that came with a message; resolves to the same message where there is nothing to fetch. */
  prepare?(message: Message): Promise<Message>;
  readonly questions?: Questions;
  /** Until when nothing begins in this message's chat (Unix milliseconds); undefined: it is not paused. */
  pausedUntil?(message: Message): number | undefined;
  /** True: it is a word to the gateway itself, saved as such, and dealt with there. */
  takes?(receipt: Receipt): boolean;
  /** Makes the notice of a message that is given up; undefined where nobody shall be told. */
  notice?(receipt: Receipt, code: string): NewOutboxRow | undefined;
  /** That notice is on disk; `seq` undefined: it was there already. */
  onNotice?(notice: NewOutboxRow, seq: number | undefined): void;
  onDead(receipt: Receipt, reason: string): void;
  /** A flow takes it up. */
  onBegin?(run: Run): void;
  onEnd?(run: Run, end: RunEnd): void;
  /** A lane may be quiet now. */
  onRest?(): void;
  /** For whoever counts. */
  readonly tell?: Tell;
}

export interface Inbox {
  receive(message: Message, facts: Facts): Promise<Received>;
  /** Saves what is no message for the flows; `lane` says what it is for. Undefined: a duplicate. Whoever calls ends the receipt. Also where no more messages are taken: such words are short, and make room. */
  save(message: Message, facts: Facts, lane: string): Promise<Receipt | undefined>;
  add(entry: Entry): void;
  /** Nothing new begins there. What is under way goes on, unless the flow loses it (`interrupt`). */
  remove(id: string): void;
  /** Reads what an earlier process left. Call once before `start`. */
  load(): Promise<void>;
  /** The flows are there: begin, and begin again what was interrupted. What has no entry any more ends as a dead letter. */
  start(): void;
  stop(): void;
  run(id: string): Run | undefined;
  /** The run waits for a person: its lane goes on, and no idle limit ends it, until `goesOn` was called as often. */
  waits(id: string): void;
  goesOn(id: string): void;
  /** Something of this place waits for its turn or is under way, and does not wait for a person. */
  busy(at: Address): boolean;
  /** A flow takes messages of this account. */
  listens(message: Message): boolean;
  /** Run by its id even when it ended already: late output still finds its message. */
  find(id: string): Promise<Pick<Run, "id" | "receipt"> | undefined>;
  /** The flow has settled; `fault`: text of one that no Catch node took. */
  end(id: string, how?: RunEnd | { readonly fault: string }): Promise<void>;
  /** The flow lost this run (a deploy): it starts again from its entry at the next `start`. */
  interrupt(id: string): void;
  /** What people do to messages that wait or are under way. */
  readonly control: Control;
  runs(): Iterable<Run>;
  readonly size: number;
  /** Notes that this process may end now, in order: nothing that is under way is to blame. `start` takes it back. */
  rest(): Promise<void>;
  close(): Promise<void>;
}

const PROCESS = "process";
const ENDED = "ended in order";

export function createInbox(options: InboxOptions): Inbox {
  const { store, clock, maxPending = 100_000, maxInMemory = 2_000, maxActive = 1_000 } = options;
  const queues = createQueues(store, maxInMemory);
  const { lanes, shift } = queues;
  const trials = createTrials(clock);
  const { suspects } = trials;
  const entries = new Map<string, Entry>();
  const runs = new Map<string, Run>();
  const homes = new Map<Run, Active>();
  const interrupted = new Set<string>();
  let started = false;
  let closed = false;
  let rested = false;
  let active = 0;
  /** Lanes that wait because too much is under way, the most urgent first. */
  const starved = PRIORITIES.map(() => new Set<string>());
  /** The newest receipt of an earlier process: up to here there may be a journal. */
  let lastLeft = 0;
  /** Put back before they began: their burst may be journaled. */
  const gotReady = new Set<number>();

  function enqueue(receipt: Receipt): void {
    const lane = queues.add(receipt);
    if (started) void pump(receipt.lane, lane);
  }

  /** Takes up the head of a lane unless something is under way there. */
  async function pump(key: string, lane: Lane): Promise<void> {
    if (!started || closed || lane.active !== undefined || lane.waiting !== undefined) return;
    if (lane.queue.length === 0) { lanes.delete(key); return; }
    if (active >= maxActive) { starved[rankOf(lane.queue[0])]?.add(key); return; }
    active++;
    const current: Active = { lane: key, receipts: [], runs: new Map(), aside: false, over: false };
    lane.active = current;
    try {
      const head = await shift(lane);
      if (head === undefined) return release(key, lane);
      current.receipts.push(head);
      await take(key, lane, current, head);
    } catch (error) {
      if (current.over) return;
      // The store cannot be read or written now: what was taken stays pending on disk and first in its lane.
      putBack(current);
      release(key, lane, true);
      sleep(key, lane, error instanceof StoreError ? (error.afterMs ?? 1000) : 1000);
    }
  }

  async function take(key: string, lane: Lane, current: Active, head: Receipt): Promise<void> {
    const views = [...entries.values()].map((entry) => ({ id: entry.id, covers: entry.covers(head.message), matches: entry.matches(head.message) }));
    const suspect = suspects.get(head.seq);
    const onTrialMs = trials.leftMs();
    const { write, act } = reduce(lifeOf(head), { type: "taken", suspect, onTrialMs, pausedUntilMs: options.pausedUntil?.(head.message), entries: views, now: clock.now(), maxAgeMs: options.limits().pendingMaxMs, broken: options.questions?.broken(head.seq) });
    if (act.type === "release") {
      await drop(head, write, act);
      return release(key, lane);
    }
    if (act.type === "wait") {
      if (suspect !== undefined && onTrialMs > 0) trials.wait(key);
      queues.putBack(key, current.receipts);
      release(key, lane, true);
      return sleep(key, lane, Math.min(act.untilMs - clock.now(), 60_000));
    }
    if (act.type !== "run") return;
    if (act.alone) trials.begin(key);
    await store.commit(write);
    if (suspect !== undefined) suspects.set(head.seq, "tried");
    if (write.length > 0) current.receipts[0] = { ...head, attempts: head.attempts + 1 };
    FAULT: await reached("lane-claimed", head.message.id);
    const journals = new Map<string, Map<string, unknown>>();
    for (const entry of act.entries) journals.set(entry, await journalOf(head, entry));
    const ms = Math.max(0, ...act.entries.map((id) => entries.get(id)?.gatherMs ?? 0));
    await gather(lane.queue, current.receipts, { store, clock, ms, entries: act.entries, journals, shift: () => shift(lane), putBack: (receipt) => { void pump(key, queues.putBack(key, [receipt])); }, gone, over: () => current.over });
    if (current.over) return;
    if (options.prepare !== undefined) await prepareAll(store, current.receipts, options.prepare);
    if (current.over) return;
    if (started && options.pausedUntil?.(head.message) === undefined && act.entries.every((entry) => entries.has(entry))) {
      for (const entry of act.entries) begin(current, current.receipts[0] ?? head, entry, journals.get(entry) ?? new Map());
      return;
    }
    // The flows were stopped, paused or changed while it was got ready: it stays the first of its lane, and is taken up anew.
    putBack(current);
    release(key, lane, true);
    void pump(key, lane);
  }

  function putBack({ lane, receipts }: Active): void {
    if (receipts[0] !== undefined) gotReady.add(receipts[0].seq);
    queues.putBack(lane, receipts);
  }

  async function journalOf(receipt: Receipt, entry: string): Promise<Map<string, unknown>> {
    if (receipt.seq > lastLeft && !control.begun.has(receipt.seq) && !gotReady.has(receipt.seq)) return new Map();
    return new Map((await store.journal(runId(receipt, entry))).map((row) => [row.step, row.data]));
  }

  function begin(current: Active, head: Receipt, entryId: string, journal: Map<string, unknown>): void {
    const entry = entries.get(entryId);
    if (entry === undefined) return;
    const id = runId(head, entryId);
    const run: Run = { id, entry: entryId, receipt: head, messages: current.receipts.map((receipt) => receipt.message), journal, counters: new Map(), pass: (control.begun.get(head.seq) ?? -1) + 1, touchedAt: clock.monotonic(), abort: new AbortController(), answered: false, replayed: journal.size > 0, waits: 0, usage: new Map(), modes: [], seqs: current.receipts.map(({ seq }) => seq) };
    control.begins(id);
    gotReady.delete(head.seq);
    runs.set(id, run);
    homes.set(run, current);
    current.runs.set(entryId, run);
    options.onBegin?.(run);
    entry.emit(run);
  }

  function lifeOf(receipt: Receipt): Life {
    return { receipt, notice: (code) => options.notice?.(receipt, code) };
  }

  /** All messages of a burst end alike. Not to be lost: else the next start does it all again. */
  async function finish(receipts: readonly Receipt[], write: readonly Change[], { state, reason, notice, code }: Extract<Act, { type: "release" }>): Promise<void> {
    for (const { seq, message } of receipts) { suspects.delete(seq); control.begun.delete(seq); gotReady.delete(seq); options.tell?.(state, message.at, code); }
    const head = receipts[0];
    if (state === "dead" && head !== undefined) options.onDead(head, reason ?? "");
    const all = write.flatMap((change): Change[] => (change.do === "receipt" ? receipts.map(({ seq }) => ({ ...change, seq })) : [change]));
    const seqs = await insist(store, clock, all, () => closed);
    if (notice !== undefined) options.onNotice?.(notice, seqs.at(-1));
  }
  /** What is taken up for no run ends, or has ended. */
  async function drop(receipt: Receipt, write: readonly Change[], act: Extract<Act, { type: "release" }>): Promise<void> {
    if (write.length > 0) await finish([receipt], [...(options.questions?.forget(receipt.seq) ?? []), ...write], act);
    else options.tell?.(act.state, receipt.message.at);
  }
  function gone(receipt: Receipt): void {
    const { write, act } = reduce(lifeOf(receipt), { type: "taken", suspect: undefined, entries: [], now: clock.now(), maxAgeMs: options.limits().pendingMaxMs });
    if (act.type === "release") drop(receipt, write, act).catch(() => { /* Closed: the next process finds out by itself. */ });
  }

  /** Where all runs that are left wait for people, the lane goes on. */
  function letPass(current: Active): void {
    const head = current.receipts[0];
    const left = [...current.runs.values()];
    if (head === undefined || !left.some((run) => run.waits > 0)) return;
    const { write, act } = reduce({ receipt: head }, { type: "waits", others: left.some((run) => run.waits === 0) });
    current.receipts[0] = { ...head, attempts: 0 };
    if (write.length > 0) insist(store, clock, write, () => closed).catch(() => { /* Closed: then they count. */ });
    const lane = lanes.get(current.lane);
    if (act.type !== "step-aside" || current.aside || lane === undefined) return;
    current.aside = true;
    release(current.lane, lane);
  }

  function release(key: string, lane: Lane, keep = false): void {
    if (lane.active !== undefined) active--;
    lane.active = undefined;
    if (trials.ended(key)) endTrial();
    if (!keep) {
      if (lane.queue.length === 0) lanes.delete(key);
      else void pump(key, lane);
    }
    options.onRest?.();
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
    for (const key of trials.next()) {
      lanes.get(key)?.waiting?.();
      const lane = lanes.get(key);
      if (lane !== undefined) void pump(key, lane);
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

  const control = createControl({
    store, clock, queues, runs, homes, entries, lifeOf, release, wakeAll,
    forget: (seq, run) => options.questions?.forget(seq, run) ?? [],
    tell: options.tell,
    ...(options.prepare === undefined ? {} : { prepare: options.prepare }),
    commit: (changes) => insist(store, clock, changes, () => closed),
    onEnd(run, end) { interrupted.delete(run.id); if (end !== undefined) options.onEnd?.(run, end); options.onRest?.(); },
  });

  const stopWatching = watchIdle({
    clock, idleMs: () => options.limits().idleMs, runs: () => runs.values(),
    giveUp(run) {
      // Of flows that do not run nobody can expect a sign of life.
      if (!started || interrupted.has(run.id)) return;
      run.abort.abort();
      void inbox.end(run.id, { state: "done", reason: run.answered ? "the flow did not end by itself" : "unanswered: the flow did not end in time" }).catch(() => wakeAll());
    },
  });

  function refuseWhenFull(): void {
    const refusal = options.full?.();
    if (refusal !== undefined) throw refusal;
    if (queues.waiting >= maxPending) throw new StoreError("STORE_005", { retry: "later", afterMs: 5_000 }, `Expected fewer than ${maxPending} waiting messages; the flows do not keep up.`);
  }
  async function save(message: Message, facts: Facts, lane: string, priority: Priority): Promise<Receipt | undefined> {
    const fresh: NewReceipt = {
      // 74 random bits; Node.js draws UUIDs from the system by the hundred.
      secret: randomUUID().slice(0, 23), lane, priority: facts.priority ?? priority, message, trust: facts.trust, tainted: facts.tainted, receivedAt: clock.now(),
    };
    FAULT: await reached("before-inbox", message.id);
    const [seq] = await store.commit(reduce({}, { type: "arrived", receipt: fresh }).write);
    FAULT: await reached("after-inbox", message.id);
    return seq === undefined ? undefined : { ...fresh, seq, state: "pending", attempts: 0, runs: {} };
  }

  /** Where the store fails, the edit or deletion keeps its place in the lane: it is saved, and nobody brings it again. */
  async function amendWaiting(receipt: Receipt): Promise<void> {
    const { seq, lane: key, message } = receipt;
    const amended = await amend(seq, message, {
      store, left: queues.left, queue: () => lanes.get(key)?.queue, comeBack: () => enqueue(receipt),
      leave() { const lane = lanes.get(key); return lane !== undefined && queues.take(lane, new Set([seq])).length > 0; },
    }).catch(() => false);
    if (amended) options.tell?.("done", message.at);
  }

  const inbox: Inbox = {
    async receive(message, facts) {
      refuseWhenFull();
      // What steers a run must not wait behind that run.
      const beside = message.kind === "action" && message.action?.type !== "command";
      const receipt = await save(message, facts, beside ? `${laneOf(message.at)}\n${message.id}` : laneOf(message.at), beside ? "high" : "normal");
      options.tell?.(receipt === undefined ? "duplicate" : "received", message.at);
      if (receipt === undefined) return "duplicate";
      FAULT: at("after-dedupe", message.id);
      // Before anything is waited for: what is saved next comes behind it.
      enqueue(receipt);
      if (message.kind === "edit" || message.kind === "delete") await amendWaiting(receipt);
      if (message.kind === "message") void control.interrupt(receipt).catch(wakeAll);
      return "saved";
    },
    save: (message, facts, lane) => save(message, facts, lane, "high"),
    add(entry) { entries.set(entry.id, entry); },
    remove(id) { entries.delete(id); },
    async load() {
      const heads = new Set<string>();
      const inOrder = (await store.get(PROCESS, ENDED)) !== undefined;
      if (inOrder) await store.commit([{ do: "set", space: PROCESS, key: ENDED, value: undefined }]);
      for (let after = 0; ; ) {
        const page = await store.pending(after, 1_000);
        for (const found of page) {
          // Of one that is damaged nobody knows what it asked for.
          if (found.reason === undefined && (options.questions?.takes(found) === true || options.takes?.(found) === true)) continue;
          // What waits for a person waits in a lane of its own: it keeps nobody waiting.
          const head = options.questions?.headOf(found.seq);
          const receipt = head === undefined ? found : { ...found, lane: `${found.lane}\nwaits ${head}` };
          // Only the head of a lane can have been under way.
          if (!inOrder && !heads.has(receipt.lane)) suspects.set(receipt.seq, "left");
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
      for (const run of runs.values()) run.touchedAt = clock.monotonic();
      if (rested) {
        rested = false;
        insist(store, clock, [{ do: "set", space: PROCESS, key: ENDED, value: undefined }], () => closed).catch(() => { /* Closed meanwhile. */ });
      }
      for (const id of [...interrupted]) {
        interrupted.delete(id);
        const run = runs.get(id);
        const entry = run && entries.get(run.entry);
        if (run === undefined) continue;
        if (entry === undefined) { inbox.end(id, { state: "dead", reason: "its channel in was removed while it was under way" }).catch(() => { /* Closed: the next process finds out by itself. */ }); continue; }
        run.pass++;
        entry.emit(run);
      }
      wakeAll();
    },
    stop() { started = false; },
    run(id) { return runs.get(id); },
    waits(id) {
      const run = runs.get(id);
      const current = run && homes.get(run);
      if (run === undefined || current === undefined) return;
      run.waits++;
      letPass(current);
      options.onRest?.();
    },
    goesOn(id) {
      const run = runs.get(id);
      if (run === undefined) return;
      run.waits--;
      run.touchedAt = clock.monotonic();
    },
    busy(at) {
      const lane = laneOf(at);
      return lanes.has(lane) || [...runs.values()].some((run) => run.waits === 0 && laneOf(run.receipt.message.at) === lane);
    },
    listens: (message) => [...entries.values()].some((entry) => entry.covers(message)),
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
      const current = homes.get(run);
      if (current === undefined) return;
      const end = "fault" in how ? endOf(how.fault, run.answered) : how;
      const head = current.receipts[0] as Receipt;
      current.runs.delete(run.entry);
      runs.delete(id);
      homes.delete(run);
      interrupted.delete(id);
      const { write, act } = reduce(lifeOf(head), { type: "settled", entry: run.entry, end, others: current.runs.size > 0 });
      current.receipts[0] = { ...head, runs: { ...head.runs, [run.entry]: end } };
      const all = [...(options.questions?.forget(head.seq, id) ?? []), ...write];
      const saved = act.type === "release" ? finish(current.receipts, all, act) : insist(store, clock, all, () => closed);
      options.onEnd?.(run, end);
      FAULT: at("before-release", run.receipt.message.id);
      const lane = lanes.get(current.lane);
      if (act.type !== "release") letPass(current);
      else if (!current.aside && lane !== undefined) release(current.lane, lane);
      options.onRest?.();
      await saved;
    },
    interrupt(id) { if (runs.has(id)) interrupted.add(id); },
    control,
    runs: () => runs.values(),
    get size() { return queues.waiting + active; },
    async rest() {
      rested = true;
      await store.commit([{ do: "set", space: PROCESS, key: ENDED, value: clock.now() }]).catch(() => { /* Then what is under way counts as interrupted. */ });
    },
    async close() {
      started = false;
      await inbox.rest();
      closed = true; stopWatching(); 
      for (const lane of lanes.values()) lane.waiting?.();
      for (const run of runs.values()) run.abort.abort(new Stopped("closed"));
    },
  };
  return inbox;
}

/** Of a lane's head; what is not in memory was there for so long that it is nobody's urgent matter. */
function rankOf(head: Receipt | number | undefined): number {
  return PRIORITIES.indexOf(typeof head === "object" ? head.priority : "normal");
}
