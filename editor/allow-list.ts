/** People an account lets in beside the owner: by the platform's immutable id, because names can be copied. */
import { h } from "./dom.ts";
import { list } from "./list.ts";
import { t } from "./red.ts";

export interface Allowed { id: string; name: string }
export function allowList(container: HTMLElement, value: readonly Allowed[]): { values(): Allowed[] } {
  const rows = list<Allowed>(container, {
    label: t("allow.label"), items: value, addLabel: t("allow.add"), empty: t("allow.none"),
    blank: () => ({ id: "", name: "" }),
    draw(body, person, changed) {
      const id = h("input", { type: "text", value: person.id, placeholder: t("allow.id"), "aria-label": t("allow.id"), oninput: changed });
      const name = h("input", { type: "text", value: person.name ?? "", placeholder: t("allow.name"), "aria-label": t("allow.name"), oninput: changed });
      body.append(h("div", { class: "cf-line" }, id, name));
      return { read: () => ({ id: id.value.trim(), name: name.value.trim() }) };
    },
  });
  return { values: () => rows.values().filter((person) => person.id !== "") };
}
