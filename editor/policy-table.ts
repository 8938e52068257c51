/** Who may use a tool, and when, in plain words: made of the very table that decides. */
import { decide, TRUSTS } from "../engine/policy.ts";
import type { Risk } from "../engine/tool.ts";
import { byId, fieldOf, h } from "./dom.ts";
import { query, t } from "./red.ts";

/** Follows the fields of these ids while the form is open. */
export function policyTable(container: HTMLElement, riskId: string, sharedId: string): void {
  const risk = byId(riskId) as HTMLSelectElement;
  const shared = fieldOf(sharedId);
  const cell = (trust: (typeof TRUSTS)[number], tainted: boolean): HTMLElement => {
    const { decision } = decide({ trust, tainted, tool: { risk: risk.value as Risk, shared: shared.checked } });
    return h("td", { class: `cf-may-${decision}` }, t(`policy.${decision}`));
  };
  const show = (): void => {
    const rows = TRUSTS.map((trust) => h("tr", {}, h("th", { scope: "row" }, t(`trust.${trust}`)), cell(trust, false), cell(trust, true)));
    container.replaceChildren(
      h("table", { class: "cf-table cf-policy" }, h("thead", {}, h("tr", {}, ...["who", "clean", "tainted"].map((head) => h("th", { scope: "col" }, t(`policy.${head}`))))), h("tbody", {}, ...rows)),
      h("div", { class: "cf-hint" }, t("policy.hint")),
    );
  };
  query(risk).on("change", show);
  shared.addEventListener("change", show);
  show();
}
