/** Long-term memory in a gateway's dialog: what agents keep of whom, and taking it away. */
import { ask, post } from "./api.ts";
import { button, h, problems } from "./dom.ts";
import { t } from "./red.ts";

interface Note { n: number; at: number; tainted: boolean; text: string }
interface Book { book: string; scope?: "person" | "chat" | "gateway"; channel?: string; account?: string; id?: string; name?: string; count: number; notes: Note[] }
interface Answer { books: Book[] }

/** `load` asks anew; until then it says that it is shown after the deploy. */
export function memoryPanel(gateway: string): { readonly element: HTMLElement; load(): Promise<void> } {
  const element = h("div", {}, h("p", { class: "cf-muted" }, t("gateway.afterDeploy")));
  /** Those that stand open stay open when a note goes. */
  const open = new Set<string>();
  const fail = (error: Error): void => { element.replaceChildren(problems([error.message])); };
  const forget = (book: string, n?: number): void => { post<Answer>(`gateway/${gateway}/memory-forget`, n === undefined ? { book } : { book, n }).then(show, fail); };

  function show({ books }: Answer): void {
    element.replaceChildren(...books.length === 0 ? [h("p", { class: "cf-muted" }, t("memory.none"))] : books.map(bookOf));
  }
  function bookOf(book: Book): HTMLElement {
    const title = nameOf(book);
    const rows = book.notes.map(({ n, at, tainted, text }) => h("tr", {},
      h("td", {}, text, h("div", { class: "cf-muted" }, new Date(at).toLocaleDateString(), tainted && ` · ${t("memory.tainted")}`)),
      h("td", {}, button("", () => forget(book.book, n), { icon: "times", bare: true, title: t("memory.forget", { n }) }))));
    const details = h("details", { class: "cf-memory", open: open.has(book.book) },
      h("summary", {}, title, h("span", { class: "cf-muted" }, ` · ${t("memory.count", { count: book.count })}`)),
      h("table", { class: "cf-table cf-notes", "aria-label": title }, h("tbody", {}, ...rows)),
      book.count > rows.length && h("p", { class: "cf-muted" }, t("memory.more", { count: book.count - rows.length })),
      h("div", { class: "cf-line" }, button(t("memory.forgetAll"), () => { if (confirm(t("memory.askAll", { name: title }))) forget(book.book); }, { icon: "trash" })));
    details.ontoggle = () => { if (details.open) open.add(book.book); else open.delete(book.book); };
    return details;
  }
  return { element, load: () => ask<Answer>(`gateway/${gateway}/memory`).then(show, fail) };
}

function nameOf({ scope, name, id, channel, account, book }: Book): string {
  if (scope === "gateway") return t("memory.gateway");
  const where = [channel, account].filter((part) => part).join(" · ");
  return scope === undefined ? book : t(`memory.${scope}`, { name: name ?? id ?? "", where });
}
