/** What a gateway's dialog shows beside its settings: accounts, models, the owner's code, people, refused senders, problems. */
import { ask, post } from "./api.ts";
import { addConfig, editConfig, whileOpen } from "./address.ts";
import { button, copy, h, icon, problems, select, state } from "./dom.ts";
import { keyLines, type KeyState } from "./fallbacks.ts";
import { ACCOUNT, MODEL, configs, nameOf } from "./gateways.ts";
import { memoryPanel } from "./memory-panel.ts";
import { pauseRows, type PauseAnswer } from "./pause-panel.ts";
import { t, type EditorNode } from "./red.ts";
import { storePanel, type StoreAnswer } from "./store-panel.ts";
import { usagePanel } from "./usage-panel.ts";

interface Person { channel: string; account: string; id: string; name: string; trust: string }
interface Refused { channel: string; account: string; id: string; name: string; at: number | string; count: number }
interface Always { key: string; tool: string; call: string; person: string; by: string; at: number }
interface Answer {
  deployed: boolean;
  accounts: { id: string; name: string; channel: string; state: string; text?: string; self?: { name?: string } | string; path?: string }[];
  models: { id: string; name: string; provider: string; model: string; keys?: KeyState[] }[];
  people: Person[]; refused: Refused[]; counts?: Record<string, number | Record<string, number>>; problems: { code?: string; text: string }[];
  store?: StoreAnswer; pauses?: PauseAnswer[];
}
const TRUST = ["owner", "paired", "allowed"] as const;
const SIGNS: Readonly<Record<string, "ok" | "wait" | "bad" | "off">> = { connected: "ok", ok: "ok", ready: "ok", connecting: "wait", reconnecting: "wait", waiting: "wait", error: "bad", closed: "off" };

