import type { Account } from "../channel.ts";

/** A setting as trimmed text; "" where it is missing or something else. */
export const text = (account: Account, key: string): string => {
  const value = account.settings[key];
  return typeof value === "string" ? value.trim() : "";
};
