/** What the forms of single nodes do beyond their inputs. Each is called from the node's oneditprepare. */
import { accountAddress } from "./account-address.ts";
import { tables } from "./api.ts";
import { byId, fieldOf, fill, problems } from "./dom.ts";
import { GATEWAY, configs, makeSlug } from "./gateways.ts";
import { SECRETS, settings, type Settings } from "./settings.ts";
import { tryButton } from "./try-credentials.ts";
import { query, red, t, type EditorNode } from "./red.ts";

/** The id in a select of config nodes; "" while none is chosen. */
export function chosenConfig(prefix: string, name: string): string {
  // Lists outlive their form for a moment: what asks after it was closed gets nothing.
  const value = (document.getElementById(`${prefix}-${name}`) as HTMLSelectElement | null)?.value ?? "";
  return value === "_ADD_" ? "" : value;
}
/** A config node that is being made gets the gateway when there is one only. */
export function preselectGateway(node: EditorNode): void {
  const [only, ...others] = configs(GATEWAY);
  if (!node.gateway && only && others.length === 0) query("#node-config-input-gateway").val(only.id).trigger("change");
}
export const isAdding = (node: EditorNode): boolean => red.nodes.node(node.id) === null;

/** Shows the slug, read-only: it is in addresses and in the store, so it stays when the name changes. */
export function showSlug(node: EditorNode): void {
  byId("clawflow-slug").textContent = String(node.slug || t("slug.later"));
}
/** `oneditsave`: made once; again only where a copy has the slug of its original. */
export function keepSlug(node: EditorNode, name: string, gateway?: string): void {
  const taken = configs(node.type, gateway).some((other) => other.id !== node.id && other.slug === node.slug);
  if (!node.slug || taken) node.slug = makeSlug(name, node.type, node.id, gateway);
}

let account: { settings: Settings; store: HTMLElement } | undefined;
export function accountForm(node: EditorNode): void {
  preselectGateway(node);
  showSlug(node);
  accountAddress(node);
  account = undefined;
  const place = byId("clawflow-settings");
  const store = byId("clawflow-secrets");
  const channel = byId("node-config-input-channel") as HTMLSelectElement;
  const saved = (node.settings ?? {}) as Record<string, unknown>;
  const secrets = (): Record<string, string> => Object.fromEntries(SECRETS.map((name) => [name, fieldOf(`node-config-input-${name}`).value]).filter(([, value]) => value !== ""));
  tables().then(({ channels }) => {
    const own = typeof node.channel === "string" && node.channel !== "" ? node.channel : channels[0]?.id ?? "";
    fill(channel, channels.map(({ id, label }) => ({ value: id, label })), own);
    const draw = (): void => {
      const info = channels.find(({ id }) => id === channel.value);
      const values = channel.value === node.channel ? saved : {};
      const empty = info ? [] : [t("account.unknownChannel", { channel: channel.value })];
      account = { settings: settings(place, store, info, values, () => undefined), store };
      if (empty.length > 0) place.append(problems(empty));
    };
    channel.onchange = draw;
    draw();
  }, (error: Error) => {
    fill(channel, [], String(node.channel ?? ""));
    place.replaceChildren(problems([error.message]));
  });
  tryButton(byId("clawflow-test"), "try/account", () => ({ node: node.id, channel: channel.value, settings: account?.settings.values() ?? saved, credentials: secrets() }));
}
export function saveAccount(node: EditorNode): void {
  const gateway = chosenConfig("node-config-input", "gateway");
  keepSlug(node, fieldOf("node-config-input-name").value || (byId("node-config-input-channel") as HTMLSelectElement).value, gateway);
  if (!account) return; // the channels could not be loaded: what was saved stays
  node.settings = account.settings.values();
  // A token of another channel is not kept where nobody sees it.
  for (const input of account.store.querySelectorAll("input")) input.value = "";
}

/** Parts that are only there for some values of a select named by `data-name`: `data-for-action="reply send"`; an empty value is called `own`. */
export function showFor(id: string): void {
  const chooser = byId(id) as HTMLSelectElement;
  const form = chooser.closest(".cf-form") ?? document.body;
  const show = (): void => {
    for (const part of form.querySelectorAll<HTMLElement>(`[data-for-${chooser.dataset.name ?? "value"}]`)) {
      part.hidden = !(part.getAttribute(`data-for-${chooser.dataset.name ?? "value"}`) ?? "").split(" ").includes(chooser.value || "own");
    }
  };
  query(chooser).on("change", show);
  show();
}
