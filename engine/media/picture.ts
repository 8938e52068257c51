/** Pictures by sharp (libvips): another type, fewer pixels, fewer bytes. What a camera wrote into a picture (place, device) is not carried over. */
import type SharpModule from "sharp";
import type { FileNeeds } from "../channels/channel.ts";
import { ChannelError } from "../errors.ts";

export type Sharp = typeof SharpModule;
export interface Wanted { readonly mime: string; readonly bytes: number; readonly needs: FileNeeds; takes(mime: string): boolean }

/** A small file may claim to be a huge picture. */
const MAX_PIXELS = 100_000_000;
const SECONDS = 20;
/** What sharp writes, the better guess first. */
const WRITES = { "image/jpeg": "jpeg", "image/png": "png", "image/webp": "webp", "image/gif": "gif" } as const;
type Writes = keyof typeof WRITES;
/** Each next try, until it is small enough: share of the edges, quality. */
const TRIES: readonly (readonly [share: number, quality: number])[] = [[1, 85], [0.8, 75], [0.6, 70], [0.4, 65], [0.25, 60], [0.12, 55]];

/** Undefined where the picture fits as it is. Throws ChannelError MSG_003 or MSG_005. */
export async function pictureOf(sharp: Sharp, from: string, wanted: Wanted): Promise<{ readonly data: Buffer; readonly mime: string } | undefined> {
  const { needs, mime, bytes } = wanted;
  const open = () => sharp(from, { limitInputPixels: MAX_PIXELS, failOn: "error", animated: mime === "image/gif" && wanted.takes(mime) }).timeout({ seconds: SECONDS });
  try {
    const { width = 0, height = 0, hasAlpha = false } = await sharp(from, { limitInputPixels: MAX_PIXELS, failOn: "error" }).metadata();
    const edge = Math.max(width, height);
    const typeFits = wanted.takes(mime);
    if (typeFits && (needs.bytes === undefined || bytes <= needs.bytes) && (needs.pixels === undefined || edge <= needs.pixels)) return undefined;
    const target = targetOf(wanted, hasAlpha);
    if (target === undefined) throw new ChannelError("MSG_005", { unsent: true }, `Expected a file of type ${(needs.types ?? []).join(", ")}, got ${mime}, which cannot be converted to it.`);
    for (const [share, quality] of TRIES) {
      const most = Math.max(1, Math.floor(Math.min(edge, needs.pixels ?? edge) * share));
      const base = open().autoOrient().resize({ width: most, height: most, fit: "inside", withoutEnlargement: true });
      const data = await (target === "image/jpeg" ? base.flatten({ background: "#ffffff" }) : base).toFormat(WRITES[target], target === "image/gif" ? {} : { quality }).toBuffer();
      if (needs.bytes === undefined || data.length <= needs.bytes) return { data, mime: target };
    }
  } catch (error) {
    if (error instanceof ChannelError) throw error;
    throw new ChannelError("MSG_005", { unsent: true, cause: error }, `The picture (${mime}) could not be read, so it cannot be made to fit: ${(error as Error).message}`);
  }
  throw new ChannelError("MSG_003", { unsent: true }, `Expected a picture of at most ${needs.bytes} bytes, got ${bytes}, and it cannot be made that small.`);
}

/** Its own type where that is taken; else one that keeps what is see-through. */
function targetOf({ mime, takes }: Wanted, hasAlpha: boolean): Writes | undefined {
  const order: Writes[] = [...(mime in WRITES ? [mime as Writes] : []), ...(hasAlpha ? (["image/png", "image/webp", "image/jpeg"] as const) : (["image/jpeg", "image/png", "image/webp"] as const)), "image/gif"];
  return order.find((each) => takes(each));
}
