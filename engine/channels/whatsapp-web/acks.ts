/** What WhatsApp's server and other devices said about our messages, kept on disk, bounded: after a crash it tells whether a message was taken. */
import type { ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";

const PREFIX = "ack:";
/** The newest are remembered. */
const MOST = 5_000;
/** After the link stands, what happened meanwhile comes at once; so long it is waited for. */
export const WAIT_MS = 30_000;

export interface Acks {
  /** Resolves when it is on disk. */
  keep(id: string): Promise<void>;
  /** True: it was taken. False: it was not, as far as anybody can tell. Throws CONN_001 (later) while a word may still come. */
  has(id: string, since: number): Promise<boolean>;
}

export async function openAcks({ storage, clock }: Pick<ChannelContext, "storage" | "clock">): Promise<Acks> {
  const known = new Set((await storage.list(PREFIX, { limit: MOST * 2 })).sort(([, a], [, b]) => Number(a) - Number(b)).map(([key]) => key));
  return {
    async keep(id) {
      const key = `${PREFIX}${id}`;
      if (known.has(key)) return;
      const old = [...known].slice(0, Math.max(0, known.size + 1 - MOST));
      await storage.set({ ...Object.fromEntries(old.map((each) => [each, undefined])), [key]: clock.now() });
      for (const each of old) known.delete(each);
      known.add(key);
    },
    async has(id, since) {
      if (known.has(`${PREFIX}${id}`)) return true;
      const left = since + WAIT_MS - clock.now();
      if (left > 0) throw new ChannelError("CONN_001", { retry: "later", afterMs: left }, "It is not known whether WhatsApp took this message: a word of it is waited for.");
      return false;
    },
  };
}
