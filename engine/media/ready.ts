/** A file of a draft, made ready for a platform: from the media folder, or fetched from its address and kept there first. */
import { Readable } from "node:stream";
import type { ChannelContext, FileNeeds, ReadyFile } from "../channels/channel.ts";
import { ChannelError } from "../errors.ts";
import { fileKind, type Spool } from "../media.ts";
import type { DraftFile } from "../message.ts";
import type { Download } from "./download.ts";

const SPOOL = "spool:";

export function createReady(spool: Spool, download: Download): ChannelContext["file"] {
  return async (file, needs = {}) => {
    const id = file.media.startsWith(SPOOL) ? file.media : await fetched(file);
    const open = await spool.open(id);
    if (open === undefined) throw new ChannelError("MSG_002", {}, "The file to send is no longer kept here. Send it again, or raise the time the gateway keeps files.");
    const mime = file.mime ?? open.mime;
    check(mime, open.bytes, needs);
    const ready: ReadyFile = {
      media: `${SPOOL}${open.id}`,
      name: file.name ?? open.name ?? nameFor(mime), mime, bytes: open.bytes,
      stream: () => Readable.toWeb(open.stream()) as ReadableStream<Uint8Array>,
      read: async () => new Uint8Array(await new Response(ready.stream()).arrayBuffer()),
    };
    return ready;
  };

  async function fetched(file: DraftFile): Promise<string> {
    const body = await download(file.media);
    const kept = await spool.save(Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]), { ...(file.name === undefined ? {} : { name: file.name }), ...(file.mime === undefined ? {} : { mime: file.mime }) });
    return kept.id;
  }
}

function check(mime: string, bytes: number, needs: FileNeeds): void {
  if (needs.bytes !== undefined && bytes > needs.bytes) throw new ChannelError("MSG_003", {}, `Expected a file of at most ${needs.bytes} bytes, got ${bytes}.`);
  if (needs.types !== undefined && !needs.types.some((type) => type === mime || (type.endsWith("/*") && mime.startsWith(type.slice(0, -1))))) {
    throw new ChannelError("MSG_005", {}, `Expected a file of type ${needs.types.join(", ")}, got ${mime}.`);
  }
}

function nameFor(mime: string): string {
  const ending = /^[a-z]+\/([a-z0-9]{2,5})$/.exec(mime)?.[1];
  return ending === undefined ? fileKind(mime) : `${fileKind(mime)}.${ending}`;
}
