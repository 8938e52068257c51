/** A house whose agents are run as the agent node runs them: the real gateway, policy and approvals; only the model, the platform and the clock are a test's own. */
import { compileTemplate, runAgent, type AgentEvent } from "../../engine/agent.ts";
import { createGateway, type Gateway, type GatewayAccount } from "../../engine/gateway.ts";
import type { Run } from "../../engine/inbox.ts";
import { sessionKey, type Address } from "../../engine/message.ts";
import type { Model } from "../../engine/models/model.ts";
import { takeTurn } from "../../engine/session-turn.ts";
import type { Store } from "../../engine/store/store.ts";
import type { Tool, Trust } from "../../engine/tool.ts";
import { manualClock, message, scriptedChannel, settle, type ScriptedChannel } from "../kit/scripted.ts";

/** What a tool really did. */
export interface Effect { readonly tool: string; readonly input: unknown; readonly run: string; readonly trust: Trust; readonly tainted: boolean }

export interface HouseOptions {
  openStore(): Promise<Store>;
  /** The model that answers this run; asked anew when a run begins again. */
  modelOf(run: Run): Model;
  readonly buttons?: number;
  readonly allow?: readonly string[];
  readonly settings?: { readonly maxRounds?: number; readonly timeoutMs?: number };
}

/** Two accounts: "acc" where people talk, and "own", another bot of the same gateway. */
export const ACCOUNTS = ["acc", "own"] as const;

export function toolOf(name: string, effects: Effect[], more: Partial<Tool> = {}): Tool {
  return {
    name, description: `Does ${name}.`, parameters: { type: "object" }, tags: [], risk: "dangerous", readsPrivate: false, talksOutside: false, shared: false, timeoutMs: 1_000,
    async call(input, context) {
      effects.push({ tool: name, input, run: context.run, trust: context.trust, tainted: context.tainted });
      return { text: `${name} done` };
    },
    ...more,
  };
}

