/** The schedule a cron form holds. */
import type { Spec, Unit } from "../../engine/schedule.ts";

export interface ScheduleFields { readonly kind?: "cron" | "every" | "at"; readonly cron?: string; readonly every?: number | string; readonly everyUnit?: Unit; readonly at?: string; readonly timeZone?: string }

export function specOf(fields: ScheduleFields): Spec {
  const zone = fields.timeZone ? { timeZone: fields.timeZone } : {};
  switch (fields.kind ?? "cron") {
    case "every": return { kind: "every", every: Number(fields.every), unit: fields.everyUnit ?? "minutes", ...zone };
    case "at": return { kind: "once", at: fields.at ?? "", ...zone };
    default: return { kind: "cron", expression: fields.cron ?? "", ...zone };
  }
}
