/** The store in a gateway's dialog: what befell it, its backups, and putting one back. */
import { post } from "./api.ts";
import { button, h, icon, problems, state } from "./dom.ts";
import { red, t } from "./red.ts";

interface StoreEvent {
  code: string; text: string; kind: "anew" | "records" | "behind" | "restored"; at: number; moved: string; why?: string; count?: number; receipts?: number; rows?: number;
  saved?: { messages: number; waiting: number; parts: number; turns: number; values: number; lost: number; complete: boolean };
}
interface Backup { name: string; kind: "copy" | "replaced"; at: number; bytes: number }
export interface StoreAnswer { folder: string; open: boolean; room?: { state: "roomy" | "near" | "full"; used: number; max: number }; events: StoreEvent[]; backups: Backup[] }

export interface StorePanel {
  /** Boxes with what befell the store; they stand at the top of the dialog. */
  readonly events: HTMLElement;
  readonly backups: HTMLElement;
  /** Undefined: not deployed. */
  show(answer: StoreAnswer | undefined): void;
}

/** `took` gets the gateway's new overview after each act. */
export function storePanel<T extends { store?: StoreAnswer }>(gateway: string, took: (answer: T) => void): StorePanel {
  const parts = { events: h("div"), backups: h("div"), ask: h("div"), told: h("div", { class: "cf-store-told", role: "status" }), table: h("div") };
  parts.backups.append(parts.table, parts.ask, parts.told);
  let shown: StoreAnswer | undefined;
  let busy = false;

  /** One act at a time; its outcome stands below the table. */
  async function act(path: string, body: object, under: string, done: (answer: T) => string): Promise<void> {
    if (busy) return;
    busy = true;
    parts.ask.replaceChildren();
    parts.told.replaceChildren(h("span", { class: "cf-muted" }, icon("circle-o-notch cf-spin"), " ", under));
    show(shown);
    try {
      const answer = await post<T>(`gateway/${gateway}/${path}`, body);
      busy = false;
      const text = done(answer);
      parts.told.replaceChildren(...text === "" ? [] : [state("ok", text)]);
      took(answer);
    } catch (error) {
      busy = false;
      parts.told.replaceChildren(problems([(error as Error).message]));
      show(shown);
    }
  }
  const backUp = (): Promise<void> => act("backup", {}, t("store.backingUp"), (answer) => t("store.backedUp", { date: date(answer.store?.backups[0]?.at ?? 0) }));
  const restore = ({ name, at }: Backup): Promise<void> => act("restore", { backup: name }, t("store.restoring"), () => t("store.wasRestored", { date: date(at) }));

  function ask(backup: Backup): void {
    const from = { date: date(backup.at) };
    const yes = button(t("store.restore"), () => { void restore(backup); }, { icon: "history" });
    const box = h("div", { class: "cf-note cf-store-ask", role: "group", "aria-label": t("store.askTitle", from) },
      h("strong", {}, t("store.askTitle", from)),
      h("ul", {}, ...["askAside", "askLost", "askWaiting", "askPause"].map((key) => h("li", {}, t(`store.${key}`, from)))),
      h("div", { class: "cf-line" }, yes, button(t("store.cancel"), () => parts.ask.replaceChildren())));
    parts.told.replaceChildren();
    parts.ask.replaceChildren(box);
    box.scrollIntoView({ block: "nearest" });
    yes.focus();
  }

  function table({ backups, open, room }: StoreAnswer): HTMLElement[] {
    const rows = backups.map((backup) => h("tr", {}, h("td", {}, date(backup.at), backup.kind === "replaced" && h("div", { class: "cf-muted" }, t("store.replaced"))), h("td", {}, size(backup.bytes)),
      h("td", {}, disabled(button(t("store.restore"), () => ask(backup), { title: t("store.restoreOf", { date: date(backup.at) }) })))));
    const now = disabled(button(t("store.backUp"), () => { void backUp(); }, { icon: "floppy-o" }), !open);
    return [
      ...roomOf(room),
      backups.length === 0 ? h("p", { class: "cf-muted" }, t("store.none"))
        : h("table", { class: "cf-table cf-backups", "aria-label": t("store.backups") }, h("thead", {}, h("tr", {}, ...["made", "size"].map((key) => h("th", { scope: "col" }, t(`store.${key}`))), h("th"))), h("tbody", {}, ...rows)),
      h("div", { class: "cf-line" }, now),
    ];
  }
  function disabled(element: HTMLButtonElement, yes = false): HTMLButtonElement {
    element.disabled = busy || yes;
    return element;
  }

  function eventBox(event: StoreEvent): HTMLElement {
    return h("div", { class: "cf-note cf-store-event", role: "group", "aria-label": t(`store.event.${event.kind}`) },
      h("strong", {}, t(`store.event.${event.kind}`)), h("span", { class: "cf-muted" }, ` ${date(event.at)} · ${event.code}`),
      h("ul", {}, ...linesOf(event).map((text) => h("li", {}, text))));
  }
  function show(answer: StoreAnswer | undefined): void {
    shown = answer;
    const events = answer?.events ?? [];
    const newest = events[0]?.at ?? 0;
    parts.events.replaceChildren(...events.map(eventBox), ...events.length === 0 ? [] : [h("div", { class: "cf-line cf-store-read" }, disabled(button(t("store.read"), () => { void act("store-read", { upTo: newest }, "", () => ""); }, { icon: "check" })))]);
    parts.table.replaceChildren(...answer === undefined ? [h("p", { class: "cf-muted" }, t("gateway.afterDeploy"))] : table(answer));
  }
  return { events: parts.events, backups: parts.backups, show };
}

