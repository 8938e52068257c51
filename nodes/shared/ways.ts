/**
 * Tells the branches of a run apart. Where a node sends one thing over several wires, each msg gets a mark in `msg.run.step`, and so in the name of the step it
 * comes to next: which branch comes first may differ from one pass to the next, their names may not. Msgs that never forked keep plain names.
 */
import { hash } from "node:crypto";
import { parseRunId } from "../../engine/store/store.ts";
import type { FlowMsg, HookEvent, Red, RedNode } from "./red.ts";

const LABEL = "clawflow-ways";
const MARK = "~";

/** They send one msg for one they get, so it is of the same branch. Any other may have made one of several, as join does: which of them came last must not count. */
const PASSES = new Set(["catch", "change", "clawflow-normalize", "clawflow-route", "complete", "delay", "http request", "json", "link call", "link in", "link out", "range", "switch", "template", "xml", "yaml"]);
/** A function can keep msgs only in a context. */
const KEEPS = /\b(context|flow|global)\b/;
const passes = ({ type, func }: RedNode): boolean => PASSES.has(type) || type.startsWith("subflow:") || (type === "function" && func !== undefined && !KEEPS.test(func));

const markAt = (step: string): number => step.indexOf(MARK, step.lastIndexOf("/") + 1);
const isMarked = ({ run }: FlowMsg): boolean => typeof run?.step === "string" && markAt(run.step) >= 0;
const isOfRun = ({ run }: FlowMsg): boolean => typeof run?.step === "string" && typeof run.id === "string" && parseRunId(run.id) !== undefined;
const mark = (...of: (string | number)[]): string => MARK + hash("sha1", of.join("\n"), "base64url").slice(0, 8);

/** `step` with the mark behind it. A msg that comes round in a circle has the name it had there before: how often it went round may differ too. */
function marked(step: string, added: string): string {
  const at = step.indexOf(added, step.lastIndexOf("/") + 1);
  return at < 0 ? step + added : step.slice(0, at + added.length);
}

export function markWays(red: Red): void {
  /** A debug node is put in and taken out while runs are under way. */
  const leadsOn = ({ destination }: HookEvent): boolean => destination !== undefined && red.nodes.getNode(destination.id)?.type !== "debug";

  red.hooks?.remove(`*.${LABEL}`);
  red.hooks?.add(`onSend.${LABEL}`, (events: readonly HookEvent[]) => {
    const first = events[0];
    // All msgs of Node-RED come by here.
    if (first === undefined || (events.length === 1 && !isMarked(first.msg))) return;
    const ours = events.filter(({ msg }) => isOfRun(msg));
    if (ours.length === 0) return;
    const isFork = new Set(ours.filter(leadsOn).map(({ source, destination }) => `${source?.port} ${destination?.id}`)).size > 1;
    for (const event of ours) {
      const { msg, source, destination } = event;
      const run = msg.run as NonNullable<FlowMsg["run"]>;
      let { step } = run;
      if (source === undefined || destination === undefined) continue;
      if (isMarked(msg) && !passes(source.node)) step = step.slice(0, markAt(step)) + mark(source.id, source.port);
      if (isFork) step = marked(step, mark(source.id, source.port, destination.id));
      // The node may keep what it sends, and other wires get copies of it: it is left as it is.
      if (step !== run.step) event.msg = { ...msg, run: { ...run, step } };
    }
  });
}
