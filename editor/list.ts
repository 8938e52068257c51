/** A list of rows the user adds, removes and orders: by dragging, or with Alt+Up and Alt+Down. */
import { button, h, icon } from "./dom.ts";
import { query, t } from "./red.ts";

export interface ListOptions<T> {
  readonly label: string;
  readonly items: readonly T[];
  readonly addLabel: string;
  blank(): T;
  /** Draws one row; `changed` is to be called on every input. Returns what reads the row. */
  draw(body: HTMLElement, item: T, changed: () => void): { read(): T; /** Told after adding, removing, ordering. */ place?(index: number): void };
  changed?(): void;
  /** Called when a row is removed, with its position before. */
  readonly empty?: string;
}
export interface List<T> { values(): T[]; set(items: readonly T[]): void; add(item: T): void }
interface Row<T> { readonly item: T; drawn?: ReturnType<ListOptions<T>["draw"]> }

export function list<T>(container: HTMLElement, options: ListOptions<T>): List<T> {
  const holder = h("ol", { class: "cf-list", "aria-label": options.label });
  const empty = h("p", { class: "cf-muted", hidden: true }, options.empty ?? "");
  const spoken = h("div", { class: "cf-sr", "aria-live": "polite" });
  container.append(empty, holder, spoken);
  const rows = query(holder);
  const all = (): Row<T>[] => (rows.editableList("items") as unknown as { each(visit: (index: number, element: Element) => void): void; toArray(): Element[] }).toArray()
    .map((element) => (query(element) as unknown as { data(key: string): Row<T> }).data("data"));
  let ready = false;

  function changed(): void {
    if (!ready) return;
    const drawn = all();
    for (const [index, one] of drawn.entries()) one.drawn?.place?.(index);
    empty.hidden = drawn.length > 0 || !options.empty;
    const frame = holder.closest<HTMLElement>(".red-ui-editableList-container");
    if (frame) frame.hidden = drawn.length === 0;
    options.changed?.();
  }

  function move(item: Element, by: -1 | 1): void {
    const other = by < 0 ? item.previousElementSibling : item.nextElementSibling;
    if (!other) return;
    const focused = document.activeElement as HTMLElement | null;
    if (by < 0) other.before(item);
    else other.after(item);
    focused?.focus();
    const index = [...holder.children].indexOf(item);
    spoken.textContent = t("movedTo", { position: index + 1, count: holder.children.length });
    changed();
  }

  rows.editableList({
    addButton: false, height: "auto", sortable: ".cf-move", removable: false, scrollOnAdd: false,
    sortItems: () => changed(),
    addItem(cell: { readonly [index: number]: HTMLElement }, _index: number, one: Row<T>) {
      const place = cell[0] as HTMLElement;
      const element = place.closest("li") as HTMLElement;
      const handle = h("span", {
        class: "cf-move", role: "button", tabindex: "0", title: t("moveHint"), "aria-label": t("moveHint"),
        onkeydown: (event: KeyboardEvent) => {
          if (event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
          event.preventDefault();
          move(element, event.key === "ArrowUp" ? -1 : 1);
        },
      }, icon("bars"));
      const body = h("div", { class: "cf-row-body" });
      const remove = button("", () => {
        const next = (element.nextElementSibling ?? element.previousElementSibling)?.querySelector<HTMLElement>(".cf-move");
        rows.editableList("removeItem", one);
        (next ?? add).focus();
        changed();
      }, { icon: "times", title: t("remove"), bare: true });
      element.addEventListener("keydown", (event) => {
        if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown") || (event.target as Element).closest("li") !== element) return;
        event.preventDefault();
        move(element, event.key === "ArrowUp" ? -1 : 1);
      });
      place.append(h("div", { class: "cf-row" }, handle, body, remove));
      one.drawn = options.draw(body, one.item, changed);
    },
  });
  const append = (item: T): void => { rows.editableList("addItem", { item } satisfies Row<T>); };
  const add = button(options.addLabel, () => {
    append(options.blank());
    changed();
    holder.lastElementChild?.querySelector<HTMLElement>("input, select")?.focus();
  }, { icon: "plus" });
  add.classList.add("cf-add");
  container.append(add);

  for (const item of options.items) append(item);
  ready = true;
  changed();
  return {
    values: () => all().flatMap((one) => (one.drawn ? [one.drawn.read()] : [])),
    set(items) {
      ready = false;
      rows.editableList("empty");
      for (const item of items) append(item);
      ready = true;
      changed();
    },
    add(item) { append(item); changed(); },
  };
}
