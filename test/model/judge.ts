/** What must hold. Each finding begins with the name of the invariant: loss, double, order, conservation, ack, once, journal, window, stale, again, blame, poison, trial, notice, silent, progress, lane, pause. */
import { MAX_TRIES } from "../../engine/life.ts";
import { DONE, messageOfRow, messageOfRun, NOTICE, receiptKey, type Row, rowKey, runOfRow, type Scenario, WIDTH, type Worker, type World } from "./state.ts";

function broke(world: World, text: string): void { world.bad ??= text; }
const has = (bits: number, which: number): boolean => (bits & (1 << which)) !== 0;
/** Rows that may be missing, late or out of their order: their run was given up, or was taken its flow. */
const excusedRun = (world: World, message: number): boolean => has(world.seen.timedOut | world.seen.removed, message);

/** A new copy of a part has become visible. */
export function atPost(world: World, worker: Worker, scenario: Scenario, row: Row, chat: number): void {
  const { seen, disk } = world;
  const { id } = row;
  const copies = seen.copies[id] ?? 0;
  const allowed = 1 + (seen.excused[id] ?? 0);
  if (copies > allowed) broke(world, `double: part ${id} is visible ${copies} times; faults excuse ${allowed - 1} more than one`);
  if (world.stale === worker) return;
  for (const other of disk.rows) {
    if (other.id === id || scenario.lanes[messageOfRow(scenario, other.id)] !== chat) continue;
    if (worker.chats[chat]?.rows.some((queued) => queued.id === other.id) !== true && (seen.copies[other.id] ?? 0) > 0 && other.state !== "sent" && other.state !== "dead") broke(world, `window: part ${id} is sent while it is not on disk that part ${other.id} was`);
  }
  if (copies !== 1) return;
  const mine = messageOfRow(scenario, id);
  const seqOf = (message: number): number => disk.receipts.find((record) => record.message === message)?.seq ?? 0;
  for (const [other, visible] of seen.copies.entries()) {
    const message = messageOfRow(scenario, other);
    if (visible === 0 || other === id || scenario.lanes[message] !== scenario.lanes[mine]) continue;
    const later = runOfRow(scenario, other) === runOfRow(scenario, id) ? other > id : message !== mine && seqOf(message) > seqOf(mine);
    if (later && !excusedRun(world, mine) && !excusedRun(world, message)) broke(world, `order: part ${id} becomes visible after part ${other}, which comes behind it`);
  }
}

/** A model is asked, or a tool has its effect. */
export function atWork(world: World, worker: Worker, scenario: Scenario, run: number, step: number): void {
  const { program } = scenario;
  const times = (world.seen.works[run * program.length + step] ?? 0) + 1;
  const { name, once } = program[step] ?? { name: "" };
  if (once === true && times > 1) broke(world, `once: ${name} of run ${run} happens a second time`);
  if (times > 1 + world.seen.ends) broke(world, `once: ${name} of run ${run} happens ${times} times after ${world.seen.ends} faults`);
  const journal = world.disk.journals[run] ?? 0;
  if (world.stale !== worker) for (let before = 0; before < step; before++) if (program[before]?.joins !== true && (journal & (DONE << (before * WIDTH))) === 0) broke(world, `journal: ${name} of run ${run} uses ${program[before]?.name}, which is not on disk`);
}

/** A run begins, again perhaps. */
export function onRunBegin(world: World, worker: Worker, scenario: Scenario, message: number): void {
  const lane = scenario.lanes[message];
  if (world.paused) broke(world, `pause: message ${message} begins in a paused chat`);
  // A crash may be blamed on the message before, whose end was not on disk yet: then this one has more tries, but not for ever.
  const before = world.disk.receipts.filter((record) => record.message !== message && scenario.lanes[record.message] === lane && record.seq < (worker.receipts[message]?.seq ?? 0)).length;
  if ((world.seen.broken[message] ?? 0) >= MAX_TRIES * (before + 1)) broke(world, `poison: message ${message} begins again after it was under way in ${world.seen.broken[message]} crashes`);
  const beside = worker.runs.findIndex((run, number) => run?.live === true && messageOfRun(scenario, number) !== message && has(worker.tried, messageOfRun(scenario, number)));
  if (has(worker.tried, message) && beside >= 0 && !worker.overtime) broke(world, `trial: suspect ${message} begins beside run ${beside}, another suspect's`);
  const others = worker.runs.findIndex((run, number) => run?.live === true && messageOfRun(scenario, number) !== message && scenario.lanes[messageOfRun(scenario, number)] === lane);
  if (others >= 0) broke(world, `lane: message ${message} begins while run ${others} of its lane is under way`);
  const ahead = world.disk.receipts.find((record) => record.state === "pending" && scenario.lanes[record.message] === lane && record.seq < (worker.receipts[message]?.seq ?? 0) && worker.lanes[lane ?? 0]?.waiting.includes(record.message) === true);
  if (ahead !== undefined) broke(world, `lane: message ${message} begins before message ${ahead.message}, which came earlier`);
}

