/** An answer shown while it is written, at the place and under the key where its final text will be delivered. */
import type { Connection } from "./channels/channel.ts";
import type { Clock } from "./clock.ts";
import { asClawError, type ChannelError } from "./errors.ts";
import { NEVER, postedNothing } from "./life.ts";
import type { Address, Draft } from "./message.ts";
import type { Line } from "./outbox.ts";
import type { NewOutboxRow, Store } from "./store/store.ts";
import { offersNothing } from "./turns.ts";

export interface Live {
  show(text: string): void;
  /**
   * Edit to commit: puts `text` there first, so that the message itself is an edit, which a crash can never double. Does nothing where the platform
   * cannot edit, or needs no such help. Resolves when it stands there.
   */
  place(text: string): Promise<void>;
  /** No more is shown; `deliver` of the same step puts the final text in its place. */
  stop(): Promise<void>;
  /** There will be no final text: what was shown is taken away. */
  abandon(): Promise<void>;
}
export interface LiveOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly line: () => Line | undefined;
  readonly isHeld: () => boolean;
  /** The first part as the channel takes it. */
  readonly cut: (draft: Draft) => Draft;
  /** Counts as a send under way until it has ended. */
  sending<T>(act: () => Promise<T>): Promise<T>;
  /** Where a copy could not be told from the first: one at a time. */
  inTurn<T>(key: string, act: () => Promise<T>): Promise<T>;
  /** The platform said "too many". */
  flooded(afterMs: number): void;
  /** Called when nothing was shown, so that `deliver` need not look. */
  forget(): void;
  /** A placeholder is on disk now. */
  placed(): void;
  /** Takes away what stands there, also by the hand of an earlier process. */
  abandon(): Promise<void>;
}

/** The placeholder and the final text are not the same message to a platform that honours keys: it would keep the first words for ever. */
export const placeholderKey = (key: string): string => `${key}~`;

const EDIT_EVERY_MS = 150;
/** Until the beginning of an answer is shown: some words come together, and an answer that is whole by then needs no placeholder. */
const FIRST_MS = 200;

export interface OwnLive extends Live {
  /** The placeholder's ref, once nothing more is shown. */
  readonly ref: Promise<string | undefined>;
}

export function createLive(delivery: { readonly run: string; readonly step: string; readonly to: Address }, key: string, options: LiveOptions): OwnLive {
  const { store, clock, line } = options;
  const { to, run } = delivery;
  const everyMs = line()?.channel.limits.editEveryMs ?? EDIT_EVERY_MS;
  let text = "";
  let shown = "";
  let waitMs = Math.min(everyMs, FIRST_MS);
  let cancel: (() => void) | undefined;
  let usePreview = true;
  let target: string | undefined;
  let done = false;
  let work: Promise<void> = Promise.resolve();
  let ref: Promise<string | undefined> = Promise.resolve(undefined);

  async function flush(): Promise<void> {
    cancel = undefined;
    const connection = line()?.connection;
    if (done || options.isHeld() || connection === undefined || text === shown || text.trim() === "") return;
    const part = options.cut({ text }).text;
    shown = text;
    waitMs = everyMs;
    const attempt = (): Promise<void> => options.sending(() => display(connection, part));
    try {
      await attempt().catch((thrown: unknown) => {
        // No preview at this place: then by a message that is edited.
        if (!usePreview || connection.preview === undefined || done || asClawError(thrown, "MSG_002").code !== "MSG_005") throw thrown;
        usePreview = false;
        return attempt();
      });
    } catch (thrown) {
      const { retry, code, afterMs = 0 } = asClawError(thrown, "MSG_002");
      if (retry === "no") done = true;
      waitMs = Math.max(everyMs, afterMs);
      if (code === "CONN_003") options.flooded(afterMs);
    }
  }
  async function display(connection: Connection, part: string): Promise<void> {
    if (usePreview && connection.preview !== undefined) return connection.preview(to, { text: part }, key);
    if (connection.edit === undefined) return;
    if (target !== undefined) return connection.edit(to, target, { text: part });
    target = await placeholder(connection, part);
  }
  /** The row is on disk before the placeholder is visible, and knows its ref right after: the final edit finds it even after a crash. */
  async function placeholder(connection: Connection, part: string): Promise<string | undefined> {
    const row: NewOutboxRow = { key, run, op: "send", to, draft: { text: part }, priority: "normal", state: "planned", plannedAt: clock.now(), dueAt: NEVER };
    const [seq] = await store.commit([{ do: "outbox", row }]);
    options.placed();
    if (seq === undefined) {
      const found = await store.outboxRow(key);
      if (found?.dueAt !== NEVER) { done = true; return undefined; }
      if (found.target !== undefined) return found.target;
    }
    const { channel } = line() ?? {};
    // An answer that is whole by its turn needs no placeholder.
    return channel !== undefined && offersNothing(channel, connection) ? options.inTurn(key, async () => (done ? undefined : put(connection, part))) : put(connection, part);
  }
  async function put(connection: Connection, part: string): Promise<string> {
    const made = await connection.send(to, { text: part }, placeholderKey(key)).catch((thrown: unknown) => {
      // Perhaps it stands there, and nobody knows where. Another one would be another that stays: the answer comes when it is whole.
      if (!postedNothing(asClawError(thrown, "MSG_002") as Partial<ChannelError> & Pick<ChannelError, "code">)) done = true;
      throw thrown;
    });
    await store.commit([{ do: "outbox-update", key, set: { target: made } }]);
    return made;
  }
  const live: OwnLive = {
    get ref() { return ref; },
    show(next) {
      text = next;
      if (cancel !== undefined || done) return;
      cancel = clock.after(waitMs, () => { work = work.then(flush); });
    },
    async place(text) {
      work = work.then(async () => {
        const { channel, connection } = line() ?? {};
        if (target !== undefined || options.isHeld() || channel === undefined || connection?.edit === undefined || !offersNothing(channel, connection)) return;
        target = await options.sending(() => placeholder(connection, text));
      }).catch(() => { /* Then it is delivered without. */ });
      await work;
    },
    async stop() {
      done = true;
      cancel?.();
      ref = work.then(() => target);
      await work;
      if (target === undefined) options.forget();
    },
    async abandon() {
      await live.stop();
      options.forget();
      await options.abandon();
    },
  };
  return live;
}
