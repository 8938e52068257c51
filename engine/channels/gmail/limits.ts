/** Addresses and sizes of Gmail. */
export const DEFAULT_API_ROOT = "https://gmail.googleapis.com";
export const DEFAULT_AUTH_ROOT = "https://oauth2.googleapis.com";
/** Bytes of a mail; larger ones go as an upload: developers.google.com/gmail/api/guides/uploads advises it from 5 MB on, and base64 makes a third more. */
export const INLINE_LIMIT = 3_000_000;
