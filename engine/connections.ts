/** Keeps one live connection per account: opens, watches, tries again with patience, and leaves alone what did not change. */
import type { Account, AccountStorage, Channel, ChannelContext, Connection } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";
import { type Breaker, CLOSED, nextBreaker, waitOf } from "./connections/breaker.ts";
import { watch } from "./connections/health.ts";
import { type Link, openLink, type Report } from "./connections/link.ts";
import { createStarts } from "./connections/starts.ts";
import { ChannelError, type ClawError } from "./errors.ts";

/**
 * - `disconnected`: not begun, or closed.
 * - `connecting`: the first try is under way, or waits for its place among many.
 * - `connected`: the account can send and receive.
 * - `reconnecting`: it was connected, or failed before, and is being tried again; by its adapter or by us.
 * - `error`: it could not be opened, or says that something is wrong; the next try comes.
 * - `failed`: it broke too often in a row (single tries go on, about one a minute: `nextTryAt`), or for good: then nothing happens until its settings change or it is reopened.
 */
export const STATES = ["disconnected", "connecting", "connected", "reconnecting", "error", "failed"] as const;
export type ConnectionState = (typeof STATES)[number];
export interface AccountStatus {
  readonly account: string;
  readonly channel: string;
  readonly state: ConnectionState;
  /** Unix milliseconds at which the state began. Left out where nobody knows. */
  readonly since?: number;
  /** Unix milliseconds of the next try, where there will be one and its time is known. */
  readonly nextTryAt?: number;
  readonly self?: { readonly id: string; readonly name: string };
  readonly error?: { readonly code: string; readonly text: string };
}

export interface ConnectionsOptions {
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  context(account: Account, channel: Channel, signal: AbortSignal): Promise<Omit<ChannelContext, "status" | "signal">>;
  /** Takes secrets out of the text of a fault before it is told. */
  redact?(text: string): string;
  /** What it throws is lost. */
  onStatus(status: AccountStatus): void;
}
export interface Connections {
  /**
   * Opens the account, or keeps what there is when nothing changed: neither its settings nor `surroundings`, the facts its context is made of. A new name changes nothing.
   * An account that failed for good is not tried again by this: a deploy is no reason.
   */
  open(account: Account, channel: Channel, surroundings?: unknown): void;
  /** Opens it anew, whatever its state: its webhook's address became known, or somebody asks for another try. */
  reopen(account: string): void;
  /** Resolves when its link is gone, or was told to go and hangs. Never rejects. */
  close(account: string): Promise<void>;
  /** Ends every account that is not named. */
  keepOnly(accounts: ReadonlySet<string>): Promise<void>;
  get(account: string): { readonly channel: Channel; readonly connection: Connection | undefined } | undefined;
  status(account: string): AccountStatus | undefined;
  all(): AccountStatus[];
}

interface Live {
  account: Account;
  readonly channel: Channel;
  readonly print: string;
  status: AccountStatus;
  breaker: Breaker;
  link: Link | undefined;
  /** Takes back what is planned: a place to begin, or the next try. */
  cancel: (() => void) | undefined;
  readonly connection: Connection | undefined;
}