export function gatewayPanel(container: HTMLElement, node: EditorNode, adding: boolean): void {
  const parts = { problems: h("div"), pauses: h("div"), accounts: h("div"), models: h("div"), owner: h("div"), people: h("div"), refused: h("div"), always: h("div"), counts: h("p", { class: "cf-muted cf-counts" }) };
  const heading = (key: string): HTMLElement => h("h4", {}, t(key));
  const store = storePanel<Answer>(node.id, (got) => { answer = got; show(); });
  const usage = usagePanel(node.id);
  const memory = memoryPanel(node.id);
  container.append(parts.problems, store.events, heading("gateway.agents"), parts.pauses, heading("gateway.accounts"), parts.accounts, heading("gateway.models"), parts.models,
    heading("gateway.owner"), parts.owner, heading("gateway.people"), parts.people, heading("gateway.refused"), parts.refused, heading("gateway.always"), parts.always,
    heading("gateway.memory"), memory.element, heading("usage.title"), usage.element,
    heading("gateway.store"), store.backups, parts.counts);
  let answer: Answer | undefined;
  /** Or why it is not told. */
  let code: string | Error | undefined;
  let calls: readonly Always[] | Error = [];
  const load = (): Promise<void> => ask<Answer>(`gateway/${node.id}`).then(async (got) => {
    answer = got.deployed ? got : undefined;
    // Both lie in the store, and are told to who may change the gateway.
    const open = answer?.store?.open === true;
    [code, calls] = await Promise.all([
      open ? ask<{ ownerCode?: string }>(`gateway/${node.id}/owner-code`).then(({ ownerCode }) => ownerCode, (error: Error) => error) : undefined,
      open ? ask<{ always: Always[] }>(`gateway/${node.id}/always`).then(({ always }) => always, (error: Error) => error) : [],
    ]);
    show();
  }).catch(fail);
  function fail(error: Error): void { parts.problems.replaceChildren(problems([error.message])); }
  /** Does, then shows anew. */
  const act = (path: string, body: object): void => { post(`gateway/${node.id}/${path}`, body).then(load, fail); };

  function show(): void {
    store.show(answer?.store);
    // What it had to do to open stands among the store's events.
    parts.problems.replaceChildren(problems((answer?.store?.open ? [] : answer?.problems ?? []).map(({ text, code }) => (code ? `${text} (${code})` : text))));
    parts.pauses.replaceChildren(...pauseRows(answer?.pauses, act));
    parts.accounts.replaceChildren(...members(ACCOUNT, adding, node, (id) => answer?.accounts.find((account) => account.id === id)));
    parts.models.replaceChildren(...members(MODEL, adding, node, (id) => answer?.models.find((model) => model.id === id)));
    parts.owner.replaceChildren(...ownerCode());
    parts.people.replaceChildren(...people());
    parts.refused.replaceChildren(...refused());
    parts.always.replaceChildren(...always());
    const { pending = 0, dead = 0, outbox } = answer?.counts ?? {};
    const out = (typeof outbox === "object" ? outbox : undefined) ?? {};
    const waiting = (out.planned ?? 0) + (out.sending ?? 0);
    parts.counts.textContent = answer?.counts ? t("gateway.counts", { pending: Number(pending), waiting, dead: Number(dead) + (out.dead ?? 0) }) : "";
  }

  function ownerCode(): HTMLElement[] {
    const fresh = button(t("gateway.newCode"), () => act("owner-code", {}), { icon: "refresh" });
    if (answer?.store?.open !== true) return [h("p", { class: "cf-muted" }, t("gateway.afterDeploy"))];
    if (code instanceof Error) return [h("p", { class: "cf-muted" }, code.message)];
    if (!code) return [h("p", { class: "cf-muted" }, t("gateway.claimed")), h("div", { class: "cf-line" }, fresh, ...chatLinks(answer))];
    const copied = h("span", { class: "cf-muted", role: "status" });
    const now = code;
    return [
      h("p", { class: "cf-muted" }, t("gateway.codeHint")),
      h("div", { class: "cf-line" }, h("output", { class: "cf-code-big", "aria-label": t("gateway.code") }, code)),
      h("div", { class: "cf-line" }, button(t("copy"), () => { void copy(now).then(() => { copied.textContent = t("copied"); }); }, { icon: "clipboard" }), fresh, ...chatLinks(answer, code), copied),
    ];
  }

  function people(): HTMLElement[] {
    if (!answer || answer.people.length === 0) return [h("p", { class: "cf-muted" }, t(answer ? "gateway.nobody" : "gateway.afterDeploy"))];
    const rows = answer.people.map((person) => {
      const who = { channel: person.channel, account: person.account, id: person.id, name: person.name };
      const trust = select(TRUST.map((one) => ({ value: one, label: t(`trust.${one}`) })), person.trust, { "aria-label": t("gateway.trustOf", { name: person.name }) });
      trust.onchange = () => act("people", { ...who, trust: trust.value });
      return h("tr", {}, h("td", {}, personName(person)), h("td", {}, person.account), h("td", {}, trust),
        h("td", {}, button("", () => act("people", { ...who, trust: "stranger" }), { icon: "times", bare: true, title: t("gateway.removePerson", { name: person.name }) })));
    });
    return [table([t("gateway.name"), t("gateway.account"), t("gateway.trust"), ""], "cf-people", rows)];
  }

  function refused(): HTMLElement[] {
    if (!answer || answer.refused.length === 0) return [h("p", { class: "cf-muted" }, t(answer ? "gateway.nobodyRefused" : "gateway.afterDeploy"))];
    return [table([t("gateway.name"), t("gateway.account"), t("gateway.tries"), ""], "cf-refused", answer.refused.map((person) => h("tr", {},
      h("td", {}, personName(person)), h("td", {}, person.account), h("td", {}, `${person.count} · ${new Date(person.at).toLocaleString()}`),
      h("td", {}, button(t("gateway.letIn"), () => act("people", { channel: person.channel, account: person.account, id: person.id, name: person.name, trust: "allowed" }), { title: t("gateway.letInOf", { name: person.name }) })))))];
  }

  function always(): HTMLElement[] {
    if (calls instanceof Error) return [h("p", { class: "cf-muted" }, calls.message)];
    if (calls.length === 0) return [h("p", { class: "cf-muted" }, t(answer ? "gateway.noAlways" : "gateway.afterDeploy"))];
    return [table([t("gateway.alwaysCall"), t("gateway.alwaysFor"), ""], "cf-always", calls.map(({ key, tool, call, person, by, at }) => h("tr", {},
      h("td", {}, h("span", {}, tool, h("div", { class: "cf-muted" }, call))), h("td", {}, h("span", {}, person, h("div", { class: "cf-muted" }, `${by} · ${new Date(at).toLocaleString()}`))),
      h("td", {}, button("", () => act("always", { key }), { icon: "times", bare: true, title: t("gateway.forgetCall", { tool }) })))))];
  }

  show();
  if (!adding) {
    void load().then(() => {
      if (answer?.store?.open !== true) return;
      memory.load();
      usage.load();
    });
  }
  whileOpen(show);
}

