/** Where a webhook node answers: shown under its path, with a copy button. */
import { button, byId, copy, fieldOf, h } from "./dom.ts";
import { chosenConfig } from "./forms.ts";
import { configOf } from "./gateways.ts";
import { red, t } from "./red.ts";

interface Settings { settings?: { httpNodeRoot?: string } }

export function webhookAddress(pathId: string, placeId: string): void {
  const input = fieldOf(pathId);
  const place = byId(placeId);
  const root = (red as unknown as Settings).settings?.httpNodeRoot;
  const show = (): void => {
    const path = input.value.trim().replace(/^\/+|\/+$/g, "");
    if (path === "") {
      place.replaceChildren();
      return;
    }
    const base = String(configOf(chosenConfig("node-input", "gateway"))?.webhookBase || location.origin).replace(/\/+$/, "");
    const address = `${base}${typeof root === "string" ? root.replace(/\/+$/, "") : ""}/clawflow/hooks/${path}`;
    place.replaceChildren(h("code", {}, address), " ", button("", () => { void copy(address); }, { icon: "clipboard", bare: true, title: t("copy") }));
  };
  input.addEventListener("input", show);
  show();
}
