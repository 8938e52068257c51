/** The table of docs/operating.md, made of the table of metrics. */
import { METRICS, type MetricRow } from "../../engine/metrics.ts";

export function metricRows(): string[] {
  return (Object.entries(METRICS) as [string, MetricRow][]).map(([name, { kind, help, labels }]) => `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`);
}
