/**
 * The gateways of this process. They belong to the process, not to a node: a deploy that does not change an account leaves its connection open,
 * and a run in flight finishes.
 */
import { delimiter, join } from "node:path";
import { tmpdir } from "node:os";
import type { Channel } from "../../engine/channels/channel.ts";
import { channels as builtIn } from "../../engine/channels/index.ts";
import { systemClock } from "../../engine/clock.ts";
import { createGateway, type Gateway } from "../../engine/gateway.ts";
import type { Run } from "../../engine/inbox.ts";
import { createSpool } from "../../engine/media.ts";
import type { Message } from "../../engine/message.ts";
import { createStoreCare } from "../../engine/store-care.ts";
import { openSqliteStore } from "../../engine/store/sqlite.ts";
import { apiDoor } from "./api-door.ts";
import { loseCall } from "./calls.ts";
import { commandsOf, wordsOfRoutes } from "./commands.ts";
import { createHandle, type GatewaySettings, type Handle, type Opened } from "./handle.ts";
import { metrics } from "./metrics.ts";
import { createHttp, type HttpDoor } from "./http.ts";
import { told } from "./input.ts";
import type { FlowMsg, Red, RedNode } from "./red.ts";
import { redact } from "./secrets.ts";
import { createSettle, type Settle } from "./settle.ts";
import { speaker, type Say } from "./strings.ts";
import { markWays } from "./ways.ts";

export type { Handle } from "./handle.ts";

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
  /** See Handle.restore. */
  restoreStore(handle: Handle, backup: string): Promise<void>;
  /** Runs once when the flows of this deployment have started; soon, when they have already. */
  onceStarted(act: () => void): void;
  /** Sends a run into the flow of an entry node. */
  emit(gateway: Gateway, run: Run, msgs: FlowMsg[], send: () => void): void;
}

let host: Host | undefined;

export function hostOf(red: Red): Host {
  if (host?.red.nodes !== red.nodes && host?.red.events !== red.events) host = createHost(red);
  return host as Host;
}

const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;
function mediaLimits({ mediaMb, fileMb, mediaDays }: GatewaySettings): { maxTotalBytes: number; maxBytes: number; keepMs: number } {
  const bytes = (megabytes: number): number => (megabytes === 0 ? Number.POSITIVE_INFINITY : megabytes * MIB);
  return { maxTotalBytes: bytes(mediaMb), maxBytes: bytes(fileMb), keepMs: mediaDays * DAY_MS };
}

