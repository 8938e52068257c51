/** The models that stand in for one, in order; and how the keys of a model stand. */
import { h, problems, select, state } from "./dom.ts";
import { configOf, configs, MODEL, nameOf } from "./gateways.ts";
import { list, type List } from "./list.ts";
import { t, type EditorNode } from "./red.ts";

const idsOf = (value: unknown): string[] => (Array.isArray(value) ? (value as unknown[]).filter((id): id is string => typeof id === "string" && id !== "") : []);
const named = (id: string): readonly string[] => idsOf(configOf(id)?.fallbacks);

/** Names along the way that comes back to `own`, when `own` names `fallbacks`; undefined where none does. */
function circle(own: string, fallbacks: readonly string[], way: readonly string[] = [own]): readonly string[] | undefined {
  for (const id of fallbacks) {
    if (id === own) return [...way, own];
    const found = way.includes(id) ? undefined : circle(own, named(id), [...way, id]);
    if (found) return found;
  }
  return undefined;
}
/** What is wrong with the list; empty when nothing is. */
export function fallbackProblems(own: EditorNode, value: unknown): string[] {
  const fallbacks = idsOf(value);
  const found = circle(own.id, fallbacks);
  const label = (id: string): string => { const node = configOf(id); return node ? nameOf(node) : id; };
  return [
    ...fallbacks.filter((id) => configOf(id)?.type !== MODEL).map(() => t("problems.missingConfig")),
    ...(found ? [t("model.circle", { way: found.map(label).join(" → ") })] : []),
  ];
}

export function fallbacksPicker(container: HTMLElement, node: EditorNode, gateway: () => string): { values(): string[] } {
  const place = h("div");
  const wrong = h("div");
  container.append(place, wrong);
  const others = (): EditorNode[] => configs(MODEL, gateway()).filter(({ id }) => id !== node.id);
  const saved = idsOf(node.fallbacks);
  let rows: List<string> | undefined;
  const values = (): string[] => [...new Set(rows?.values() ?? saved)].filter((id) => id !== "");
  const show = (): void => wrong.replaceChildren(...(rows ? [problems(fallbackProblems(node, values()))] : []));
  rows = list<string>(place, {
    label: t("model.fallbacks"), items: saved, addLabel: t("model.addFallback"), empty: t("model.noFallback"),
    blank: () => others().find(({ id }) => !values().includes(id))?.id ?? "",
    draw(body, id, changed) {
      const known = others().map((other) => ({ value: other.id, label: nameOf(other) }));
      const options = id === "" || known.some(({ value }) => value === id) ? known : [{ value: id, label: t("problems.missingConfig") }, ...known];
      const field = select(options.length > 0 ? options : [{ value: "", label: t("model.noOther") }], id, { "aria-label": t("model.fallback") });
      field.onchange = changed;
      body.append(h("div", { class: "cf-line" }, field));
      return { read: () => field.value };
    },
    changed: show,
  });
  show();
  return {
    values() {
      const chosen = values();
      // Node-RED takes a list of one for the id in it, and for a circle of such lists it starts no config node at all. Ours is the clearer word.
      return chosen.length === 1 ? [...chosen, ""] : chosen;
    },
  };
}

export interface KeyState { key: number; state: "ready" | "resting" | "trial" | "out"; until?: number; code?: string; text?: string }
const SIGNS = { ready: "ok", resting: "wait", trial: "wait", out: "bad" } as const;
/** One line for each key; one for all where all are ready. */
export function keyLines(keys: readonly KeyState[]): HTMLElement {
  if (keys.every((one) => one.state === "ready")) return state("ok", t("gateway.states.ready"));
  return h("div", {}, ...keys.map((one) => {
    const words = t(`model.states.${one.state}`, { time: one.until === undefined ? "" : new Date(one.until).toLocaleTimeString() });
    const line = [...(keys.length > 1 ? [t("model.keyNumber", { number: one.key })] : []), words, ...(one.state !== "ready" && one.code ? [one.code] : [])].join(" · ");
    return h("div", { title: one.state === "ready" ? "" : one.text ?? "" }, state(SIGNS[one.state], line));
  }));
}
