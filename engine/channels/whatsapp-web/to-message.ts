/** Baileys' events as canonical Messages. Pure. */
import { ClawError } from "../../errors.ts";
import { type Action, type Address, MESSAGE_VERSION, type Message, type MessageKind } from "../../message.ts";
import { filled, said } from "../whatsapp/content.ts";
import { toMarkdown } from "../whatsapp/marks.ts";
import { attachmentsOf, counted, part, textOf, unwrap } from "./content.ts";
import { isGroup, numbered, person, senderId } from "./jid.ts";
import type { Events, WebMessage } from "./library.ts";
import { refOf } from "./ref.ts";

export interface Self {
  /** Our own addresses, by number and by "lid", without the device. */
  readonly jids: readonly string[];
  readonly id: string;
  readonly account: string;
  /** Unix milliseconds, for what carries no time. */
  readonly now: number;
}

/** Undefined: nothing was said to us (statuses, channels of the app, keys that travel). Throws MSG_001 for what cannot be read. */
export function toMessage(one: WebMessage, self: Self): Message | undefined {
  const { key, message, pushName } = one;
  const jid = said(key?.remoteJid);
  const id = said(key?.id);
  if (jid === undefined || id === undefined) throw new ClawError("MSG_001", {}, "Expected a WhatsApp message to name its chat and its id, got neither or one.");
  if (!/@(?:s\.whatsapp\.net|c\.us|lid|g\.us)$/.test(jid)) return undefined;
  const inner = unwrap(message);
  if (inner === undefined) return undefined;
  const group = isGroup(jid);
  const own = key.fromMe === true;
  const writer = own ? (self.jids[0] ?? "") : group ? numbered(said(key.participant) ?? "", key.participantAlt) : numbered(jid, key.remoteJidAlt);
  if (group && !own && key.participant === undefined) throw new ClawError("MSG_001", {}, "Expected a message of a group to name who wrote it, got nobody.");
  const chat = group ? jid : numbered(jid, key.remoteJidAlt);
  const author = own ? "me" : group ? person(said(key.participant) ?? "") : "";
  const read = reading(inner.type, inner.body, group, author, self);
  if (read === undefined) return undefined;
  const content = read.edited ?? inner;
  const context = part(part(content.body)?.["contextInfo"]);
  const quoted = said(context?.["stanzaId"]);
  const by = said(context?.["participant"]);
  const mentions = (Array.isArray(context?.["mentionedJid"]) ? (context["mentionedJid"] as unknown[]) : []).map((each) => person(said(each) ?? "")).filter((each) => each !== "@");
  const named = mentions.some((each) => self.jids.includes(each));
  const answered = by !== undefined && self.jids.includes(person(by));
  const times = counted(context?.["forwardingScore"]);
  const tags = [...read.tags, ...(context?.["isForwarded"] === true ? ["forwarded"] : []), ...(times >= 5 ? ["frequently_forwarded"] : [])];
  return {
    version: MESSAGE_VERSION,
    // Ids are made by the sender's app: another person's message must not be able to stand in for this one.
    id: `${own ? "me" : senderId(writer)}:${id}`, ref: read.about ?? refOf(author, id), kind: read.kind,
    at: address(chat, group, self),
    sender: { id: own ? self.id : senderId(writer), name: own ? "" : (said(pushName) ?? senderId(writer)), bot: own, self: own },
    sentAt: millis(one.messageTimestamp, self),
    text: toMarkdown(textOf(content.type, content.body)),
    attachments: attachmentsOf(content.type, content.body),
    addressed: !own && (!group || named || answered || read.action?.type === "button" || read.action?.type === "choice"),
    ...filled({
      replyTo: quoted !== undefined ? refOf(answered ? "me" : group && by !== undefined ? person(by) : "", quoted) : read.kind === "reaction" ? read.about : undefined,
      action: read.action, forwarded: context?.["isForwarded"] === true ? {} : undefined,
      mentions: mentions.length === 0 ? undefined : mentions.map((each) => (self.jids.includes(each) ? self.id : senderId(each))),
      tags: tags.length === 0 ? undefined : tags,
    }),
  };
}

interface Reading { readonly kind: MessageKind; readonly tags: readonly string[]; readonly action?: Action; /** The ref of what it is about. */ readonly about?: string; readonly edited?: { readonly type: string; readonly body: unknown } }
const SAID = new Set(["conversation", "extendedTextMessage", "imageMessage", "videoMessage", "ptvMessage", "audioMessage", "documentMessage", "stickerMessage", "locationMessage", "liveLocationMessage", "contactMessage", "contactsArrayMessage", "pollCreationMessage", "pollCreationMessageV2", "pollCreationMessageV3"]);
/** WAProto, Message.ProtocolMessage.Type. */
const REVOKE = 0;
const MESSAGE_EDIT = 14;