function createHost(red: Red): Host {
  const handles = new Map<string, Handle>();
  const fetches = new Map<string, Promise<typeof fetch>>();
  const http = createHttp(red);
  const settle = createSettle(red);
  markWays(red);
  http.open("v1", apiDoor(() => handles.values()));
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

  const log = (level: "debug" | "info" | "warn", text: string) => red.log[level](redact(`[clawflow] ${text}`));
  const logged = (error: Error) => red.log.error(redact(`[clawflow] ${error.message}`));
  async function openStore(handle: Handle): Promise<Opened> {
    const store = await openSqliteStore(handle.folder);
    try {
      for (const problem of store.problems) red.log.error(`[clawflow] [${problem.code}] ${problem.text}`);
      const gateway = await createGateway({
        store, spool: createSpool(join(handle.folder, "media"), { clock: systemClock, limits: () => mediaLimits(handle.settings) }), clock: systemClock, fetchFor,
        programs: (process.env["PATH"] ?? "").split(delimiter),
        limits: () => {
          const { idleMinutes, pendingMaxHours, staleMinutes, keepDays, notice, storeMb, approvalMinutes, commands, pausedAnswer, botTurns, botMinutes, timeZone, budgets } = handle.settings;
          return { idleMs: idleMinutes * 60_000, pendingMaxMs: pendingMaxHours * 3_600_000, staleMs: staleMinutes * 60_000, keepMs: keepDays * DAY_MS, notice, storeBytes: storeMb * MIB, approvalMs: approvalMinutes * 60_000, commands, pausedAnswer, botTurns, botPauseMs: botMinutes * 60_000, timeZone, budgets };
        },
        language: say("language"),
        texts: { claimed: say("claimed"), notice: ({ what, to, sender, channel, code }) => say(`notice.${to}.${what}`, { sender: sender || channel, channel, code }), budget: ({ limit, agent }) => say(`budget.notice.${limit}`, { agent }), approval: (key, values) => say(`approval.${key}`, values) },
        log,
        redact,
        count: (name, labels, by) => metrics.count(name, { gateway: handle.slug, ...labels }, by),
      });
      return { gateway, care: createStoreCare({ store, folder: handle.folder, clock: systemClock, log, keep: () => handle.settings.backups }), problems: store.problems };
    } catch (error) {
      // A retry would meet the store that this try has open.
      await store.close().catch(() => undefined);
      throw error;
    }
  }

  function open(node: RedNode, settings: GatewaySettings): Handle {
    let handle = handles.get(settings.slug);
    if (handle === undefined) {
      handle = createHandle(settings.slug, node, settings, {
        folder: folder(settings.slug), open: openStore, redact,
        opened(made, gateway) {
          // Why stands here; a chat is only told that.
          gateway.events.on("dead", ({ what, reason, message, row }) => red.log.error(redact(`[clawflow] Dead letter: a ${what} of ${message?.at.account ?? row?.to.account}, chat ${message?.at.chat ?? row?.to.chat}: ${reason}`)));
          gateway.events.on("end", (run: Run) => settle.forget(run.id));
          if (running) void connect(made, gateway);
        },
        closing(gateway) { for (const run of gateway.inbox.runs()) settle.forget(run.id); },
        // It is tried every few seconds; the log needs it once.
        failed(error, again) { if (again) return; metrics.count("clawflow_errors_total", { code: error.code }); red.log.error(`[clawflow] ${told(error).message}`); },
      });
      handles.set(settings.slug, handle);
      http.open(`${settings.slug}/v1`, apiDoor(() => [handles.get(settings.slug)].filter((each) => each !== undefined)));
    }
    handle.settings = settings;
    handle.node = node;
    return handle;
  }

  /**
   * Accounts of this deployment; then the flows run. In one go: what an account that goes still has under way takes seconds, and by then
   * another deploy may have stopped the flows.
   */
  async function connect(handle: Handle, gateway: Gateway): Promise<void> {
    try {
      const closed = gateway.setAccounts([...handle.accounts.values()].map(({ account, channel }) => ({ account: { ...account, commands: commandsOf(handle, account.id), words: wordsOfRoutes(red) }, channel })));
      gateway.start();
      await closed;
    } catch (error) {
      logged(error as Error);
    }
  }
  /** What the deploy took from its flows begins again with the next start, whichever deploy that belongs to. */
  function interrupt(gateway: Gateway, lost: readonly string[]): void {
    for (const scope of lost) { if (gateway.inbox.run(scope) !== undefined) { settle.forget(scope); gateway.inbox.interrupt(scope); } }
  }
  /** While its nodes have let it go, whoever calls is told to come again. */
  async function restoreStore(handle: Handle, backup: string): Promise<void> {
    http.starting(true);
    try {
      await handle.restore(backup);
    } finally {
      if (running) http.starting(false);
    }
  }

  red.events.on("flows:stopping", () => { http.starting(true); settle.stopping(); running = false; stops++; for (const handle of handles.values()) handle.gateway?.stop(); });
  red.events.on("flows:started", () => { void started(); });
  let running = false;
  /** How often the flows were stopped: who waited looks whether they still are those it began with. */
  let stops = 0;
  /** Gateways that no deploy names any more, until they are closed. */
  let closing: Promise<unknown> = Promise.resolve();
  const waiting = new Set<() => void>();
  async function started(): Promise<void> {
    running = true;
    const mine = stops;
    const lost = settle.lost();
    for (const scope of lost) loseCall(scope);
    for (const act of waiting) act();
    waiting.clear();
    for (const { gateway } of handles.values()) if (gateway !== undefined) interrupt(gateway, lost);
    // An account may move to another gateway: it is closed here before it is opened there.
    const gone = [...handles.values()].filter(({ node }) => node === undefined);
    for (const { slug } of gone) handles.delete(slug);
    closing = Promise.all([closing, ...gone.map((handle) => handle.close().catch(logged))]);
    await closing;
    if (stops !== mine) return;
    const opening = [...handles.values()].map((handle) => {
      if (handle.gateway !== undefined) void connect(handle, handle.gateway);
      return handle.tried;
    });
    await Promise.allSettled(opening);
    if (stops === mine) http.starting(false);
  }

  return {
    red, http, settle, say, fetchFor, open, folder, restoreStore,
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

/** The msg a run begins with. */
export function firstMsg(run: Run, message: Message): FlowMsg {
  return { payload: message.text, message, run: { id: run.id, step: "", pass: run.pass } };
}
