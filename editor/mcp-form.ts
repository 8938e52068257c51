/** The forms of mcp (arguments, and what each tool of the server may do) and mcp server (address and token). */
import { post } from "./api.ts";
import { button, byId, copy, fieldOf, h, icon, problems, select, state } from "./dom.ts";
import { chosenConfig } from "./forms.ts";
import { configOf } from "./gateways.ts";
import { list } from "./list.ts";
import { secretLines } from "./model-form.ts";
import { query, red, t, type EditorNode } from "./red.ts";
import { mcpName, type McpRow } from "./tool-names.ts";

interface Fetched { ok: boolean; text?: string; lines?: string[]; tools?: { tool: string; as: string; description: string; parameters?: unknown; print: string; problem?: string }[] }
const CHOICES = ["off", "read", "write", "dangerous"] as const;
const slugOf = (name: string): string => name.toLowerCase().normalize("NFKD").replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 24);

export function mcpForm(node: EditorNode): { values(): { args: string[]; rows: McpRow[]; prefix: string } } {
  for (const name of ["env", "headers"]) secretLines(`node-input-${name}`);
  const args = list<string>(byId("clawflow-args"), {
    label: t("mcp.args.label"), items: (node.args ?? []) as string[], addLabel: t("mcp.args.add"), empty: t("mcp.args.none"), blank: () => "",
    draw(body, item, changed) {
      const input = h("input", { type: "text", value: item, class: "cf-code", spellcheck: false, "aria-label": t("mcp.args.label"), oninput: changed });
      body.append(h("div", { class: "cf-line" }, input));
      return { read: () => input.value };
    },
  });
  const prefix = (): string => fieldOf("node-input-prefix").value.trim() || slugOf(fieldOf("node-input-name").value) || "mcp";
  const table = toolTable(((node.rows ?? []) as McpRow[]), prefix);
  const place = byId("clawflow-mcp-tools");
  const said = h("div", { role: "status", "aria-live": "polite" });
  const fetchTools = button(t("mcp.fetch"), () => {
    fetchTools.disabled = true;
    const spinner = icon("refresh");
    spinner.classList.add("cf-spin");
    said.replaceChildren(spinner, ` ${t("mcp.fetching")}`);
    post<Fetched>("try/mcp", {
      node: node.id, transport: fieldOf("node-input-transport").value, command: fieldOf("node-input-command").value, args: args.values(), url: fieldOf("node-input-url").value, prefix: prefix(),
      privateNetwork: fieldOf("node-input-privateNetwork").checked, credentials: Object.fromEntries(["token", "headers", "env"].map((name) => [name, fieldOf(`node-input-${name}`).value])),
    }).then((got) => {
      if (!got.ok) { said.replaceChildren(state("bad", t("mcp.failed")), h("div", { class: "cf-muted" }, got.text ?? ""), ...got.lines?.length ? [h("pre", { class: "cf-preview" }, got.lines.join("\n"))] : []); return; }
      said.replaceChildren(state("ok", t("mcp.found", { count: got.tools?.length ?? 0 })));
      table.fetched(got.tools ?? []);
    }, (error: Error) => said.replaceChildren(problems([error.message]))).finally(() => { fetchTools.disabled = false; });
  }, { icon: "download", small: false });
  place.append(h("div", { class: "cf-line" }, fetchTools), said, table.element);
  return { values: () => ({ args: args.values(), rows: table.rows(), prefix: prefix() }) };
}

/** One line for each tool: its name, what the server says of it, and what it may do. */
function toolTable(saved: readonly McpRow[], prefix: () => string): { element: HTMLElement; rows(): McpRow[]; fetched(tools: NonNullable<Fetched["tools"]>): void } {
  let rows: McpRow[] = saved.map((row) => ({ ...row }));
  let words = new Map<string, { description: string; parameters?: unknown; problem?: string; mark?: "new" | "changed" }>();
  const element = h("div", { class: "cf-mcp-tools" });
  const draw = (): void => {
    if (rows.length === 0) { element.replaceChildren(h("p", { class: "cf-muted" }, t("mcp.none"))); return; }
    const all = (risk: McpRow["risk"], label: string): HTMLButtonElement => button(label, () => { rows = rows.map((row) => ({ ...row, risk })); draw(); });
    element.replaceChildren(h("div", { class: "cf-line" }, all("off", t("mcp.allOff")), all("read", t("mcp.allRead"))), h("ul", { class: "cf-mcp-list" }, ...rows.map(line)));
  };
  const line = (row: McpRow): HTMLElement => {
    const { description = "", parameters, problem, mark } = words.get(row.tool) ?? {};
    const risk = select(CHOICES.map((value) => ({ value, label: t(`mcp.choice.${value}`) })), row.risk, { "aria-label": t("mcp.risk", { name: row.tool }), onchange: () => { row.risk = risk.value as McpRow["risk"]; } });
    return h("li", {}, h("div", { class: "cf-mcp-words" }, h("code", {}, mcpName(prefix(), row)), mark && h("strong", {}, ` (${t(`mcp.state.${mark}`)})`), h("div", { class: "cf-muted" }, problem ?? description),
      // Words that lead a model astray stand at the end of a long description, or with a parameter.
      parameters !== undefined && h("details", {}, h("summary", {}, t("mcp.all")), h("pre", { class: "cf-preview" }, `${description}\n\n${JSON.stringify(parameters, null, 2)}`))), risk);
  };
  draw();
  return {
    element, rows: () => rows,
    fetched(tools) {
      const known = new Map(rows.map((row) => [row.tool, row]));
      words = new Map(tools.map(({ tool, description, parameters, problem, print }) => {
        const before = known.get(tool);
        const mark = before === undefined ? "new" : before.print !== undefined && before.print !== "" && before.print !== print ? "changed" : undefined;
        return [tool, { description, parameters, ...problem === undefined ? {} : { problem }, ...mark ? { mark } : {} }];
      }));
      // A changed tool is judged anew; one the server no longer has is forgotten.
      rows = tools.map(({ tool, as, print }) => ({ tool, as, print, risk: words.get(tool)?.mark ? "off" : known.get(tool)?.risk ?? "off" }));
      draw();
    },
  };
}

interface Settings { settings?: { httpNodeRoot?: string } }
export function mcpServerForm(): void {
  const place = byId("clawflow-mcp-address");
  const root = (red as unknown as Settings).settings?.httpNodeRoot;
  const show = (): void => {
    const gateway = configOf(chosenConfig("node-input", "gateway"));
    const base = String(gateway?.webhookBase || location.origin).replace(/\/+$/, "");
    const address = `${base}${typeof root === "string" ? root.replace(/\/+$/, "") : ""}/clawflow/${String(gateway?.slug || "home")}/mcp`;
    place.replaceChildren(h("code", {}, address), " ", button("", () => { void copy(address); }, { icon: "clipboard", bare: true, title: t("copy") }));
  };
  query("#node-input-gateway").on("change", show);
  show();
  const shown = h("div", { role: "status", "aria-live": "polite" });
  const make = button(t("mcp.newToken"), () => {
    const token = [...crypto.getRandomValues(new Uint8Array(24))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    query("#node-input-token").val(token).trigger("change");
    shown.replaceChildren(h("div", { class: "cf-line" }, h("code", { class: "cf-mcp-token" }, token), button("", () => { void copy(token); }, { icon: "clipboard", bare: true, title: t("copy") })), h("div", { class: "cf-muted" }, t("mcp.tokenOnce")));
  }, { icon: "key" });
  byId("clawflow-mcp-token").append(h("div", { class: "form-row cf-indent" }, make), shown);
}
