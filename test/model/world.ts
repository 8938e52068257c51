/**
 * The world around the reducer: everything that may happen next, one small step at a time. A process (process.ts) has a queue of commits that come to the disk oldest
 * first, whenever the disk likes; the platform brings messages and takes posts; models and tools work; and faults fall between any two steps.
 *
 * One thing is decided only where it makes a difference, which leaves out no history: how much of the queue has come to the disk beyond what somebody waits for is open
 * until the process breaks off or all is at rest. And a process that breaks off is followed at once by the next one, which is brought again whatever was not confirmed.
 */
import type { Machine, Move } from "./explore.ts";
import { atRest, perState } from "./judge.ts";
import { createKey } from "./key.ts";
import { at, broke, createProcess } from "./process.ts";
import type { Rules } from "./rules.ts";
import { cloneWorld, emptyWorld, type Fault, FAULTS, messageOfRun, type Scenario, type Worker, type World } from "./state.ts";

type Take = (label: string, act: (next: World) => void) => void;
type Fail = (kind: Fault, label: string, act: (next: World) => void) => void;

export function createWorld(scenario: Scenario, rules: Rules): Machine<World> {
  const { program } = scenario;
  const { DELIVER, overtime, halt, pause, resume, open, leave, remains, flush, arrive, flow, work, end, tidy, due, post, look } = createProcess(scenario, rules);

  /** A process breaks off when so many of its commits are on disk. */
  function breakOff(world: World, commits: number, how: "crash" | "stop" | "lease"): void {
    const worker = world.owner as Worker;
    for (let commit = 0; commit < commits; commit++) flush(world, worker, false);
    leave(world, worker, how);
    world.seen.ends++;
    world.before = undefined;
  }

  function moves(world: World): Move<World>[] {
    const all: Move<World>[] = [];
    if (world.bad !== undefined) return all;
    const move: Take = (label, act) => {
      const next = cloneWorld(world);
      act(next);
      all.push({ label, next });
    };
    const fault: Fail = (kind, label, act) => {
      const which = FAULTS.indexOf(kind);
      if (world.left === 0 || at(world.kinds, which) === 0) return;
      const next = cloneWorld(world);
      next.left--;
      next.kinds = world.kinds.map((left, one) => Math.min(next.left, one === which ? left - 1 : left));
      next.left = Math.min(next.left, next.kinds.reduce((all, left) => all + left, 0));
      act(next);
      all.push({ label: `FAULT ${label}`, next, fault: true });
    };
    const { owner, stale } = world;
    if (owner !== undefined) {
      for (const [message, state] of world.inbound.entries()) {
        const bring = (next: World): void => arrive(next, next.owner as Worker, message);
        // Messages are alike: which of them is sent first has no meaning.
        if (state === "lost" || (state === "fresh" && (message === 0 || world.inbound[message - 1] !== "fresh"))) move(`the platform brings message ${message}`, bring);
        if (state === "open" || state === "confirmed") fault("duplicate", `the platform brings message ${message} again`, bring);
      }
      actsOf(world, owner, "owner", move, fault);
      if (owner.trial !== undefined && !owner.overtime && owner.lanes.some(({ active, waiting }) => active === undefined && waiting.length > 0)) move("the suspect takes long, and the others go on beside it", (next) => overtime(next, next.owner as Worker));
      const written = Array.from({ length: owner.queue.length + 1 }, (_, commits) => commits);
      const more = (commits: number): string => (commits === 0 ? "" : `, ${commits} more commits on disk`);
      for (const commits of written) fault("crash", `the process ends at once${more(commits)}`, (next) => {
        breakOff(next, commits, "crash");
        open(next);
      });
      if (world.before !== undefined) fault("crash", "the power fails, and the last commit with it", (next) => {
        next.disk = next.before as World["disk"];
        breakOff(next, 0, "crash");
        open(next);
      });
      // Begins no more sends, records those under way, and writes what is in its queue.
      if (owner.chats.every(({ phase }) => phase === "idle")) fault("stop", "the process ends in order", (next) => {
        breakOff(next, owner.queue.length, "stop");
        next.disk.ended = true;
        open(next);
      });
      const lose = (next: World, commits: number): void => {
        breakOff(next, commits, "lease");
        next.stale = rules.fenced ? remains(next.owner) : next.owner;
        open(next);
      };
      if (stale === undefined) for (const commits of written) {
        fault("lease", `another process opens the store${more(commits)}`, (next) => lose(next, commits));
        if (rules.lease === "fixed" && owner.runs.some((run) => run?.flights.some(({ phase }) => phase === "works"))) move(`its lease has run out while it works, and another process opens the store${more(commits)}`, (next) => { lose(next, commits); next.seen.ends--; });
      }
      if (owner.runs.some((run) => run?.live === true && run.passes.length > 0)) for (const goesOn of [false, true]) {
        fault("deploy", `a deploy takes the flows away; what is under way ${goesOn ? "goes on in the old nodes" : "is lost"}`, (next) => {
          if (goesOn) next.seen.ends++;
          for (const run of (next.owner as Worker).runs) if (run?.live === true) run.passes = [...(goesOn ? run.passes.filter(({ old }) => !old).map((one) => ({ ...one, old: true })) : []), { at: 0, old: false, waits: false }];
        });
      }
      for (const [number, run] of owner.runs.entries()) {
        if (run?.live !== true) continue;
        for (const goesOn of [false, true]) fault("timeout", `run ${number} is given up; its flow ${goesOn ? "goes on" : "is gone"}`, (next) => {
          const worker = next.owner as Worker;
          next.seen.timedOut |= 1 << messageOfRun(scenario, number);
          next.seen.ends++;
          if (!goesOn) at(worker.runs, number).passes = [];
          end(next, worker, number, { state: "done", reason: "unanswered" });
          tidy(worker, number);
        });
      }
      for (const [number, run] of owner.runs.entries()) if (run?.live === true) fault("removal", `the entry node of run ${number} is taken away`, (next) => {
        const worker = next.owner as Worker;
        next.seen.removed |= 1 << messageOfRun(scenario, number);
        at(worker.runs, number).passes = [];
        end(next, worker, number, { state: "dead", reason: "its entry node is gone" });
        tidy(worker, number);
      });
      for (const [number, { active, waiting }] of owner.lanes.entries()) if (active !== undefined || waiting.length > 0) fault("halt", `a person stops lane ${number}`, (next) => halt(next, next.owner as Worker, number));
      if (!world.paused) for (const works of [false, true]) fault("pause", `a person pauses all; what is at work ${works ? "has its effect" : "has none"}`, (next) => pause(next, next.owner as Worker, works));
      else move("a person lets it go on", (next) => resume(next, next.owner as Worker));
      if (!world.late) fault("delay", "the platform is away until everything has expired", (next) => { next.late = true; });
    }
    if (stale !== undefined) actsOf(world, stale, "stale", move, () => {});
    if (owner !== undefined && owner.queue.length + owner.put.length > 0 && all.every((one) => one.fault === true)) move("the rest is on disk", (next) => {
      const worker = next.owner as Worker;
      worker.queue.push(...worker.put.splice(0));
      while (worker.queue.length > 0) flush(next, worker, false);
    });
    return all;
  }
  function actsOf(world: World, worker: Worker, slot: "owner" | "stale", move: Take, fault: Fail): void {
    const who = slot === "stale" ? "the old owner: " : "";
    const step = (label: string, act: (next: World, worker: Worker) => void): void => move(who + label, (next) => {
      act(next, next[slot] as Worker);
      if (slot === "stale" && rules.fenced) next.stale = remains(next.stale);
    });
    const awaited = worker.queue.findIndex(({ after }) => after !== undefined);
    if (awaited >= 0) step(`on disk: ${worker.queue.slice(0, awaited + 1).map(({ key }) => key).join(" ")}`, (next, one) => { for (let commits = 0; commits <= awaited; commits++) flush(next, one, commits === awaited); });
    for (const [number, run] of worker.runs.entries()) {
      if (run === undefined) continue;
      for (const [which, pass] of run.passes.entries()) if (!pass.waits) step(`run ${number}${pass.old ? " (old pass)" : run.live ? "" : " (late)"}: ${program[pass.at]?.name ?? (pass.at === DELIVER ? "delivers" : "settles")}`, (next, one) => flow(next, one, number, which));
      for (const { step: which, phase } of run.flights) if (phase === "works") step(`run ${number}: ${program[which]?.name} happens`, (next, one) => work(next, one, number, which));
    }
    for (const [number, chat] of worker.chats.entries()) {
      const row = chat.rows[0];
      if (row === undefined) continue;
      if (chat.phase === "idle") step(`part ${row.id} is due`, (next, one) => due(next, one, number));
      if (chat.phase === "look") {
        step(`the platform is asked for part ${row.id}`, (next, one) => look(next, one, number));
        for (const answer of ["busy", "locked"] as const) fault("refusal", `the platform is asked for part ${row.id}, and is ${answer}`, (next) => look(next, next[slot] as Worker, number, answer));
      }
      if (chat.phase !== "send") continue;
      if ((world.seen.refused & (1 << row.id)) !== 0 && slot === "owner") step(`part ${row.id} is refused again`, (next) => broke(next, `again: part ${row.id} is sent again after the platform refused it for good`));
      else step(`part ${row.id} is sent`, (next, one) => post(next, one, number, "yes"));
      for (const answer of ["silence", "unheard", "busy", "locked", "refused"] as const) {
        fault(answer === "silence" || answer === "unheard" ? "silence" : "refusal", `part ${row.id} is sent; the answer: ${answer}`, (next) => post(next, next[slot] as Worker, number, answer));
      }
    }
  }

  const initial = emptyWorld(scenario);
  open(initial);
  return {
    initial,
    moves,
    key: createKey(scenario),
    check: (world, rests) => world.bad ?? perState(world, scenario) ?? (rests ? atRest(world, scenario) : undefined),
  };
}
