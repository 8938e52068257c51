/** What the world around the reducer consists of: a disk, up to two processes, a platform, tools and models, and what was seen of them. */
import type { Change, OutboxRow } from "../../engine/store/store.ts";
import type { ReceiptView } from "../../engine/life.ts";

/** Class A honours keys, B can be asked, C offers nothing. */
export type Class = "A" | "B" | "C";
/**
 * crash: the process ends at once. stop: it ends in order. lease: another process opens the store while it goes on. deploy: flows lose what they hold. timeout: a run is given up.
 * halt: a person stops what is under way and waits. pause: what is under way is broken off and put back, until it goes on.
 * removal: the entry node of a run is taken away under it. duplicate: the platform brings a message again. silence: a request is never answered. refusal: it is answered no. delay: the platform is away until everything has expired.
 */
export type Fault = "crash" | "stop" | "lease" | "deploy" | "timeout" | "removal" | "duplicate" | "silence" | "refusal" | "delay" | "halt" | "pause";

export const FAULTS: readonly Fault[] = ["crash", "stop", "lease", "deploy", "timeout", "removal", "duplicate", "silence", "refusal", "delay", "halt", "pause"];

export interface Scenario {
  readonly name: string;
  /** The lane of each message, in the order in which they are sent. */
  readonly lanes: readonly number[];
  /** Entry nodes; each makes a run of each message. */
  readonly entries: number;
  /** What a run does before it answers. `once`: rather not at all than twice. `behind`: its record is not waited for. */
  readonly program: readonly { readonly name: string; readonly once?: boolean; readonly behind?: boolean; /** Takes what waits in the lane into the run, where something does. */ readonly joins?: boolean }[];
  /** A newer message takes the place of one that is under way and not answered. */
  readonly interrupts?: boolean;
  /** Visible parts of an answer. */
  readonly parts: number;
  readonly class: Class;
  /** Answers expire: nobody wants them after the delay. */
  readonly expires?: boolean;
  /** Nobody shall be told of dead letters in a chat. */
  readonly quiet?: boolean;
  /** How often each may happen in one history. */
  readonly faults: Readonly<Partial<Record<Fault, number>>>;
  /** And all of them together. */
  readonly most: number;
}

/** Of one step of one run, in memory or on disk. */
export const BEGUN = 1;
export const DONE = 2;
/** Bits of one step in a journal. */
export const WIDTH = 2;
export type Journal = number;

/** `joined`: the message whose run answers it. `said`: messages whose words it has. */
export type Rec = ReceiptView & { readonly message: number; readonly joined?: number; readonly said?: readonly number[] };
export type Row = OutboxRow & { readonly id: number };

/** What goes on once a commit is on disk. `results` are those of its changes. */
export type Then =
  | { readonly go: "received"; readonly message: number }
  | { readonly go: "begin"; readonly message: number; readonly entries: readonly string[] }
  | { readonly go: "release"; readonly lane: number }
  | { readonly go: "perform"; readonly run: number; readonly step: number }
  | { readonly go: "tell-unknown"; readonly run: number; readonly step: number }
  | { readonly go: "done"; readonly run: number; readonly step: number }
  | { readonly go: "planned"; readonly run: number; readonly send: boolean }
  | { readonly go: "row"; readonly chat: number; readonly act: "send" | "look" | "tell" | "mourn" | "wait" };
export interface Commit { readonly changes: readonly Change[]; /** Waits for it. */ readonly after: Then | undefined; /** Is sent once it is on disk. */ readonly notice: string | undefined; readonly key: string }

export interface Pass { at: number; readonly old: boolean; /** Joined what is under way, or waits for the fate of its rows. */ waits: boolean }
export interface Run {
  /** Not ended: else only late output is left of it. */
  live: boolean;
  journal: Journal;
  /** Steps under way: waiting for "begun" to be on disk, at work, or waiting for its record. */
  flights: { readonly step: number; readonly phase: "begins" | "works" | "ends" }[];
  passes: Pass[];
  /** Rows whose fate was told, one bit for each part. */
  told: number;
}
export interface Chat { rows: Row[]; /** Planned as "sending" by this process. */ own: number[]; phase: "idle" | "commit" | "send" | "look" }
export interface Lane { waiting: number[]; active: number | undefined }
export interface Worker {
  queue: Commit[];
  /** Commits of the mutant that puts off what nobody waits for. */
  put: Commit[];
  lanes: Lane[];
  receipts: (Rec | undefined)[];
  /** Bits by message: was the first of its lane when an earlier process broke off; was begun by this one; has a journal perhaps; was a suspect, and not for the first time. */
  suspects: number;
  counted: number;
  left: number;
  tried: number;
  /** The lane of the suspect that has the process for itself; its time is over. */
  trial: number | undefined;
  overtime: boolean;
  /** Rows, one bit each: it sent a copy; a copy was never answered; it found them as an earlier process left them, and has not tried them. */
  posted: number;
  silent: number;
  inherited: number;
  runs: (Run | undefined)[];
  chats: Chat[];
  /** Notices that it sends in their turn, by name. */
  notices: readonly string[];
}
/** `notices`: names of the rows that tell people of a dead letter; how they are sent is as of all other rows. */
export interface Disk { receipts: Rec[]; journals: Journal[]; rows: Row[]; notices: readonly string[]; ended: boolean }

