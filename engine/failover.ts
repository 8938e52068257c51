/**
 * A model made of several: an ordered chain of models, each with one or several keys. Who is asked next is decided by pure functions (`pick`, and the
 * tables in failover/); what stands here carries that out. Whoever reads the stream gets one whole answer or one error: where a stream breaks off, `again`
 * takes back what was said of it.
 */
import { BudgetError } from "./budget.ts";
import type { Clock } from "./clock.ts";
import { asClawError, type ClawError, ModelError } from "./errors.ts";
import type { Board } from "./failover/board.ts";
import { type FaultKind, kindOf, pauseHere, RULES } from "./failover/rules.ts";
import { readyAt, type Standing } from "./failover/standing.ts";
import type { Count } from "./metrics.ts";
import { ModelFault } from "./models/faults.ts";
import type { Model, ModelEvent, ModelRequest } from "./models/model.ts";

/** One model with one of its keys. */
export interface Candidate {
  /** Name of its standing on the board. */
  readonly id: string;
  /** Keys of one model share it. */
  readonly group: string;
  /** For people: a model's name, and the number of the key where there are several; never the key. */
  readonly name: string;
  readonly model: Model;
}
export interface FailoverDeps {
  readonly board: Board;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly count?: Count;
}

/** How often one candidate is turned to for one answer, with a rest between. */
const MAX_TRIES = 2;

/** What happened so far on the way to one answer. */
interface Course { readonly tries: Map<Candidate, number>; readonly closed: Set<Candidate>; readonly faults: Map<Candidate, ClawError> }
type Pick = { readonly do: "ask"; readonly candidate: Candidate } | { readonly do: "wait"; readonly until: number } | { readonly do: "stop" };

/** The first in order that may be asked now; else until when to wait for the soonest (Infinity: for a request that tries another one out). */
export function pick(chain: readonly Candidate[], course: Course, standingOf: (id: string) => Standing, now: number): Pick {
  const alone = chain.length === 1;
  let soonest: number | undefined;
  for (const candidate of chain) {
    if (course.closed.has(candidate) || (course.tries.get(candidate) ?? 0) >= MAX_TRIES) continue;
    const standing = standingOf(candidate.id);
    const at = readyAt(standing, alone);
    if (at === Number.POSITIVE_INFINITY) continue;
    const taken = standing.trial && !alone;
    if (at <= now && !taken) return { do: "ask", candidate };
    soonest = Math.min(soonest ?? Number.POSITIVE_INFINITY, taken ? Number.POSITIVE_INFINITY : at);
  }
  return soonest === undefined ? { do: "stop" } : { do: "wait", until: soonest };
}

/** Those that are not asked any more for this answer once `candidate` met this fault: itself where trying again changes nothing, and who would meet the same. */
function closedBy(fault: ClawError, candidate: Candidate, chain: readonly Candidate[]): readonly Candidate[] {
  const others = sharers(kindOf(fault), candidate, chain);
  return fault.retry === "no" ? [candidate, ...others] : others;
}
function sharers(kind: FaultKind, candidate: Candidate, chain: readonly Candidate[]): readonly Candidate[] {
  const { key, next } = RULES[kind];
  switch (next) {
    case "stop": return chain;
    case "wider": return chain.filter(({ model }) => model.contextTokens <= candidate.model.contextTokens);
    // It may be asked again itself, once its rest is over.
    case "model": return chain.filter((other) => other.group === candidate.group && (key === "fine" || other !== candidate));
    case "key": return key === "rests" ? [] : [candidate];
  }
}

