/** A cap on what a model may use, for keys that somebody else pays: the demo's. */
import { ModelError } from "../errors.ts";
import type { Model } from "./model.ts";

/** Tokens used so far, input and output, over all models that share the meter; `max` of them are allowed. */
export interface Meter { used: number; readonly max: number }

/** The same model; once the meter is full it throws MODEL_009 without asking the provider. A running answer is never cut. */
export function capTokens(model: Model, meter: Meter): Model {
  return {
    ...model,
    async *stream(request, signal) {
      if (meter.used >= meter.max) throw new ModelError("MODEL_009", {}, `The cap of ${meter.max} tokens is used up (${meter.used}). Start again, or raise CLAWFLOW_TOKEN_CAP.`);
      for await (const event of model.stream(request, signal)) {
        if (event.type === "end") meter.used += event.usage.input + event.usage.output;
        yield event;
      }
    },
  };
}
