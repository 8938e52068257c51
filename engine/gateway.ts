/** The gateway: store, inbox, lanes, outbox, sessions, people, tools and connections in one object. Knows nothing of Node-RED. */
import { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import type { Account, Channel, ChannelContext, Command, MediaSpool, Received } from "./channels/channel.ts";
import { degrade, fitsButtons } from "./channels/degrade.ts";
import { splitDraft } from "./channels/split.ts";
import { APPROVAL_MS, createApprovals, type Approvals } from "./approvals.ts";
import type { ApprovalWords } from "./approval-text.ts";
import { createAsks, ORPHAN, type Asks } from "./asks.ts";
import type { Clock } from "./clock.ts";
import { type Compactor, createCompactor } from "./context/compact.ts";
import { createGauge, type Gauge } from "./context/estimate.ts";
import type { CommandUses } from "./commands.ts";
import { gaugeKey } from "./context/fit.ts";
import { accountStorage, createConnections, type AccountStatus, type Connections } from "./connections.ts";
import { createDesk } from "./desk.ts";
import { ChannelError, ClawError, StoreError } from "./errors.ts";
import type { Live } from "./live.ts";
import { createInbox, type Inbox, type Run } from "./inbox.ts";
import { sessionKey, type Address, type Message } from "./message.ts";
import type { Budgets, Standing } from "./budget.ts";
import { createLedger, type Ledger, type Warning } from "./ledger.ts";
import { usageInChat } from "./ledger/chat.ts";
import type { Spool } from "./media.ts";
import type { Usage } from "./models/model.ts";
import { createConverters } from "./media/convert.ts";
import { createDownload } from "./media/download.ts";
import { createIncoming } from "./media/incoming.ts";
import { createReady } from "./media/ready.ts";
import { createTally, type Count } from "./metrics.ts";
import { createMemory, type Memory } from "./memory.ts";
import { createOutbox, type Delivery, type DeliveryReceipt, type Line, type Outbox } from "./outbox.ts";
import { createQuiet } from "./quiet.ts";
import type { Pauses } from "./pauses.ts";
import { createPeople, type AccountPolicy, type People } from "./people.ts";
import { createRoom, type Room } from "./store-room.ts";
import { createSessions, type Sessions } from "./sessions.ts";
import { createSteps, type Steps } from "./steps.ts";
import type { Facts } from "./run.ts";
import { parseRunId, runId, type NewOutboxRow, type OutboxRow, type Receipt, type RunEnd, type Store } from "./store/store.ts";
import { createTeam, type AgentView, type Team } from "./team.ts";
import type { Trust } from "./tool.ts";
import { createTools, type Tools } from "./tools.ts";
import { localZone } from "./schedule/zone.ts";

export interface GatewayOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random?: () => number;
  readonly spool: Spool;
  /** A fetch for this account; `proxy` is the account's setting of that name. */
  fetchFor(proxy: string | undefined): Promise<typeof fetch>;
  /** Folders in which programs are looked for that convert files (ffmpeg). */
  readonly programs?: readonly string[];
  /** Asked each time: a deploy may change them while the gateway stays open. */
  readonly limits?: () => Partial<GatewayLimits>;
  /** Words the gateway itself says in a chat. */
  readonly texts: { readonly claimed: string; notice(about: Notice): string; budget?(about: Standing & { readonly agent: string }): string; /** What an owner reads who has to approve a tool's call; the keys themselves where it is left out. */ readonly approval?: ApprovalWords };
  /** What the gateway says in chats where a sender's own language is not known. BCP 47. */
  readonly language?: string;
  readonly count?: Count;
  /** Takes secrets out of the texts of faults before they are kept or told. */
  redact?(text: string): string;
  log(level: "debug" | "info" | "warn", text: string): void;
}

