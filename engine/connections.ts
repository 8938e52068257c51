/** Keeps one live connection per account: opens, watches, tries again with patience, and leaves alone what did not change. */
import type { Account, AccountStorage, Channel, ChannelContext, Connection } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";
import { asClawError, type ClawError } from "./errors.ts";
import { backoffMs } from "./run.ts";

export type ConnectionState = "disconnected" | "connecting" | "connected" | "reconnecting" | "error" | "failed";
export interface AccountStatus { readonly account: string; readonly channel: string; readonly state: ConnectionState; readonly self?: { readonly id: string; readonly name: string }; readonly error?: { readonly code: string; readonly text: string } }

export interface ConnectionsOptions {
  readonly clock: Clock;
  readonly random: () => number;
  context(account: Account, channel: Channel, signal: AbortSignal): Promise<Omit<ChannelContext, "status" | "signal">>;
  /** Takes secrets out of the text of a fault before it is told. */
  redact?(text: string): string;
  onStatus(status: AccountStatus): void;
}
export interface Connections {
  /** Opens the account, or keeps the open connection when nothing changed: neither its settings nor `surroundings`, the facts its context is made of. */
  open(account: Account, channel: Channel, surroundings?: unknown): void;
  /** Opens it anew, for example after its webhook's address became known. */
  reopen(account: string): void;
  close(account: string): Promise<void>;
  /** Ends every account that is not named. */
  keepOnly(accounts: ReadonlySet<string>): Promise<void>;
  get(account: string): { readonly channel: Channel; readonly connection: Connection | undefined } | undefined;
  status(account: string): AccountStatus | undefined;
  all(): AccountStatus[];
}

/** After this many failures in a row the state is "failed"; single tries go on at the longest backoff. */
const BREAKER = 5;

interface Live { account: Account; channel: Channel; print: string; abort: AbortController; connection: Connection | undefined; status: AccountStatus; failures: number; cancel: (() => void) | undefined }

export function createConnections(options: ConnectionsOptions): Connections {
  const { clock, random } = options;
  const lives = new Map<string, Live>();

  function tell(live: Live, state: ConnectionState, error?: ClawError): void {
    live.status = { account: live.account.id, channel: live.channel.id, state, ...(live.connection === undefined ? {} : { self: live.connection.self }), ...(error === undefined ? {} : { error: { code: error.code, text: options.redact?.(error.message) ?? error.message } }) };
    options.onStatus(live.status);
  }

  async function connect(live: Live): Promise<void> {
    live.cancel = undefined;
    const { signal } = live.abort;
    if (signal.aborted) return;
    tell(live, live.failures === 0 ? "connecting" : "reconnecting");
    try {
      const context = await options.context(live.account, live.channel, signal);
      const connection = await live.channel.open(live.account, {
        ...context,
        signal,
        status(state, error) {
          if (signal.aborted) return;
          if (state === "connected") live.failures = 0;
          tell(live, state, error);
        },
      });
      if (signal.aborted) return void (await connection.close());
      live.connection = connection;
      live.failures = 0;
      tell(live, "connected");
    } catch (thrown) {
      if (signal.aborted) return;
      const error = asClawError(thrown, "CONN_001", "later");
      live.failures++;
      // Wrong credentials stay wrong until somebody changes them: no hammering.
      if (error.retry === "no") return tell(live, "failed", error);
      tell(live, live.failures >= BREAKER ? "failed" : "error", error);
      live.cancel = clock.after(Math.max(error.afterMs ?? 0, backoffMs(live.failures, random())), () => void connect(live));
    }
  }

  async function end(live: Live): Promise<void> {
    live.cancel?.();
    live.abort.abort();
    if (lives.get(live.account.id) === live) lives.delete(live.account.id);
    const { connection } = live;
    live.connection = undefined;
    tell(live, "disconnected");
    await connection?.close();
  }

  function begin(account: Account, channel: Channel, print: string): void {
    const live: Live = { account, channel, print, abort: new AbortController(), connection: undefined, status: { account: account.id, channel: channel.id, state: "disconnected" }, failures: 0, cancel: undefined };
    lives.set(account.id, live);
    void connect(live);
  }

  return {
    open(account, channel, surroundings) {
      const old = lives.get(account.id);
      const print = JSON.stringify([channel.id, account.settings, surroundings]);
      if (old?.print === print && old.status.state !== "failed") {
        old.account = account;
        return;
      }
      if (old === undefined) return begin(account, channel, print);
      // Two links of one bot at once would be two pollers: the old one is gone before the new one begins.
      void end(old).catch(() => undefined).then(() => { if (!lives.has(account.id)) begin(account, channel, print); });
    },
    reopen(id) {
      const old = lives.get(id);
      if (old !== undefined) void end(old).catch(() => undefined).then(() => { if (!lives.has(id)) begin(old.account, old.channel, old.print); });
    },
    async close(id) { const live = lives.get(id); if (live !== undefined) await end(live); },
    async keepOnly(accounts) {
      await Promise.all([...lives.values()].filter((live) => !accounts.has(live.account.id)).map(end));
    },
    get(id) { return lives.get(id); },
    status: (id) => lives.get(id)?.status,
    all: () => [...lives.values()].map((live) => live.status),
  };
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