/** What happened, in sentences: each part of it that is there. */
function linesOf({ kind, saved, why, count, moved, receipts = 0, rows = 0 }: StoreEvent): string[] {
  const lines: string[] = [];
  if (why) lines.push(t(kind === "records" ? "store.which" : "store.why", { why }));
  if (count !== undefined) lines.push(t("store.count", { number: number(count) }));
  if (moved) lines.push(t("store.moved", { file: moved }));
  if (kind === "anew") {
    if (saved === undefined) lines.push(t("store.nothingSaved"));
    else {
      const { messages, waiting, parts, turns, values } = saved;
      lines.push(t("store.saved", { messages: number(messages), waiting: number(waiting), parts: number(parts), turns: number(turns), values: number(values) }));
      lines.push(saved.complete ? t("store.complete") : saved.lost === 0 ? t("store.incomplete") : t("store.lost", { lost: number(saved.lost) }));
    }
  }
  if (kind === "behind" || kind === "restored") lines.push(t("store.waited", { receipts: number(receipts), rows: number(rows) }));
  if (kind !== "restored") lines.push(t("store.offer"));
  return lines;
}
function roomOf(room: StoreAnswer["room"]): HTMLElement[] {
  if (room === undefined || room.used === 0) return [];
  const { used, max } = room;
  const said = h("p", { class: "cf-muted" }, max === 0 ? t("store.roomFree", { used: size(used) }) : t("store.room", { used: size(used), max: size(max) }));
  return room.state === "roomy" ? [said] : [said, h("p", {}, state(room.state === "full" ? "bad" : "wait", t(`store.${room.state}`)))];
}
const language = (): string => red.i18n.lang();
const date = (at: number): string => new Date(at).toLocaleString(language(), { dateStyle: "medium", timeStyle: "medium" });
const number = (value: number): string => value.toLocaleString(language());
function size(bytes: number): string {
  const [value, unit] = bytes < 1e6 ? [bytes / 1e3, "kilobyte"] as const : bytes < 1e9 ? [bytes / 1e6, "megabyte"] as const : [bytes / 1e9, "gigabyte"] as const;
  return value.toLocaleString(language(), { style: "unit", unit, maximumFractionDigits: 1 });
}
