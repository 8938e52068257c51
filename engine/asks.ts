/**
 * Questions to people. A question is a row of the outbox; that a run waits for its answer is a record, written with that row. A run that begins again
 * (after a restart, a deploy) comes to the same record: nothing is asked twice. Who may answer is held against the store, never against a msg.
 */
import { hash } from "node:crypto";
import { codeOf, folded, pressOf, questionDraft, readAnswer, readPress, type AnswerForm, type Seal, type Value } from "./answers.ts";
import type { Received } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";
import { ChannelError, ClawError, type ErrorCode } from "./errors.ts";
import type { Inbox, Questions } from "./inbox.ts";
import { QUESTIONS, reduce } from "./life.ts";
import type { Address, Draft, Message } from "./message.ts";
import { outboxKey, type Delivery, type DeliveryReceipt } from "./outbox.ts";
import { insist } from "./store/insist.ts";
import type { Change, OutboxRow, Priority, Receipt, Store } from "./store/store.ts";
import type { Trust } from "./tool.ts";

/** Who may answer: one person, by the platform's id; anybody in that chat whom the gateway lets talk; an owner. */
export type Who = { readonly by: "person"; readonly id: string } | { readonly by: "chat" } | { readonly by: "owner" };

export interface Question {
  readonly run: string;
  readonly step: string;
  /** The node that asks. Once it is gone, its runs are dead letters. */
  readonly node: string;
  readonly to: Address;
  readonly who: Who;
  readonly text: string;
  readonly form: AnswerForm;
  /** 0: it waits for ever. */
  readonly waitMs: number;
  /** What is said to words that do not fit, and how often; after that they are messages like any other. */
  readonly again: { readonly text: string; readonly times: number };
  readonly cancelWords: readonly string[];
  /** With a form of kind "sealed". */
  readonly seal?: Seal;
  /** Written together with the question. */
  readonly also?: readonly Change[];
  /** Ends this wait, not the question: the node is being stopped, or the run. */
  readonly signal: AbortSignal;
  readonly priority?: Priority;
}
export interface Answer { readonly value: Value | null; readonly label?: string; readonly text: string; readonly by: { readonly id: string; readonly name: string }; readonly message: Message }
/** `withdrawn`: its time ended early, because nobody may answer it any more. `bound`: what the question was sealed for. */
export type AskEnd = ({ readonly how: "answer" | "cancelled"; readonly answer: Answer } | { readonly how: "timeout"; readonly withdrawn?: true }) & { readonly bound?: string };

/** What is on disk while it waits. */
export interface Asked extends Omit<Question, "signal" | "waitMs" | "priority" | "also"> {
  readonly id: string;
  /** Receipts of the run. */
  readonly seqs: readonly number[];
  /** Unix milliseconds, no two alike: the newest question is asked last. */
  readonly askedAt: number;
  readonly dueAt?: number;
}
interface Open {
  record: Asked;
  end: AskEnd | undefined;
  gone: boolean;
  /** An earlier process asked it. */
  readonly left: boolean;
  /** Somebody may have seen it. */
  handed: boolean;
  refs: readonly string[];
  /** Its plan is on disk; made when this process first comes to it. */
  planned: Promise<void> | undefined;
  /** One after the other is read. */
  turn: Promise<unknown>;
  readonly waiters: Set<{ resolve(end: AskEnd | undefined): void; reject(error: unknown): void }>;
}

