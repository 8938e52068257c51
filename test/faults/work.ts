/** The flow of the fault tests with a `function` node of the user's own on its way and one in its tool, which do harm when a message says so; and what a test asks of Node-RED then. */
import { setTimeout as pause } from "node:timers/promises";
import { on } from "../rigs/home.ts";
import type { FlowNode } from "../rigs/project.ts";
import { judge, type Finding, type Kill } from "./judge.ts";
import type { FaultRig } from "./rig.ts";
import type { Entry } from "./stubs/log.ts";

const func = (id: string, code: string, ...wires: string[][]): FlowNode => on(id, "function", { func: code, outputs: wires.length, timeout: 0, noerr: 0, initialize: "", finalize: "", libs: [] }, ...wires);
/** "poison" ends the process as an unhandled fault does, "hog" by taking all its memory; "block 5000" holds the event loop for so long. */
const HARM = `
const words = msg.payload.split(" ");
if (words.includes("poison")) { Promise.reject(new Error("poison")); return; }
if (words.includes("hog")) { const all = []; for (;;) all.push(new Array(1e6).fill(1)); }
if (words.includes("block")) { const end = Date.now() + Number(words[words.indexOf("block") + 1]); while (Date.now() < end); }
return msg;`;
/** Between the tool's effect and its answer, by the message: "never" answers, "twice", "late" (after the tool's 3 s), under a "strange" id. */
const TAMPER = `
const words = msg.message.text.split(" ");
if (words.includes("never")) return null;
if (words.includes("twice")) return [[msg, { ...msg, payload: "the second answer" }]];
if (words.includes("late")) { setTimeout(() => { node.send({ ...msg, payload: "the late answer" }); node.done(); }, 4000); return; }
if (words.includes("strange")) return { ...msg, payload: "an answer to nobody", call: { ...msg.call, id: "call-AAAAAAAAAAAAAAAA" } };
return msg;`;

export function workFlow(flows: readonly FlowNode[], gateway: Record<string, unknown> = {}): FlowNode[] {
  const wired: Record<string, Record<string, unknown>> = { clean: { wires: [["harm"]] }, effect: { wires: [["tamper"]] }, gw: gateway };
  return [...flows.map((node) => ({ ...node, ...wired[node.id] })), func("harm", HARM, ["agent"]), func("tamper", TAMPER, ["done"])];
}

export const alive = (pid: number): boolean => { try { process.kill(pid, 0); return true; } catch { return false; } };
/** Waits for the end of Node-RED, which nobody ordered; false when there was a sign that it lives on. */
export async function ended(rig: FaultRig, livesOn: () => boolean, ms = 60_000): Promise<boolean> {
  for (const from = performance.now(); performance.now() - from < ms; await pause(10)) {
    if (!alive(rig.red.pid)) { await rig.red.kill(); return true; }
    if (livesOn()) return false;
  }
  return false;
}
/** Starts it again; one that ends while it starts has started. */
export async function startAgain(rig: FaultRig): Promise<void> {
  await rig.red.start().catch((error: Error) => { if (!/Node-RED ended/.test(error.message)) throw error; });
}
export async function until(test: () => boolean | Promise<boolean>, what: string, ms = 20_000): Promise<void> {
  for (const from = performance.now(); !(await test()); await pause(20)) if (performance.now() - from > ms) throw new Error(`waited ${ms} ms for ${what}`);
}
/** Puts these flows in place once the gateway's store is open, and waits until it is again. */
export async function put(rig: FaultRig, flows: readonly FlowNode[]): Promise<void> {
  await opened(rig);
  await rig.deploy(flows, "full");
  await opened(rig);
}
export async function opened(rig: FaultRig): Promise<void> {
  await until(async () => (await rig.red.admin<{ counts?: object }>("GET", "/clawflow/gateway/gw").catch(() => undefined))?.counts !== undefined, "the gateway's store");
}
/** Texts of what a chat saw. */
export const shownIn = (seen: readonly Entry[], chat: string): string[] => seen.filter((entry) => entry.what === "shown" && entry.chat === chat).map(({ text }) => String(text));
/** Lines of Node-RED's log, each stripped of its date. */
export const linesOf = (rig: FaultRig, pattern: RegExp, from = 0): string[] => rig.red.lines.slice(from).filter((line) => pattern.test(line));

/** What the judge finds wrong, but for what a test expects of these messages; `kills` are those that nobody ordered. */
export async function findings(rig: FaultRig, expected: (finding: Finding) => boolean = () => false, kills: readonly Kill[] = []): Promise<string[]> {
  const { findings: found } = judge(await rig.world.seen(), await rig.world.model.entries(), [...rig.kills, ...kills], await rig.counts());
  return found.filter((one) => !expected(one)).map(({ what, id, text }) => `${what}${id === undefined ? "" : ` ${id}`}: ${text}`);
}
