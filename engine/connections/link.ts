/** One link of an account, from its opening to its end. It never comes back: who tries again opens another. */
import type { Account, Channel, ChannelContext, Connection } from "../channels/channel.ts";
import type { Clock } from "../clock.ts";
import { asClawError, ChannelError, type ClawError } from "../errors.ts";
import { within } from "./within.ts";

const OPEN_LIMIT_MS = 30_000;
const CLOSE_LIMIT_MS = 5_000;
/** Longest time that calls under way are waited for: what is cut off may have reached the platform, and would be sent again. */
const DRAIN_LIMIT_MS = 3_000;

export type Report = Parameters<ChannelContext["status"]>[0];
export interface LinkOptions {
  readonly clock: Clock;
  readonly account: Account;
  readonly channel: Channel;
  context(signal: AbortSignal): Promise<Omit<ChannelContext, "status" | "signal">>;
  /** One of these two comes first, unless it is ended before. */
  onOpened(): void;
  /** It could not be opened, or not in time. */
  onFault(error: ClawError): void;
  /** The adapter says how its link is. After `onOpened`, until the end. */
  onReport(state: Report, error: ClawError | undefined): void;
  /** It was open, and ended by itself. */
  onGone(error: ClawError): void;
}
export interface Link {
  /** There from `onOpened` to the end. */
  readonly connection: Connection | undefined;
  /** Aborted when its end begins. The adapter's own signal follows once nothing is under way. */
  readonly signal: AbortSignal;
  readonly facts: LinkFacts;
  /** Resolves when all of it is gone, or after some seconds: what still hangs then was told to stop and is not waited for. Never rejects. */
  end(): Promise<void>;
}
/** Monotonic milliseconds. */
export interface LinkFacts {
  /** Last sign that it works: something was received or sent, or the adapter said so. */
  provedAt: number;
  /** Last word of the adapter, and how long it was told to wait then. */
  reportedAt: number;
  waitMs: number;
  /** Calls to the platform under way, and since when there are any. */
  busy: number;
  busySince: number;
}

/** Begins to open at once, and tells nothing before it has returned. */
export function openLink({ clock, account, channel, context, onOpened, onFault, onReport, onGone }: LinkOptions): Link {
  const ending = new AbortController();
  const { signal } = ending;
  const abort = new AbortController();
  let idle = (): void => undefined;
  const now = clock.monotonic();
  const facts: LinkFacts = { provedAt: now, reportedAt: now, waitMs: 0, busy: 0, busySince: now };
  let connection: Connection | undefined;
  let log: ChannelContext["log"] | undefined;
  /** What the adapter said before it was open. */
  let early: (() => void) | undefined;

  const whole = (async () => {
    const given = await context(abort.signal);
    log = given.log;
    signal.throwIfAborted();
    return channel.open(account, { ...given, signal: abort.signal, receive, status });
    async function receive(...message: Parameters<ChannelContext["receive"]>): ReturnType<ChannelContext["receive"]> {
      const received = await given.receive(...message);
      facts.provedAt = clock.monotonic();
      return received;
    }
  })();

  function status(state: Report, thrown?: ClawError): void {
    const error = thrown === undefined ? undefined : asClawError(thrown, "CONN_001", "later");
    facts.reportedAt = clock.monotonic();
    facts.waitMs = error?.afterMs ?? 0;
    if (state === "connected") facts.provedAt = facts.reportedAt;
    if (connection !== undefined) onReport(state, error);
    else early = state === "error" || state === "reconnecting" ? () => onReport(state, error) : undefined;
  }

  const late = () => new ChannelError("CONN_001", { retry: "later" }, `Expected ${channel.label} to be connected within ${OPEN_LIMIT_MS / 1000} s, got nothing. Check the network and the proxy.`);
  within({ clock, ms: OPEN_LIMIT_MS, parent: signal, late }, () => whole).then((made) => {
    if (signal.aborted) return;
    connection = noted(made, facts, clock, () => idle());
    onOpened();
    if (!signal.aborted) early?.();
    void made.gone?.then((error) => { if (!signal.aborted) onGone(asClawError(error, "CONN_001", "later")); });
  }).catch((thrown: unknown) => { if (!signal.aborted) onFault(asClawError(thrown, "CONN_001", "later")); });

  let ended: Promise<void> | undefined;
  async function end(): Promise<void> {
    connection = undefined;
    ending.abort();
    if (facts.busy > 0) await drained();
    abort.abort();
    try {
      // What opens too late is closed too.
      await within({ clock, ms: CLOSE_LIMIT_MS, late: () => new Error(`${channel.label} did not close within ${CLOSE_LIMIT_MS / 1000} s; it is left behind.`) }, () => whole.then((made) => made.close(), () => undefined));
    } catch (error) {
      try { log?.("warn", `CONN_001: ${(error as Error).message}`); } catch { /* A log that fails keeps nobody from closing. */ }
    }
  }
  /** Resolves when no call is under way any more, or has had its time. */
  function drained(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = clock.after(DRAIN_LIMIT_MS, resolve);
      idle = () => { cancel(); resolve(); };
    });
  }
  return { get connection() { return connection; }, signal, facts, end: () => (ended ??= end()) };
}

const PROOFS: ReadonlySet<PropertyKey> = new Set<keyof Connection>(["send", "find", "edit", "remove", "react", "typing", "call"]);

/** The connection as it is, but what goes well through it is a sign of life. Its methods keep their own `this`, and what it cannot do stays left out. `idle`: the last call under way has ended. */
function noted(connection: Connection, facts: LinkFacts, clock: Clock, idle: () => void): Connection {
  if (typeof connection?.send !== "function" || typeof connection.close !== "function") throw new ChannelError("CONN_001", {}, "Expected the channel to give a connection with send and close, got something else.");
  // Over an object of its own, so that a frozen connection may be wrapped too.
  return new Proxy({} as Connection, {
    has: (_, name) => name in connection,
    set: (_, name, value) => Reflect.set(connection, name, value),
    get(_, name) {
      const value: unknown = Reflect.get(connection, name);
      if (typeof value !== "function") return value;
      if (!PROOFS.has(name)) return value.bind(connection);
      return async (...given: unknown[]) => {
        if (facts.busy++ === 0) facts.busySince = clock.monotonic();
        try {
          const result: unknown = await value.apply(connection, given);
          facts.provedAt = clock.monotonic();
          return result;
        } finally {
          if (--facts.busy === 0) idle();
        }
      };
    },
  });
}
