/**
 * The gateways of this process. They belong to the process, not to a node: a deploy that does not change an account leaves its connection open,
 * and a run in flight finishes.
 */
import { delimiter, join } from "node:path";
import { tmpdir } from "node:os";
import type { Channel, Command } from "../../engine/channels/channel.ts";
import { channels as builtIn } from "../../engine/channels/index.ts";
import { systemClock } from "../../engine/clock.ts";
import { asClawError, SettingError, type ClawError } from "../../engine/errors.ts";
import { createGateway, type Gateway, type GatewayAccount, type GatewayLimits } from "../../engine/gateway.ts";
import type { Run } from "../../engine/inbox.ts";
import { createSpool } from "../../engine/media.ts";
import type { Message } from "../../engine/message.ts";
import { createStoreCare, type StoreCare } from "../../engine/store-care.ts";
import { openSqliteStore, type SqliteStore } from "../../engine/store/sqlite.ts";
import { createHttp, type HttpDoor } from "./http.ts";
import { told } from "./input.ts";
import type { FlowMsg, Red, RedNode } from "./red.ts";
import { redact } from "./secrets.ts";
import { createSettle, type Settle } from "./settle.ts";
import { speaker, type Say } from "./strings.ts";

export interface GatewaySettings { readonly slug: string; readonly idleMinutes: number; readonly pendingMaxHours: number; readonly staleMinutes: number; readonly keepDays: number; readonly notice: GatewayLimits["notice"]; readonly webhookBase: string }

/** `accounts`: slugs; undefined means all of the gateway. */
export interface CommandFilter { readonly accounts: ReadonlySet<string> | undefined; readonly names: readonly string[]; readonly description: string }

/** A gateway as the nodes see it, from before its store is open until after the last deploy that names it. */
export interface Handle {
  readonly slug: string;
  readonly ready: Promise<Gateway>;
  /** Resolves after the first try to open it, however that went. */
  readonly tried: Promise<void>;
  gateway: Gateway | undefined;
  /** Why it is not open, or what its store had to do to open. */
  problems: { code: string; text: string }[];
  settings: GatewaySettings;
  /** Account nodes of this deployment, by slug. */
  readonly accounts: Map<string, { readonly account: GatewayAccount; readonly channel: Channel; readonly node: RedNode }>;
  /** What channel in nodes of this deployment wait for, by node. */
  readonly commands: Map<string, CommandFilter>;
  /** Set while a gateway config node stands for it. */
  node: RedNode | undefined;
  /** Nodes that want to hear when something changes: statuses. */
  readonly listeners: Set<() => void>;
  closed: boolean;
  /** Makes the daily copies of its store while it is open. */
  care: StoreCare | undefined;
}

/** What all our nodes share in one Node-RED. */
export interface Host {
  readonly red: Red;
  readonly http: HttpDoor;
  readonly settle: Settle;
  readonly say: Say;
  readonly fetchFor: (proxy: string | undefined) => Promise<typeof fetch>;
  handle(slug: string): Handle | undefined;
  handles(): Iterable<Handle>;
  open(node: RedNode, settings: GatewaySettings): Handle;
  channels(): Channel[];
  folder(slug: string): string;
  /** Runs once when the flows of this deployment have started; soon, when they have already. */
  onceStarted(act: () => void): void;
  /** Sends a run into the flow of an entry node. */
  emit(gateway: Gateway, run: Run, msgs: FlowMsg[], send: () => void): void;
}

let host: Host | undefined;
const RETRY_MS = 5_000;

export function hostOf(red: Red): Host {
  if (host?.red.nodes !== red.nodes && host?.red.events !== red.events) host = createHost(red);
  return host as Host;
}

