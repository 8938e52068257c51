/** The models that an owner may choose for an agent in a chat. */
import { fill, h, select } from "./dom.ts";
import { configs, MODEL, nameOf } from "./gateways.ts";
import { list, type List } from "./list.ts";
import { t } from "./red.ts";

export function modelsPicker(container: HTMLElement, value: readonly string[], gateway: () => string): { values(): string[]; refresh(): void } {
  const refills = new Set<() => void>();
  const known = () => configs(MODEL, gateway()).map((node) => ({ value: node.id, label: nameOf(node) }));
  let rows: List<string> | undefined;
  rows = list<string>(container, {
    label: t("models.label"), items: value, addLabel: t("models.add"), empty: t("models.none"),
    blank: () => known().find(({ value }) => !rows?.values().includes(value))?.value ?? "",
    draw(body, item, changed) {
      const which = select([], "", { "aria-label": t("models.which") });
      const refill = (): void => fill(which, known(), which.value || item);
      which.onchange = changed;
      refill();
      refills.add(refill);
      body.append(h("div", { class: "cf-line" }, which));
      return { read: () => which.value };
    },
  });
  return { values: () => [...new Set((rows?.values() ?? [...value]).filter((id) => id !== ""))], refresh: () => { for (const refill of refills) refill(); } };
}
