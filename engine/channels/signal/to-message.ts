/** An envelope of signal-cli as a Message. Shapes: signal-cli's JSON records (org.asamk.signal.json), as signal-cli-rest-api hands them on. Pure. */
import { fileKind } from "../../media.ts";
import type { Action, Attachment, Message } from "../../message.ts";
import { MESSAGE_VERSION } from "../../message.ts";
import { toMarkdown } from "./styles.ts";

export interface Mention { readonly start?: number; readonly length?: number; readonly name?: string; readonly number?: string | null; readonly uuid?: string }
interface File { readonly id?: string; readonly contentType?: string; readonly filename?: string | null; readonly size?: number; readonly caption?: string | null }
interface Shared { readonly name?: { readonly given?: string; readonly family?: string; readonly nickname?: string }; readonly phone?: readonly { readonly value?: string }[]; readonly email?: readonly { readonly value?: string }[]; readonly organization?: string }
interface Data {
  readonly timestamp?: number; readonly message?: string | null; readonly groupInfo?: { readonly groupId?: string; readonly groupName?: string; readonly type?: string };
  readonly attachments?: readonly File[]; readonly mentions?: readonly Mention[]; readonly textStyles?: readonly { readonly start?: number; readonly length?: number; readonly style?: string }[];
  readonly quote?: { readonly id?: number; readonly authorUuid?: string; readonly authorNumber?: string; readonly text?: string };
  readonly reaction?: { readonly emoji?: string; readonly isRemove?: boolean; readonly targetSentTimestamp?: number; readonly targetAuthorUuid?: string };
  readonly remoteDelete?: { readonly timestamp?: number }; readonly contacts?: readonly Shared[]; readonly sticker?: { readonly packId?: string; readonly stickerId?: number };
  readonly pollCreate?: { readonly question?: string; readonly options?: readonly string[] }; readonly pollVote?: { readonly targetSentTimestamp?: number; readonly optionIndexes?: readonly number[] };
  readonly previews?: readonly { readonly url?: string; readonly title?: string; readonly description?: string }[]; readonly viewOnce?: boolean;
  readonly isExpirationUpdate?: boolean; readonly storyContext?: unknown; readonly payment?: { readonly note?: string };
}
export interface Envelope {
  readonly envelope?: {
    readonly sourceNumber?: string | null; readonly sourceUuid?: string; readonly source?: string; readonly sourceName?: string; readonly sourceDevice?: number; readonly timestamp?: number;
    readonly dataMessage?: Data; readonly editMessage?: { readonly targetSentTimestamp?: number; readonly dataMessage?: Data };
    readonly receiptMessage?: { readonly isDelivery?: boolean; readonly isRead?: boolean; readonly isViewed?: boolean; readonly timestamps?: readonly number[]; readonly when?: number };
    readonly callMessage?: { readonly offerMessage?: { readonly id?: number } }; readonly syncMessage?: unknown; readonly typingMessage?: unknown; readonly storyMessage?: unknown;
  };
  readonly account?: string;
}
export interface Self { readonly account: string; readonly number: string; readonly uuid: string | undefined }

/**
 * Signal has no message ids: a message is named by its sender and the time it was sent (milliseconds), which edits, reactions and quotes point at. Sync messages
 * (what the number's own phone sent), typing and stories are no messages here.
 */
export function toMessages(update: Envelope, self: Self): Message[] {
  const { envelope } = update;
  if (envelope === undefined || typeof envelope !== "object") return [];
  const { editMessage, dataMessage, receiptMessage, callMessage } = envelope;
  const data = editMessage?.dataMessage ?? dataMessage;
  const base = baseOf(envelope, data, self);
  if (base === undefined) return [];
  if (receiptMessage !== undefined) return receipts(receiptMessage, base);
  if (callMessage?.offerMessage !== undefined) return [{ ...base, id: `${base.id}:call`, kind: "call", action: { type: "call", state: "ringing" } }];
  if (data === undefined) return [];
  if (data.remoteDelete?.timestamp !== undefined) return [{ ...base, id: `${base.id}:delete`, ref: String(data.remoteDelete.timestamp), kind: "delete" }];
  const act = actOf(data, base);
  if (act !== undefined) return [act];
  if (data.isExpirationUpdate === true || data.groupInfo?.type === "UPDATE") return [];
  const said = contentOf(data, base, self);
  if (said.text === "" && said.attachments.length === 0) return [];
  const target = editMessage?.targetSentTimestamp;
  return [target === undefined ? said : { ...said, id: `${base.id}:edit`, ref: String(target), kind: "edit" }];
}

