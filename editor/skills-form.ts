/** The form of skills: what is in the folder, what is wrong there, and whether there is a sandbox. */
import { post } from "./api.ts";
import { button, byId, fieldOf, h, problems, state } from "./dom.ts";
import { secretLines } from "./model-form.ts";
import { t, type EditorNode } from "./red.ts";

interface Found { skills: { name: string; description: string; risk: "read" | "write" | "dangerous"; network: boolean }[]; problems: string[]; sandbox: boolean; limits: boolean; why?: string }

export function skillsForm(node: EditorNode): { values(): { names: string[] } } {
  secretLines("node-input-env");
  let names = (node.names ?? []) as string[];
  const said = h("div", { role: "status", "aria-live": "polite" });
  const look = (): void => {
    post<Found>("try/skills", { folder: fieldOf("node-input-folder").value }).then((found) => {
      // A folder that cannot be read now keeps the names it had.
      if (found.skills.length > 0 || found.problems.length === 0) names = found.skills.map(({ name }) => name);
      said.replaceChildren(
        found.sandbox ? state("ok", t("skills.sandbox")) : state("bad", t("skills.noSandbox", { why: found.why ?? "" })),
        ...found.limits ? [] : [h("div", {}, state("wait", t("skills.noLimits")))],
        problems(found.problems),
        found.skills.length === 0 ? h("p", { class: "cf-muted" }, t("skills.none")) : h("ul", { class: "cf-mcp-list" }, ...found.skills.map(({ name, description, risk }) => h("li", {}, h("div", { class: "cf-mcp-words" }, h("code", {}, name), h("div", { class: "cf-muted" }, description)), h("span", { class: "cf-muted" }, t(`mcp.choice.${risk}`))))),
      );
    }, (error: Error) => said.replaceChildren(problems([error.message])));
  };
  byId("clawflow-skills-found").append(h("div", { class: "cf-line" }, button(t("skills.look"), look, { icon: "folder-open", small: false })), said);
  if (fieldOf("node-input-folder").value !== "") look();
  return { values: () => ({ names }) };
}
