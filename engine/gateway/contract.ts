/** What a gateway is made of, what it offers, and what it tells. */
import type { EventEmitter } from "node:events";
import type { Account, Channel, ChannelContext, Command, Received } from "../channels/channel.ts";
import { APPROVAL_MS, type Approvals } from "../approvals.ts";
import type { ApprovalWords } from "../approval-text.ts";
import type { Asks } from "../asks.ts";
import type { Clock } from "../clock.ts";
import type { Compactor } from "../context/compact.ts";
import type { Gauge } from "../context/estimate.ts";
import type { CommandUses } from "../commands.ts";
import type { AccountStatus, Connections } from "../connections.ts";
import type { Live } from "../live.ts";
import type { Inbox, Run } from "../inbox.ts";
import type { Address, Message } from "../message.ts";
import type { Budgets, Standing } from "../budget.ts";
import type { Ledger } from "../ledger.ts";
import type { Spool } from "../media.ts";
import type { Usage } from "../models/model.ts";
import type { Count } from "../metrics.ts";
import type { Memory } from "../memory.ts";
import type { Delivery, DeliveryReceipt, Line } from "../outbox.ts";
import type { Pauses } from "../pauses.ts";
import type { AccountPolicy, People } from "../people.ts";
import type { Room } from "../store-room.ts";
import type { Sessions } from "../sessions.ts";
import type { Steps } from "../steps.ts";
import type { OutboxRow, RunEnd, Store } from "../store/store.ts";
import type { AgentView, Team } from "../team.ts";
import type { Trust } from "../tool.ts";
import type { Tools } from "../tools.ts";

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
/** What holds where the gateway's settings say nothing. */
export const LIMITS: GatewayLimits = { idleMs: 10 * 60_000, pendingMaxMs: 24 * HOUR, staleMs: 30 * 60_000, keepMs: 30 * 24 * HOUR, notice: "owner", storeBytes: 0, commands: {}, pausedAnswer: false, botTurns: 10, botPauseMs: 30 * 60_000, approvalMs: APPROVAL_MS, budgets: {}, timeZone: "" };