function reading(type: string, body: unknown, group: boolean, author: string, self: Self): Reading | undefined {
  if (SAID.has(type)) return { kind: "message", tags: [] };
  const it = part(body) ?? {};
  if (type === "reactionMessage") {
    const about = aboutOf(it["key"], group, self);
    const emoji = said(it["text"], 100);
    return filled({ kind: "reaction" as const, tags: [], about, action: { type: "reaction" as const, emoji: emoji ?? "", removed: emoji === undefined } }) as Reading;
  }
  if (type === "protocolMessage") {
    const about = aboutOf(it["key"], group, self, author);
    // Absent is zero in protobuf; a class instance reads it from its prototype.
    const act = counted(it["type"] ?? REVOKE);
    if (act === REVOKE && about !== undefined) return { kind: "delete", tags: [], about };
    const edited = act === MESSAGE_EDIT ? unwrap(it["editedMessage"]) : undefined;
    if (edited !== undefined && about !== undefined) return { kind: "edit", tags: [], about, edited };
    // Keys, settings and history travel as messages too.
    return undefined;
  }
  if (type === "buttonsResponseMessage") return pressed(it["selectedButtonId"], it["selectedDisplayText"]);
  if (type === "templateButtonReplyMessage") return pressed(it["selectedId"], it["selectedDisplayText"]);
  if (type === "listResponseMessage") return { kind: "action", tags: [], action: { type: "choice", values: [said(part(it["singleSelectReply"])?.["selectedRowId"]) ?? said(it["title"]) ?? ""] } };
  return { kind: "event", tags: [said(type, 100) ?? "unknown"] };
}
function pressed(value: unknown, label: unknown): Reading {
  return { kind: "action", tags: [], action: filled({ type: "button" as const, value: said(value) ?? "", label: said(label) }) as Action };
}

/**
 * The message that another one is about. Baileys turns the key of a reaction round, so that "from me" means us; the key of an edit or a deletion is as its
 * sender sees it: there "from me" means whoever wrote the edit, `writer`.
 */
function aboutOf(value: unknown, group: boolean, self: Self, writer = "me"): string | undefined {
  const key = part(value);
  const id = said(key?.["id"]);
  if (id === undefined) return undefined;
  if (key?.["fromMe"] === true) return refOf(writer, id);
  const by = said(key?.["participant"]);
  if (by !== undefined && self.jids.includes(person(by))) return refOf("me", id);
  // An administrator takes a message of somebody else away; in a direct chat the other one's are ours.
  return refOf(group && by !== undefined ? person(by) : group || writer === "me" ? "" : "me", id);
}

/** Who came to a group or left it. Other changes (who may do what) are events. */
export function fromMembers(change: Events["group-participants.update"], self: Self): Message | undefined {
  const id = said(change?.id);
  if (id === undefined || !Array.isArray(change.participants)) return undefined;
  const joined = change.action === "add";
  const ids = change.participants.map((each) => senderId(numbered(said(each?.id) ?? "", each?.phoneNumber))).filter((each) => each !== "" && each !== "@");
  if (ids.length === 0) return undefined;
  const by = said(change.author);
  const writer = by === undefined ? (ids[0] ?? "") : senderId(person(by));
  const own = by !== undefined && self.jids.includes(person(by));
  const known = joined || change.action === "remove";
  return {
    // Baileys gives these no id and tells each once: the moment stands for it.
    version: MESSAGE_VERSION, id: `members:${id}:${change.action}:${ids.join(",").slice(0, 500)}:${self.now}`, ref: "", kind: known ? "member" : "event",
    at: address(id, true, self), sender: { id: own ? self.id : writer, name: own ? "" : writer, bot: own, self: own }, sentAt: self.now, text: "", attachments: [], addressed: false,
    ...(known ? { action: { type: "member" as const, change: joined ? ("joined" as const) : ("left" as const), ids } } : { tags: ["members", said(change.action, 100) ?? "unknown"] }),
  };
}

function address(chat: string, group: boolean, self: Self): Address {
  return { channel: "whatsapp-web", account: self.account, chat, kind: group ? "group" : "direct" };
}

function millis(seconds: unknown, self: Self): number {
  const time = counted(seconds) * 1000;
  return Number.isFinite(time) && time >= 0 ? time : self.now;
}
