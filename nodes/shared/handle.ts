/**
 * One gateway in this process: its store is tried to open for as long as a node stands for it, nodes use it while it is open, and another store can be put
 * in its place. Nodes hold on to the handle, never to the gateway.
 */
import type { Budgets } from "../../engine/budget.ts";
import { systemClock } from "../../engine/clock.ts";
import type { Channel } from "../../engine/channels/channel.ts";
import { asClawError, StoreError } from "../../engine/errors.ts";
import type { Gateway, GatewayAccount, GatewayLimits } from "../../engine/gateway.ts";
import { backupFile, restore, type StoreCare } from "../../engine/store-care.ts";
import type { StoreProblem } from "../../engine/store/sqlite-state.ts";
import type { RedNode } from "./red.ts";

export interface GatewaySettings { readonly slug: string; readonly idleMinutes: number; readonly pendingMaxHours: number; readonly staleMinutes: number; readonly keepDays: number; readonly notice: GatewayLimits["notice"]; readonly webhookBase: string;
  /** Megabytes (2^20 bytes); 0: no limit. */
  readonly storeMb: number; readonly mediaMb: number; readonly fileMb: number; /** 0: kept until there is no room. */ readonly mediaDays: number; readonly backups: number; /** Minutes. */ readonly approvalMinutes: number;
  readonly commands: GatewayLimits["commands"]; readonly pausedAnswer: boolean; /** 0: never. */ readonly botTurns: number; readonly botMinutes: number;
  readonly timeZone: string; readonly budgets: Budgets }

/** `accounts`: slugs; undefined means all of the gateway. */
export interface CommandFilter { readonly accounts: ReadonlySet<string> | undefined; readonly names: readonly string[]; readonly description: string }

/** What a node does with an open gateway; what it returns undoes that, when the node or the gateway goes. */
export type Use = (gateway: Gateway) => (() => void) | undefined;

/** A gateway as the nodes see it, from before its store is open until after the last deploy that names it. */
export interface Handle {
  readonly slug: string;
  /** Where its store is. */
  readonly folder: string;
  /** Resolves after the first try to open it, however that went. */
  readonly tried: Promise<void>;
  readonly gateway: Gateway | undefined;
  /** Why it is not open, or what its store had to do to open. */
  readonly problems: readonly { readonly code: string; readonly text: string }[];
  settings: GatewaySettings;
  /** Account nodes of this deployment, by slug. */
  readonly accounts: Map<string, { readonly account: GatewayAccount; readonly channel: Channel; readonly node: RedNode }>;
  /** What channel in nodes of this deployment wait for, by node. */
  readonly commands: Map<string, CommandFilter>;
  /** Folders of documents, by node: how many of their files agents can ask, and how many could not be read. */
  readonly documents: Map<string, { readonly tool: string; readonly read: number; readonly unread: number }>;
  /** Set while a gateway config node stands for it. */
  node: RedNode | undefined;
  /** Nodes that want to hear when something changes: statuses. */
  readonly listeners: Set<() => void>;
  /** Makes the daily copies of its store while it is open. */
  readonly care: StoreCare | undefined;
  /** Runs `use` whenever the gateway is open: now, or once it is, and again with another store. The returned function ends that. */
  attach(use: Use): () => void;
  /** Puts this backup in the place of the store, which is moved aside, and opens it. Throws ClawError; the old store is then in its place and open again. */
  restore(backup: string): Promise<void>;
  /** For good. */
  close(): Promise<void>;
}

/** An open store with all that belongs to it. */
export interface Opened { readonly gateway: Gateway; readonly care: StoreCare; readonly problems: readonly StoreProblem[] }
export interface HandleHost {
  readonly folder: string;
  /** One try to open the store. Throws ClawError. */
  open(handle: Handle): Promise<Opened>;
  /** It is open, and the nodes use it. */
  opened(handle: Handle, gateway: Gateway): void;
  /** It is about to be closed, and the nodes use it no more. */
  closing(gateway: Gateway): void;
  /** A try failed; `again`: for the same reason as the one before. */
  failed(error: ReturnType<typeof asClawError>, again: boolean): void;
  redact(text: string): string;
}

const RETRY_MS = 5_000;
/** Longest time that messages on their way out are waited for. */
const PAUSE_MS = 3_000;

