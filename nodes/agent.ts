/** Agent: answers a message with a model and tools that are flows. */
import { compileTemplate, runAgent, type AgentEvent, type AgentSettings } from "../engine/agent.ts";
import { fitModel } from "../engine/context/fit.ts";
import { openTalk } from "../engine/context/talk.ts";
import type { Gateway } from "../engine/gateway.ts";
import { jsonModel, readJson } from "../engine/models/json-answer.ts";
import type { JsonSchema } from "../engine/models/model.ts";
import { MEMORY_SCOPES, type MemoryScope } from "../engine/memory.ts";
import { takeTurn } from "../engine/session-turn.ts";
import { sessionKey, type Address, type DraftFile, type Message, type SessionScope } from "../engine/message.ts";
import type { Live } from "../engine/live.ts";
import type { Step } from "../engine/store/store.ts";
import type { Tool } from "../engine/tool.ts";
import type { ToolChoice } from "../engine/tools.ts";
import { numberOf, slugOf } from "./gateway.ts";
import { parametersOf, type Param } from "./tool.ts";
import { modelNode, withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { onInput, shown } from "./shared/input.ts";
import { promptData } from "./shared/prompt.ts";
import { hide, redact } from "./shared/secrets.ts";
import { createStatus } from "./shared/status.ts";
import type { FlowMsg, Red, RedNode, Saved, Send, Status } from "./shared/red.ts";
import { needRun, type Known } from "./shared/run.ts";
import { repliesOnly } from "./shared/wiring.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{
  gateway: string; agentId?: string; model: string; system?: string; context?: string; tools?: ToolChoice[]; scope?: SessionScope; history?: number | string; historyTokens?: number | string; summarise?: boolean; memory?: MemoryScope | "off";
  maxRounds?: number | string; timeoutSeconds?: number | string; temperature?: number | string; maxTokens?: number | string; live?: boolean; wires?: string[][];
  /** The answer is to be an object of these fields. */
  json?: boolean; params?: Param[]; schema?: string; schemaMode?: boolean;
}>;

function picturesOf(message: Message): DraftFile[] {
  return message.attachments.flatMap((file) => (file.kind === "image" && file.state === "ready" ? [{ kind: file.kind, media: file.media, ...(file.mime === undefined ? {} : { mime: file.mime }) }] : []));
}

/** An object in `payload` and its text in `text`, where JSON is wanted. */
function answerOf(text: string, json: boolean): { payload: unknown; text?: string } {
  return json ? { payload: readJson(text) ?? text, text } : { payload: text };
}

/** Platforms show "is typing" for about five seconds; a quick answer needs none. */
const TYPING_AFTER_MS = 500;
const TYPING_EVERY_MS = 4_500;
function keepTyping(gateway: Gateway, run: string, to: Address, about: string | undefined): () => void {
  let cancel = gateway.clock.after(TYPING_AFTER_MS, show);
  function show(): void {
    // Nobody types while a person is asked.
    if (!gateway.inbox.run(run)?.waits) gateway.typing(to, about);
    cancel = gateway.clock.after(TYPING_EVERY_MS, show);
  }
  return () => cancel();
}

/** A flow that is a tool of the same name goes before one of ours. */
function withOwn(flows: readonly Tool[], own: readonly Tool[]): Tool[] {
  return [...flows, ...own.filter(({ name }) => !flows.some((flow) => flow.name === name))];
}

