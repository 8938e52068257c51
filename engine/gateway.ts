/** The gateway: store, inbox, lanes, outbox, sessions, people, tools and connections in one object. Knows nothing of Node-RED. */
import { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import type { Channel, ChannelContext, MediaSpool } from "./channels/channel.ts";
import { degrade, fitsButtons } from "./channels/degrade.ts";
import { splitDraft } from "./channels/split.ts";
import { createApprovals, type Approvals } from "./approvals.ts";
import { createAsks, ORPHAN, type Asks } from "./asks.ts";
import { sayIn } from "./chat-texts.ts";
import { createCompactor } from "./context/compact.ts";
import { createGauge } from "./context/estimate.ts";
import { gaugeKey } from "./context/fit.ts";
import { accountStorage, createConnections } from "./connections.ts";
import { createDecided } from "./decided.ts";
import { createDesk } from "./desk.ts";
import { createArrivals } from "./gateway/arrivals.ts";
import { type Gateway, type GatewayAccount, type GatewayEvents, type GatewayLimits, type GatewayOptions, LIMITS } from "./gateway/contract.ts";
import { createNotices, NOTICE } from "./gateway/notices.ts";
import { ChannelError, StoreError } from "./errors.ts";
import { createInbox, type Inbox } from "./inbox.ts";
import type { Address, Draft } from "./message.ts";
import { createLedger, USAGE_MS } from "./ledger.ts";
import { usageInChat } from "./ledger/chat.ts";
import type { Spool } from "./media.ts";
import { createConverters } from "./media/convert.ts";
import { createDownload } from "./media/download.ts";
import { createIncoming } from "./media/incoming.ts";
import { createReady } from "./media/ready.ts";
import { createTally } from "./metrics.ts";
import { createMemory } from "./memory.ts";
import { createOutbox, type Delivery, type DeliveryReceipt, type Line, type Outbox } from "./outbox.ts";
import { createQuiet } from "./quiet.ts";
import { createPeople } from "./people.ts";
import { createRoom } from "./store-room.ts";
import { createSessions } from "./sessions.ts";
import { createSteps } from "./steps.ts";
import { parseRunId, runId, type Receipt } from "./store/store.ts";
import { createTeam } from "./team.ts";
import { createTools } from "./tools.ts";
import { localZone } from "./schedule/zone.ts";

export type { Gateway, GatewayAccount, GatewayEvents, GatewayLimits, GatewayOptions, Notice } from "./gateway/contract.ts";

const HOUR = 3_600_000;
const DEDUPE_MS = 8 * 24 * HOUR;

export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { store, clock, spool, random = Math.random, redact = (text: string) => text } = options;
  const limits = (): GatewayLimits => ({ ...LIMITS, ...options.limits?.() });
  const events = new EventEmitter<GatewayEvents>();
  events.setMaxListeners(0);
  const people = await createPeople(store, clock);
  const sessions = createSessions(store);
  const gauge = createGauge();
  const memory = createMemory(store, clock);
  const compactor = createCompactor({ sessions, gauge, clock });
  const tools = createTools();
  const agents: Gateway["agents"] = new Map();
  const accounts = new Map<string, GatewayAccount>();
  const attached = new Map<string, Line>();

  const prepared = createIncoming({
    clock, spool, redact,
    link(account) {
      const { connection, channel } = connections.get(account) ?? {};
      return { connection, most: channel?.limits.download ?? Number.POSITIVE_INFINITY };
    },
  });
  const split = (draft: Draft, { shows, limits: most, dialect }: Channel): Draft[] => splitDraft(shows === undefined ? draft : degrade(draft, shows), most, dialect);
  const line = (account: string): Line | undefined => attached.get(account) ?? connections.get(account);
  const showEnd = createDecided({ store, line, split, say: sayIn(options.language) });
  const asks: Asks = createAsks({
    store, clock,
    inbox: () => inbox,
    deliver: (delivery) => deliver(delivery),
    ended(...ended) { showEnd(...ended).catch((error: Error) => options.log("debug", `question: ${error.message}`)); },
    asShown({ buttons, ...draft }, to, sealed) {
      const channel = line(to.account)?.channel;
      if (sealed && !fitsButtons(buttons?.flat() ?? [], channel?.shows ?? {})) return draft;
      const whole = buttons === undefined ? draft : { ...draft, buttons };
      return channel !== undefined && channel.shows === undefined ? degrade(whole, {}) : whole;
    },
  });
  const steps = createSteps(store, clock, () => inbox);
  const approvals: Approvals = createApprovals({
    store, clock, asks, people,
    inbox: () => inbox,
    isAccount: (id) => accounts.has(id),
    deliver: (delivery) => deliver(delivery),
    once: steps.once,
    waitMs: () => limits().approvalMs,
    words: options.texts.approval ?? ((key, values = {}) => [key, ...Object.values(values)].join(" ")),
    log: options.log,
  });
  let made: Promise<ChannelContext["file"]> | undefined;
  const ready = (): Promise<ChannelContext["file"]> => (made ??= options.fetchFor(undefined).then((fetch) => createReady({ spool, download: createDownload({ fetch, proxied: false }), converters: createConverters(options.programs) })));
  const tally = createTally(options.count, (id) => accounts.has(id));
  const notices = createNotices({ store, clock, people, limits, texts: options.texts, log: options.log, outbox: () => outbox });
  const room = createRoom({ store, clock, limits, log: options.log, onChange: () => events.emit("room") });
  const inbox: Inbox = createInbox({
    full: room.refusal, tell: tally.message,
    pausedUntil: ({ at }) => desk.pausedUntil(at),
    takes: (receipt) => desk.takes(receipt),
    store, clock, limits,
    prepare: prepared,
    questions: asks,
    notice: ({ seq, message: { sender, at } }, code) => notices.lost({ what: "message", sender: sender.name, channel: at.channel, code }, at, `receipt ${seq}`),
    onNotice: (row, seq) => outbox.take(row, seq),
    onDead: (receipt: Receipt, reason) => {
      const whole = runId(receipt, "");
      outbox.over((run) => run.startsWith(whole));
      events.emit("dead", { what: "message", reason, message: receipt.message });
    },
    onBegin: ({ receipt: { message } }) => {
      tally.began();
      if (message.kind !== "message") return;
      connections.get(message.at.account)?.connection?.read?.(message.at, message.ref).catch((error: Error) => options.log("debug", `read: ${error.message}`));
    },
    onRest: () => quiet.look(),
    onEnd: (run, end) => {
      quiet.ended(run);
      outbox.over((id) => id === run.id);
      tally.ended(end.state);
      events.emit("end", run, end);
    },
  });
  const quiet = createQuiet({ clock, busy: (at) => inbox.busy(at) });
  const outbox: Outbox = createOutbox({
    store, clock, random, tell: tally.send,
    line, split, redact, isOver,
    // A notice that cannot be delivered has no notice of its own.
    notice: ({ run, op, to, key }, code) => (run === NOTICE || op !== "send" ? undefined : notices.lost({ what: "delivery", channel: to.channel, code }, to, key)),
    onDead: (row) => {
      asks.undelivered(row);
      events.emit("dead", { what: "delivery", reason: row.error?.text ?? "", row });
    },
  });

  const team = createTeam({ store, clock, agents, once: steps.once, onHandOver: (at, from, to) => events.emit("handOver", { at, from, to }) });
  let over = false;
  /** Which start of the lanes holds; undefined: they are stopped. */
  let running: symbol | undefined;
  const desk = await createDesk({
    store, clock, sessions, memory, team, limits, language: options.language,
    inbox: () => inbox,
    deliver: (delivery) => deliver(delivery),
    self: (account) => connections.get(account)?.connection?.self,
    account: (id) => accounts.get(id),
    ownerAt: (account) => people.ownerOf(account)?.at,
    usage: (message, say) => usageInChat(ledger, message, team.sessionsOf(message), say),
    onPause: () => events.emit("pause"),
    closed: () => over,
    log: (text) => options.log("warn", text),
  });

  const arrivals = createArrivals({ clock, texts: options.texts, log: options.log, people, sessions, agents, approvals, asks, desk, inbox, tally, events, prepared, deliver: (delivery) => deliver(delivery) });

  async function isOver(run: string): Promise<boolean> {
    const receipt = (await inbox.find(run))?.receipt;
    return receipt?.state !== "pending" || receipt.runs[parseRunId(run)?.entry ?? ""] !== undefined;
  }
  const ledger = await createLedger({
    store, clock, zone: () => limits().timeZone || localZone(), budgets: () => limits().budgets, ratio: (model) => gauge.ratio(gaugeKey(model)), warned: notices.budget,
    log: (text) => options.log("warn", text), ...(options.count === undefined ? {} : { count: options.count }),
  });
  const connections = createConnections({
    clock, random,
    async context(account, _channel, signal) {
      const proxy = account.settings.proxy;
      const known = accounts.get(account.id);
      const { webhookUrl } = known ?? {};
      const proxied = typeof proxy === "string" && proxy !== "";
      const fetch = await options.fetchFor(proxied ? proxy : undefined);
      const download = createDownload({ fetch, proxied });
      return {
        receive: (message) => arrivals.receive(account, message),
        fetch, download,
        file: createReady({ spool, download, signal, converters: createConverters(options.programs) }),
        storage: accountStorage(store, account.id),
        clock,
        commands: desk.menu(known),
        log: (level, text) => options.log(level, `${accounts.get(account.id)?.name ?? account.name}: ${text}`),
        claim: (code, sender, at) => arrivals.claim({ text: code, sender, at }),
        spool: mediaSpool(spool),
        mayTalk: (at, sender) => people.trustOf({ at, sender }) !== "stranger",
        listens: (message) => inbox.listens(message),
        quiet: (at, given) => quiet.wait(at, given),
        ...(webhookUrl === undefined ? {} : { webhookUrl }),
      };
    },
    redact,
    onStatus(status) {
      tally.fault(status.error?.code);
      events.emit("status", status);
      if (status.state === "connected") outbox.wake(status.account);
    },
  });

  function resolve(to: Address): Address {
    if (to.chat !== "owner") return to;
    const owner = people.ownerOf(to.account);
    if (owner?.at === undefined) throw new ChannelError("MSG_002", {}, `Expected an owner on account "${to.account}", but nobody has claimed it yet. Send the code shown in the gateway to the bot.`);
    return owner.at;
  }

  async function deliver(delivery: Delivery): Promise<DeliveryReceipt> {
    const live = inbox.run(delivery.run);
    if (live !== undefined) { live.answered ||= delivery.question !== true; live.touchedAt = clock.monotonic(); }
    const to = resolve(delivery.to);
    const whole = { ...delivery, to, expiresAt: delivery.expiresAt ?? (delivery.dueAt ?? clock.now()) + limits().staleMs };
    // Two passes that come to the same delivery have one between them.
    return steps.join(delivery.run, `deliver ${delivery.step}`, () => outbox.deliver(whole));
  }

  let cancelPrune = clock.after(60_000, prune);
  function prune(): void {
    const before = clock.now() - DEDUPE_MS;
    store.commit([{ do: "prune", before, turnsBefore: clock.now() - limits().keepMs, usageBefore: clock.now() - USAGE_MS }]).catch((error: Error) => options.log("warn", error.message));
    sessions.prune(clock.now() - limits().keepMs).catch((error: Error) => options.log("warn", error.message));
    ledger.prune().catch((error: Error) => options.log("warn", error.message));
    spool.sweep().catch((error: Error) => options.log("warn", error.message));
    cancelPrune = clock.after(HOUR, prune);
  }

  await asks.load();
  await approvals.load();
  // Whole before anything new is planned: what is read there and what is queued here can never be the same row twice.
  await inbox.load();
  await outbox.load();
  await asks.deal();

  const gateway: Gateway = {
    store, inbox, asks, approvals, people, sessions, compactor, gauge, memory, tools, ledger, agents, team, pauses: desk.pauses, connections, events, clock, spool, room,
    async setAccounts(list) {
      const ids = new Set(list.map(({ account }) => account.id));
      const closed = connections.keepOnly(ids);
      for (const id of accounts.keys()) if (!ids.has(id)) accounts.delete(id);
      for (const { account, channel } of list) {
        accounts.set(account.id, account);
        people.policy(account.id, account.policy);
        connections.open(account, channel, { webhookUrl: account.webhookUrl, commands: desk.menu(account) });
      }
      await closed;
    },
    account: (id) => accounts.get(id),
    attach(account, line) {
      attached.set(account, line);
      outbox.wake(account);
      return () => { if (attached.get(account) === line) attached.delete(account); };
    },
    accept: arrivals.take,
    step: steps.step,
    once: steps.once,
    join: steps.join,
    deliver,
    live: (delivery) => outbox.live({ ...delivery, to: resolve(delivery.to) }),
    typing(to, about) {
      const at = to.chat === "owner" ? people.ownerOf(to.account)?.at : to;
      const connection = connections.get(to.account)?.connection;
      if (at !== undefined) connection?.typing?.(at, about).catch((error: Error) => options.log("debug", `typing: ${error.message}`));
    },
    file: async (given, needs) => (await ready())(given, needs),
    spent(run, step, usage) { inbox.run(run)?.usage.set(step, usage); },
    resolve,
    settle(run, end) {
      inbox.end(run, end).catch((error: unknown) => {
        if (error instanceof StoreError) clock.after(1_000, () => gateway.settle(run, end));
        else options.log("warn", (error as Error).message);
      });
    },
    start() {
      outbox.release();
      for (const run of asks.orphans()) gateway.settle(run, { state: "dead", reason: ORPHAN });
      asks.start();
      const mine = Symbol("start");
      running = mine;
      // What waited over a restart goes on with the tools it had.
      const first = [desk.start(), tools.read(clock)].filter((work) => work !== undefined);
      if (first.length === 0) inbox.start();
      else Promise.all(first).then(() => { if (running === mine) inbox.start(); }, (error: Error) => options.log("warn", error.message));
    },
    stop() {
      running = undefined;
      desk.stop();
      inbox.stop();
    },
    async pause() {
      await outbox.hold();
      await inbox.rest();
    },
    async close() {
      cancelPrune();
      over = true;
      room.close();
      asks.close();
      await inbox.close();
      outbox.close();
      await connections.keepOnly(new Set());
      await store.close();
    },
  };
  return gateway;
}

/** The spool as an adapter uses it: web streams in and out. */
export function mediaSpool(spool: Spool): MediaSpool {
  return {
    save: (source, about, signal) => spool.save(source, { ...about, ...(signal === undefined ? {} : { signal }) }),
    async open(id) { const file = await spool.open(id); return file && (Readable.toWeb(file.stream()) as ReadableStream<Uint8Array>); },
  };
}