export async function approvalHouse({ openStore, modelOf, buttons = 8, allow = ["u1", "u2"], settings = {} }: HouseOptions) {
  const hands = manualClock();
  let ahead = 0;
  /** `jump` turns the clock on the wall alone. */
  const clock = { ...hands, now: () => hands.now() + ahead, jump(ms: number) { ahead += ms; } };
  const channels = new Map<string, ScriptedChannel>(ACCOUNTS.map((id) => [id, Object.assign(scriptedChannel({ limits: { text: 4_000 } }), { shows: { buttons } })]));
  const tools = new Map<string, Tool>();
  const events: AgentEvent[] = [];
  const answers: { readonly run: string; readonly text: string }[] = [];
  const faults: string[] = [];
  let gateway: Gateway;
  let asking: () => void;

  async function pass(run: Run): Promise<void> {
    const own = gateway;
    const { receipt } = run;
    const step = own.step(run.id, "agent", "", run.pass);
    try {
      const { text } = await own.join(run.id, step, () => answer(own, run, step));
      answers.push({ run: run.id, text });
      await own.deliver({ run: run.id, step: `${step}/out`, op: "send", to: receipt.message.at, draft: { text } });
      own.settle(run.id);
    } catch (error) {
      faults.push((error as Error).message);
      own.settle(run.id, { fault: (error as Error).message });
    }
  }
  async function answer(own: Gateway, run: Run, step: string) {
    const { receipt } = run;
    const session = sessionKey(receipt.message, "account-channel-peer", "agent");
    const turn = await takeTurn(own.sessions, session, run.id, run.abort.signal);
    try {
      const [history, tainted, trust] = await Promise.all([own.sessions.history(session, 40, 0), own.sessions.tainted(session), own.sessions.trust(session, receipt.trust)]);
      return await runAgent({ run: run.id, message: receipt.message, text: receipt.message.text, trust, tainted: receipt.tainted || tainted, data: {} }, { system: compileTemplate(""), context: compileTemplate(""), maxRounds: 8, timeoutMs: 60_000, ...settings }, {
        clock, model: modelOf(run), tools: [...tools.values()], history, live: false, signal: run.abort.signal,
        once: (name, act, unknown) => own.once(run.id, `${step} ${name}`, act, unknown),
        approve: (call) => turn.aside(() => own.approvals.ask({ ...call, run: run.id, step: `${step} ${call.step}`, node: "agent", session, message: receipt.message, current: () => tools.get(call.tool.name), signal: run.abort.signal })),
        remember: (turns, taint) => [...own.sessions.changes(session, run.id, clock.now(), turns, taint), ...own.sessions.spoke(session, receipt.trust)],
        remembered: (turns, taint, saved) => own.sessions.added(session, turns, taint, saved),
        on: (event) => { events.push(event); },
      });
    } finally {
      turn.end();
    }
  }

  async function start(): Promise<void> {
    gateway = await createGateway({
      store: await openStore(), clock, random: () => 0.5, limits: () => ({ notice: "none" }), spool: { sweep: async () => 0 } as never, fetchFor: async () => fetch,
      texts: { claimed: "owner", notice: () => "lost" }, log: () => undefined,
    });
    asking = gateway.asks.add("agent");
    gateway.inbox.add({ id: "in", gatherMs: 0, covers: () => true, matches: () => true, emit: (run) => { void pass(run); } });
    await gateway.setAccounts(ACCOUNTS.map((id) => ({ account: { id, channel: "scripted", name: id, settings: {}, policy: { policy: "list", allow } } satisfies GatewayAccount, channel: channels.get(id) as ScriptedChannel })));
    await settle();
    gateway.start();
    await settle(30);
  }
  await start();

  const direct = (account: string, chat: string): Address => ({ channel: "scripted", account, chat, kind: "direct" });
  const say = async (text: string, more: Parameters<typeof message>[0] = {}): Promise<string> => {
    const about = message({ text, ...more });
    const received = await channels.get(about.at.account)?.context?.receive(about);
    await settle(30);
    return received ?? "no account";
  };
  /** What was sent at an account, newest last. */
  const sent = (account = "acc") => channels.get(account)?.sent ?? [];
  const questions = (account = "acc") => sent(account).filter(({ text }) => /^title/.test(text));
  /** Until no run is at work; those that wait for a person stand still. */
  async function quiet(): Promise<void> {
    do await settle(4); while ([...gateway.inbox.runs()].some(({ waits }) => waits === 0) || gateway.inbox.size > 0);
  }
  return {
    clock, channels, tools, events, answers, faults, say, sent, questions, direct, quiet,
    get gateway() { return gateway; },
    owner: (id: string, account = "acc", at: Address | undefined = direct(account, `chat-${id}`)) => gateway.people.set({ channel: "scripted", account, id, name: id, trust: "owner", ...(at === undefined ? {} : { at }) }),
    person: (id: string, trust: Trust, account = "acc") => gateway.people.set({ channel: "scripted", account, id, name: id, trust }),
    code: (nth = -1, account = "acc"): string => /code ([0-9A-Z]{4}) \d+/.exec(questions(account).at(nth)?.text ?? "")?.[1] ?? "",
    press(label: string, { nth = -1, account = "acc", ...more }: Parameters<typeof message>[0] & { nth?: number; account?: string } = {}) {
      const question = questions(account).at(nth);
      const button = question?.draft?.buttons?.flat().find((one) => one.label === label);
      if (question === undefined || button?.value === undefined) throw new Error(`no button ${label}`);
      return say("", { kind: "action", action: { type: "button", value: button.value, label }, at: question.to, ...more });
    },
    /** As a crash ends it, and the next process begins. */
    async restart(between: () => Promise<void> = async () => undefined) {
      gateway.inbox.rest = async () => undefined;
      gateway.stop();
      await gateway.close();
      await between();
      await start();
    },
    async end() { asking(); await gateway.close(); },
  };
}