/** The platform's side of an inbound message. `open`: brought, and not confirmed yet. `lost`: brought to a process that broke off before it was on disk. */
export type Inbound = "fresh" | "open" | "lost" | "confirmed";

/** What an observer has seen; the invariants speak of this. */
export interface Seen {
  /** By run and step. */
  works: number[];
  /** By row: visible copies, and how many of them a fault excuses. */
  copies: number[];
  excused: number[];
  /** Rows, one bit each: refused for good by the platform to this process; first seen after the delay; people were told of its death. */
  refused: number;
  afterDelay: number;
  mourned: number;
  /** Messages, one bit each: its run was given up; an entry node was taken away under it; people were told of its death. */
  timedOut: number;
  removed: number;
  told: number;
  /** By message: processes that broke off while it was under way; while it was the first of its lane that had not ended on disk. */
  broken: number[];
  first: number[];
  /** Faults after which a model may be asked again. */
  ends: number;
}

export interface World {
  disk: Disk;
  /** The disk before the last commit, for the store that confirms too early. */
  before: Disk | undefined;
  owner: Worker | undefined;
  stale: Worker | undefined;
  inbound: Inbound[];
  late: boolean;
  /** On disk: nothing begins. */
  paused: boolean;
  /** Faults still to come, all kinds together; and in each kind, in the order of FAULTS. */
  left: number;
  kinds: number[];
  seen: Seen;
  /** The first rule that a step broke. */
  bad: string | undefined;
}

export const rowsOf = (scenario: Scenario): number => scenario.lanes.length * scenario.entries * scenario.parts;
export const runsOf = (scenario: Scenario): number => scenario.lanes.length * scenario.entries;
export const messageOfRun = (scenario: Scenario, run: number): number => Math.floor(run / scenario.entries);
export const messageOfRow = (scenario: Scenario, row: number): number => Math.floor(row / scenario.parts / scenario.entries);
export const runOfRow = (scenario: Scenario, row: number): number => Math.floor(row / scenario.parts);
export const entryName = (entry: number): string => `n${entry}`;
export const runName = (scenario: Scenario, run: number): string => `${messageOfRun(scenario, run)}.${entryName(run % scenario.entries)}`;
export const rowKey = (row: number): string => `k${row}`;
export const rowOfKey = (key: string): number => Number(key.slice(1));
/** Rows of notices are named after what they tell of: a receipt or a row. */
export const NOTICE = "notice of ";
export const receiptKey = (message: number): string => `m${message}`;

const zeros = (length: number): number[] => new Array<number>(length).fill(0);

export function emptyWorld(scenario: Scenario): World {
  const { lanes } = scenario;
  return {
    disk: { receipts: [], journals: zeros(runsOf(scenario)), rows: [], notices: [], ended: false }, before: undefined, owner: undefined, stale: undefined,
    inbound: lanes.map(() => "fresh"), late: false, paused: false, left: scenario.most, kinds: FAULTS.map((kind) => Math.min(scenario.most, scenario.faults[kind] ?? 0)), bad: undefined,
    seen: { works: zeros(runsOf(scenario) * scenario.program.length), copies: zeros(rowsOf(scenario)), excused: zeros(rowsOf(scenario)), refused: 0, afterDelay: 0, mourned: 0, timedOut: 0, removed: 0, told: 0, broken: zeros(lanes.length), first: zeros(lanes.length), ends: 0 },
  };
}

function cloneWorker(worker: Worker | undefined): Worker | undefined {
  return worker && {
    queue: worker.queue.slice(), put: worker.put.slice(),
    lanes: worker.lanes.map(({ waiting, active }) => ({ waiting: waiting.slice(), active })),
    receipts: worker.receipts.slice(), suspects: worker.suspects, counted: worker.counted, left: worker.left, tried: worker.tried, trial: worker.trial, overtime: worker.overtime, posted: worker.posted, silent: worker.silent, inherited: worker.inherited,
    runs: worker.runs.map((run) => run && { live: run.live, journal: run.journal, told: run.told, flights: run.flights.slice(), passes: run.passes.map(({ at, old, waits }) => ({ at, old, waits })) }),
    chats: worker.chats.map(({ rows, own, phase }) => ({ rows: rows.slice(), own: own.slice(), phase })), notices: worker.notices,
  };
}
/** Receipts, rows and commits are never changed in place, so they are shared. */
export function cloneWorld(world: World): World {
  const { disk, seen } = world;
  return {
    disk: { receipts: disk.receipts.slice(), journals: disk.journals.slice(), rows: disk.rows.slice(), notices: disk.notices, ended: disk.ended }, before: world.before,
    owner: cloneWorker(world.owner), stale: cloneWorker(world.stale), inbound: world.inbound.slice(), late: world.late, paused: world.paused, left: world.left, kinds: world.kinds, bad: world.bad,
    seen: { works: seen.works.slice(), copies: seen.copies.slice(), excused: seen.excused.slice(), refused: seen.refused, afterDelay: seen.afterDelay, mourned: seen.mourned, timedOut: seen.timedOut, removed: seen.removed, told: seen.told, broken: seen.broken.slice(), first: seen.first.slice(), ends: seen.ends },
  };
}
