/** The agents of a gateway together: who answers in which chat, with which model, and whom one may ask or hand a talk over to. */
import { lesser, type Amount, type Budgets } from "./budget.ts";
import type { Clock } from "./clock.ts";
import { ClawError } from "./errors.ts";
import { sessionKey, type Address, type DraftFile, type Message, type SessionScope } from "./message.ts";
import type { Usage } from "./models/model.ts";
import type { Steps } from "./steps.ts";
import { runId, type Change, type Receipt, type Store } from "./store/store.ts";
import type { CallContext, Tool, Trust } from "./tool.ts";
import type { ToolChoice } from "./tools.ts";

/** What one agent is asked: by a person, or by another agent in a person's name. Trust and taint are the person's. */
export interface Asked {
  readonly run: string;
  /** Names the step of the run that this answer is. */
  readonly step: string;
  readonly message: Message;
  readonly text: string;
  readonly files?: readonly DraftFile[];
  readonly trust: Trust;
  readonly tainted: boolean;
  readonly signal: AbortSignal;
  /** Handles of the agents that ask, the first one first. Empty: a person does. */
  readonly chain: readonly string[];
  /** How often the talk was handed over in this run. */
  readonly handed: number;
  /** The message as the flow left it, and values for prompt templates. */
  readonly said: Message;
  readonly data: Readonly<Record<string, unknown>>;
  /** Limits of whoever asks for all of this message: they hold for the asked one too. */
  readonly most?: Partial<Amount>;
  /** Shows the answer as it grows, where somebody watches. */
  show?(text: string): void;
  /** Waits for a person, without whoever asks running out of time or keeping others waiting. */
  aside?<T>(act: () => Promise<T>): Promise<T>;
}
export interface Answered {
  readonly text: string;
  /** Files that its tools made for the answer. */
  readonly files?: readonly DraftFile[];
  readonly rounds: number;
  readonly usage: Usage;
  /** Outside text is in it. */
  readonly tainted: boolean;
  /** The lowest of all whose words are in it. */
  readonly trust: Trust;
  /** Settles when it is on disk. */
  readonly saved: Promise<unknown>;
  /** It does not answer itself: this agent does, from now on. `note`: what it should know. */
  readonly handsOver?: HandOver;
}
export interface HandOver { readonly to: string; readonly note: string }

/** An agent as the others see it. */
export interface AgentView {
  /** Under which name it remembers. */
  readonly name: string;
  readonly scope: SessionScope;
  /** Names it among the agents of its gateway; letters, digits and "-". */
  readonly handle?: string;
  /** As people call it. */
  readonly label?: string;
  /** What other agents are told about it. */
  readonly about?: string;
  readonly model?: { readonly id: string; readonly label: string };
  /** Those an owner may choose in a chat. */
  readonly models?: readonly { readonly id: string; readonly label: string }[];
  readonly timeoutMs?: number;
  /** What it may use. */
  readonly budgets?: Budgets;
  answer?(asked: Asked): Promise<Answered>;
}
/** Who has a chat since a hand-over; `by`: those who had it before, the first one first. Nobody in particular once it is `over`. `run`: which made it, and who began that run: a replay begins alike. */
interface Held { readonly to: string; readonly by: readonly string[]; readonly at: number; readonly run: string; readonly first: string; readonly over?: true }

export interface Team {
  /** The agent a chat was handed over to, while that agent is there. */
  holder(at: Address): Promise<{ readonly handle: string; readonly label: string } | undefined>;
  labelOf(handle: string): string;
  /** Where a chat is held, one agent node speaks for a message, however many get it: the first that comes. */
  isMine(node: string, handle: string, receipt: Pick<Receipt, "seq" | "secret" | "message">): Promise<boolean>;
  /** The first agent answers again. */
  takeBack(at: Address): Promise<void>;
  /** All sessions of all agents that this message belongs to. */
  sessionsOf(message: Message): string[];
  sessionOf(view: Pick<AgentView, "name" | "scope">, message: Message, chain: readonly string[]): string;
  /** By agent with what model it answers there. */
  models(message: Message): Promise<{ readonly agent: string; readonly model: string }[]>;
  /** The models that an owner may choose, of all agents. */
  choices(): { readonly id: string; readonly label: string }[];
  choose(message: Message, id: string): { readonly write: readonly Change[]; readonly agents: readonly string[] };
  /** Id of the model that was chosen for this agent there. */
  chosen(view: AgentView, message: Message): Promise<string | undefined>;
  /** The tools by which `me` reaches the agents it may ask or hand over to. */
  tools(me: AgentView & { readonly handle: string }, choices: readonly ToolChoice[], asked: Asked): Promise<Tool[]>;
  /** Lets `me`, or whoever the chat was handed over to, answer; and whoever it hands over to. Handles may be the same by mistake: `me` is itself all the same. `by`: the handle of who answered. */
  speak(me: AgentView & { readonly handle: string }, asked: Asked): Promise<Answered & { readonly by: string }>;
}
export interface TeamOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly agents: ReadonlyMap<string, AgentView>;
  readonly once: Steps["once"];
  /** A chat has changed hands. */
  onHandOver(at: Address, from: string, to: string): void;
}

