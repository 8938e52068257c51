/**
 * Approval of tool calls. Where the policy says "ask", an owner is asked in a chat of theirs, as durably as any question (asks.ts); the model is told what came of it.
 * An answer holds for one call: this tool as it is defined, these arguments, this talk. Only an owner's platform id gives it, by a button or a code; nothing a model writes does.
 */
import { hash, randomBytes } from "node:crypto";
import { LANE, type AskEnd, type Asks } from "./asks.ts";
import { codeOf, type Choice, type Seal } from "./answers.ts";
import { approvalText, callText, canonical, type ApprovalWords } from "./approval-text.ts";
import type { Received } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";
import { ToolError } from "./errors.ts";
import type { Inbox } from "./inbox.ts";
import type { Address, Message } from "./message.ts";
import type { Delivery } from "./outbox.ts";
import type { People } from "./people.ts";
import type { Change, Step, Store } from "./store/store.ts";
import type { Tool, Trust } from "./tool.ts";

/** A call that an owner has to approve. */
export interface ApprovalAsked {
  readonly run: string;
  /** Of the run; the same after a restart. */
  readonly step: string;
  /** The agent's node. Once it is gone, its runs are dead letters. */
  readonly node: string;
  readonly session: string;
  readonly tool: Tool;
  readonly input: unknown;
  /** The lowest of all whose text is in the context. */
  readonly trust: Trust;
  readonly tainted: boolean;
  /** Of the policy: which cell said "ask". */
  readonly rule: string;
  /** The message that began the run. */
  readonly message: Message;
  /** Texts in the context that are not the owner's or a paired person's. */
  outside(): readonly string[];
  /** The tool of this name as it is now; undefined: it is gone. */
  current(): Tool | undefined;
  readonly signal: AbortSignal;
}
/** `tool`: as it is now, and as it was when it was asked about. `refused`: what the model reads. */
export type Approved = { readonly tool: Tool } | { readonly refused: string };

/** A call that an owner allowed once for all. */
export interface AlwaysAllowed { readonly key: string; readonly tool: string; readonly call: string; readonly person: string; readonly by: string; readonly at: number }

export interface ApprovalsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly asks: Asks;
  readonly people: People;
  inbox(): Inbox;
  /** There is an account of this name. */
  isAccount(id: string): boolean;
  deliver(delivery: Delivery): Promise<unknown>;
  once<T>(run: string, step: string, act: () => Promise<Step<T>>): Promise<T>;
  /** Asked each time: how long an approval waits, in milliseconds. */
  waitMs(): number;
  readonly words: ApprovalWords;
  log(level: "debug" | "info" | "warn", text: string): void;
}
export interface Approvals {
  /** Resolves when the call is decided; the decision is on disk then, and the same after a restart. Throws when the run is given up. */
  ask(asked: ApprovalAsked): Promise<Approved>;
  /** Is this "/approve 7K3Q" or "/deny 7K3Q" of an owner? Undefined: it is a message like any other. */
  offer(message: Message, trust: Trust): Promise<Received | undefined>;
  always(): Promise<AlwaysAllowed[]>;
  forget(key: string): Promise<void>;
  /** Reads what an earlier process left. */
  load(): Promise<void>;
}

type Outcome = "approved" | "always" | "denied" | "timeout" | "withdrawn" | "crowded" | "nobody" | "unsent";
interface Ruling { readonly how: Outcome; readonly bound: string }

export const APPROVAL_MS = 10 * 60_000;
const MAX_OPEN = 3;
const MAX_PER_HOUR = 10;
const HOUR = 3_600_000;
/** Wrong codes while something is open; then all that is open is withdrawn. */
const MAX_WRONG = 5;
const SPACE = "approvals";
const ALWAYS = "always";
/** No two of these look or sound alike. */
const ALPHABET = "346789ACDEFGHJKMNPQRTWXY";
const CODE_LENGTH = 4;
const APPROVE = "approve";
const ALWAYS_VALUE = "always";

const digest = (value: unknown): string => hash("sha256", canonical(value), "base64url");
function definition({ name, description, parameters, risk, readsPrivate, talksOutside, shared }: Tool): unknown {
  return { name, description, parameters, risk, readsPrivate, talksOutside, shared };
}
/** All that an approval holds for. */
function boundTo({ session, input, trust, tainted, rule }: ApprovalAsked, tool: Tool): string {
  return digest({ tool: definition(tool), input, session, trust, tainted, rule });
}
/** Which call an owner's "always" is about: for this person, where the policy speaks by the same rule. */
function alwaysKey({ tool, input, rule, message: { at, sender } }: ApprovalAsked): string {
  return digest({ tool: definition(tool), input, rule, person: [at.channel, at.account, sender.id] });
}
const mayBeAlways = ({ tool, tainted }: ApprovalAsked): boolean => !(tainted && tool.risk !== "read" && tool.risk !== "write");

