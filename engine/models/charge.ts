/** A model whose calls are paid for by whoever asks. It stands around each single model, so that a chain of several pays each one's own price. */
import { ClawError, type ErrorCode, SettingError } from "../errors.ts";
import { ModelFault } from "./faults.ts";
import type { Model, Payer } from "./model.ts";

/** With these the provider says that it did not begin. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["MODEL_002", "MODEL_003", "MODEL_004", "MODEL_005", "MODEL_008", "MODEL_009"]);
const didNothing = (thrown: unknown): boolean => thrown instanceof SettingError || thrown instanceof ClawError && (REFUSALS.has(thrown.code) || (thrown instanceof ModelFault && thrown.unsent));

export function chargeModel(model: Model): Model {
  return {
    ...model,
    async *stream({ payer, ...request }, signal) {
      if (payer === undefined) return yield* model.stream(request, signal);
      const bill = await payer.begin(model, request);
      if (signal.aborted) bill.broken(true);
      signal.throwIfAborted();
      let state: "silent" | "heard" | "paid" = "silent";
      let fault: unknown;
      try {
        for await (const event of model.stream(request, signal)) {
          if (event.type !== "end") { state = "heard"; yield event; continue; }
          const usage = bill.paid(event.usage);
          state = "paid";
          yield { ...event, usage };
        }
      } catch (thrown) {
        fault = thrown;
        throw thrown;
      } finally {
        if (state !== "paid") bill.broken(state === "silent" && didNothing(fault));
      }
    },
  };
}

/** The same model, or chain of models, paid for by `payer` wherever it is asked. */
export const paidBy = (model: Model, payer: Payer): Model => ({ ...model, stream: (request, signal) => model.stream({ ...request, payer }, signal) });
