/** What models used, in a gateway's dialog: today, 30 days, by agent, person or model, and all of it as a table to keep. */
import { ask, askText } from "./api.ts";
import { button, h, problems, select } from "./dom.ts";
import { red, t } from "./red.ts";

interface Sum { of: Record<string, string>; calls: number; input: number; output: number; cached: number; micros: number; unpriced: number; inexact: number; name?: string }
interface Answer { today: Sum; days: Sum; by: Record<(typeof KINDS)[number], Sum[]> }
const KINDS = ["agent", "person", "model"] as const;
type Kind = (typeof KINDS)[number];

export function usagePanel(gateway: string): { readonly element: HTMLElement; load(): void } {
  const parts = { sums: h("div"), table: h("div"), told: h("div", { role: "status" }) };
  let answer: Answer | undefined;
  let kind: Kind = "agent";
  const fail = (error: Error): void => parts.told.replaceChildren(problems([error.message]));
  const load = (): void => { ask<Answer>(`gateway/${gateway}/usage`).then((got) => { answer = got; show(); }, () => { answer = undefined; show(); }); };
  const save = (): void => { askText(`gateway/${gateway}/usage.csv?days=400`).then((text) => download("clawflow-usage.csv", text), fail); };

  function show(): void {
    parts.told.replaceChildren();
    if (answer === undefined) {
      parts.sums.replaceChildren(h("p", { class: "cf-muted" }, t("gateway.afterDeploy")));
      parts.table.replaceChildren();
      return;
    }
    const { today, days, by } = answer;
    const rows = ([["today", today], ["days", days]] as const).map(([key, sum]) => h("tr", {}, h("td", {}, t(`usage.${key}`)), ...figures(sum)));
    parts.sums.replaceChildren(table([t("usage.time"), ...heads()], rows, t("usage.title")));
    const choice = select(KINDS.map((one) => ({ value: one, label: t(`usage.by.${one}`) })), kind, { "aria-label": t("usage.byLabel") });
    choice.onchange = () => { kind = choice.value as Kind; show(); };
    const csv = button(t("usage.csv"), save, { icon: "download", title: t("usage.csvTitle") });
    const list = by[kind].map((sum) => h("tr", {}, h("td", {}, ...nameOf(kind, sum)), ...figures(sum)));
    const line = h("div", { class: "cf-line" }, choice, csv);
    parts.table.replaceChildren(line, days.calls === 0 ? h("p", { class: "cf-muted" }, t("usage.none")) : table([t(`usage.by.${kind}`), ...heads()], list, t(`usage.by.${kind}`)), ...notes(days));
  }
  show();
  return { element: h("div", { class: "cf-usage" }, parts.sums, parts.table, parts.told), load };
}

const language = (): string => red.i18n.lang();
const heads = (): string[] => [t("usage.calls"), t("usage.tokens"), t("usage.cost")];
const number = (value: number): string => value.toLocaleString(language());
/** Cents are too coarse for small models. */
const money = (micros: number): string => (micros / 1e6).toLocaleString(language(), { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: 4 });
function figures(sum: Sum): HTMLElement[] {
  const cost = sum.calls > 0 && sum.unpriced === sum.calls ? "–" : `${money(sum.micros)}${sum.unpriced > 0 ? " +" : ""}`;
  return [h("td", {}, number(sum.calls)), h("td", { title: t("usage.detail", { input: number(sum.input), output: number(sum.output), cached: number(sum.cached) }) }, number(sum.input + sum.output)), h("td", {}, cost)];
}
function nameOf(kind: Kind, { of, name }: Sum): (HTMLElement | string)[] {
  if (kind === "agent") return [of.agent || t("usage.noAgent")];
  if (kind === "model") return [of.model || (of.provider ?? ""), h("div", { class: "cf-muted" }, of.provider ?? "")];
  return [name || (of.person ?? ""), h("div", { class: "cf-muted" }, [of.account, name ? of.person : ""].filter((part) => part).join(" · "))];
}
function notes({ unpriced, inexact }: Sum): HTMLElement[] {
  const lines = [unpriced > 0 && t("usage.unpriced", { count: number(unpriced) }), inexact > 0 && t("usage.inexact", { count: number(inexact) })];
  return lines.flatMap((text) => (text === false ? [] : [h("p", { class: "cf-muted" }, text)]));
}
function table(titles: readonly string[], rows: readonly HTMLElement[], label: string): HTMLElement {
  return h("table", { class: "cf-table cf-usage-table", "aria-label": label }, h("thead", {}, h("tr", {}, ...titles.map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, ...rows));
}
function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
