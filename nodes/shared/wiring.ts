/** What can be told from the wires of the deployed flow. */
import { changes, type Outgoing } from "./outgoing.ts";
import { migrate } from "./migrate.ts";
import type { Red } from "./red.ts";

interface Saved { readonly id: string; readonly type: string; readonly wires?: readonly (readonly string[])[]; readonly d?: boolean; readonly [key: string]: unknown }

function configOf(red: Red, id: string): Saved | undefined {
  let found: Saved | undefined;
  red.nodes.eachNode((config) => { if (config.id === id) found = config as unknown as Saved; });
  try {
    return found && migrate(found.type, found);
  } catch {
    // Made by a newer ClawFlow: the node itself says so, and takes no part.
    return undefined;
  }
}

/** Longest "collapse a burst" step (ms) of the normalize nodes that are wired straight behind a channel in: the lane gathers for it. */
export function burstBelow(red: Red, id: string): number {
  let longest = 0;
  for (const next of configOf(red, id)?.wires?.[0] ?? []) {
    const config = configOf(red, next);
    if (config?.type !== "clawflow-normalize" || config.d === true) continue;
    for (const step of (config.steps ?? []) as { type: string; ms?: number | string }[]) if (step.type === "collapse") longest = Math.max(longest, Number(step.ms) || 0);
  }
  return longest;
}

/** The channel out nodes that alone stand on a port, when each simply replies: then an answer may be shown while it is written. */
export function repliesOnly(red: Red, id: string, port: number): string[] {
  const ids = configOf(red, id)?.wires?.[port] ?? [];
  const outs = ids.map((next) => configOf(red, next));
  const straight = outs.every((config) => config?.type === "clawflow-channel-out" && config.d !== true && (config.action ?? "reply") === "reply" && !changes(config as Outgoing));
  return straight ? [...ids] : [];
}

/** All nodes that what this one sends can come to, links between tabs with them; behind an agent nothing is looked for. */
export function nodesBehind(red: Red, id: string): string[] {
  const all = new Map<string, Saved>();
  red.nodes.eachNode((config) => { all.set(String(config.id), config as unknown as Saved); });
  const found = new Set<string>();
  const next = [id];
  for (let at = next.pop(); at !== undefined; at = next.pop()) {
    const config = all.get(at);
    if (config === undefined || config.d === true || (at !== id && config.type === "clawflow-agent")) continue;
    const links = config.type === "link out" && Array.isArray(config.links) ? (config.links as string[]) : [];
    for (const to of [...(config.wires ?? []).flat(), ...links]) if (!found.has(to)) { found.add(to); next.push(to); }
  }
  return [...found];
}
