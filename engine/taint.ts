/** What a person's message brings that the person has not written. Pure. The table of docs/approvals.md says where each kind of text is judged. */
import type { FileKind, Message } from "./message.ts";

/** What stands in such a file, and its name, was made by anybody. A voice note is the person's own words. */
const FILES: ReadonlySet<string> = new Set<FileKind>(["image", "sticker", "video", "audio", "document"]);
/** Channels where an answer carries what it answers: quotes are cut from it as far as they can be told apart. */
const QUOTING: ReadonlySet<string> = new Set(["email", "gmail"]);

export function bringsOutside({ at, forwarded, attachments, replyTo }: Pick<Message, "at" | "forwarded" | "attachments" | "replyTo">): boolean {
  return forwarded !== undefined || (replyTo !== undefined && QUOTING.has(at.channel)) || attachments.some(({ kind }) => FILES.has(kind));
}
