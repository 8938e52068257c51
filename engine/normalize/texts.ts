/** Applies a change to every text a person wrote into a message: the text, what a command or button carries, captions. Names are left alone. */
import type { Action, Attachment, Message } from "../message.ts";

type Change = (text: string) => string;

/** The same object where nothing changed. */
export function mapTexts(message: Message, change: Change): Message {
  const text = change(message.text);
  const action = message.action === undefined ? undefined : mapAction(message.action, change);
  const attachments = message.attachments.map((attachment) => mapAttachment(attachment, change));
  const same = text === message.text && action === message.action && attachments.every((attachment, index) => attachment === message.attachments[index]);
  return same ? message : { ...message, text, attachments, ...(action !== undefined && { action }) };
}

/** The fields of `keys` that are texts, changed; the same object where none did. */
function mapFields<T extends object>(given: T, keys: readonly string[], change: Change): T {
  const changed: Record<string, string> = {};
  for (const [key, value] of Object.entries(given)) {
    if (!keys.includes(key) || typeof value !== "string") continue;
    const next = change(value);
    if (next !== value) changed[key] = next;
  }
  return Object.keys(changed).length === 0 ? given : { ...given, ...changed };
}

/** The value of a button or choice is the flow's own word and stays. */
const mapAction = (action: Action, change: Change): Action => (action.type === "command" ? mapFields(action, ["args"], change) : action);
const mapAttachment = (attachment: Attachment, change: Change): Attachment => mapFields(attachment, ["alt", "title", "text", "name", "address"], change);
