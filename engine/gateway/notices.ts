/** What the gateway tells people by itself: one short word in a chat, by policy; what went wrong stands in Node-RED. */
import type { Warning } from "../ledger.ts";
import type { Address } from "../message.ts";
import type { Outbox } from "../outbox.ts";
import type { People } from "../people.ts";
import type { NewOutboxRow } from "../store/store.ts";
import type { GatewayLimits, GatewayOptions, Notice } from "./contract.ts";

/** Stands for a run in the rows of notices. */
export const NOTICE = "notice";

export interface NoticesOptions extends Pick<GatewayOptions, "store" | "clock" | "texts" | "log"> {
  readonly people: People;
  limits(): Pick<GatewayLimits, "notice" | "staleMs">;
  outbox(): Outbox;
}
export interface Notices {
  /** The row that tells of a message or delivery that is lost; undefined where nobody shall be told. */
  lost(about: Omit<Notice, "to">, at: Address, step: string): NewOutboxRow | undefined;
  /** A limit came near. */
  budget(warning: Warning): void;
}

export function createNotices({ store, clock, texts, log, people, limits, outbox }: NoticesOptions): Notices {
  const row = (step: string, to: Address, text: string): NewOutboxRow => outbox().row({ run: NOTICE, step, op: "send", to, draft: { text }, priority: "low", expiresAt: clock.now() + limits().staleMs });
  return {
    lost(about, at, step) {
      const { notice } = limits();
      // Of a damaged record the chat may not be known.
      const to = notice === "chat" && at.chat !== "" ? at : people.ownerOf(at.account)?.at;
      return notice === "none" || to === undefined ? undefined : row(step, to, texts.notice({ ...about, to: notice }));
    },
    /** The mark and the notice are one commit: the owner is told once, or again of nothing. */
    budget({ subject, mark, key, ...standing }) {
      const to = limits().notice === "none" || standing.limit === "run" ? undefined : (people.ownerOf(subject.account) ?? people.all().find(({ trust, at }) => trust === "owner" && at !== undefined))?.at;
      const text = texts.budget?.({ ...standing, agent: subject.agent });
      const told = to === undefined || text === undefined ? undefined : row(`budget ${key}`, to, text);
      store.commit([mark, ...(told === undefined ? [] : [{ do: "outbox" as const, row: told }])]).then(([, seq]) => { if (told !== undefined) outbox().take(told, seq); }, (error: Error) => log("warn", error.message));
    },
  };
}
