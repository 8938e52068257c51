import type { Account } from "../channel.ts";

/** Ids of servers, as a list or as text with commas or spaces between them. */
export function guildsOf(account: Account): string[] {
  const value = account.settings["guilds"];
  const parts = Array.isArray(value) ? value.map(String) : typeof value === "string" ? value.split(/[\s,;]+/) : [];
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}
