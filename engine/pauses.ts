/** The kill switch: nothing begins in a chat, or in the whole gateway, until somebody lets it go on. What comes meanwhile waits in the inbox. On disk, so that a restart keeps it. */
import type { Clock } from "./clock.ts";
import type { Address, Message } from "./message.ts";
import { insist } from "./store/insist.ts";
import type { Change, Store } from "./store/store.ts";

export interface Pause {
  /** Unix milliseconds. */
  readonly at: number;
  /** Who or what did it, in words. */
  readonly by: string;
  /** Unix milliseconds; it ends by itself. */
  readonly until?: number;
  /** `bots`: two bots answered each other; a human's word ends it. */
  readonly why: "person" | "bots";
}
/** All of a gateway, or one chat with all its threads. */
export type Scope = "all" | Pick<Address, "channel" | "account" | "chat">;

export interface Pauses {
  of(at: Scope): Pause | undefined;
  /** The one that holds for a message there: the gateway's, or the chat's. */
  holds(at: Address): Pause | undefined;
  /** Takes hold, or lets go on, at once; whoever calls commits what is to be written. Undefined: there was nothing to end. */
  change(scope: Scope, pause: Omit<Pause, "at"> | undefined): Change | undefined;
  /** Takes hold at once, and resolves when it is on disk. */
  pause(scope: Scope, pause: Omit<Pause, "at">): Promise<void>;
  /** True: there was one. */
  resume(scope: Scope): Promise<boolean>;
  all(): [scope: string, pause: Pause][];
}
export interface PausesOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Something is paused or goes on. */
  onChange(): void;
  /** Breaks off what is under way there. */
  suspend(isMeant: (message: Message) => boolean): void;
  /** Lanes look again. */
  wake(): void;
  closed(): boolean;
}

const SPACE = "pause";
const ALL = "";
const keyOf = (scope: Scope): string => (scope === "all" ? ALL : [scope.channel, scope.account, scope.chat].map(encodeURIComponent).join("/"));

/** What `all` names a scope by, as one; undefined for what is none. */
export function readScope(key: unknown): Scope | undefined {
  if (key === ALL) return "all";
  const parts = typeof key === "string" ? key.split("/") : [];
  if (parts.length !== 3 || parts.includes("")) return undefined;
  try {
    const [channel = "", account = "", chat = ""] = parts.map(decodeURIComponent);
    return { channel, account, chat };
  } catch {
    return undefined;
  }
}

export async function createPauses({ store, clock, onChange, suspend, wake, closed }: PausesOptions): Promise<Pauses> {
  const kept = new Map<string, Pause>();
  for (const [key, value] of await store.list(SPACE, "")) kept.set(key, value as Pause);

  function find(key: string): Pause | undefined {
    const pause = kept.get(key);
    return pause?.until !== undefined && pause.until <= clock.now() ? undefined : pause;
  }
  const holds = (at: Address): Pause | undefined => find(ALL) ?? find(keyOf(at));
  const change: Pauses["change"] = (scope, pause) => {
    const key = keyOf(scope);
    if (pause === undefined && !kept.has(key)) return undefined;
    const value = pause && { ...pause, at: clock.now() };
    if (value === undefined) kept.delete(key);
    else kept.set(key, value);
    onChange();
    if (value === undefined) wake();
    else suspend(({ at }) => holds(at) !== undefined);
    return { do: "set", space: SPACE, key, value };
  };
  async function save(write: Change | undefined): Promise<boolean> {
    if (write !== undefined) await insist(store, clock, [write], closed);
    return write !== undefined;
  }

  return {
    of: (scope) => find(keyOf(scope)),
    holds, change,
    async pause(scope, pause) { await save(change(scope, pause)); },
    resume: (scope) => save(change(scope, undefined)),
    all: () => [...kept.keys()].flatMap((key) => { const pause = find(key); return pause === undefined ? [] : [[key, pause] as [string, Pause]]; }),
  };
}