export interface GatewayLimits {
  /** A run whose flow shows no sign of life ends after this. */
  readonly idleMs: number;
  /** A message that no flow takes becomes a dead letter after this. */
  readonly pendingMaxMs: number;
  /** A reply that could not be sent within this is dropped with a notice, not sent late. */
  readonly staleMs: number;
  /** Turns of sessions are kept this long. */
  readonly keepMs: number;
  /** Who is told in a chat of a message or an answer that became a dead letter: the owner, the chat it belongs to, or nobody. */
  readonly notice: "owner" | "chat" | "none";
  /** Largest size of the store; 0: no limit. */
  readonly storeBytes: number;
  /** An owner has so long to approve a tool's call. */
  readonly approvalMs: number;
  /** Who may use which command. */
  readonly commands: CommandUses;
  /** Whoever writes to a paused chat is told so, once for each pause. */
  readonly pausedAnswer: boolean;
  /** So many messages of bots in a row pause a chat (0: never), for so long. */
  readonly botTurns: number;
  readonly botPauseMs: number;
  /** What everybody may use. */
  readonly budgets: Budgets;
  /** Where days begin and end for budgets: as in Europe/Berlin; "" is the zone of this machine. */
  readonly timeZone: string;
}
/** What a notice speaks of. Texts of faults are not among it: they never reach a chat by themselves. */
export interface Notice { readonly what: "message" | "delivery"; readonly to: "owner" | "chat"; /** Name of the sender of the message, where there is one. */ readonly sender?: string; readonly channel: string; readonly code: string }

/** An account with what the gateway has to know about it beside the adapter's settings. */
export interface GatewayAccount extends Account {
  readonly policy: AccountPolicy;
  readonly webhookUrl?: string;
  /** What its flows wait for; none where it is left out. */
  readonly commands?: readonly Command[];
  /** More names of commands that its flows have for themselves, and no menu lists. */
  readonly words?: readonly string[];
}

/** What a gateway tells: `status` of an account, `refused` senders, `dead` letters, `end` of a run. */
export interface GatewayEvents {
  status: [AccountStatus];
  refused: [Message];
  dead: [{ readonly what: "message" | "delivery"; readonly reason: string; readonly message?: Message; readonly row?: OutboxRow }];
  end: [Run, RunEnd];
  /** A chat went from one agent to another, by their handles; to "": to whichever its flow leads. */
  handOver: [{ readonly at: Address; readonly from: string; readonly to: string }];
  pause: [];
  people: [];
  room: [];
}

export interface Gateway extends Steps {
  readonly store: Store;
  readonly inbox: Inbox;
  /** Questions to people. */
  readonly asks: Asks;
  /** Calls of tools that an owner has to approve. */
  readonly approvals: Approvals;
  readonly people: People;
  readonly sessions: Sessions;
  /** Keeps talks within the windows of models, by what providers count. */
  readonly compactor: Compactor;
  readonly gauge: Gauge;
  /** What agents remember beyond a talk. */
  readonly memory: Memory;
  readonly tools: Tools;
  /** By node. */
  readonly agents: Map<string, AgentView>;
  readonly team: Team;
  readonly pauses: Pauses;
  /** What models used, and the budgets. */
  readonly ledger: Ledger;
  readonly connections: Connections;
  readonly events: EventEmitter<GatewayEvents>;
  readonly clock: Clock;
  readonly spool: Spool;
  readonly room: Room;
  /** Opens these accounts and closes all others. */
  setAccounts(accounts: readonly { readonly account: GatewayAccount; readonly channel: Channel }[]): Promise<void>;
  account(id: string): GatewayAccount | undefined;
  /** Lets replies to messages of a node (a webhook that waits for its answer) reach it. The returned function takes it away. */
  attach(account: string, line: Line): () => void;
  /** A message that did not come from a chat platform: a tick, a webhook, a foreign msg. Its trust is the node's word. */
  accept(message: Message, facts: { readonly trust: Trust; readonly tainted: boolean }): Promise<Received>;
  deliver(delivery: Delivery): Promise<DeliveryReceipt>;
  live(delivery: Omit<Delivery, "op" | "draft">): Live;
  /** `about`: ref of the message that is being answered. */
  typing(to: Address, about?: string): void;
  /** A file of a draft or message, as a server takes it: see ChannelContext.file. */
  readonly file: ChannelContext["file"];
  /** What an agent of this run used in this step. */
  spent(run: string, step: string, usage: Usage): void;
  /** Where "owner" as a chat is, and any other address unchanged. */
  resolve(to: Address): Address;
  /** The run's flow has settled, perhaps with a fault that no Catch node took; retried until the store takes it. */
  settle(run: string, end?: RunEnd | { readonly fault: string }): void;
  /** The flows run: lanes begin. */
  start(): void;
  stop(): void;
  /** Sends nothing more until `start`; resolves when what was on its way out is recorded. */
  pause(): Promise<void>;
  close(): Promise<void>;
}