export function createConnections(options: ConnectionsOptions): Connections {
  const { clock, random } = options;
  const lives = new Map<string, Live>();
  /** By account: its links that are being closed. Two links of one bot at once would be two pollers. */
  const leaving = new Map<string, Promise<void>>();
  const starts = createStarts(clock, random);
  const isCurrent = (live: Live): boolean => lives.get(live.account.id) === live;

  function tell(live: Live, state: ConnectionState, error?: ClawError, waitMs?: number): void {
    const before = live.status;
    const now = clock.now();
    const self = live.connection?.self;
    live.status = {
      account: live.account.id, channel: live.channel.id, state, since: before.state === state ? (before.since ?? now) : now,
      ...(waitMs === undefined ? {} : { nextTryAt: now + waitMs }),
      ...(self === undefined ? {} : { self }),
      ...(error === undefined ? {} : { error: { code: error.code, text: options.redact?.(error.message) ?? error.message } }),
    };
    if (state === "connected" && before.state === state) return;
    new Promise((told) => { told(options.onStatus(live.status)); }).catch(() => { /* A listener's fault is no fault of the account. */ });
  }

  function connect(live: Live): void {
    if (!isCurrent(live)) return;
    tell(live, live.breaker.faults === 0 && live.status.state === "disconnected" ? "connecting" : "reconnecting");
    live.breaker = nextBreaker(live.breaker, { type: "try" });
    live.cancel = starts.take((done) => {
      const link: Link = openLink({
        clock, account: live.account, channel: live.channel,
        context: (signal) => options.context(live.account, live.channel, signal),
        onOpened() {
          done();
          tell(live, "connected");
          watch({ clock, link, connected: () => live.status.state === "connected", onHeld: () => held(live), onFault: (error) => broken(live, error, "reconnecting", false) });
        },
        onFault: (error) => broken(live, error, "error", error.retry === "no"),
        onReport: (state, error) => report(live, state, error),
        onGone: (error) => broken(live, error, "reconnecting", error.retry === "no"),
      });
      link.signal.addEventListener("abort", done, { once: true });
      live.link = link;
    });
  }

  function held(live: Live): void { live.breaker = nextBreaker(live.breaker, { type: "held" }); }

  /** The link is given up; the next one comes when the breaker says so. */
  function broken(live: Live, error: ClawError, state: "error" | "reconnecting", permanent: boolean): void {
    live.breaker = nextBreaker(live.breaker, { type: "fault", permanent });
    const gone = leave(live);
    const waitMs = waitOf(live.breaker, random(), error.afterMs);
    if (waitMs !== undefined) live.cancel = clock.after(waitMs, () => { live.cancel = undefined; void gone.then(() => connect(live)); });
    tell(live, live.breaker.phase === "closed" ? state : "failed", error, waitMs);
  }

  /** Adapters may connect again by themselves. They are let, unless they fail at it too often in a row or it cannot be mended. */
  function report(live: Live, state: Report, error: ClawError | undefined): void {
    const bad = state === "error" || state === "reconnecting";
    // What went wrong with one message or with the store is not the link's fault.
    const permanent = bad && error?.retry === "no" && /^CON[NF]_/.test(error.code);
    const counts = bad && (error === undefined || error.code === "CONN_001");
    const next = permanent || counts ? nextBreaker(live.breaker, { type: "fault", permanent }) : live.breaker;
    if (next.phase === "open" || next.phase === "stopped") broken(live, error ?? new ChannelError("CONN_001", { retry: "later" }), "error", permanent);
    else {
      live.breaker = next;
      tell(live, state, error, error?.afterMs);
    }
  }

  /** Ends the live link, if any. Resolves when no link of the account is left. */
  function leave(live: Live): Promise<void> {
    const { link, account: { id } } = live;
    if (link === undefined) return leaving.get(id) ?? Promise.resolve();
    live.link = undefined;
    // No link is opened while another leaves: there is never a second one to wait for.
    const gone: Promise<void> = link.end().then(() => { leaving.delete(id); });
    leaving.set(id, gone);
    return gone;
  }

  function end(live: Live): Promise<void> {
    live.cancel?.();
    live.cancel = undefined;
    if (isCurrent(live)) lives.delete(live.account.id);
    const gone = leave(live);
    tell(live, "disconnected");
    return gone;
  }

  function begin(account: Account, channel: Channel, print: string): void {
    const live: Live = {
      account, channel, print, status: { account: account.id, channel: channel.id, state: "disconnected", since: clock.now() }, breaker: CLOSED, link: undefined, cancel: undefined,
      get connection() { return live.link?.connection; },
    };
    lives.set(account.id, live);
    const gone = leaving.get(account.id);
    if (gone === undefined) connect(live);
    else void gone.then(() => connect(live));
  }

  return {
    open(account, channel, surroundings) {
      const print = JSON.stringify([channel.id, account.settings, surroundings], sorted);
      const old = lives.get(account.id);
      if (old?.print === print) {
        old.account = account;
        return;
      }
      if (old !== undefined) void end(old);
      begin(account, channel, print);
    },
    reopen(id) {
      const old = lives.get(id);
      if (old === undefined) return;
      void end(old);
      begin(old.account, old.channel, old.print);
    },
    async close(id) {
      const live = lives.get(id);
      await (live === undefined ? leaving.get(id) : end(live));
    },
    async keepOnly(accounts) {
      for (const live of [...lives.values()]) if (!accounts.has(live.account.id)) void end(live);
      await Promise.all([...leaving].map(([id, gone]) => (accounts.has(id) ? undefined : gone)));
    },
    get(id) { return lives.get(id); },
    status: (id) => lives.get(id)?.status,
    all: () => [...lives.values()].map((live) => live.status),
  };
}

/** The same settings in another order are the same settings. */
function sorted(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** An account's own corner of the store. */
export function accountStorage(store: { get(space: string, key: string): Promise<unknown>; list: import("./store/store.ts").Store["list"]; commit: import("./store/store.ts").Store["commit"] }, account: string): AccountStorage {
  const space = `account/${account}`;
  return {
    get: (key) => store.get(space, key),
    async set(changes) { await store.commit(Object.entries(changes).map(([key, value]) => ({ do: "set", space, key, value }))); },
    list: (prefix, options) => store.list(space, prefix, options),
  };
}
