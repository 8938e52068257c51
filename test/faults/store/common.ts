/** What the fault tests of the store share: their size, their dice, a process of their own, and the judgement over a store. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { watchStore } from "../conserve.ts";
import type { Receipt, Store } from "../../../engine/store/store.ts";

/** All of it takes minutes; without, a sample. */
export const FULL = process.env.CLAWFLOW_FAULTS === "full";
export const SEED = Number(process.env.CLAWFLOW_SEED ?? Math.floor(Math.random() * 1e9));

/** Repeatable numbers from 0 to below 1 (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const made: string[] = [];
/** A folder that does not exist yet, in one that is removed at the end. */
export function freshFolder(): string {
  const parent = mkdtempSync(join(tmpdir(), "clawflow-disk-"));
  made.push(parent);
  watchStore(join(parent, "gateway"), { damaged: true });
  return join(parent, "gateway");
}
const children: ChildProcess[] = [];
/** To be called in `after`. */
export async function cleanUp(): Promise<void> {
  for (const child of children.splice(0)) await kill(child);
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
}

export const childArgs = (what: string, ...args: readonly string[]): string[] => ["--no-warnings", "--experimental-strip-types", fileURLToPath(new URL("child.ts", import.meta.url)), what, ...args];
/** What the rig does must not be measured with. */
export const childEnv = (more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => ({ ...process.env, NODE_V8_COVERAGE: "", ...more });
export function start(what: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): { readonly process: ChildProcess; out(): string; said(word: string): Promise<void> } {
  const child = spawn(process.execPath, childArgs(what, ...args), { stdio: ["ignore", "pipe", "inherit"], env: childEnv(env) });
  children.push(child);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (data: string) => { text += data; });
  return {
    process: child,
    out: () => text,
    async said(word) {
      while (!text.includes(word)) {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`Expected the process to say "${word}", it ended after "${text.slice(-500)}".`);
        await Promise.race([once(child.stdout, "data"), once(child, "close")]);
      }
    },
  };
}
/** `child.ts step` as a thing one can ask; `command` runs it in a world of its own. */
export async function stepper(folder: string, { command = [], env = {}, options = {} }: { readonly command?: readonly string[]; readonly env?: Readonly<Record<string, string>>; readonly options?: object } = {}): Promise<{ ask(what: string): Promise<unknown>; end(): Promise<void>; errors(): string }> {
  const [program, ...args] = [...command, process.execPath, ...childArgs("step", folder, JSON.stringify(options))] as [string, ...string[]];
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env: childEnv(env) });
  children.push(child);
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (data: string) => { errors += data; });
  child.on("error", (error) => { errors += String(error); });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next() as { value: string; done?: boolean };
    if (done) throw new Error(`Expected an answer, the process ended: ${errors}`);
    return value;
  };
  await next();
  return {
    async ask(what) { child.stdin.write(`${what}\n`); return JSON.parse(await next()) as unknown; },
    async end() { child.stdin.end(); if (child.exitCode === null) await once(child, "close"); },
    errors: () => errors,
  };
}
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "close");
  child.kill("SIGKILL");
  await ended;
}

let library: string | undefined;
/** The library that stands between a process and its disk; undefined, with the reason, where it cannot be made. */
export function diskLibrary(): { readonly path?: string; readonly missing?: string } {
  if (process.platform !== "linux") return { missing: "the disk library is for Linux" };
  if (library !== undefined && existsSync(library)) return { path: library };
  const source = fileURLToPath(new URL("disk.c", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "clawflow-disk-"));
  made.push(folder);
  const path = join(folder, `disk-${createHash("sha256").update(readFileSync(source)).digest("hex").slice(0, 8)}.so`);
  const tried = spawnSync("gcc", ["-O1", "-shared", "-fPIC", "-o", path, source, "-ldl"], { encoding: "utf8" });
  if (tried.error !== undefined || tried.status !== 0) return { missing: `no working gcc: ${tried.error?.message ?? tried.stderr}` };
  library = path;
  return { path };
}

/** By id: whether it was said to be pending or done. Lines of `child.ts`; a last line that was cut was not said. */
export function readAcks(out: string, acked = new Map<string, string>()): Map<string, string> {
  for (const line of out.slice(0, out.lastIndexOf("\n") + 1).split("\n")) {
    const [id, state, ...rest] = line.split(" ");
    if (id !== undefined && (state === "pending" || state === "done") && rest.length === 0) acked.set(id, state);
  }
  return acked;
}
export interface Verdict { readonly lost: readonly string[]; readonly halves: readonly string[]; readonly kept: number }
/** `lost`: confirmed, and not there as it was confirmed. `halves`: a part of a commit is there and another is not. */
export async function judge(store: Store, acked: ReadonlyMap<string, string>, callers = 5): Promise<Verdict> {
  const lost: string[] = [];
  const halves: string[] = [];
  const receipts = new Map<string, Receipt>();
  for (let after = 0; ;) {
    const page = await store.pending(after, 1000);
    for (const receipt of page) receipts.set(receipt.message.id, receipt);
    if (page.length < 1000) break;
    after = page.at(-1)?.seq as number;
  }
  const kept = new Map(await store.list("acked", "")) as Map<string, number>;
  const turns = new Set((await Promise.all(["s0", "s1", "s2", "s3", "s4"].map((session) => store.turns(session, 1e6)))).flat().map(({ turn }) => turn.text));
  for (const [id, seq] of kept) {
    const [row, journal, receipt] = [await store.outboxRow(id), await store.journal(`1.s.${id}`), receipts.get(id)];
    const done = (await store.receipt(seq))?.state === "done";
    if (row === undefined || journal.length !== 1 || !turns.has(id) || (receipt === undefined) !== done || (row.state === "sent") !== done) halves.push(id);
    if (acked.get(id) === "done" && !done) lost.push(id);
  }
  for (const id of acked.keys()) if (!kept.has(id)) lost.push(id);
  const { received, outbox } = await store.counts();
  const parts = outbox.planned + outbox.sent;
  // The five callers may each have received a message and not confirmed it yet.
  if (received !== parts || received !== turns.size || received < kept.size || received > kept.size + callers) halves.push(`${received} receipts, ${parts} parts, ${turns.size} turns, ${kept.size} confirmed`);
  return { lost, halves, kept: kept.size };
}
