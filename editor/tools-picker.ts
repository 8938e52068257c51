/** Which tools an agent may call: single ones by name, groups by tag, or all of the gateway. Shows what is on the canvas. */
import { fill, h, select } from "./dom.ts";
import { list, type List } from "./list.ts";
import { t } from "./red.ts";
import { toolsOf, type KnownTool } from "./tool-names.ts";

export interface ToolChoice { by: "name" | "tag" | "all"; value: string }
export function chosen(tools: readonly KnownTool[], choices: readonly ToolChoice[]): KnownTool[] {
  return tools.filter(({ tool, tags }) => choices.some(({ by, value }) => by === "all" || (by === "name" ? tool === value : tags.includes(value))));
}

export function toolsPicker(container: HTMLElement, value: readonly ToolChoice[], gateway: () => string): { values(): ToolChoice[]; refresh(): void } {
  const place = h("div");
  const result = h("p", { class: "cf-muted cf-sees", "aria-live": "polite" });
  container.append(place, result);
  const names = (): string[] => toolsOf(gateway()).map(({ tool }) => tool).filter((name) => name !== "");
  const tags = (): string[] => [...new Set(toolsOf(gateway()).flatMap(({ tags }) => tags))].sort();
  const refills = new Set<() => void>();

  let rows: List<ToolChoice> | undefined;
  rows = list<ToolChoice>(place, {
    label: t("tools.label"), items: value, addLabel: t("tools.add"), empty: t("tools.none"),
    blank: () => ({ by: "name", value: names().find((name) => !rows?.values().some((row) => row.by === "name" && row.value === name)) ?? "" }),
    draw(body, item, changed) {
      const by = select((["name", "tag", "all"] as const).map((one) => ({ value: one, label: t(`tools.by.${one}`) })), item.by, { "aria-label": t("tools.byLabel"), class: "cf-narrow" });
      const what = select([], "", { "aria-label": t("tools.which") });
      const refill = (): void => {
        const known = by.value === "tag" ? tags() : names();
        const kept = what.value || item.value;
        what.hidden = by.value === "all";
        fill(what, known.map((one) => ({ value: one, label: one })), by.value === item.by || known.includes(kept) ? kept : known[0] ?? "");
      };
      by.onchange = () => { what.value = ""; refill(); changed(); };
      what.onchange = changed;
      refill();
      refills.add(refill);
      body.append(h("div", { class: "cf-line" }, by, what));
      return { read: () => ({ by: by.value as ToolChoice["by"], value: by.value === "all" ? "" : what.value }) };
    },
    changed: show,
  });
  function show(): void {
    if (!rows) return;
    const tools = toolsOf(gateway());
    const found = chosen(tools, rows.values());
    if (tools.length === 0) result.textContent = t("tools.noneOnCanvas");
    else result.textContent = found.length > 0 ? t("tools.sees", { names: found.map((tool) => tool.tool).join(", ") }) : "";
  }
  show();
  return { values: () => rows?.values() ?? [...value], refresh: () => { for (const refill of refills) refill(); show(); } };
}