/** The web chat needs no code typed in: its address carries it. */
function chatLinks(answer: Answer, code?: string): HTMLElement[] {
  return answer.accounts.filter((account) => account.channel === "webchat" && account.path).map((account) => h("a", {
    class: "red-ui-button red-ui-button-small", href: `${account.path?.replace(/\/*$/, "/")}${code ? `#owner=${code}` : ""}`, target: "_blank", rel: "noopener",
  }, icon("external-link"), " ", t(code ? "gateway.openAsOwner" : "gateway.openChat", { name: account.name })));
}
const personName = (person: { id: string; name: string }): HTMLElement =>
  h("span", {}, person.name || person.id, person.name && person.name !== person.id ? h("div", { class: "cf-muted" }, person.id) : undefined);
function table(heads: readonly string[], kind: string, rows: readonly HTMLElement[]): HTMLElement {
  return h("table", { class: `cf-table ${kind}` }, h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, ...rows));
}

interface Live { state?: string; text?: string; keys?: KeyState[]; self?: { name?: string } | string }
/** Accounts or models of the gateway as they stand in the editor, with the state of those that are deployed. */
function members(type: string, adding: boolean, gateway: EditorNode, live: (id: string) => Live | undefined): HTMLElement[] {
  const kind = type === ACCOUNT ? "Account" : "Model";
  const nodes = configs(type, gateway.id);
  const rows = nodes.map((node) => h("tr", {}, h("td", {}, nameOf(node), h("div", { class: "cf-muted" }, whatOf(node))), h("td", {}, stateOf(node, live(node.id))),
    h("td", {}, button("", () => editConfig(node, gateway), { icon: "pencil", bare: true, title: t("edit", { name: nameOf(node) }) }))));
  const add = button(t(`gateway.add${kind}`), () => addConfig(type, gateway), { icon: "plus" });
  const table = h("table", { class: "cf-table cf-members", "aria-label": t(`gateway.${kind.toLowerCase()}s`) }, h("tbody", {}, ...rows));
  if (adding) return [h("p", { class: "cf-muted" }, t("gateway.afterAdd"))];
  return nodes.length > 0 ? [table, add] : [h("p", { class: "cf-muted" }, t(`gateway.no${kind}s`)), add];
}
function whatOf(node: EditorNode): string {
  return (node.type === ACCOUNT ? [node.channel, node.slug] : [node.provider, node.model]).filter((part) => part).join(" · ");
}
function stateOf(node: EditorNode, live: Live | undefined): HTMLElement {
  if (node.d) return state("off", t("gateway.states.disabled"));
  if (!live) return state("off", t("gateway.states.undeployed"));
  const word = live.state ?? "ready";
  const self = typeof live.self === "string" ? live.self : live.self?.name;
  const text = [t(`gateway.states.${word}`, {}, word), self ?? (SIGNS[word] === "ok" ? undefined : live.text)].filter(Boolean).join(" · ");
  const shown = live.keys ? keyLines(live.keys) : state(SIGNS[word] ?? "wait", text);
  return node.changed ? h("span", {}, shown, h("div", { class: "cf-muted" }, t("gateway.states.changed"))) : shown;
}
