/** The thread that reads a folder of documents and finds passages in it, so that a long PDF holds up nobody else. */
import { type FSWatcher, watch } from "node:fs";
import { mkdir, realpath } from "node:fs/promises";
import path from "node:path";
import { setImmediate as breath } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { endingOf, findFiles, type FoundFile, readInside } from "./folder.ts";
import { passagesOf } from "./passages.ts";
import { DocumentFault, readDocument } from "./read.ts";
import { openShelf, type Passage } from "./shelf.ts";

export interface WorkerSettings { readonly folder: string; readonly file: string; readonly mostBytes: number; /** Milliseconds between looks at the folder, beside being told of changes. */ readonly everyMs: number }
export type ToWorker = { readonly type: "search"; readonly id: number; readonly question: string; readonly limit: number } | { readonly type: "close" };
export interface ShelfState { readonly files: number; readonly passages: number; readonly busy: boolean; readonly more: boolean; /** The folder cannot be read at all. */ readonly fault?: string; readonly problems: readonly { readonly file: string; readonly fault: string }[] }
export type FromWorker =
  | { readonly type: "found"; readonly id: number; readonly passages: readonly Passage[] }
  | { readonly type: "state"; readonly state: ShelfState }
  /** Undefined: nothing is being read any more. */
  | { readonly type: "reading"; readonly file: string | undefined };

const port = parentPort;
if (port !== null) void run(workerData as WorkerSettings, port);

const QUIET_MS = 300;
/** Where something changes all the time, it is looked at all the same. */
const MOST_QUIET_MS = 5_000;

async function run({ folder, file, mostBytes, everyMs }: WorkerSettings, port: NonNullable<typeof parentPort>): Promise<void> {
  const send = (message: FromWorker): void => port.postMessage(message);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const shelf = await openShelf(file);
  let watcher: FSWatcher | undefined;
  let timer: NodeJS.Timeout | undefined;
  let scanning = false;
  let again = false;
  let more = false;
  let closed: readonly string[] = [];
  /** Since when there was no quiet. */
  let changedAt: number | undefined;
  let fault: string | undefined;

  const tell = (busy: boolean): void => {
    const problems = shelf.files().filter(({ state }) => !["ready", "reading", "again"].includes(state)).map(({ name, state }) => ({ file: name, fault: state as string }));
    problems.push(...closed.map((name) => ({ file: name, fault: name.endsWith("/") ? "closed" : "unreadable" })));
    send({ type: "state", state: { ...shelf.count(), busy, more, problems, ...(fault === undefined ? {} : { fault }) } });
  };
  async function readOne(root: string, found: FoundFile, state: "reading" | "again"): Promise<void> {
    shelf.begin(found, state);
    send({ type: "reading", file: found.name });
    try {
      if (found.bytes > mostBytes) throw new DocumentFault("large");
      const sections = await readDocument(endingOf(found.name), await readInside(root, found.name, mostBytes), () => breath());
      shelf.put(found, passagesOf(sections));
    } catch (thrown) {
      shelf.fail(found, thrown instanceof DocumentFault ? thrown.fault : "broken");
    }
  }
  async function scan(): Promise<void> {
    let root: string;
    let files: readonly FoundFile[];
    try {
      root = await realpath(folder);
      ({ files, more, closed } = await findFiles(root));
      fault = undefined;
    } catch (thrown) {
      fault = (thrown as NodeJS.ErrnoException).code ?? String(thrown);
      tell(false);
      return;
    }
    watchOver(root);
    const known = new Map(shelf.files().map((kept) => [kept.name, kept]));
    for (const found of files) {
      const kept = known.get(found.name);
      known.delete(found.name);
      const same = kept !== undefined && kept.bytes === found.bytes && kept.changedAt === found.changedAt;
      // Twice something ended while it was being read: the machine once perhaps, but not twice.
      if (same && kept.state === "again") shelf.fail(found, "stuck");
      else if (!same || kept.state === "reading") {
        await readOne(root, found, same ? "again" : "reading");
        tell(true);
        await breath();
      }
    }
    for (const name of known.keys()) shelf.remove(name);
    send({ type: "reading", file: undefined });
    tell(false);
  }
  /** One at a time; what changes meanwhile is looked at after it. */
  async function look(): Promise<void> {
    if (scanning) { again = true; return; }
    scanning = true;
    changedAt = undefined;
    clearTimeout(timer);
    do { again = false; await scan(); } while (again);
    scanning = false;
    timer = setTimeout(() => void look(), everyMs);
  }
  function watchOver(root: string): void {
    if (watcher !== undefined) return;
    try {
      // Some file systems (network, containers) tell nothing: then the next look finds it.
      watcher = watch(root, { recursive: true }, () => {
        const now = performance.now();
        changedAt ??= now;
        clearTimeout(timer);
        timer = setTimeout(() => void look(), Math.max(0, Math.min(QUIET_MS, changedAt + MOST_QUIET_MS - now)));
      });
      watcher.on("error", () => { watcher?.close(); watcher = undefined; });
    } catch { /* As above. */ }
  }
  port.on("message", (message: ToWorker) => {
    if (message.type === "search") {
      send({ type: "found", id: message.id, passages: shelf.search(message.question, message.limit) });
      return;
    }
    clearTimeout(timer);
    watcher?.close();
    shelf.close();
    process.exit();
  });
  tell(true);
  await look();
}
