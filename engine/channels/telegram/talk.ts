/** Sending, editing, reacting, fetching: a Connection's methods over the Bot API. */
import { hash } from "node:crypto";
import type { ChannelContext, Connection, FileNeeds, ReadyFile } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import type { Address, Draft, DraftFile, FileKind } from "../../message.ts";
import type { Bot } from "./api.ts";
import { inlineAnswer, queryOf } from "./inline.ts";
import { keyboard } from "./keyboard.ts";
import type { Polls } from "./polls.ts";
import { captionFields, numeric, place, sendCall, textFields, told } from "./send.ts";

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
export function talk(bot: Bot, context: ChannelContext, polls: Polls): Omit<Connection, "self" | "webhook" | "close"> {
  return {
    async send(to, given) {
      const query = queryOf(to);
      if (query !== undefined) {
        await bot.call("answerInlineQuery", inlineAnswer(query, given) as never);
        return query;
      }
      const draft = told(given);
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
      const sent = (await bot.call(method, payload as never, files.size > 0 ? { seconds: UPLOAD_SECONDS, once: true } : {})) as Sent | Sent[];
      // An album is several messages; the first carries the text.
      const { message_id, poll } = (Array.isArray(sent) ? sent[0] : sent) ?? {};
      const ref = String(message_id ?? "");
      // It is sent: that its votes cannot be placed later is no reason to say otherwise.
      if (poll !== undefined) await polls.keep(poll.id, { chat: to.chat, kind: to.kind, ref, ...(to.thread === undefined ? {} : { thread: to.thread }) }).catch((error: Error) => context.log("warn", error.message));
      return ref;
    },
    async edit(to, ref, draft) {
      await editMessage(bot, to, ref, told(draft));
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
      if (queryOf(to) !== undefined) return;
      await bot.call("sendChatAction", { ...threadOnly(to), action: "typing" });
    },
    async preview(to, draft, key) {
      // Its one answer is the whole one.
      if (queryOf(to) !== undefined) return;
      if (to.kind !== "direct") throw new ChannelError("MSG_005", {}, "Telegram shows drafts in private chats only.");
      const { link_preview_options: _, ...words } = textFields(draft);
      await bot.call("sendMessageDraft", { ...(threadOnly(to) as { chat_id: number }), draft_id: draftId(key), ...(words as { text: string }) });
    },
    async media(reference, abort) {
      const { file_path } = await bot.call("getFile", { file_id: reference });
      if (file_path === undefined) throw new ChannelError("MSG_002", {}, "Telegram gave no path for this file.");
      return bot.download(file_path, abort);
    },
    async call(method, parameters) {
      if (!/^[a-z][a-zA-Z]{2,63}$/.test(method) || method === "toJSON") throw new ChannelError("MSG_005", { unsent: true }, `Expected a method of the Bot API such as banChatMember, got "${method.slice(0, 60)}".`);
      return bot.call(method as "getMe", parameters as never);
    },
  };
}

interface Sent { readonly message_id: number; readonly poll?: { readonly id: string } }
/** Telegram's id of a message that was sent by way of an inline query: it is in no chat that the bot knows. */
const INLINE_REF = /^[\w-]{20,}$/;

function threadOnly(to: Address): { chat_id: number | string; message_thread_id?: number } {
  const { direct_messages_topic_id: _, ...rest } = place(to);
  return rest;
}

async function editMessage(bot: Bot, to: Address, ref: string, draft: Draft): Promise<void> {
  const target = INLINE_REF.test(ref) ? { inline_message_id: ref } : { chat_id: place(to).chat_id, message_id: numeric(ref, "message") };
  const markup = keyboard(draft);
  const rest = { ...(markup === undefined ? {} : { reply_markup: markup }), ...draft.native?.["telegram"] };
  const caption = () => bot.call("editMessageCaption", { ...target, ...captionFields(draft), ...rest } as never).then(() => undefined);
  const words = () => bot.call("editMessageText", { ...target, ...textFields(draft), ...rest } as never).then(() => undefined);
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
