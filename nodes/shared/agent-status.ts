/** What stands under an agent: an owner is asked, or it works; else that its chat was handed over or is paused, a budget came near, another model stands in. */
import type { Standing } from "../../engine/budget.ts";
import type { Host } from "./gateways.ts";
import type { RedNode, Status } from "./red.ts";
import { createStatus } from "./status.ts";

export interface AgentStatus {
  /** A message is being answered, until the returned function is called. */
  works(): () => void;
  /** An owner is asked about a call of a tool while `act` goes on. */
  asks<T>(act: () => Promise<T>): Promise<T>;
  /** What stands there while nothing is under way. */
  rest(next: Status): void;
  /** This budget came near, or is used up: until it begins anew. */
  near(budget: Standing): void;
  /** The model that answered in the place of the first one; undefined: the first did. */
  standIn(model: string | undefined): void;
}

export function createAgentStatus(host: Pick<Host, "say">, node: RedNode): AgentStatus {
  const { say } = host;
  const status = createStatus(node);
  let working = 0;
  let approving = 0;
  let near: Standing | undefined;
  let standIn: string | undefined;
  let resting: Status = {};
  const nearNow = (): Status | undefined => (near === undefined || (near.until ?? 0) < Date.now() ? undefined : { fill: "yellow", shape: "ring", text: say(`budget.near.${near.limit}`) });
  const idle = (): Status => (resting.text !== undefined || standIn === undefined ? (resting.text === undefined ? nearNow() : undefined) ?? resting : { fill: "yellow", shape: "ring", text: say("standIn", { model: standIn }) });
  const show = (): void => status(() => (approving > 0 ? { fill: "yellow", shape: "ring", text: say("approval.waiting", { count: approving }) } : working > 0 ? { fill: "blue", shape: "dot", text: say("thinking", { count: working }) } : idle()));
  return {
    works() {
      working++;
      show();
      return () => { working--; show(); };
    },
    async asks(act) {
      approving++;
      show();
      try { return await act(); } finally { approving--; show(); }
    },
    rest(next) { resting = next; show(); },
    near(budget) { near = budget; },
    standIn(model) { standIn = model; },
  };
}
