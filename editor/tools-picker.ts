/** Which tools an agent may call: single ones by name, groups by tag, or all of the gateway. Shows what is on the canvas. */
import { fill, h, select } from "./dom.ts";
import { slugOf } from "../engine/slug.ts";
import { nodesOf } from "./gateways.ts";
import { list, type List } from "./list.ts";
import { t, type EditorNode } from "./red.ts";
import { toolsOf, type KnownTool } from "./tool-names.ts";

export interface ToolChoice { by: "name" | "tag" | "all" | "agent" | "handover"; value: string }
export function chosen(tools: readonly KnownTool[], choices: readonly ToolChoice[]): KnownTool[] {
  return tools.filter(({ tool, tags }) => choices.some(({ by, value }) => by === "all" || (by === "name" ? tool === value : by === "tag" && tags.includes(value))));
}

/** As the runtime names an agent among the others: its name in small letters, digits and "-". */
const handleOf = (agent: EditorNode): string => slugOf(String(agent.name || agent.agentId || "agent"));
function agentsOf(gateway: string, self: string): { value: string; label: string }[] {
  return nodesOf("clawflow-agent").filter((agent) => agent.gateway === gateway && !agent.d && agent.id !== self).map((agent) => ({ value: handleOf(agent), label: String(agent.name || handleOf(agent)) }));
}

const BY = ["name", "tag", "all"] as const;
/** `self`: the agent whose form it is; without one there are tools alone. */
export function toolsPicker(container: HTMLElement, value: readonly ToolChoice[], gateway: () => string, self = ""): { values(): ToolChoice[]; refresh(): void } {
  const place = h("div");
  const result = h("p", { class: "cf-muted cf-sees", "aria-live": "polite" });
  container.append(place, result);
  const names = (): string[] => toolsOf(gateway()).map(({ tool }) => tool).filter((name) => name !== "");
  const tags = (): string[] => [...new Set(toolsOf(gateway()).flatMap(({ tags }) => tags))].sort();
  const refills = new Set<() => void>();

  let rows: List<ToolChoice> | undefined;
  rows = list<ToolChoice>(place, {
    label: t(self === "" ? "tools.offered" : "tools.label"), items: value, addLabel: t("tools.add"), empty: t(self === "" ? "tools.noneOffered" : "tools.none"),
    blank: () => ({ by: "name", value: names().find((name) => !rows?.values().some((row) => row.by === "name" && row.value === name)) ?? "" }),
    draw(body, item, changed) {
      const by = select((self === "" ? BY : [...BY, "agent", "handover"] as const).map((one) => ({ value: one, label: t(`tools.by.${one}`) })), item.by, { "aria-label": t("tools.byLabel"), class: "cf-narrow" });
      const what = select([], "", { "aria-label": t("tools.which") });
      const refill = (): void => {
        const known = by.value === "agent" || by.value === "handover" ? agentsOf(gateway(), self) : (by.value === "tag" ? tags() : names()).map((one) => ({ value: one, label: one }));
        const kept = what.value || item.value;
        what.hidden = by.value === "all";
        fill(what, known, by.value === item.by || known.some((one) => one.value === kept) ? kept : known[0]?.value ?? "");
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
    else result.textContent = found.length > 0 ? t(self === "" ? "tools.offers" : "tools.sees", { names: found.map((tool) => tool.tool).join(", ") }) : "";
  }
  show();
  return { values: () => rows?.values() ?? [...value], refresh: () => { for (const refill of refills) refill(); show(); } };
}
