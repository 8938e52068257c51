/** A message as BlueBubbles tells it (MessageSerializer.ts), as a Message. Pure. */
import { fileKind } from "../../media.ts";
import type { Address, Attachment, Message } from "../../message.ts";
import { MESSAGE_VERSION } from "../../message.ts";

interface File { readonly guid?: string; readonly mimeType?: string | null; readonly transferName?: string | null; readonly totalBytes?: number; readonly isSticker?: boolean; readonly hideAttachment?: boolean; readonly uti?: string }
export interface Told {
  readonly originalROWID?: number; readonly guid?: string; readonly text?: string | null; readonly subject?: string | null;
  readonly handle?: { readonly address?: string; readonly service?: string; readonly country?: string | null } | null;
  readonly attachments?: readonly File[] | null; readonly dateCreated?: number | null; readonly dateEdited?: number | null; readonly dateRetracted?: number | null; readonly dateRead?: number | null; readonly dateDelivered?: number | null;
  readonly isFromMe?: boolean; readonly itemType?: number; readonly groupActionType?: number; readonly groupTitle?: string | null; readonly isAudioMessage?: boolean; readonly isForward?: boolean; readonly isSystemMessage?: boolean; readonly isServiceMessage?: boolean;
  readonly associatedMessageGuid?: string | null; readonly associatedMessageType?: string | number | null; readonly threadOriginatorGuid?: string | null; readonly replyToGuid?: string | null;
  readonly balloonBundleId?: string | null; readonly error?: number; readonly chats?: readonly { readonly guid?: string; readonly displayName?: string | null }[] | null;
}

/** Apple's tapbacks, by the names BlueBubbles gives them. */
export const TAPBACKS: Readonly<Record<string, string>> = { love: "❤️", like: "👍", dislike: "👎", laugh: "😂", emphasize: "‼️", question: "❓" };
/** Stands in a text where a file was. */
export const OBJECT = /\ufffc/g;

/** Undefined: nothing a person said. `changed`: it is told again because something about it is different now. */
export function toMessage(told: Told, account: string, changed = false): Message | undefined {
  const base = baseOf(told, account);
  if (base === undefined) return undefined;
  const { guid, dateEdited, dateRetracted } = told;
  if (changed) {
    if (typeof dateRetracted === "number" && dateRetracted > 0) return { ...base, id: `${guid}:delete`, kind: "delete" };
    if (typeof dateEdited === "number" && dateEdited > 0) return { ...contentOf(told, base), id: `${guid}:edit:${dateEdited}`, kind: "edit" };
    return statusOf(told, base);
  }
  const tapback = tapbackOf(told);
  if (tapback !== undefined) return { ...base, ...tapback };
  if (told.itemType === 1) return { ...base, kind: "member", addressed: false, action: { type: "member", change: told.groupActionType === 1 ? "left" : "joined", ids: [] } };
  if (told.itemType === 3 && told.groupActionType === 0) return { ...base, kind: "member", addressed: false, action: { type: "member", change: "left", ids: [base.sender.id] } };
  if ((told.itemType ?? 0) !== 0 || told.isSystemMessage === true || told.isServiceMessage === true) return undefined;
  const said = contentOf(told, base);
  return said.text === "" && said.attachments.length === 0 ? undefined : said;
}

function baseOf({ guid, handle, chats, dateCreated, isFromMe }: Told, account: string): Message | undefined {
  const chat = chats?.[0]?.guid;
  if (typeof guid !== "string" || guid === "" || typeof chat !== "string" || chat === "" || typeof dateCreated !== "number" || !(dateCreated >= 0)) return undefined;
  const group = isGroup(chat);
  const sender = handle?.address ?? (group ? undefined : chat.split(";")[2]);
  if (typeof sender !== "string" || sender === "") return undefined;
  const at: Address = { channel: "imessage", account, chat, kind: group ? "group" : "direct" };
  return {
    version: MESSAGE_VERSION, id: guid, ref: guid, kind: "message", at,
    sender: { id: isFromMe === true ? "me" : sender, name: isFromMe === true ? "me" : sender, handle: sender, bot: false, self: isFromMe === true },
    sentAt: dateCreated, text: "", attachments: [], addressed: !group,
  };
}

/** `iMessage;-;+15551234567` is a person, `iMessage;+;chat123` a group. */
export function isGroup(chat: string): boolean { return chat.split(";")[1] === "+"; }

function contentOf(told: Told, base: Message): Message {
  const text = [told.subject ?? "", (told.text ?? "").replace(OBJECT, "")].map((part) => part.trim()).filter((part) => part !== "").join("\n");
  const replyTo = told.threadOriginatorGuid ?? undefined;
  const [, command, args = ""] = /^\/([A-Za-z][\w-]{0,31})(?:\s+([\s\S]*))?$/.exec(text) ?? [];
  return {
    ...base, text, attachments: filesOf(told),
    ...(typeof replyTo === "string" && replyTo !== "" ? { replyTo } : {}),
    ...(told.isForward === true ? { forwarded: {} } : {}),
    ...(command === undefined ? {} : { action: { type: "command", name: command.toLowerCase(), args: args.trim() } }),
    addressed: base.addressed || command !== undefined,
  };
}

/** The files that somebody sent with it. */
export function filesOf({ attachments, isAudioMessage, balloonBundleId }: Told): Attachment[] {
  return (attachments ?? []).flatMap((file): Attachment[] => {
    // Link previews and app balloons bring files nobody sent.
    if (typeof file.guid !== "string" || file.guid === "" || file.hideAttachment === true || balloonBundleId != null) return [];
    const mime = file.mimeType ?? (file.uti === "com.apple.coreaudio-format" ? "audio/x-caf" : undefined);
    const kind = file.isSticker === true ? "sticker" : isAudioMessage === true || file.uti === "com.apple.coreaudio-format" ? "voice" : mime === undefined ? "document" : fileKind(mime);
    return [{ kind, media: file.guid, state: "remote", ...(mime === undefined ? {} : { mime }), ...(file.transferName ? { name: file.transferName } : {}), ...(typeof file.totalBytes === "number" && file.totalBytes >= 0 ? { bytes: file.totalBytes } : {}) }];
  });
}

/** "p:0/GUID" and "bp:GUID" name the part of a message that it is on. */
function tapbackOf({ associatedMessageGuid, associatedMessageType }: Told): Pick<Message, "kind" | "ref" | "action"> | undefined {
  const [, removed, name = ""] = /^(-?)([a-z]+)$/.exec(String(associatedMessageType ?? "")) ?? [];
  const emoji = Object.hasOwn(TAPBACKS, name) ? TAPBACKS[name] : undefined;
  const ref = (associatedMessageGuid ?? "").replace(/^(?:p:\d+\/|bp:)/, "");
  return emoji === undefined || ref === "" ? undefined : { kind: "reaction", ref, action: { type: "reaction", emoji, removed: removed === "-" } };
}

/** Of our own messages: they were delivered, or read. */
function statusOf({ guid, isFromMe, dateRead, dateDelivered, error }: Told, base: Message): Message | undefined {
  if (isFromMe !== true || guid === undefined) return undefined;
  const state = (error ?? 0) !== 0 ? "failed" : (dateRead ?? 0) > 0 ? "read" : (dateDelivered ?? 0) > 0 ? "delivered" : undefined;
  if (state === undefined) return undefined;
  const other = base.at.chat.split(";")[2] ?? base.sender.id;
  return { ...base, id: `${guid}:${state}`, kind: "event", addressed: false, sender: { id: other, name: other, bot: false, self: false }, action: { type: "status", ref: guid, state } };
}
