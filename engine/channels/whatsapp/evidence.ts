/**
 * What statuses tell of our sends: each carries the key it was sent with. Kept on disk, bounded, so that after a crash it is known whether a message
 * was taken; and when the last message of a person came, which decides whether free text is allowed.
 */
import type { AccountStorage, ChannelContext, SentBefore } from "../channel.ts";
import { waitsFrom } from "../doubt.ts";
import { ChannelError } from "../../errors.ts";
import { numeric } from "./content.ts";
import { errorText } from "./to-message.ts";
import { fromStatusError, WINDOW_HINT } from "./errors.ts";
import { WINDOW_MS } from "./limits.ts";
import type { Item, WaStatus } from "./payload.ts";

/** Keys remembered: the newest. */
const KEYS = 5_000;
/** A status comes a second or two after the send. So long it is waited for, counted from when it could arrive. */
const STATUS_WAIT_MS = 30_000;
/** A person's time is written again when it is older than this. */
const FRESH_MS = 60_000;
const PEOPLE = 5_000;
/** Our clock may go before theirs. */
const SLACK_MS = 60_000;

interface Kept { readonly ref: string; readonly at: number; readonly code?: number; readonly text?: string }

export interface Evidence {
  /** Resolves when what these items tell is on disk: only then may they be confirmed. */
  keep(items: readonly Item[]): Promise<void>;
  /** The ref of a message that WhatsApp took; throws its fault where it failed afterwards, and CONN_001 (later) while a status may still come. */
  find(sent: SentBefore): Promise<string | undefined>;
  /** Throws MSG_002 when it is known that the last message of this person is older than 24 hours. */
  needsOpenWindow(chat: string): Promise<void>;
}

export async function openEvidence({ storage, clock }: Pick<ChannelContext, "storage" | "clock">): Promise<Evidence> {
  const openedAt = clock.now();
  /** What is on disk: keys of sends, oldest first, and the newest time of each person. */
  const sent = new Set((await oldest(storage)).map(([key]) => key));
  const people = new Map<string, number>();

  function ofStatus({ id: ref, biz_opaque_callback_data: key, status, errors, recipient_id, recipient_user_id, recipient_type }: WaStatus, changes: Record<string, unknown>): void {
    const code = status === "failed" ? (numeric(errors?.[0]?.code) || 131000) : undefined;
    const chat = recipient_id ?? recipient_user_id;
    // Too late for free text: from now on that is known without asking.
    if (code === 131047 && typeof chat === "string" && recipient_type !== "group") changes[`window:${chat}`] = 0;
    if (typeof key !== "string" || key === "" || key.length > 512 || typeof ref !== "string" || (sent.has(`sent:${key}`) && code === undefined)) return;
    changes[`sent:${key}`] = { ref, at: clock.now(), ...(code === undefined ? {} : { code, text: errorText(errors) ?? "" }) } satisfies Kept;
  }

  /** A person's message opens the window, and so does a call. */
  function ofPerson(item: Item, changes: Record<string, unknown>): void {
    const { kind, one } = item;
    const chat = kind === "message" && one.group_id === undefined ? (one.from ?? one.from_user_id) : kind === "call" && one.direction === "USER_INITIATED" ? one.from : undefined;
    const at = numeric(one.timestamp) * 1000;
    if (typeof chat === "string" && chat !== "" && Number.isFinite(at) && at - (people.get(chat) ?? Number.NEGATIVE_INFINITY) >= FRESH_MS) changes[`window:${chat}`] = at;
  }

  /** Once it is on disk. */
  function remember(changes: Readonly<Record<string, unknown>>): void {
    for (const [key, value] of Object.entries(changes)) {
      if (key.startsWith("sent:")) {
        sent.delete(key);
        if (value !== undefined) sent.add(key);
        continue;
      }
      const chat = key.slice("window:".length);
      people.delete(chat);
      if (value !== 0) people.set(chat, value as number);
      if (people.size > PEOPLE) people.delete(people.keys().next().value as string);
    }
  }

  return {
    async keep(items) {
      const changes: Record<string, unknown> = {};
      for (const item of items) {
        if (item.kind === "status") ofStatus(item.one, changes);
        else ofPerson(item, changes);
      }
      if (Object.keys(changes).length === 0) return;
      for (const old of [...sent].slice(0, Math.max(0, sent.size + items.length - KEYS))) changes[old] ??= undefined;
      await storage.set(changes);
      remember(changes);
    },
    async find(asked) {
      const kept = (await storage.get(`sent:${asked.key}`)) as Kept | undefined;
      if (kept?.code !== undefined) throw fromStatusError({ code: kept.code, message: kept.text ?? "" });
      if (kept !== undefined) return kept.ref;
      const left = waitsFrom(asked, openedAt) + STATUS_WAIT_MS - clock.now();
      if (left > 0) throw new ChannelError("CONN_001", { retry: "later", afterMs: left }, "It is not known whether WhatsApp took this message: its status is waited for.");
      return undefined;
    },
    async needsOpenWindow(chat) {
      const last = await storage.get(`window:${chat}`);
      if (typeof last === "number" && clock.now() - last > WINDOW_MS + SLACK_MS) throw new ChannelError("MSG_002", { unsent: true }, WINDOW_HINT);
    },
  };
}

/** All kept keys, oldest first, however many a shorter limit of an earlier version left. */
async function oldest(storage: AccountStorage): Promise<[string, unknown][]> {
  const found: [string, unknown][] = [];
  for (let after: string | undefined; ; after = found.at(-1)?.[0]) {
    const page = await storage.list("sent:", { limit: 1_000, ...(after === undefined ? {} : { after }) });
    found.push(...page);
    if (page.length < 1_000) return found.sort(([, a], [, b]) => (a as Kept).at - (b as Kept).at);
  }
}
