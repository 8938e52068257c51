/**
 * A question that has ended is shown as such: its buttons go, and it says how it ended. By an edit, where the platform has them; tried once and never a
 * dead letter: a button that stays does nothing.
 */
import type { Channel } from "./channels/channel.ts";
import { escapeMarkdown } from "./channels/markdown.ts";
import { stepAgain, type Asked, type AskEnd } from "./asks.ts";
import type { Say } from "./chat-texts.ts";
import type { Draft } from "./message.ts";
import { outboxKey, type Line } from "./outbox.ts";
import type { Store } from "./store/store.ts";

export interface DecidedOptions {
  readonly store: Store;
  line(account: string): Line | undefined;
  /** As the outbox does it. */
  split(draft: Draft, channel: Channel): Draft[];
  readonly say: Say;
}
/** `drafted`: the question with this text, as it was said. */
export type ShowEnd = (asked: Asked, end: AskEnd, drafted: (text: string) => Draft) => Promise<void>;

export function createDecided({ store, line, split, say }: DecidedOptions): ShowEnd {
  function howItEnded(end: AskEnd, { to, seal }: Asked): string {
    if (end.how === "timeout") return `– ${say("question.over")}`;
    const { answer: { label, text, by } } = end;
    const said = end.how === "cancelled" ? `✗ ${say("question.cancelled")}` : `✓ ${label ?? text}`;
    // Who it was is seen by itself where two talk.
    const whole = to.kind === "group" && by.name !== "" ? `${said} · ${by.name}` : said;
    return seal === undefined ? escapeMarkdown(whole) : whole;
  }

  return async (asked, end, drafted) => {
    const { channel, connection } = line(asked.to.account) ?? {};
    if (channel === undefined || connection?.edit === undefined) return;
    const { run, step, text, again } = asked;
    /** False: it was not said. */
    const close = async (delivery: { run: string; step: string }, said: string): Promise<boolean> => {
      const parts = split(drafted(said), channel);
      const last = parts.length - 1;
      const { buttons, ...draft } = parts[last] as Draft;
      const row = await store.outboxRow(outboxKey(delivery, last));
      if (buttons !== undefined && row?.ref !== undefined) {
        const whole = { ...draft, text: `${draft.text}\n\n${howItEnded(end, asked)}`.trimStart() };
        await connection.edit?.(row.to, row.ref, split(whole, channel).length === 1 ? whole : draft);
      }
      return row !== undefined;
    };
    await close({ run, step }, text);
    for (let times = again.times; await close({ run, step: stepAgain(step, times) }, again.text); times++);
  };
}
