/** A model whose requests fit its window, also after many tool rounds; when the provider says "too long" all the same, it is asked once more with less. */
import { ModelError } from "../errors.ts";
import type { Model, ModelEvent, ModelRequest } from "../models/model.ts";
import { frameTokens, type Gauge, turnsTokens } from "./estimate.ts";
import { fitTurns, pruneResults } from "./trim.ts";

/** Estimates are rough; so much of the window is never planned with. */
const SAFETY = 0.95;
/** Kept free for the answer where no length is set: a share of the window, at most so many tokens. */
const ANSWER_SHARE = 0.25;
const ANSWER_TOKENS = 4_096;
/** Old results are kept short from this share of the window on. */
const PRUNE_SHARE = 0.5;
/** Of what was too long the second try sends so much. */
const SMALLER = 0.6;

export const gaugeKey = ({ provider, id }: Pick<Model, "provider" | "id">): string => `${provider}/${id}`;

/** Estimated tokens that the turns of a request may have. */
function roomFor(model: Model, request: Pick<ModelRequest, "system" | "tools" | "maxTokens">, gauge: Gauge): number {
  const key = gaugeKey(model);
  const answer = Math.min(request.maxTokens ?? ANSWER_TOKENS, model.contextTokens * ANSWER_SHARE);
  const whole = (model.contextTokens * SAFETY - answer) / gauge.ratio(key);
  return Math.max(0, Math.floor(Math.min(whole, gauge.ceiling(key) ?? Number.POSITIVE_INFINITY) - frameTokens(request)));
}

function fitted(request: ModelRequest, room: number): ModelRequest {
  const turns = turnsTokens(request.turns) > room * PRUNE_SHARE ? fitTurns(pruneResults(request.turns), room) : request.turns;
  return { ...request, turns };
}

export function fitModel(model: Model, gauge: Gauge): Model {
  const key = gaugeKey(model);
  /** Whoever reads leaves with the end: what is to be learned is learned before it is handed on. */
  async function* once(request: ModelRequest, signal: AbortSignal, on: { begun(): void; ended?(): void }): AsyncGenerator<ModelEvent> {
    for await (const event of model.stream(request, signal)) {
      on.begun();
      if (event.type === "end") {
        gauge.learn(key, request, event.usage);
        on.ended?.();
      }
      yield event;
    }
  }
  return {
    ...model,
    async *stream(request, signal) {
      const first = fitted(request, roomFor(model, request, gauge));
      let begun = false;
      try {
        yield* once(first, signal, { begun: () => { begun = true; } });
        return;
      } catch (thrown) {
        if (begun || !(thrown instanceof ModelError) || thrown.code !== "MODEL_005") throw thrown;
        const sent = turnsTokens(first.turns);
        const second = { ...first, turns: fitTurns(pruneResults(first.turns, 1), Math.floor(sent * SMALLER)) };
        if (turnsTokens(second.turns) >= sent) throw thrown;
        yield* once(second, signal, {
          begun: () => undefined,
          // It took this one and not the other: somewhere between is what it takes.
          ended: () => gauge.overflowed(key, Math.floor(frameTokens(request) + (sent + turnsTokens(second.turns)) / 2)),
        });
      }
    },
  };
}
