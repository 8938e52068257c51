/** Figures of the Bot API that more than one file needs. */
export const DEFAULT_API_ROOT = "https://api.telegram.org";
/** Characters of a text, and of a text under a file or a poll, after the markup is taken out. */
export const TEXT_LIMIT = 4096;
export const CAPTION_LIMIT = 1024;
export const ALBUM_LIMIT = 10;
export const BUTTON_LIMIT = 100;
