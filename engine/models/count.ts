/** A model whose requests and tokens are counted. */
import type { Count } from "../metrics.ts";
import type { Model } from "./model.ts";

export function countModel(model: Model, count: Count): Model {
  const { provider } = model;
  return {
    ...model,
    async *stream(request, signal) {
      let outcome = "failed";
      try {
        for await (const event of model.stream(request, signal)) {
          if (event.type === "end") {
            outcome = "answered";
            count("clawflow_model_tokens_total", { provider, direction: "input" }, event.usage.input);
            count("clawflow_model_tokens_total", { provider, direction: "output" }, event.usage.output);
          }
          yield event;
        }
      } finally {
        count("clawflow_model_requests_total", { provider, outcome });
      }
    },
  };
}
