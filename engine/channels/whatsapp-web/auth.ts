/** Baileys' auth state in the account's storage: every key is on disk before it is used. */
import type { AccountStorage } from "../channel.ts";
import type { KeyStore, Library } from "./library.ts";

const CREDS = "auth:creds";
const KEY = "auth:key:";

export interface Auth {
  readonly creds: Record<string, unknown>;
  readonly keys: KeyStore;
  /** A phone is linked. */
  readonly linked: boolean;
  /** Resolves when the credentials as they are now are on disk. Several calls at once are one write, with the newest. */
  save(): Promise<void>;
}

export async function openAuth(storage: AccountStorage, { BufferJSON, initAuthCreds, proto }: Pick<Library, "BufferJSON" | "initAuthCreds" | "proto">): Promise<Auth> {
  // Storage takes plain JSON: bytes travel as Baileys itself writes them into files.
  const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value, (key, inner: unknown) => BufferJSON.replacer(key, inner)));
  const revived = (value: unknown): unknown => JSON.parse(JSON.stringify(value), (key, inner: unknown) => BufferJSON.reviver(key, inner));
  const kept = await storage.get(CREDS);
  const creds = kept === undefined ? initAuthCreds() : (revived(kept) as Record<string, unknown>);
  let writing: Promise<void> = Promise.resolve();
  let next: Promise<void> | undefined;

  return {
    creds,
    get linked() { return creds["registered"] === true || (creds["me"] !== undefined && creds["account"] !== undefined); },
    save() {
      // The one that waits takes all changes up to its start.
      next ??= writing.catch(() => undefined).then(() => {
        next = undefined;
        writing = storage.set({ [CREDS]: plain(creds) });
        return writing;
      });
      return next;
    },
    keys: {
      async get(type, ids) {
        const found = await Promise.all(ids.map(async (id) => [id, await storage.get(`${KEY}${type}:${id}`)] as const));
        return Object.fromEntries(found.filter(([, value]) => value !== undefined && value !== null).map(([id, value]) => {
          const read = revived(value);
          return [id, type === "app-state-sync-key" ? proto.Message.AppStateSyncKeyData.fromObject(read) : read];
        }));
      },
      async set(data) {
        const changes: Record<string, unknown> = {};
        for (const [type, values] of Object.entries(data)) {
          for (const [id, value] of Object.entries(values ?? {})) changes[`${KEY}${type}:${id}`] = value === null || value === undefined ? undefined : plain(value);
        }
        if (Object.keys(changes).length > 0) await storage.set(changes);
      },
    },
  };
}

/** After a logout: nothing of the old link is of use, and the next start shows a new code. */
export async function forget(storage: AccountStorage): Promise<void> {
  for (;;) {
    const page = await storage.list("auth:", { limit: 500 });
    if (page.length === 0) return;
    await storage.set(Object.fromEntries(page.map(([key]) => [key, undefined])));
  }
}
