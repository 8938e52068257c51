/** Tool: the head of a flow that agents may call. */
import { randomBytes } from "node:crypto";
import { ToolError } from "../engine/errors.ts";
import type { Gateway } from "../engine/gateway.ts";
import type { JsonSchema } from "../engine/models/model.ts";
import { createDraw, PICTURE_PARAMETERS } from "../engine/senses/draw.ts";
import { checkSchema } from "../engine/tool-input.ts";
import { type CallContext, outcomeUnknown, type Risk, type Tool, type ToolResult } from "../engine/tool.ts";
import { numberOf } from "./gateway.ts";
import { modelNode, withGateway } from "./shared/config.ts";
import { hostOf } from "./shared/gateways.ts";
import { shown } from "./shared/input.ts";
import { createStatus } from "./shared/status.ts";
import { openCall, answerCall, type ToolNode } from "./shared/calls.ts";
import type { FlowMsg, Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";

export interface Param { readonly name: string; readonly type: "string" | "number" | "integer" | "boolean" | "enum" | "array" | "object"; readonly description?: string; readonly required?: boolean; readonly values?: readonly string[] | string }
type Config = Saved<{ gateway: string; tool: string; description?: string; params?: Param[]; schemaMode?: boolean; schema?: string; makes?: "" | "picture"; model?: string; size?: string; risk?: Risk; readsPrivate?: boolean; talksOutside?: boolean; shared?: boolean; tags?: string; timeoutSeconds?: number | string }>;

/** The rows of the form as a JSON Schema. */
function schemaOf(params: readonly Param[]): JsonSchema {
  const properties: Record<string, unknown> = {};
  for (const param of params) {
    const values = typeof param.values === "string" ? param.values.split(",").map((value) => value.trim()).filter((value) => value !== "") : (param.values ?? []);
    const type = param.type === "enum" ? { type: "string", enum: values } : { type: param.type };
    properties[param.name] = { ...type, ...(param.description ? { description: param.description } : {}) };
  }
  return { type: "object", properties, required: params.filter((param) => param.required).map((param) => param.name), additionalProperties: false };
}

/** The schema a saved node stands for; throws TOOL_006. */
export function parametersOf(config: Pick<Config, "params" | "schemaMode" | "schema" | "makes">): JsonSchema {
  if (config.makes === "picture") return PICTURE_PARAMETERS;
  if (config.schemaMode !== true) return schemaOf(config.params ?? []);
  let schema: unknown;
  try {
    schema = JSON.parse(config.schema || '{"type":"object"}');
  } catch (error) {
    throw new ToolError("TOOL_006", {}, `Expected the parameters to be JSON: ${(error as Error).message}`);
  }
  const problem = checkSchema(schema);
  if (problem !== undefined) throw new ToolError("TOOL_006", {}, problem);
  return schema as JsonSchema;
}

/** Seconds a flow has, and a model that draws: it takes minutes for a large picture, which is paid whether or not somebody waits for it. */
const FLOW_TIME = 30;
const DRAWING_TIME = 180;
/** Every node is saved with a time. One that draws and has that of a flow was never given its own. */
export function timeoutOf({ makes, timeoutSeconds }: Pick<Config, "makes" | "timeoutSeconds">): number {
  const seconds = numberOf(timeoutSeconds, FLOW_TIME);
  return (makes === "picture" && seconds === FLOW_TIME ? DRAWING_TIME : seconds) * 1000;
}

export default function register(red: Red): void {
  const host = hostOf(red);
  function ToolNodeOf(this: RedNode & ToolNode, config: Config): void {
    red.nodes.createNode(this, config);
    let tool: Tool | undefined;
    let running = 0;
    let gatewayNow: Gateway | undefined;
    const needGateway = (): Gateway => { if (gatewayNow === undefined) throw new ToolError("TOOL_003", {}, "The gateway is not open."); return gatewayNow; };
    const draw = (): Tool["call"] => {
      const act = createDraw({
        model: () => modelNode(host, config.model).media(), spool: () => needGateway().spool, size: config.size ?? "", limitMs: timeoutOf(config),
        payer: ({ run, message }) => {
          const gateway = needGateway();
          const receipt = gateway.inbox.run(run)?.receipt;
          return gateway.ledger.payer({ subject: { run, message: message.id, session: "", channel: message.at.channel, account: message.at.account, person: message.sender.id, agent: "" }, since: receipt?.receivedAt ?? message.sentAt, budgets: {} });
        },
        spent: ({ run, call }, usage) => needGateway().spent(run, call, usage),
      });
      return (input, context, signal) => {
        running++;
        showRunning();
        return act(input, context, signal).finally(() => { running--; showRunning(); });
      };
    };
    const status = createStatus(this);
    const showRunning = () => status(() => (running > 0 ? { fill: "blue", shape: "dot", text: host.say("running") } : {}));
    try {
      if (!/^[a-zA-Z_][a-zA-Z0-9_-]{0,63}$/.test(config.tool ?? "")) throw new ToolError("TOOL_006", {}, `Expected the tool's name to be letters, digits, _ or -, at most 64, got "${config.tool ?? ""}".`);
      const parameters = parametersOf(config);
      const problem = checkSchema(parameters);
      if (problem !== undefined) throw new ToolError("TOOL_006", {}, problem);
      tool = {
        name: config.tool, description: config.description ?? "", parameters,
        tags: (config.tags ?? "").split(",").map((tag) => tag.trim()).filter((tag) => tag !== ""),
        risk: config.risk ?? "dangerous", readsPrivate: config.readsPrivate ?? false, talksOutside: config.talksOutside ?? false, shared: config.shared ?? false,
        timeoutMs: timeoutOf(config),
        call: config.makes === "picture" ? draw() : (input, context, signal) => call(input, context, signal),
      };
    } catch (error) {
      this.error(shown(this, error).message);
    }
    const registered = tool;
    withGateway(host, this, config.gateway, (gateway) => {
      gatewayNow = gateway;
      if (registered === undefined) return undefined;
      const problem = gateway.tools.add(this.id, registered);
      if (problem !== undefined) { this.error(shown(this, new ToolError("TOOL_006", {}, problem)).message); return undefined; }
      return () => gateway.tools.remove(this.id);
    });

    const lost = (): ToolError => (config.risk === "read"
      ? new ToolError("TOOL_003", {}, "Its flow was stopped by a deploy before it answered. It only reads: call it again.")
      : new ToolError("TOOL_005", {}, outcomeUnknown("its flow was stopped by a deploy before it answered")));
    const call = (input: unknown, context: CallContext, signal: AbortSignal): Promise<ToolResult> => {
      const id = `call-${randomBytes(12).toString("base64url")}`;
      const msg: FlowMsg & { _linkSource?: unknown[] } = {
        payload: input, call: { id, tool: config.tool }, message: context.message, run: { id: context.run, step: context.call },
        // A stock "link out" in return mode finds its way back by this.
        _linkSource: [{ id, node: this.id }],
      };
      running++;
      showRunning();
      const answer = openCall(id, this, signal, lost()).finally(() => { host.settle.forget(id); running--; showRunning(); });
      host.settle.track(id, (scope) => { if (scope.fault !== undefined) answerCall(id, new ToolError("TOOL_003", {}, scope.fault)); }, [msg], () => this.send(msg));
      return answer;
    };
    /** Node-RED calls this for a `link out` that returns. */
    this.returnLinkMessage = (id, msg) => { answerCall(id, msg.payload, this); };
  }
  red.nodes.registerType("clawflow-tool", versioned(red, "clawflow-tool", ToolNodeOf));
}
