/** What is set right in a sound file whose contents are behind, or hold single damaged values. */
import type { DatabaseSync } from "node:sqlite";
import { DAMAGED } from "./rows.ts";

/** Name of the mark a copy bears, so that it is known as one wherever and however it comes back. Value: when it was made. */
export const COPIED = "copied";
/** Of a part that waited in a copy. By its code the outbox knows that a send without proof would be a second one. */
const PERHAPS_SENT = { code: "STORE_006", text: "It was waiting when the store was copied, and may have been sent since." };
const PERHAPS_ANSWERED = "It was waiting when the store was copied, and may have been answered since. Send it again if it was not.";

export interface Rewound { readonly receipts: number; readonly rows: number }

/**
 * After the contents went back in time. What waited then may have been done since, so it is not simply done again: a message becomes a dead letter, a part
 * to be sent becomes `unknown`, for the outbox to find out. What is due later stays planned: it cannot have been sent. All of it once, also when interrupted.
 */
export function rewind(db: DatabaseSync, now: number): Rewound {
  return transaction(db, () => {
    const copied = (db.prepare("SELECT value FROM mark WHERE name = ?").get(COPIED) as { value: number } | undefined)?.value;
    const error = copied === undefined ? null : JSON.stringify(PERHAPS_SENT);
    const rows = Number(db.prepare("UPDATE outbox SET state = 'unknown', started = coalesce(started, planned), error = coalesce(?, error) WHERE state IN ('sending', 'unknown') OR state = 'planned' AND due <= ?").run(error, now).changes);
    const receipts = Number(db.prepare("UPDATE inbox SET state = 'dead', reason = ? WHERE state = 'pending'").run(PERHAPS_ANSWERED).changes);
    db.prepare("DELETE FROM mark WHERE name = ?").run(COPIED);
    db.prepare("INSERT INTO kv (space, key, value) VALUES ('store', 'restored', ?) ON CONFLICT DO UPDATE SET value = excluded.value").run(JSON.stringify({ at: now, ...(copied === undefined ? {} : { copiedAt: copied }) }));
    return { receipts, rows };
  });
}
export function isCopy(db: DatabaseSync): boolean {
  return db.prepare("SELECT 1 FROM mark WHERE name = ?").get(COPIED) !== undefined;
}
/** Makes sure that the -wal is there and holds a commit, from now until the store is closed. */
export function beginLog(db: DatabaseSync, now: number): void {
  db.prepare("INSERT INTO mark (name, value) VALUES ('opened', ?) ON CONFLICT DO UPDATE SET value = excluded.value").run(now);
}

/** Takes out values and steps that are JSON no more, which no check of the file finds. A message whose steps are not all known is not done again. The names of what was lost. */
export function dropDamaged(db: DatabaseSync): string[] {
  return transaction(db, () => {
    const lost: string[] = [];
    const damaged = <T extends object>(sql: string, text: (row: T) => unknown): T[] => db.prepare(sql).iterate().filter((row) => !isJson(text(row as T))).toArray() as unknown as T[];
    for (const { space, key } of damaged<{ space: string; key: string; value: unknown }>("SELECT space, key, value FROM kv", ({ value }) => value)) {
      db.prepare("DELETE FROM kv WHERE space = ? AND key = ?").run(space, key);
      lost.push(`value ${String(space)}/${String(key)}`);
    }
    for (const { run, step } of damaged<{ run: string; step: string; data: unknown }>("SELECT run, step, data FROM journal", ({ data }) => data)) {
      db.prepare("DELETE FROM journal WHERE run = ? AND step = ?").run(run, step);
      db.prepare("UPDATE inbox SET state = 'dead', reason = ? WHERE seq = CAST(? AS INTEGER) AND state = 'pending'").run(DAMAGED.text, run);
      lost.push(`step ${String(step)} of run ${String(run)}`);
    }
    return lost;
  });
}
export function isJson(text: unknown): boolean {
  if (typeof text !== "string") return false;
  try { JSON.parse(text); return true; } catch { return false; }
}
/** All of `act` or nothing of it. */
export function transaction<T>(db: DatabaseSync, act: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const result = act();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    try { db.exec("ROLLBACK"); } catch { /* SQLite rolled back itself. */ }
    throw error;
  }
}
