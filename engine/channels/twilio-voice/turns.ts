/**
 * Who has the word. A caller waits in an HTTP request of Twilio until there is something to say; what the flow says waits for such a request. Where neither
 * meets the other in time, the caller hears nothing for a moment and Twilio asks again, and what was said is put into the call by the API.
 */
import type { Clock } from "../../clock.ts";
import type { Speech } from "./twiml.ts";

export interface Turns {
  /** Waits up to `ms` for something to say in this call. Undefined: nothing came. */
  hear(call: string, ms: number, gone: AbortSignal): Promise<Speech | undefined>;
  /** Gives it to whoever waits in this call, or waits up to `ms` for somebody, where a request of this call came not long ago. True: it was taken. */
  speak(call: string, speech: Speech, ms: number): Promise<boolean>;
  /** Something is on its way to be said in this call. */
  pending(call: string): boolean;
  close(): void;
}
/** A caller who hears something long speaks up later than this; then it is put into the call. */
const QUIET_MS = 20_000;
const MAX_CALLS = 1_000;

interface Waiting<T> { give(value: T): void }

export function createTurns(clock: Clock): Turns {
  const ears = new Map<string, Waiting<Speech | undefined>[]>();
  /** Monotonic milliseconds of the last request of a call, newest last. */
  const heardAt = new Map<string, number>();
  const mouths = new Map<string, { readonly speech: Speech; readonly taken: Waiting<boolean> }[]>();

  function wait<T>(ms: number, late: T, join: (waiting: Waiting<T>) => () => void, gone?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve) => {
      let leave = (): void => undefined;
      const end = (value: T): void => { cancel(); gone?.removeEventListener("abort", abandon); leave(); resolve(value); };
      const abandon = (): void => end(late);
      const cancel = clock.after(ms, abandon);
      gone?.addEventListener("abort", abandon, { once: true });
      leave = join({ give: end });
      if (gone?.aborted === true) abandon();
    });
  }
  function join<T>(lists: Map<string, T[]>, call: string, one: T): () => void {
    const list = lists.get(call) ?? [];
    lists.set(call, list);
    list.push(one);
    return () => {
      const at = list.indexOf(one);
      if (at >= 0) list.splice(at, 1);
      if (list.length === 0 && lists.get(call) === list) lists.delete(call);
    };
  }

  return {
    async hear(call, ms, gone) {
      heardAt.delete(call);
      heardAt.set(call, clock.monotonic());
      if (heardAt.size > MAX_CALLS) heardAt.delete(heardAt.keys().next().value as string);
      const first = mouths.get(call)?.[0];
      if (first !== undefined) { first.taken.give(true); return first.speech; }
      return wait<Speech | undefined>(ms, undefined, (waiting) => join(ears, call, waiting), gone);
    },
    async speak(call, speech, ms) {
      const ear = ears.get(call)?.[0];
      if (ear !== undefined) { ear.give(speech); return true; }
      if (clock.monotonic() - (heardAt.get(call) ?? Number.NEGATIVE_INFINITY) > QUIET_MS) return false;
      return wait(ms, false, (taken) => join(mouths, call, { speech, taken }));
    },
    pending: (call) => mouths.has(call),
    close() {
      for (const list of ears.values()) for (const ear of [...list]) ear.give(undefined);
      for (const list of mouths.values()) for (const { taken } of [...list]) taken.give(false);
    },
  };
}
