/** A ref names a message so that it can be quoted, edited and reacted to without a look at the message: who wrote it, then its id. */
import { hash } from "node:crypto";
import { ChannelError } from "../../errors.ts";
import type { Key } from "./library.ts";

/** `author`: "me", the writer's address in a group, "" for the other one of a direct chat. */
export function refOf(author: string, id: string): string {
  return `${author}/${id}`;
}

export function keyOf(ref: string, jid: string): Key {
  const at = ref.lastIndexOf("/");
  const [author, id] = [ref.slice(0, at), ref.slice(at + 1)];
  if (at === -1 || id === "") throw new ChannelError("MSG_002", {}, `Expected the ref of a WhatsApp message, got "${ref.slice(0, 60)}".`);
  return { remoteJid: jid, id, fromMe: author === "me", ...(author === "" || author === "me" ? {} : { participant: author }) };
}

/** The same key, the same id, in the form WhatsApp Web gives its own: a message that is sent again is the same message. */
export function messageId(key: string): string {
  return `3EB0${hash("sha256", `clawflow ${key}`, "hex").slice(0, 18).toUpperCase()}`;
}
