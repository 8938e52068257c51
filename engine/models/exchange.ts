/** One request to a provider and its answer, the same for every wire: patience, half streams, errors. */
import type { Clock } from "../clock.ts";
import { modelFault, ModelFault } from "./faults.ts";
import type { ModelEvent, Usage } from "./model.ts";
import { type Place, patience } from "./place.ts";
import { watch } from "./watch.ts";

/** From a wire's pieces, or its whole answer, to events. */
export interface Collect {
  add(piece: never): ModelEvent[];
  /** A complete answer: parsed, or as the text some servers send under another content type. */
  whole(answer: unknown): ModelEvent[];
  /** The calls and the end. Throws ModelError where the answer is none. */
  end(): ModelEvent[];
  /** What the provider counted of an answer that is complete, also of one that is none. */
  used(): Usage | undefined;
}
export interface Asking {
  readonly collect: Collect;
  /** Sends the request for an answer in pieces. */
  pieces(signal: AbortSignal): Promise<{ readonly data: AsyncIterable<unknown>; readonly response: Response }>;
  /** Sends the request for an answer in one piece. */
  whole(signal: AbortSignal): Promise<unknown>;
}

export async function* exchange({ settings, party }: Place, live: boolean, { clock, signal }: { clock: Clock; signal: AbortSignal }, asking: Asking): AsyncGenerator<ModelEvent> {
  const { firstByteMs, stallMs } = patience(settings, live);
  const patient = watch(signal, clock, firstByteMs, stallMs);
  const { collect } = asking;
  let begun = false;
  let arrived = false;
  const whole = (answer: unknown): ModelEvent[] => { arrived = true; return collect.whole(answer); };
  try {
    if (live) {
      const { data, response } = await asking.pieces(patient.signal);
      const type = response.headers.get("content-type") ?? "";
      if (/json|html/.test(type)) yield* whole(await response.text());
      else {
        for await (const piece of data) {
          patient.heard();
          yield* collect.add(piece as never);
          begun = true;
          patient.wait();
        }
      }
    } else yield* whole(await asking.whole(patient.signal));
    // The SDKs end an aborted stream as if it were complete.
    if (patient.signal.aborted) throw patient.signal.reason;
    yield* collect.end();
  } catch (thrown) {
    if (signal.aborted) throw signal.reason;
    const late = patient.late();
    const fault = late === undefined ? modelFault(thrown, party) : new ModelFault("too slow", `${party.name} was silent for ${late / 1000} s.`);
    if (fault instanceof ModelFault) {
      // What answers at a wrong address is no provider, and counts nothing.
      fault.begun = begun || (arrived && fault.kind !== "wrong address");
      fault.usage = collect.used();
    }
    throw fault;
  } finally {
    patient.end();
  }
}
