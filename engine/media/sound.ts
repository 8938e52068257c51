/** Sound by the system's ffmpeg: started with an argument list, no shell; it reads one file in one named format, and has limits of time and size. */
import { spawn } from "node:child_process";
import { access, constants, stat } from "node:fs/promises";
import path from "node:path";
import { ChannelError } from "../errors.ts";

/** Types that are read, with ffmpeg's name of the format: named, so that it never guesses (a playlist would make it fetch what stands in it). */
export const SOUNDS: Readonly<Record<string, string>> = {
  "audio/ogg": "ogg", "audio/mpeg": "mp3", "audio/mp4": "mov", "video/mp4": "mov", "video/quicktime": "mov", "audio/wav": "wav", "audio/flac": "flac", "audio/aac": "aac", "audio/amr": "amr", "audio/webm": "matroska", "video/webm": "matroska", "video/3gpp": "mov",
};
interface Target { readonly ending: string; readonly format: string; readonly codec: readonly string[] }
const TARGETS: Readonly<Record<string, Target>> = {
  "audio/ogg": { ending: "ogg", format: "ogg", codec: ["libopus", "-b:a", "32k", "-ac", "1", "-ar", "48000"] },
  "audio/mpeg": { ending: "mp3", format: "mp3", codec: ["libmp3lame", "-q:a", "4"] },
  "audio/mp4": { ending: "m4a", format: "ipod", codec: ["aac", "-b:a", "64k"] },
  "audio/wav": { ending: "wav", format: "wav", codec: ["pcm_s16le", "-ac", "1", "-ar", "16000"] },
};
/** What can be written, the first that the platform takes. */
export const SOUND_TARGETS: readonly string[] = Object.keys(TARGETS);

const LIMIT_MS = 60_000;
const MAX_SECONDS = 3 * 3600;
const MAX_BYTES = 50_000_000;
/** ffmpeg stops at the end of a packet; what goes over the limit by less than this shows that it was too much. */
const SLACK_BYTES = 65_536;
const MAX_WORDS = 2_000;

export interface SoundWork { readonly from: string; readonly mime: string; readonly target: string; readonly into: string; readonly bytes?: number; readonly signal?: AbortSignal; readonly limitMs?: number }

/** Path of ffmpeg in one of these folders. */
export async function findFfmpeg(places: readonly string[]): Promise<string | undefined> {
  for (const place of places.filter((each) => path.isAbsolute(each))) {
    const file = path.join(place, process.platform === "win32" ? "ffmpeg.exe" : "ffmpeg");
    if (await access(file, constants.X_OK).then(() => true, () => false)) return file;
  }
  return undefined;
}

/** Resolves to the path of the new file, in `into`. Throws ChannelError, or the signal's reason. */
export async function soundTo(program: string, { from, mime, target, into, bytes = MAX_BYTES, signal, limitMs = LIMIT_MS }: SoundWork): Promise<string> {
  const row = TARGETS[target];
  const format = SOUNDS[mime];
  if (row === undefined || format === undefined) throw new ChannelError("MSG_005", { unsent: true }, `Expected sound that can be converted to ${target}, got ${mime}.`);
  const made = path.join(into, `sound.${row.ending}`);
  const limit = Math.min(bytes, MAX_BYTES);
  const words = await run(program, [
    "-nostdin", "-hide_banner", "-loglevel", "error", "-threads", "1", "-protocol_whitelist", "file", "-f", format, "-i", path.resolve(from),
    "-map", "0:a:0", "-vn", "-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1", "-t", String(MAX_SECONDS), "-c:a", ...row.codec, "-fs", String(limit + SLACK_BYTES), "-f", row.format, made,
  ], limitMs, signal);
  if (words !== undefined) throw new ChannelError("MSG_005", { unsent: true }, `The sound (${mime}) could not be converted to ${target}: ${words}`);
  const { size } = await stat(made);
  if (size > limit) throw new ChannelError("MSG_003", { unsent: true }, `Expected sound of at most ${limit} bytes, got more, also after it was converted.`);
  return made;
}

/** Undefined where it ended well, else its last words without paths. */
function run(program: string, args: readonly string[], limitMs: number, signal: AbortSignal | undefined): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"], shell: false, windowsHide: true, env: {} });
    let words = "";
    let late = false;
    const timer = setTimeout(() => { late = true; child.kill("SIGKILL"); }, limitMs);
    const stop = (): void => { child.kill("SIGKILL"); };
    signal?.addEventListener("abort", stop, { once: true });
    const end = (): void => { clearTimeout(timer); signal?.removeEventListener("abort", stop); };
    child.stderr.setEncoding("utf8").on("data", (text: string) => { if (words.length < MAX_WORDS) words += text; });
    child.on("error", (error) => { end(); resolve(`ffmpeg could not be started: ${(error as NodeJS.ErrnoException).code ?? error.message}`); });
    child.on("close", (code) => {
      end();
      if (signal?.aborted) reject(signal.reason);
      else if (late) resolve(`it took longer than ${Math.round(limitMs / 1000)} s`);
      else resolve(code === 0 ? undefined : plain(words));
    });
  });
}

const plain = (words: string): string => words.replace(/\/\S+/g, "…").split("\n").map((line) => line.trim()).filter((line) => line !== "").at(-1)?.slice(0, 200) ?? "it ended with an error";
