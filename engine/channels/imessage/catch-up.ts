/**
 * What is new in the Mac's database, in the order of its rows. One way for everything: polling asks now and then, a webhook only says that it is worth while to ask
 * now. So nothing hangs on a webhook that nobody brings again, and what came while Node-RED was down is there too.
 */
import type { ChannelContext } from "../channel.ts";
import type { Api } from "./api.ts";
import type { Told } from "./to-message.ts";

const PAGE = 100;
/** So much at once; the rest next time. */
const MOST = 1_000;
const CURSOR = "row";

/** `take`: resolves when it is on disk. Resolves when nothing is left, rejects with the cursor at what could not be taken. */
export function createCatchUp(api: Api, { storage }: Pick<ChannelContext, "storage">, take: (told: Told) => Promise<void>): { begin(): Promise<void>; run(signal: AbortSignal): Promise<void> } {
  let row: number | undefined;
  const query = (body: Readonly<Record<string, unknown>>, signal?: AbortSignal) => api.ask("POST", "/message/query", { body: { with: ["chat", "attachment"], ...body }, ...(signal === undefined ? {} : { signal }) }) as Promise<readonly Told[] | undefined>;
  const rowOf = ({ originalROWID }: Told): number => (typeof originalROWID === "number" ? originalROWID : 0);

  return {
    /** The first time begins with what is written from now on: old talks are no messages to a bot. */
    async begin() {
      const known = await storage.get(CURSOR);
      row = typeof known === "number" ? known : Math.max(0, ...((await query({ sort: "DESC", limit: 50 })) ?? []).map(rowOf));
      if (known === undefined) await storage.set({ [CURSOR]: row });
    },
    async run(signal) {
      for (let more = true; more && !signal.aborted; ) {
        const found: Told[] = [];
        for (let offset = 0; found.length < MOST; offset += PAGE) {
          const page = (await query({ sort: "ASC", limit: PAGE, offset, where: [{ statement: "message.ROWID > :row", args: { row } }] }, signal)) ?? [];
          found.push(...page);
          if (page.length < PAGE) break;
        }
        more = found.length >= MOST;
        const before = row;
        for (const told of found.sort((a, b) => rowOf(a) - rowOf(b))) {
          if (signal.aborted) break;
          await take(told);
          row = Math.max(row ?? 0, rowOf(told));
        }
        if (row !== before) await storage.set({ [CURSOR]: row });
      }
    },
  };
}
