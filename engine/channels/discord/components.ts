/** Buttons, menus and forms of a draft as Discord's components. Pure. */
import { ChannelError } from "../../errors.ts";
import type { Button, Choices, Draft, Form, FormField } from "../../message.ts";
import { BUTTON_LABEL, BUTTON_URL, CUSTOM_ID, FORM_FIELDS, FORM_LABEL, OPTION_TEXT, OPTIONS, ROW_BUTTONS, ROWS } from "./limits.ts";

type Component = Record<string, unknown>;
/** Component types and styles (docs, "Component Type", "Button Styles", "Text Input Styles"). */
const ROW = 1;
const BUTTON = 2;
const SELECT = 3;
const INPUT = 4;
const LABEL = 18;
const STYLES = { primary: 1, plain: 2, danger: 4, link: 5 } as const;
const PLACEHOLDER = 150;

/** Undefined: nothing to press or to choose. Rows that are too long go on in the next one. */
export function componentsOf(draft: Draft): Component[] | undefined {
  const used = new Set<string>();
  const rows: Component[] = [];
  for (const row of draft.buttons ?? []) {
    for (let from = 0; from < row.length; from += ROW_BUTTONS) rows.push({ type: ROW, components: row.slice(from, from + ROW_BUTTONS).map((button) => buttonOf(button, used)) });
  }
  if (draft.choices !== undefined && draft.choices.options.length > 0) rows.push({ type: ROW, components: [menuOf(draft.choices, used)] });
  if (rows.length > ROWS) throw new ChannelError("MSG_003", {}, `Expected at most ${ROWS} rows of ${ROW_BUTTONS} buttons, a menu being a row, got ${rows.length}.`);
  return rows.length === 0 ? undefined : rows;
}

function buttonOf({ label, value = label, url, style }: Button, used: Set<string>): Component {
  const shown = fits(label, BUTTON_LABEL, `the label of button "${label.slice(0, 20)}"`);
  if (url !== undefined) return { type: BUTTON, style: STYLES.link, label: shown, url: fits(url, BUTTON_URL, `the address of button "${label.slice(0, 20)}"`) };
  return { type: BUTTON, style: STYLES[style ?? "plain"], label: shown, custom_id: unique(value === "" ? label : value, used, `the value of button "${label.slice(0, 20)}"`) };
}

/** Discord refuses the same id twice in a message; what is added is taken off when it comes back (from-interaction.ts). */
function unique(id: string, used: Set<string>, what: string): string {
  let own = id;
  while (used.has(own)) own += "\u200b";
  used.add(own);
  return fits(own, CUSTOM_ID, what);
}

function menuOf({ name, hint, multiple, options }: Choices, used: Set<string>): Component {
  return {
    type: SELECT, custom_id: unique(name === undefined || name === "" ? "choice" : name, used, "the name of a menu"), options: optionsOf(options),
    ...(hint === undefined ? {} : { placeholder: hint.slice(0, PLACEHOLDER) }),
    ...(multiple === true ? { min_values: 1, max_values: options.length } : {}),
  };
}

function optionsOf(options: Choices["options"], initial?: string): Component[] {
  if (options.length > OPTIONS) throw new ChannelError("MSG_003", {}, `Expected at most ${OPTIONS} options in a menu, got ${options.length}.`);
  return options.map(({ label, value = label, about }) => ({
    label: fits(label, OPTION_TEXT, `the option "${label.slice(0, 20)}"`), value: fits(value, OPTION_TEXT, `the value of option "${label.slice(0, 20)}"`),
    ...(about === undefined || about === "" ? {} : { description: about.slice(0, OPTION_TEXT) }),
    ...(initial !== undefined && initial === value ? { default: true } : {}),
  }));
}

/** A modal's data. Its custom_id brings the form's name back. */
export function modalOf(form: Form): Record<string, unknown> {
  if (form.fields.length === 0 || form.fields.length > FORM_FIELDS) throw new ChannelError("MSG_003", {}, `Expected 1 to ${FORM_FIELDS} fields in a form, got ${form.fields.length}. Ask for the rest in a second one.`);
  return { custom_id: fits(form.name, CUSTOM_ID, "the name of a form"), title: form.title.slice(0, FORM_LABEL) || form.name.slice(0, FORM_LABEL), components: form.fields.map(fieldOf) };
}

function fieldOf({ key, label, type, required, initial, options }: FormField): Component {
  const id = fits(key, CUSTOM_ID, "the key of a form's field");
  const needed = { required: required === true };
  const component = type === "choice"
    ? { type: SELECT, custom_id: id, options: optionsOf(options ?? [], initial), ...needed }
    : { type: INPUT, custom_id: id, style: type === "long" ? 2 : 1, ...needed, ...(initial === undefined || initial === "" ? {} : { value: initial.slice(0, 4000) }) };
  return { type: LABEL, label: label.slice(0, FORM_LABEL) || key.slice(0, FORM_LABEL), component };
}

function fits(text: string, most: number, what: string): string {
  const { length } = [...text];
  if (length >= 1 && length <= most) return text;
  throw new ChannelError("MSG_003", {}, `Expected ${what} to be 1 to ${most} characters, got ${length}.`);
}
