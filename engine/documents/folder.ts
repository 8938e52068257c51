/** The documents below a folder. What leads out of it (a link, a name with ..) is not followed. */
import { constants } from "node:fs";
import { lstat, open, readdir, realpath } from "node:fs/promises";
import path from "node:path";
import { codeOf } from "../http-error.ts";
import { DocumentFault, ENDINGS } from "./read.ts";

export interface FoundFile { readonly name: string; readonly bytes: number; readonly changedAt: number }
/** `more`: there are files that were left out, because there are too many or they lie too deep. `closed`: folders (with a slash behind) and files that could not be looked at. */
export interface Found { readonly files: FoundFile[]; readonly more: boolean; readonly closed: string[] }

export const MOST_FILES = 5_000;
const MOST_DEPTH = 20;

export const endingOf = (name: string): string => path.extname(name).slice(1).toLowerCase();
const isDocument = (name: string): boolean => (ENDINGS as readonly string[]).includes(endingOf(name));

/** Names are relative, with slashes. Hidden files and links are left out. `root` is a real path. */
export async function findFiles(root: string, most = MOST_FILES): Promise<Found> {
  const files: FoundFile[] = [];
  const folders: [name: string, depth: number][] = [["", 0]];
  const closed: string[] = [];
  let more = false;
  /** What has gone meanwhile is no fault. */
  const leaveOut = (name: string, error: unknown): void => { if (codeOf(error) !== "ENOENT") closed.push(name); };
  for (let next = folders.shift(); next !== undefined; next = folders.shift()) {
    const [folder, depth] = next;
    const entries = await readdir(path.join(root, folder), { withFileTypes: true }).catch((error: unknown) => { if (folder === "") throw error; leaveOut(`${folder}/`, error); return []; });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.name.startsWith(".") || entry.isSymbolicLink()) continue;
      if (entry.isDirectory()) { if (depth < MOST_DEPTH) folders.push([name, depth + 1]); else more = true; }
      if (!entry.isFile() || !isDocument(entry.name)) continue;
      if (files.length >= most) return { files, more: true, closed };
      const stat = await lstat(path.join(root, name)).catch((error: unknown) => { leaveOut(name, error); return undefined; });
      if (stat?.isFile()) files.push({ name, bytes: stat.size, changedAt: Math.floor(stat.mtimeMs) });
    }
  }
  return { files, more, closed };
}

/** The bytes of a file that was found, if it still lies in the folder. Throws DocumentFault. */
export async function readInside(root: string, name: string, mostBytes: number): Promise<Uint8Array> {
  const file = path.join(root, name);
  let handle: Awaited<ReturnType<typeof open>> | undefined;
  try {
    // Windows has no such flag; there a link is seen by its real path.
    handle = await open(file, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    const [stat, real] = [await handle.stat(), await realpath(file)];
    if (!stat.isFile() || real !== path.resolve(file) || !real.startsWith(root.endsWith(path.sep) ? root : root + path.sep)) throw new DocumentFault("unreadable");
    if (stat.size > mostBytes) throw new DocumentFault("large");
    return await handle.readFile();
  } catch (thrown) {
    throw thrown instanceof DocumentFault ? thrown : new DocumentFault("unreadable", thrown);
  } finally {
    await handle?.close();
  }
}