/** What was sent must be recorded before its gateway goes; what hangs is not waited for. */
export async function paused(gateway: Gateway): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, PAUSE_MS);
  await Promise.race([gateway.pause(), promise]).finally(() => clearTimeout(timer));
}

export function createHandle(slug: string, node: RedNode, settings: GatewaySettings, host: HandleHost): Handle {
  const uses = new Map<Use, (() => void) | undefined>();
  const state: { gateway: Gateway | undefined; care: StoreCare | undefined; problems: Handle["problems"]; opening: ReturnType<typeof begin> | undefined } = { gateway: undefined, care: undefined, problems: [], opening: undefined };
  let closed = false;
  let restoring: Promise<void> | undefined;
  const notify = (): void => { for (const listener of [...handle.listeners]) listener(); };

  /** Another process may give the store free, a disk may get space: it is tried again and again until it is open, or ended. */
  function begin() {
    const { promise: tried, resolve: wasTried } = Promise.withResolvers<void>();
    let ended = false;
    let wake = (): void => undefined;
    async function tryAll(): Promise<void> {
      while (!ended) {
        const found = await host.open(handle).catch((thrown: unknown) => {
          const error = asClawError(thrown, "STORE_001", "later");
          const again = state.problems[0]?.code === error.code;
          state.problems = [{ code: error.code, text: host.redact(error.message) }];
          host.failed(error, again);
          return undefined;
        });
        if (found !== undefined && ended) await shut(found.gateway, found.care);
        else if (found !== undefined) take(found);
        else notify();
        wasTried();
        if (found !== undefined) return;
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        if (ended) resolve();
        else setTimeout(resolve, RETRY_MS).unref();
        await promise;
      }
    }
    const done = tryAll();
    return { tried, async end() { ended = true; wake(); await done; } };
  }
  function take({ gateway, care, problems }: Opened): void {
    Object.assign(state, { gateway, care, problems });
    for (const event of ["status", "dead", "people", "refused", "room", "pause"] as const) gateway.events.on(event, notify);
    for (const use of uses.keys()) uses.set(use, use(gateway));
    host.opened(handle, gateway);
    notify();
  }
  async function shut(gateway: Gateway, care: StoreCare | undefined): Promise<void> {
    await care?.close();
    await gateway.close();
  }
  /** The nodes let it go, what is on its way out is recorded, and its store is closed. */
  async function letGo(): Promise<void> {
    await state.opening?.end();
    const { gateway, care } = state;
    state.gateway = undefined;
    state.care = undefined;
    if (gateway === undefined) return;
    for (const [use, undo] of uses) { uses.set(use, undefined); undo?.(); }
    host.closing(gateway);
    gateway.stop();
    await paused(gateway);
    await shut(gateway, care);
  }
  async function putBack(name: string): Promise<void> {
    const backup = backupFile(host.folder, name);
    let released = false;
    try {
      await restore(host.folder, backup, systemClock, async () => { released = true; await letGo(); });
    } finally {
      if (released && !closed) state.opening = begin();
    }
    await state.opening?.tried;
    const [problem] = state.problems;
    if (state.gateway === undefined && problem !== undefined) throw new StoreError(problem.code as "STORE_001", {}, problem.text);
  }

  const handle: Handle = {
    slug, folder: host.folder, settings, node, accounts: new Map(), commands: new Map(), documents: new Map(), listeners: new Set(),
    get gateway() { return state.gateway; },
    get care() { return state.care; },
    get problems() { return state.problems; },
    get tried() { return state.opening?.tried ?? Promise.resolve(); },
    attach(use) {
      uses.set(use, state.gateway === undefined ? undefined : use(state.gateway));
      return () => { const undo = uses.get(use); uses.delete(use); undo?.(); };
    },
    async restore(name) {
      if (restoring !== undefined || closed) throw new StoreError("STORE_004", {}, "Expected a gateway that is free, but another backup is being put back, or the gateway was removed. Look again in a moment.");
      restoring = putBack(name).finally(() => { restoring = undefined; });
      await restoring;
    },
    async close() {
      closed = true;
      await restoring?.catch(() => undefined);
      await letGo();
    },
  };
  state.opening = begin();
  return handle;
}
