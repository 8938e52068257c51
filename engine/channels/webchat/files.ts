/** Files of the chat: the bytes lie in the gateway's media folder, `file/<id>` here says whose they are and what they are called. */
import { randomBytes } from "node:crypto";
import { ChannelError } from "../../errors.ts";
import { cleanName, fileKind } from "../../media.ts";
import type { DraftFile, FileKind } from "../../message.ts";
import type { ChannelContext, WebhookAnswer } from "../channel.ts";
import type { FileCard } from "./protocol.ts";
import { cleanLine } from "./visitor.ts";

/** A card with the chat it belongs to and where its bytes are (`spool:<id>`). */
export interface StoredFile extends FileCard { readonly chat: string; readonly media: string }

/** Types a browser shows in the page without running anything. */
const SHOWN = /^image\/(png|jpeg|gif|webp)$/;
/** Longest a file of the bot may take to be fetched. */
const FETCH_MS = 30_000;

const fileKey = (id: string) => `file/${id}`;
const newFileId = (): string => randomBytes(16).toString("hex");
export function cardOf({ chat: _chat, media: _media, ...card }: StoredFile): FileCard { return card; }

/** Keeps an upload. Throws ClawError MSG_003 or STORE_001 of the spool. */
export async function keepUpload(context: ChannelContext, chat: string, body: Uint8Array, about: { readonly name: string; readonly mime: string; /** A recording, where it is a sound. */ readonly voice?: boolean }, signal: AbortSignal): Promise<StoredFile> {
  const { spool, storage } = context;
  if (spool === undefined) throw new ChannelError("MSG_005", {}, "This gateway keeps no files.");
  const kept = await spool.save(new Blob([body as Uint8Array<ArrayBuffer>]).stream(), { name: about.name, mime: about.mime }, signal);
  const kind = fileKind(kept.mime);
  const file: StoredFile = { id: newFileId(), chat, media: `spool:${kept.id}`, name: cleanName(about.name) || "file", mime: kept.mime, kind: kind === "audio" && about.voice === true ? "voice" : kind, bytes: kept.bytes };
  await storage.set({ [fileKey(file.id)]: file });
  return file;
}

/** What the bot sends along. A web address is fetched now: it may be gone when the visitor looks. */
export async function filesOfDraft(context: ChannelContext, chat: string, drafts: readonly DraftFile[]): Promise<StoredFile[]> {
  return Promise.all(drafts.map(async (draft) => {
    const { media, mime = "application/octet-stream", bytes } = draft.media.startsWith("spool:") ? await keptHere(context, draft) : await fetched(context, draft);
    const name = cleanName(draft.name ?? "") || nameFor(draft.kind, mime);
    return { id: newFileId(), chat, media, name, mime, kind: draft.kind, ...(bytes === undefined ? {} : { bytes }), ...(draft.alt === undefined ? {} : { alt: cleanLine(draft.alt, 500) }) };
  }));
}
async function keptHere({ spool }: ChannelContext, { media, mime }: DraftFile): Promise<{ media: string; mime: string | undefined; bytes: undefined }> {
  const stream = await spool?.open(media.slice("spool:".length));
  if (stream === undefined) throw new ChannelError("MSG_002", { unsent: true }, "The file to send is no longer kept here. Send it again, or raise the time the gateway keeps files.");
  await stream.cancel();
  return { media, mime, bytes: undefined };
}
async function fetched({ download, spool, signal }: ChannelContext, { media, name, mime }: DraftFile): Promise<{ media: string; mime: string; bytes: number }> {
  if (spool === undefined) throw new ChannelError("MSG_005", {}, "This gateway keeps no files.");
  const limit = AbortSignal.any([signal, AbortSignal.timeout(FETCH_MS)]);
  const body = await download(media, { signal: limit });
  const kept = await spool.save(body, { ...(name === undefined ? {} : { name }), ...(mime === undefined ? {} : { mime }) }, limit);
  return { media: `spool:${kept.id}`, mime: kept.mime, bytes: kept.bytes };
}
function nameFor(kind: FileKind, mime: string): string {
  const ending = /^[a-z]+\/([a-z0-9]{2,5})$/.exec(mime)?.[1];
  return ending === undefined ? kind : `${kind}.${ending}`;
}

export async function fileOf(context: ChannelContext, chat: string, id: unknown): Promise<StoredFile | undefined> {
  if (typeof id !== "string" || !/^[0-9a-f]{32}$/.test(id)) return undefined;
  const file = (await context.storage.get(fileKey(id))) as StoredFile | undefined;
  return file?.chat === chat ? file : undefined;
}
/** The changes that keep these cards; written together with the entry that shows them. */
export function recordsOf(files: readonly StoredFile[]): Record<string, StoredFile> {
  return Object.fromEntries(files.map((file) => [fileKey(file.id), file]));
}

/** Bytes only: opened as a page of its own, a file can run nothing and read nothing of ours. */
export async function serveFile(context: ChannelContext, file: StoredFile): Promise<WebhookAnswer | undefined> {
  const stream = await context.spool?.open(file.media.slice("spool:".length));
  if (stream === undefined) return undefined;
  return {
    status: 200,
    headers: {
      "content-type": SHOWN.test(file.mime) ? file.mime : "application/octet-stream",
      "content-disposition": `attachment; filename*=UTF-8''${encodeURIComponent(file.name).replace(/['()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16)}`)}`,
      "content-security-policy": "sandbox; default-src 'none'",
      "x-content-type-options": "nosniff",
      "cross-origin-resource-policy": "same-origin",
      "cache-control": "private, max-age=86400, immutable",
    },
    body: stream as AsyncIterable<Uint8Array>,
  };
}
