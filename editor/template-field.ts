/** A text field for a Liquid template: a larger editor on demand, and its problems as the runtime sees them. */
import { latest, post } from "./api.ts";
import { button, debounce, fieldOf, h, problems } from "./dom.ts";
import { query, red, t } from "./red.ts";

export function templateField(id: string): void {
  const area = fieldOf(id);
  const place = h("div", { "aria-live": "polite" });
  area.after(place);
  const look = latest(place, () => post<{ problems: string[] }>("try/template", { text: area.value }), (answer) => place.replaceChildren(problems(answer.problems)), () => place.replaceChildren());
  area.addEventListener("input", debounce(() => (area.value.includes("{") ? look() : place.replaceChildren()), 600));
  if (area.value.includes("{")) look();
  const label = document.querySelector(`label[for="${id}"]`);
  label?.after(button("", () => red.editor.editText({
    mode: "ace/mode/handlebars", value: area.value, width: "Infinity",
    complete: (text: string) => { area.value = text; query(area).trigger("change"); look(); },
  }), { icon: "expand", bare: true, title: t("expand") }));
}
