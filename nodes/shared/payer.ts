/** Who pays for what a node has done by models beside an agent: the agent that stands before it on the way of the msg, else the one its wires lead to. */
import type { Gateway } from "../../engine/gateway.ts";
import type { RunPayer } from "../../engine/ledger.ts";
import type { AgentView } from "../../engine/team.ts";
import type { Host } from "./gateways.ts";
import type { Known } from "./run.ts";
import { nodesBehind } from "./wiring.ts";

/** Without a run nobody is known, and only what the gateway allows everybody is held against it. */
export function payerFor(host: Host, gateway: Gateway, known: Known | undefined, node: string): RunPayer {
  if (known === undefined) return gateway.ledger.payer({ subject: { run: "", message: "", session: "", channel: "", account: "", person: "", agent: "" }, since: gateway.clock.now(), budgets: {} });
  const { message, receivedAt } = known.receipt;
  const agent = agentBefore(gateway, known.step) ?? agentBehind(host, gateway, node);
  return gateway.ledger.payer({
    subject: {
      run: known.id, message: message.id, channel: message.at.channel, account: message.at.account, person: message.sender.id,
      session: agent === undefined ? "" : gateway.team.sessionOf(agent, message, []), agent: agent?.name ?? "",
    },
    since: receivedAt, budgets: agent?.budgets ?? {},
  });
}

/** The name of a step holds the nodes it came through, each with its occurrence and the marks of the branch behind it. */
function agentBefore(gateway: Gateway, step: string): AgentView | undefined {
  return step.split("/").reverse().map((part) => gateway.agents.get(part.replace(/(#\d+)?(~.*)?$/, ""))).find((agent) => agent !== undefined);
}
/** Of several nobody knows yet which will answer. */
function agentBehind({ red }: Host, gateway: Gateway, node: string): AgentView | undefined {
  const found = nodesBehind(red, node).flatMap((id) => gateway.agents.get(id) ?? []);
  return found.length === 1 ? found[0] : undefined;
}
