/** What agents are told to remember, beyond one talk: notes in books, one for each person, chat or gateway. Which book is the agent's setting, never the model's choice. */
import type { Clock } from "./clock.ts";
import { ToolError } from "./errors.ts";
import type { Message } from "./message.ts";
import type { Book, Change, Note, Store } from "./store/store.ts";
import type { Tool } from "./tool.ts";
import { askedIn } from "./words.ts";

export type MemoryScope = "person" | "chat" | "gateway";
export const MEMORY_SCOPES: readonly MemoryScope[] = ["person", "chat", "gateway"];

/** Notes of one book, and characters of a note. */
export const MOST_NOTES = 1_000;
export const NOTE_CHARS = 2_000;
const SHOWN = 8;
const NEWEST = 20;
/** How the id of a sender begins whom the platform could not verify. */
const UNVERIFIED = "unverified:";

/** The book that belongs to a message: by the platform's immutable ids, of one account each, so that nobody comes by another's notes through a name. */
export function bookOf(scope: MemoryScope, { at, sender }: Pick<Message, "at" | "sender">): string {
  if (scope === "gateway") return JSON.stringify(["gateway"]);
  if (scope === "person") return JSON.stringify(["person", at.channel, at.account, sender.id]);
  // Whoever may have forged the address of a chat has a book of their own, never that of the person whom the address names.
  const apart = at.kind === "direct" && sender.id.startsWith(UNVERIFIED) ? [sender.id] : [];
  return JSON.stringify(["chat", at.channel, at.account, at.chat, ...apart]);
}
/** What a book's name says; undefined for one that is none. */
export function readBook(book: string): { readonly scope: MemoryScope; readonly channel?: string; readonly account?: string; readonly id?: string } | undefined {
  try {
    const [scope, channel, account, id] = JSON.parse(book) as string[];
    if (!MEMORY_SCOPES.includes(scope as MemoryScope)) return undefined;
    return scope === "gateway" ? { scope } : { scope: scope as MemoryScope, channel: channel ?? "", account: account ?? "", id: id ?? "" };
  } catch {
    return undefined;
  }
}

export interface Memory {
  /** The note's number; the one there is when it says the same. Throws ToolError MEM_001: too long, empty, or the book is full. */
  remember(book: string, text: string, tainted: boolean): Promise<number>;
  /** The notes that fit the question best; without one the newest. */
  recall(book: string, question: string, limit?: number): Promise<Note[]>;
  /** Newest first. */
  list(book: string, limit: number): Promise<Note[]>;
  /** One note, or without `n` all of the book. How many are gone. */
  forget(book: string, n?: number): Promise<number>;
  /** The change that does it, for whoever commits more with it. */
  forgetting(book: string, n?: number): Change;
  books(limit: number): Promise<Book[]>;
}

export function createMemory(store: Store, clock: Clock): Memory {
  const forgetting: Memory["forgetting"] = (book, n) => ({ do: "forget-notes", book, ...(n === undefined ? {} : { n }) });
  return {
    forgetting,
    async remember(book, given, tainted) {
      const text = given.trim();
      if (text === "" || text.length > NOTE_CHARS) throw new ToolError("MEM_001", {}, `Expected a note of 1 to ${NOTE_CHARS} characters, got ${text.length}. Write it shorter.`);
      // All of them: they are fewer than a search for each word of a long note would read.
      const same = (await store.notes(book, undefined, MOST_NOTES)).find((note) => note.text === text && (note.tainted || !tainted));
      if (same !== undefined) return same.n;
      const [n] = await store.commit([{ do: "note", book, at: clock.now(), tainted, text, most: MOST_NOTES }]);
      if (n === undefined) throw new ToolError("MEM_001", {}, `Expected fewer than ${MOST_NOTES} notes, but the memory is full. Forget some that are not needed any more.`);
      return n;
    },
    async recall(book, question, limit = SHOWN) {
      const asked = askedIn(question);
      if (asked.length === 0) return store.notes(book, undefined, Math.max(limit, NEWEST));
      return store.notes(book, asked, limit);
    },
    list: (book, limit) => store.notes(book, undefined, limit),
    async forget(book, n) {
      const [gone] = await store.commit([forgetting(book, n)]);
      return gone ?? 0;
    },
    books: (limit) => store.books(limit),
  };
}

const base = { tags: [], readsPrivate: true, talksOutside: false, shared: true, timeoutMs: 10_000 } as const;
const schema = (properties: Readonly<Record<string, object>>, required: readonly string[]) => ({ type: "object", properties, required, additionalProperties: false });
/** The same for all books: what they compile to is kept as long as they are. */
const REMEMBER = schema({ text: { type: "string", description: "The fact", maxLength: NOTE_CHARS } }, ["text"]);
const RECALL = schema({ query: { type: "string", description: "What it is about, in a few words; empty for the newest notes" } }, ["query"]);
const FORGET = schema({ note: { type: "integer", description: "Number of the note", minimum: 1 } }, ["note"]);
const day = (at: number): string => new Date(at).toISOString().slice(0, 10);
const ABOUT: Readonly<Record<MemoryScope, string>> = { person: "this person", chat: "this chat", gateway: "everybody here" };

/** remember, recall and forget for one book. */
export function memoryTools(memory: Memory, scope: MemoryScope, book: string): Tool[] {
  return [
    {
      ...base, name: "remember", risk: "write",
      description: `Keeps a fact about ${ABOUT[scope]} for later talks: a name, a preference, a date, a decision. One fact for each call, as a whole sentence that can be understood alone.`,
      parameters: REMEMBER,
      // What others read too is outside text to them where somebody wrote it who is only allowed.
      call: async (input, { tainted, trust }) => ({ text: `Kept as note ${await memory.remember(book, (input as { text: string }).text, tainted || (scope !== "person" && trust !== "owner" && trust !== "paired"))}.` }),
    },
    {
      ...base, name: "recall", risk: "read",
      description: `Looks up what was kept about ${ABOUT[scope]} in earlier talks. Use it before you say that you do not know.`,
      parameters: RECALL,
      async call(input) {
        const notes = await memory.recall(book, (input as { query: string }).query);
        if (notes.length === 0) return { text: "Nothing is kept about that." };
        return { text: notes.map(({ n, at, text }) => `[note ${n}, ${day(at)}] ${text}`).join("\n"), tainted: notes.some(({ tainted }) => tainted) };
      },
    },
    {
      ...base, name: "forget", risk: "write",
      description: "Removes a note by its number, as recall shows it, when it is wrong or the user asks for it.",
      parameters: FORGET,
      async call(input) {
        const { note } = input as { note: number };
        if ((await memory.forget(book, note)) === 0) throw new ToolError("MEM_001", {}, `Expected the number of a note that is kept, got ${note}. Look for it with recall.`);
        return { text: `Note ${note} is gone.` };
      },
    },
  ];
}