function freshSeal(bound: string, taken: ReadonlySet<string>): Seal {
  for (;;) {
    // 256 is no multiple of 24: what is beyond the last whole multiple is drawn again.
    const code = [...randomBytes(64)].filter((byte) => byte < 240).slice(0, CODE_LENGTH).map((byte) => ALPHABET[byte % ALPHABET.length]).join("");
    if (code.length === CODE_LENGTH && !taken.has(code)) return { nonce: randomBytes(16).toString("base64url"), code, bound };
  }
}

export function createApprovals({ store, clock, asks, people, words, ...options }: ApprovalsOptions): Approvals {
  /** When the last were asked, Unix milliseconds. */
  let times: number[] = [];
  let wrong = 0;

  /** A chat of an owner: where they are asked. The own chat of an owner who asks is the nearest. */
  function ownerChat(message: Message): Address | undefined {
    const origin = message.to ?? message.at;
    if (origin.kind === "direct" && message.to === undefined && options.isAccount(origin.account) && people.trustOf(message) === "owner") return origin;
    return people.ownerOf(origin.account)?.at ?? people.all().find(({ trust, at }) => trust === "owner" && at !== undefined && options.isAccount(at.account))?.at;
  }

  /** Too many at once would make people press without reading. */
  function isCrowded(now: number): boolean {
    times = times.filter((at) => at > now - HOUR && at <= now);
    return asks.sealed().length >= MAX_OPEN || times.length >= MAX_PER_HOUR;
  }

  async function rule(asked: ApprovalAsked): Promise<Ruling> {
    const bound = boundTo(asked, asked.tool);
    if (mayBeAlways(asked) && (await store.get(ALWAYS, alwaysKey(asked))) !== undefined) return { how: "always", bound };
    const to = ownerChat(asked.message);
    if (to === undefined) return { how: "nobody", bound };
    const now = clock.now();
    const open = asks.sealed();
    const again = open.some(({ run, step }) => run === asked.run && step === questionStep(asked)) || options.inbox().run(asked.run)?.journal.has(questionStep(asked)) === true;
    if (!again && isCrowded(now)) return { how: "crowded", bound };
    if (!again) times = [...times, now];
    const end = await put(asked, to, freshSeal(bound, new Set(open.map(({ seal }) => seal.code)))).catch((error: Error) => { options.log("warn", `approval: ${error.message}`); return null; });
    if (end === undefined) throw new ToolError("TOOL_002", {}, "stopped while it waited for an approval");
    const how = end === null ? "unsent" : outcome(end, bound);
    if (end !== null && end.how === "answer" && end.bound === bound) await told(asked, end, how);
    return { how, bound };
  }
  const questionStep = ({ step }: ApprovalAsked): string => `${step} question`;

  function put(asked: ApprovalAsked, to: Address, seal: Seal): Promise<AskEnd | undefined> {
    const { run, node, tool, input, trust, tainted, message, signal } = asked;
    const waitMs = options.waitMs();
    const choices: Choice[] = [{ label: words("approve"), value: APPROVE }, { label: words("deny"), value: "deny" }];
    if (mayBeAlways(asked)) choices.push({ label: words("always"), value: ALWAYS_VALUE });
    const who = { name: message.sender.name, trust, channel: message.at.channel };
    return asks.ask({
      run, step: questionStep(asked), node, to, who: { by: "owner" }, form: { kind: "sealed", choices }, seal, waitMs,
      text: approvalText({ tool: tool.name, risk: tool.risk, input, who, tainted, outside: tainted ? asked.outside() : [], code: seal.code, waitMs }, words),
      again: { text: "", times: 0 }, cancelWords: [], signal, priority: "high", also: [{ do: "set", space: SPACE, key: "asked", value: times }],
    });
  }

  function outcome(end: AskEnd, bound: string): Outcome {
    if (end.bound !== bound) return "withdrawn";
    if (end.how === "timeout") return end.withdrawn === true ? "withdrawn" : "timeout";
    return end.how === "answer" && (end.answer.value === APPROVE || end.answer.value === ALWAYS_VALUE) ? "approved" : "denied";
  }
  /** What follows from an owner's word beside the call: an "always" is kept, and who answered elsewhere than where the agent's answer comes hears of it. */
  async function told(asked: ApprovalAsked, { answer: { value, by, message } }: Extract<AskEnd, { answer: unknown }>, how: Outcome): Promise<void> {
    if (value === ALWAYS_VALUE && mayBeAlways(asked)) {
      const kept: Omit<AlwaysAllowed, "key"> = { tool: asked.tool.name, call: callText(asked.input), person: asked.message.sender.name, by: by.name, at: clock.now() };
      await store.commit([{ do: "set", space: ALWAYS, key: alwaysKey(asked), value: kept }]);
    }
    const origin = asked.message.to ?? asked.message.at;
    if (message.at.account === origin.account && message.at.chat === origin.chat) return;
    const draft = { text: `${words(how === "approved" ? "saidApproved" : "saidDenied")}: ${asked.tool.name}`, plain: true };
    options.deliver({ run: asked.run, step: `${asked.step} said`, op: "send", to: message.at, draft, question: true }).catch((error: Error) => options.log("debug", `approval: ${error.message}`));
  }

  /** A wrong code: counted, answered, and the fifth withdraws all that is open. Once for each message, however often the platform brings it. */
  async function mistaken(message: Message, trust: Trust, code: string): Promise<Received> {
    const receipt = await options.inbox().save(message, { trust, tainted: false }, LANE);
    if (receipt === undefined) return "duplicate";
    const open = asks.sealed();
    wrong = open.length === 0 ? 0 : wrong + 1;
    const locked = wrong >= MAX_WRONG;
    if (locked) wrong = 0;
    const also: Change[] = [{ do: "receipt", seq: receipt.seq, state: "done", reason: "a code that fits no open approval" }, { do: "set", space: SPACE, key: "wrong", value: wrong }];
    if (locked) for (const { id } of open) await asks.withdraw(id);
    const text = locked ? words("locked") : `${words("unknownCode")}: ${code}`;
    await new Promise<void>((resolve, reject) => { options.deliver({ run: "", step: `approval/${message.at.account}/${message.id}`, op: "send", to: message.at, draft: { text, plain: true }, also, planned: resolve }).then(() => resolve(), reject); });
    return "saved";
  }

  return {
    async ask(asked) {
      const { how, bound } = await options.once(asked.run, `${asked.step} ruling`, async () => ({ data: await rule(asked) }));
      if (how !== "approved" && how !== "always") return { refused: refusalOf(how, asked.tool.name) };
      const tool = asked.current();
      return tool !== undefined && boundTo(asked, tool) === bound ? { tool } : { refused: refusalOf("withdrawn", asked.tool.name) };
    },
    async offer(message, trust) {
      const said = trust === "owner" ? codeOf(message) : undefined;
      if (said === undefined) return undefined;
      const meant = asks.sealed().find(({ seal, to }) => seal.code === said.code && (message.at.kind === "direct" || (to.account === message.at.account && to.chat === message.at.chat)));
      const taken = meant && (await asks.byCode(meant.id, message, trust));
      if (taken === undefined) return mistaken(message, trust, said.code);
      wrong = 0;
      return taken;
    },
    async always() {
      return (await store.list(ALWAYS, "")).map(([key, value]) => ({ ...(value as Omit<AlwaysAllowed, "key">), key }));
    },
    async forget(key) { await store.commit([{ do: "set", space: ALWAYS, key, value: undefined }]); },
    async load() {
      const [asked, tries] = await Promise.all([store.get(SPACE, "asked"), store.get(SPACE, "wrong")]);
      times = Array.isArray(asked) ? asked.filter((at) => typeof at === "number") : [];
      wrong = typeof tries === "number" ? tries : 0;
    },
  };
}

/** For the model: what became of the call, and what to do now. */
function refusalOf(how: Exclude<Outcome, "approved" | "always">, name: string): string {
  const why: Record<typeof how, string> = {
    denied: `The owner denied "${name}". It was not done. Do not try it again by yourself.`,
    timeout: `The owner did not answer in time whether "${name}" may run. It was not done.`,
    withdrawn: `The approval of "${name}" is void: the tool, its arguments or the talk changed, or wrong codes were tried. It was not done.`,
    crowded: `"${name}" needs the owner's approval, and too many approvals are open or were asked in the last hour. It was not done.`,
    nobody: `"${name}" needs the owner's approval, and no owner can be asked. It was not done.`,
    unsent: `"${name}" needs the owner's approval, and the question could not be delivered. It was not done.`,
  };
  return `[TOOL_004] ${why[how]} Tell the user so.`;
}
