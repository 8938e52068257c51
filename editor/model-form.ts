/** The form of a model: provider, the models it offers, what they cost, and the Test button. */
import { latest, post, tables, type ProviderInfo } from "./api.ts";
import { byId, debounce, fieldOf, fill, h, problems } from "./dom.ts";
import { fallbacksPicker } from "./fallbacks.ts";
import { chosenConfig, preselectGateway } from "./forms.ts";
import { t, type EditorNode } from "./red.ts";
import { tryButton } from "./try-credentials.ts";

interface Offer { models: string[]; contexts?: Record<string, number>; problem?: string }
interface Known { price?: { input: number; output: number; cachedInput?: number } | { per: "minute" | "million characters" | "picture"; usd: number }; asOf?: string }

/** Gives what reads the models that stand in. */
export function modelForm(node: EditorNode): { values(): string[] } {
  preselectGateway(node);
  const provider = byId("node-config-input-provider") as HTMLSelectElement;
  const effort = byId("node-config-input-effort") as HTMLSelectElement;
  const api = byId("node-config-input-api") as HTMLSelectElement;
  const model = fieldOf("node-config-input-model");
  const baseUrl = fieldOf("node-config-input-baseUrl");
  const key = fieldOf("node-config-input-key");
  const own = String(node.provider ?? "practice");
  fill(provider, [{ value: own, label: own }], own);
  // A node of an older version has no such field, and Node-RED leaves the select without a choice.
  if (node.api === undefined) api.value = "";
  const asked = (): object => ({
    node: node.id, provider: provider.value, model: model.value.trim(), baseUrl: baseUrl.value.trim(), api: api.value, effort: effort.value,
    credentials: { key: key.value, moreKeys: fieldOf("node-config-input-moreKeys").value, headers: fieldOf("node-config-input-headers").value },
  });
  const offered = suggestModels([provider, baseUrl, key], asked);
  const price = showPrice(() => ({ provider: provider.value, model: model.value.trim() }));
  tables().then(({ providers, efforts }) => {
    fill(provider, providers.map(({ id, label }) => ({ value: id, label: t(`model.providers.${id}`, {}, label) })), own);
    fill(effort, [{ value: "", label: t("model.effortOwn") }, ...efforts.map((value) => ({ value, label: t(`model.efforts.${value}`, {}, value) }))], String(node.effort ?? ""));
    const show = (): void => {
      showProvider(providers.find(({ id }) => id === provider.value));
      offered();
      price();
    };
    provider.addEventListener("change", show);
    model.addEventListener("input", debounce(price));
    show();
  }, (error: Error) => byId("clawflow-test").prepend(problems([error.message])));
  secretLines("node-config-input-headers");
  secretLines("node-config-input-moreKeys");
  tryButton(byId("clawflow-test"), "try/model", asked);
  return fallbacksPicker(byId("clawflow-fallbacks"), node, () => chosenConfig("node-config-input", "gateway"));
}

function showProvider(info: ProviderInfo | undefined): void {
  const practice = info?.wire === "practice";
  fieldOf("node-config-input-baseUrl").placeholder = info?.baseUrl ?? "";
  for (const name of ["key", "moreKeys", "baseUrl", "headers", "prices", "effort"]) byId(`clawflow-row-${name}`).hidden = practice;
  byId("clawflow-row-api").hidden = info?.quirks?.responses === undefined;
  byId("clawflow-practice").hidden = !practice;
  byId("clawflow-key-hint").textContent = info?.keyless ? t("model.keyless") : info?.env ? t("model.envHint", { env: `\${${info.env}}` }) : t("model.keyHint");
}

/** Asks the provider for its models when the field is first entered, and again after one of `sources` was changed. Gives a function that forgets what was asked. */
function suggestModels(sources: readonly HTMLElement[], asked: () => object): () => void {
  const field = fieldOf("node-config-input-model");
  const list = byId("clawflow-models");
  const line = byId("clawflow-models-state");
  let known = false;
  let contexts: Record<string, number> = {};
  /** What was filled in by itself gives way to another model's; what a person has entered stays. */
  let filled = "";
  const context = fieldOf("node-config-input-contextTokens");
  const fillContext = (): void => {
    if (context.value !== filled && Number(context.value) > 0) return;
    const name = field.value.trim();
    const next = Object.hasOwn(contexts, name) ? String(contexts[name]) : "0";
    if (next === "0" && filled === "") return;
    filled = next;
    context.value = next;
  };
  field.addEventListener("input", fillContext);
  const say = (text: string): void => { line.textContent = text; };
  const ask = latest<Offer>(field, () => post("try/models", asked()), ({ models, contexts: sizes = {}, problem }) => {
    list.replaceChildren(...models.map((value) => h("option", { value })));
    known = problem === undefined;
    contexts = sizes;
    fillContext();
    say(problem === undefined ? (models.length > 0 ? t("model.offers", { count: models.length }) : "") : t("model.noList", { problem }));
  }, (error) => say(t("model.noList", { problem: error.message })));
  const forget = (): void => {
    known = false;
    list.replaceChildren();
    say("");
  };
  field.addEventListener("focus", () => {
    if (known || (byId("node-config-input-provider") as HTMLSelectElement).value === "practice") return;
    known = true;
    say(t("model.asking"));
    ask();
  });
  for (const source of sources) source.addEventListener("change", forget);
  return forget;
}

/** What the table knows of the model's price, with its day. */
function showPrice(asked: () => { provider: string; model: string }): () => void {
  const line = byId("clawflow-price-known");
  return latest<Known>(line, () => post("model/price", asked()), ({ price, asOf }) => {
    const { model } = asked();
    line.textContent = model === "" ? "" : price === undefined ? t("model.noPrice") : `${priceText(price, asOf ?? "")} ${t("model.priceHelp")}`;
  }, () => { line.textContent = ""; });
}

function priceText(price: NonNullable<Known["price"]>, asOf: string): string {
  if ("per" in price) return t({ minute: "model.perMinute", "million characters": "model.perCharacters", picture: "model.perPicture" }[price.per], { usd: Number(price.usd.toPrecision(3)), asOf });
  return `${t("model.price", { input: price.input, output: price.output, asOf })}${price.cachedInput === undefined ? "" : ` ${t("model.priceCached", { cached: price.cachedInput })}`}`;
}

/** A credential of several lines: while it is saved and unseen, a button replaces the field. */
export function secretLines(id: string): void {
  const area = fieldOf(id);
  if (area.value !== "__PWRD__") return;
  const line = h("div", { class: "cf-field" }, h("span", { class: "cf-muted" }, t("model.headersSaved")), h("button", {
    type: "button", class: "red-ui-button red-ui-button-small",
    onclick: () => { area.value = ""; area.hidden = false; line.remove(); area.focus(); },
  }, t("change")));
  area.hidden = true;
  area.after(line);
}
