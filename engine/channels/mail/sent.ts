/** What an account remembers of mails that a server took: written at once, so that a crash right after it is no doubt. The old is forgotten. */
import type { AccountStorage } from "../channel.ts";
import type { Clock } from "../../clock.ts";

const PREFIX = "sent/";
/** Longer than any send is tried. */
const KEEP_MS = 2 * 86_400_000;
const MOST = 100_000;
const stamp = (at: number): string => PREFIX + String(Math.max(0, at)).padStart(14, "0");

export interface Sent {
  /** The change that remembers that the mail made of this key's id went out under `ref`. */
  change(id: string, ref: string): Readonly<Record<string, unknown>>;
  /** Its ref; undefined where nothing is known. */
  find(id: string): Promise<string | undefined>;
}
export async function openSent(storage: AccountStorage, clock: Pick<Clock, "now">): Promise<Sent> {
  const limit = stamp(clock.now() - KEEP_MS);
  const old = (await storage.list(PREFIX, { limit: MOST })).filter(([key]) => key < limit);
  if (old.length > 0) await storage.set(Object.fromEntries(old.map(([key]) => [key, undefined])));
  return {
    change: (id, ref) => ({ [`${stamp(clock.now())}/${id}`]: ref }),
    async find(id) {
      const ref = (await storage.list(PREFIX, { limit: MOST })).find(([key]) => key.endsWith(`/${id}`))?.[1];
      return typeof ref === "string" ? ref : undefined;
    },
  };
}
