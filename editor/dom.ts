/** Small helpers that make elements. Text always becomes text nodes: names from a chat platform are never markup. */
import { t } from "./red.ts";

type Child = Node | string | false | undefined;
interface Properties { readonly [name: string]: unknown }

let made = 0;
/** An id no other element of the page has. */
export const newId = (): string => `clawflow-id-${++made}`;

/** `on…` are listeners, `class`, `for` and `aria-…` attributes, everything else a property where the element has it. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, properties: Properties = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === false && !(name in element)) continue;
    if (name.startsWith("on") && typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else if (name in element && name !== "list" && name !== "form") (element as unknown as Record<string, unknown>)[name] = value;
    else element.setAttribute(name, String(value));
  }
  for (const child of children) if (child !== undefined && child !== false) element.append(child);
  return element;
}

export const icon = (name: string): HTMLElement => h("i", { class: `fa fa-${name}`, "aria-hidden": "true" });

export function button(label: string, click: () => void, options: { icon?: string; small?: boolean; bare?: boolean; title?: string } = {}): HTMLButtonElement {
  const name = options.title ?? label;
  return h("button", {
    type: "button", class: `red-ui-button${options.small === false ? "" : " red-ui-button-small"}${options.bare ? " cf-bare" : ""}`,
    onclick: click, title: name === label ? undefined : name, "aria-label": name === label ? undefined : name,
  }, options.icon ? icon(options.icon) : undefined, options.icon && label !== "" ? " " : undefined, label);
}

export interface Option { readonly value: string; readonly label: string }
/** A value that is not among the options stays choosable: an environment reference, or a plugin that is not installed. */
export function select(options: readonly Option[], value: string, properties: Properties = {}): HTMLSelectElement {
  const known = options.some((option) => option.value === value);
  const shown = known || value === "" ? options : [...options, { value, label: value }];
  const element = h("select", properties, ...shown.map((option) => h("option", { value: option.value }, option.label)));
  element.value = value;
  return element;
}
/** Draws the options anew and keeps the choice. */
export function fill(element: HTMLSelectElement, options: readonly Option[], value: string): void {
  element.replaceChildren(...select(options, value).children);
  element.value = value;
}

/** A row of the form: label, field, and a muted line under it. */
export function row(label: string, field: HTMLElement, hint?: string): HTMLElement {
  field.id ||= newId();
  const line = h("div", { class: "form-row" }, h("label", { for: field.id }, label), field);
  if (!hint) return line;
  const text = h("div", { class: "cf-hint", id: newId() }, hint);
  field.setAttribute("aria-describedby", text.id);
  line.classList.add("cf-with-hint");
  line.append(text);
  return line;
}
export function check(label: string, value: boolean, change: (value: boolean) => void): HTMLLabelElement {
  const box = h("input", { type: "checkbox", checked: value, onchange: () => change(box.checked) });
  return h("label", { class: "cf-check" }, box, label);
}

/** Words never stand by colour alone: each state has its own sign. */
export function state(kind: "ok" | "wait" | "bad" | "off", text: string): HTMLElement {
  const sign = { ok: "check-circle", wait: "clock-o", bad: "exclamation-triangle", off: "circle-o" }[kind];
  return h("span", { class: `cf-state cf-state-${kind}` }, icon(sign), " ", text);
}
export function problems(list: readonly string[]): HTMLElement {
  return h("ul", { class: "cf-problems", ...list.length > 0 ? { role: "alert" } : {} }, ...list.map((text) => h("li", {}, text)));
}

/** Runs `act` once, `ms` after the last call. */
export function debounce(act: () => void, ms = 350): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return () => { clearTimeout(timer); timer = setTimeout(act, ms); };
}

export async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text).catch(() => copyOld(text));
  copyOld(text);
}
/** Without https there is no clipboard API, and many editors are served without. */
function copyOld(text: string): void {
  const area = h("textarea", { value: text, class: "cf-offscreen" });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** The element of a form's template, by id. */
export function byId(id: string): HTMLElement {
  const element = document.getElementById(id);
  if (!element) throw new Error(t("missingElement", { id }, `The form has no element ${id}.`));
  return element;
}
export const fieldOf = (id: string): HTMLInputElement => byId(id) as HTMLInputElement;
