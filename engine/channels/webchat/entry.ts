/** A draft as an entry of the transcript. */
import { ChannelError } from "../../errors.ts";
import type { Card, Choices, Draft } from "../../message.ts";
import type { ChannelContext } from "../channel.ts";
import { cardOf, filesOfDraft, type StoredFile } from "./files.ts";
import type { CardView, Menu } from "./protocol.ts";
import type { NewEntry } from "./transcript.ts";

/** `files`: what has to be recorded together with the entry. Throws ChannelError for a file that is gone. */
export async function entryOf(context: ChannelContext, chat: string, draft: Draft): Promise<{ readonly entry: NewEntry; readonly files: readonly StoredFile[] }> {
  const { buttons = [], choices, cards = [], poll, location, contact, replyTo } = draft;
  const files = await filesOfDraft(context, chat, draft.attachments ?? []);
  const shown = await Promise.all(cards.map((card) => cardView(context, chat, card)));
  const entry: NewEntry = {
    from: "bot",
    text: draft.text,
    ...(draft.plain === true ? { plain: true as const } : {}),
    ...(files.length === 0 ? {} : { files: files.map(cardOf) }),
    ...(buttons.length === 0 ? {} : { buttons }),
    ...(choices === undefined || choices.options.length === 0 ? {} : { choices: menuOf(choices) }),
    ...(shown.length === 0 ? {} : { cards: shown.map(({ card }) => card) }),
    ...(poll === undefined ? {} : { poll: { question: poll.question, options: poll.options, ...(poll.multiple === true ? { multiple: true as const } : {}), counts: poll.options.map(() => 0) } }),
    ...(location === undefined ? {} : { location: { latitude: location.latitude, longitude: location.longitude, ...titled(location.title ?? location.address) } }),
    ...(contact === undefined ? {} : { contact: { name: contact.name, phone: contact.phone } }),
    ...(replyTo === undefined ? {} : { replyTo }),
  };
  return { entry, files: [...files, ...shown.flatMap(({ file }) => file ?? [])] };
}
const titled = (title: string | undefined): { title?: string } => (title === undefined ? {} : { title });

export function refuseEmpty({ text, files, buttons, choices, cards, poll, location, contact }: NewEntry): void {
  if (text === "" && [files, buttons, choices, cards, poll, location, contact].every((part) => part === undefined)) throw new ChannelError("MSG_001", {}, "Expected something to say, got an empty message.");
}

function menuOf({ name, hint, multiple, options }: Choices): Menu {
  return {
    ...(name === undefined ? {} : { name }), ...(hint === undefined ? {} : { hint }), ...(multiple === true ? { multiple: true as const } : {}),
    options: options.map(({ label, value = label, about }) => ({ label, value, ...(about === undefined ? {} : { about }) })),
  };
}

async function cardView(context: ChannelContext, chat: string, { image, ...card }: Card): Promise<{ card: CardView; file: StoredFile | undefined }> {
  if (image === undefined) return { card, file: undefined };
  const [file] = await filesOfDraft(context, chat, [{ kind: "image", media: image, ...(card.title === undefined ? {} : { alt: card.title }) }]);
  return { card: file === undefined ? card : { ...card, image: cardOf(file) }, file };
}
