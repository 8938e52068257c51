/** How decisions are made and carried out in a model: the reducer, and what inbox.ts, outbox.ts, gateway.ts and the store do with what it says. */
import type { Event, Life, Next } from "../../engine/life.ts";
import type { Dedupe } from "./disk.ts";

export type Reduce = (life: Life, event: Event) => Next;

/** How the decisions are carried out. Each rule has the value by which the promise holds, and others that are known bugs. */
export interface Rules {
  readonly reduce: Reduce;
  /** Confirmed is on disk. `late`: the last commit may be lost with the process. */
  readonly sync: "full" | "late";
  /** The store refuses commits of a process that is not the owner any more. */
  readonly fenced: boolean;
  /** `fixed`: it ends while its owner is well and at work. */
  readonly lease: "renewed" | "fixed";
  readonly dedupe: Dedupe;
  /** Which of the waiting messages is next; `crowd`: the next one does not wait for its end. */
  readonly lane: "oldest" | "newest" | "crowd";
  /** `put-off`: what nobody waits for is written behind the next commit. */
  readonly records: "in-order" | "put-off";
  /** Where late output of a run that is over finds what was done. */
  readonly lateJournal: "store" | "nowhere";
  /** A row that was planned before: its state is what this process knows of it, or what is on disk, where the newest may not be yet. */
  readonly rejoin: "known" | "disk";
  /** Whether a chat is idle: nothing is on its way there, or only nothing that is on disk already. */
  readonly idle: "planned" | "queued";
  /** A notice is written with the death that it tells of, or by the next commit. */
  readonly notices: "together" | "behind";
  /** Rows of other runs go past one that waits for its next try. */
  readonly passing: boolean;
  /** An end in order is noted, and makes nobody a suspect. */
  readonly endNote: boolean;
  /** A pause is looked for once more when all is ready to begin. */
  readonly heed: boolean;
  /** Who may be given up: who was the first of its lane on disk when a process broke off, or only who was under way there. */
  readonly blame: "first" | "under way";
}
export const SOUND: Omit<Rules, "reduce"> = { sync: "full", fenced: true, lease: "renewed", dedupe: "key", lane: "oldest", records: "in-order", lateJournal: "store", rejoin: "known", idle: "planned", notices: "together", passing: false, endNote: true, heed: true, blame: "first" };
