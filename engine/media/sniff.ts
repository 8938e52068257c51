/** What a file is, told by its first bytes; what its sender says counts only where it can do no harm. */
import { isUtf8 } from "node:buffer";
import type { FileKind } from "../message.ts";

/** Enough bytes for every signature below. */
export const SNIFF_BYTES = 512;

const ascii = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
/** offset, bytes, type; the first that fits. `undefined` in bytes fits any. */
const SIGNATURES: readonly (readonly [offset: number, bytes: readonly (number | undefined)[], mime: string])[] = [
  [0, [0x89, ...ascii("PNG\r\n"), 0x1a, 0x0a], "image/png"],
  [0, [0xff, 0xd8, 0xff], "image/jpeg"],
  [0, ascii("GIF87a"), "image/gif"],
  [0, ascii("GIF89a"), "image/gif"],
  [0, [...ascii("RIFF"), undefined, undefined, undefined, undefined, ...ascii("WEBP")], "image/webp"],
  [0, [...ascii("RIFF"), undefined, undefined, undefined, undefined, ...ascii("WAVE")], "audio/wav"],
  [0, [...ascii("RIFF"), undefined, undefined, undefined, undefined, ...ascii("AVI ")], "video/x-msvideo"],
  [0, ascii("II*\0"), "image/tiff"],
  [0, [...ascii("MM"), 0, 0x2a], "image/tiff"],
  [4, ascii("ftypavif"), "image/avif"],
  [4, ascii("ftyphei"), "image/heic"],
  [4, ascii("ftypmif1"), "image/heic"],
  [4, ascii("ftypM4A"), "audio/mp4"],
  [4, ascii("ftypqt"), "video/quicktime"],
  [4, ascii("ftyp3g"), "video/3gpp"],
  [4, ascii("ftyp"), "video/mp4"],
  [0, [0x1a, 0x45, 0xdf, 0xa3], "video/webm"],
  [28, ascii("OpusHead"), "audio/ogg"],
  [28, [1, ...ascii("vorbis")], "audio/ogg"],
  [0, ascii("OggS"), "audio/ogg"],
  [0, ascii("ID3"), "audio/mpeg"],
  [0, ascii("fLaC"), "audio/flac"],
  [0, ascii("#!AMR"), "audio/amr"],
  [0, [0xff, 0xf1], "audio/aac"],
  [0, [0xff, 0xf9], "audio/aac"],
  [0, [0xff, 0xfb], "audio/mpeg"],
  [0, [0xff, 0xf3], "audio/mpeg"],
  [0, [0xff, 0xf2], "audio/mpeg"],
  [0, ascii("%PDF-"), "application/pdf"],
  [0, [...ascii("PK"), 3, 4], "application/zip"],
  [0, [...ascii("PK"), 5, 6], "application/zip"],
  [0, [0x1f, 0x8b], "application/gzip"],
  [0, [...ascii("7z"), 0xbc, 0xaf, 0x27, 0x1c], "application/x-7z-compressed"],
  [0, ascii("Rar!"), "application/vnd.rar"],
  [0, [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1], "application/x-ole-storage"],
];

/** Declared types that are told apart inside a container only: kept when the container is right. */
const INSIDE: Readonly<Record<string, RegExp>> = {
  "application/zip": /^application\/(vnd\.openxmlformats-officedocument\.[\w.-]+|vnd\.oasis\.opendocument\.[\w.-]+|epub\+zip)$/,
  "application/gzip": /^application\/x-tgsticker$/,
  "application/x-ole-storage": /^application\/(msword|vnd\.ms-(excel|powerpoint|outlook))$/,
  "audio/ogg": /^(video|application)\/ogg$/,
  "video/mp4": /^audio\/mp4$/,
  "video/webm": /^(audio\/webm|video\/x-matroska)$/,
};
/** Text that no viewer runs. */
const PLAIN_TEXT = /^(text\/(plain|csv|tab-separated-values|markdown|calendar|vcard|x-log)|application\/(json|x-ndjson|yaml))$/;
const SOUND_OR_FILM = /^(audio|video)\/[\w.+-]{1,60}$/;

/** `head`: the first `SNIFF_BYTES` of the file. What a browser would run (HTML, SVG, scripts) is told as plain text. */
export function sniff(head: Uint8Array, declared?: string): string {
  const said = declared?.split(";", 1)[0]?.trim().toLowerCase() ?? "";
  const found = SIGNATURES.find(([offset, bytes]) => bytes.every((byte, n) => byte === undefined || head[offset + n] === byte))?.[2];
  if (found !== undefined) return INSIDE[found]?.test(said) ? said : found;
  if (looksLikeText(head)) return PLAIN_TEXT.test(said) ? said : "text/plain";
  return SOUND_OR_FILM.test(said) ? said : "application/octet-stream";
}

function looksLikeText(head: Uint8Array): boolean {
  if (head.length === 0 || head.some((byte) => byte < 32 && byte !== 9 && byte !== 10 && byte !== 12 && byte !== 13)) return false;
  // The head may end inside a character of up to four bytes.
  return [0, 1, 2, 3].some((cut) => (cut === 0 || head.length >= SNIFF_BYTES) && isUtf8(head.subarray(0, head.length - cut)));
}

/** The kind of attachment a type makes. */
export function fileKind(mime: string): FileKind {
  const family = mime.split("/", 1)[0];
  return family === "image" || family === "video" || family === "audio" ? family : "document";
}
