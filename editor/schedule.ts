/** The schedule of cron: the fields of its kind, plain words, and the next five runs. */
import { latest, post } from "./api.ts";
import { byId, debounce, fieldOf, h, problems } from "./dom.ts";
import { red, t } from "./red.ts";

interface Answer { problems: string[]; words?: string; next?: string[] }
export interface Timing { kind: string; cron: string; every: number; everyUnit: string; at: string; timeZone: string }

function timing(): Timing {
  const value = (name: string): string => fieldOf(`node-input-${name}`).value;
  return { kind: value("kind"), cron: value("cron").trim(), every: Number(value("every")), everyUnit: value("everyUnit"), at: value("at"), timeZone: value("timeZone").trim() };
}

export function schedule(container: HTMLElement): void {
  const words = h("div", { class: "cf-words" });
  const next = h("ul", { class: "cf-next", "aria-label": t("cron.next") });
  const faults = h("div");
  container.setAttribute("aria-live", "polite");
  container.append(words, next, faults);
  const zones = byId("clawflow-zones");
  if (zones.childElementCount === 0) zones.append(...Intl.supportedValuesOf("timeZone").map((zone) => h("option", { value: zone })));

  const preview = latest(container, () => post<Answer>("try/cron", { ...timing(), locale: red.i18n.lang() }), (answer) => {
    words.textContent = answer.problems.length > 0 ? "" : answer.words ?? "";
    const zone = timing().timeZone;
    next.replaceChildren(...(answer.next ?? []).map((at) => line(at, zone)));
    faults.replaceChildren(problems(answer.problems));
  }, (error) => faults.replaceChildren(problems([error.message])));

  function show(): void {
    const { kind } = timing();
    for (const name of ["cron", "every", "at"]) byId(`clawflow-row-${name}`).hidden = name !== kind;
    preview();
  }
  const soon = debounce(preview);
  byId("node-input-kind").addEventListener("change", show);
  for (const name of ["cron", "every", "everyUnit", "at", "timeZone"]) byId(`node-input-${name}`).addEventListener("input", soon);
  show();
}

/** The chosen zone's local time, and how long until then. */
function line(at: string, zone: string): HTMLElement {
  const date = new Date(at);
  const options: Intl.DateTimeFormatOptions = { weekday: "short", year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: date.getUTCSeconds() ? "2-digit" : undefined, timeZoneName: "short" };
  let text = at;
  try {
    text = new Intl.DateTimeFormat(red.i18n.lang(), { ...options, ...zone === "" ? {} : { timeZone: zone } }).format(date);
  } catch { /* an unknown zone is named as a problem already */ }
  return h("li", {}, h("span", {}, text), h("span", {}, until(date.getTime() - Date.now())));
}
function until(ms: number): string {
  const words = new Intl.RelativeTimeFormat(red.i18n.lang(), { numeric: "auto" });
  const steps: [number, Intl.RelativeTimeFormatUnit][] = [[86_400_000, "day"], [3_600_000, "hour"], [60_000, "minute"], [1000, "second"]];
  const [size, unit] = steps.find(([size]) => Math.abs(ms) >= size) ?? [1000, "second"];
  return words.format(Math.round(ms / size), unit);
}
