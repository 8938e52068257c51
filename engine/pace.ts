/**
 * Pacing: after a platform has said "too many", its account and that chat are sent to at the speed the channel names, for some minutes. Before that
 * nothing is held back: platforms allow bursts and change their limits, and an answer that comes at once is worth more than a rule kept for nothing.
 */
import type { Limits } from "./channels/channel.ts";
import type { Address } from "./message.ts";

export interface Pace {
  /** Milliseconds until the next send to this chat may begin. */
  wait(to: Address, now: number): number;
  /** A send begins. */
  took(to: Address, limits: Limits, now: number): void;
  /** The platform said "too many". `afterMs`: and for how long. */
  flooded(to: Address, now: number, afterMs: number | undefined): void;
}

/** How long an account is paced after its last flood answer. */
const PACED_MS = 10 * 60_000;
/** A wait this long is about the account, not about one chat. */
const ACCOUNT_WIDE_MS = 5 * 60_000;
const MAX_CHATS = 10_000;

export function createPace(): Pace {
  const pacedUntil = new Map<string, number>();
  /** By account, and by chat: when the next send may begin. */
  const next = new Map<string, number>();
  const chatOf = (to: Address): string => `${to.account}\n${to.chat}`;
  const isPaced = (to: Address, now: number): boolean => (pacedUntil.get(to.account) ?? 0) > now;

  function reserve(key: string, perSecond: number | undefined, now: number): void {
    if (perSecond === undefined) return;
    next.set(key, Math.max(now, next.get(key) ?? 0) + 1_000 / perSecond);
  }
  return {
    wait(to, now) {
      return Math.max(0, (next.get(to.account) ?? 0) - now, (next.get(chatOf(to)) ?? 0) - now);
    },
    took(to, limits, now) {
      if (!isPaced(to, now)) return;
      reserve(to.account, limits.perSecond, now);
      reserve(chatOf(to), limits.perChatPerSecond, now);
      if (next.size > MAX_CHATS) for (const [key, at] of next) if (at <= now) next.delete(key);
    },
    flooded(to, now, afterMs = 0) {
      pacedUntil.set(to.account, now + PACED_MS);
      if (afterMs >= ACCOUNT_WIDE_MS) next.set(to.account, Math.max(next.get(to.account) ?? 0, now + afterMs));
    },
  };
}
