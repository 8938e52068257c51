/** Several messages as one: a burst typed in pieces, an album. */
import type { Message } from "../message.ts";

const union = <T>(lists: readonly (readonly T[] | undefined)[]): readonly T[] => [...new Set(lists.flatMap((list) => list ?? []))];

/**
 * One message of all, oldest first: texts joined, attachments, mentions and tags of all, addressed if any was. It answers to the last one's ref and keeps the first
 * one's id, which names the burst; the refs of all are in `parts`. Where several people spoke, each text begins with the name.
 */
export function mergeMessages(messages: readonly Message[], separator = "\n"): Message {
  const [first] = messages;
  const last = messages.at(-1);
  if (first === undefined || last === undefined) throw new RangeError("Expected at least one message to join, got none.");
  if (messages.length === 1) return first;
  const several = messages.some(({ sender }) => sender.id !== first.sender.id);
  const mentions = union(messages.map((message) => message.mentions));
  const tags = union(messages.map((message) => message.tags));
  const raws = messages.flatMap(({ raw }) => (raw === undefined ? [] : [raw]));
  const found = <K extends keyof Message>(key: K): Message[K] | undefined => messages.find((message) => message[key] !== undefined)?.[key];
  const [replyTo, action, language, to] = [found("replyTo"), found("action"), found("language"), found("to")];
  return {
    version: last.version, id: first.id, ref: last.ref, kind: first.kind, at: last.at, sender: last.sender, sentAt: last.sentAt,
    text: messages.filter(({ text }) => text !== "").map(({ text, sender }) => (several ? `${sender.name}: ${text}` : text)).join(separator),
    attachments: messages.flatMap(({ attachments }) => attachments),
    addressed: messages.some(({ addressed }) => addressed),
    parts: messages.flatMap(({ parts, ref }) => parts ?? [ref]),
    ...(replyTo !== undefined && { replyTo }), ...(action !== undefined && { action }), ...(language !== undefined && { language }), ...(to !== undefined && { to }),
    ...(mentions.length > 0 && { mentions }), ...(tags.length > 0 && { tags }), ...(raws.length > 0 && { raw: raws }),
  };
}
