/** What adapters share that look for a message which may have been sent, and that keep something after the platform's yes. */
import type { ChannelContext, SentBefore } from "./channel.ts";

/** Unix ms from which evidence on its way is waited for: the send may have ended long after it began, and nobody listens before the connection is open. */
export function waitsFrom({ startedAt, silentAt = 0 }: Pick<SentBefore, "startedAt" | "silentAt">, openedAt = 0): number {
  return Math.max(startedAt, silentAt, openedAt);
}

/** The first of these refs, all alike, that belongs to nothing else that was sent. */
export async function firstFree(refs: Iterable<string>, { isTaken }: Pick<SentBefore, "isTaken">): Promise<string | undefined> {
  for (const ref of refs) if ((await isTaken?.(ref)) !== true) return ref;
  return undefined;
}

/** It is sent: that something about it cannot be kept is no reason to say otherwise. */
export async function keepAfter({ log }: Pick<ChannelContext, "log">, keep: () => Promise<void>): Promise<void> {
  await keep().catch((error: Error) => log("warn", `STORE_001: a message was sent, and what is to be remembered of it could not be kept: ${error.message}`));
}
