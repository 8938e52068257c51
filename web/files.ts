/** Files of messages. Their bytes are fetched with the page's header and shown from memory: no address of a file works anywhere else. */
import type { FileCard } from "../engine/channels/webchat/protocol.ts";
import type { Server } from "./server.ts";

/** Types of pictures a browser draws without running anything. */
const PICTURE = /^image\/(?:png|jpeg|gif|webp)$/;
export const isPicture = (mime: string): boolean => PICTURE.test(mime);
const SOUND = /^audio\/(?:ogg|mpeg|mp4|wav|webm|flac|aac)$/;
export const isSound = (mime: string): boolean => SOUND.test(mime);

export interface Files {
  /** An address inside this page; the same file is fetched once. Throws a ServerFault. */
  address(file: FileCard): Promise<string>;
  download(file: FileCard): Promise<void>;
}

export function createFiles(server: Pick<Server, "file">): Files {
  const addresses = new Map<string, Promise<string>>();
  function address(file: FileCard): Promise<string> {
    const found = addresses.get(file.id) ?? server.file(file.id)
      // Only pictures and sounds keep their type: anything else must never open as a page of ours.
      .then((bytes) => URL.createObjectURL(new Blob([bytes], { type: isPicture(file.mime) || isSound(file.mime) ? file.mime : "application/octet-stream" })));
    addresses.set(file.id, found);
    found.catch(() => addresses.delete(file.id));
    return found;
  }
  return {
    address,
    async download(file) {
      const anchor = document.createElement("a");
      anchor.href = await address(file);
      anchor.download = file.name;
      anchor.click();
    },
  };
}
