/** What WhatsApp's own apps take. Nowhere promised: WhatsApp documents no Web API. */
import type { FileNeeds } from "../channel.ts";
import type { FileKind } from "../../message.ts";

/** WhatsApp takes 65 536; a phone folds a text away long before. */
export const TEXT_LIMIT = 65_536;
export const CAPTION_LIMIT = 1_024;
export const UPLOAD_LIMIT = 100_000_000;

export const FILE_NEEDS: Readonly<Record<FileKind, FileNeeds>> = {
  image: { bytes: 16_000_000, types: ["image/jpeg", "image/png"] },
  video: { bytes: 64_000_000, types: ["video/mp4", "video/3gpp"] },
  audio: { bytes: 16_000_000, types: ["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"] },
  voice: { bytes: 16_000_000, types: ["audio/ogg"] },
  sticker: { bytes: 500_000, types: ["image/webp"] },
  document: { bytes: UPLOAD_LIMIT },
};