type Base = Message & { readonly sender: { readonly id: string } };
function baseOf(envelope: NonNullable<Envelope["envelope"]>, data: Data | undefined, self: Self): Base | undefined {
  const { sourceUuid, sourceNumber, source, sourceName, timestamp } = envelope;
  const id = sourceUuid ?? sourceNumber ?? source;
  if (typeof id !== "string" || id === "" || typeof timestamp !== "number" || !Number.isSafeInteger(timestamp) || timestamp < 0) return undefined;
  const group = data?.groupInfo?.groupId;
  return {
    version: MESSAGE_VERSION,
    id: `${id}:${timestamp}`, ref: String(timestamp), kind: "message",
    at: { channel: "signal", account: self.account, chat: group === undefined ? id : groupChat(group), kind: group === undefined ? "direct" : "group" },
    sender: { id, name: sourceName || sourceNumber || id, ...(typeof sourceNumber === "string" && sourceNumber !== "" ? { handle: sourceNumber } : {}), bot: false, self: sourceNumber === self.number || id === self.uuid },
    sentAt: timestamp, text: "", attachments: [], addressed: group === undefined,
  };
}

/** The group's name at signal-cli-rest-api: the id of signal-cli, encoded once more. */
export function groupChat(groupId: string): string { return `group.${Buffer.from(groupId).toString("base64")}`; }

function actOf({ reaction, pollVote }: Data, base: Base): Message | undefined {
  if (reaction?.targetSentTimestamp !== undefined && reaction.emoji !== undefined) {
    return { ...base, id: `${base.id}:reaction`, ref: String(reaction.targetSentTimestamp), kind: "reaction", action: { type: "reaction", emoji: reaction.emoji, removed: reaction.isRemove === true } };
  }
  if (pollVote?.targetSentTimestamp !== undefined) {
    const action: Action = { type: "vote", poll: String(pollVote.targetSentTimestamp), options: (pollVote.optionIndexes ?? []).map(String) };
    return { ...base, id: `${base.id}:vote`, kind: "action", action };
  }
  return undefined;
}

function contentOf(data: Data, base: Base, self: Self): Message {
  const { mentions = [], quote } = data;
  const text = toMarkdown(data.message ?? "", data.textStyles ?? [], mentions);
  const named = mentions.map(({ uuid, number }) => uuid ?? number).filter((id) => typeof id === "string");
  const toUs = named.some((id) => id === self.uuid || id === self.number) || mentions.some(({ number }) => number === self.number);
  const quotesUs = quote !== undefined && (quote.authorNumber === self.number || (self.uuid !== undefined && quote.authorUuid === self.uuid));
  const [, command, args = ""] = /^\/([A-Za-z][\w-]{0,31})(?:\s+([\s\S]*))?$/.exec(text.trim()) ?? [];
  return {
    ...base, text, attachments: attachmentsOf(data),
    ...(quote?.id === undefined ? {} : { replyTo: String(quote.id) }),
    ...(named.length === 0 ? {} : { mentions: named }),
    ...(command === undefined ? {} : { action: { type: "command", name: command.toLowerCase(), args: args.trim() } }),
    addressed: base.addressed || toUs || quotesUs || command !== undefined,
  };
}

function attachmentsOf({ attachments = [], contacts = [], sticker, pollCreate, previews = [], payment }: Data): Attachment[] {
  return [
    ...attachments.flatMap((file): Attachment[] => {
      if (file.id === undefined) return [];
      const mime = file.contentType;
      // Signal's apps record voice notes as AAC, and give them no name.
      const kind = mime === "audio/aac" && !file.filename ? "voice" : mime === undefined ? "document" : fileKind(mime);
      return [{ kind, media: file.id, state: "remote", ...(mime === undefined ? {} : { mime }), ...(file.filename ? { name: file.filename } : {}), ...(file.size === undefined ? {} : { bytes: file.size }), ...(file.caption ? { alt: file.caption } : {}) }];
    }),
    ...contacts.map(({ name, phone, email, organization }): Attachment => ({
      kind: "contact", name: [name?.given, name?.family].filter(Boolean).join(" ") || name?.nickname || organization || "?",
      ...(phone?.[0]?.value === undefined ? {} : { phone: phone[0].value }), ...(email?.[0]?.value === undefined ? {} : { email: email[0].value }),
    })),
    ...(sticker?.packId === undefined ? [] : [{ kind: "embed", type: "sticker", title: `${sticker.packId}:${sticker.stickerId ?? 0}` } satisfies Attachment]),
    ...(pollCreate?.question === undefined ? [] : [{ kind: "embed", type: "poll", title: pollCreate.question, options: pollCreate.options ?? [] } satisfies Attachment]),
    ...previews.flatMap(({ url, title, description }): Attachment[] => (url === undefined ? [] : [{ kind: "embed", type: "link", url, ...(title ? { title } : {}), ...(description ? { text: description } : {}) }])),
    ...(payment === undefined ? [] : [{ kind: "embed", type: "payment", ...(payment.note ? { text: payment.note } : {}) } satisfies Attachment]),
  ];
}

function receipts({ isRead, isViewed, timestamps = [] }: NonNullable<NonNullable<Envelope["envelope"]>["receiptMessage"]>, base: Base): Message[] {
  const state = isRead === true || isViewed === true ? "read" : "delivered";
  return timestamps.map((timestamp) => ({ ...base, id: `${base.sender.id}:${timestamp}:${state}`, ref: String(timestamp), kind: "event", addressed: false, action: { type: "status", ref: String(timestamp), state } }));
}
