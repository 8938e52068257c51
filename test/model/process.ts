/**
 * A process: carries out what `rules.reduce` says, and nothing else. What is written goes into its queue of commits; an act with `wait` begins when its commit is on disk.
 * This is what inbox.ts, outbox.ts and gateway.ts do, without their clocks, sockets and files.
 */
import type { Act, EntryView, Event, Fault as Refusal, Life, Next, Offers } from "../../engine/life.ts";
import type { Address, Message } from "../../engine/message.ts";
import type { CommitResult, NewOutboxRow, NewReceipt, RunEnd } from "../../engine/store/store.ts";
import { apply } from "./disk.ts";
import { atPost, atWork, onDeadReceipt, onDeadRow, onRunBegin } from "./judge.ts";
import { commitKey } from "./key.ts";
import type { Rules } from "./rules.ts";
import { BEGUN, type Chat, type Disk, DONE, entryName, messageOfRun, NOTICE, receiptKey, type Row, rowKey, type Run, runName, runOfRow, type Scenario, type Then, WIDTH, type Worker, type World } from "./state.ts";

/** Unix milliseconds before and after the delay, and what falls in between. */
const LATE = 10_000_000;
const EXPIRES = 1_000_000;
const KEY_MS = 1_000_000;
export type Answer = "yes" | "silence" | "unheard" | "busy" | "locked" | "refused";
/** What the platform's answers are to the reducer. `unheard` did not reach it, `silence` did; nobody here can tell. */
const NO: Readonly<Record<Exclude<Answer, "yes">, Refusal>> = {
  silence: { code: "CONN_001", message: "no answer", retry: "later", afterMs: undefined },
  unheard: { code: "CONN_001", message: "no answer", retry: "later", afterMs: undefined },
  busy: { code: "CONN_001", message: "503", retry: "later", afterMs: undefined, answered: true },
  locked: { code: "CONN_002", message: "401", retry: "no", afterMs: undefined, answered: true },
  refused: { code: "MSG_002", message: "chat not found", retry: "no", afterMs: undefined, answered: true },
};
const TO: Address = { channel: "x", account: "a", chat: "c", kind: "direct" };

export const at = <T>(list: readonly (T | undefined)[], index: number): T => list[index] as T;
export function broke(world: World, text: string): void { world.bad ??= text; }

