/**
 * Turns, and how they are found again. An ordinary index would dirty one page for each session in each transaction, the largest part of a turn's cost.
 * So the newest rows are found through memory, and every SETTLE rows they enter the index together, sorted.
 */
import type { DatabaseSync } from "node:sqlite";
import type { Turn } from "../models/model.ts";
import type { Op } from "./group.ts";
import type { Numbers } from "./sqlite-changes.ts";
import type { Change, StoredTurn } from "./store.ts";

type Of<Do extends Change["do"]> = Extract<Change, { do: Do }>;
interface TurnRecord { readonly n: number; readonly at: number; readonly run: string; readonly data: string }
export interface Turns {
  add(change: Of<"turns">): Op;
  forget(change: Of<"forget-turns">): Op;
  read(session: string, limit: number): StoredTurn[];
  /** The turns of one commit, oldest first. */
  row(session: string, n: number): StoredTurn[];
  /** Numbers of a session's rows that are not in the index yet, oldest first; some of them may be gone. */
  unsettled(session: string): readonly number[];
  /** To be called in a transaction, before its changes. */
  begin(): void;
  /** To be called when it is on disk, or undone. */
  end(committed: boolean): void;
}

const SETTLE = 1000;
/** Index entries read at a time. */
const PAGE = 16;

export function createTurns(db: DatabaseSync, numbers: Numbers): Turns {
  /** By session: the rows not in the index yet, oldest first. A row that was deleted since may still be named. */
  let recent = new Map<string, number[]>();
  let recentRows = 0;
  let fresh: [session: string, n: number][] = [];
  let settled: number | undefined;

  const insert = db.prepare("INSERT INTO turn (n, session, at, run, data) VALUES (?, ?, ?, ?, ?)");
  const one = db.prepare("SELECT n, at, run, data FROM turn WHERE n = ?");
  const oneOf = db.prepare("SELECT n, at, run, data FROM turn WHERE n = ? AND session = ?");
  const older = db.prepare("SELECT turn.n, at, run, data FROM turn_index CROSS JOIN turn ON turn.n = turn_index.n WHERE turn_index.session = ? AND turn_index.n < ? ORDER BY turn_index.n DESC LIMIT ?");
  const settle = db.prepare("INSERT INTO turn_index (session, n) SELECT session, n FROM turn WHERE n > coalesce((SELECT value FROM mark WHERE name = 'settled'), 0) ORDER BY session, n");
  const mark = db.prepare("INSERT INTO mark (name, value) VALUES ('settled', ?) ON CONFLICT DO UPDATE SET value = excluded.value");
  const forgetWords = db.prepare("DELETE FROM turn_word WHERE rowid IN (SELECT turn.n FROM turn_index CROSS JOIN turn ON turn.n = turn_index.n WHERE turn_index.session = ? AND run = coalesce(?, run))");
  const forgetWord = db.prepare("DELETE FROM turn_word WHERE rowid = ?");
  const forgetOne = db.prepare("DELETE FROM turn WHERE n = ? AND run = coalesce(?, run)");
  const forgetOlder = db.prepare("DELETE FROM turn WHERE n IN (SELECT n FROM turn_index WHERE session = ?) AND run = coalesce(?, run)");
  const forgetIndex = db.prepare("DELETE FROM turn_index WHERE session = ? AND NOT EXISTS (SELECT 1 FROM turn WHERE turn.n = turn_index.n)");

  function remember(session: string, n: number): void {
    const known = recent.get(session);
    if (known === undefined) recent.set(session, [n]); else known.push(n);
    recentRows++;
  }
  for (const { session, n } of db.prepare("SELECT session, n FROM turn WHERE n > coalesce((SELECT value FROM mark WHERE name = 'settled'), 0) ORDER BY n").all() as unknown as { session: string; n: number }[]) remember(session, n);

  return {
    /** All turns of one change are one row, `n` the number of its first. */
    add({ session, run, at, turns }) {
      if (turns.length === 0) return () => undefined;
      const data = JSON.stringify(turns);
      return () => {
        const first = numbers.turn + 1;
        insert.run(first, session, at, run, data);
        numbers.turn += turns.length;
        fresh.push([session, first]);
        return first;
      };
    },
    forget({ session, run = null }) {
      return () => {
        forgetWords.run(session, run);
        let gone = Number(forgetOlder.run(session, run).changes);
        if (gone > 0) forgetIndex.run(session);
        const newest = fresh.filter(([of]) => of === session).map(([, n]) => n);
        for (const n of [...recent.get(session) ?? [], ...newest]) {
          const { changes } = forgetOne.run(n, run);
          if (Number(changes) > 0) forgetWord.run(n);
          gone += Number(changes);
        }
        return gone || undefined;
      };
    },
    read(session, limit) {
      const found: StoredTurn[] = [];
      const take = ({ n, at, run, data }: TurnRecord): void => {
        const turns = parsed(data);
        for (let place = turns.length - 1; place >= 0; place--) found.push({ n: n + place, run, at, turn: turns[place] as Turn });
      };
      const newest = recent.get(session) ?? [];
      for (let place = newest.length - 1; place >= 0 && found.length < limit; place--) {
        const row = one.get(newest[place] as number) as TurnRecord | undefined;
        if (row !== undefined) take(row);
      }
      for (let below = Number.MAX_SAFE_INTEGER; found.length < limit;) {
        const rows = older.all(session, below, PAGE) as unknown as TurnRecord[];
        rows.forEach(take);
        if (rows.length < PAGE) break;
        below = (rows.at(-1) as TurnRecord).n;
      }
      return found.slice(0, Math.max(0, limit)).reverse();
    },
    row(session, n) {
      const found = oneOf.get(n, session) as TurnRecord | undefined;
      return found === undefined ? [] : parsed(found.data).map((turn, place) => ({ n: n + place, run: found.run, at: found.at, turn }));
    },
    unsettled: (session) => recent.get(session) ?? [],
    begin() {
      if (recentRows < SETTLE) return;
      settle.run();
      settled = numbers.turn;
      mark.run(settled);
    },
    end(committed) {
      if (committed) {
        if (settled !== undefined) { recent = new Map(); recentRows = 0; }
        for (const [session, n] of fresh) remember(session, n);
      }
      settled = undefined;
      fresh = [];
    },
  };
}

/** A row that was damaged on disk is forgotten, and the talk goes on. */
function parsed(data: string): Turn[] {
  try { return JSON.parse(data) as Turn[]; } catch { return []; }
}
