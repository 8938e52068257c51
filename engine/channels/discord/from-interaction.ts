/** An interaction (a command, a button, a menu, a form) to a Message. Pure. */
import type { APIInteraction } from "discord.js";
import type { Action, Message } from "../../message.ts";
import { isId, timeOf } from "./limits.ts";
import { addressOf, base, senderOf, type Self } from "./to-message.ts";

/** Kinds of interactions and components (docs, "Interaction Type", "Component Type"). */
export const PING = 1;
export const COMMAND = 2;
export const COMPONENT = 3;
export const AUTOCOMPLETE = 4;
export const MODAL = 5;
const BUTTON = 2;
const CHAT_INPUT = 1;

interface Option { readonly name?: unknown; readonly value?: unknown; readonly options?: readonly Option[] }
interface Data {
  readonly custom_id?: string; readonly component_type?: number; readonly values?: readonly unknown[]; readonly components?: readonly unknown[];
  readonly name?: string; readonly type?: number; readonly options?: readonly Option[]; readonly target_id?: string;
}
/** What is common to all kinds; the SDK's union tells them apart by type. */
export interface AnyInteraction {
  readonly id: string; readonly application_id: string; readonly token: string; readonly type: number;
  readonly channel_id?: string; readonly guild_id?: string; readonly channel?: { readonly id?: string; readonly type?: number; readonly parent_id?: string | null };
  readonly member?: { readonly user?: unknown; readonly roles?: string[]; readonly nick?: string | null }; readonly user?: unknown; readonly locale?: string;
  readonly message?: { readonly id: string; readonly components?: readonly unknown[] }; readonly data?: Data; readonly app_permissions?: string;
}

/** Empty: a kind that is no act of a person (a ping, an autocompletion). */
export function fromInteraction(given: APIInteraction, self: Self): Message[] {
  const interaction = given as unknown as AnyInteraction;
  const action = actionOf(interaction);
  const channel = interaction.channel_id ?? interaction.channel?.id;
  if (action === undefined || channel === undefined || !isId(interaction.id)) return [];
  const at = addressOf({ channel_id: channel, ...(interaction.guild_id === undefined ? {} : { guild_id: interaction.guild_id }) }, self, interaction.channel);
  const user = (interaction.member?.user ?? interaction.user) as Parameters<typeof senderOf>[0] | undefined;
  const sender = senderOf(user ?? { id: "" }, interaction.member as Parameters<typeof senderOf>[1], at, self);
  return [{
    ...base(`interaction:${interaction.id}`, at, typeof interaction.locale === "string" ? { ...sender, language: interaction.locale } : sender),
    kind: action.type === "command" ? "message" : "action",
    ref: action.type === "command" || !isId(interaction.message?.id) ? interaction.id : interaction.message.id,
    sentAt: timeOf(interaction.id) ?? self.now,
    text: action.type === "command" ? `/${action.name}${action.args === "" ? "" : ` ${action.args}`}` : "",
    action,
    addressed: true,
    ...(typeof interaction.locale === "string" ? { language: interaction.locale } : {}),
  }];
}

function actionOf({ type, data = {}, message }: AnyInteraction): Action | undefined {
  const id = plainId(data.custom_id);
  if (type === COMMAND) {
    const name = String(data.name ?? "");
    if (data.type !== undefined && data.type !== CHAT_INPUT) return { type: "shortcut", name, ...(isId(data.target_id) ? { ref: data.target_id } : {}) };
    return { type: "command", name, args: argsOf(data.options).join(" ") };
  }
  if (type === MODAL) return { type: "form", name: id, values: valuesOf(data.components) };
  if (type !== COMPONENT) return undefined;
  if (data.component_type !== BUTTON && data.component_type !== undefined) return { type: "choice", values: (Array.isArray(data.values) ? data.values : []).map(String), ...(id === "" ? {} : { name: id }) };
  const label = labelOf(message?.components, data.custom_id, 0);
  return { type: "button", value: id, ...(label === undefined ? {} : { label }) };
}

/** Twins in one message are told apart by zero-width spaces at their end (components.ts). */
function plainId(id: unknown): string {
  return typeof id === "string" ? id.replace(/\u200b+$/, "") : "";
}

/** Names of subcommands and the values given, in order. */
function argsOf(options: readonly Option[] | undefined, depth = 0): string[] {
  if (!Array.isArray(options) || depth > 3) return [];
  return options.flatMap((option: Option) => (option.value !== undefined ? [String(option.value)] : [String(option.name ?? ""), ...argsOf(option.options, depth + 1)]));
}

function labelOf(components: readonly unknown[] | undefined, id: unknown, depth: number): string | undefined {
  if (!Array.isArray(components) || depth > 4) return undefined;
  for (const each of components as { custom_id?: unknown; label?: unknown; components?: unknown[]; accessory?: unknown }[]) {
    if (each?.custom_id === id && typeof each.label === "string") return each.label;
    const inner = labelOf(each?.components ?? (each?.accessory === undefined ? undefined : [each.accessory]), id, depth + 1);
    if (inner !== undefined) return inner;
  }
  return undefined;
}

/** Fields stand in rows (the older form) or in labels. */
function valuesOf(components: readonly unknown[] | undefined, depth = 0): Record<string, string> {
  const values: Record<string, string> = {};
  if (!Array.isArray(components) || depth > 3) return values;
  for (const each of components as { custom_id?: unknown; value?: unknown; values?: unknown; components?: unknown[]; component?: unknown }[]) {
    if (typeof each !== "object" || each === null) continue;
    if (typeof each.custom_id === "string" && each.custom_id !== "__proto__") values[each.custom_id] = Array.isArray(each.values) ? each.values.map(String).join(", ") : String(each.value ?? "");
    Object.assign(values, valuesOf(each.components ?? (each.component === undefined ? undefined : [each.component]), depth + 1));
  }
  return values;
}
