/** The Test button of account and model: really tries the credentials, and names the fault in one of a few words. */
import { post } from "./api.ts";
import { button, h, icon, state } from "./dom.ts";
import { t } from "./red.ts";

interface Answer { ok: boolean; name?: string; note?: string; fault?: string; text?: string; code?: string }

export function tryButton(container: HTMLElement, path: "try/account" | "try/model", body: () => object): void {
  const result = h("div", { role: "status", "aria-live": "polite" });
  const run = button(t("test.button"), () => {
    run.disabled = true;
    const spinner = icon("refresh");
    spinner.classList.add("cf-spin");
    result.replaceChildren(spinner, ` ${t("test.running")}`);
    post<Answer>(path, body()).then(show, (error: Error) => show({ ok: false, fault: "failed", text: error.message })).finally(() => { run.disabled = false; });
  }, { icon: "plug", small: false });
  container.append(h("div", { class: "cf-line" }, run), result);

  function show(answer: Answer): void {
    if (answer.ok) {
      result.replaceChildren(state("ok", answer.name ? t("test.okAs", { name: answer.name }) : t("test.ok")), ...answer.note ? [h("div", { class: "cf-muted" }, answer.note)] : []);
      return;
    }
    const fault = answer.fault ?? "failed";
    const words = t(`test.faults.${fault.replaceAll(" ", "-")}`, {}, fault);
    const more = [answer.text, answer.code && `(${answer.code})`].filter(Boolean).join(" ");
    result.replaceChildren(state("bad", words), ...more ? [h("div", { class: "cf-muted" }, more)] : []);
  }
}
