/** Route: sends a message to the output whose rule it matches. */
import { compileRules, route, type CompiledRules, type Facts, type Row, type RouteMode } from "../engine/route.ts";
import { ClawError } from "../engine/errors.ts";
import { parseMessage } from "../engine/message-schema.ts";
import { gatewayOfRun } from "./shared/run.ts";
import { hostOf } from "./shared/gateways.ts";
import { createStatus, short } from "./shared/status.ts";
import { onInput, shown } from "./shared/input.ts";
import type { FlowMsg, Red, RedNode, Saved } from "./shared/red.ts";
import { versioned } from "./shared/versioned.ts";

type Config = Saved<{ mode?: RouteMode; rules?: { id: string; name?: string; rows: Row[] }[]; hasElse?: boolean; timeZone?: string }>;

/** The rules of a saved node: a rule's output is its place. */
function rulesOf(config: Pick<Config, "rules" | "mode">): CompiledRules {
  return compileRules((config.rules ?? []).map((rule, output) => ({ id: rule.id, name: rule.name || `rule ${output + 1}`, rows: rule.rows, output })), config.mode ?? "first");
}

export default function register(red: Red): void {
  const host = hostOf(red);
  function RouteNode(this: RedNode, config: Config): void {
    red.nodes.createNode(this, config);
    let rules: CompiledRules | undefined;
    const status = createStatus(this);
    const count = (config.rules ?? []).length;
    const hasElse = config.hasElse ?? true;
    try {
      rules = rulesOf(config);
    } catch (error) {
      this.error(shown(this, error).message);
    }
    onInput(this, (msg, send) => {
      rules ??= rulesOf(config);
      const message = msg.message;
      if (message === undefined) throw noMessage();
      const known = gatewayOfRun(host, msg);
      // The text a flow has put into the payload is what is routed; everything else is the message's own.
      const seen = typeof msg.payload === "string" && msg.payload !== message.text && message.kind === "message" ? { ...message, text: msg.payload } : message;
      const facts: Facts = { now: Date.now(), trust: known?.receipt.trust ?? "stranger", timeZone: config.timeZone ?? "" };
      const { matches } = route(known === undefined ? parseMessage(seen) : seen, rules, facts);
      const outputs: (FlowMsg | null)[] = new Array(count + (hasElse ? 1 : 0)).fill(null);
      const single = matches.length === 1;
      for (const match of matches) outputs[match.output] = { ...(single ? msg : red.util.cloneMessage(msg)), route: { rule: match.name, why: match.why } };
      if (matches.length === 0 && hasElse) outputs[count] = Object.assign(msg, { route: { rule: "else", why: "no rule matched" } });
      status(() => ({ fill: matches.length > 0 ? "green" : "grey", shape: "dot", text: short(matches.map((match) => match.name).join(", ") || host.say("else"), 30) }));
      send(outputs);
    });
  }
  red.nodes.registerType("clawflow-route", versioned(red, "clawflow-route", RouteNode));
}

function noMessage(): Error {
  return new ClawError("MSG_001", {}, "Expected a message that came through channel in, cron, webhook or normalize (msg.message), got none.");
}
