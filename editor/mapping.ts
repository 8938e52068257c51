/** Where the fields of a Message come from: typed inputs, filled for known nodes, with a live preview of the result. */
import type { Mapping, MappingField, MappingPreset, TypedValue } from "../engine/mapping.ts";
import { latest, post, tables } from "./api.ts";
import { button, debounce, h, newId, problems, select } from "./dom.ts";
import { query, t } from "./red.ts";

/** As MAPPING_FIELDS of the engine; a test compares them. The reply address has fields of its own in the forms. */
const SHOWN_FIELDS: readonly MappingField[] = ["text", "sender.id", "sender.name", "chat", "chatKind", "thread", "id"];
const MORE_FIELDS: readonly MappingField[] = ["sender.handle", "space", "ref", "replyTo", "kind", "language", "sentAt", "tags", "attachments", "account"];
const SAMPLES: Readonly<Record<string, object>> = {
  msg: { payload: "The cellar is wet.", topic: "sensors/cellar" },
  webhook: { payload: { text: "Somebody is at the door.", sender: "doorbell" } },
};
interface Answer { problems: string[]; message?: object; error?: { code: string; text: string } }

/** As Node-RED's own, but it may be empty: the field is left out then. */
const MSG = { value: "msg", label: "msg.", validate: (text: string) => text === "" || /^[^\s].*$/.test(text) };

function typesOf(field: MappingField): unknown[] {
  const template = { value: "template", label: "Liquid", icon: "fa fa-code", expand: true };
  const types: unknown[] = [MSG, "str", template, "env", "flow", "global", "jsonata"];
  if (field === "attachments") return [MSG, "json", "jsonata"];
  if (field === "sentAt") return [MSG, "date", "str", "jsonata"];
  if (field === "id") return [...types, { value: "hash", label: t("mapping.hash"), icon: "fa fa-hashtag", hasValue: false }];
  return types;
}

export function mappingForm(container: HTMLElement, value: Mapping, preset: string, source: "msg" | "webhook"): { values(): Mapping; preset(): string } {
  let chosen = preset;
  const inputs = new Map<MappingField, HTMLInputElement>();
  const soon = debounce(() => preview());
  const presetPlace = h("div", { class: "form-row", hidden: true });
  const main = h("div", { class: "cf-mapping" }, ...SHOWN_FIELDS.map(line));
  const more = h("details", { open: MORE_FIELDS.some((field) => field in value) }, h("summary", {}, t("mapping.more")), h("div", { class: "cf-mapping" }, ...MORE_FIELDS.map(line)));
  const sample = h("textarea", { rows: 4, class: "cf-code", spellcheck: false, id: newId(), value: JSON.stringify(SAMPLES[source], null, 2), oninput: soon });
  const result = h("div", { "aria-live": "polite" });
  container.append(presetPlace, main, more,
    h("h4", {}, t("mapping.preview")), h("div", { class: "cf-box" }, h("label", { for: sample.id, class: "cf-muted" }, t("mapping.sample")), sample, result));
  for (const [field, input] of inputs) {
    query(input).typedInput({ types: typesOf(field), default: field === "attachments" || field === "sentAt" ? "msg" : value[field]?.type ?? "msg" });
    write(field, value[field]);
    query(input).on("change", soon);
  }
  tables().then(({ presets }) => drawPresets(presets as readonly MappingPreset[]), () => undefined);
  soon();

  function hintOf(field: MappingField): string {
    const key = field.replace(".", "_");
    const hint = t(`mapping.hints.${key}`, {}, " ");
    return source === "webhook" ? t(`mapping.webhookHints.${key}`, {}, hint) : hint;
  }
  function line(field: MappingField): HTMLElement {
    const input = h("input", { type: "text", id: newId(), placeholder: hintOf(field), "aria-label": t(`mapping.fields.${field.replace(".", "_")}`) });
    inputs.set(field, input);
    return h("div", { class: "form-row" }, h("label", { for: input.id }, t(`mapping.fields.${field.replace(".", "_")}`)), input);
  }
  function write(field: MappingField, typed: TypedValue | undefined): void {
    const input = inputs.get(field);
    if (!input) return;
    query(input).typedInput("type", typed?.type ?? "msg");
    query(input).typedInput("value", typeof typed?.value === "string" ? typed.value : typed?.value === undefined ? "" : JSON.stringify(typed.value));
  }
  function values(): Mapping {
    const read: Record<string, TypedValue> = {};
    // What the form does not show (a reply address by fields) is kept.
    for (const [field, typed] of Object.entries(value)) if (!inputs.has(field as MappingField)) read[field] = typed;
    for (const [field, input] of inputs) {
      const typed = { type: query(input).typedInput("type"), value: query(input).typedInput("value") };
      if (typed.value !== "" || typed.type === "hash" || typed.type === "date") read[field] = typed;
    }
    return read as Mapping;
  }
  function drawPresets(presets: readonly MappingPreset[]): void {
    if (presets.length === 0) return;
    const choice = select([{ value: "", label: t("mapping.noPreset") }, ...presets.map(({ id, label }) => ({ value: id, label: t(`mapping.presets.${id}`, {}, label) }))], chosen, { id: newId() });
    const fillIn = button(t("mapping.fillIn"), () => {
      const found = presets.find(({ id }) => id === choice.value);
      chosen = choice.value;
      for (const field of inputs.keys()) write(field, found?.mapping[field]);
      if (MORE_FIELDS.some((field) => found?.mapping[field])) more.open = true;
      soon();
    });
    presetPlace.append(h("label", { for: choice.id }, t("mapping.preset")), choice, fillIn);
    presetPlace.hidden = false;
  }
  const preview = latest(container, async (): Promise<Answer> => {
    let msg: unknown;
    try {
      msg = JSON.parse(sample.value || "{}");
    } catch (error) {
      return { problems: [`${t("params.notJson")} ${error instanceof Error ? error.message : ""}`] };
    }
    const mapping = values();
    // A webhook finds the text by itself where no field names it.
    const text = source === "webhook" && !mapping.text ? { text: { type: "template", value: "{{ payload.text }}{{ payload.message }}{{ payload.content }}" } } : {};
    return post<Answer>("try/normalize", { mapping: { ...text, ...mapping }, msg });
  }, (answer) => {
    const faults = answer.error ? [`${answer.error.text} (${answer.error.code})`] : answer.problems;
    result.replaceChildren(problems(faults), ...answer.message ? [h("pre", { class: "cf-preview" }, JSON.stringify(answer.message, null, 2))] : []);
  }, (error) => result.replaceChildren(problems([error.message])));

  return { values, preset: () => chosen };
}
