/** The rules of route: named rows of conditions, drawn from the engine's table of fields. The order of the rules is the order of the ports. */
import { FIELDS, TESTS, type Field, type TestId } from "../engine/route-fields.ts";
import { button, fill, h, select, type Option } from "./dom.ts";
import { list, type List } from "./list.ts";
import { valueField, type Value } from "./rule-value.ts";
import { t } from "./red.ts";

export interface Condition { field: string; test: string; value?: unknown; not?: boolean }
export interface Rule { id: string; name: string; rows: Condition[] }

const newRuleId = (): string => `r${crypto.getRandomValues(new Uint32Array(2)).reduce((text, part) => text + part.toString(36), "")}`;
function testLabel(test: TestId, not: boolean): string {
  const label = t(`tests.${test}`, {}, TESTS.find(({ id }) => id === test)?.label ?? test);
  return not ? t(`tests.not.${test}`, {}, t("tests.notOf", { test: label })) : label;
}

export function rules(container: HTMLElement, value: readonly Rule[], changed: () => void): List<Rule> {
  return list<Rule>(container, {
    label: t("rules.label"), items: value, addLabel: t("rules.add"), empty: t("rules.none"),
    blank: () => ({ id: newRuleId(), name: "", rows: [blankCondition()] }),
    draw: (body, rule, rowChanged) => drawRule(body, rule, rowChanged),
    changed,
  });
}
const blankCondition = (): Condition => ({ field: "text", test: "contains", value: "" });

function drawRule(body: HTMLElement, rule: Rule, changed: () => void) {
  const port = h("span", { class: "cf-port", title: t("rules.port") });
  const name = h("input", { type: "text", value: rule.name, placeholder: t("rules.name"), "aria-label": t("rules.name") });
  const conditions = h("div");
  const drawn: { read(): Condition; element: HTMLElement }[] = [];
  const add = (condition: Condition): void => {
    const one = drawCondition(condition, changed, () => {
      drawn.splice(drawn.indexOf(one), 1);
      one.element.remove();
      show();
      changed();
    });
    drawn.push(one);
    conditions.append(one.element);
    show();
  };
  /** The first condition begins with "if", the others with "and". */
  const show = (): void => drawn.forEach(({ element }, index) => {
    (element.querySelector(".cf-and") as HTMLElement).textContent = t(index === 0 ? "rules.if" : "rules.and");
  });
  name.addEventListener("input", changed);
  body.append(h("div", { class: "cf-line" }, port, name), conditions,
    h("div", { class: "cf-line" }, h("span", { class: "cf-and" }), button(t("rules.addCondition"), () => {
      add(blankCondition());
      conditions.lastElementChild?.querySelector("select")?.focus();
      changed();
    }, { icon: "plus", bare: true })));
  for (const condition of rule.rows) add(condition);
  return {
    read: (): Rule => ({ ...rule, name: name.value.trim(), rows: drawn.map((one) => one.read()) }),
    place: (index: number) => { port.textContent = String(index + 1); port.setAttribute("aria-label", t("rules.portOf", { port: index + 1 })); },
  };
}

function drawCondition(condition: Condition, changed: () => void, remove: () => void): { read(): Condition; element: HTMLElement } {
  const field = select(FIELDS.map(({ id, label }) => ({ value: id, label: t(`fields.${id}`, {}, label) })), condition.field, { "aria-label": t("rules.field") });
  const test = select([], "", { "aria-label": t("rules.test") });
  const place = h("div", { class: "cf-value" });
  const element = h("div", { class: "cf-condition" },
    h("div", { class: "cf-line" }, h("span", { class: "cf-and" }), field, test, button("", remove, { icon: "times", bare: true, title: t("rules.removeCondition") })), place);
  const info = (): Field | undefined => FIELDS.find(({ id }) => id === field.value);
  let value: Value;
  const testOptions = (): Option[] => (info()?.tests ?? [condition.test as TestId]).flatMap((one) => [{ value: one, label: testLabel(one, false) }, { value: `!${one}`, label: testLabel(one, true) }]);
  const testId = (): TestId => test.value.replace("!", "") as TestId;
  function drawValue(initial: unknown): void {
    value = valueField(info(), testId(), initial, changed);
    place.replaceChildren(value.element);
    place.hidden = value.element.hidden;
  }
  field.onchange = () => { fill(test, testOptions(), info()?.tests[0] ?? "is"); drawValue(undefined); changed(); };
  test.onchange = () => { drawValue(value.read()); changed(); };
  fill(test, testOptions(), condition.not ? `!${condition.test}` : condition.test);
  drawValue(condition.value);
  return {
    element,
    read: () => ({ field: field.value, test: testId(), value: value.read(), ...test.value.startsWith("!") ? { not: true } : {} }),
  };
}

/** Wires follow their rule: old port → new port, "-1" for a rule that is gone; a new rule under its id. What Node-RED's outputs field takes. */
export function portMap(before: { rules: readonly Rule[]; hasElse: boolean }, after: { rules: readonly Rule[]; hasElse: boolean }): Record<string, number> {
  const map: Record<string, number> = {};
  before.rules.forEach((rule, port) => { map[port] = after.rules.findIndex((other) => other.id === rule.id); });
  after.rules.forEach((rule, port) => { if (!before.rules.some((other) => other.id === rule.id)) map[rule.id] = port; });
  const elsePort = after.hasElse ? after.rules.length : -1;
  if (before.hasElse) map[before.rules.length] = elsePort;
  else if (after.hasElse) map.else = elsePort;
  return map;
}
