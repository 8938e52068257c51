/** How an agent answers a person, or another agent: with its model, prompts, tools, memory and budget. */
import { compileTemplate, runAgent, type AgentEvent, type AgentSettings } from "../../engine/agent.ts";
import { lesser } from "../../engine/budget.ts";
import { fitModel } from "../../engine/context/fit.ts";
import { openTalk } from "../../engine/context/talk.ts";
import { joinBefore } from "../../engine/control.ts";
import type { Gateway } from "../../engine/gateway.ts";
import type { RunPayer, Warning } from "../../engine/ledger.ts";
import { MEMORY_SCOPES, type MemoryScope } from "../../engine/memory.ts";
import { paidBy } from "../../engine/models/charge.ts";
import { jsonModel } from "../../engine/models/json-answer.ts";
import type { JsonSchema } from "../../engine/models/model.ts";
import type { MoreMode } from "../../engine/run.ts";
import { takeTurn } from "../../engine/session-turn.ts";
import type { Act } from "../../engine/steps.ts";
import type { AgentView, Answered, Asked } from "../../engine/team.ts";
import type { Tool } from "../../engine/tool.ts";
import { firstOfName, type ToolChoice } from "../../engine/tools.ts";
import { numberOf } from "../gateway.ts";
import { parametersOf, type Param } from "../tool.ts";
import { refusable } from "./budgets.ts";
import { modelNode } from "./config.ts";
import type { Host } from "./gateways.ts";
import { hide, redact } from "./secrets.ts";

/** What the form says of the answer. */
export interface AnswerFields {
  readonly model: string; readonly system?: string; readonly context?: string; readonly tools?: ToolChoice[]; readonly history?: number | string; readonly historyTokens?: number | string; readonly summarise?: boolean; readonly memory?: MemoryScope | "off";
  readonly maxRounds?: number | string; readonly maxRepeats?: number | string; readonly temperature?: number | string; readonly maxTokens?: number | string; readonly during?: MoreMode;
  /** The answer is to be an object of these fields. */
  readonly json?: boolean; readonly params?: Param[]; readonly schema?: string; readonly schemaMode?: boolean;
}
export interface AnsweringOptions {
  readonly host: Host;
  /** Id of the node. */
  readonly node: string;
  readonly config: AnswerFields;
  readonly timeoutMs: number;
  /** Somebody listens to its events; somebody takes what is over budget. */
  readonly wantsEvents: boolean;
  readonly tellsOver: boolean;
  view(gateway: Gateway): AgentView & { readonly handle: string };
  tell(event: AgentEvent, asked: Asked): void;
  /** An owner is asked about a call of a tool while `act` goes on. */
  asks<T>(act: () => Promise<T>): Promise<T>;
  /** A budget came near. */
  near(warning: Warning, asked: Asked): void;
}
export interface Answering {
  answer(gateway: Gateway, asked: Asked): Promise<Answered>;
  /** Throws where the form holds a mistake. */
  settings(): AgentSettings;
}

/** A flow that is a tool of the same name goes before one of ours, a foreign tool does not. */
const withOwn = (flows: readonly Tool[], own: readonly Tool[]): Tool[] => [...firstOfName([...flows, ...own]).values()];

export function createAnswering({ host, node, config, timeoutMs, wantsEvents, tellsOver, view, tell, asks, near }: AnsweringOptions): Answering {
  let settings: AgentSettings | undefined;
  let schema: JsonSchema | undefined;

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
      const first = <T>(name: string, act: Act<T>, unknown?: () => T): Promise<T> => gateway.once(run, `${step} ${name}`, act, unknown);
      const once = tellsOver ? refusable(first) : first;
      const on = (event: AgentEvent) => tell(event, asked);
      const talk = await openTalk(gateway, session, { turns: numberOf(config.history, 40), tokens: numberOf(config.historyTokens, 0), summarise: config.summarise ?? true, memory: MEMORY_SCOPES.find((known) => known === config.memory) }, { model, message, signal: asked.signal, timeoutMs: settings.timeoutMs, once, on });
      const others = await gateway.team.tools(me, choices, asked);
      const tools = () => withOwn(gateway.tools.choose(choices), [...talk.tools, ...others]);
      const trust = await gateway.sessions.trust(session, asked.trust);
      // Whoever asks this agent waits with it.
      const aside = <T>(act: () => Promise<T>): Promise<T> => turn.aside(() => asked.aside?.(act) ?? act());
      return await runAgent(
        { run, step, message, text: asked.text, ...(asked.files === undefined ? {} : { files: asked.files }), trust, tainted: asked.tainted || talk.tainted, data: asked.data },
        settings,
        {
          clock: gateway.clock, model: schema === undefined ? model : jsonModel(model, schema), history: talk.history, signal: asked.signal,
          secrets: { hide, redact },
          tools: tools(),
          aside, approve: (call) => aside(() => asks(() => gateway.approvals.ask({ ...call, run, step: `${step} ${call.step}`, node, session, message, current: () => tools().find((tool) => tool.name === call.tool.name), signal: asked.signal }))),
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
    const { name, budgets = {} } = view(gateway);
    return gateway.ledger.payer({
      subject: { run, message: id, session, channel, account, person: sender.id, agent: name }, budgets: asked.most === undefined ? budgets : { ...budgets, run: lesser(budgets.run, asked.most) },
      since: gateway.inbox.run(run)?.receipt.receivedAt ?? sentAt,
      near: (warning) => near(warning, asked),
    });
  };

  return { answer, settings: settingsNow };
}
