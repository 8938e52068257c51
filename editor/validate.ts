/** Reasons why a field is wrong: Node-RED shows them at the red triangle. `true` when it is right. */
import { tablesNow } from "./api.ts";
import { configOf, configs, nodesOf } from "./gateways.ts";
import { cronFields } from "./cron-fields.ts";
import { fallbackProblems } from "./fallbacks.ts";
import { paramProblems, schemaProblems } from "./params.ts";
import { missingSettings } from "./settings.ts";
import type { Rule } from "./rules.ts";
import { t, type EditorNode } from "./red.ts";

type Verdict = true | string;
const isReference = (value: unknown): boolean => typeof value === "string" && /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/.test(value);
const all = (list: readonly string[]): Verdict => (list.length === 0 ? true : list.join(" "));

/** The config node must be there, of the right type, and enabled. */
export function config(value: unknown, options: { optional?: boolean } = {}): Verdict {
  if (value === "" || value === "_ADD_" || value === undefined || value === null) return options.optional ? true : t("problems.chooseConfig");
  const node = configOf(value);
  if (!node) return isReference(value) ? true : t("problems.missingConfig");
  return node.d ? t("problems.disabledConfig", { name: node.name ?? "" }) : true;
}
export function configList(value: unknown): Verdict {
  return Array.isArray(value) ? all(value.filter((id) => !configOf(id)).map(() => t("problems.missingConfig"))) : true;
}
/** Other models that stand in for this one; never in a circle. */
export function fallbacks(value: unknown, node: EditorNode): Verdict {
  return Array.isArray(value) ? all(fallbackProblems(node, value)) : true;
}
export function number(value: unknown, options: { min?: number; max?: number; optional?: boolean; whole?: boolean } = {}): Verdict {
  if (value === "" || value === undefined || value === null) return options.optional ? true : t("problems.number");
  if (isReference(value)) return true;
  const got = Number(value);
  const { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY } = options;
  if (Number.isNaN(got) || (options.whole && !Number.isInteger(got))) return t("problems.number");
  if (got >= min && got <= max) return true;
  return max === Number.POSITIVE_INFINITY ? t("problems.atLeast", { min }) : t("problems.between", { min, max });
}
export function filled(value: unknown): Verdict {
  return typeof value === "string" && value.trim() !== "" ? true : t("problems.empty");
}
export function url(value: unknown): Verdict {
  if (value === "" || value === undefined || isReference(value)) return true;
  return URL.canParse(String(value)) && /^https?:/.test(String(value)) ? true : t("problems.url");
}

/** Unique among the config nodes of its type, accounts within their gateway: it names folders and addresses. */
export function slug(value: unknown, node: EditorNode): Verdict {
  if (!value) return true;
  const twin = configs(node.type).find((other) => other.id !== node.id && other.slug === value && (node.type !== "clawflow-account" || other.gateway === node.gateway));
  return twin ? t("problems.sameSlug", { name: twin.name ?? twin.id }) : true;
}
export function toolName(value: unknown, node: EditorNode): Verdict {
  const name = String(value ?? "");
  if (!/^[A-Za-z_][A-Za-z0-9_-]{0,63}$/.test(name)) return t("problems.toolName");
  const twin = [...nodesOf("clawflow-tool"), ...nodesOf("clawflow-documents")].some((other) => other.id !== node.id && !other.d && other.tool === name && other.gateway === node.gateway);
  return twin ? t("problems.sameTool", { name }) : true;
}
export const prefix = (value: unknown): Verdict => (/^[A-Za-z0-9_-]{0,24}$/.test(String(value ?? "")) ? true : t("problems.prefix"));
export function webhookPath(value: unknown, node: EditorNode): Verdict {
  const path = String(value ?? "").replace(/^\/+|\/+$/g, "");
  if (!/^[A-Za-z0-9._~-]+(\/[A-Za-z0-9._~-]+)*$/.test(path)) return t("problems.path");
  const twin = nodesOf("clawflow-webhook").some((other) => other.id !== node.id && !other.d && String(other.path ?? "").replace(/^\/+|\/+$/g, "") === path);
  return twin ? t("problems.samePath", { path }) : true;
}
export const toolParams = (value: unknown, node: EditorNode): Verdict => (node.schemaMode ? true : all(paramProblems(value)));
export const toolSchema = (value: unknown, node: EditorNode): Verdict => (node.schemaMode ? all(schemaProblems(String(value ?? ""))) : true);

export function routeRules(value: unknown): Verdict {
  if (!Array.isArray(value)) return true;
  const isEmpty = (value: unknown): boolean => value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
  const needs = (rule: Rule): boolean => rule.rows.some((row) => row.test !== "exists" && isEmpty(row.value));
  return all((value as Rule[]).flatMap((rule, index) => {
    if (rule.name === "") return [t("problems.ruleName", { number: index + 1 })];
    return needs(rule) ? [t("problems.ruleValue", { name: rule.name })] : [];
  }));
}
export function cron(value: unknown, node: EditorNode): Verdict {
  if (node.kind !== "cron" || isReference(value)) return true;
  return cronFields(String(value ?? "")) ? true : t("problems.cron");
}
export function localTime(value: unknown, node: EditorNode): Verdict {
  if (node.kind !== "at" || isReference(value)) return true;
  return Number.isNaN(Date.parse(String(value))) ? t("problems.localTime") : true;
}
export function timeZone(value: unknown): Verdict {
  if (!value || isReference(value)) return true;
  try {
    new Intl.DateTimeFormat("en", { timeZone: String(value) });
    return true;
  } catch {
    return t("problems.timeZone", { zone: String(value) });
  }
}
export function commands(value: unknown): Verdict {
  const names = String(value ?? "").split(",").map((name) => name.trim().replace(/^\//, "")).filter((name) => name !== "");
  return names.every((name) => /^[\p{L}\p{N}_-]+$/u.test(name)) ? true : t("problems.command");
}
export function accountSettings(value: unknown, node: EditorNode): Verdict {
  const channel = tablesNow()?.channels.find(({ id }) => id === node.channel);
  const missing = channel ? missingSettings(channel, (value ?? {}) as Record<string, unknown>, node.credentials) : [];
  return missing.length === 0 ? true : t("problems.missingSettings", { names: missing.join(", ") });
}
/** The buttons of a question: each has a label, no two the same. */
export function choices(value: unknown, node: EditorNode): Verdict {
  if (node.kind !== "buttons") return true;
  const labels = Array.isArray(value) ? value.map(({ label }: { label?: unknown }) => String(label ?? "").trim()) : [];
  if (labels.length === 0) return t("problems.noButtons");
  if (labels.includes("")) return t("problems.buttonLabel");
  return new Set(labels.map((label) => label.toLowerCase())).size === labels.length ? true : t("problems.sameButtons");
}
/** Where a message nobody answered to goes: a chat without an account leads nowhere. */
export const chatNeedsAccount = (value: unknown, node: EditorNode): Verdict => (value && !node.account ? t("problems.chatNeedsAccount") : true);
