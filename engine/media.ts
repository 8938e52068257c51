/**
 * Files on disk: what people sent, what is to be sent. Names are made here and are the only path; what a sender calls a file is kept
 * beside it. A file is complete once it has its name, and on disk once `save` resolves.
 */
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { type Clock, systemClock } from "./clock.ts";
import { ClawError, StoreError } from "./errors.ts";
import { cleanName } from "./media/name.ts";
import { SNIFF_BYTES, sniff } from "./media/sniff.ts";

export { cleanName } from "./media/name.ts";
export { fileKind, sniff } from "./media/sniff.ts";

export interface Spooled {
  /** 32 hexadecimal digits; `spool:<id>` is its reference in a message. */
  readonly id: string;
  readonly path: string;
  readonly bytes: number;
  /** By content; what the sender said counts only where it is harmless. */
  readonly mime: string;
  /** Cleaned; absent where none was given or nothing was left of it. */
  readonly name?: string;
  /** Unix milliseconds. */
  readonly savedAt: number;
}
export interface OpenFile extends Spooled { stream(): Readable }
export interface SpoolOptions {
  /** Largest file, bytes. */
  readonly maxBytes?: number;
  /** Largest sum, bytes: the oldest files make room, as long as they are older than an hour. */
  readonly maxTotalBytes?: number;
  /** Files older than this are removed; 0 keeps them until they are removed by id. */
  readonly keepMs?: number;
  /** Longest time one file may take to come. */
  readonly timeoutMs?: number;
  readonly clock?: Clock;
  /** Goes before the numbers above, and is asked each time: a deploy may change them. */
  limits?(): { readonly maxBytes?: number; readonly maxTotalBytes?: number; readonly keepMs?: number };
}
export type Content = Uint8Array | AsyncIterable<Uint8Array>;
export interface Spool {
  /**
   * Throws ClawError MSG_003 when the file is larger than allowed or the spool is full, CONN_001 (later) when it does not come in time or
   * breaks off, StoreError STORE_001 (later) when the disk refuses. Nothing is left behind then.
   */
  save(content: Content, file?: { readonly name?: string; readonly mime?: string; readonly signal?: AbortSignal }): Promise<Spooled>;
  /** Undefined where there is no such file (any more). Takes an id or a `spool:` reference. */
  open(id: string): Promise<OpenFile | undefined>;
  remove(id: string): Promise<void>;
  /** Removes what is too old; resolves to how many. Call it now and then. */
  sweep(): Promise<number>;
}

const MIB = 1_048_576;
const HOUR_MS = 3_600_000;
const ID = /^[0-9a-f]{32}$/;

