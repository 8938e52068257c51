import type { Account } from "./channel.ts";

/** A setting as trimmed text; "" where it is missing or something else. */
export const text = (account: Account, key: string): string => {
  const value = account.settings[key];
  return typeof value === "string" ? value.trim() : "";
};

/** A problem with the proxy's address, if there is one. */
export function proxyProblem(account: Account): string[] {
  const proxy = text(account, "proxy");
  const right = proxy === "" || (URL.canParse(proxy) && /^(?:https?|socks5?):$/.test(new URL(proxy).protocol));
  return right ? [] : ["Expected the proxy to begin with http://, https:// or socks5://, got something else."];
}
