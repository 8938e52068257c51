/** Agent: answers a message with a model and tools that are flows. */
import { compileTemplate, runAgent, type AgentEvent, type AgentSettings } from "../engine/agent.ts";
import { BudgetError, lesser, type Standing } from "../engine/budget.ts";
import { fitModel } from "../engine/context/fit.ts";
import { openTalk } from "../engine/context/talk.ts";
import { ClawError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import type { RunPayer } from "../engine/ledger.ts";
import { paidBy } from "../engine/models/charge.ts";
import { jsonModel, readJson } from "../engine/models/json-answer.ts";
import type { JsonSchema } from "../engine/models/model.ts";
import { MEMORY_SCOPES, type MemoryScope } from "../engine/memory.ts";
import { takeTurn } from "../engine/session-turn.ts";
import type { DraftFile, Message, SessionScope } from "../engine/message.ts";
import type { Live } from "../engine/live.ts";
import type { MoreMode } from "../engine/run.ts";
import { joinBefore } from "../engine/control.ts";
import { bringsOutside } from "../engine/taint.ts";
import { Stopped, stopOf } from "../engine/stopped.ts";
import type { Step as StoreStep } from "../engine/store/store.ts";
import type { Tool } from "../engine/tool.ts";
import type { AgentView, Answered, Asked } from "../engine/team.ts";
import { firstOfName, type ToolChoice } from "../engine/tools.ts";
import { numberOf, slugOf } from "./gateway.ts";
import { parametersOf, type Param } from "./tool.ts";
import { budgetsOf, type BudgetTold, type Limit, refusable, told } from "./shared/budgets.ts";
import { modelNode, withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { onInput, shown } from "./shared/input.ts";
import { promptData } from "./shared/prompt.ts";
import { hide, redact } from "./shared/secrets.ts";
import { createStatus } from "./shared/status.ts";
import type { FlowMsg, Red, RedNode, Saved, Status } from "./shared/red.ts";
import { needRun, type Known } from "./shared/run.ts";
import { keepTyping } from "./shared/typing.ts";
import { repliesOnly } from "./shared/wiring.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{
  gateway: string; agentId?: string; model: string; system?: string; context?: string; tools?: ToolChoice[]; scope?: SessionScope; history?: number | string; historyTokens?: number | string; summarise?: boolean; memory?: MemoryScope | "off";
  maxRounds?: number | string; timeoutSeconds?: number | string; temperature?: number | string; maxTokens?: number | string; live?: boolean; wires?: string[][];
  /** The answer is to be an object of these fields. */
  json?: boolean; params?: Param[]; schema?: string; schemaMode?: boolean;
  about?: string; models?: string[]; during?: MoreMode; maxRepeats?: number | string;
  runTokens?: Limit; runUsd?: Limit; sessionTokens?: Limit; sessionUsd?: Limit; dayTokens?: Limit; dayUsd?: Limit;
}>;

/** On the events port: a limit has come to 80 %. */
interface BudgetNear extends BudgetTold { readonly type: "budget" }

function picturesOf(message: Message): DraftFile[] {
  return message.attachments.flatMap((file) => (file.kind === "image" && file.state === "ready" ? [{ kind: file.kind, media: file.media, ...(file.mime === undefined ? {} : { mime: file.mime }) }] : []));
}

/** An object in `payload` and its text in `text`, where JSON is wanted. */
function answerOf(text: string, json: boolean): { payload: unknown; text?: string } {
  return json ? { payload: readJson(text) ?? text, text } : { payload: text };
}

/** A run that stood aside comes back into a chat that was paused meanwhile: it begins again later. */
function restWhilePaused(gateway: Gateway, { receipt: { message }, signal }: Known): void {
  if (gateway.pauses.holds(message.at) === undefined) return;
  gateway.inbox.control.suspend(({ id, at }) => id === message.id && at.account === message.at.account);
  if (stopOf(signal) === "paused") throw new Stopped("paused");
  throw new ClawError("AGENT_005", {}, "Expected an agent that may work, but its chat is paused and its message has ended already.");
}

/** A flow that is a tool of the same name goes before one of ours, a foreign tool does not. */
const withOwn = (flows: readonly Tool[], own: readonly Tool[]): Tool[] => [...firstOfName([...flows, ...own]).values()];

/** The answer with the files that its tools made. What was shown while it was written stays where it stands: the files follow it. */
function repliesOf(reply: FlowMsg, { text, files = [] }: Pick<Answered, "text" | "files">, shownLive: boolean): FlowMsg[] {
  const said = text.trim() !== "";
  if (files.length === 0) return said ? [reply] : [];
  if (!shownLive || !said) return [{ ...reply, draft: { text, attachments: files } }];
  return [reply, { ...reply, payload: "", draft: { text: "", attachments: files } }];
}

export default function register(red: Red): void {
  const host = hostOf(red);
  function AgentNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    const name = config.agentId || slugOf(config.name || "agent");
    let settings: AgentSettings | undefined;
    let schema: JsonSchema | undefined;
    const scope = config.scope ?? "account-channel-peer";
    const handle = slugOf(config.name || config.agentId || "agent");
    const timeoutMs = numberOf(config.timeoutSeconds, 120) * 1000;
    const budgets = budgetsOf({ run: [config.runTokens, config.runUsd], session: [config.sessionTokens, config.sessionUsd], agentDay: [config.dayTokens, config.dayUsd] });
    const modelView = (id: string | undefined) => { try { return id === undefined || id === "" ? [] : [{ id, label: modelNode(host, id).label }]; } catch { return []; } };
    const view = (gateway: Gateway): AgentView & { readonly handle: string } => ({
      name, scope, handle, label: config.name || handle, about: config.about ?? "", timeoutMs, budgets,
      get model() { return modelView(config.model)[0] as { id: string; label: string }; },
      get models() { return (config.models ?? []).flatMap(modelView); },
      answer: (asked) => answer(gateway, asked),
    });
    const outs = repliesOnly(red, this.id, 0);
    const wantsEvents = (config.wires?.[1] ?? []).length > 0;
    const tellsOver = (config.wires?.[2] ?? []).length > 0;
    let working = 0;
    /** Calls of tools for which an owner is asked now. */
    let approving = 0;
    /** The budget that came near, until it begins anew. */
    let near: Standing | undefined;
    const status = createStatus(this);
    /** The model that answered last, where it was not the first one. */
    let standIn: string | undefined;
    const nearStatus = (): Status | undefined => (near === undefined || (near.until ?? 0) < Date.now() ? undefined : { fill: "yellow", shape: "ring", text: host.say(`budget.near.${near.limit}`) });
    const idle = (): Status => (resting.text !== undefined || standIn === undefined ? (resting.text === undefined ? nearStatus() : undefined) ?? resting : { fill: "yellow", shape: "ring", text: host.say("standIn", { model: standIn }) });
    const showWork = () => status(() => (approving > 0 ? { fill: "yellow", shape: "ring", text: host.say("approval.waiting", { count: approving }) } : working > 0 ? { fill: "blue", shape: "dot", text: host.say("thinking", { count: working }) } : idle()));
    /** What stands there while nothing is under way. */
    let resting: Status = {};
    const rest = (next: Status) => { resting = next; showWork(); };
    const gatewayOf = withGateway(host, this, config.gateway, (gateway) => {
      gateway.agents.set(this.id, view(gateway));
      const noLonger = gateway.asks.add(this.id);
      const handed = ({ from, to }: { from: string; to: string }) => {
        if (to === "") { if (from === handle) rest({}); } else if (from === handle) rest({ fill: "yellow", shape: "ring", text: host.say("handedTo", { agent: gateway.team.labelOf(to) }) });
        else if (to === handle) rest({ fill: "blue", shape: "ring", text: host.say("handedFrom", { agent: gateway.team.labelOf(from) }) });
        if ((from === handle || to === handle) && wantsEvents) this.send([null, { payload: { type: "hand-over", from, to } }]);
      };
      const paused = () => rest(gateway.pauses.of("all") === undefined ? {} : { fill: "yellow", shape: "ring", text: host.say("paused") });
      gateway.events.on("handOver", handed);
      gateway.events.on("pause", paused);
      if (gateway.pauses.of("all") !== undefined) paused();
      return () => {
        gateway.agents.delete(this.id);
        noLonger();
        gateway.events.off("handOver", handed);
        gateway.events.off("pause", paused);
      };
    });

    const settingsNow = (): AgentSettings => {
      if (config.json === true) schema ??= parametersOf(config);
      settings ??= {
        system: compileTemplate(config.system ?? ""), context: compileTemplate(config.context ?? ""),
        maxRounds: Math.max(1, numberOf(config.maxRounds, 8)), maxRepeats: numberOf(config.maxRepeats, 3), timeoutMs,
        ...(config.temperature === undefined || config.temperature === "" ? {} : { temperature: Number(config.temperature) }),
        ...(config.maxTokens === undefined || config.maxTokens === "" ? {} : { maxTokens: Number(config.maxTokens) }),
      };
      return settings;
    };

    /** The answer as it grows, at the place and under the key where channel out will put it. */
    const openLive = (gateway: Gateway, known: Known, step: string): Live[] => {
      const live = (config.live ?? true) && config.json !== true;
      const to = known.receipt.message.to ?? known.receipt.message.at;
      if (!live || outs.length === 0 || gateway.connections.get(to.account) === undefined) return [];
      return outs.map((out) => gateway.live({ run: known.id, step: `${step}/${out}`, to }));
    };

    onInput(this, async (msg, send) => {
      const gateway = gatewayOf();
      const known = await needRun(host, gateway, msg);
      const step = gateway.step(known.id, this.id, known.step, known.pass);
      if (!(await gateway.team.isMine(this.id, handle, known.receipt))) return;
      restWhilePaused(gateway, known);
      working++;
      showWork();
      const lives = openLive(gateway, known, step);
      const to = known.receipt.message.to ?? known.receipt.message.at;
      const stopTyping = outs.length > 0 ? keepTyping(gateway, known.id, to, known.receipt.message.to === undefined ? known.receipt.message.ref : undefined) : () => undefined;
      const noMore = gateway.inbox.control.more(known.id, config.during ?? "queue");
      let saved: Promise<unknown> | undefined;
      try {
        const result = await gateway.join(known.id, step, () => gateway.team.speak(view(gateway), askedBy(gateway, known, step, msg, lives)));
        stopTyping();
        // A channel out commits to the same store, so it needs not wait; anybody else gets only what is on disk.
        saved = result.saved;
        if (outs.length === 0) await saved;
        gateway.spent(known.id, step, result.usage);
        for (const live of lives) await live.stop();
        const reply = { ...msg, ...answerOf(result.text, config.json === true), run: { id: known.id, step, pass: known.pass }, usage: result.usage };
        delete reply.draft;
        if (stopOf(known.signal) === undefined) for (const one of repliesOf(reply, result, lives.length > 0)) send([one, null, null]);
      } catch (error) {
        const stop = stopOf(known.signal);
        stopTyping();
        // What begins again goes on with what is shown.
        for (const live of lives) await (stop === "paused" ? live.stop() : live.abandon());
        if (stop !== undefined) throw new Stopped(stop);
        if (!(error instanceof BudgetError && tellsOver)) throw error;
        near = error.over;
        send([null, null, { ...msg, run: { id: known.id, step: `${step}/over`, pass: known.pass }, budget: told(error.over) }]);
      } finally {
        noMore();
        working--;
        showWork();
      }
      await saved;
    });

    const askedBy = (gateway: Gateway, known: Known, step: string, msg: FlowMsg, lives: Live[]): Asked => {
      const { receipt } = known;
      const said = msg.message ?? receipt.message;
      return {
        run: known.id, step, message: receipt.message, said, text: typeof msg.payload === "string" ? msg.payload : said.text, files: picturesOf(said), trust: receipt.trust,
        // A msg can say that there is text of others in it, never that there is none.
        tainted: receipt.tainted || msg.tainted === true || [said, receipt.message, ...(gateway.inbox.run(known.id)?.messages ?? [])].some(bringsOutside),
        signal: known.signal, chain: [], handed: 0, data: promptData(msg, known, new Date(gateway.clock.now())),
        ...(lives.length === 0 ? {} : { show: (text) => { for (const live of lives) live.show(text); } }),
      };
    };

    /** Answers a person, or another agent, with this node's model, prompts, tools and memory. */
    const answer = async (gateway: Gateway, asked: Asked): Promise<Answered> => {
      const { message, run, step, chain } = asked;
      const me = view(gateway);
      const opened = await modelNode(host, (await gateway.team.chosen(me, message)) ?? config.model).model((one) => fitModel(one, gateway.gauge));
      const session = gateway.team.sessionOf(me, message, chain);
      const payer = payerOf(gateway, asked, session);
      const model = paidBy(opened, payer);
      const turn = await takeTurn(gateway.sessions, session, run, asked.signal);
      try {
        const settings = settingsNow();
        const choices = config.tools ?? [{ by: "all" }];
        const first = <T>(name: string, act: () => Promise<StoreStep<T>>, unknown?: () => T): Promise<T> => gateway.once(run, `${step} ${name}`, act, unknown);
        const once = tellsOver ? refusable(first) : first;
        const on = (event: AgentEvent) => tell(event, asked);
        const talk = await openTalk(gateway, session, { turns: numberOf(config.history, 40), tokens: numberOf(config.historyTokens, 0), summarise: config.summarise ?? true, memory: MEMORY_SCOPES.find((known) => known === config.memory) }, { model, message, signal: asked.signal, timeoutMs: settings.timeoutMs, once, on });
        const others = await gateway.team.tools(me, choices, asked);
        const tools = () => withOwn(gateway.tools.choose(choices), [...talk.tools, ...others]);
        const trust = await gateway.sessions.trust(session, asked.trust);
        const waits = async <T>(act: () => Promise<T>): Promise<T> => {
          approving++;
          showWork();
          try { return await act(); } finally { approving--; showWork(); }
        };
        // Whoever asks this agent waits with it.
        const aside = <T>(act: () => Promise<T>): Promise<T> => turn.aside(() => asked.aside?.(act) ?? act());
        return await runAgent(
          { run, step, message, text: asked.text, ...(asked.files === undefined ? {} : { files: asked.files }), trust, tainted: asked.tainted || talk.tainted, data: asked.data },
          settings,
          {
            clock: gateway.clock, model: schema === undefined ? model : jsonModel(model, schema), history: talk.history, signal: asked.signal,
            secrets: { hide, redact },
            tools: tools(),
            aside, approve: (call) => aside(() => waits(() => gateway.approvals.ask({ ...call, run, step: `${step} ${call.step}`, node: this.id, session, message, current: () => tools().find((tool) => tool.name === call.tool.name), signal: asked.signal }))),
            live: asked.show !== undefined || wantsEvents, once, on, payer, booked: payer.changes,
            remember: (turns, taint, least) => [...gateway.sessions.changes(session, run, gateway.clock.now(), turns, taint), ...gateway.sessions.spoke(session, least)],
            remembered: (turns, taint, saved) => gateway.sessions.added(session, turns, taint, saved),
            ...(chain.length === 0 && config.during === "steer" ? { more: (before) => joinBefore(gateway, run, step, before) } : {}),
          },
        );
      } finally {
        payer.close();
        turn.end();
      }
    };

    const payerOf = (gateway: Gateway, asked: Asked, session: string): RunPayer => {
      const { run, message: { id, at: { channel, account }, sender, sentAt } } = asked;
      return gateway.ledger.payer({
        subject: { run, message: id, session, channel, account, person: sender.id, agent: name }, budgets: asked.most === undefined ? budgets : { ...budgets, run: lesser(budgets.run, asked.most) },
        since: gateway.inbox.run(run)?.receipt.receivedAt ?? sentAt,
        near(warning) { near = warning; tell({ type: "budget", ...told(warning) }, asked); },
      });
    };

    const tell = (event: AgentEvent | BudgetNear, { run, step, said, show }: Asked) => {
      if (event.type === "end") standIn = event.by;
      if (event.type === "delta") show?.(event.text);
      if (wantsEvents) this.send([null, { payload: event, message: said, run: { id: run, step: `${step}/events` } }, null]);
    };

    // A mistake in a prompt or a missing config node shows at deploy, not at the first message.
    host.onceStarted(() => {
      try {
        settingsNow();
        modelNode(host, config.model).check();
      } catch (error) {
        this.error(shown(this, error).message);
      }
    });
  }
  red.nodes.registerType("clawflow-agent", versioned(red, "clawflow-agent", AgentNode));
}
