/** A loop guard of an agent: the same tool with the same arguments, again and again, leads nowhere. Pure but for its count; a replay comes to the same. */
import { canonical } from "./approval-text.ts";
import { ModelError } from "./errors.ts";
import type { ToolCall } from "./models/model.ts";

export interface Repeats {
  /** Undefined: let it run. A text: the model gets it in place of a result. Throws AGENT_003 when the model goes on nevertheless. */
  saw(call: ToolCall): string | undefined;
}

/** `most`: so many equal calls run. The next one is answered with a warning, and the one after it ends the run. 0: no limit. */
export function createRepeats(most: number): Repeats {
  const counts = new Map<string, number>();
  return {
    saw({ name, input, malformed }) {
      if (most <= 0 || malformed !== undefined) return undefined;
      const key = `${name} ${canonical(input)}`;
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      if (count <= most) return undefined;
      if (count > most + 1) throw new ModelError("AGENT_003", {}, `Expected the model to do something else after ${most} equal calls, got "${name}" with the same arguments again.`);
      return `[AGENT_003] You have called "${name}" ${most} times with the same arguments; its result will not change. It was not called again. Do something else, or answer with what you know.`;
    },
  };
}
