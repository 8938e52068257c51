/** Where a deployed account is reached over the web: shown below its slug, with a copy button. */
import { ask } from "./api.ts";
import { button, byId, copy, h } from "./dom.ts";
import { red, t, type EditorNode } from "./red.ts";

interface Answer { accounts: readonly { id: string; address?: string }[] }

/** Nothing is shown of an account that was not deployed, is not connected, or takes no requests. Without a public address in the gateway, the editor's own host stands for it. */
export function accountAddress(node: EditorNode): void {
  if (red.nodes.node(node.id) === null || !node.gateway) return;
  const place = byId("clawflow-address");
  ask<Answer>(`gateway/${String(node.gateway)}`).then(({ accounts }) => {
    const address = accounts.find(({ id }) => id === node.id)?.address;
    if (address === undefined || !place.isConnected) return;
    const whole = new URL(address, location.origin).href;
    place.querySelector("span")?.replaceChildren(h("code", { "aria-labelledby": "clawflow-address-label" }, whole), " ", button("", () => { void copy(whole); }, { icon: "clipboard", bare: true, title: t("copy") }));
    place.hidden = false;
  }, () => undefined);
}
