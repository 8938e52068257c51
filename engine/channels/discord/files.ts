/** Files of a draft, read for an upload: what is attached, and the pictures of cards that are kept here. */
import type { ChannelContext } from "../channel.ts";
import type { Draft, DraftFile } from "../../message.ts";
import { UPLOAD_LIMIT } from "./limits.ts";
import type { Upload } from "./rest.ts";
import type { BodyOptions } from "./send.ts";

/** `options` names them to `contentOf`. Throws ChannelError. */
export async function filesOf(draft: Draft, context: Pick<ChannelContext, "file">): Promise<{ uploads: Upload[]; options: BodyOptions }> {
  const uploads: Upload[] = [];
  const files: { name: string; alt?: string }[] = [];
  const pictures = new Map<string, string>();
  async function add(file: DraftFile, nameOf: (name: string) => string): Promise<string> {
    const ready = await context.file(file, { bytes: UPLOAD_LIMIT });
    const name = nameOf(ready.name);
    uploads.push({ name, data: await ready.read(), mime: ready.mime });
    files.push({ name, ...(file.alt === undefined ? {} : { alt: file.alt }) });
    return name;
  }
  for (const file of draft.attachments ?? []) await add(file, (name) => name);
  for (const [index, { image }] of (draft.cards ?? []).entries()) {
    // A public address is fetched by Discord, as it would be from a link.
    if (image === undefined || /^https?:/i.test(image) || pictures.has(image)) continue;
    pictures.set(image, `attachment://${await add({ kind: "image", media: image }, (name) => `card${index}-${name.replace(/[^\w.-]/g, "_")}`)}`);
  }
  return { uploads, options: { files, pictures } };
}

/** The part of a call's options that uploads are. */
export function bodyOf(uploads: readonly Upload[]): { files?: readonly Upload[] } {
  return uploads.length === 0 ? {} : { files: uploads };
}