export interface AsksOptions {
  readonly store: Store;
  readonly clock: Clock;
  inbox(): Inbox;
  deliver(delivery: Delivery): Promise<DeliveryReceipt>;
  /** It is answered, or nobody waits for its answer any more. */
  ended(asked: Asked, end: AskEnd, drafted: (text: string) => Draft): void;
  /** The draft for a channel that does not say what it shows. `sealed`: without buttons where the channel has none, they are no list to choose from. */
  asShown(draft: Draft, to: Address, sealed: boolean): Draft;
}
export interface Asks extends Questions {
  /** Asks, and resolves with how it ended; with undefined when `signal` ends the wait before. Throws a ClawError when it cannot be asked. */
  ask(question: Question): Promise<AskEnd | undefined>;
  /** Is this message an answer? Undefined: it is a message like any other. */
  offer(message: Message, trust: Trust): Promise<Received | undefined>;
  /** Open questions with a seal. */
  sealed(): readonly (Asked & { readonly seal: Seal })[];
  /** Takes the code in this message as the answer to this question. Whoever calls has seen to it that the sender may. */
  byCode(question: string, message: Message, trust: Trust): Promise<Received | undefined>;
  /** Nobody can answer it any more. */
  withdraw(question: string): Promise<void>;
  /** A node that asks is there, until the returned function is called. */
  add(node: string): () => void;
  /** Runs whose node that asked is gone. */
  orphans(): string[];
  /** A delivery failed for good. */
  undelivered(row: OutboxRow): void;
  /** Reads what an earlier process left; before the inbox is loaded. */
  load(): Promise<void>;
  /** Deals with answers that were saved and nothing more, and with what the store alone still knows; after the outbox is loaded. */
  deal(): Promise<void>;
  /** The flows run, the platforms bring what they kept: time counts from now on. */
  start(): void;
  close(): void;
}

/** What platforms kept while no process was there may still be an answer in time: they get so long to bring it. */
const GRACE_MS = 5_000;
/** The wall clock may jump: it is looked at so often. */
const LOOK_MS = 60_000;
/** Lane of receipts that are for questions, and never for the flows. */
export const LANE = "\nanswer\n";
/** Why such a run is a dead letter. */
export const ORPHAN = "the node that asked was removed while it waited";

/** Names the delivery of what is said to words that do not fit, by how often more. */
export const stepAgain = (step: string, times: number): string => `${step} again ${times + 1}`;

/** Constant for a step, and unknown to whoever does not know the run: 72 bits. */
const idOf = (run: string, step: string): string => hash("sha256", `${run}\n${step}`, "base64url").slice(0, 12);

