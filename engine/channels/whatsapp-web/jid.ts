/** WhatsApp's own addresses: 15550002222:3@s.whatsapp.net is device 3 of a number, …@lid a person without a number, …@g.us a group. */
import { ChannelError } from "../../errors.ts";

export const isGroup = (jid: string): boolean => jid.endsWith("@g.us");
const isNumber = (jid: string): boolean => jid.endsWith("@s.whatsapp.net") || jid.endsWith("@c.us");

/** Without the device, and numbers in one spelling. */
export function person(jid: string): string {
  const [user = "", server = ""] = jid.split("@");
  return `${user.split(":")[0]?.split("_")[0] ?? ""}@${server === "c.us" ? "s.whatsapp.net" : server}`;
}

/** Of two addresses of the same one, that with the number: it is what a person can type into a list. */
export function numbered(jid: string, other: string | null | undefined): string {
  return !isNumber(jid) && typeof other === "string" && isNumber(other) ? person(other) : person(jid);
}

/** How a sender is known: the number alone, or the whole address where there is none. */
export function senderId(jid: string): string {
  return isNumber(jid) ? (jid.split("@")[0] ?? jid) : jid;
}

/** Where to send: a chat as it was received, or a phone number. */
export function jidOf(chat: string): string {
  if (/^[\w.:-]{3,64}@(?:s\.whatsapp\.net|lid|g\.us)$/.test(chat)) return chat;
  const number = chat.replace(/[\s()./-]/g, "").replace(/^\+/, "");
  if (/^\d{5,20}$/.test(number)) return `${number}@s.whatsapp.net`;
  throw new ChannelError("MSG_002", {}, `Expected a WhatsApp chat to be a phone number with its country code, or an address such as 4915112345678@s.whatsapp.net, got "${chat.slice(0, 60)}".`);
}
