/** The class of a channel by what its code offers: docs/reliability.md, "The promise". */
import type { Channel } from "../../engine/channels/channel.ts";

export type DeliveryClass = "A" | "B" | "C";
export function classOf({ delivery: { keyMs, evidence } }: Pick<Channel, "delivery">): DeliveryClass {
  return keyMs !== undefined ? "A" : evidence === true ? "B" : "C";
}
