/** What a model needs from its surroundings beside its settings; tests pass their own. */
import { randomUUID } from "node:crypto";
import { type Clock, systemClock } from "../clock.ts";
import type { PriceList } from "./prices.ts";

export interface ModelExtras {
  readonly clock?: Clock;
  /** A new id, unique for good, of letters and digits: for tool calls whose provider gives none or repeats one. */
  readonly newId?: () => string;
  /** Opens a file of a user's turn (`spool:<id>` or what the engine knows). Without it pictures are only named to the model. */
  readonly readFile?: (media: string, signal: AbortSignal) => Promise<{ readonly bytes: Uint8Array; readonly mime?: string }>;
  /** The user's own price lists; they count before ours. */
  readonly prices?: readonly PriceList[];
}
export type Extras = Required<Pick<ModelExtras, "clock" | "newId">> & Pick<ModelExtras, "readFile" | "prices">;

export function fillExtras(extras: ModelExtras = {}): Extras {
  return { clock: systemClock, newId: () => randomUUID().replaceAll("-", ""), ...extras };
}
