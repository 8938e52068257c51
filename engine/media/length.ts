/** How long a recording is, by what stands in the file itself. Pure. Sources: RFC 3533, RFC 7845 (Ogg, Opus); the WAVE and MP4 formats; ISO 11172-3 (MP3); RFC 9639 (FLAC). */

/** No sound of ours has more bits in a second: a file that calls itself shorter is not believed. */
const MOST_BYTES_PER_SECOND = 192_000;
/** Fewer make no speech: what tells no length is taken for that long. */
const LEAST_BYTES_PER_SECOND = 2_000;
const LOOKED_AT = 65_536;

/** Seconds. Where the file does not tell, the longest it can be (`exact` false). */
export function soundLength(bytes: Uint8Array, mime: string): { readonly seconds: number; readonly exact: boolean } {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const told = READERS[mime]?.(file);
  const shortest = file.length / MOST_BYTES_PER_SECOND;
  return told !== undefined && Number.isFinite(told) && told >= shortest ? { seconds: told, exact: true } : { seconds: file.length / LEAST_BYTES_PER_SECOND, exact: false };
}

type Reader = (file: Buffer) => number | undefined;
const READERS: Readonly<Record<string, Reader>> = { "audio/ogg": ogg, "audio/wav": wav, "audio/flac": flac, "audio/mpeg": mp3, "audio/mp4": mp4, "video/mp4": mp4 };

/** The last page tells how many samples there are up to its end. */
function ogg(file: Buffer): number | undefined {
  const head = file.subarray(0, 256);
  const opus = head.indexOf("OpusHead");
  const vorbis = head.indexOf("\u0001vorbis", 0, "latin1");
  const page = file.lastIndexOf("OggS");
  if (page < 0 || page + 14 > file.length) return undefined;
  const samples = Number(file.readBigUInt64LE(page + 6));
  if (opus >= 0 && opus + 12 <= file.length) return (samples - file.readUInt16LE(opus + 10)) / 48_000;
  return vorbis >= 0 && vorbis + 16 <= file.length ? samples / file.readUInt32LE(vorbis + 12) : undefined;
}
function wav(file: Buffer): number | undefined {
  const format = file.indexOf("fmt ");
  const data = file.indexOf("data");
  if (format < 0 || data < 0 || format + 20 > file.length || data + 8 > file.length) return undefined;
  // What is written as it grows says 0 or the largest number.
  return Math.min(file.readUInt32LE(data + 4) || Number.POSITIVE_INFINITY, file.length - data - 8) / file.readUInt32LE(format + 16);
}
/** The first block tells rate and samples; what is written as it grows says 0 samples. */
function flac(file: Buffer): number | undefined {
  if (file.length < 26 || file.toString("latin1", 0, 4) !== "fLaC") return undefined;
  return ((file.readUInt8(21) & 0xf) * 2 ** 32 + file.readUInt32BE(22)) / (file.readUIntBE(18, 3) >> 4);
}
function mp4(file: Buffer): number | undefined {
  const at = file.indexOf("mvhd");
  if (at < 0 || at + 36 > file.length) return undefined;
  return file[at + 4] === 1 ? Number(file.readBigUInt64BE(at + 28)) / file.readUInt32BE(at + 24) : file.readUInt32BE(at + 20) / file.readUInt32BE(at + 16);
}
/** Kilobits a second of layer III, MPEG 1 and 2. */
const RATES = [[0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320], [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160]] as const;
const SAMPLES = [44_100, 48_000, 32_000] as const;
/** By the first frame: the count of frames where one stands there, else as if all were of its rate. */
function mp3(file: Buffer): number | undefined {
  const start = file.subarray(0, 3).toString("latin1") === "ID3" && file.length > 10 ? 10 + (((file[6] ?? 0) << 21) | ((file[7] ?? 0) << 14) | ((file[8] ?? 0) << 7) | (file[9] ?? 0)) : 0;
  for (let at = start; at + 4 < Math.min(file.length, start + LOOKED_AT); at++) {
    const [a, b, c] = [file[at] as number, file[at + 1] as number, file[at + 2] as number];
    if (a !== 0xff || (b & 0xe6) !== 0xe2) continue;
    const first = (b & 0x18) === 0x18;
    const rate = RATES[first ? 0 : 1][c >> 4];
    const samples = (SAMPLES[(c >> 2) & 3] ?? 0) / (first ? 1 : (b & 0x18) === 0x10 ? 2 : 4);
    if (!rate || samples === 0) continue;
    const head = file.subarray(at, at + 60);
    const tag = Math.max(head.indexOf("Xing"), head.indexOf("Info"));
    if (tag > 0 && at + tag + 12 <= file.length && (file.readUInt32BE(at + tag + 4) & 1) === 1) return file.readUInt32BE(at + tag + 8) * (first ? 1_152 : 576) / samples;
    return (file.length - at) / (rate * 125);
  }
  return undefined;
}
