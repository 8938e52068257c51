/** Which accounts: all of a gateway, or chosen ones. And the fields of an address, filled where the runtime knows the people. */
import { ask } from "./api.ts";
import { button, check, h } from "./dom.ts";
import { ACCOUNT, configs, nameOf } from "./gateways.ts";
import { query, red, t, type EditorNode } from "./red.ts";

/** Adds a config node in its own dialog; the form below stays open. */
export function addConfig(type: string, context: EditorNode): void {
  red.editor.editConfig("", type, "_ADD_", null, context);
}
export function editConfig(node: EditorNode, context: EditorNode): void {
  red.editor.editConfig("", node.type, node.id, null, context);
}

/** Calls `act` when nodes come, change or go, until the forms are closed. A form below another one is off the page meanwhile. */
export function whileOpen(act: () => void): void {
  const names = ["nodes:add", "nodes:change", "nodes:remove"];
  const look = (): void => { setTimeout(act, 0); };
  const end = (): void => {
    for (const name of names) red.events.off(name, look);
    red.events.off("editor:close", end);
  };
  for (const name of names) red.events.on(name, look);
  red.events.on("editor:close", end);
}

export function accountsPicker(container: HTMLElement, node: EditorNode, gateway: () => string): { values(): string[]; refresh(): void } {
  const chosen = new Set(Array.isArray(node.accounts) ? node.accounts as string[] : []);
  const boxes = h("div", { class: "cf-checks", role: "group", "aria-label": t("accounts.label") });
  const add = button(t("accounts.add"), () => addConfig(ACCOUNT, node), { icon: "plus" });
  const mode = h("select", { id: "node-input-accounts-mode" }, h("option", { value: "all" }, t("accounts.all")), h("option", { value: "some" }, t("accounts.some")));
  mode.value = chosen.size > 0 ? "some" : "all";
  mode.onchange = () => { if (mode.value === "all") chosen.clear(); show(); };
  container.append(mode, boxes, add);

  function show(): void {
    const accounts = configs(ACCOUNT, gateway());
    boxes.hidden = accounts.length === 0;
    boxes.replaceChildren(...accounts.map((account) => h("div", { class: "cf-line" },
      mode.value === "all" ? h("span", {}, nameOf(account)) : check(nameOf(account), chosen.has(account.id), (on) => { if (on) chosen.add(account.id); else chosen.delete(account.id); }),
      button("", () => editConfig(account, node), { icon: "pencil", bare: true, title: t("edit", { name: nameOf(account) }) }))));
  }
  show();
  whileOpen(show);
  return { values: () => (mode.value === "all" ? [] : [...chosen].filter((id) => red.nodes.node(id))), refresh: show };
}

interface Person { channel: string; account: string; id: string; name: string; trust: string }
/** Offers "owner" and the people of the gateway as chats; anything may be typed. */
export function chatSuggestions(input: HTMLInputElement, gateway: () => string): void {
  const options = h("datalist", { id: `${input.id}-people` }, h("option", { value: "owner", label: t("address.owner") }));
  input.after(options);
  input.setAttribute("list", options.id);
  if (gateway() === "") return;
  ask<{ people?: Person[] }>(`gateway/${gateway()}`).then(({ people }) => {
    options.append(...(people ?? []).map((person) => h("option", { value: person.id, label: `${person.name} (${person.account})` })));
  }, () => undefined);
}

/** Node-RED's own buttons beside a config node are links without an address: gives them a name and the keyboard. */
export function nameConfigButtons(form: HTMLElement): void {
  for (const link of form.querySelectorAll<HTMLElement>("a.red-ui-button[id*='-btn-']")) {
    const label = form.querySelector(`label[for="${link.id.replace(/-btn-(.*)-(add|edit)$/, "-$1")}"]`)?.textContent?.trim() ?? "";
    link.tabIndex = 0;
    link.setAttribute("role", "button");
    link.setAttribute("aria-label", t(link.id.endsWith("-add") ? "addOf" : "editOf", { name: label }));
    link.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      query(link).trigger("click");
    });
  }
}
