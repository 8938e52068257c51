/**
 * Finding notes and turns by their words, by FTS5. Each word is kept with a key of its book or session before it: a search reads what belongs to it, however
 * much else there is, and nobody finds what is somebody else's. Turns enter the index when their session is first searched, so that talking costs nothing.
 */
import { createHash } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import type { Turn } from "../models/model.ts";
import { type Asked, bestOf, hitsIn, wordsOf } from "../words.ts";
import type { Op } from "./group.ts";
import type { Turns } from "./sqlite-turns.ts";
import type { Book, Change, Note } from "./store.ts";

type Of<Do extends Change["do"]> = Extract<Change, { do: Do }>;
export interface Words {
  note(change: Of<"note">): Op;
  forgetNotes(change: Of<"forget-notes">): Op;
  notes(book: string, asked: readonly Asked[] | undefined, limit: number): Note[];
  books(limit: number): Book[];
  /**
   * Numbers of the rows of turns that fit best; undefined where too many are in no index yet. `index` brings the next portion in, and need not be waited for
   * where there are numbers: what is missing was looked through as it is.
   */
  find(session: string, asked: readonly Asked[], limit: number): { readonly rows: number[] | undefined; readonly index: Op | undefined };
}
interface TurnRow { readonly n: number; readonly data: string }
interface NoteRow { readonly n: number; readonly book: string; readonly at: number; readonly tainted: number; readonly text: string }

/** Rows of turns, and characters of them, that enter the index at once: about 5 ms. */
const PORTION = 100;
const PORTION_CHARS = 100_000;
/** Fewer rows are read as quickly as they are found in it. */
const FEW = 20;
/** Portions that a search looks through rather than wait until they are in the index. */
const LOOKED = 2;
/** Places of one word that are compared: the newest. */
const MOST_PLACES = 2_000;
const keyOf = (book: string): string => createHash("sha256").update(book).digest("hex").slice(0, 16);
const keyed = (key: string, text: string): string => wordsOf(text).map((word) => `${key}${word}`).join(" ");
/** Words hold letters and digits alone, so nothing in it is FTS5's own syntax. */
const matchOf = (key: string, { word, open }: Asked): string => `"${key}${word}"${open ? "*" : ""}`;
const markOf = (session: string): string => `words ${keyOf(session)}`;

export function textOfTurns(data: string): string {
  try { return (JSON.parse(data) as Turn[]).map((turn) => turn.text).join("\n"); } catch { return ""; }
}

