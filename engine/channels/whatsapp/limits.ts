/** Figures of the Cloud API, from https://developers.facebook.com/documentation/business-messaging/whatsapp (read in November 2026). */
import type { FileNeeds, Shows } from "../channel.ts";
import type { FileKind } from "../../message.ts";

/** The newest version of the Graph API: 26.0, of 29 July 2026. */
export const DEFAULT_API_ROOT = "https://graph.facebook.com/v26.0";
export const TEXT_LIMIT = 4096;
export const CAPTION_LIMIT = 1024;
/** Body of a message with buttons or a list. */
export const BODY_LIMIT = 1024;
export const BUTTON_LIMIT = 3;
export const BUTTON_LABEL = 20;
export const BUTTON_VALUE = 256;
export const ROW_LIMIT = 10;
export const ROW_TITLE = 24;
export const ROW_ABOUT = 72;
export const ROW_VALUE = 200;
export const UPLOAD_LIMIT = 100_000_000;

export const SHOWS: Shows = {
  files: ["image", "video", "audio", "voice", "document", "sticker"], buttons: BUTTON_LIMIT, buttonLabel: BUTTON_LABEL, links: true, choices: ROW_LIMIT, location: true, contact: true,
};

/** …/business-phone-numbers/media#supported-media-types. A megabyte is taken as a million: it is never too much. Ogg only with Opus inside; WebP animated up to 500 KB, still up to 100 KB. */
export const FILE_NEEDS: Readonly<Record<FileKind, FileNeeds>> = {
  image: { bytes: 5_000_000, types: ["image/jpeg", "image/png"] },
  video: { bytes: 16_000_000, types: ["video/mp4", "video/3gpp"] },
  audio: { bytes: 16_000_000, types: ["audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"] },
  voice: { bytes: 16_000_000, types: ["audio/ogg"] },
  sticker: { bytes: 500_000, types: ["image/webp"] },
  document: { bytes: UPLOAD_LIMIT },
};

/** Free text may be sent until 24 hours after the person's last message: …/messages/send-messages#customer-service-windows. */
export const WINDOW_MS = 24 * 3_600_000;
