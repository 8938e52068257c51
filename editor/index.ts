/** The editor plugin: loaded before the nodes, whose forms find their widgets at `window.ClawFlow`. */
import { accountsPicker, chatSuggestions, nameConfigButtons } from "./address.ts";
import { forgetTables, tables } from "./api.ts";
import { allowList } from "./allow-list.ts";
import { choices } from "./choices.ts";
import { commandUses } from "./command-uses.ts";
import { byId } from "./dom.ts";
import { accountForm, chosenConfig, isAdding, keepSlug, preselectGateway, saveAccount, showFor, showSlug } from "./forms.ts";
import { gatewayPanel } from "./gateway-panel.ts";
import { bringGateways, configOf, nameOf, separateCopies } from "./gateways.ts";
import { mappingForm } from "./mapping.ts";
import { mcpForm, mcpServerForm } from "./mcp-form.ts";
import { modelForm } from "./model-form.ts";
import { modelsPicker } from "./models-picker.ts";
import { params } from "./params.ts";
import { policyTable } from "./policy-table.ts";
import { red, t } from "./red.ts";
import { routeForm } from "./route-form.ts";
import { schedule } from "./schedule.ts";
import { skillsForm } from "./skills-form.ts";
import { stepsForm } from "./steps.ts";
import { templateField } from "./template-field.ts";
import { toolsPicker } from "./tools-picker.ts";
import { webhookAddress } from "./webhook-address.ts";
import * as validate from "./validate.ts";

/** Every form calls it first: names and keys for Node-RED's own buttons. */
function prepare(form: string): void {
  nameConfigButtons(byId(form).closest("form") ?? document.body);
  // Node-RED marks the fields once the form is prepared: a fault never hides in a folded part.
  setTimeout(() => { for (const part of document.querySelectorAll<HTMLDetailsElement>(`#${form} details:has(.input-error)`)) part.open = true; }, 100);
}
/** The name of a config node, for labels on the canvas. */
const labelOf = (id: unknown): string => {
  const node = configOf(id);
  return node ? nameOf(node) : "";
};

const ClawFlow = {
  t, validate, prepare, labelOf, isAdding, chosenConfig, preselectGateway, showSlug, keepSlug, showFor,
  accountForm, saveAccount, allowList, modelForm, gatewayPanel, accountsPicker, chatSuggestions, choices, commandUses, modelsPicker, params, policyTable, toolsPicker, mcpForm, mcpServerForm, skillsForm, schedule, stepsForm, mappingForm, webhookAddress, routeForm, templateField, byId,
};
export type ClawFlowWidgets = typeof ClawFlow;
(window as unknown as { ClawFlow: ClawFlowWidgets }).ClawFlow = ClawFlow;

red.plugins.registerPlugin("clawflow-editor", { type: "clawflow-editor" });
bringGateways();
separateCopies();
red.events.on("registry:plugin-added", forgetTables);
// Validation needs the channels' settings; a runtime that does not answer yet is asked again by the first form.
red.events.on("flows:loaded", () => { tables().catch(() => undefined); });
