/**
 * What an account remembers of its conversations, so that an answer joins the right one: subject, the last ids, who spoke last. Kept in the account's storage;
 * the oldest are forgotten.
 */
import { createHash } from "node:crypto";
import type { AccountStorage } from "../channel.ts";

export interface Thread {
  /** Address of the person; another who writes below the same root has a conversation of their own. */
  readonly chat: string;
  readonly root: string;
  readonly subject: string;
  /** Ids of the newest mails, oldest first. */
  readonly ids: readonly string[];
  /** The newest mail that came was written by a machine. */
  readonly machine?: true;
  /** The platform's own name of the conversation (Gmail). */
  readonly name?: string;
  /** Unix milliseconds of the newest mail. */
  readonly at: number;
}
export interface Threads {
  get(chat: string, root: string): Thread | undefined;
  /** Root of the conversation that has this mail. */
  rootOf(id: string): string | undefined;
  /** The change that remembers one more mail; `apply` it once it is stored. */
  change(chat: string, root: string, mail: { readonly id: string; readonly subject: string; readonly at: number; readonly machine?: boolean; readonly name?: string }): { readonly changes: Readonly<Record<string, unknown>>; apply(): void };
}

const MOST_THREADS = 2_000;
const MOST_IDS = 20;
const PREFIX = "thread/";
const keyOf = (chat: string, root: string): string => PREFIX + createHash("sha256").update(`${chat}\n${root}`).digest("hex").slice(0, 32);

export async function openThreads(storage: AccountStorage): Promise<Threads> {
  const stored = (await storage.list(PREFIX, { limit: MOST_THREADS * 2 })).map(([, value]) => value).filter((value): value is Thread => typeof (value as Thread | null)?.root === "string" && typeof (value as Thread).chat === "string" && Array.isArray((value as Thread).ids));
  const threads = new Map(stored.sort((a, b) => a.at - b.at).map((thread) => [keyOf(thread.chat, thread.root), thread]));
  const roots = new Map<string, string>();
  for (const { root, ids } of threads.values()) for (const id of ids) roots.set(id, root);
  return {
    get: (chat, root) => threads.get(keyOf(chat, root)),
    rootOf: (id) => roots.get(id),
    change(chat, root, { id, subject, at, machine, name }) {
      const key = keyOf(chat, root);
      const before = threads.get(key);
      const thread: Thread = {
        chat, root, subject: before?.subject || subject, ids: [...(before?.ids ?? []).filter((each) => each !== id), id].slice(-MOST_IDS), at,
        ...(machine ?? before?.machine ? { machine: true } : {}), ...(name === undefined && before?.name === undefined ? {} : { name: name ?? (before?.name as string) }),
      };
      const gone = before === undefined && threads.size >= MOST_THREADS ? threads.values().next().value : undefined;
      return {
        changes: { [key]: thread, ...(gone === undefined ? {} : { [keyOf(gone.chat, gone.root)]: undefined }) },
        apply() {
          if (gone !== undefined) { threads.delete(keyOf(gone.chat, gone.root)); for (const each of gone.ids) roots.delete(each); }
          for (const each of before?.ids ?? []) if (!thread.ids.includes(each)) roots.delete(each);
          threads.delete(key);
          threads.set(key, thread);
          roots.set(id, root);
        },
      };
    },
  };
}
