/** The page's own files: chat.html, chat.js, chat.css; and embed.js, which puts it on other pages. */
import { readFile } from "node:fs/promises";

export type AssetName = "chat.html" | "chat.js" | "chat.css" | "embed.js";
export type Assets = (name: AssetName) => Promise<Uint8Array | undefined>;

/** Beside the built chunk in the package; in the built copy of the checkout when it runs from source. */
const FOLDERS = [new URL("../web/", import.meta.url), new URL("./web/", import.meta.url), new URL("../../../dist/web/", import.meta.url)];
const kept = new Map<string, Uint8Array>();

export const assetOf: Assets = async (name) => {
  const known = kept.get(name);
  if (known !== undefined) return known;
  for (const folder of FOLDERS) {
    try {
      const bytes = await readFile(new URL(name, folder));
      kept.set(name, bytes);
      return bytes;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  return undefined;
};
