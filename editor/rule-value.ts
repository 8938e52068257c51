/** The value of a condition: one field or several, as its test asks for. */
import { TESTS, type Field, type TestId } from "../engine/route-fields.ts";
import type { TimeWindow } from "../engine/route-window.ts";
import { tablesNow } from "./api.ts";
import { check, h, newId, select } from "./dom.ts";
import { ACCOUNT, configs, nameOf } from "./gateways.ts";
import { red, t } from "./red.ts";

export interface Value { readonly element: HTMLElement; read(): unknown }
const asList = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : typeof value === "string" && value !== "" ? value.split("\n") : []);
const asText = (value: unknown): string => (typeof value === "string" ? value : Array.isArray(value) ? value.join(", ") : "");
const choiceLabel = (field: Field, choice: string): string => t(`values.${field.id}.${choice}`, {}, choice);

/** `initial` may come from another test of the field: what still makes sense is kept. */
export function valueField(field: Field | undefined, test: TestId, initial: unknown, changed: () => void): Value {
  const kind = TESTS.find(({ id }) => id === test)?.value ?? "text";
  if (kind === "none") return { element: h("span", { hidden: true }), read: () => undefined };
  if (kind === "window") return windowValue(initial as TimeWindow | undefined, changed);
  if (field?.values) return kind === "list" ? choicesValue(field, field.values, asList(initial), changed) : choiceValue(field, field.values, asText(initial), changed);
  return textValue(field, kind, initial, changed);
}

function textValue(field: Field | undefined, kind: string, initial: unknown, changed: () => void): Value {
  const isList = kind === "list";
  const input = h("input", {
    type: "text", value: isList ? asList(initial).join(", ") : asText(initial), "aria-label": t("rules.value"), oninput: changed,
    placeholder: isList ? t("testHints.list") : kind === "pattern" ? t("testHints.pattern") : t(`valueHints.${field?.id ?? ""}`, {}, " "),
    ...kind === "pattern" ? { class: "cf-code", spellcheck: false } : {},
  });
  const offered = offers(field);
  if (offered.length === 0) return { element: input, read };
  const options = h("datalist", { id: newId() }, ...offered.map(({ value, label }) => h("option", { value, label })));
  input.setAttribute("list", options.id);
  return { element: h("span", { class: "cf-span" }, input, options), read };
  function read(): unknown {
    return isList ? input.value.split(",").map((one) => one.trim()).filter((one) => one !== "") : input.value;
  }
}
function offers(field: Field | undefined): { value: string; label: string }[] {
  if (field?.offers === "channels") return (tablesNow()?.channels ?? []).map(({ id, label }) => ({ value: id, label }));
  if (field?.offers === "accounts") return configs(ACCOUNT).map((account) => ({ value: String(account.slug), label: nameOf(account) }));
  return [];
}
function choiceValue(field: Field, choices: readonly string[], initial: string, changed: () => void): Value {
  const element = select(choices.map((one) => ({ value: one, label: choiceLabel(field, one) })), choices.includes(initial) ? initial : choices[0] ?? "", { "aria-label": t("rules.value"), onchange: changed });
  return { element, read: () => element.value };
}
function choicesValue(field: Field, choices: readonly string[], initial: readonly string[], changed: () => void): Value {
  const chosen = new Set(initial.filter((one) => choices.includes(one)));
  const toggle = (one: string) => (on: boolean): void => { if (on) chosen.add(one); else chosen.delete(one); changed(); };
  const element = h("div", { class: "cf-flags", role: "group", "aria-label": t("rules.value") }, ...choices.map((one) => check(choiceLabel(field, one), chosen.has(one), toggle(one))));
  return { element, read: () => choices.filter((one) => chosen.has(one)) };
}
function windowValue(initial: TimeWindow | undefined, changed: () => void): Value {
  const isWindow = typeof initial === "object" && initial !== null && "from" in initial;
  const from = h("input", { type: "time", value: isWindow ? initial.from : "08:00", "aria-label": t("rules.from"), oninput: changed });
  const to = h("input", { type: "time", value: isWindow ? initial.to : "17:00", "aria-label": t("rules.to"), oninput: changed });
  const days = new Set<number>(isWindow && initial.days ? initial.days : [1, 2, 3, 4, 5, 6, 7]);
  const dayName = (day: number): string => new Intl.DateTimeFormat(red.i18n.lang(), { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2024, 0, day)); // 1 January 2024 was a Monday
  const boxes = [1, 2, 3, 4, 5, 6, 7].map((day) => check(dayName(day), days.has(day), (on) => { if (on) days.add(day); else days.delete(day); changed(); }));
  const element = h("div", {}, h("div", { class: "cf-line" }, from, h("span", { class: "cf-fix" }, "–"), to), h("div", { class: "cf-flags", role: "group", "aria-label": t("rules.days") }, ...boxes));
  return {
    element,
    read: () => ({
      from: from.value, to: to.value, ...days.size < 7 ? { days: [...days].sort((a, b) => a - b) } : {}, ...isWindow && initial.timeZone ? { timeZone: initial.timeZone } : {},
    }),
  };
}
