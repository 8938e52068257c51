/** A file of a draft, made ready for a platform: from the media folder, or fetched from its address and kept there first; converted where it does not fit and can be made to. */
import { Readable } from "node:stream";
import type { ChannelContext, FileNeeds, ReadyFile } from "../channels/channel.ts";
import { ChannelError } from "../errors.ts";
import { cleanName, fileKind, sniff, type OpenFile, type Spool } from "../media.ts";
import type { DraftFile } from "../message.ts";
import type { Download } from "./download.ts";
import { convert, type Converters } from "./convert.ts";
import { namedAs } from "./endings.ts";
import { SNIFF_BYTES } from "./sniff.ts";

export interface ReadyOptions {
  readonly spool: Spool;
  readonly download: Download;
  /** Ends fetching and converting. */
  readonly signal?: AbortSignal;
  readonly converters?: Converters;
}

/** Converted files that are remembered: a delivery that is tried again needs no second conversion. */
const MAX_REMEMBERED = 200;

export function createReady({ spool, download, signal, converters }: ReadyOptions): ChannelContext["file"] {
  /** By the draft's own object: what is tried again was fetched before. */
  const fetched = new WeakMap<DraftFile, Promise<string>>();
  const converted = new Map<string, string>();

  async function fetchOnce(file: DraftFile): Promise<string> {
    const known = await fetched.get(file)?.catch(() => undefined);
    if (known !== undefined && (await spool.open(known)) !== undefined) return known;
    const work = keep(file);
    fetched.set(file, work);
    return work;
  }
  async function keep({ media, name, mime }: DraftFile): Promise<string> {
    const body = await download(media, signal === undefined ? {} : { signal });
    const kept = await spool.save(body, { ...(name === undefined ? {} : { name }), ...(mime === undefined ? {} : { mime }), ...(signal === undefined ? {} : { signal }) }).catch((error: unknown) => { throw unsent(error); });
    return kept.id;
  }

  async function fitting(file: DraftFile, from: OpenFile, mime: string, needs: FileNeeds): Promise<{ readonly open: OpenFile; readonly mime: string }> {
    const key = `${from.id} ${mime} ${file.kind} ${JSON.stringify(needs)}`;
    const before = await spool.open(converted.get(key) ?? "");
    if (before !== undefined) return { open: before, mime: before.mime };
    const made = await convert({ file, path: from.path, mime, bytes: from.bytes, needs }, spool, signal, converters);
    if (made === undefined) return { open: from, mime };
    if (converted.size >= MAX_REMEMBERED) converted.clear();
    converted.set(key, made.id);
    const open = await spool.open(made.id);
    if (open === undefined) throw gone();
    return { open, mime: made.mime };
  }

  return async (file, needs = {}) => {
    const from = await spool.open(file.media.startsWith("spool:") ? file.media : await fetchOnce(file));
    if (from === undefined) throw gone();
    // What was declared counts only as far as the bytes allow it.
    const seen = sniff(await headOf(from), file.mime ?? from.mime);
    const { open, mime } = await fitting(file, from, seen, needs);
    const stream = (): ReadableStream<Uint8Array> => Readable.toWeb(open.stream()) as ReadableStream<Uint8Array>;
    return {
      media: `spool:${open.id}`,
      name: namedAs(cleanName(file.name ?? "") || (from.name ?? ""), mime, fileKind(mime)), mime, bytes: open.bytes, stream,
      read: async () => new Uint8Array(await new Response(stream()).arrayBuffer()),
    } satisfies ReadyFile;
  };
}

async function headOf(file: OpenFile): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of file.stream()) {
    pieces.push(piece as Buffer);
    length += (piece as Buffer).length;
    if (length >= SNIFF_BYTES) break;
  }
  return Buffer.concat(pieces).subarray(0, SNIFF_BYTES);
}

const gone = (): ChannelError => new ChannelError("MSG_002", { unsent: true }, "The file to send is no longer kept here. Send it again, or raise the time the gateway keeps files.");

/** The spool's faults are those of a delivery of which nothing has left. */
function unsent(error: unknown): unknown {
  const { code, retry, message } = error as { code?: unknown; retry?: "no" | "later"; message?: string };
  return error instanceof Error && (code === "MSG_003" || code === "CONN_001") ? new ChannelError(code, { retry: retry ?? "no", unsent: true, cause: error }, message) : error;
}