const HOUR = 3_600_000;
/** Stands for a run in the rows of notices. */
const NOTICE = "notice";
const DEDUPE_MS = 8 * 24 * HOUR;
const LIMITS: GatewayLimits = { idleMs: 10 * 60_000, pendingMaxMs: 24 * HOUR, staleMs: 30 * 60_000, keepMs: 30 * 24 * HOUR, notice: "owner", storeBytes: 0, commands: {}, pausedAnswer: false, botTurns: 10, botPauseMs: 30 * 60_000, approvalMs: APPROVAL_MS, budgets: {}, timeZone: "" };
/** What models used is kept so long: a year, and the month a bill is written in. */
const USAGE_MS = 396 * 24 * HOUR;

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
  const asks: Asks = createAsks({
    store, clock,
    inbox: () => inbox,
    deliver: (delivery) => deliver(delivery),
    asShown({ buttons, ...draft }, to, sealed) {
      const channel = (attached.get(to.account) ?? connections.get(to.account))?.channel;
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
  const room = createRoom({ store, clock, limits, log: options.log, onChange: () => events.emit("room") });
  const inbox: Inbox = createInbox({
    full: room.refusal, tell: tally.message,
    pausedUntil: ({ at }) => desk.pausedUntil(at),
    takes: (receipt) => desk.takes(receipt),
    store, clock, limits,
    prepare: prepared,
    questions: asks,
    notice: ({ seq, message: { sender, at } }, code) => noticeOf({ what: "message", sender: sender.name, channel: at.channel, code }, at, `receipt ${seq}`),
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
    line: (account) => attached.get(account) ?? connections.get(account),
    redact, isOver,
    split: (draft, channel) => splitDraft(channel.shows === undefined ? draft : degrade(draft, channel.shows), channel.limits, channel.dialect),
    // A notice that cannot be delivered has no notice of its own.
    notice: ({ run, op, to, key }, code) => (run === NOTICE || op !== "send" ? undefined : noticeOf({ what: "delivery", channel: to.channel, code }, to, key)),
    onDead: (row) => {
      asks.undelivered(row);
      events.emit("dead", { what: "delivery", reason: row.error?.text ?? "", row });
    },
  });

  const team = createTeam({ store, clock, agents, once: steps.once, onHandOver: (at, from, to) => events.emit("handOver", { at, from, to }) });
  let over = false;
  let running = false;
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

  async function isOver(run: string): Promise<boolean> {
    const receipt = (await inbox.find(run))?.receipt;
    return receipt?.state !== "pending" || receipt.runs[parseRunId(run)?.entry ?? ""] !== undefined;
  }
  /** One short word in a chat, by policy; what went wrong stands in Node-RED. */
  function noticeOf(about: Omit<Notice, "to">, at: Address, step: string): NewOutboxRow | undefined {
    const { notice } = limits();
    const to = notice === "chat" ? at : people.ownerOf(at.account)?.at;
    if (notice === "none" || to === undefined) return undefined;
    return outbox.row({ run: NOTICE, step, op: "send", to, draft: { text: options.texts.notice({ ...about, to: notice }) }, priority: "low", expiresAt: clock.now() + limits().staleMs });
  }
  /** The mark and the notice are one commit: the owner is told once, or again of nothing. */
  function tellBudget({ subject, mark, key, ...standing }: Warning): void {
    const to = limits().notice === "none" || standing.limit === "run" ? undefined : (people.ownerOf(subject.account) ?? people.all().find(({ trust, at }) => trust === "owner" && at !== undefined))?.at;
    const text = options.texts.budget?.({ ...standing, agent: subject.agent });
    const row = to === undefined || text === undefined ? undefined : outbox.row({ run: NOTICE, step: `budget ${key}`, op: "send", to, draft: { text }, priority: "low", expiresAt: clock.now() + limits().staleMs });
    store.commit([mark, ...(row === undefined ? [] : [{ do: "outbox" as const, row }])]).then(([, seq]) => { if (row !== undefined) outbox.take(row, seq); }, (error: Error) => options.log("warn", error.message));
  }
  const ledger = await createLedger({
    store, clock, zone: () => limits().timeZone || localZone(), budgets: () => limits().budgets, ratio: (model) => gauge.ratio(gaugeKey(model)), warned: tellBudget,
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
        receive: (message) => receive(account, message),
        fetch, download,
        file: createReady({ spool, download, signal, converters: createConverters(options.programs) }),
        storage: accountStorage(store, account.id),
        clock,
        commands: desk.menu(known),
        log: (level, text) => options.log(level, `${accounts.get(account.id)?.name ?? account.name}: ${text}`),
        claim: (code, sender, at) => claim({ text: code, sender, at }),
        spool: mediaSpool(spool),
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

  async function claim(message: Pick<Message, "text" | "sender" | "at">): Promise<boolean> {
    const claimed = await people.claim(message);
    if (claimed) events.emit("people");
    return claimed;
  }

  async function receive(account: Account, message: Message): Promise<Received> {
    if (message.at.account !== account.id || message.at.channel !== account.channel) throw new ClawError("MSG_001", {}, `Expected a message of account "${account.id}", got one of "${message.at.account}".`);
    if (message.sender.self) return "refused";
    if (message.kind === "message" && people.ownerCode() !== undefined && (await claim(message))) {
      deliver({ run: "", step: `claim/${account.id}/${message.id}`, op: "send", to: message.at, draft: { text: options.texts.claimed } }).catch((error: Error) => options.log("warn", error.message));
      return "saved";
    }
    const trust = people.trustOf(message);
    if (trust === "stranger") {
      people.refuse(message);
      tally.message("refused", message.at);
      events.emit("refused", message);
      return "refused";
    }
    await desk.saw(message);
    const answered = (await approvals.offer(message, trust)) ?? (await asks.offer(desk.asCommand(message), trust)) ?? (await desk.offer(message, trust));
    if (answered !== undefined) return answered;
    // What is passed on was said by somebody else.
    const received = await take(message, { trust, tainted: message.forwarded !== undefined });
    if (received === "saved") { void prepared(message); desk.waits(message); }
    if (received === "saved" && (message.kind === "edit" || message.kind === "delete")) await correctSessions(message);
    return received;
  }

  async function take(message: Message, facts: Facts): Promise<Received> {
    try {
      return await inbox.receive(message, facts);
    } catch (error) {
      // It is not confirmed: whoever brought it comes again.
      if (error instanceof StoreError) tally.fault(error.code);
      throw error;
    }
  }

  /** What was said is said differently now, or taken back: agents remember it so. */
  async function correctSessions(message: Message): Promise<void> {
    for (const { name, scope } of agents.values()) await sessions.correct(sessionKey(message, scope, name), message.ref, message.kind === "edit" ? message.text : undefined, clock.now());
  }

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
    const expiresAt = delivery.expiresAt ?? (delivery.op === "send" ? (delivery.dueAt ?? clock.now()) + limits().staleMs : undefined);
    const whole = { ...delivery, to, ...(expiresAt === undefined ? {} : { expiresAt }) };
    // Two passes that come to the same delivery have one between them.
    return steps.join(delivery.run, `deliver ${delivery.step}`, () => outbox.deliver(whole));
  }

  let cancelPrune = clock.after(60_000, prune);
  function prune(): void {
    const before = clock.now() - DEDUPE_MS;
    store.commit([{ do: "prune", before, turnsBefore: clock.now() - limits().keepMs, usageBefore: clock.now() - USAGE_MS }]).catch((error: Error) => options.log("warn", error.message));
    sessions.prune(clock.now() - limits().keepMs).catch((error: Error) => options.log("warn", error.message));
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
    accept: take,
    step: steps.step,
    once: steps.once,
    join: steps.join,
    deliver,
    live: (delivery) => outbox.live({ ...delivery, to: resolve(delivery.to) }),
    typing(to, about) {
      const connection = connections.get(to.account)?.connection;
      connection?.typing?.(to, about).catch((error: Error) => options.log("debug", `typing: ${error.message}`));
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
      running = true;
      const words = desk.start();
      if (words === undefined) inbox.start();
      else words.then(() => { if (running) inbox.start(); }, (error: Error) => options.log("warn", error.message));
    },
    stop() {
      running = false;
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