/** `chain` is in order, with at least one. Its id, provider, window and price are those of the first; each candidate sees to its own window (`fitModel`). */
export function failover(chain: readonly [Candidate, ...Candidate[]], deps: FailoverDeps): Model {
  const { board, clock } = deps;
  const [first] = chain;
  return {
    ...first.model,
    async *stream(request, signal) {
      const end = clock.monotonic() + (request.withinMs ?? Number.POSITIVE_INFINITY);
      const course: Course = { tries: new Map(), closed: new Set(), faults: new Map() };
      let speaker: Candidate = first;
      let fault: ClawError | undefined;
      for (;;) {
        signal.throwIfAborted();
        const next = pick(chain, course, board.get, clock.monotonic());
        if (next.do === "stop" || (next.do === "wait" && !(await waitFor(next.until, end, signal, deps)))) throw nobody(chain, course, deps);
        if (next.do === "wait") continue;
        const { candidate } = next;
        if (candidate !== speaker) {
          const why = fault === undefined ? board.get(speaker.id).last : { code: fault.code, text: fault.message };
          deps.count?.("clawflow_model_failovers_total", { provider: speaker.model.provider, code: why?.code ?? "" });
          yield { type: "again", failover: { from: speaker.name, to: candidate.name, why: wordsOf(why) } };
        } else if (fault !== undefined) yield { type: "again" };
        speaker = candidate;
        course.tries.set(candidate, (course.tries.get(candidate) ?? 0) + 1);
        const others = pick(chain.filter((other) => other !== candidate), course, board.get, clock.monotonic()).do === "ask";
        const left = Math.max(0, end - clock.monotonic());
        fault = yield* ask(candidate, request, signal, others ? left / 2 : left);
        if (fault === undefined) return;
        course.faults.set(candidate, fault);
        for (const closed of closedBy(fault, candidate, chain)) course.closed.add(closed);
        if (RULES[kindOf(fault)].next === "stop") throw fault;
      }
    },
  };

  /** Asks one candidate, again at once where its fault allows it. Returns the fault it ended with; undefined: it answered. */
  async function* ask(candidate: Candidate, request: ModelRequest, signal: AbortSignal, silentMs: number): AsyncGenerator<ModelEvent, ClawError | undefined> {
    const askedAt = clock.monotonic();
    const trial = chain.length > 1 && board.get(candidate.id).faults > 0;
    let open = true;
    board.tell(candidate.id, { type: "asked" });
    const told = (event: Parameters<Board["tell"]>[1]): void => { open = false; board.tell(candidate.id, event); };
    try {
      for (let tried = 0; ; tried++) {
        const patience = patienceOf(signal, silentMs, clock);
        try {
          for await (const event of candidate.model.stream(request, patience.signal)) {
            patience.heard();
            // Whoever reads needs nothing after the end, and leaves.
            if (event.type === "end") told({ type: "answered", askedAt });
            yield event.type === "end" && candidate.group !== first.group ? { ...event, by: candidate.name } : event;
            if (event.type === "end") return undefined;
          }
          throw new ModelFault("bad answer", "Expected the model's stream to end properly, got a cut.");
        } catch (thrown) {
          // A budget is the asker's, whichever model is asked.
          if (signal.aborted || thrown instanceof BudgetError) throw thrown;
          const fault = patience.late() ? new ModelFault("too slow", `${candidate.name} said nothing for ${Math.round(silentMs / 1000)} s.`) : asClawError(thrown, "MODEL_008");
          deps.count?.("clawflow_model_faults_total", { provider: candidate.model.provider, code: fault.code });
          const pause = trial ? undefined : pauseHere(fault, tried, deps.random());
          if (pause === undefined) {
            told({ type: "fault", askedAt, now: clock.monotonic(), key: RULES[kindOf(fault)].key, code: fault.code, text: fault.message, afterMs: fault.afterMs });
            return fault;
          }
          await waitFor(clock.monotonic() + pause, Number.POSITIVE_INFINITY, signal, { clock });
          yield { type: "again" };
        } finally {
          patience.end();
        }
      }
    } finally {
      if (open) board.tell(candidate.id, { type: "dropped", askedAt });
    }
  }
}

/** Resolves at `until`, or with any change on the board; false: that is later than `end`. Throws when `signal` aborts. */
async function waitFor(until: number, end: number, signal: AbortSignal, { clock, board }: { readonly clock: Clock; readonly board?: Board }): Promise<boolean> {
  if (until > end && until !== Number.POSITIVE_INFINITY) return false;
  const at = Math.min(until, end);
  if (at <= clock.monotonic()) return until <= end;
  let undo: (() => void)[] = [];
  const woken = await new Promise<boolean>((resolve) => {
    const wake = (): void => resolve(true);
    signal.addEventListener("abort", wake, { once: true });
    undo = [() => signal.removeEventListener("abort", wake), board?.watch(wake) ?? (() => undefined)];
    // A clock's timer takes no more than 2^31 ms.
    if (at !== Number.POSITIVE_INFINITY) undo.push(clock.after(Math.min(Math.max(0, at - clock.monotonic()), 1e9), () => resolve(until <= end)));
  });
  for (const each of undo) each();
  signal.throwIfAborted();
  return woken;
}

/** Aborts with the caller's signal, and when nothing at all was heard for so long. */
function patienceOf(caller: AbortSignal, silentMs: number, clock: Clock): { readonly signal: AbortSignal; heard(): void; late(): boolean; end(): void } {
  const own = new AbortController();
  let late = false;
  const follow = (): void => own.abort(caller.reason);
  caller.addEventListener("abort", follow, { once: true });
  const cancel = silentMs < 1e9 ? clock.after(silentMs, () => { late = true; own.abort(); }) : () => undefined;
  return { signal: own.signal, heard: cancel, late: () => late, end() { cancel(); caller.removeEventListener("abort", follow); } };
}

/** What is thrown when nobody is left: how each of them stands. Under the code of their fault where all have the same; of one that stands alone, the fault itself. */
function nobody(chain: readonly Candidate[], { faults }: Course, { board, clock }: FailoverDeps): ClawError {
  const only = chain.length === 1 ? faults.get(chain[0] as Candidate) : undefined;
  if (only !== undefined) return only;
  const now = clock.monotonic();
  const all = chain.map((candidate) => {
    const standing = board.get(candidate.id);
    const fault = faults.get(candidate);
    return { name: candidate.name, standing, why: fault === undefined ? standing.last : { code: fault.code, text: fault.message } };
  });
  const [code, ...others] = new Set(all.map(({ why }) => why?.code));
  const lines = all.map(({ name, standing, why }) => `${name}: ${wordsOf(why)} (${whenOf(standing, now, chain.length === 1)}).`);
  return new ModelError(others.length === 0 && code !== undefined ? code : "MODEL_011", { ...(all.some(({ standing }) => !standing.out) ? { retry: "later" } : {}) }, `No model answers. ${lines.join(" ")}`);
}
function whenOf(standing: Standing, now: number, alone: boolean): string {
  const seconds = Math.ceil((readyAt(standing, alone) - now) / 1000);
  return seconds === Number.POSITIVE_INFINITY ? "not asked again until its settings change or its test succeeds" : seconds > 0 ? `asked again in ${seconds} s` : "ready for the next message";
}
const wordsOf = (why: { readonly code: string; readonly text: string } | undefined): string => (why === undefined ? "" : `[${why.code}] ${why.text.replace(/[.\s]+$/, "")}`);
