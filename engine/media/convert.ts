/** Makes a file fit what a platform asks: pictures by sharp, sound by ffmpeg, where they are installed. What cannot be made to fit is an error that says what would help. */
import { createReadStream } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { FileNeeds } from "../channels/channel.ts";
import { ChannelError } from "../errors.ts";
import type { Spool, Spooled } from "../media.ts";
import type { DraftFile } from "../message.ts";
import { pictureOf, type Sharp } from "./picture.ts";
import { findFfmpeg, soundTo, SOUND_TARGETS, SOUNDS } from "./sound.ts";

/** What converts; undefined: it is not installed. Tests give their own. */
export interface Converters {
  sharp(): Promise<Sharp | undefined>;
  /** Path of the program. */
  ffmpeg(): Promise<string | undefined>;
}
export interface Source { readonly file: DraftFile; readonly path: string; readonly mime: string; readonly bytes: number; readonly needs: FileNeeds }

/** What is installed here: looked for each time, so that it need not be there from the beginning. `places`: folders of programs. */
export function createConverters(places: readonly string[] = []): Converters {
  return {
    // Optional, so never bundled: it is found when it stands in Node-RED's user folder.
    sharp: () => import("sharp").then((module) => module.default as unknown as Sharp, () => undefined),
    ffmpeg: () => findFfmpeg(places),
  };
}

/** Conversions that run at once; small machines have other things to do. */
const MAX_AT_ONCE = 2;
let running = 0;
const waiting: (() => void)[] = [];
async function inTurn<T>(act: () => Promise<T>): Promise<T> {
  if (running >= MAX_AT_ONCE) await new Promise<void>((resolve) => { waiting.push(resolve); });
  running++;
  try {
    return await act();
  } finally {
    running--;
    waiting.shift()?.();
  }
}

/** Resolves to undefined where the file fits as it is. Throws ChannelError MSG_003 (too large) or MSG_005 (type), `unsent`. */
export async function convert(source: Source, spool: Spool, signal?: AbortSignal, converters: Converters = createConverters()): Promise<Spooled | undefined> {
  const { file, mime, bytes, needs } = source;
  const typeFits = takes(needs.types, mime);
  const sizeFits = needs.bytes === undefined || bytes <= needs.bytes;
  if (/^image\//.test(mime) && file.kind !== "document") {
    // How large a picture is in pixels only sharp can tell; without it the platform has the last word.
    if (typeFits && sizeFits && needs.pixels === undefined) return undefined;
    const sharp = await converters.sharp();
    if (sharp !== undefined) return inTurn(() => picture(sharp, source, spool));
    if (typeFits && sizeFits) return undefined;
    throw unfit(source, typeFits, "Install sharp in Node-RED's user folder (npm install sharp), and pictures are converted.");
  }
  if (typeFits && sizeFits) return undefined;
  const target = typeFits ? undefined : SOUND_TARGETS.find((each) => takes(needs.types, each));
  if (target !== undefined && SOUNDS[mime] !== undefined && (file.kind === "voice" || file.kind === "audio")) {
    const ffmpeg = await converters.ffmpeg();
    if (ffmpeg === undefined) throw unfit(source, typeFits, "Install ffmpeg on this machine, and sound is converted.");
    return inTurn(() => sound(ffmpeg, source, target, spool, signal));
  }
  throw unfit(source, typeFits);
}

async function picture(sharp: Sharp, { path: from, mime, bytes, needs }: Source, spool: Spool): Promise<Spooled | undefined> {
  const made = await pictureOf(sharp, from, { mime, bytes, needs, takes: (type) => takes(needs.types, type) });
  return made === undefined ? undefined : spool.save(made.data, { mime: made.mime });
}

async function sound(ffmpeg: string, { path: from, mime, needs }: Source, target: string, spool: Spool, signal?: AbortSignal): Promise<Spooled> {
  const folder = await mkdtemp(path.join(tmpdir(), "clawflow-sound-"));
  try {
    const made = await soundTo(ffmpeg, { from, mime, target, into: folder, ...(needs.bytes === undefined ? {} : { bytes: needs.bytes }), ...(signal === undefined ? {} : { signal }) });
    return await spool.save(createReadStream(made), { mime: target, ...(signal === undefined ? {} : { signal }) });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** "image/*" takes every picture. Parameters of a type ("; codecs=opus") do not count. */
export function takes(types: readonly string[] | undefined, mime: string): boolean {
  return types === undefined || types.map((type) => type.split(";", 1)[0]?.trim() ?? "").some((type) => type === mime || type === "*/*" || (type.endsWith("/*") && mime.startsWith(type.slice(0, -1))));
}

function unfit({ mime, bytes, needs }: Source, typeFits: boolean, hint = ""): ChannelError {
  const remedy = hint === "" ? "" : ` ${hint}`;
  if (!typeFits) return new ChannelError("MSG_005", { unsent: true }, `Expected a file of type ${(needs.types ?? []).join(", ")}, got ${mime}.${remedy}`);
  return new ChannelError("MSG_003", { unsent: true }, `Expected a file of at most ${needs.bytes} bytes, got ${bytes}.${remedy}`);
}
