/**
 * Power cuts by replay: a process is recorded at its work (disk.c), then for any number of moments the disk is rebuilt as it may be found after a cut just then.
 * Kept for certain is what was synced: data by the sync of its file, names by the sync of their folder. Of all else a random part is there: of the writes
 * to a file any, in any combination, some torn at 512 bytes; of the changes of names the first so many, because file systems keep those in order.
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { childArgs, childEnv } from "./common.ts";

interface Act { readonly op: string; readonly name: string; readonly inode: number; readonly offset: number; readonly data: Buffer }
interface Content { bytes: Buffer; length: number; pending: Act[] }
interface Naming { readonly op: string; readonly name: string; readonly content?: Content }
/** A disk as it is found, by name, and what was said before the cut. */
export interface Found { readonly files: ReadonlyMap<string, Buffer>; readonly said: string; readonly at: number }

/** Lets `child.ts` work in `folder` until it kills itself. */
export function record(library: string, folder: string, options: Readonly<Record<string, unknown>>): Act[] {
  const log = `${folder}.log`;
  const out = openSync(`${folder}.out`, "w");
  try {
    const { signal, status } = spawnSync(process.execPath, childArgs("work", folder, JSON.stringify(options)), { stdio: ["ignore", out, "inherit"], env: childEnv({ LD_PRELOAD: library, DISK_LOG: log, DISK_ROOT: folder }), timeout: 120_000 });
    if (signal !== "SIGKILL") throw new Error(`Expected the recorded process to kill itself, it ended with ${String(status ?? signal)}: ${readFileSync(`${folder}.out`, "utf8").slice(-500)}`);
  } finally {
    closeSync(out);
  }
  const bytes = readFileSync(log);
  rmSync(log);
  const acts: Act[] = [];
  for (let at = 0; at < bytes.length;) {
    const nameBytes = bytes.readInt32LE(at + 1);
    const size = Number(bytes.readBigInt64LE(at + 21));
    const name = at + 29;
    acts.push({ op: String.fromCharCode(bytes[at] as number), name: bytes.toString("utf8", name, name + nameBytes), inode: Number(bytes.readBigInt64LE(at + 5)), offset: Number(bytes.readBigInt64LE(at + 13)), data: bytes.subarray(name + nameBytes, name + nameBytes + size) });
    at = name + nameBytes + size;
  }
  return acts;
}

/** The disk at `cuts` random moments, in their order. */
export function* replay(acts: readonly Act[], cuts: number, random: () => number): Generator<Found> {
  const moments = Array.from({ length: cuts }, () => Math.floor(random() * (acts.length + 1))).sort((a, b) => a - b);
  const byInode = new Map<number, Content>();
  const names = new Map<string, Content>();
  let naming: Naming[] = [];
  let said = "";
  let done = 0;
  for (const at of moments) {
    for (; done < at; done++) {
      const act = acts[done] as Act;
      if (act.op === "A") said += act.data.toString("utf8");
      else if (act.op === "C") {
        const content: Content = { bytes: Buffer.alloc(0), length: 0, pending: [] };
        byInode.set(act.inode, content);
        naming.push({ op: "C", name: act.name, content });
      } else if (act.op === "D") {
        const own = (name: string): boolean => (dirname(name.split("\0").at(-1) as string) === "." ? "" : dirname(name)) === act.name;
        for (const change of naming.filter(({ name }) => own(name))) apply(names, change);
        naming = naming.filter(({ name }) => !own(name));
      } else if (act.op === "R" || act.op === "U") naming.push(act);
      else {
        const content = byInode.get(act.inode);
        if (content === undefined) throw new Error(`Expected ${act.name} to be created before it is written.`);
        if (act.op === "S") for (const write of content.pending.splice(0)) put(content, write);
        else content.pending.push(act);
      }
    }
    yield { files: found(names, naming, random), said, at };
  }
}
function apply(names: Map<string, Content>, { op, name, content }: Naming): void {
  if (op === "C" && content !== undefined) names.set(name, content);
  if (op === "U") names.delete(name);
  if (op !== "R") return;
  const [from, to] = name.split("\0") as [string, string];
  const moved = names.get(from);
  if (moved !== undefined) names.set(to, moved);
  names.delete(from);
}
function put(content: { bytes: Buffer; length: number }, { op, offset, data }: Act): void {
  const end = op === "T" ? offset : Math.max(content.length, offset + data.length);
  if (end > content.bytes.length) {
    const larger = Buffer.alloc(Math.max(end, content.bytes.length * 2));
    content.bytes.copy(larger, 0, 0, content.length);
    content.bytes = larger;
  }
  if (op === "T") content.bytes.fill(0, offset, Math.max(offset, content.length));
  else data.copy(content.bytes, offset);
  content.length = end;
}
function found(synced: ReadonlyMap<string, Content>, naming: readonly Naming[], random: () => number): Map<string, Buffer> {
  const names = new Map(synced);
  for (const change of naming.slice(0, Math.floor(random() * (naming.length + 1)))) apply(names, change);
  const files = new Map<string, Buffer>();
  for (const [name, content] of names) {
    const copy = { bytes: Buffer.from(content.bytes.subarray(0, content.length)), length: content.length };
    for (const write of content.pending) {
      const luck = random();
      if (luck < 0.4) put(copy, write);
      else if (luck < 0.55 && write.op === "W") {
        const part = Math.floor((write.data.length / 512) * random()) * 512;
        if (part > 0) put(copy, { ...write, data: write.data.subarray(0, part) });
      }
    }
    files.set(name, copy.bytes.subarray(0, copy.length));
  }
  return files;
}
export function lay(files: ReadonlyMap<string, Buffer>, folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of files) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), bytes);
  }
}