export function createWords(db: DatabaseSync, turns: Turns): Words {
  const count = db.prepare("SELECT count(*) AS n FROM note WHERE book = ?");
  const insert = db.prepare("INSERT INTO note (book, at, tainted, text) VALUES (?, ?, ?, ?)");
  const word = db.prepare("INSERT INTO note_word (rowid, words) VALUES (?, ?)");
  const forgetWord = db.prepare("DELETE FROM note_word WHERE rowid IN (SELECT n FROM note WHERE book = ? AND n = coalesce(?, n))");
  const forget = db.prepare("DELETE FROM note WHERE book = ? AND n = coalesce(?, n)");
  const newest = db.prepare("SELECT * FROM note WHERE book = ? ORDER BY n DESC LIMIT ?");
  const oneNote = db.prepare("SELECT * FROM note WHERE n = ? AND book = ?");
  // One text with all numbers: a row for each would cost several times the search itself.
  const hitsOf = (table: string) => db.prepare(`SELECT json_group_array(rowid) AS numbers FROM (SELECT rowid FROM ${table} WHERE ${table} MATCH ? ORDER BY rowid DESC LIMIT ${MOST_PLACES})`);
  const noteHits = hitsOf("note_word");
  const books = db.prepare("SELECT book, count(*) AS notes, max(at) AS at FROM note GROUP BY book ORDER BY at DESC LIMIT ?");
  const done = db.prepare("SELECT value FROM mark WHERE name = ?");
  const mark = db.prepare("INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value");
  const next = db.prepare("SELECT turn.n, data FROM turn_index CROSS JOIN turn ON turn.n = turn_index.n WHERE turn_index.session = ? AND turn_index.n > ? ORDER BY turn_index.n");
  const oneTurn = db.prepare("SELECT n, data FROM turn WHERE n = ?");
  const turnWord = db.prepare("INSERT INTO turn_word (rowid, words) VALUES (?, ?)");
  const turnHits = hitsOf("turn_word");

  // A store that was saved from damage has its notes and not their words.
  for (const { n, book, text } of db.prepare("SELECT n, book, text FROM note WHERE n > coalesce((SELECT max(id) FROM note_word_docsize), 0)").all() as unknown as NoteRow[]) word.run(n, keyed(keyOf(book), text));

  /** The next rows of a session that are not in the index, so many portions at most. */
  function missing(session: string, portions: number): { readonly rows: TurnRow[]; readonly more: boolean } {
    const rows: TurnRow[] = [];
    let last = (done.get(markOf(session)) as { value: number } | undefined)?.value ?? 0;
    let chars = 0;
    const isFull = (): boolean => rows.length >= PORTION * portions || chars >= PORTION_CHARS * portions;
    const take = (row: TurnRow): void => { rows.push(row); last = row.n; chars += row.data.length; };
    for (const row of next.iterate(session, last) as Iterable<unknown>) {
      if (isFull()) return { rows, more: true };
      take(row as TurnRow);
    }
    for (const n of turns.unsettled(session)) {
      const row = n > last ? oneTurn.get(n) as TurnRow | undefined : undefined;
      if (row === undefined) continue;
      if (isFull()) return { rows, more: true };
      take(row);
    }
    return { rows, more: false };
  }
  function index(session: string): undefined {
    const { rows } = missing(session, 1);
    const key = keyOf(session);
    for (const { n, data } of rows) turnWord.run(n, keyed(key, textOfTurns(data)));
    if (rows.length > 0) mark.run(markOf(session), (rows.at(-1) as TurnRow).n);
  }
  const noteOf = ({ n, at, tainted, text }: NoteRow): Note => ({ n, at, tainted: tainted !== 0, text });
  return {
    note({ book, at, tainted, text, most }) {
      const words = keyed(keyOf(book), text);
      return () => {
        if (most !== undefined && Number((count.get(book) as { n: number }).n) >= most) return undefined;
        const n = Number(insert.run(book, at, tainted ? 1 : 0, text).lastInsertRowid);
        word.run(n, words);
        return n;
      };
    },
    forgetNotes({ book, n = null }) {
      return () => {
        forgetWord.run(book, n);
        return Number(forget.run(book, n).changes) || undefined;
      };
    },
    notes(book, asked, limit) {
      if (asked === undefined) return (newest.all(book, limit) as unknown as NoteRow[]).map(noteOf);
      const key = keyOf(book);
      const hits = asked.map((word) => numbersOf(noteHits.get(matchOf(key, word))));
      return bestOf(hits, limit).flatMap((n) => { const row = oneNote.get(n, book) as NoteRow | undefined; return row === undefined ? [] : [noteOf(row)]; });
    },
    books: (limit) => (books.all(limit) as unknown as Book[]).map((row) => ({ ...row })),
    find(session, asked, limit) {
      const { rows, more } = missing(session, LOOKED);
      const op = rows.length < FEW && !more ? undefined : () => index(session);
      if (more) return { rows: undefined, index: op };
      const key = keyOf(session);
      const rest = hitsIn(rows.map(({ n, data }) => ({ n, text: textOfTurns(data) })), asked);
      return { rows: bestOf(asked.map((word, at) => [...rest[at] ?? [], ...numbersOf(turnHits.get(matchOf(key, word)))]), limit), index: op };
    },
  };
}
const numbersOf = (row: unknown): number[] => JSON.parse((row as { numbers: string }).numbers) as number[];
