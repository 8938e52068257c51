/**
 * A process that the fault tests of the store start, harm and kill. Arguments: what to do, a folder, options as JSON.
 * `work`: commits from five callers, a line `<id> pending|done` to stdout once each is confirmed; with `rounds` so many commits a round, closing and opening
 * between the rounds, then it kills itself; without, for ever. `early`: says so before it is confirmed, as a faulty store would.
 * `migrate`: brings the store to the given steps, and kills itself at statement `at` of them. `step`: does what stdin says, a line of JSON each.
 */
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { createInterface } from "node:readline";
import { StoreError } from "../../../engine/errors.ts";
import { migrate, STEPS } from "../../../engine/store/schema.ts";
import { openSqliteStore, type SqliteStore } from "../../../engine/store/sqlite.ts";
import { newReceipt, newRow, NOW } from "../../contracts/store.ts";

interface Options {
  readonly synchronous?: "FULL" | "NORMAL"; readonly checkpointPages?: number; readonly early?: boolean; readonly rounds?: number; readonly commits?: number;
  readonly steps?: readonly string[]; readonly at?: number; readonly user?: number; readonly words?: number;
}
const [, , what, folder, text = "{}"] = process.argv as [string, string, string, string, string?];
const options = JSON.parse(text) as Options;
const say = (line: string): void => { writeSync(1, `${line}\n`); };
const die = (): void => { process.kill(process.pid, "SIGKILL"); };

async function one(store: SqliteStore, caller: number, n: number): Promise<void> {
  const id = `${process.pid}-${caller}-${n}`;
  const state = n % 3 === 0 ? "done" : "pending";
  if (options.early) say(`${id} pending`);
  const receipt = newReceipt(id);
  const [seq] = await store.commit([
    { do: "receive", receipt: { ...receipt, message: { ...receipt.message, raw: "x".repeat(options.words ?? 0) } } }, { do: "outbox", row: newRow(id) }, { do: "journal", run: `1.s.${id}`, entry: { step: "a", at: NOW, data: id } },
    { do: "turns", session: `s${caller}`, run: id, at: NOW, turns: [{ role: "user", text: id }] },
  ]) as [number];
  await store.commit([{ do: "set", space: "acked", key: id, value: seq }, ...(state === "done" ? [{ do: "receipt", seq, state } as const, { do: "outbox-update", key: id, set: { state: "sent", ref: id } } as const] : [])]);
  say(`${id} ${state}`);
}

if (what === "work") {
  const { synchronous, checkpointPages, rounds = Number.POSITIVE_INFINITY, commits = 60 } = options;
  for (let round = 0; round < rounds; round++) {
    const store = await openSqliteStore(folder, { ...(synchronous === undefined ? {} : { synchronous }), ...(checkpointPages === undefined ? {} : { checkpointPages }) });
    if (store.problems.length > 0) say(`problem ${JSON.stringify(store.problems)}`);
    say("open");
    const most = rounds === Number.POSITIVE_INFINITY ? rounds : commits / 5;
    const copying = rounds === Number.POSITIVE_INFINITY || round % 3 !== 1 ? undefined : store.backup(join(folder, "copy"));
    await Promise.all([0, 1, 2, 3, 4].map(async (caller) => { for (let n = round * 1_000_000; n < round * 1_000_000 + most; n++) await one(store, caller, n); }));
    await copying;
    if (round + 1 < rounds) await store.close();
  }
  die();
}
if (what === "migrate") {
  const db = new DatabaseSync(join(folder, "store.sqlite"));
  db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = 2");
  // Counted at each statement, by a function that the steps call between them, and before and after each transaction.
  let calls = 0;
  const count = (): number => { if (++calls > (options.at ?? Number.POSITIVE_INFINITY)) die(); return calls; };
  db.function("point", count);
  const run = db.exec.bind(db);
  db.exec = (sql: string): void => { count(); run(sql); count(); };
  migrate(db, [...STEPS, ...options.steps ?? []]);
  say(`points ${calls}`);
  db.close();
}
if (what === "step") {
  let store: SqliteStore | undefined;
  const words = "w".repeat(4000);
  let saved = 0;
  /** Everything open, so that nothing more can be. */
  const handles: number[] = [];
  const acts: Record<string, () => Promise<unknown>> = {
    open: async () => { store = await openSqliteStore(folder, { checkpointPages: options.checkpointPages ?? 50 }); return store.problems.length; },
    commit: async () => { await store?.commit([{ do: "set", space: "x", key: String(saved), value: words }]); return ++saved; },
    fill: async () => { for (let n = 0; n < 600; n++) { await store?.commit([{ do: "set", space: "x", key: String(saved), value: words }]); saved++; } return "never full"; },
    read: async () => { const all = await store?.list("x", "") ?? []; return [all.length === saved || all.length, all.every(([, value]) => value === words)]; },
    backup: async () => { await store?.backup(join(folder, "copy")); return "saved"; },
    close: async () => { try { await store?.close(); return "closed"; } finally { store = undefined; } },
    exhaust: async () => { for (;;) try { handles.push(openSync("/dev/null", "r")); } catch (error) { return (error as NodeJS.ErrnoException).code; } },
    relax: async () => { for (const handle of handles.splice(0)) closeSync(handle); return "ok"; },
    user: async () => { process.setegid?.(65_534); process.seteuid?.(65_534); return process.geteuid?.(); },
    root: async () => { process.seteuid?.(0); process.setegid?.(0); return process.geteuid?.(); },
    check: async () => { const db = new DatabaseSync(join(folder, "store.sqlite")); const { integrity_check: found } = db.prepare("PRAGMA integrity_check").get() as { integrity_check: string }; db.close(); return found; },
    handles: async () => readdirSync("/proc/self/fd").length,
    ballast: async () => { writeFileSync(join(folder, "ballast"), Buffer.alloc(1024 * 1024)); return "ok"; },
    room: async () => { rmSync(join(folder, "ballast")); return "ok"; },
    readOnly: async () => { execFileSync("mount", ["-o", "remount,ro", folder]); return "ok"; },
    writable: async () => { execFileSync("mount", ["-o", "remount,rw", folder]); return "ok"; },
    left: async () => readdirSync(folder).filter((name) => name.startsWith("copy")),
  };
  say("ready");
  // Answers are the value, or the code of a StoreError with its retry; any other error ends the process.
  for await (const line of createInterface({ input: process.stdin })) {
    const act = acts[line] as () => Promise<unknown>;
    say(JSON.stringify(await act().catch((error: unknown) => { if (!(error instanceof StoreError)) throw error; return `${error.code} ${error.retry}`; })));
  }
  process.exit();
}
