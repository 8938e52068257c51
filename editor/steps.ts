/** The steps of normalize: rows the user orders, each with the fields of its kind, and what they make of a message. */
import type { StepInfo, StepParam } from "../engine/normalize.ts";
import { latest, post, tables } from "./api.ts";
import { check, debounce, fill, h, newId, problems, row, select } from "./dom.ts";
import { list, type List } from "./list.ts";
import { sampleMessage } from "./sample-message.ts";
import { t } from "./red.ts";

export interface Step { type: string; [parameter: string]: unknown }
interface Answer { problems: string[]; message?: Record<string, unknown>; error?: { code: string; text: string } }

/** Until the runtime has told which steps there are, what was saved stays. */
export function stepsForm(container: HTMLElement, value: readonly Step[]): { values(): Step[] } {
  let values = (): Step[] => [...value];
  tables().then(({ steps, channels }) => {
    const kinds = steps as readonly StepInfo[];
    const place = h("div");
    const box = h("div", { class: "cf-box" });
    const result = h("div", { "aria-live": "polite" });
    container.append(place, h("h4", {}, t("steps.try")), box);
    const ask = latest(container, async () => {
      const fault = sample.fault();
      return fault ? { problems: [fault] } : post<Answer>("try/normalize", { steps: values(), message: sample.read() });
    }, (answer: Answer) => result.replaceChildren(...shown(answer)), (error) => result.replaceChildren(problems([error.message])));
    const soon = debounce(ask);
    const rows: List<Step> = list<Step>(place, {
      label: t("steps.label"), items: value, addLabel: t("steps.add"), empty: t("steps.none"),
      blank: () => blank(kinds.find(({ type }) => !rows.values().some((step) => step.type === type)) ?? kinds[0]),
      draw: (body, step, changed) => drawStep(body, step, kinds, changed),
      changed: soon,
    });
    values = () => rows.values();
    const sample = sampleMessage(box, channels, soon, { text: t("steps.sample") });
    box.append(result);
    soon();
  }, (error: Error) => container.append(problems([error.message])));
  return { values: () => values() };
}

const blank = (kind: StepInfo | undefined): Step => ({ type: kind?.type ?? "trim", ...Object.fromEntries((kind?.params ?? []).filter((param) => param.initial !== undefined).map((param) => [param.key, param.initial])) });
const labelOf = (kind: StepInfo): string => t(`steps.${kind.type}.label`, {}, kind.label);

function drawStep(body: HTMLElement, step: Step, kinds: readonly StepInfo[], changed: () => void): { read(): Step } {
  const type = select([], "", { "aria-label": t("steps.kind") });
  const hint = h("div", { class: "cf-muted" });
  const fields = h("div", { class: "cf-params" });
  let parts: { key: string; read(): unknown }[] = [];
  fill(type, kinds.map((kind) => ({ value: kind.type, label: labelOf(kind) })), step.type);
  function draw(from: Step): void {
    const kind = kinds.find((one) => one.type === type.value);
    hint.textContent = kind ? t(`steps.${kind.type}.hint`, {}, kind.hint ?? "") : t("steps.unknown", { type: type.value });
    fields.replaceChildren();
    parts = (kind?.params ?? []).map((param) => {
      const part = drawParam(type.value, param, from[param.key] ?? param.initial, changed);
      fields.append(part.element);
      return { key: param.key, read: part.read };
    });
  }
  type.onchange = () => { draw(blank(kinds.find((one) => one.type === type.value))); changed(); };
  draw(step);
  body.append(h("div", { class: "cf-line" }, type), hint, fields);
  return {
    // A step this version does not know is kept as it is.
    read: () => (kinds.some((one) => one.type === type.value) ? { type: type.value, ...Object.fromEntries(parts.map(({ key, read }) => [key, read()])) } : step),
  };
}

function drawParam(step: string, param: StepParam, value: unknown, changed: () => void): { element: HTMLElement; read(): unknown } {
  const label = t(`steps.${step}.${param.key}`, {}, param.label);
  const hint = t(`steps.${step}.${param.key}Hint`, {}, param.hint ?? "") || undefined;
  const text = Array.isArray(value) ? value.join("\n") : String(value ?? "");
  switch (param.type) {
    case "choice": {
      const field = select((param.choices ?? []).map((one) => ({ value: one, label: t(`steps.${step}.${param.key}Choices.${one}`, {}, one) })), text, { onchange: changed });
      return { element: row(label, field, hint), read: () => field.value };
    }
    case "list": {
      const field = h("textarea", { rows: 2, value: text, oninput: changed });
      return { element: row(label, field, hint), read: () => field.value.split("\n").map((line) => line.trim()).filter((line) => line !== "") };
    }
    case "number": {
      const field = h("input", { type: "number", class: "cf-short", value: text, oninput: changed, id: newId(), ...param.min === undefined ? {} : { min: String(param.min) }, ...param.max === undefined ? {} : { max: String(param.max) } });
      return { element: row(label, field, hint), read: () => (field.value === "" ? "" : Number(field.value)) };
    }
    case "boolean": {
      let on = value === true;
      return { element: h("div", { class: "form-row cf-indent" }, check(label, on, (next) => { on = next; changed(); })), read: () => on };
    }
    default: {
      const field = h("input", { type: "text", value: text, oninput: changed });
      return { element: row(label, field, hint), read: () => field.value };
    }
  }
}

/** The parts of the message that steps change. */
function shown(answer: Answer): HTMLElement[] {
  const parts: HTMLElement[] = [problems(answer.error ? [] : answer.problems)];
  if (answer.error) parts.push(problems([`${answer.error.text} (${answer.error.code})`]));
  if (answer.message) {
    const { text, action, language, tags, sender } = answer.message as { text?: string; action?: object; language?: string; tags?: string[]; sender?: { name?: string } };
    parts.push(h("pre", { class: "cf-preview" }, JSON.stringify({ text, action, language, tags, sender: sender?.name }, null, 2)));
  }
  return parts;
}
