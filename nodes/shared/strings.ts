/** Words the runtime shows: statuses, errors. They live in the gateway's catalogue, under "runtime". */
import type { Red } from "./red.ts";

export type Say = (key: string, values?: Record<string, unknown>) => string;

export function speaker(red: Red): Say {
  return (key, values) => red._(`@clawflow/node-red/gateway:runtime.${key}`, values);
}
