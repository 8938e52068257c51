/** HTTP requests that wait for a reply of the flow. They live as long as the request does: a restart or a timeout ends them for good. */
import type { Received } from "../channels/channel.ts";
import type { Clock } from "../clock.ts";

/** `status` 200 when absent; `type` is a media type, text/plain or application/json when absent. */
export type Reply = { readonly status?: number; readonly type?: string } & ({ readonly text: string } | { readonly json: unknown });

type End = Reply | "late" | "closed";
export interface Hold {
  /** Settles as the promise given to `keep` does. */
  readonly saved: Promise<Received>;
  readonly reply: Promise<End>;
  keep(saving: Promise<Received>): void;
  /** Nobody waits any more; `why` is what a later reply is told. */
  end(why: string): void;
}
export interface Holds {
  begin(id: string, timeoutMs: number, gone: AbortSignal): Hold;
  /** How the saving of a request that is held ends. */
  saving(id: string): Promise<Received> | undefined;
  /** Undefined when it was answered, else why it could not be. */
  answer(id: string, reply: Reply): string | undefined;
  readonly size: number;
  close(): void;
}

/** How many ended holds are remembered, to tell late replies why. */
const REMEMBERED = 1000;

export function createHolds(clock: Clock): Holds {
  const open = new Map<string, { saved: Promise<Received>; finish(end: End, why: string): void }>();
  const ended = new Map<string, string>();

  return {
    begin(id, timeoutMs, gone) {
      const saved = Promise.withResolvers<Received>();
      saved.promise.catch(() => undefined);
      const reply = Promise.withResolvers<End>();
      const finish = (end: End, why: string): void => {
        if (!open.delete(id)) return;
        cancel();
        gone.removeEventListener("abort", leave);
        ended.delete(id);
        ended.set(id, why);
        if (ended.size > REMEMBERED) ended.delete(ended.keys().next().value as string);
        reply.resolve(end);
      };
      const leave = (): void => finish("late", "was given up by the sender");
      open.set(id, { saved: saved.promise, finish });
      const cancel = clock.after(timeoutMs, () => finish("late", `waited ${timeoutMs} ms for a reply`));
      gone.addEventListener("abort", leave, { once: true });
      if (gone.aborted) leave();
      return { saved: saved.promise, reply: reply.promise, keep: (saving) => saving.then(saved.resolve, saved.reject), end: (why) => finish("late", why) };
    },
    saving: (id) => open.get(id)?.saved,
    answer(id, reply) {
      const hold = open.get(id);
      if (!hold) return ended.get(id) ?? "is not waiting here (it may have come before a restart)";
      hold.finish(reply, "was answered already");
      return undefined;
    },
    get size() { return open.size; },
    close() { for (const hold of [...open.values()]) hold.finish("closed", "ended when the endpoint was closed"); },
  };
}
