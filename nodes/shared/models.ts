/** What the model nodes of this process share: how each key stands, and the chain of those that stand in for one. */
import { createHash } from "node:crypto";
import { systemClock } from "../../engine/clock.ts";
import { SettingError } from "../../engine/errors.ts";
import type { Candidate } from "../../engine/failover.ts";
import { createBoard } from "../../engine/failover/board.ts";
import { chainOf } from "../../engine/failover/chain.ts";
import { readyAt, type State, stateOf } from "../../engine/failover/standing.ts";
import type { Model, ModelSettings } from "../../engine/models/model.ts";
import { modelNode, type ModelNode } from "./config.ts";
import type { Host } from "./gateways.ts";
import type { Red, RedNode } from "./red.ts";
import { redact } from "./secrets.ts";

export const board = createBoard();

/** The keys of a model in order: the first one's field, then one per line; `${NAME}` is read from the environment. Without any there is one that is empty. */
export function keysOf(red: Red, node: RedNode | undefined, { key, moreKeys }: Record<string, string | undefined>): string[] {
  const lines = (moreKeys ?? "").split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "");
  const more = lines.map((line) => (/^\$\{\S+\}$/.test(line) ? String(red.util.evaluateNodeProperty(line, "env", node, {}) ?? "") : line)).filter((line) => line !== "");
  const keys = [...new Set([key?.trim() ?? "", ...more])].filter((one) => one !== "");
  return keys.length === 0 ? [""] : keys;
}

/** Name of a key's standing. Another address, model or key is another name: what was held against the old one does not count. */
export function standingId(node: string, { provider, model, key, baseUrl, headers, api }: ModelSettings): string {
  return `${node}/${createHash("sha256").update(JSON.stringify([provider, model, key, baseUrl, headers, api])).digest("hex").slice(0, 24)}`;
}

/** Stands where a model could not be opened: whoever asks it is told why. */
export function faultyModel(name: string, { provider, contextTokens = 32_000 }: ModelSettings, thrown: unknown): Model {
  return { id: name, provider, contextTokens, stream: () => { throw thrown; } };
}

/** This model and all that stand in for it. Throws CONF_001 for a circle; with `strict` also CONF_002 for one that is missing, which else is left out. */
export function chainNodes(host: Host, first: string, strict = false): ModelNode[] {
  const find = (id: string): ModelNode | undefined => {
    try {
      return modelNode(host, id);
    } catch (error) {
      if (strict || id === first) throw error;
      return undefined;
    }
  };
  return chainOf(first, (id) => find(id)?.fallbacks ?? [], (id) => find(id)?.label ?? id).flatMap((id) => find(id) ?? []);
}

export interface KeyState { readonly key: number; readonly state: State; /** Unix milliseconds: when it is asked again. */ readonly until?: number; readonly code?: string; readonly text?: string }
/** How each key of a model stands, for people; a key itself is never in it. */
export function keyStates(candidates: readonly Candidate[]): KeyState[] {
  const now = systemClock.monotonic();
  return candidates.map(({ id }, index) => {
    const standing = board.get(id);
    const state = stateOf(standing, now);
    return {
      key: index + 1, state,
      ...(state === "resting" ? { until: Math.round(systemClock.now() + readyAt(standing, false) - now) } : {}),
      ...(standing.last === undefined ? {} : { code: standing.last.code, text: redact(standing.last.text) }),
    };
  });
}

/** A model node that names itself, or one of another kind, is refused by the chain; here only what was saved is read. */
export const fallbacksOf = (saved: unknown): string[] => (Array.isArray(saved) ? saved.filter((id) => typeof id === "string" && id !== "") : []);

/** Never empty: the first is the model itself. */
export function asChain(candidates: Candidate[]): [Candidate, ...Candidate[]] {
  const [first, ...others] = candidates;
  if (first === undefined) throw new SettingError("CONF_002", {}, "Expected a model with at least one key, got none.");
  return [first, ...others];
}
