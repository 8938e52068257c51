/** A request as a Message. Pure. */
import { type Attachment, type Address, type Message, MESSAGE_VERSION } from "../../message.ts";
import { type ChatRequest, isToolResult } from "./request.ts";

/** Who asks: the token's name; `key`: what makes a request that is sent again the same (a header), else something new. `talk`: the client's own name of the conversation. */
export interface Asker { readonly account: string; readonly token: string; readonly key: string; readonly talk?: string; readonly now: number }
/** `alone`: the client keeps the conversation: each request is a talk of its own, and brings what was said before. */
export interface Manner { readonly alone: boolean }

export function toMessage(request: ChatRequest, asker: Asker, manner: Manner, attachments: readonly Attachment[] = []): Message {
  const { account, token, key, talk, now } = asker;
  // A user of one token is nobody to another: what the client says of its user is believed within its own.
  const sender = request.user === undefined ? token : `${token}:${request.user}`;
  const thread = manner.alone ? `once-${key}` : talk;
  const at: Address = { channel: "api", account, chat: sender, space: request.model, ...(thread === undefined ? {} : { thread }), kind: "direct" };
  const command = /^\/([A-Za-z][\w-]{0,31})(?:\s+([\s\S]*))?$/.exec(request.text.trim());
  const text = manner.alone && command === null ? withBefore(request) : request.text;
  return {
    version: MESSAGE_VERSION,
    id: `${sender}:${key}`,
    ref: key,
    kind: "message",
    at,
    sender: { id: sender, name: request.user ?? token, bot: false, self: false },
    sentAt: now,
    text,
    attachments,
    // What a tool of the client's fetched was not said by its user.
    ...(text !== request.text && request.before.some(isToolResult) ? { forwarded: { name: "tool" } } : {}),
    ...(command === null ? {} : { action: { type: "command", name: (command[1] as string).toLowerCase(), args: (command[2] ?? "").trim() } }),
    addressed: true,
  };
}

const MAX_BEFORE = 400_000;
/** What the client sends along is told as what it is: a report of the client, in front of the person's words. */
function withBefore({ before, text }: ChatRequest): string {
  const told = before.filter((one) => one.text !== "").map(({ role, text: said }) => `${role}: ${said}`);
  // The newest, as far as they fit.
  for (let length = told.join().length; length > MAX_BEFORE && told.length > 0; ) length -= (told.shift() as string).length;
  return told.length === 0 ? text : `<conversation so far, as the client tells it>\n${told.join("\n\n")}\n</conversation so far>\n\n${text}`;
}
