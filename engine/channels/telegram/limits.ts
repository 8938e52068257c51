/** Figures of the Bot API that more than one file needs. */
import type { Shows } from "../channel.ts";

export const DEFAULT_API_ROOT = "https://api.telegram.org";
/** Characters of a text, and of a text under a file or a poll, after the markup is taken out. */
export const TEXT_LIMIT = 4096;
export const CAPTION_LIMIT = 1024;
export const ALBUM_LIMIT = 10;
export const BUTTON_LIMIT = 100;
/** What stands over a keyboard or in a card: it leaves room for what a menu and a card say beside the text. */
export const CONTROLS_LIMIT = 3072;
export const SHOWS: Shows = { files: ["image", "video", "audio", "voice", "document", "sticker"], buttons: BUTTON_LIMIT, links: true, choices: BUTTON_LIMIT, cards: true, poll: true, location: true, contact: true };
