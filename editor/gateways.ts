/** Config nodes of ClawFlow in the editor: the default gateway, slugs, lists of accounts, models and tools. */
import { red, t, type EditorNode, type HistoryEvent } from "./red.ts";

export const GATEWAY = "clawflow-gateway";
export const ACCOUNT = "clawflow-account";
export const MODEL = "clawflow-model";

export function configs(type: string, gateway?: string): EditorNode[] {
  const found: EditorNode[] = [];
  red.nodes.eachConfig((node) => {
    if (node.type === type && (!gateway || node.gateway === gateway)) found.push(node);
    return undefined;
  });
  return found.sort((a, b) => nameOf(a).localeCompare(nameOf(b)));
}
export function nodesOf(type: string): EditorNode[] {
  const found: EditorNode[] = [];
  red.nodes.eachNode((node) => {
    if (node.type === type) found.push(node);
    return undefined;
  });
  return found;
}
export const nameOf = (node: EditorNode): string => node.name || String(node.slug || "") || red.utils.getNodeLabel(node, node.id);
export const configOf = (id: unknown): EditorNode | undefined => (typeof id === "string" && id !== "" ? red.nodes.node(id) ?? undefined : undefined);

/** "Böcklers Küche" → "boecklers-kueche"; unique among the nodes that share its type (and gateway). */
export function makeSlug(name: string, type: string, own: string, gateway?: string): string {
  const plain = name.toLowerCase().replace(/ä/g, "ae").replace(/ö/g, "oe").replace(/ü/g, "ue").replace(/ß/g, "ss")
    .normalize("NFKD").replace(/[\u0300-\u036f]/g, "").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 40)
    || type.replace("clawflow-", "");
  const taken = new Set(configs(type, gateway).filter((node) => node.id !== own).map((node) => node.slug));
  let slug = plain;
  for (let n = 2; taken.has(slug); n++) slug = `${plain}-${n}`;
  return slug;
}

function addGateway(): EditorNode {
  const definition = red.nodes.getType(GATEWAY);
  const node: Record<string, unknown> = { id: red.nodes.id(), type: GATEWAY, _def: definition, users: [], changed: true };
  for (const [key, { value }] of Object.entries(definition.defaults)) node[key] = structuredClone(value);
  node.name = t("defaultGateway");
  node.slug = makeSlug(String(node.name), GATEWAY, String(node.id));
  node._ = definition._;
  const added = red.nodes.add(node, { source: "clawflow" });
  red.editor.validateNode(added);
  return added;
}

/** The step of the history that added `id`, perhaps inside a step of several. */
function addingOf(event: HistoryEvent | undefined, id: string): HistoryEvent | undefined {
  if (event?.t === "add" && event.nodes?.includes(id)) return event;
  for (const part of event?.events ?? []) {
    const found = addingOf(part, id);
    if (found) return found;
  }
  return undefined;
}

/** How the editor says that a person added the node: dropped, chosen in the quick-add list, or accepted from a suggestion. Imports and redo have other words. */
const BY_HAND = new Set(["palette", "typeSearch", "suggestion"]);

/** A copy that was imported beside its original (or another example's "Home") is a gateway, or an account, of its own: it gets a free slug, and a name by which it can be told apart. */
export function separateCopies(): void {
  red.events.on("nodes:add", (node: EditorNode, context?: { source?: string }) => {
    if (context?.source === "clawflow" || (node.type !== GATEWAY && node.type !== ACCOUNT) || !node.slug) return;
    const gateway = node.type === ACCOUNT ? String(node.gateway ?? "") : undefined;
    const slug = makeSlug(String(node.slug), node.type, node.id, gateway);
    if (slug === node.slug) return;
    node.slug = slug;
    const names = new Set(configs(node.type, gateway).filter(({ id }) => id !== node.id).map(nameOf));
    const name = node.name;
    for (let n = 2; node.name && names.has(node.name); n++) node.name = `${name} ${n}`;
    node.changed = true;
    setTimeout(() => red.editor.validateNode(node), 0);
  });
}

/** A node the user adds gets the gateway, and the first one brings it. To be called once, by the plugin. */
export function bringGateways(): void {
  red.events.on("nodes:add", (node: EditorNode, context?: { source?: string }) => {
    if (!BY_HAND.has(context?.source ?? "") || !node.type.startsWith("clawflow-") || !("gateway" in node._def.defaults) || node.gateway) return;
    const [first, ...others] = configs(GATEWAY).filter((gateway) => !gateway.d);
    if (others.length > 0) return;
    const gateway = first ?? addGateway();
    node.gateway = gateway.id;
    red.nodes.updateConfigNodeUsers(node, { action: "add" });
    // The editor writes its undo step right after this event; a gateway that was brought belongs to the same step.
    if (!first) setTimeout(() => addingOf(red.history.peek(), node.id)?.nodes?.push(gateway.id), 0);
  });
}