/** People are told that a message is given up. */
export function onDeadReceipt(world: World, message: number, blame: "first" | "under way"): void {
  if (has(world.seen.removed, message)) return;
  const crashes = (blame === "first" ? world.seen.first : world.seen.broken)[message] ?? 0;
  if (crashes < MAX_TRIES) broke(world, `blame: message ${message} is given up after ${crashes} crashes of its own`);
}
/** A row is to die: it must have a reason. `row` is what it was before. */
export function onDeadRow(world: World, scenario: Scenario, row: Row): void {
  const doubt = row.state === "unknown" && (scenario.class === "C" || (scenario.class === "A" && world.late));
  if (!has(world.seen.refused, row.id) && !(world.late && row.expiresAt !== undefined) && !doubt) broke(world, `loss: part ${row.id} dies without a reason`);
}

export function perState(world: World, scenario: Scenario): string | undefined {
  const { disk, inbound } = world;
  const dead = [...disk.receipts.filter(({ state }) => state === "dead").map(({ message }) => receiptKey(message)), ...disk.rows.filter(({ state }) => state === "dead").map(({ id }) => rowKey(id))];
  const wanted = scenario.quiet === true ? [] : dead.map((key) => NOTICE + key).sort();
  if (wanted.join() !== disk.notices.join()) return `notice: dead on disk: ${dead.join(", ") || "nothing"}; notices: ${disk.notices.join(", ") || "none"}`;
  if (disk.receipts.length > inbound.length) return "conservation: a message has two receipts";
  for (const [message, state] of inbound.entries()) {
    if (state === "confirmed" && !disk.receipts.some((record) => record.message === message)) return `ack: message ${message} is confirmed and not on disk`;
  }
  return undefined;
}

export function atRest(world: World, scenario: Scenario): string | undefined {
  const { disk, inbound, seen } = world;
  for (const notice of disk.notices) if (world.owner?.notices.includes(notice) !== true) return `notice: ${notice} is on disk, and nobody sends it`;
  for (const row of disk.rows) {
    if (row.state !== "sent" && row.state !== "dead") return `progress: part ${row.id} stays ${row.state}`;
    if (row.state === "dead" && !has(seen.mourned, row.id)) return `silent: part ${row.id} is dead and nobody was told`;
  }
  for (const [message, state] of inbound.entries()) {
    if (state !== "confirmed") return `progress: message ${message} is never confirmed`;
    const record = disk.receipts.find((one) => one.message === message);
    if (record === undefined) return `loss: message ${message} was confirmed and is gone`;
    if (record.state === "pending") return `progress: message ${message} stays pending`;
    if (record.state === "dead" && !has(seen.told, message)) return `silent: message ${message} is dead and nobody was told`;
    if (record.state === "dead" || has(seen.timedOut, message)) continue;
    if (record.joined !== undefined) {
      const step = scenario.program.findIndex(({ joins }) => joins);
      if (((disk.journals[record.joined * scenario.entries] ?? 0) & (DONE << (step * WIDTH))) === 0) return `loss: message ${message} has joined a run that does not have its words`;
      continue;
    }
    if (disk.receipts.some(({ said }) => said?.includes(message))) {
      if (disk.rows.some(({ id }) => messageOfRow(scenario, id) === message)) return `double: message ${message} was answered, and its words are said again by a newer one`;
      continue;
    }
    for (let row = message * scenario.entries * scenario.parts; row < (message + 1) * scenario.entries * scenario.parts; row++) {
      if ((seen.copies[row] ?? 0) === 0 && !has(seen.mourned, row)) return `loss: message ${message} is done, and part ${row} of its answer was never seen`;
    }
  }
  return undefined;
}
