/** Addresses as forms and flows write them. */
import type { Handle } from "./gateways.ts";
import { SettingError } from "../../engine/errors.ts";
import type { Address } from "../../engine/message.ts";
import type { AccountNode } from "./config.ts";
import type { Red } from "./red.ts";

export interface AddressFields { readonly account?: string; readonly chat?: string; readonly thread?: string; readonly chatKind?: "direct" | "group" }

/** The address of a form's account, chat and thread; undefined where no chat is given. `gateway`: the node's own, which alone can send there. */
export function addressOf(red: Red, fields: AddressFields, gateway: string | undefined): Address | undefined {
  if (!fields.account || !fields.chat) return undefined;
  const node = red.nodes.getNode(fields.account) as AccountNode | null;
  if (node?.type !== "clawflow-account") throw new SettingError("CONF_002", {}, "Expected the account of the address to be deployed and enabled.");
  if (node.gatewayNode !== undefined && node.gatewayNode.id !== gateway) throw new SettingError("CONF_001", {}, `Expected the account of the address to belong to this node's gateway, got "${node.slug}" of another one.`);
  return { channel: node.channel, account: node.slug, chat: fields.chat, kind: fields.chatKind ?? "direct", ...(fields.thread ? { thread: fields.thread } : {}) };
}

/** An address that came over a wire: rebuilt from known fields, its account must be one of the gateway. */
export function addressFrom(handle: Handle, value: unknown): Address | undefined {
  if (value === undefined || value === null) return undefined;
  const given = value as Record<string, unknown>;
  const account = handle.accounts.get(String(given.account ?? ""))?.account;
  if (typeof value !== "object" || account === undefined || given.chat === undefined || given.chat === "") {
    throw new SettingError("MSG_001", {}, `Expected msg.to to be { account, chat } with an account of this gateway (${[...handle.accounts.keys()].join(", ") || "none"}), got ${JSON.stringify(value).slice(0, 120)}.`);
  }
  return { channel: account.channel, account: account.id, chat: String(given.chat), kind: given.kind === "group" ? "group" : "direct", ...(given.thread ? { thread: String(given.thread) } : {}), ...(given.space ? { space: String(given.space) } : {}) };
}
