/**
 * Finding notes and turns by their words, by FTS5. Each word is kept with a key of its book or session before it: a search reads what belongs to it, however
 * much else there is, and nobody finds what is somebody else's. Turns enter the index when their session is first searched, so that talking costs nothing.
 */
import { createHash } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import type { Turn } from "../models/model.ts";
import { type Asked, bestOf, hitsIn, wordsOf } from "../words.ts";
import type { Op } from "./group.ts";
import type { Book, Change, Note } from "./store.ts";

type Of<Do extends Change["do"]> = Extract<Change, { do: Do }>;
export interface Words {
  note(change: Of<"note">): Op;
  forgetNotes(change: Of<"forget-notes">): Op;
  notes(book: string, asked: readonly Asked[] | undefined, limit: number): Note[];
  books(limit: number): Book[];
  /** What brings a session's turns into the index; undefined where so few are missing that they are looked through as they are. */
  behind(session: string): Op | undefined;
  /** Numbers of the rows of turns that fit best. */
  rows(session: string, asked: readonly Asked[], limit: number): number[];
}
interface TurnRow { readonly n: number; readonly data: string }
interface NoteRow { readonly n: number; readonly book: string; readonly at: number; readonly tainted: number; readonly text: string }

/** Rows of turns that enter the index at once: about 10 ms. Fewer are read as quickly as they are found in it. */
const PORTION = 100;
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

export function createWords(db: DatabaseSync): Words {
  const count = db.prepare("SELECT count(*) AS n FROM note WHERE book = ?");
  const insert = db.prepare("INSERT INTO note (book, at, tainted, text) VALUES (?, ?, ?, ?)");
  const word = db.prepare("INSERT INTO note_word (rowid, words) VALUES (?, ?)");
  const forgetWord = db.prepare("DELETE FROM note_word WHERE rowid IN (SELECT n FROM note WHERE book = ? AND n = coalesce(?, n))");
  const forget = db.prepare("DELETE FROM note WHERE book = ? AND n = coalesce(?, n)");
  const newest = db.prepare("SELECT * FROM note WHERE book = ? ORDER BY n DESC LIMIT ?");
  const oneNote = db.prepare("SELECT * FROM note WHERE n = ? AND book = ?");
  const noteHits = db.prepare(`SELECT rowid AS n FROM note_word WHERE note_word MATCH ? ORDER BY rowid DESC LIMIT ${MOST_PLACES}`);
  const books = db.prepare("SELECT book, count(*) AS notes, max(at) AS at FROM note GROUP BY book ORDER BY at DESC LIMIT ?");
  const done = db.prepare("SELECT value FROM mark WHERE name = ?");
  const mark = db.prepare("INSERT INTO mark (name, value) VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value");
  const next = db.prepare(`SELECT turn.n, data FROM (SELECT n FROM turn_index WHERE session = ?1 AND n > ?2 UNION ALL SELECT n FROM turn WHERE session = ?1 AND n > max(?2, coalesce((SELECT value FROM mark WHERE name = 'settled'), 0))) AS own CROSS JOIN turn ON turn.n = own.n ORDER BY turn.n LIMIT ${PORTION}`);
  const turnWord = db.prepare("INSERT INTO turn_word (rowid, words) VALUES (?, ?)");
  const turnHits = db.prepare(`SELECT rowid AS n FROM turn_word WHERE turn_word MATCH ? ORDER BY rowid DESC LIMIT ${MOST_PLACES}`);

  // A store that was saved from damage has its notes and not their words.
  for (const { n, book, text } of db.prepare("SELECT n, book, text FROM note WHERE n > coalesce((SELECT max(id) FROM note_word_docsize), 0)").all() as unknown as NoteRow[]) word.run(n, keyed(keyOf(book), text));

  /** The next rows of a session that are not in the index. */
  const missing = (session: string): TurnRow[] => next.all(session, (done.get(markOf(session)) as { value: number } | undefined)?.value ?? 0) as unknown as TurnRow[];
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
      const hits = asked.map((word) => numbersOf(noteHits.all(matchOf(keyOf(book), word))));
      return bestOf(hits).slice(0, limit).flatMap((n) => { const row = oneNote.get(n, book) as NoteRow | undefined; return row === undefined ? [] : [noteOf(row)]; });
    },
    books: (limit) => (books.all(limit) as unknown as Book[]).map((row) => ({ ...row })),
    behind(session) {
      if (missing(session).length < PORTION) return undefined;
      return () => {
        const portion = missing(session);
        for (const { n, data } of portion) turnWord.run(n, keyed(keyOf(session), textOfTurns(data)));
        if (portion.length > 0) mark.run(markOf(session), (portion.at(-1) as TurnRow).n);
        return undefined;
      };
    },
    rows(session, asked, limit) {
      const rest = hitsIn(missing(session).map(({ n, data }) => ({ n, text: textOfTurns(data) })), asked);
      return bestOf(asked.map((word, at) => [...rest[at] ?? [], ...numbersOf(turnHits.all(matchOf(keyOf(session), word)))])).slice(0, limit);
    },
  };
}
const numbersOf = (rows: unknown): number[] => (rows as { n: number }[]).map(({ n }) => n);
