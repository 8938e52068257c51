/** Straight lines and quantiles of what was measured. */
import { randomInt } from "node:crypto";

export const full = process.env.CLAWFLOW_FAULTS === "full";
export const seed = Number(process.env.CLAWFLOW_SEED ?? randomInt(1_000_000));
export const MIB = 1_048_576;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** By least squares over equal steps: how much the line rises from the first value to the last, as a share of the mean. */
export function rise(values: readonly number[]): number {
  const middle = mean(values);
  const centre = (values.length - 1) / 2;
  let above = 0;
  let below = 0;
  for (const [at, value] of values.entries()) { above += (at - centre) * (value - middle); below += (at - centre) ** 2; }
  return below === 0 ? 0 : ((above / below) * (values.length - 1)) / middle;
}
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
export const average = mean;
export const mb = (bytes: number): string => (bytes / MIB).toFixed(1);
export const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