export type Process = ReturnType<typeof createProcess>;
export function createProcess(scenario: Scenario, rules: Rules) {
  const { lanes, entries, program, parts } = scenario;
  const chats = [...new Set(lanes)];
  const offers: Offers = { find: scenario.class === "B", ...(scenario.class === "A" ? { keyMs: KEY_MS } : {}) };
  const views: readonly EntryView[] = Array.from({ length: entries }, (_, entry) => ({ id: entryName(entry), covers: true, matches: true }));
  const receiptOf = lanes.map((lane, message): NewReceipt => ({ secret: "", lane: `${lane}`, priority: "normal", message: { id: `${message}` } as Message, trust: "owner", tainted: false, receivedAt: 0 }));
  const { reduce } = rules;
  const DELIVER = program.length;
  const SETTLE = DELIVER + 1;

  /** The life that an event is about, with the notice that its death needs. */
  function lifeOf(key: string, life: Life): Life {
    return scenario.quiet === true ? life : { ...life, notice: () => ({ key: NOTICE + key, state: "planned" }) as NewOutboxRow };
  }

  /** What the reducer said: into the queue, and on with it, at once or when it is on disk. */
  function carry(world: World, worker: Worker, { write, wait, act }: Next, then: Then | undefined): void {
    if (write.length > 0) {
      const after = wait ? then : undefined;
      const notice = act.type === "release" || act.type === "mourn" ? act.notice?.key : undefined;
      const commit = { changes: write, after, notice, key: commitKey(write, after) };
      if (rules.notices === "behind" && notice !== undefined) {
        const parts = [write.slice(0, -1), write.slice(-1)] as const;
        worker.queue.push({ ...commit, changes: parts[0], notice: undefined }, { ...commit, changes: parts[1], after: undefined });
      } else if (rules.records === "put-off" && after === undefined) worker.put.push(commit);
      else worker.queue.push(commit, ...worker.put.splice(0));
    }
    if (then !== undefined && !(wait && write.length > 0)) {
      const disk = assumed(world, worker, write);
      go(world, worker, then, apply(disk, write, scenario, "key", () => {}), disk);
    }
  }
  /** The disk as it will be: where nobody waits, what the store will say is known before. */
  function assumed(world: World, worker: Worker, write: Next["write"]): Disk {
    const disk = { ...world.disk, receipts: world.disk.receipts.slice(), journals: world.disk.journals.slice(), rows: world.disk.rows.slice() };
    for (const { changes } of worker.queue) if (changes !== write) apply(disk, changes, scenario, "key", () => {});
    return disk;
  }

  function go(world: World, worker: Worker, then: Then, results: CommitResult, disk: Disk): void {
    switch (then.go) {
      case "received": received(world, worker, then.message, results[0]); break;
      case "begin": begin(world, worker, then.message, then.entries); break;
      case "release": release(world, worker, then.lane); break;
      case "perform": setFlight(worker, then.run, then.step, "works"); break;
      case "tell-unknown": acted(world, worker, then.run, then.step); break;
      case "done": stepDone(worker, then.run, then.step); break;
      case "planned": planned(worker, then.run, results, disk); break;
      case "row": rowGoes(world, worker, then.chat, then.act); break;
    }
  }

  // Inbox and lanes.

  function arrive(world: World, worker: Worker, message: number): void {
    if (world.inbound[message] !== "confirmed") world.inbound[message] = "open";
    carry(world, worker, reduce({}, { type: "arrived", receipt: at(receiptOf, message) }), { go: "received", message });
  }
  function received(world: World, worker: Worker, message: number, seq: number | undefined): void {
    confirm(world, message);
    if (seq === undefined) return;
    worker.receipts[message] = { seq, message, state: "pending", attempts: 0, runs: {}, receivedAt: 0 };
    at(worker.lanes, at(lanes, message)).waiting.push(message);
    take(world, worker, at(lanes, message));
    if (scenario.interrupts === true) interrupt(world, worker, message);
  }
  function take(world: World, worker: Worker, number: number): void {
    const lane = at(worker.lanes, number);
    if (lane.waiting.length === 0 || (lane.active !== undefined && rules.lane !== "crowd")) return;
    const message = (rules.lane === "newest" ? lane.waiting.pop() : lane.waiting.shift()) as number;
    const receipt = at(worker.receipts, message);
    lane.active = message;
    const suspect = (worker.suspects & (1 << message)) === 0 ? undefined : (worker.counted & (1 << message)) === 0 ? "left" : "tried";
    const next = reduce(lifeOf(receiptKey(message), { receipt }), { type: "taken", suspect, onTrialMs: worker.trial === undefined || worker.overtime ? 0 : 1, pausedUntilMs: world.paused ? 1 : undefined, entries: views, now: 0, maxAgeMs: 1 });
    if (next.act.type === "run") {
      worker.counted |= 1 << message;
      if (suspect === "left") worker.receipts[message] = { ...receipt, attempts: receipt.attempts + 1 };
      if (next.act.alone) {
        worker.tried |= 1 << message;
        worker.trial = number;
      }
      carry(world, worker, next, { go: "begin", message, entries: next.act.entries });
      return;
    }
    if (next.act.type !== "release") { lane.waiting.unshift(message); lane.active = undefined; return; }
    if (next.act.state === "dead") bury(world, message);
    carry(world, worker, next, { go: "release", lane: number });
  }
  function bury(world: World, message: number): void {
    onDeadReceipt(world, message, rules.blame);
    world.seen.told |= 1 << message;
  }
  function begin(world: World, worker: Worker, message: number, ids: readonly string[]): void {
    // Paused while it was got ready: it is put back.
    if (world.paused && rules.heed) {
      const number = at(lanes, message);
      at(worker.lanes, number).active = undefined;
      at(worker.lanes, number).waiting.unshift(message);
      if (worker.trial === number) { worker.trial = undefined; worker.overtime = false; }
      return;
    }
    onRunBegin(world, worker, scenario, message);
    for (const [entry, view] of views.entries()) {
      if (!ids.includes(view.id)) continue;
      const run = message * entries + entry;
      const journal = (worker.left & (1 << message)) !== 0 ? at(world.disk.journals, run) : 0;
      worker.runs[run] = { live: true, journal, flights: [], passes: [{ at: 0, old: false, waits: false }], told: 0 };
    }
  }
  function release(world: World, worker: Worker, number: number): void {
    at(worker.lanes, number).active = undefined;
    if (worker.trial === number) { worker.trial = undefined; worker.overtime = false; }
    take(world, worker, number);
    if (worker.trial === undefined) wake(world, worker);
  }
  /** Lanes whose suspects wait for the trial of another. */
  function wake(world: World, worker: Worker): void {
    for (const [lane, { active, waiting }] of worker.lanes.entries()) if (active === undefined && waiting.length > 0) take(world, worker, lane);
  }
  /** The trial takes so long that the other lanes go on beside it. */
  function overtime(world: World, worker: Worker): void {
    worker.overtime = true;
    wake(world, worker);
  }
  function end(world: World, worker: Worker, number: number, how: RunEnd): void {
    const run = at(worker.runs, number);
    const message = messageOfRun(scenario, number);
    const receipt = at(worker.receipts, message);
    const entry = entryName(number % entries);
    run.live = false;
    const others = worker.runs.some((other, which) => other?.live === true && messageOfRun(scenario, which) === message);
    const next = reduce(lifeOf(receiptKey(message), { receipt }), { type: "settled", entry, end: how, others });
    worker.receipts[message] = { ...receipt, runs: { ...receipt.runs, [entry]: how } };
    if (next.act.type === "release" && next.act.state === "dead") bury(world, message);
    carry(world, worker, next, next.act.type === "release" ? { go: "release", lane: at(lanes, message) } : undefined);
  }

  // What people do to messages that wait or are under way.

  const runsOfMessage = (message: number): number[] => views.map((_, entry) => message * entries + entry);
  /** Its flow's way is broken off: nothing of it goes on but what is on its way out. */
  function breakWay(worker: Worker, message: number): void {
    for (const number of runsOfMessage(message)) {
      worker.runs[number] = undefined;
      worker.queue = worker.queue.map((commit) => (commit.after !== undefined && "run" in commit.after && commit.after.run === number && commit.after.go !== "planned" ? { ...commit, after: undefined, key: commitKey(commit.changes, undefined) } : commit));
    }
  }
  const liveEntries = (worker: Worker, message: number): string[] => runsOfMessage(message).flatMap((number) => (worker.runs[number]?.live === true ? [entryName(number % entries)] : []));
  function interrupt(world: World, worker: Worker, message: number): void {
    const lane = at(worker.lanes, at(lanes, message));
    const old = lane.active;
    if (old === undefined || old === message || !lane.waiting.includes(message) || liveEntries(worker, old).length === 0) return;
    const isReplay = (worker.left & (1 << old)) !== 0 && runsOfMessage(old).some((number) => worker.runs[number]?.journal !== 0);
    const answered = isReplay || runsOfMessage(old).some((number) => worker.runs[number]?.passes.some((pass) => pass.at === SETTLE || (pass.at === DELIVER && pass.waits)) === true);
    const receipt = at(worker.receipts, old);
    const newer = at(worker.receipts, message);
    const said = [old, ...(receipt.said ?? [])];
    const next = reduce(lifeOf(receiptKey(old), { receipt }), { type: "interrupted", entries: liveEntries(worker, old), answered, by: { seq: newer.seq, message: { id: `${message}`, parts: said.map(String) } as unknown as Message } });
    if (next.act.type !== "release") return;
    worker.receipts[message] = { ...newer, said };
    breakWay(worker, old);
    carry(world, worker, next, { go: "release", lane: at(lanes, message) });
  }
  /** A person stops a lane: what is under way there and what waits. */
  function halt(world: World, worker: Worker, number: number): void {
    const lane = at(worker.lanes, number);
    for (const message of lane.waiting.splice(0)) {
      world.seen.timedOut |= 1 << message;
      carry(world, worker, reduce({ receipt: at(worker.receipts, message) }, { type: "stopped", entries: [], reason: "stopped" }), undefined);
    }
    const { active } = lane;
    if (active === undefined || liveEntries(worker, active).length === 0) return;
    world.seen.timedOut |= 1 << active;
    const next = reduce({ receipt: at(worker.receipts, active) }, { type: "stopped", entries: liveEntries(worker, active), reason: "stopped" });
    breakWay(worker, active);
    carry(world, worker, next, { go: "release", lane: number });
  }
  /** `works`: what a model or tool was doing happens, and nobody hears what it came to. */
  function pause(world: World, worker: Worker, works: boolean): void {
    world.paused = true;
    world.seen.ends++;
    for (const [number, lane] of worker.lanes.entries()) {
      const { active } = lane;
      if (active === undefined || liveEntries(worker, active).length === 0) continue;
      for (const run of runsOfMessage(active)) for (const { step, phase } of worker.runs[run]?.flights ?? []) if (works && phase === "works") {
        atWork(world, worker, scenario, run, step);
        world.seen.works[run * program.length + step] = at(world.seen.works, run * program.length + step) + 1;
      }
      breakWay(worker, active);
      worker.left |= 1 << active;
      lane.active = undefined;
      lane.waiting.unshift(active);
      if (worker.trial === number) { worker.trial = undefined; worker.overtime = false; }
    }
  }
  function resume(world: World, worker: Worker): void {
    // That it goes on is a commit too: what was written before is on disk.
    while (worker.queue.length > 0) flush(world, worker, true);
    world.paused = false;
    wake(world, worker);
  }
  /** Takes what waits in the run's lane; false where nothing does, or the next step has happened without it. */
  function join(world: World, worker: Worker, run: Run, number: number, step: number): boolean {
    const lane = at(worker.lanes, at(lanes, messageOfRun(scenario, number)));
    if (!run.live || lane.waiting.length === 0 || ((run.journal >> ((step + 1) * WIDTH)) & DONE) !== 0) return false;
    const also = lane.waiting.splice(0).flatMap((message) => reduce({ receipt: at(worker.receipts, message) }, { type: "joined", run: runName(scenario, number) }).write);
    setFlight(worker, number, step, "ends");
    carry(world, worker, reduce({}, { type: "acted", run: runName(scenario, number), entry: { step: at(program, step).name, at: 0, data: true }, also }), { go: "done", run: number, step });
    return true;
  }

  function confirm(world: World, message: number): void {
    world.inbound[message] = "confirmed";
    if (!world.disk.receipts.some((record) => record.message === message)) broke(world, `ack: message ${message} is confirmed and not on disk`);
  }

  // Runs: the program, step by step.

  function setFlight(worker: Worker, number: number, step: number, phase: "begins" | "works" | "ends" | undefined): void {
    const run = worker.runs[number];
    if (run === undefined) return;
    run.flights = run.flights.filter((flight) => flight.step !== step);
    if (phase !== undefined) { run.flights.push({ step, phase }); run.flights.sort((a, b) => a.step - b.step); }
    if (phase === "works") run.journal |= (program[step]?.once === true ? BEGUN : 0) << (step * WIDTH);
  }
  function journalOf(world: World, run: Run, number: number): number {
    if (run.live) return run.journal;
    return rules.lateJournal === "store" ? at(world.disk.journals, number) : 0;
  }
  /** The flow takes a pass to its next node. */
  function flow(world: World, worker: Worker, number: number, which: number): void {
    const run = at(worker.runs, number);
    const pass = at(run.passes, which);
    if (pass.at === DELIVER) { deliver(world, worker, run, number, which); return; }
    if (pass.at === SETTLE) {
      drop(worker, number, which);
      if (run.live && !pass.old) end(world, worker, number, { state: "done" });
      tidy(worker, number);
      return;
    }
    const step = pass.at;
    const { name, once = false, joins = false } = at(program, step);
    pass.waits = true;
    if (joins && ((journalOf(world, run, number) >> (step * WIDTH)) & DONE) === 0 && !run.flights.some((flight) => flight.step === step)) {
      if (pass.old || !join(world, worker, run, number, step)) { pass.at++; pass.waits = false; }
      return;
    }
    if (run.flights.some((flight) => flight.step === step)) return;
    const bits = journalOf(world, run, number) >> (step * WIDTH);
    const life: Life = (bits & DONE) !== 0 ? { step: "done" } : (bits & BEGUN) !== 0 ? { step: "begun" } : {};
    const next = reduce(life, { type: "asked", run: runName(scenario, number), step: name, once, now: 0 });
    if (next.act.type === "use") { stepDone(worker, number, step); return; }
    const what = next.act.type === "tell-unknown" ? "tell-unknown" : "perform";
    setFlight(worker, number, step, "begins");
    carry(world, worker, next, { go: what, run: number, step });
  }
  /** A model answers, or a tool has its effect and answers. */
  function work(world: World, worker: Worker, number: number, step: number): void {
    atWork(world, worker, scenario, number, step);
    world.seen.works[number * program.length + step] = at(world.seen.works, number * program.length + step) + 1;
    acted(world, worker, number, step);
  }
  function acted(world: World, worker: Worker, number: number, step: number): void {
    const { name, behind = false } = at(program, step);
    setFlight(worker, number, step, "ends");
    const next = reduce({}, { type: "acted", run: runName(scenario, number), entry: { step: name, at: 0, data: true }, behind });
    carry(world, worker, next, { go: "done", run: number, step });
  }
  function stepDone(worker: Worker, number: number, step: number): void {
    const run = worker.runs[number];
    if (run === undefined) return;
    setFlight(worker, number, step, undefined);
    run.journal |= DONE << (step * WIDTH);
    for (const pass of run.passes) if (pass.at === step && pass.waits) { pass.at++; pass.waits = false; }
    tidy(worker, number);
  }
  function drop(worker: Worker, number: number, which: number): void { at(worker.runs, number).passes.splice(which, 1); }
  function tidy(worker: Worker, number: number): void {
    const run = worker.runs[number];
    if (run !== undefined && !run.live && run.passes.length === 0) worker.runs[number] = undefined;
  }

  // Outbox.

  function deliver(world: World, worker: Worker, run: Run, number: number, which: number): void {
    const pass = at(run.passes, which);
    const chat = at(worker.chats, at(lanes, messageOfRun(scenario, number)));
    const now = world.late ? LATE : 0;
    run.told = 0;
    if (parts === 0) { pass.at = SETTLE; return; }
    pass.waits = true;
    const rows = Array.from({ length: parts }, (_, part): NewOutboxRow => ({
      key: rowKey(number * parts + part), run: runName(scenario, number), op: "send", to: TO, draft: { text: "" }, priority: "normal", state: "planned", plannedAt: now, dueAt: 0,
      ...(scenario.expires === true ? { expiresAt: now + EXPIRES } : {}),
    }));
    const coming = rules.idle === "planned" && worker.queue.some(({ after }) => after?.go === "planned" && lanes[messageOfRun(scenario, after.run)] === lanes[messageOfRun(scenario, number)]);
    const next = reduce({}, { type: "planned", rows, free: chat.rows.length === 0 && chat.phase === "idle" && !coming });
    carry(world, worker, next, { go: "planned", run: number, send: next.act.type === "send" });
  }
  function planned(worker: Worker, number: number, results: CommitResult, disk: Disk): void {
    const chat = at(worker.chats, at(lanes, messageOfRun(scenario, number)));
    for (let part = 0; part < parts; part++) {
      const id = number * parts + part;
      const onDisk = disk.rows.find((one) => one.id === id);
      if (onDisk === undefined) continue;
      const row = results[part] === undefined && rules.rejoin === "known" ? soon(worker, onDisk) : onDisk;
      if (results[part] !== undefined) {
        if (row.state === "sending") chat.own.push(id);
        chat.rows.push(row);
      } else if (row.state === "sent" || row.state === "dead") tellRow(worker, id);
      else if (!chat.rows.some((queued) => queued.id === id)) chat.rows.push(row);
    }
  }
  /** A row as it is when all commits that are under way are on disk. */
  function soon(worker: Worker, row: Row): Row {
    let now = row;
    for (const { changes } of [...worker.queue, ...worker.put]) for (const change of changes) if (change.do === "outbox-update" && change.key === row.key) now = { ...now, ...change.set, dueAt: 0 };
    return now;
  }
  /** The fate of a row is known, or that it has to wait: its flow may go on. */
  function tellRow(worker: Worker, id: number): void {
    const number = runOfRow(scenario, id);
    const run = worker.runs[number];
    if (run === undefined) return;
    run.told |= 1 << (id % parts);
    if (run.told !== (1 << parts) - 1) return;
    for (const pass of run.passes) if (pass.at === DELIVER && pass.waits) { pass.at = SETTLE; pass.waits = false; }
    // Of an old pass, and of a run that is over, nobody awaits the end.
    run.passes = run.passes.filter((pass) => pass.at !== SETTLE || (run.live && !pass.old));
    tidy(worker, number);
  }
  const ACTS: Partial<Record<Act["type"], Extract<Then, { go: "row" }>["act"]>> = { send: "send", look: "look", tell: "tell", mourn: "mourn", wait: "wait" };
  /** The first row of a chat is what the reducer says it is now. */
  function decide(world: World, worker: Worker, number: number, event: Event): void {
    const chat = at(worker.chats, number);
    const row = at(chat.rows, 0);
    const next = reduce(lifeOf(row.key, { row }), event);
    let now: Row = row;
    for (const change of next.write) if (change.do === "outbox-update") now = { ...now, ...change.set, dueAt: 0 };
    chat.rows[0] = now;
    const act = ACTS[next.act.type];
    if (act === undefined) { broke(world, `progress: nobody knows what to do with "${next.act.type}" of a row`); return; }
    if (act === "mourn") onDeadRow(world, scenario, row);
    chat.phase = "commit";
    carry(world, worker, next, { go: "row", chat: number, act });
  }
  function due(world: World, worker: Worker, number: number): void {
    const chat = at(worker.chats, number);
    const row = at(chat.rows, 0);
    const now = world.late ? LATE : 0;
    const expired = row.expiresAt !== undefined && now > row.expiresAt;
    const fresh = chat.own.includes(row.id);
    const left = (worker.inherited & (1 << row.id)) !== 0;
    chat.own = chat.own.filter((id) => id !== row.id);
    worker.inherited &= ~(1 << row.id);
    decide(world, worker, number, { type: "due", now, offers, left, fresh });
    if (expired && chat.rows.some(({ id, state }) => id === row.id && state !== "dead")) broke(world, `stale: part ${row.id} is sent after it has expired`);
  }
  function rowGoes(world: World, worker: Worker, number: number, act: Extract<Then, { go: "row" }>["act"]): void {
    const chat = at(worker.chats, number);
    if (act === "send" || act === "look") { chat.phase = act; return; }
    chat.phase = "idle";
    const row = at(chat.rows, 0);
    if (act === "wait") {
      for (const waiting of chat.rows) tellRow(worker, waiting.id);
      if (rules.passing) pass(chat, row);
      return;
    }
    if (act === "mourn") world.seen.mourned |= 1 << row.id;
    chat.rows.shift();
    tellRow(worker, row.id);
  }
  function pass(chat: Chat, head: Row): void {
    const same = chat.rows.filter((row) => row.run === head.run);
    const others = chat.rows.filter((row) => row.run !== head.run);
    chat.rows = [...others, ...same];
  }
  function post(world: World, worker: Worker, number: number, answer: Answer): void {
    const row = at(at(worker.chats, number).rows, 0);
    const now = world.late ? LATE : 0;
    if (answer === "yes" || answer === "silence") takes(world, worker, row, number, answer === "silence");
    if (answer === "refused") world.seen.refused |= 1 << row.id;
    if (answer === "yes") decide(world, worker, number, { type: "sent", ref: `m${row.id}` });
    else decide(world, worker, number, { type: "failed", fault: NO[answer], now, random: 0.5 });
  }
  /** The platform is asked for the row; `answer`: it does not say. */
  function look(world: World, worker: Worker, number: number, answer?: "busy" | "locked"): void {
    const { id } = at(at(worker.chats, number).rows, 0);
    decide(world, worker, number, answer === undefined ? { type: "looked", ref: at(world.seen.copies, id) > 0 ? `m${id}` : undefined } : { type: "failed", fault: NO[answer], now: world.late ? LATE : 0, random: 0.5 });
  }
  /** The platform takes a message: a new copy, unless it still honours the key it came with. */
  function takes(world: World, worker: Worker, row: Row, number: number, silent: boolean): void {
    const { seen } = world;
    const bit = 1 << row.id;
    const copies = at(seen.copies, row.id);
    if (scenario.class === "A" && copies > 0) {
      if (world.late === ((seen.afterDelay & bit) !== 0)) return;
      seen.excused[row.id] = at(seen.excused, row.id) + 1;
    }
    seen.copies[row.id] = copies + 1;
    if (world.late) seen.afterDelay |= bit;
    worker.posted |= bit;
    atPost(world, worker, scenario, row, number);
    if (!silent) return;
    // Silence excuses one more try, and no third.
    if (scenario.class === "C" && (worker.silent & bit) === 0) seen.excused[row.id] = at(seen.excused, row.id) + 1;
    worker.silent |= bit;
  }

  // Beginning and end of a process.

  function open(world: World): Worker {
    const { disk } = world;
    const worker: Worker = {
      queue: [], put: [], lanes: chats.map(() => ({ waiting: [], active: undefined })), receipts: lanes.map(() => undefined), suspects: 0, counted: 0, left: 0, tried: 0, trial: undefined, overtime: false, posted: 0, silent: 0, inherited: 0,
      runs: disk.journals.map(() => undefined), chats: chats.map(() => ({ rows: [], own: [], phase: "idle" })), notices: disk.notices,
    };
    for (const record of disk.receipts) {
      if (record.state !== "pending") continue;
      const lane = at(worker.lanes, at(lanes, record.message));
      if (lane.waiting.length === 0 && !(disk.ended && rules.endNote)) worker.suspects |= 1 << record.message;
      worker.left |= 1 << record.message;
      worker.receipts[record.message] = record;
      lane.waiting.push(record.message);
    }
    for (const row of disk.rows) if (row.state !== "sent" && row.state !== "dead") {
      at(worker.chats, at(lanes, messageOfRun(scenario, runOfRow(scenario, row.id)))).rows.push(row);
      worker.inherited |= 1 << row.id;
    }
    disk.ended = false;
    world.owner = worker;
    for (const lane of chats) take(world, worker, lane);
    // A confirmation may have been lost on its way: then the platform brings the message again as soon as somebody listens.
    for (const [message, state] of world.inbound.entries()) {
      if (state !== "confirmed") continue;
      const [seq] = apply(disk, reduce({}, { type: "arrived", receipt: at(receiptOf, message) }).write, scenario, rules.dedupe, (text) => broke(world, text));
      if (seq !== undefined) broke(world, disk.receipts.filter((record) => record.message === message).length > 1 ? `double: message ${message} is new a second time` : `loss: message ${message} was confirmed and is not on disk`);
    }
    return worker;
  }
  /** A process is gone, or not the owner any more. What it had confirmed to nobody comes again. */
  function leave(world: World, worker: Worker, how: "crash" | "stop" | "lease"): void {
    const { seen, disk } = world;
    for (const [message, state] of world.inbound.entries()) if (state === "open") world.inbound[message] = disk.receipts.some((record) => record.message === message) ? "confirmed" : message === 0 ? "fresh" : "lost";
    seen.refused = 0;
    for (const row of disk.rows) {
      if (scenario.class === "A" || row.state === "sent" || row.state === "dead") continue;
      // Handed over and not recorded; or on its way out at one who is not the owner any more, which no platform can tell.
      const chat = at(worker.chats, at(lanes, messageOfRun(scenario, runOfRow(scenario, row.id))));
      const goesOut = how === "lease" && (chat.own.includes(row.id) || (chat.rows[0]?.id === row.id && chat.phase !== "idle"));
      if (goesOut || (scenario.class === "C" && (worker.posted & (1 << row.id)) !== 0)) seen.excused[row.id] = at(seen.excused, row.id) + 1;
    }
    if (how === "stop") return;
    for (const [number, lane] of worker.lanes.entries()) {
      const { active } = lane;
      if (active !== undefined && worker.runs.some((run, which) => run?.live === true && messageOfRun(scenario, which) === active)) seen.broken[active] = at(seen.broken, active) + 1;
      const head = disk.receipts.find((record) => record.state === "pending" && lanes[record.message] === number)?.message;
      if (head !== undefined) seen.first[head] = at(seen.first, head) + 1;
    }
  }
  /**
   * What one who is not the owner any more can still do: whatever begins with a commit begins no more, because that is refused. Left are acts whose commit was on disk,
   * and those that need none. Undefined: nothing.
   */
  function remains(worker: Worker | undefined): Worker | undefined {
    if (worker === undefined) return undefined;
    const runs = worker.runs.map((run) => {
      if (run === undefined) return undefined;
      const flights = run.flights.filter(({ phase }) => phase === "works");
      const passes = run.passes.filter(({ at: step, waits }) => !waits && step < DELIVER && program[step]?.once !== true && ((run.journal >> (step * WIDTH)) & DONE) === 0 && !run.flights.some((flight) => flight.step === step));
      return flights.length + passes.length === 0 ? undefined : { ...run, live: true, told: 0, flights, passes: passes.slice(0, 1) };
    });
    const out = worker.chats.map(({ rows, own, phase }): Chat => {
      const head = rows[0];
      const goesOut = head !== undefined && (phase === "send" || phase === "look" || (phase === "idle" && own.includes(head.id)));
      return goesOut ? { rows: [head], own: own.filter((id) => id === head.id), phase } : { rows: [], own: [], phase: "idle" };
    });
    if (runs.every((run) => run === undefined) && out.every(({ rows }) => rows.length === 0)) return undefined;
    return { queue: [], put: [], lanes: worker.lanes.map(() => ({ waiting: [], active: undefined })), receipts: lanes.map(() => undefined), suspects: 0, counted: 0, left: 0, tried: 0, trial: undefined, overtime: false, posted: 0, silent: 0, inherited: 0, runs, chats: out, notices: [] };
  }
  function flush(world: World, worker: Worker, carryOn: boolean): void {
    const commit = worker.queue.shift();
    if (commit === undefined) return;
    const { disk } = world;
    if (rules.sync === "late") world.before = { ...disk, receipts: disk.receipts.slice(), journals: disk.journals.slice(), rows: disk.rows.slice() };
    const results = apply(disk, commit.changes, scenario, rules.dedupe, (text) => broke(world, text));
    if (commit.notice !== undefined && results.at(-1) !== undefined) worker.notices = [...worker.notices, commit.notice].sort();
    if (carryOn && commit.after !== undefined) go(world, worker, commit.after, results, disk);
  }

  return { DELIVER, overtime, halt, pause, resume, open, leave, remains, flush, arrive, flow, work, end, tidy, due, post, look };
}