function createHost(red: Red): Host {
  const handles = new Map<string, Handle>();
  const fetches = new Map<string, Promise<typeof fetch>>();
  const http = createHttp(red);
  const settle = createSettle(red);
  const say = speaker(red);

  const folder = (slug: string) => join(red.settings.userDir ?? join(tmpdir(), `clawflow-${process.pid}`), "clawflow", slug);
  function fetchFor(proxy: string | undefined): Promise<typeof fetch> {
    const key = proxy ?? "";
    let made = fetches.get(key);
    if (made === undefined) {
      made = import("../../engine/http.ts").then((module) => module.createFetch(proxy === undefined ? {} : { proxy }) as unknown as typeof fetch);
      fetches.set(key, made);
    }
    return made;
  }

  async function build(handle: Handle): Promise<Gateway> {
    for (;;) {
      if (handle.closed) throw new SettingError("CONF_002", {}, "The gateway was removed.");
      let store: SqliteStore | undefined;
      try {
        const path = folder(handle.slug);
        store = await openSqliteStore(path);
        handle.problems = [...store.problems];
        for (const problem of store.problems) red.log.error(`[clawflow] [${problem.code}] ${problem.text}`);
        const spool = createSpool(join(path, "media"), { clock: systemClock });
        const log = (level: "debug" | "info" | "warn", text: string) => red.log[level](redact(`[clawflow] ${text}`));
        const gateway = await createGateway({
          store, spool, clock: systemClock, fetchFor,
          programs: (process.env["PATH"] ?? "").split(delimiter),
          limits: () => {
            const { idleMinutes, pendingMaxHours, staleMinutes, keepDays, notice } = handle.settings;
            return { idleMs: idleMinutes * 60_000, pendingMaxMs: pendingMaxHours * 3_600_000, staleMs: staleMinutes * 60_000, keepMs: keepDays * 86_400_000, notice };
          },
          texts: { claimed: say("claimed"), notice: ({ what, to, sender, channel, code }) => say(`notice.${to}.${what}`, { sender: sender || channel, channel, code }) },
          log,
          redact,
        });
        handle.care = createStoreCare({ store, folder: path, clock: systemClock, log });
        return gateway;
      } catch (thrown) {
        // A retry would meet the store that this try has open.
        await store?.close().catch(() => undefined);
        const error: ClawError = asClawError(thrown, "STORE_001", "later");
        const known = handle.gateway === undefined && handle.problems[0]?.code === error.code;
        handle.problems = [{ code: error.code, text: redact(error.message) }];
        // It is tried every few seconds; the log needs it once.
        if (!known) red.log.error(`[clawflow] ${told(error).message}`);
        notify(handle);
        // Another process may give the store free, a disk may get space: it is tried again for as long as the node stands.
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
  }

  function open(node: RedNode, settings: GatewaySettings): Handle {
    let handle = handles.get(settings.slug);
    if (handle === undefined) {
      const made: Handle = { slug: settings.slug, ready: undefined as never, tried: undefined as never, gateway: undefined, problems: [], settings, accounts: new Map(), commands: new Map(), node, listeners: new Set(), closed: false, care: undefined };
      handles.set(settings.slug, made);
      // What is told first is that it opened, or why not.
      const tried = new Promise<void>((resolve) => { const heard = () => { made.listeners.delete(heard); resolve(); }; made.listeners.add(heard); });
      const ready = build(made).then((gateway) => {
        made.gateway = gateway;
        for (const event of ["status", "dead", "people", "refused"] as const) gateway.events.on(event, () => notify(made));
        // Why stands here; a chat is only told that.
        gateway.events.on("dead", ({ what, reason, message, row }) => red.log.error(redact(`[clawflow] Dead letter: a ${what} of ${message?.at.account ?? row?.to.account}, chat ${message?.at.chat ?? row?.to.chat}: ${reason}`)));
        gateway.events.on("end", (run: Run) => settle.forget(run.id));
        notify(made);
        return gateway;
      });
      ready.catch(() => undefined);
      Object.assign(made, { ready, tried });
      handle = made;
    }
    handle.settings = settings;
    handle.node = node;
    return handle;
  }

  function notify(handle: Handle): void { for (const listener of handle.listeners) listener(); }

  red.events.on("flows:stopping", () => { http.starting(true); settle.stopping(); running = false; for (const handle of handles.values()) handle.gateway?.stop(); });
  red.events.on("flows:started", () => { void started(); });
  let running = false;
  const waiting = new Set<() => void>();
  async function started(): Promise<void> {
    running = true;
    const opening: Promise<unknown>[] = [];
    const lost = settle.lost();
    for (const act of waiting) act();
    waiting.clear();
    for (const handle of [...handles.values()]) {
      if (handle.node === undefined) {
        handle.closed = true;
        handles.delete(handle.slug);
        await handle.care?.close();
        await handle.gateway?.close();
        continue;
      }
      opening.push(handle.tried);
      void handle.ready.then(async (gateway) => {
        await gateway.setAccounts([...handle.accounts.values()].map(({ account, channel }) => ({ account: { ...account, commands: commandsOf(handle, account.id) }, channel })));
        for (const scope of lost) { if (gateway.inbox.run(scope) !== undefined) { settle.forget(scope); gateway.inbox.interrupt(scope); } }
        gateway.start();
      }).catch((error: Error) => red.log.error(redact(`[clawflow] ${error.message}`)));
    }
    await Promise.allSettled(opening);
    if (running) http.starting(false);
  }

  return {
    red, http, settle, say, fetchFor, open, folder,
    handle: (slug) => handles.get(slug),
    handles: () => handles.values(),
    onceStarted(act) { if (running) setImmediate(act); else waiting.add(act); },
    channels: () => [...builtIn, ...pluginChannels(red)],
    emit(gateway, run, msgs, send) {
      settle.forget(run.id);
      settle.track(run.id, ({ uncaught }) => gateway.settle(run.id, uncaught === undefined ? undefined : { fault: redact(uncaught) }), msgs, send);
    },
  };
}

/** Channels of other packages: Node-RED plugins of type `clawflow-channel` whose `channel` is a Channel. */
function pluginChannels(red: Red): Channel[] {
  const plugins = (red.plugins?.getByType("clawflow-channel") ?? []) as { id?: string; channel?: Channel }[];
  return plugins.flatMap((plugin) => (plugin.channel !== undefined && typeof plugin.channel.open === "function" && typeof plugin.channel.id === "string" ? [plugin.channel] : []));
}

/** The commands of one account, each once, in an order that no deploy changes. */
function commandsOf(handle: Handle, account: string): Command[] {
  const found = new Map<string, Command>();
  for (const { accounts, names, description } of handle.commands.values()) {
    if (accounts?.has(account) === false) continue;
    for (const name of names) if (!found.get(name)?.description) found.set(name, { name, description });
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The msg a run begins with. */
export function firstMsg(run: Run, message: Message): FlowMsg {
  return { payload: message.text, message, run: { id: run.id, step: "", pass: run.pass } };
}
