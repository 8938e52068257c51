/** Words the runtime shows: statuses, errors. They live in the gateway's catalogue, under "runtime". */
import type { Red } from "./red.ts";

export type Say = (key: string, values?: Record<string, unknown>) => string;

export function speaker(red: Red): Say {
  const plain = new Map<string, string>();
  const translate: Say = (key, values) => red._(`@clawflow/node-red/gateway:runtime.${key}`, values);
  return (key, values) => {
    if (values !== undefined) return translate(key, values);
    let text = plain.get(key);
    if (text === undefined) {
      text = translate(key);
      plain.set(key, text);
    }
    return text;
  };
}