export function createAsks({ store, clock, inbox, deliver, ended, asShown }: AsksOptions): Asks {
  const all = new Map<string, Open>();
  const nodes = new Map<string, number>();
  const heads = new Map<number, number>();
  const unread: Receipt[] = [];
  let last = 0;
  let startedAt: number | undefined;
  let closed = false;
  let cancelLook = (): void => {};

  function open(record: Asked, left: boolean): Open {
    const made: Open = { record, end: undefined, gone: false, left, handed: false, refs: [], planned: undefined, turn: Promise.resolve(), waiters: new Set() };
    last = Math.max(last, record.askedAt);
    all.set(record.id, made);
    return made;
  }
  const keep = (record: Asked): Change => ({ do: "set", space: QUESTIONS, key: record.id, value: record });
  const drop = ({ id }: Asked): Change => ({ do: "set", space: QUESTIONS, key: id, value: undefined });
  function inTurn<T>(one: Open, act: () => Promise<T>): Promise<T> {
    const done = one.turn.then(act);
    one.turn = done.catch(() => undefined);
    return done;
  }

  async function ask({ signal, waitMs, priority, also, ...question }: Question): Promise<AskEnd | undefined> {
    const { run, step } = question;
    const live = inbox().run(run);
    if (live === undefined) throw new ClawError("MSG_001", {}, "Expected a run that is under way, got one that has ended: nothing would go on with the answer.");
    const known = live.journal.get(step) as AskEnd | undefined;
    if (known !== undefined) return known;
    const id = idOf(run, step);
    const before = all.get(id);
    const askedAt = Math.max(clock.now(), last + 1);
    const one = before ?? open({ ...question, id, seqs: live.seqs, askedAt, ...(waitMs > 0 ? { dueAt: askedAt + waitMs } : {}) }, false);
    if (one.record.seal?.bound !== question.seal?.bound) await withdraw(id);
    if (one.end !== undefined) return one.end;
    one.planned ??= before === undefined ? say(one, [keep(one.record), ...(also ?? [])], priority) : sayAgain(one, priority);
    await one.planned;
    return waitFor(one, AbortSignal.any([signal, live.abort.signal]));
  }

  /** Resolves when it is planned; what becomes of it then is known later. */
  function say(one: Open, also: readonly Change[], priority: Priority | undefined): Promise<void> {
    const { run, step, to, dueAt } = one.record;
    return plan({ run, step, op: "send", to, draft: draftOf(one.record, one.record.text), ...(priority === undefined ? {} : { priority }), ...(dueAt === undefined ? {} : { expiresAt: dueAt }), also }, (receipt) => {
      if (receipt.state === "sent") { one.handed = true; one.refs = receipt.refs; }
      if (receipt.state === "failed") notSent(one, receipt.code, receipt.text);
    }).catch((error: unknown) => { fail(one, error); throw error; });
  }
  const draftOf = ({ form, id, seal, to }: Asked, text: string): Draft => asShown(questionDraft(text, form, id, seal), to, seal !== undefined);
  /** Comes to the row of an earlier process. One that waits longer than rows are kept was sent before. */
  async function sayAgain(one: Open, priority: Priority | undefined): Promise<void> {
    if ((await store.outboxRow(outboxKey(one.record, 0))) === undefined) one.handed = true;
    else await say(one, [], priority);
  }
  function plan(delivery: Delivery, then: (receipt: DeliveryReceipt) => void): Promise<void> {
    return new Promise((resolve, reject) => { deliver({ ...delivery, question: true, planned: resolve }).then((receipt) => { resolve(); then(receipt); }, reject); });
  }

  async function waitFor(one: Open, signal: AbortSignal): Promise<AskEnd | undefined> {
    const { run } = one.record;
    if (one.end !== undefined || one.gone || signal.aborted) return one.end;
    inbox().waits(run);
    look();
    let stop: (() => void) | undefined;
    try {
      return await new Promise<AskEnd | undefined>((resolve, reject) => {
        const waiter = { resolve, reject };
        const given = (): void => resolve(undefined);
        one.waiters.add(waiter);
        signal.addEventListener("abort", given, { once: true });
        stop = () => { one.waiters.delete(waiter); signal.removeEventListener("abort", given); };
      });
    } finally {
      stop?.();
      inbox().goesOn(run);
    }
  }

  /** What was not delivered within its time has timed out. */
  function notSent(one: Open, code = "MSG_002", text = "The question could not be delivered."): void {
    const { dueAt } = one.record;
    if (dueAt === undefined || clock.now() < dueAt) fail(one, new ChannelError(code as ErrorCode, {}, text));
  }
  /** It cannot be asked: nobody waits for an answer any more. */
  function fail(one: Open, error: unknown): void {
    if (one.end !== undefined || one.gone) return;
    leave(one);
    for (const { reject } of one.waiters) reject(error);
    insist(store, clock, [drop(one.record)], () => closed).catch(() => { /* Closed: the next process comes to the same end. */ });
  }
  function leave(one: Open): void {
    one.gone = true;
    all.delete(one.record.id);
  }

  const show = ({ record }: Open, end: AskEnd): void => ended(record, end, (text) => draftOf(record, text));
  /** The first end is the end. `seq`: receipt of what was said. */
  async function finish(one: Open, how: AskEnd, seq?: number): Promise<void> {
    const { run, step, id, seal } = one.record;
    const end = seal === undefined ? how : { ...how, bound: seal.bound };
    const { write, act } = reduce({ question: one.end === undefined && !one.gone ? "open" : "ended" }, { type: "answered", run, question: id, entry: { step, at: clock.now(), data: end }, ...(seq === undefined ? {} : { seq }) });
    await insist(store, clock, write, () => closed);
    if (act.type !== "use") return;
    one.end = end;
    inbox().run(run)?.journal.set(step, end);
    for (const { resolve } of one.waiters) resolve(end);
    show(one, end);
  }

  async function withdraw(question: string): Promise<void> {
    const one = all.get(question);
    if (one !== undefined) await inTurn(one, () => (one.end === undefined && !one.gone ? finish(one, { how: "timeout", withdrawn: true }) : Promise.resolve()));
  }

  const sameChat = (to: Address, { channel, account, chat }: Address): boolean => to.channel === channel && to.account === account && to.chat === chat;
  function may({ who }: Asked, { sender }: Message, trust: Trust): boolean {
    if (who.by === "owner") return trust === "owner";
    return who.by === "chat" ? trust !== "stranger" : sender.id === who.id;
  }
  /** What this message is to the question. Undefined: nothing. */
  function verdict({ record }: Open, message: Message): AskEnd | "again" | undefined {
    const { form, cancelWords, again } = record;
    const by = { id: message.sender.id, name: message.sender.name };
    const press = pressOf(message) ?? (record.seal === undefined ? undefined : codeOf(message));
    if (press !== undefined) {
      const read = readPress(form, press.choice);
      return read && { how: "answer", answer: { ...read, text: read.label ?? "", by, message } };
    }
    const grouped = message.at.kind === "group";
    // "@bot yes" is said to the bot as "yes" is.
    const text = grouped && message.addressed ? message.text.replace(/^\s*(?:<@[^>\s]{1,80}>|@\S{1,80})[\s,:]+/u, "") : message.text;
    if (cancelWords.some((word) => folded(word) === folded(text))) return { how: "cancelled", answer: { value: null, text, by, message } };
    if (message.action?.type === "command") return undefined;
    const loose = grouped && !message.addressed;
    // What people of a group say to each other is an answer only where it is one of the choices.
    const read = loose && form.kind !== "choice" ? undefined : readAnswer(form, text);
    if (read !== undefined) return { how: "answer", answer: { ...read, text, by, message } };
    return loose || text.trim() === "" || again.times <= 0 ? undefined : "again";
  }
  async function carryOut(one: Open, said: AskEnd | "again", seq: number): Promise<void> {
    if (said !== "again") return finish(one, said, seq);
    const { again, run, step, to } = one.record;
    const done: Change = { do: "receipt", seq, state: "done", reason: "it did not fit the question" };
    const record = { ...one.record, again: { ...again, times: again.times - 1 } };
    const draft = draftOf(record, again.text);
    one.record = record;
    await plan({ run, step: stepAgain(step, record.again.times), op: "send", to, draft, priority: "high", also: [done, ...(one.gone ? [] : [keep(record)])] }, () => undefined)
      .catch(() => insist(store, clock, [done], () => closed));
  }

  /** Was it handed to the platform? Words that come before are no answer to it. */
  async function isHanded(one: Open): Promise<boolean> {
    if (one.handed) return true;
    const row = await store.outboxRow(outboxKey(one.record, 0));
    if (row === undefined || row.state === "planned") return false;
    if (row.ref !== undefined) one.refs = [row.ref];
    one.handed = true;
    return true;
  }
  function take(one: Open, message: Message, trust: Trust, isPress: boolean): Promise<Received | undefined> {
    return inTurn(one, async () => {
      if (one.end !== undefined || one.gone || !(isPress || (await isHanded(one)))) return undefined;
      const said = verdict(one, message);
      if (said === undefined) return undefined;
      const receipt = await inbox().save(message, { trust, tainted: false }, `${LANE}${one.record.id}`);
      if (receipt === undefined) return "duplicate";
      await carryOut(one, said, receipt.seq);
      return "saved";
    });
  }

  /** A press of a question that has ended does nothing, and is no message either. The press that ended it may come again. */
  async function tooLate(message: Message, trust: Trust): Promise<Received> {
    const receipt = await inbox().save(message, { trust, tainted: false }, LANE);
    if (receipt === undefined) return "duplicate";
    await insist(store, clock, missed(receipt.seq), () => closed);
    return "refused";
  }
  const missed = (seq: number): readonly Change[] => reduce({ question: "ended" }, { type: "answered", run: "", question: "", entry: { step: "", at: clock.now(), data: null }, seq }).write;

  async function offer(message: Message, trust: Trust): Promise<Received | undefined> {
    const press = pressOf(message);
    if (press !== undefined) {
      const one = all.get(press.question);
      if (one !== undefined && !(sameChat(one.record.to, message.at) && may(one.record, message, trust) && press.nonce === one.record.seal?.nonce)) return "refused";
      return (one && (await take(one, message, trust, true))) ?? tooLate(message, trust);
    }
    if (message.kind !== "message" || all.size === 0) return undefined;
    const asked = [...all.values()].filter(({ record, end }) => end === undefined && sameChat(record.to, message.at) && record.to.thread === message.at.thread && may(record, message, trust));
    const named = ({ refs }: Open): number => (message.replyTo !== undefined && refs.includes(message.replyTo) ? 1 : 0);
    for (const one of asked.sort((a, b) => named(b) - named(a) || b.record.askedAt - a.record.askedAt)) {
      const received = await take(one, message, trust, false);
      if (received !== undefined) return received;
    }
    return undefined;
  }

  /** Ends what has had its time, and looks again when the next has. */
  function look(): void {
    cancelLook();
    if (closed || startedAt === undefined) return;
    const now = clock.now();
    const grace = startedAt + GRACE_MS;
    let next = Number.POSITIVE_INFINITY;
    for (const one of all.values()) {
      if (one.end !== undefined || one.record.dueAt === undefined) continue;
      const due = one.left ? Math.max(one.record.dueAt, grace) : one.record.dueAt;
      if (due > now) next = Math.min(next, due);
      else void inTurn(one, () => (one.end === undefined ? finish(one, { how: "timeout" }) : Promise.resolve())).catch(() => { /* Closed: the next process ends it. */ });
    }
    if (next < Number.POSITIVE_INFINITY) cancelLook = clock.after(Math.min(next - now, LOOK_MS), look);
  }

  return {
    ask, offer, withdraw,
    sealed: () => [...all.values()].flatMap(({ record, end, gone }) => (record.seal === undefined || end !== undefined || gone ? [] : [{ ...record, seal: record.seal }])),
    async byCode(question, message, trust) {
      const one = all.get(question);
      return one && (await take(one, message, trust, true));
    },
    add(node) {
      nodes.set(node, (nodes.get(node) ?? 0) + 1);
      return () => { const left = (nodes.get(node) ?? 1) - 1; if (left > 0) nodes.set(node, left); else nodes.delete(node); };
    },
    orphans: () => [...all.values()].flatMap(({ record, end }) => (end === undefined && !nodes.has(record.node) ? [record.run] : [])),
    undelivered({ run, key, error }) {
      for (const one of all.values()) if (one.record.run === run && outboxKey(one.record, 0) === key) notSent(one, error?.code, error?.text);
    },
    async load() {
      for (const [, value] of await store.list(QUESTIONS, "")) {
        const record = value as Asked;
        open(record, true);
        for (const seq of record.seqs) heads.set(seq, record.seqs[0] as number);
      }
    },
    start() {
      startedAt ??= clock.now();
      look();
    },
    close() {
      closed = true;
      cancelLook();
    },
    takes(receipt) {
      if (!receipt.lane.startsWith(LANE)) return false;
      unread.push(receipt);
      return true;
    },
    async deal() {
      // A store that was repaired or brought back may know of questions whose message has ended.
      for (const one of [...all.values()]) {
        if ((await store.receipt(one.record.seqs[0] as number))?.state === "pending") continue;
        leave(one);
        await store.commit([drop(one.record)]);
      }
      for (const { seq, lane, message } of unread.splice(0)) {
        const one = all.get(lane.slice(LANE.length));
        const said = one === undefined || one.end !== undefined ? undefined : verdict(one, message);
        if (one !== undefined && said !== undefined) await inTurn(one, () => carryOut(one, said, seq));
        else await store.commit(missed(seq));
      }
    },
    headOf: (seq) => heads.get(seq),
    broken: (seq) => ([...all.values()].some(({ record, end }) => end === undefined && record.seqs.includes(seq) && !nodes.has(record.node)) ? ORPHAN : undefined),
    forget(seq, run) {
      return [...all.values()].filter(({ record }) => record.seqs[0] === seq && (run === undefined || record.run === run)).map((one) => {
        leave(one);
        for (const { resolve } of one.waiters) resolve(undefined);
        if (one.end === undefined) show(one, { how: "timeout", withdrawn: true });
        return drop(one.record);
      });
    },
  };
}
