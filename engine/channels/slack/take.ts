/** One payload of Slack's on its way to the disk: whose it is, who said it, saved. */
import type { Account, ChannelContext } from "../channel.ts";
import type { Message } from "../../message.ts";
import { parseMessage } from "../../message-schema.ts";
import type { Names } from "./names.ts";
import { mentionsIn } from "./mrkdwn.ts";
import type { Envelope, Interaction, SlashCommand } from "./shapes.ts";
import { type Self, toMessage } from "./to-message.ts";
import type { Triggers } from "./triggers.ts";
import { type Take, takersOf, workspaceOf } from "./workspaces.ts";
import { withRaw } from "../raw.ts";


export interface TakeOptions {
  readonly account: Account;
  readonly context: ChannelContext;
  readonly self: Omit<Self, "now" | "nameOf">;
  readonly names: Names;
  readonly triggers: Triggers;
  /** Called with every message that is on disk. */
  saved(body: unknown): void;
}

/** Saves one payload of this workspace. Rejects when it could not be saved: then it must come again. */
export function createTake({ account, context, self, names, triggers, saved }: TakeOptions): Take {
  const map = (body: unknown): Message | undefined => {
    try {
      const message = toMessage(body, { ...self, now: context.clock.now(), nameOf: names.nameOf });
      return message === undefined ? undefined : parseMessage(message);
    } catch (error) {
      // Slack would bring it three times more, and cut the subscription in the end.
      context.log("warn", `MSG_001: a payload of Slack could not be read and is left out: ${(error as Error).message}`);
      return undefined;
    }
  };
  async function act(body: unknown): Promise<void> {
    await names.prepare(peopleIn(body));
    const message = map(body);
    if (message === undefined) return;
    triggers.note(message, body);
    await context.receive(withRaw(account, message, body, SECRETS));
    saved(body);
  }
  /** Slack posts without waiting, and one message may wait for a name: a chat keeps its order all the same. */
  const turns = new Map<string, Promise<void>>();
  return (body) => {
    const chat = chatIn(body);
    const turn = (turns.get(chat) ?? Promise.resolve()).then(() => act(body), () => act(body));
    const done = () => { if (turns.get(chat) === turn) turns.delete(chat); };
    turns.set(chat, turn);
    turn.then(done, done);
    return turn;
  };
}

/** Hands a payload to the accounts of its workspace. What belongs to nobody here is told now and then, and confirmed: it would come again and again. */
export function createRouter(app: string, context: Pick<ChannelContext, "clock" | "log">): Take {
  let warnedAt = Number.NEGATIVE_INFINITY;
  return async (body) => {
    if (typeof body !== "object" || body === null) return;
    const workspace = workspaceOf(body as Envelope);
    if (workspace.team === undefined && workspace.enterprise === undefined) return context.log("warn", "MSG_001: a payload of Slack names no workspace and is left out.");
    const takers = takersOf(app, workspace);
    if (takers.length === 0 && context.clock.monotonic() - warnedAt > 60_000) {
      warnedAt = context.clock.monotonic();
      context.log("warn", `Something came from the Slack workspace ${workspace.team ?? "of no name"}, for which no account is open. Add an account with this app's bot token of that workspace.`);
    }
    await Promise.all(takers.map((take) => take(body)));
  };
}

/** Ids of the people whose names a reader wants to see. */
function peopleIn(body: unknown): string[] {
  const { event } = body as Envelope;
  const { user } = body as Interaction;
  const { user_id } = body as SlashCommand;
  const inner = event?.message ?? event;
  const ids: unknown[] = [inner?.user, event?.inviter, user?.id, user_id, ...(typeof inner?.text === "string" ? mentionsIn(inner.text) : [])];
  return ids.filter((id) => typeof id === "string");
}

/** The old verification token proves nothing any more, but is a secret. */
const SECRETS: ReadonlySet<string> = new Set(["token", "response_url", "response_urls", "trigger_id", "bot_access_token"]);

/** The chat something belongs to: what came from one is kept in order. */
export function chatIn(body: unknown): string {
  if (typeof body !== "object" || body === null) return "";
  const { event } = body as Envelope;
  const { channel, user } = body as Interaction;
  const { channel_id } = body as SlashCommand;
  const chat: unknown = event?.channel ?? event?.item?.channel ?? channel?.id ?? channel_id ?? user?.id;
  return typeof chat === "string" ? chat : "";
}