/** An agent asks an agent asks an agent: so many below the one a person talks to. */
export const MAX_DEPTH = 3;
/** In one run; more often they pass it to and fro. */
const MAX_HANDED = 3;
const HELD = "hand-over";
const CHOSEN = "model";

const words = (name: string, description: string): Tool["parameters"] => ({ type: "object", properties: { [name]: { type: "string", description } }, required: [name], additionalProperties: false });
const QUESTION = words("question", "All it needs to know: it does not see this talk.");
const NOTE = words("note", "What the other agent should know.");

export const toolName = (verb: string, handle: string): string => `${verb}_${handle.replace(/[^a-zA-Z0-9]+/g, "_")}`.slice(0, 64);

export function createTeam({ store, clock, agents, once, onHandOver }: TeamOptions): Team {
  const find = (handle: string): AgentView | undefined => [...agents.values()].find((view) => view.handle === handle);
  const labelOf = (view: AgentView): string => view.label ?? view.handle ?? view.name;
  const placeOf = ({ channel, account, chat, thread = "" }: Address): string => [channel, account, chat, thread].map(encodeURIComponent).join("/");
  const sessionOf: Team["sessionOf"] = ({ name, scope }, message, chain) => {
    const own = sessionKey(message, scope, name);
    // What an agent is told by another is not what the person said to it.
    return chain.length === 0 ? own : `${own}:for:${encodeURIComponent(chain.at(-1) as string)}`;
  };
  const lastAt = async (at: Address): Promise<Held | undefined> => (await store.get(HELD, placeOf(at))) as Held | undefined;
  const heldAt = async (at: Address): Promise<Held | undefined> => { const held = await lastAt(at); return held?.over === true ? undefined : held; };
  const chosen: Team["chosen"] = async ({ name, scope, models = [] }, message) => {
    if (models.length === 0) return undefined;
    const id = await store.get(CHOSEN, sessionKey(message, scope, name));
    return models.some((model) => model.id === id) ? (id as string) : undefined;
  };

  const isPartOf = ({ to, by }: Held, handle: string): boolean => to === handle || by.includes(handle);
  /** Resolves to whoever has the chat now: the first that is named in this answer. What changes hands is one commit with the step that says so, so a crash leaves neither half. */
  async function handOver({ run, step, message: { at } }: Asked, from: string, to: string): Promise<string> {
    let isNew = false;
    const now = await once(run, `${step} hands over`, async () => {
      isNew = true;
      const last = await lastAt(at);
      const by = last === undefined || last.over === true ? [] : last.by;
      const before = by.indexOf(to);
      // Whoever had it before has it back; nobody comes twice.
      const value: Held = { to, by: before >= 0 ? by.slice(0, before) : [...by.filter((one) => one !== from), from], at: clock.now(), run, first: last?.run === run ? last.first : from, ...(before === 0 ? { over: true } : {}) };
      return { data: to, also: [{ do: "set", space: HELD, key: placeOf(at), value }] };
    });
    if (isNew) onHandOver(at, from, to);
    return now;
  }

  function base(name: string, description: string, parameters: Tool["parameters"]): Omit<Tool, "call"> {
    // It changes nothing by itself: what the other agent does is held against the same person's rights, call by call.
    return { name, description, parameters, tags: [], risk: "read", readsPrivate: false, talksOutside: false, shared: true, timeoutMs: 30_000 };
  }
  function askTool(me: AgentView & { readonly handle: string }, other: AgentView & { handle: string }, asked: Asked): Tool {
    const about = other.about === undefined || other.about === "" ? "" : ` ${other.about}`;
    return {
      ...base(toolName("ask", other.handle), `Asks the agent ${labelOf(other)} and gives its answer.${about}`, QUESTION),
      timeoutMs: (other.timeoutMs ?? 120_000) + 5_000,
      async call(input, context: CallContext, signal) {
        const chain = [...asked.chain, me.handle];
        if (chain.includes(other.handle)) throw new ClawError("AGENT_004", {}, `Expected an agent that is not asking already, got ${[...chain, other.handle].join(" → ")}. Answer yourself.`);
        if (chain.length > MAX_DEPTH) throw new ClawError("AGENT_004", {}, `Expected at most ${MAX_DEPTH} agents to ask one another, got ${[...chain, other.handle].join(" → ")}. Answer yourself.`);
        const view = find(other.handle);
        if (view?.answer === undefined) throw new ClawError("AGENT_004", {}, `Expected the agent "${labelOf(other)}" to be there, but it is gone.`);
        const result = await view.answer({ run: context.run, step: context.call, message: context.message, text: String((input as { question?: unknown }).question ?? ""), trust: context.trust, tainted: context.tainted, signal, chain, handed: 0, said: asked.said, data: asked.data, most: lesser(me.budgets?.run, asked.most), ...(context.aside === undefined ? {} : { aside: context.aside }) });
        await result.saved;
        return { text: result.text, tainted: result.tainted, trust: result.trust };
      },
    };
  }
  function handOverTool(me: string, other: AgentView & { handle: string }, asked: Asked, name = toolName("hand_over_to", other.handle)): Tool {
    return {
      ...base(name, `Hands this talk over: ${labelOf(other)} answers the person from now on.${other.about ? ` ${other.about}` : ""}`, NOTE),
      async call(input) {
        if (asked.handed >= MAX_HANDED) throw new ClawError("AGENT_004", {}, `Expected a talk to be handed over at most ${MAX_HANDED} times for one message. Answer yourself.`);
        const to = await handOver(asked, me, other.handle);
        if (to !== other.handle) throw new ClawError("AGENT_004", {}, `Expected a talk to be handed over to one agent, but ${team.labelOf(to)} has it already.`);
        return { text: `${labelOf(other)} has this talk now.`, handsOver: { to, note: String((input as { note?: unknown }).note ?? "") } };
      },
    };
  }

  const team: Team = {
    sessionOf, chosen,
    async holder(at) {
      const held = await heldAt(at);
      const view = held && find(held.to);
      return view?.handle === undefined ? undefined : { handle: view.handle, label: labelOf(view) };
    },
    labelOf: (handle) => { const view = find(handle); return view === undefined ? handle : labelOf(view); },
    async isMine(node, handle, receipt) {
      const held = await heldAt(receipt.message.at);
      if (held === undefined || !isPartOf(held, handle)) return true;
      return (await once(runId(receipt, "team"), "speaker", async () => ({ data: node }))) === node;
    },
    async takeBack(at) {
      const held = await heldAt(at);
      if (held === undefined) return;
      await store.commit([{ do: "set", space: HELD, key: placeOf(at), value: undefined }]);
      onHandOver(at, held.to, held.by[0] ?? "");
    },
    sessionsOf(message) {
      const views = [...agents.values()];
      const handles = views.flatMap(({ handle }) => handle ?? []);
      return [...new Set(views.flatMap((view) => [sessionOf(view, message, []), ...handles.filter((handle) => handle !== view.handle).map((handle) => sessionOf(view, message, [handle]))]))];
    },
    async models(message) {
      const all: { agent: string; model: string }[] = [];
      for (const view of agents.values()) {
        const id = await chosen(view, message);
        const model = view.models?.find((one) => one.id === id) ?? view.model;
        if (model !== undefined) all.push({ agent: labelOf(view), model: model.label });
      }
      return all;
    },
    choices: () => [...new Map([...agents.values()].flatMap(({ models = [] }) => models).map((model) => [model.id, model])).values()],
    choose(message, id) {
      const meant = [...agents.values()].filter(({ models = [] }) => models.some((model) => model.id === id));
      return { write: meant.map(({ name, scope }): Change => ({ do: "set", space: CHOSEN, key: sessionKey(message, scope, name), value: id })), agents: meant.map(labelOf) };
    },
    async tools(me, choices, asked) {
      const others = [...agents.values()].filter((view): view is AgentView & { handle: string } => view.handle !== undefined && view.handle !== me.handle && view.answer !== undefined);
      const named = (by: ToolChoice["by"]) => others.filter(({ handle }) => choices.some((choice) => choice.by !== "all" && choice.by === by && choice.value === handle));
      const tools = named("agent").map((other) => askTool(me, other, asked));
      // Whoever is asked by an agent does not speak with the person.
      if (asked.chain.length > 0) return tools;
      const over = named("handover");
      const held = await heldAt(asked.message.at);
      const before = held?.to === me.handle ? others.find(({ handle }) => handle === held.by.at(-1)) : undefined;
      return [...tools, ...over.map((other) => handOverTool(me.handle, other, asked)), ...(before === undefined ? [] : [handOverTool(me.handle, before, asked, "hand_back")])];
    },
    async speak(me, asked) {
      const first = me.handle;
      const answerOf = (handle: string) => (handle === first ? me : find(handle))?.answer;
      const last = await lastAt(asked.message.at);
      const meant = last !== undefined && (isPartOf(last, first) || last.first === first) ? last : undefined;
      const began = meant?.run === asked.run ? meant.first : meant === undefined || meant.over === true ? first : meant.to;
      let who = answerOf(began) === undefined ? first : began;
      for (let handed = 0, now = asked; ; handed++) {
        const answer = answerOf(who);
        if (answer === undefined) throw new ClawError("AGENT_004", {}, `Expected the agent "${who}" to be there, but it is gone.`);
        const result = await answer({ ...now, handed });
        if (result.handsOver === undefined) return { ...result, by: who };
        await result.saved;
        who = result.handsOver.to;
        const { note } = result.handsOver;
        now = { ...asked, tainted: asked.tainted || result.tainted, trust: result.trust, step: `${asked.step} handed ${handed + 1}`, text: note === "" ? asked.text : `${asked.text}\n\n[${note}]` };
      }
    },
  };
  return team;
}
