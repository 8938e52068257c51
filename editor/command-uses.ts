/** Who may use which of the gateway's own commands: one row each. What is as in the table of the engine is not saved. */
import { tables } from "./api.ts";
import { h, select } from "./dom.ts";
import { t } from "./red.ts";

type Uses = Record<string, string>;
interface Row { name: string; use: string; elsewhere?: boolean }

export function commandUses(container: HTMLElement, value: Uses): { values(): Uses } {
  const selects = new Map<string, HTMLSelectElement>();
  const usual = new Map<string, string>();
  tables().then(({ commands }) => {
    const { rows, uses } = commands as { rows: Row[]; uses: string[] };
    container.append(h("table", { class: "cf-table cf-commands", "aria-label": t("commands.label") }, h("tbody", {}, ...rows.map(({ name, use }) => {
      const choice = select(uses.map((one) => ({ value: one, label: t(`commands.uses.${one}`) })), value[name] ?? use, { "aria-label": `/${name}` });
      selects.set(name, choice);
      usual.set(name, use);
      return h("tr", {}, h("td", {}, h("code", {}, `/${name}`)), h("td", {}, t(`commands.about.${name}`)), h("td", {}, choice));
    }))));
  }, () => { container.append(h("p", { class: "cf-muted" }, t("noRuntime"))); });
  return {
    values() {
      if (selects.size === 0) return value;
      return Object.fromEntries([...selects].filter(([name, choice]) => choice.value !== usual.get(name)).map(([name, choice]) => [name, choice.value]));
    },
  };
}
