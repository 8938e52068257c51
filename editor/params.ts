/** The parameters of a tool: rows, or the JSON Schema itself. */
import { button, h, newId, problems, select } from "./dom.ts";
import { list } from "./list.ts";
import { PARAM_TYPES, fromSchema, toSchema, type Param, type ParamType } from "./schema.ts";
import { t } from "./red.ts";

const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;
export interface Params { values(): { params: Param[]; schema: string; schemaMode: boolean } }

export function params(container: HTMLElement, value: { params: readonly Param[]; schema: string; schemaMode: boolean }): Params {
  let schemaMode = value.schemaMode && !isOfRows(value);
  const rowsPart = h("div");
  const area = h("textarea", { rows: 12, class: "cf-code", spellcheck: false, id: newId(), "aria-label": t("params.schema") });
  const textPart = h("div", {}, area);
  const notice = h("div");
  const toggle = button("", () => change(), { icon: "code" });
  container.append(rowsPart, textPart, notice, h("div", { class: "cf-add" }, toggle));

  const rows = list<Param>(rowsPart, {
    label: t("params.label"), items: value.params, addLabel: t("params.add"), empty: t("params.none"),
    blank: () => ({ name: "", type: "string", description: "", required: true }),
    draw: drawParam,
    changed: () => { if (!schemaMode) notice.replaceChildren(); },
  });
  area.value = value.schema;
  area.oninput = () => notice.replaceChildren(problems(schemaProblems(area.value)));

  function change(): void {
    if (!schemaMode) {
      area.value = JSON.stringify(toSchema(rows.values()), null, 2);
      schemaMode = true;
      show();
      return;
    }
    const found = schemaProblems(area.value);
    if (found.length > 0) {
      notice.replaceChildren(problems(found));
      return;
    }
    const { params: read, hidden, lost } = fromSchema(JSON.parse(area.value || "{}"));
    if (lost.length > 0) {
      notice.replaceChildren(h("p", { class: "cf-note", role: "alert" }, t("params.lost", { names: lost.join(", ") })));
      return;
    }
    rows.set(read);
    schemaMode = false;
    show();
    if (hidden.length > 0) notice.replaceChildren(h("p", { class: "cf-note", role: "status" }, t("params.hidden", { names: hidden.join(", ") })));
  }
  function show(): void {
    rowsPart.hidden = schemaMode;
    textPart.hidden = !schemaMode;
    toggle.lastChild?.remove();
    toggle.append(` ${t(schemaMode ? "params.asRows" : "params.asSchema")}`);
    notice.replaceChildren();
  }
  show();
  return {
    values() {
      if (schemaMode) return { params: rows.values(), schema: area.value, schemaMode };
      const read = rows.values();
      // The runtime makes a schema of plain rows itself; keywords no row shows are only in the text.
      const full = read.some((param) => param.rest);
      return { params: read, schema: full ? JSON.stringify(toSchema(read), null, 2) : "", schemaMode: full };
    },
  };
}
/** A saved schema that its saved rows tell completely opens as rows. */
function isOfRows({ params: saved, schema }: { params: readonly Param[]; schema: string }): boolean {
  return saved.length > 0 && schema === JSON.stringify(toSchema(saved), null, 2);
}

function drawParam(body: HTMLElement, param: Param, changed: () => void): { read(): Param } {
  const name = h("input", { type: "text", value: param.name, placeholder: t("params.name"), "aria-label": t("params.name"), class: "cf-code" });
  const type = select(PARAM_TYPES.map((one) => ({ value: one, label: t(`params.types.${one}`) })), param.type, { "aria-label": t("params.type"), class: "cf-narrow" });
  const required = h("input", { type: "checkbox", checked: param.required });
  const description = h("input", { type: "text", value: param.description, placeholder: t("params.description"), "aria-label": t("params.description") });
  const values = h("input", { type: "text", value: (param.values ?? []).join(", "), placeholder: t("params.values"), "aria-label": t("params.values") });
  const valuesLine = h("div", { class: "cf-line" }, values);
  const rest = param.rest ? h("div", { class: "cf-muted" }, t("params.also", { names: Object.keys(param.rest).join(", ") })) : undefined;
  body.append(
    h("div", { class: "cf-line" }, name, type, h("label", { class: "cf-check cf-fix" }, required, t("params.required"))),
    h("div", { class: "cf-line" }, description), valuesLine, ...rest ? [rest] : [],
  );
  const show = (): void => {
    valuesLine.hidden = type.value !== "enum";
    name.classList.toggle("input-error", !NAME.test(name.value));
    name.title = NAME.test(name.value) ? "" : t("params.badName");
  };
  for (const input of [name, type, required, description, values]) input.addEventListener("input", () => { show(); changed(); });
  show();
  return {
    read: () => ({
      name: name.value.trim(), type: type.value as ParamType, description: description.value.trim(), required: required.checked,
      ...type.value === "enum" ? { values: values.value.split(",").map((one) => one.trim()).filter((one) => one !== "") } : {},
      ...param.rest ? { rest: param.rest } : {},
    }),
  };
}

export function schemaProblems(text: string): string[] {
  if (text.trim() === "") return [];
  try {
    const schema: unknown = JSON.parse(text);
    const isSchema = typeof schema === "object" && schema !== null && !Array.isArray(schema) && (schema as { type?: unknown }).type === "object";
    return isSchema ? [] : [t("params.notObject")];
  } catch (error) {
    return [`${t("params.notJson")} ${error instanceof Error ? error.message : ""}`];
  }
}

/** Reasons why rows cannot be a schema; none when they can. */
export function paramProblems(rows: unknown): string[] {
  if (!Array.isArray(rows)) return [];
  const found: string[] = [];
  const seen = new Set<string>();
  for (const { name, type, values } of rows as Param[]) {
    if (!NAME.test(name)) found.push(t("params.badNameOf", { name }));
    if (seen.has(name)) found.push(t("params.twice", { name }));
    if (type === "enum" && !values?.length) found.push(t("params.noValues", { name }));
    seen.add(name);
  }
  return found;
}
