/** The form of route: its rules, and a box to try a message on them as they stand in the form. */
import type { RouteResult, RowExplanation } from "../engine/route.ts";
import { latest, post, tables } from "./api.ts";
import { byId, debounce, fieldOf, h, problems } from "./dom.ts";
import { portMap, rules, type Rule } from "./rules.ts";
import { sampleMessage, type Sample } from "./sample-message.ts";
import { t, type EditorNode } from "./red.ts";

interface Answer { problems: string[]; result?: RouteResult }
const FALLBACK = [{ id: "webchat", label: "Web chat" }];

export function routeForm(container: HTMLElement, tryBox: HTMLElement, node: EditorNode): { save(node: EditorNode): void } {
  const before = { rules: (Array.isArray(node.rules) ? node.rules : []) as Rule[], hasElse: node.hasElse !== false };
  let sample: Sample | undefined;
  const result = h("div", { "aria-live": "polite" });
  const ask = latest(tryBox, async () => {
    const fault = sample?.fault();
    if (!sample || fault) return { problems: fault ? [fault] : [] };
    return post<Answer>("try/route", {
      mode: (byId("node-input-mode") as HTMLSelectElement).value, timeZone: fieldOf("node-input-timeZone").value,
      rules: rows.values().map((rule, output) => ({ ...rule, output })), message: sample.read(), trust: sample.trust(), now: Date.now(),
    });
  }, (answer) => result.replaceChildren(problems(answer.problems), ...answer.result ? [explain(answer.result, hasElse())] : []), (error) => result.replaceChildren(problems([error.message])));
  const soon = debounce(ask);
  const hasElse = (): boolean => fieldOf("node-input-hasElse").checked;
  const rows = rules(container, before.rules, soon);

  function drawSample(channels: readonly { id: string; label: string }[]): void {
    sample = sampleMessage(tryBox, channels, soon, { trust: true });
    tryBox.append(result);
    soon();
  }
  tables().then(({ channels }) => drawSample(channels.length > 0 ? channels : FALLBACK), () => drawSample(FALLBACK));
  for (const id of ["node-input-mode", "node-input-hasElse", "node-input-timeZone"]) byId(id).addEventListener("change", soon);

  return {
    save(saved) {
      const after = { rules: rows.values(), hasElse: hasElse() };
      fieldOf("node-input-outputs").value = JSON.stringify(portMap(before, after));
      saved.rules = after.rules;
    },
  };
}

/** Each rule with a check list of its conditions; where the message goes stands on top. */
function explain(result: RouteResult, hasElse: boolean): HTMLElement {
  const where = result.matches.map(({ output, name }) => t("try.goesTo", { port: output + 1, name }));
  const nowhere = hasElse ? t("try.goesElse") : t("try.goesNowhere");
  return h("div", {}, h("div", { class: "cf-chosen" }, where.length > 0 ? where.join(" · ") : nowhere),
    h("ul", { class: "cf-result" }, ...result.explain.map((rule) => h("li", { class: rule.held ? "cf-yes" : "cf-no" },
      h("span", { class: "cf-sign", "aria-hidden": "true" }, rule.held ? "✓" : "✗"), h("strong", {}, rule.name || t("rules.unnamed", { number: rule.output + 1 })), " ",
      h("span", { class: "cf-muted" }, t(rule.chosen ? "try.chosen" : rule.held ? "try.heldNotChosen" : "try.notHeld")),
      h("ul", {}, ...rule.rows.map(line))))));
}
function line(row: RowExplanation): HTMLElement {
  const test = t(row.not ? `tests.not.${row.test}` : `tests.${row.test}`, {}, row.test);
  return h("li", { class: row.held ? "cf-yes" : "cf-no" }, h("span", { class: "cf-sign", "aria-hidden": "true" }, row.held ? "✓" : "✗"),
    h("span", { class: "cf-sr" }, t(row.held ? "try.yes" : "try.no")), `${t(`fields.${row.field}`, {}, row.field)} ${test} ${row.expected}`,
    h("span", { class: "cf-muted" }, ` ${t("try.got", { got: row.got || t("try.nothing") })}`));
}
