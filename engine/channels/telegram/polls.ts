/** Where our polls stand: an answer to a poll names neither chat nor message. */
import type { AccountStorage } from "../channel.ts";
import type { Address } from "../../message.ts";

export interface PollPlace { readonly chat: string; readonly kind: Address["kind"]; readonly thread?: string; /** Of the poll's message. */ readonly ref: string }
export interface Polls {
  of(id: string): PollPlace | undefined;
  /** Resolves when it is on disk. */
  keep(id: string, place: PollPlace): Promise<void>;
}

const KEY = "polls";
/** Polls that are remembered; of an older one votes come under Telegram's own id. */
const MOST = 500;

export async function openPolls(storage: AccountStorage): Promise<Polls> {
  const kept = (await storage.get(KEY)) as [string, PollPlace][] | undefined;
  const known = new Map<string, PollPlace>(kept);
  return {
    of: (id) => known.get(id),
    async keep(id, place) {
      known.set(id, place);
      for (const old of known.keys()) if (known.size > MOST) known.delete(old);
      await storage.set({ [KEY]: [...known] });
    },
  };
}
