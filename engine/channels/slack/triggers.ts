/** What people just did, as far as an answer needs it: a modal wants its trigger_id, a chat the bot is not in its response_url. In memory: both die soon. */
import type { Clock } from "../../clock.ts";
import { ChannelError } from "../../errors.ts";
import type { Address, Draft, Message } from "../../message.ts";
import { RESPONSE_MS, RESPONSES_LIMIT, TRIGGER_MS } from "./limits.ts";

const MOST = 500;

interface Act { readonly ref: string; readonly chat: string; readonly user: string; readonly at: number; readonly trigger: string | undefined; used: boolean; readonly response: string | undefined; responses: number }

export interface Triggers {
  note(message: Message, body: unknown): void;
  /** The trigger that opens a form as an answer to what was done in this chat. Throws a ChannelError where there is none any more, or several people's. */
  open(to: Address, draft: Draft): string;
  /** The newest response_url of this chat (and person) that may still be used; counts as used. */
  response(to: Address, only?: string): string | undefined;
}

export function createTriggers(clock: Pick<Clock, "monotonic">): Triggers {
  const acts: Act[] = [];
  const young = (act: Act, ms: number): boolean => clock.monotonic() - act.at < ms;
  return {
    note(message, body) {
      const { trigger_id, response_url } = body as { trigger_id?: unknown; response_url?: unknown };
      if (typeof trigger_id !== "string" && typeof response_url !== "string") return;
      acts.unshift({ ref: message.ref, chat: message.at.chat, user: message.sender.id, at: clock.monotonic(), trigger: typeof trigger_id === "string" ? trigger_id : undefined, used: false, response: typeof response_url === "string" ? response_url : undefined, responses: 0 });
      acts.length = Math.min(acts.length, MOST);
    },
    open(to, draft) {
      const fresh = acts.filter((act) => act.trigger !== undefined && !act.used && act.chat === to.chat && young(act, TRIGGER_MS) && (draft.only === undefined || act.user === draft.only) && (draft.replyTo === undefined || act.ref === draft.replyTo));
      if (fresh[0] === undefined) throw new ChannelError("MSG_002", {}, "Expected the form to answer a press, a command or a shortcut of the last 3 seconds, got none. Slack opens a form only then.");
      if (new Set(fresh.map(({ user }) => user)).size > 1) throw new ChannelError("MSG_002", {}, 'Several people pressed something here within 3 seconds. Name whose form it is by "only" (the sender\'s id).');
      fresh[0].used = true;
      return fresh[0].trigger as string;
    },
    response(to, only) {
      const found = acts.find((act) => act.response !== undefined && act.chat === to.chat && (only === undefined || act.user === only) && young(act, RESPONSE_MS) && act.responses < RESPONSES_LIMIT);
      if (found !== undefined) found.responses += 1;
      return found?.response;
    },
  };
}
