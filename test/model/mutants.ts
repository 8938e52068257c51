/**
 * Known bugs, put into the reducer (as a wrapper around the shipped one) or into the way its decisions are carried out, each in the smallest world where it can show. The checker
 * must find every one. Those of other systems are in the list as well: acknowledged too early, NORMAL sync, PID owners, fixed leases, one watermark, blind replay.
 */
import type { Act, Event, Life, Next } from "../../engine/life.ts";
import { explore, exploreDeep, type Found } from "./explore.ts";
import { type Reduce, type Rules, SOUND } from "./rules.ts";
import { SMALL } from "./scenarios.ts";
import type { Fault, Scenario } from "./state.ts";
import { createWorld } from "./world.ts";

export interface Mutant {
  readonly name: string;
  /** `reducer`: the decision itself is wrong. `carried out`: the decision is right, and what is made of it is not. */
  readonly where: "reducer" | "carried out";
  readonly scenario: Scenario;
  readonly reduce?: (reduce: Reduce) => Reduce;
  readonly rules?: Partial<Omit<Rules, "reduce">>;
}

type Of<T extends Event["type"]> = Extract<Event, { type: T }>;
/** Changes what is said about one kind of event. */
function on<T extends Event["type"]>(type: T, act: (life: Life, event: Of<T>, reduce: Reduce) => Next): (reduce: Reduce) => Reduce {
  return (reduce) => (life, event) => (event.type === type ? act(life, event as Of<T>, reduce) : reduce(life, event));
}
const soon = (next: Next): Next => ({ ...next, wait: false });
const silently = (next: Next): Next => ({ ...next, write: [], wait: false });
const then = (next: Next, act: Act): Next => ({ ...next, act });
const row = (life: Life, change: Partial<NonNullable<Life["row"]>>): Life => ({ ...life, row: { ...(life.row as NonNullable<Life["row"]>), ...change } });

const world = (scenario: Scenario, faults: Partial<Record<Fault, number>>, most: number, more: Partial<Scenario> = {}): Scenario => ({ ...scenario, ...more, faults, most });
const { answer, agent, tool, parts, entries, stale, poison, suspects, held, people, steered, hasty } = SMALL;
const crash = (scenario: Scenario, more: Partial<Scenario> = {}) => world(scenario, { crash: 1 }, 1, more);
const calm = (scenario: Scenario, more: Partial<Scenario> = {}) => world(scenario, {}, 0, more);

