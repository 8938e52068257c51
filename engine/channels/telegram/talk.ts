/** Sending, editing, reacting, fetching: a Connection's methods over the Bot API. */
import { hash } from "node:crypto";
import type { ChannelContext, Connection, FileNeeds, ReadyFile } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { Address, Draft, DraftFile, FileKind } from "../../message.ts";
import type { Bot } from "./api.ts";
import { captionFields, keyboard, numeric, place, sendCall, textFields } from "./send.ts";

/** Longest time for an upload of 50 MB. */
const UPLOAD_SECONDS = 600;
/** Kept here, or at an address; anything else is Telegram's own id of a file. */
const OURS = /^(?:spool:|https?:)/i;
/** https://core.telegram.org/bots/api#sending-files, #sendphoto, #sendvoice, #sendsticker */
const NEEDS: Readonly<Record<FileKind, FileNeeds>> = {
  image: { bytes: 10_000_000 }, video: { bytes: 50_000_000 }, audio: { bytes: 50_000_000 }, document: { bytes: 50_000_000 },
  voice: { bytes: 50_000_000, types: ["audio/ogg", "audio/mpeg", "audio/mp4"] }, sticker: { types: ["image/webp", "video/webm", "application/x-tgsticker"], pixels: 512 },
};

/** What a connection can say and do, each one call (`send` of a text is JSON, of a kept file a stream). */
export function talk(bot: Bot, context: ChannelContext): Omit<Connection, "self" | "webhook" | "close"> {
  return {
    async send(to, draft) {
      const files = new Map<DraftFile, ReadyFile>();
      const attachments = await Promise.all((draft.attachments ?? []).map(async (attachment) => {
        if (!OURS.test(attachment.media)) return attachment;
        const ready = await context.file(attachment, NEEDS[attachment.kind]);
        const known = { ...attachment, mime: ready.mime, name: ready.name };
        files.set(known, ready);
        return known;
      }));
      const { method, payload } = sendCall(to, attachments.length === 0 ? draft : { ...draft, attachments }, (attachment) => {
        const ready = files.get(attachment);
        return ready === undefined ? attachment.media : bot.file(ready.stream() as unknown as AsyncIterable<Uint8Array>, ready.name);
      });
      const sent = (await bot.call(method, payload as never, files.size > 0 ? { seconds: UPLOAD_SECONDS, once: true } : {})) as { message_id: number } | { message_id: number }[];
      // An album is several messages; the first carries the text.
      return String((Array.isArray(sent) ? sent[0] : sent)?.message_id ?? "");
    },
    async edit(to, ref, draft) {
      await editMessage(bot, to, ref, draft);
    },
    async remove(to, ref) {
      await bot.call("deleteMessage", { chat_id: place(to).chat_id, message_id: numeric(ref, "message") }).catch(unless(/message to delete not found/i));
    },
    async react(to, ref, emoji) {
      // Telegram lists its emoji without the variation selector.
      const plain = emoji.replaceAll("\ufe0f", "");
      const reaction = plain === "" ? [] : [/^\d{6,}$/.test(plain) ? { type: "custom_emoji", custom_emoji_id: plain } : { type: "emoji", emoji: plain }];
      await bot.call("setMessageReaction", { chat_id: place(to).chat_id, message_id: numeric(ref, "message"), reaction: reaction as never });
    },
    async typing(to) {
      await bot.call("sendChatAction", { ...threadOnly(to), action: "typing" });
    },
    async preview(to, draft, key) {
      if (to.kind !== "direct") throw new ChannelError("MSG_005", {}, "Telegram shows drafts in private chats only.");
      const { link_preview_options: _, ...words } = textFields(draft);
      await bot.call("sendMessageDraft", { ...(threadOnly(to) as { chat_id: number }), draft_id: draftId(key), ...(words as { text: string }) });
    },
    async media(reference, abort) {
      const { file_path } = await bot.call("getFile", { file_id: reference });
      if (file_path === undefined) throw new ChannelError("MSG_002", {}, "Telegram gave no path for this file.");
      return bot.download(file_path, abort);
    },
  };
}

function threadOnly(to: Address): { chat_id: number | string; message_thread_id?: number } {
  const { direct_messages_topic_id: _, ...rest } = place(to);
  return rest;
}

async function editMessage(bot: Bot, to: Address, ref: string, draft: Draft): Promise<void> {
  const target = { chat_id: place(to).chat_id, message_id: numeric(ref, "message") };
  const markup = keyboard(draft);
  const rest = markup === undefined ? {} : { reply_markup: markup };
  const caption = () => bot.call("editMessageCaption", { ...target, ...captionFields(draft), ...rest }).then(() => undefined);
  const words = () => bot.call("editMessageText", { ...target, ...(textFields(draft) as { text: string }), ...rest }).then(() => undefined);
  await ((draft.attachments ?? []).length > 0 ? caption() : words().catch((error: Error) => (/no text in the message/i.test(error.message) ? caption() : Promise.reject(error)))).catch(unless(/message is not modified/i));
}

/** Takes an error for success when it says that things are already as they were wanted. */
function unless(says: RegExp): (error: Error) => undefined {
  return (error) => {
    if (!says.test(error.message)) throw error;
  };
}

/** A draft is named by a number that is not zero; the same key, the same draft. */
function draftId(key: string): number {
  return (Number.parseInt(hash("sha1", key, "hex").slice(0, 8), 16) & 0x7fffffff) || 1;
}
