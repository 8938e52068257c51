/** The buttons of a question: what stands on each, and what the flow gets. */
import { h } from "./dom.ts";
import { list, type List } from "./list.ts";
import { t } from "./red.ts";

export interface ChoiceRow { label: string; value: string }

export function choices(container: HTMLElement, value: readonly ChoiceRow[]): List<ChoiceRow> {
  return list<ChoiceRow>(container, {
    label: t("choices.label"), items: value, addLabel: t("choices.add"), empty: t("choices.none"),
    blank: () => ({ label: "", value: "" }),
    draw(body, choice, changed) {
      const label = h("input", { type: "text", value: choice.label, placeholder: t("choices.button"), "aria-label": t("choices.button") });
      const given = h("input", { type: "text", value: choice.value, placeholder: t("choices.same"), "aria-label": t("choices.value") });
      for (const input of [label, given]) input.addEventListener("input", changed);
      body.append(h("div", { class: "cf-line" }, label, given));
      return { read: () => ({ label: label.value.trim(), value: given.value.trim() }) };
    },
  });
}
