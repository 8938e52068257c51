/** Finding a node's gateway, account and model, with an error that names what is missing. */
import { SettingError } from "../../engine/errors.ts";
import type { Gateway } from "../../engine/gateway.ts";
import type { Candidate } from "../../engine/failover.ts";
import type { MediaModel } from "../../engine/models/media.ts";
import type { Model } from "../../engine/models/model.ts";
import type { AccountStatus } from "../../engine/connections.ts";
import type { Handle, Host } from "./gateways.ts";
import { isFaulty, shown } from "./input.ts";
import type { RedNode, Status } from "./red.ts";
import { short, showFault } from "./status.ts";
import type { Refused } from "./versioned.ts";

export interface GatewayNode extends RedNode { readonly handle: Handle }
export interface AccountNode extends RedNode {
  readonly slug: string;
  readonly channel: string;
  readonly gatewayNode: GatewayNode | undefined;
  /** Why it was never opened. */
  readonly fault?: { readonly code: string; readonly text: string } | undefined;
}
/** Why this account does not stand in its gateway at all; undefined when it does. */
export function faultOf(account: AccountNode | null | undefined): { readonly code: string; readonly text: string } | undefined {
  const refused = (account as Refused | null | undefined)?.refused;
  return refused === undefined ? account?.fault : { code: refused.code, text: refused.message };
}
export interface ModelNode extends RedNode {
  readonly label: string;
  /** Ids of the models that stand in for it. */
  readonly fallbacks: readonly string[];
  /** It alone, once for each key. */
  candidates(): Promise<Candidate[]>;
  /** It and all that stand in for it; `each` is put around every one of them. */
  model(each?: (model: Model) => Model): Promise<Model>;
  /** It alone, for sound and pictures. */
  media(): Promise<MediaModel>;
  /** Throws where one that stands in for it is missing, or the way comes back to itself. */
  check(): void;
}

/** The deployed config node of this type, or CONF_002. */
function configNode<T extends RedNode>(host: Host, id: string | undefined, type: string, what: string): T {
  const node = id === undefined || id === "" ? undefined : host.red.nodes.getNode(id);
  if (node?.type !== type) throw new SettingError("CONF_002", {}, `Expected ${what} to be chosen and enabled, got ${id ? "one that is missing or disabled" : "none"}.`);
  const { refused } = node as Refused;
  if (refused !== undefined) throw refused;
  return node as T;
}
export const gatewayNode = (host: Host, id: string | undefined) => configNode<GatewayNode>(host, id, "clawflow-gateway", "a gateway");
export const accountNode = (host: Host, id: string | undefined) => configNode<AccountNode>(host, id, "clawflow-account", "an account");
export const modelNode = (host: Host, id: string | undefined) => configNode<ModelNode>(host, id, "clawflow-model", "a model");

/**
 * Ties a node to its gateway: `use` runs when the gateway is open, and again when another store was put in its place; it may return what undoes it, for
 * when the node or the gateway closes. A missing gateway shows on the node; the returned function gives the gateway or throws why there is none.
 */
export function withGateway(host: Host, node: RedNode, id: string | undefined, use: (gateway: Gateway, handle: Handle) => (() => void) | undefined): () => Gateway {
  let closed = false;
  let detach: (() => void) | undefined;
  let handle: Handle | undefined;
  /** The grey "opening …" stands under the node. */
  let waits = false;
  /** While the store cannot be opened, every node of the gateway says why. */
  const tellProblem = () => {
    const problem = handle?.gateway === undefined ? handle?.problems[0] : undefined;
    if (problem !== undefined && !isFaulty(node)) showFault(node, problem.code, problem.text, "ring");
  };
  const tellOpening = () => {
    waits = true;
    if (!isFaulty(node)) node.status({ fill: "grey", shape: "ring", text: host.say("opening") });
  };
  const begin = (gateway: Gateway, known: Handle): (() => void) | undefined => {
    if (waits && !isFaulty(node)) node.status({});
    waits = false;
    try {
      const undo = use(gateway, known);
      return () => { undo?.(); if (!closed) tellOpening(); };
    } catch (error) {
      node.error(shown(node, error).message);
      return undefined;
    }
  };
  try {
    const known = gatewayNode(host, id).handle;
    handle = known;
    detach = known.attach((gateway) => begin(gateway, known));
    if (known.gateway === undefined) { tellOpening(); tellProblem(); }
    known.listeners.add(tellProblem);
  } catch (error) {
    node.error(shown(node, error).message);
  }
  node.on("close", () => { closed = true; handle?.listeners.delete(tellProblem); detach?.(); });
  return () => {
    if (handle?.gateway !== undefined) return handle.gateway;
    gatewayNode(host, id);
    const problem = handle?.problems[0];
    throw new SettingError((problem?.code ?? "STORE_001") as "STORE_001", { retry: "later", afterMs: 5_000 }, problem?.text ?? "The gateway's store is not open yet.");
  };
}

const LOOK: Record<AccountStatus["state"], Omit<Status, "text">> = {
  connected: { fill: "green", shape: "dot" },
  connecting: { fill: "yellow", shape: "ring" },
  reconnecting: { fill: "yellow", shape: "ring" },
  disconnected: { fill: "grey", shape: "ring" },
  error: { fill: "red", shape: "ring" },
  failed: { fill: "red", shape: "dot" },
};
/** The state of one account, or of several together, as a node shows it. */
/** A wait of some length is worth telling; the short ones would be over before they are read. */
function nextTry(host: Host, at: number | undefined): string {
  const seconds = at === undefined ? 0 : Math.ceil((at - Date.now()) / 1000);
  return seconds < 5 ? "" : ` (${host.say("nextTry", { seconds })})`;
}
export function accountsStatus(host: Host, statuses: readonly AccountStatus[]): Status {
  if (statuses.length === 0) return { fill: "grey", shape: "ring", text: host.say("noAccount") };
  const worst = ["failed", "error", "reconnecting", "connecting", "disconnected"].map((state) => statuses.find((status) => status.state === state)).find((status) => status !== undefined);
  if (worst === undefined) return { ...LOOK.connected, text: statuses.length === 1 ? host.say("connected") : host.say("connectedCount", { count: statuses.length }) };
  const name = statuses.length === 1 ? "" : `${worst.account}: `;
  return { ...LOOK[worst.state], text: `${worst.error === undefined ? `${name}${host.say(worst.state)}` : `${worst.error.code}: ${name}${short(worst.error.text)}`}${nextTry(host, worst.nextTryAt)}` };
}
