/**
 * Received = done + dead + pending, after every test of test/faults: each rig hands the folder of its store to `watchStore`, and a hook that is there wherever
 * this file is imported looks at all of them. Counted are the rows of the file itself, by a reading of their own: `Store.counts` finds "done" by subtraction.
 * Where it is known what platforms were told yes of, each of these has a row.
 */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import type { Entry } from "./stubs/log.ts";

export interface Held { readonly received: number; readonly pending: number; readonly done: number; readonly dead: number; /** "<account>\n<event id>" of each. */ readonly keys: ReadonlySet<string> }
export interface WatchOptions {
  /** What the platforms saw, where it is to be held against the rows; not where messages are forgotten because their time is over. */
  readonly seen?: () => Promise<readonly Entry[]>;
  /** The test damages the file: what cannot be read is not held against it. */
  readonly damaged?: boolean;
}
/** Disposing looks once more: the process must have ended, or stand still. */
export interface Watch extends AsyncDisposable { check(): Promise<void> }

const watched = new Set<Watch>();

/** A copy is read: the process that has the store lets nobody in. Undefined where there is no store. */
export function readHeld(folder: string): Held | undefined {
  const file = path.join(folder, "store.sqlite");
  if (!existsSync(file)) return undefined;
  const aside = mkdtempSync(path.join(tmpdir(), "clawflow-held-"));
  try {
    for (const ending of ["", "-wal"]) if (existsSync(file + ending)) copyFileSync(file + ending, path.join(aside, `store.sqlite${ending}`));
    const db = new DatabaseSync(path.join(aside, "store.sqlite"));
    try {
      const rows = db.prepare("SELECT state, key FROM inbox NOT INDEXED").all() as unknown as { state: string; key: string }[];
      const count = (state: string): number => rows.filter((row) => row.state === state).length;
      return { received: rows.length, pending: count("pending"), done: count("done"), dead: count("dead"), keys: new Set(rows.map(({ key }) => key.split("\n").slice(1).join("\n"))) };
    } finally {
      db.close();
    }
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

/** What does not add up, one line each. */
export function unconserved({ received, pending, done, dead, keys }: Held, seen: readonly Entry[]): string[] {
  const wrong = received === done + dead + pending ? [] : [`received ${received} is not done ${done} + dead ${dead} + pending ${pending}`];
  // Who says the owner's code has said no message.
  const messages = seen.filter(({ id }) => /^m\d+$/.test(String(id)));
  const acked = messages.filter(({ what }) => what === "acked");
  for (const { bot, id } of acked) if (bot !== "telegram" && !keys.has(`${String(bot)}\n${String(id)}`)) wrong.push(`${String(id)} of ${String(bot)} was confirmed and is not there`);
  const of = (entries: readonly Entry[], bot: string): number => entries.filter((entry) => entry.bot === bot).length;
  // Telegram's ids are numbers of its own.
  for (const bot of new Set(messages.map((entry) => String(entry.bot)))) {
    const there = [...keys].filter((key) => key.startsWith(`${bot}\n`)).length;
    const [confirmed, said] = [of(acked, bot), of(messages.filter(({ what }) => what === "said"), bot)];
    if (there < confirmed || there > said) wrong.push(`${there} messages of ${bot} are there, ${said} were said and ${confirmed} confirmed`);
  }
  return wrong;
}

export function watchStore(folder: string, { seen = async () => [], damaged = false }: WatchOptions = {}): Watch {
  async function look(): Promise<string[]> {
    // Before the rows: what is confirmed in between may have none yet in what is read.
    const entries = [...await seen()];
    try {
      const held = readHeld(folder);
      return held === undefined ? [] : unconserved(held, entries.filter(({ what }) => what !== "said").concat((await seen()).filter(({ what }) => what === "said")));
    } catch (error) {
      return damaged ? [] : [`${folder} cannot be read: ${(error as Error).message}`];
    }
  }
  const watch: Watch = {
    async check() {
      let wrong = await look();
      // A checkpoint between the copies of the two files makes a copy of no moment.
      for (let tries = 0; wrong.length > 0 && tries < 3; tries++) { await pause(300); wrong = await look(); }
      assert.deepEqual(wrong, [], "received = done + dead + pending");
    },
    async [Symbol.asyncDispose]() {
      watched.delete(watch);
      await watch.check();
    },
  };
  watched.add(watch);
  return watch;
}

afterEach(async function () {
  this.timeout(60_000);
  for (const watch of watched) await watch.check();
});