/** Nothing is read or made before the first use. The folder is 0700, files are 0600. */
export function createSpool(folder: string, options: SpoolOptions = {}): Spool {
  const { timeoutMs = 60_000, clock = systemClock } = options;
  const limits = () => ({ maxBytes: 20 * MIB, maxTotalBytes: 2048 * MIB, keepMs: 7 * 24 * HOUR_MS, ...options, ...options.limits?.() });
  const files = new Map<string, { bytes: number; savedAt: number }>();
  /** Bytes of all files, those under way included. */
  let used = 0;
  const at = (id: string): string => path.join(folder, id);
  let begun: Promise<void> | undefined;
  const ready = (): Promise<void> => {
    begun ??= begin().catch((error: unknown) => {
      begun = undefined;
      throw disk(error);
    });
    return begun;
  };

  async function begin(): Promise<void> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    const entries = await readdir(folder);
    for (const id of entries.filter((entry) => ID.test(entry))) {
      const { size, mtimeMs } = await stat(at(id));
      files.set(id, { bytes: size, savedAt: mtimeMs });
      used += size;
    }
    // Left by a crash: halves of files, and descriptions whose file never came.
    for (const entry of entries) {
      if (/^[0-9a-f]{32}\.(part|json)$/.test(entry) && !files.has(entry.slice(0, 32))) await rm(at(entry), { force: true });
    }
  }

  async function makeRoom(): Promise<void> {
    const { maxTotalBytes } = limits();
    if (used <= maxTotalBytes) return;
    const oldest = [...files].filter(([, { savedAt }]) => clock.now() - savedAt > HOUR_MS).sort(([, a], [, b]) => a.savedAt - b.savedAt);
    for (const [id] of oldest) {
      await remove(id);
      if (used <= maxTotalBytes) return;
    }
    throw new ClawError("MSG_003", {}, `Expected at most ${maxTotalBytes} bytes of files; the media folder is full.`);
  }

  async function remove(id: string): Promise<void> {
    if (!ID.test(id)) return;
    used -= files.get(id)?.bytes ?? 0;
    files.delete(id);
    await rm(at(id), { force: true });
    await rm(at(`${id}.json`), { force: true });
  }

  async function write(id: string, content: Content, limit: AbortSignal): Promise<{ bytes: number; head: Uint8Array }> {
    const handle = await open(at(`${id}.part`), "wx", 0o600);
    const pieces = content instanceof Uint8Array ? [content][Symbol.iterator]() : content[Symbol.asyncIterator]();
    const halted = new Promise<never>((_, reject) => limit.addEventListener("abort", () => reject(limit.reason), { once: true }));
    halted.catch(() => undefined);
    let bytes = 0;
    let head: Buffer = Buffer.alloc(0);
    try {
      for (;;) {
        limit.throwIfAborted();
        const next = await Promise.race([pieces.next(), halted]);
        if (next.done) break;
        bytes += next.value.byteLength;
        used += next.value.byteLength;
        const { maxBytes } = limits();
        if (bytes > maxBytes) throw new ClawError("MSG_003", {}, `Expected a file of at most ${maxBytes} bytes, got more.`);
        await makeRoom();
        if (head.length < SNIFF_BYTES) head = Buffer.concat([head, next.value]).subarray(0, SNIFF_BYTES);
        await handle.writeFile(next.value).catch((error: unknown) => { throw disk(error); });
      }
      await handle.sync();
      return { bytes, head };
    } catch (error) {
      used -= bytes;
      // A source that hangs would hang its `return` too.
      void Promise.resolve(pieces.return?.()).catch(() => undefined);
      throw error;
    } finally {
      await handle.close();
    }
  }

  return {
    async save(content, file = {}) {
      await ready();
      const id = randomBytes(16).toString("hex");
      const late = new AbortController();
      const cancel = clock.after(timeoutMs, () => late.abort(new ClawError("CONN_001", { retry: "later" }, `The file did not come within ${Math.round(timeoutMs / 1000)} s.`)));
      let kept = 0;
      try {
        const { bytes, head } = await write(id, content, file.signal ? AbortSignal.any([late.signal, file.signal]) : late.signal);
        kept = bytes;
        const name = cleanName(file.name ?? "");
        const saved = { id, bytes, mime: sniff(head, file.mime), ...(name === "" ? {} : { name }), savedAt: clock.now() };
        await writeNew(at(`${id}.json`), JSON.stringify(saved));
        await rename(at(`${id}.part`), at(id));
        await syncFolder(folder);
        files.set(id, { bytes, savedAt: saved.savedAt });
        return { ...saved, path: at(id) };
      } catch (error) {
        used -= kept;
        await rm(at(id), { force: true });
        await rm(at(`${id}.part`), { force: true });
        await rm(at(`${id}.json`), { force: true });
        if (error instanceof ClawError) throw error;
        if (file.signal?.aborted) throw file.signal.reason;
        throw typeof (error as NodeJS.ErrnoException)?.syscall === "string" && DISK.has((error as NodeJS.ErrnoException).code ?? "") ? disk(error)
          : new ClawError("CONN_001", { retry: "later", cause: error }, `The file broke off: ${(error as Error)?.message ?? error}`);
      } finally {
        cancel();
      }
    },
    async open(reference) {
      const id = reference.replace(/^spool:/, "");
      if (!ID.test(id)) return undefined;
      await ready();
      if (!files.has(id)) return undefined;
      try {
        const { bytes, mime, name, savedAt } = JSON.parse(await readFile(at(`${id}.json`), "utf8")) as Spooled;
        await stat(at(id));
        return { id, path: at(id), bytes, mime, ...(name === undefined ? {} : { name }), savedAt, stream: () => createReadStream(at(id)) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT" && !(error instanceof SyntaxError)) throw disk(error);
        return undefined;
      }
    },
    async remove(reference) {
      await ready();
      await remove(reference.replace(/^spool:/, ""));
    },
    async sweep() {
      await ready();
      const { keepMs } = limits();
      const old = keepMs === 0 ? [] : [...files].filter(([, { savedAt }]) => clock.now() - savedAt > keepMs);
      for (const [id] of old) await remove(id);
      return old.length;
    },
  };
}

const DISK = new Set(["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "EMFILE", "ENFILE", "ENOENT", "ENOTDIR", "EEXIST"]);
const disk = (error: unknown): StoreError => new StoreError("STORE_001", { retry: "later", cause: error }, `The media folder cannot be used: ${(error as Error)?.message ?? error}`);

/** Makes a new name last through a power cut; not every system can. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeNew(file: string, text: string): Promise<void> {
  const handle = await open(file, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
