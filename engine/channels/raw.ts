/** The platform's own payload beside a message, for accounts whose setting `raw` wants it. */
import type { Message } from "../message.ts";
import type { Account } from "./channel.ts";

/** JSON characters; what is longer is left out. */
const RAW_LIMIT = 65_536;
const NO_SECRETS: ReadonlySet<string> = new Set();

/** `secrets`: keys whose values prove something to the platform. Without keys that would become a prototype when a flow copies the message; bytes as base64. */
export function withRaw(account: Pick<Account, "settings">, message: Message, payload: unknown, secrets: ReadonlySet<string> = NO_SECRETS): Message {
  if (account.settings.raw !== true) return message;
  const json = JSON.stringify(payload, (key, value: unknown) => (secrets.has(key) ? undefined : value instanceof Uint8Array ? Buffer.from(value).toString("base64") : value)) as string | undefined;
  if (json === undefined || json.length > RAW_LIMIT) return message;
  return { ...message, raw: JSON.parse(json, (key, value: unknown) => (key === "__proto__" ? undefined : value)) as unknown };
}
