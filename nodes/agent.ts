/** Agent: answers a message with a model and tools that are flows. */
import type { AgentEvent } from "../engine/agent.ts";
import { BudgetError } from "../engine/budget.ts";
import { picturesOf } from "../engine/control.ts";
import { ClawError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import { readJson } from "../engine/models/json-answer.ts";
import type { SessionScope } from "../engine/message.ts";
import type { Live } from "../engine/live.ts";
import { bringsOutside } from "../engine/taint.ts";
import { Stopped, stopOf } from "../engine/stopped.ts";
import type { AgentView, Answered, Asked } from "../engine/team.ts";
import { numberOf, slugOf } from "./gateway.ts";
import { type AnswerFields, createAnswering } from "./shared/agent-answer.ts";
import { createAgentStatus } from "./shared/agent-status.ts";
import { budgetsOf, type BudgetTold, type Limit, told } from "./shared/budgets.ts";
import { modelNode, withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { onInput, shown } from "./shared/input.ts";
import { promptData } from "./shared/prompt.ts";
import type { FlowMsg, Red, RedNode, Saved } from "./shared/red.ts";
import { needRun, type Known } from "./shared/run.ts";
import { keepTyping } from "./shared/typing.ts";
import { repliesOnly } from "./shared/wiring.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<AnswerFields & {
  gateway: string; agentId?: string; scope?: SessionScope; timeoutSeconds?: number | string; live?: boolean; wires?: string[][]; about?: string; models?: string[];
  runTokens?: Limit; runUsd?: Limit; sessionTokens?: Limit; sessionUsd?: Limit; dayTokens?: Limit; dayUsd?: Limit;
}>;

/** On the events port: a limit has come to 80 %. */
interface BudgetNear extends BudgetTold { readonly type: "budget" }

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
    const scope = config.scope ?? "account-channel-peer";
    const handle = slugOf(config.name || config.agentId || "agent");
    const timeoutMs = numberOf(config.timeoutSeconds, 120) * 1000;
    const budgets = budgetsOf({ run: [config.runTokens, config.runUsd], session: [config.sessionTokens, config.sessionUsd], agentDay: [config.dayTokens, config.dayUsd] });
    const modelView = (id: string | undefined) => { try { return id === undefined || id === "" ? [] : [{ id, label: modelNode(host, id).label }]; } catch { return []; } };
    const view = (gateway: Gateway): AgentView & { readonly handle: string } => ({
      name, scope, handle, label: config.name || handle, about: config.about ?? "", timeoutMs, budgets,
      get model() { return modelView(config.model)[0] as { id: string; label: string }; },
      get models() { return (config.models ?? []).flatMap(modelView); },
      answer: (asked) => answering.answer(gateway, asked),
    });
    const outs = repliesOnly(red, this.id, 0);
    const wantsEvents = (config.wires?.[1] ?? []).length > 0;
    const tellsOver = (config.wires?.[2] ?? []).length > 0;
    const status = createAgentStatus(host, this);
    const { rest } = status;
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
      // It throws where an owner is to be answered whom nobody is yet.
      const lives = openLive(gateway, known, step);
      const noLonger = status.works();
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
        for (const live of lives) await (stop === "paused" || stop === "closed" ? live.stop() : live.abandon());
        if (stop !== undefined) throw new Stopped(stop);
        if (!(error instanceof BudgetError && tellsOver)) throw error;
        status.near(error.over);
        send([null, null, { ...msg, run: { id: known.id, step: `${step}/over`, pass: known.pass }, budget: told(error.over) }]);
      } finally {
        noMore();
        noLonger();
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

    const tell = (event: AgentEvent | BudgetNear, { run, step, said, show }: Asked) => {
      if (event.type === "end") status.standIn(event.by);
      if (event.type === "delta") show?.(event.text);
      if (wantsEvents) this.send([null, { payload: event, message: said, run: { id: run, step: `${step}/events` } }, null]);
    };

    const answering = createAnswering({
      host, node: this.id, config, timeoutMs, wantsEvents, tellsOver, view, tell, asks: status.asks,
      near(warning, asked) { status.near(warning); tell({ type: "budget", ...told(warning) }, asked); },
    });

    // A mistake in a prompt or a missing config node shows at deploy, not at the first message.
    host.onceStarted(() => {
      try {
        answering.settings();
        modelNode(host, config.model).check();
      } catch (error) {
        this.error(shown(this, error).message);
      }
    });
  }
  red.nodes.registerType("clawflow-agent", versioned(red, "clawflow-agent", AgentNode));
}
