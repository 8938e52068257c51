/**
 * The places where the fault tests kill, hold or deploy. Each stands in the code as a labelled statement:
 *
 *     FAULT: at("after-dedupe", message.id);            where the code is synchronous
 *     FAULT: await reached("before-journal", run.id);   where it may wait, so that a deploy can come in between
 *
 * The build takes these statements out (esbuild's dropLabels), and with them this file; only a fault build (CLAWFLOW_FAULTS=1) keeps them.
 * Nothing acts here: the fault tests put their own functions at `globalThis.clawflowFaults` before anything else is loaded. Without them a point does nothing.
 */
export const POINTS = [
  "before-inbox", // F01: the message is read and allowed, nothing is written
  "after-inbox", // F02: its row is on disk, the platform was not told yet
  "after-ack", // F03: the platform was told; done by the stub platform, which alone knows
  "after-dedupe", // F04: known as new or as a duplicate, not yet in a lane
  "lane-claimed", // F05: head of its lane and taken, its flow not yet begun
  "before-model", // F06: all is ready for the model
  "mid-stream", // F07: after each delta of the model's answer
  "before-journal", // F08: the model's answer is whole, its step is not written
  "after-journal", // F09: its step is written, no tool was called yet
  "in-tool", // F10: the tool had its effect and did not answer yet; done by the stub that counts effects
  "after-tool", // F11: the tool answered, its step is not written
  "before-outbox", // F12: the parts to send are known, not written
  "after-outbox", // F13: they are on disk as planned (or already as sending), nothing else happened
  "after-sending", // F14: "sending" is on disk, the platform heard nothing
  "after-write", // F15: the platform has the request; done by the stub platform, before it answers
  "before-record", // F16: the platform answered, "sent" is not written
  "between-parts", // F17: one part is sent and recorded, the next has not begun
  "before-release", // F18: all is recorded, the lane is still held
] as const;
export type Point = (typeof POINTS)[number];

/** What the fault tests put in place. `id`: the message or run it is about, for their log. */
export interface Faults { at(point: Point, id?: string): void; reached(point: Point, id?: string): Promise<void> }
const faults = (): Faults | undefined => (globalThis as { clawflowFaults?: Faults }).clawflowFaults;

export function at(point: Point, id?: string): void { faults()?.at(point, id); }
export async function reached(point: Point, id?: string): Promise<void> { await faults()?.reached(point, id); }