export default function register(red: Red): void {
  const host = hostOf(red);
  function AgentNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    const name = config.agentId || slugOf(config.name || "agent");
    let settings: AgentSettings | undefined;
    let schema: JsonSchema | undefined;
    const scope = config.scope ?? "account-channel-peer";
    const gatewayOf = withGateway(host, this, config.gateway, (gateway) => {
      gateway.agents.set(this.id, { name, scope });
      const noLonger = gateway.asks.add(this.id);
      return () => { gateway.agents.delete(this.id); noLonger(); };
    });
    const outs = repliesOnly(red, this.id, 0);
    const wantsEvents = (config.wires?.[1] ?? []).length > 0;
    let working = 0;
    const status = createStatus(this);
    /** The model that answered last, where it was not the first one. */
    let standIn: string | undefined;
    const idle = (): Status => (standIn === undefined ? {} : { fill: "yellow", shape: "ring", text: host.say("standIn", { model: standIn }) });
    const showWork = () => status(() => (working > 0 ? { fill: "blue", shape: "dot", text: host.say("thinking", { count: working }) } : idle()));

    const settingsNow = (): AgentSettings => {
      if (config.json === true) schema ??= parametersOf(config);
      settings ??= {
        system: compileTemplate(config.system ?? ""), context: compileTemplate(config.context ?? ""),
        maxRounds: Math.max(1, numberOf(config.maxRounds, 8)), timeoutMs: numberOf(config.timeoutSeconds, 120) * 1000,
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
      working++;
      showWork();
      const lives = openLive(gateway, known, step);
      const to = known.receipt.message.to ?? known.receipt.message.at;
      const stopTyping = outs.length > 0 ? keepTyping(gateway, known.id, to, known.receipt.message.to === undefined ? known.receipt.message.ref : undefined) : () => undefined;
      let saved: Promise<unknown> | undefined;
      try {
        const result = await gateway.join(known.id, step, () => answer(gateway, known, step, msg, lives, send));
        stopTyping();
        // A channel out commits to the same store, so it needs not wait; anybody else gets only what is on disk.
        saved = result.saved;
        if (outs.length === 0) await saved;
        gateway.spent(known.id, step, result.usage);
        for (const live of lives) await live.stop();
        const reply = { ...msg, ...answerOf(result.text, config.json === true), run: { id: known.id, step, pass: known.pass }, usage: result.usage };
        delete reply.draft;
        working--;
        showWork();
        if (result.text.trim() !== "") send([reply, null]);
      } catch (error) {
        working--;
        stopTyping();
        for (const live of lives) await live.abandon();
        throw error;
      }
      await saved;
    });

    const answer = async (gateway: Gateway, known: Known, step: string, msg: FlowMsg, lives: Live[], send: Send) => {
      const { receipt } = known;
      const model = await modelNode(host, config.model).model((one) => fitModel(one, gateway.gauge));
      const session = sessionKey(receipt.message, scope, name);
      const text = typeof msg.payload === "string" ? msg.payload : (msg.message?.text ?? receipt.message.text);
      const turn = await takeTurn(gateway.sessions, session, known.id, known.signal);
      try {
        const settings = settingsNow();
        const once = <T>(name: string, act: () => Promise<Step<T>>, unknown?: () => T) => gateway.once(known.id, `${step} ${name}`, act, unknown);
        const on = (event: AgentEvent) => tell(event, known, step, lives, msg, send);
        const talk = await openTalk(gateway, session, { turns: numberOf(config.history, 40), tokens: numberOf(config.historyTokens, 0), summarise: config.summarise ?? true, memory: MEMORY_SCOPES.find((known) => known === config.memory) }, { model, message: receipt.message, signal: known.signal, timeoutMs: settings.timeoutMs, once, on });
        const tools = () => withOwn(gateway.tools.choose(config.tools ?? [{ by: "all" }]), talk.tools);
        const trust = await gateway.sessions.trust(session, receipt.trust);
        return await runAgent(
          { run: known.id, message: receipt.message, text, files: picturesOf(msg.message ?? receipt.message), trust, tainted: receipt.tainted || talk.tainted, data: promptData(msg, known, new Date(gateway.clock.now())) },
          settings,
          {
            clock: gateway.clock, model: schema === undefined ? model : jsonModel(model, schema), history: talk.history, signal: known.signal,
            secrets: { hide, redact },
            tools: tools(),
            approve: (call) => turn.aside(() => gateway.approvals.ask({ ...call, run: known.id, step: `${step} ${call.step}`, node: this.id, session, message: receipt.message, current: () => tools().find((tool) => tool.name === call.tool.name), signal: known.signal })),
            live: lives.length > 0 || wantsEvents, once, on,
            remember: (turns, taint) => [...gateway.sessions.changes(session, known.id, gateway.clock.now(), turns, taint), ...gateway.sessions.spoke(session, receipt.trust)],
            remembered: (turns, taint) => gateway.sessions.added(session, turns, taint),
          },
        );
      } finally {
        turn.end();
      }
    };

    const tell = (event: AgentEvent, known: Known, step: string, lives: Live[], msg: FlowMsg, send: Send) => {
      if (event.type === "end") standIn = event.by;
      if (event.type === "delta") for (const live of lives) live.show(event.text);
      if (wantsEvents) send([null, { payload: event, message: msg.message ?? known.receipt.message, run: { id: known.id, step: `${step}/events`, pass: known.pass } }]);
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
