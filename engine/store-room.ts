/**
 * Keeps the store below its size. Near the limit the oldest of what is finished goes; where that does not help, new messages are refused until there is
 * room again, and platforms bring them again. What is under way may go on above the limit, so that it can be finished and make room.
 */
import type { Clock } from "./clock.ts";
import { asClawError, StoreError } from "./errors.ts";
import { USAGE_LEAST_MS, USAGE_MS } from "./ledger.ts";
import type { Store } from "./store/store.ts";

/** `near`: 90 % of the limit. `full`: nothing new is taken. */
export type RoomState = "roomy" | "near" | "full";
export interface Room {
  readonly state: RoomState;
  /** Bytes in use when it was looked last, and the limit; 0: none. */
  readonly used: number;
  readonly max: number;
  /** Why nothing new can be taken now. */
  refusal(): StoreError | undefined;
  /** Looks now. */
  look(): Promise<void>;
  close(): void;
}
export interface RoomOptions {
  readonly store: Pick<Store, "commit" | "size" | "limit">;
  readonly clock: Clock;
  /** Asked each time. `storeBytes` 0: no limit. */
  limits(): { readonly storeBytes: number; readonly keepMs: number };
  log(level: "info" | "warn", text: string): void;
  onChange(): void;
}

const LOOK_MS = 2_000;
const NEAR = 0.9;
/** Here the oldest goes, down to NEAR. */
const CROWDED = 0.95;
/** What is under way may grow by this part of the limit, or by so many bytes if that is more. */
const REST = { part: 0.1, bytes: 16 * 1024 * 1024 };
/** For so long a finished message stays known however little room there is: a platform that did not hear our yes comes again within minutes. */
const LEAST_KNOWN_MS = 60 * 60_000;
const DEDUPE_MS = 8 * 24 * 60 * 60_000;

export function createRoom({ store, clock, limits, log, onChange }: RoomOptions): Room {
  let state: RoomState = "roomy";
  let used = 0;
  let max = 0;
  let closed = false;
  let looking: Promise<void> | undefined;
  let cancel = (): void => undefined;

  async function look(): Promise<void> {
    const { storeBytes, keepMs } = limits();
    if (storeBytes !== max) store.limit?.(storeBytes === 0 ? undefined : storeBytes + Math.max(REST.bytes, storeBytes * REST.part));
    max = storeBytes;
    used = await store.size?.() ?? 0;
    if (max > 0 && used >= max * CROWDED) await makeRoom(keepMs);
    become(max === 0 || used < max * NEAR ? "roomy" : used < max ? "near" : "full");
  }
  /** Ages are halved until it is enough: the oldest goes first, dead letters stay for a person to read. */
  async function makeRoom(keepMs: number): Promise<void> {
    let removed = 0;
    let age = 0;
    for (let part = 1; used >= max * NEAR && !closed; part /= 2) {
      age = Math.max(LEAST_KNOWN_MS, DEDUPE_MS * part);
      const now = clock.now();
      const [gone] = await store.commit([{ do: "prune", before: now - age, turnsBefore: now - Math.max(LEAST_KNOWN_MS, keepMs * part), deadBefore: now - DEDUPE_MS, usageBefore: now - Math.max(USAGE_LEAST_MS, USAGE_MS * part) }]);
      removed += gone ?? 0;
      used = await store.size?.() ?? 0;
      if (DEDUPE_MS * part <= LEAST_KNOWN_MS && keepMs * part <= LEAST_KNOWN_MS) break;
    }
    if (removed > 0) log("warn", `The store is near its limit of ${megabytes(max)}: ${removed} records of finished messages older than ${Math.round(age / 3_600_000)} h, of old talks and of usage older than 40 days, were removed. Raise the limit of the gateway to keep them longer.`);
  }
  function become(next: RoomState): void {
    if (next === state) return;
    if (next === "full") log("warn", `[STORE_005] ${text()}`);
    else if (next === "near" && state === "roomy") log("warn", `The store uses ${megabytes(used)} of the ${megabytes(max)} that the gateway allows it.`);
    else log("info", `The store has room again: ${megabytes(used)} of ${megabytes(max)}.`);
    state = next;
    onChange();
  }
  const text = (): string => `Expected the store to stay below ${megabytes(max)}, the limit of the gateway, got ${megabytes(used)} of messages that are not finished or are still needed.`;

  const room: Room = {
    get state() { return state; },
    get used() { return used; },
    get max() { return max; },
    refusal: () => (state === "full" ? new StoreError("STORE_005", { retry: "later", afterMs: 5_000 }, text()) : undefined),
    look() {
      looking ??= look().catch((error: unknown) => log("warn", asClawError(error, "STORE_001", "later").message)).finally(() => { looking = undefined; });
      return looking;
    },
    close() { closed = true; cancel(); },
  };
  function next(): void {
    cancel = clock.after(LOOK_MS, () => { void room.look().then(() => { if (!closed) next(); }); });
  }
  next();
  return room;
}
const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1024 / 1024)} MB`;
