/** What comes in from a chat: who said it, whether it is for a question, an approval or the gateway itself, and else into the inbox. */
import type { Approvals } from "../approvals.ts";
import type { Asks } from "../asks.ts";
import type { Account, Received } from "../channels/channel.ts";
import type { Desk } from "../desk.ts";
import { ClawError, StoreError } from "../errors.ts";
import type { Inbox } from "../inbox.ts";
import { sessionKey, speakerOf, type Message } from "../message.ts";
import type { Tally } from "../metrics.ts";
import type { Delivery } from "../outbox.ts";
import type { People } from "../people.ts";
import type { Facts } from "../run.ts";
import type { Edit, Sessions } from "../sessions.ts";
import type { Gateway, GatewayOptions } from "./contract.ts";

export interface ArrivalsOptions extends Pick<GatewayOptions, "clock" | "texts" | "log"> {
  readonly people: People;
  readonly sessions: Sessions;
  readonly agents: Gateway["agents"];
  readonly approvals: Approvals;
  readonly asks: Asks;
  readonly desk: Desk;
  readonly inbox: Inbox;
  readonly tally: Tally;
  readonly events: Gateway["events"];
  /** Fetches the files that came with a message. */
  prepared(message: Message): Promise<Message>;
  deliver(delivery: Delivery): Promise<unknown>;
}
export interface Arrivals {
  /** A message of this account's platform. Throws MSG_001 where it names another one. */
  receive(account: Account, message: Message): Promise<Received>;
  /** Are these words the owner's code? */
  claim(message: Pick<Message, "text" | "sender" | "at">): Promise<boolean>;
  /** Into the inbox, whoever it is from. */
  take(message: Message, facts: Facts): Promise<Received>;
}

export function createArrivals({ clock, texts, log, people, sessions, agents, approvals, asks, desk, inbox, tally, events, prepared, deliver }: ArrivalsOptions): Arrivals {
  async function claim(message: Pick<Message, "text" | "sender" | "at">): Promise<boolean> {
    const claimed = await people.claim(message);
    if (claimed) events.emit("people");
    return claimed;
  }

  async function receive(account: Account, message: Message): Promise<Received> {
    if (message.at.account !== account.id || message.at.channel !== account.channel) throw new ClawError("MSG_001", {}, `Expected a message of account "${account.id}", got one of "${message.at.account}".`);
    if (message.sender.self) return "refused";
    if (message.kind === "message" && people.ownerCode() !== undefined && (await claim(message))) {
      deliver({ run: "", step: `claim/${account.id}/${message.id}`, op: "send", to: message.at, draft: { text: texts.claimed } }).catch((error: Error) => log("warn", error.message));
      return "saved";
    }
    const trust = people.trustOf(message);
    if (trust === "stranger") {
      people.refuse(message);
      tally.message("refused", message.at);
      events.emit("refused", message);
      return "refused";
    }
    await desk.saw(message);
    const answered = (await approvals.offer(message, trust)) ?? (await asks.offer(desk.asCommand(message), trust)) ?? (await desk.offer(message, trust));
    if (answered !== undefined) return answered;
    // What is passed on was said by somebody else.
    const facts: Facts = { trust, tainted: message.forwarded !== undefined };
    const received = await take(message, facts);
    if (received === "saved") { void prepared(message); desk.waits(message); }
    if (received === "saved" && (message.kind === "edit" || message.kind === "delete")) await correctSessions(message, facts);
    return received;
  }

  async function take(message: Message, facts: Facts): Promise<Received> {
    try {
      return await inbox.receive(message, facts);
    } catch (error) {
      // It is not confirmed: whoever brought it comes again.
      if (error instanceof StoreError) tally.fault(error.code);
      throw error;
    }
  }

  /** What was said is said differently now, or taken back: agents remember it so. */
  async function correctSessions(message: Message, facts: Facts): Promise<void> {
    const edit: Edit = { ref: message.ref, by: speakerOf(message), text: message.kind === "edit" ? message.text : undefined };
    for (const { name, scope } of agents.values()) {
      const alone = message.at.kind === "direct" && scope !== "main";
      await sessions.correct(sessionKey(message, scope, name), { ...edit, alone }, facts, clock.now());
    }
  }
  return { receive, claim, take };
}