export const MUTANTS: readonly Mutant[] = [
  // Inbox.
  { name: "a message is confirmed before it is on disk", where: "reducer", scenario: crash(answer), reduce: on("arrived", (life, event, reduce) => soon(reduce(life, event))) },
  { name: "a message is confirmed and never written", where: "reducer", scenario: calm(answer), reduce: on("arrived", (life, event, reduce) => silently(reduce(life, event))) },
  { name: "the store confirms before it has synced (NORMAL)", where: "carried out", scenario: crash(answer), rules: { sync: "late" } },
  { name: "duplicates are told by one watermark", where: "carried out", scenario: crash(answer), rules: { dedupe: "watermark" } },
  { name: "a duplicate reopens its done receipt", where: "carried out", scenario: world(answer, { duplicate: 1 }, 1), rules: { dedupe: "reopens" } },
  { name: "duplicates are not told at all", where: "carried out", scenario: world(answer, { duplicate: 1 }, 1), rules: { dedupe: "none" } },
  { name: "our own next try is taken for a duplicate", where: "reducer", scenario: crash(answer), reduce: on("taken", (life, event, reduce) => (event.suspect !== undefined ? then({ write: [{ do: "receipt", seq: life.receipt?.seq ?? 0, state: "done" }], wait: false, act: { type: "none" } }, { type: "release", state: "done" }) : reduce(life, event))) },
  // Lanes and owners.
  { name: "the newest of the waiting messages is taken first", where: "carried out", scenario: world(agent, { crash: 1 }, 1, { program: agent.program.slice(0, 1), lanes: [0, 0] }), rules: { lane: "newest" } },
  { name: "the next message is taken while one is under way", where: "carried out", scenario: calm(answer), rules: { lane: "crowd" } },
  { name: "the lane goes on when the first of several runs has ended", where: "reducer", scenario: calm(entries, { lanes: [0, 0] }), reduce: on("settled", (life, event, reduce) => reduce(life, { ...event, others: false })) },
  { name: "a lane is not let go when its message has ended", where: "reducer", scenario: calm(answer), reduce: on("settled", (life, event, reduce) => then(reduce(life, event), { type: "none" })) },
  { name: "the ends of a message's other runs are forgotten", where: "reducer", scenario: calm(entries), reduce: on("settled", (life, event, reduce) => reduce(life.receipt === undefined ? life : { ...life, receipt: { ...life.receipt, runs: {} } }, event)) },
  { name: "the store takes commits of a former owner (owner by PID, no generation)", where: "carried out", scenario: world(tool, { lease: 1 }, 1), rules: { fenced: false } },
  { name: "a lease ends after a fixed time, whatever its owner is doing", where: "carried out", scenario: calm(agent), rules: { lease: "fixed" } },
  { name: "a message that breaks its process is never counted", where: "reducer", scenario: poison, reduce: on("taken", (life, event, reduce) => reduce(life, { ...event, suspect: undefined })) },
  { name: "a message is counted as breaking its process at every start", where: "carried out", scenario: world(poison, { stop: 3 }, 3), rules: { endNote: false } },
  { name: "suspects are tried beside each other", where: "reducer", scenario: world(suspects, { crash: 2 }, 2), reduce: on("taken", (life, event, reduce) => reduce(life, { ...event, onTrialMs: 0 })) },
  { name: "a suspect that was paused is none any more", where: "reducer", scenario: world(held, { crash: 2, pause: 1 }, 3), reduce: on("taken", (life, event, reduce) => reduce(life, { ...event, suspect: event.suspect === "tried" ? undefined : event.suspect })) },
  { name: "a message is given up at its first broken try", where: "reducer", scenario: crash(answer), reduce: on("taken", (life, event, reduce) => reduce(event.suspect !== undefined && life.receipt !== undefined ? { ...life, receipt: { ...life.receipt, attempts: 2 } } : life, event)) },
  { name: "the count of broken tries is not written", where: "reducer", scenario: poison, reduce: on("taken", (life, event, reduce) => { const next = reduce(life, event); return next.act.type === "run" ? silently(next) : next; }) },
  // Journal.
  { name: "a step is used before its record is on disk", where: "reducer", scenario: calm(agent), reduce: on("acted", (life, event, reduce) => soon(reduce(life, event))) },
  { name: "a step is not recorded", where: "reducer", scenario: crash(agent), reduce: on("acted", (life, event, reduce) => silently(reduce(life, event))) },
  { name: "that a tool has begun is not written", where: "reducer", scenario: crash(tool), reduce: on("asked", (life, event, reduce) => reduce(life, { ...event, once: false })) },
  { name: "a tool begins before that is on disk", where: "reducer", scenario: crash(tool), reduce: on("asked", (life, event, reduce) => soon(reduce(life, event))) },
  { name: "a tool of unknown outcome is called again", where: "reducer", scenario: crash(tool), reduce: on("asked", (life, event, reduce) => (life.step === "begun" ? then(reduce(life, event), { type: "perform" }) : reduce(life, event))) },
  { name: "late output of a run that is over finds no journal", where: "carried out", scenario: world(tool, { deploy: 1, timeout: 1 }, 2), rules: { lateJournal: "nowhere" } },
  { name: "a message is done before its answer is planned", where: "reducer", scenario: crash(agent, { program: agent.program.slice(2) }), reduce: on("acted", (life, event, reduce) => { const next = reduce(life, event); return { ...next, write: [...next.write, { do: "receipt", seq: Number(event.run.split(".")[0]) + 1, state: "done" }] }; }) },
  // What people do meanwhile.
  { name: "what a person stopped is not ended", where: "reducer", scenario: world(people, { halt: 1 }, 1), reduce: on("stopped", (life, event, reduce) => silently(reduce(life, event))) },
  // Whoever carries it out looks once more: only both together let it begin.
  { name: "a paused chat begins all the same", where: "reducer", scenario: world(people, { pause: 1 }, 1), rules: { heed: false }, reduce: on("taken", (life, event, reduce) => reduce(life, { ...event, pausedUntilMs: undefined })) },
  { name: "what was got ready while its chat was paused begins", where: "carried out", scenario: world(people, { pause: 1, crash: 1 }, 2), rules: { heed: false } },
  { name: "what joined a run is not ended", where: "reducer", scenario: calm(steered), reduce: on("joined", (life, event, reduce) => silently(reduce(life, event))) },
  { name: "what joined a run is ended, and the run does not keep its words", where: "reducer", scenario: calm(steered), reduce: on("acted", (life, event, reduce) => { const next = reduce(life, event); return event.also === undefined ? next : { ...next, write: event.also }; }) },
  { name: "what took the place of a message does not have its words", where: "reducer", scenario: calm(hasty), reduce: on("interrupted", (life, event, reduce) => { const next = reduce(life, event); return { ...next, write: next.write.slice(0, 1) }; }) },
  { name: "a message whose place was taken is not ended", where: "reducer", scenario: calm(hasty), reduce: on("interrupted", (life, event, reduce) => { const next = reduce(life, event); return { ...next, write: next.write.slice(1) }; }) },
  { name: "what was answered already gives up its place", where: "reducer", scenario: calm(hasty), reduce: on("interrupted", (life, event, reduce) => reduce(life, { ...event, answered: false })) },
  // Outbox.
  { name: "a row is sent before it is on disk", where: "reducer", scenario: crash(parts), reduce: on("planned", (life, event, reduce) => soon(reduce(life, event))) },
  { name: "a row is sent before \"sending\" is on disk", where: "reducer", scenario: crash(parts, { class: "B" }), reduce: on("due", (life, event, reduce) => soon(reduce(life, event))) },
  { name: "a row that was being sent counts as planned after a restart", where: "reducer", scenario: crash(parts, { class: "B" }), reduce: on("due", (life, event, reduce) => reduce(row(life, { state: "planned" }), event)) },
  { name: "a send of unknown outcome is repeated without asking", where: "reducer", scenario: crash(answer, { class: "B" }), reduce: on("due", (life, event, reduce) => (life.row?.state === "planned" ? reduce(life, event) : { write: [], wait: false, act: { type: "send" } })) },
  { name: "what the platform says it has is sent all the same", where: "reducer", scenario: crash(answer, { class: "B" }), reduce: on("looked", (life, _event, reduce) => reduce(life, { type: "looked", ref: undefined })) },
  { name: "a send of unknown outcome is repeated until it is answered", where: "reducer", scenario: world(answer, { silence: 2 }, 2, { lanes: [0] }), reduce: on("due", (life, event, reduce) => reduce(life, { ...event, left: true })) },
  { name: "a send of unknown outcome is given up at once", where: "reducer", scenario: crash(answer), reduce: on("due", (life, event, reduce) => (life.row?.state === "sending" ? reduce(row(life, { state: "unknown" }), { ...event, left: false }) : reduce(life, event))) },
  { name: "\"sent\" is never written", where: "reducer", scenario: calm(answer), reduce: on("sent", (life, event, reduce) => silently(reduce(life, event))) },
  { name: "\"sent\" is written behind the next send", where: "carried out", scenario: calm(parts), rules: { records: "put-off" } },
  { name: "a row that is due is put off for ever", where: "reducer", scenario: calm(answer, { lanes: [0] }), reduce: on("due", (life, event, reduce) => (event.fresh === true ? { write: [], wait: false, act: { type: "wait", untilMs: event.now } } : reduce(life, { ...event, now: -1 }))) },
  { name: "a refusal for good is tried again", where: "reducer", scenario: world(answer, { refusal: 1 }, 1), reduce: on("failed", (life, event, reduce) => reduce(life, { ...event, fault: { ...event.fault, retry: "later" } })) },
  { name: "a refusal for now is taken for one for good", where: "reducer", scenario: world(answer, { refusal: 1 }, 1), reduce: on("failed", (life, event, reduce) => reduce(life, { ...event, fault: { ...event.fault, retry: "no" } })) },
  { name: "no answer is taken for a no", where: "reducer", scenario: world(answer, { silence: 1 }, 1, { class: "B" }), reduce: on("failed", (life, event, reduce) => reduce(life, { ...event, fault: { ...event.fault, answered: true } })) },
  { name: "a wrong token makes a send of unknown outcome a new one", where: "reducer", scenario: world(answer, { crash: 1, refusal: 1 }, 2, { class: "B", lanes: [0] }), reduce: on("failed", (life, event, reduce) => {
    const next = reduce(life, event);
    return event.fault.code === "CONN_002" ? { ...next, write: next.write.map((change) => (change.do === "outbox-update" ? { ...change, set: { ...change.set, state: "planned" as const } } : change)) } : next;
  }) },
  { name: "an expired answer is sent all the same", where: "reducer", scenario: world(stale, { delay: 1 }, 1), reduce: on("due", (life, event, reduce) => reduce({ ...life, row: { ...(life.row as NonNullable<Life["row"]>), expiresAt: Number.POSITIVE_INFINITY } }, event)) },
  { name: "an answer that had to wait before its first send is not asked whether it has expired", where: "reducer", scenario: world(stale, { delay: 1 }, 1), reduce: on("due", (life, event, reduce) => (event.fresh === true ? { write: [], wait: false, act: { type: "send" } } : reduce(life, event))) },
  // Dead letters.
  { name: "a notice is planned by a commit of its own, after that of the death", where: "carried out", scenario: world(answer, { refusal: 1, crash: 1 }, 2), rules: { notices: "behind" } },
  { name: "the notice of a dead row is lost", where: "reducer", scenario: world(answer, { refusal: 1 }, 1), reduce: (reduce) => (life, event) => { const next = reduce(life, event); return next.act.type === "mourn" ? { ...next, write: next.write.slice(0, 1) } : next; } },
  { name: "the notice of a message that is given up is lost", where: "reducer", scenario: world(answer, { removal: 1 }, 1), reduce: on("settled", (life, event, reduce) => { const { notice: _, ...rest } = life; return reduce(rest, event); }) },
  { name: "a notice is written and not sent", where: "reducer", scenario: world(answer, { refusal: 1 }, 1), reduce: (reduce) => (life, event) => { const next = reduce(life, event); return next.act.type === "mourn" ? then(next, { type: "mourn", code: next.act.code }) : next; } },
  { name: "people get a notice of a message that is done", where: "reducer", scenario: calm(answer), reduce: on("settled", (life, event, reduce) => { const next = reduce(life, event); const row = life.notice?.("MSG_004"); return row === undefined ? next : { ...next, write: [...next.write, { do: "outbox", row }] }; }) },
  { name: "a message whose flow was taken away is done", where: "reducer", scenario: world(answer, { removal: 1 }, 1), reduce: on("settled", (life, event, reduce) => reduce(life, { ...event, end: { state: "done" } })) },
  { name: "nobody is told of a dead row", where: "reducer", scenario: world(answer, { refusal: 1 }, 1), reduce: (reduce) => (life, event) => { const next = reduce(life, event); return next.act.type === "mourn" ? then(next, { type: "tell" }) : next; } },
  { name: "people are told of a dead row only after it is on disk", where: "reducer", scenario: world(answer, { refusal: 1, crash: 1 }, 2), reduce: (reduce) => (life, event) => { const next = reduce(life, event); return next.act.type === "mourn" ? { ...next, wait: true } : next; } },
  { name: "a row that was sent a moment ago is read from disk as being sent", where: "carried out", scenario: world(parts, { deploy: 1 }, 1), rules: { rejoin: "disk" } },
  { name: "a later answer goes past one that waits for its next try", where: "carried out", scenario: world(answer, { refusal: 2 }, 2), rules: { passing: true } },
  { name: "two deliveries take the same chat for idle", where: "carried out", scenario: world(agent, { timeout: 1 }, 1, { program: agent.program.slice(2) }), rules: { idle: "queued" } },
];

/** More than any of these worlds needs. */
const MOST_STATES = 200_000;
/** What the checker finds; `violation` is missing where it finds nothing. */
export function tryMutant({ scenario, reduce: wrap = (reduce) => reduce, rules = {} }: Mutant, reduce: Reduce): Found {
  const machine = createWorld(scenario, { ...SOUND, ...rules, reduce: wrap(reduce) });
  const found = explore(machine, MOST_STATES);
  return found.violation === undefined ? exploreDeep(machine, MOST_STATES) : found;
}
