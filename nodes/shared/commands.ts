/** Which commands the deployed flows have of their own. */
import type { Command } from "../../engine/channels/channel.ts";
import type { Handle } from "./handle.ts";
import type { Red } from "./red.ts";

/** The commands of one account, each once, in an order that no deploy changes. */
export function commandsOf(handle: Handle, account: string): Command[] {
  const found = new Map<string, Command>();
  for (const { accounts, names, description } of handle.commands.values()) {
    if (accounts?.has(account) === false) continue;
    for (const name of names) if (!found.get(name)?.description) found.set(name, { name, description });
  }
  return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

interface RouteConfig { readonly type: string; readonly d?: boolean; readonly rules?: readonly { readonly rows?: readonly { readonly field?: string; readonly value?: unknown }[] }[] }

/** Commands that rules of route nodes ask for: a flow that has "/help" of its own keeps it. */
export function wordsOfRoutes(red: Red): string[] {
  const words = new Set<string>();
  red.nodes.eachNode((saved) => {
    const config = saved as unknown as RouteConfig;
    if (config.type !== "clawflow-route" || config.d === true) return;
    for (const { field, value } of (config.rules ?? []).flatMap(({ rows = [] }) => rows)) {
      if (field === "command") for (const word of [value].flat()) if (typeof word === "string") words.add(word.trim().replace(/^\//, "").toLowerCase());
    }
  });
  return [...words];
}
