/** Where people speak with the gateway itself: commands, the kill switch, and the guard against bots that answer each other. */
import { createBotGuard } from "./bot-guard.ts";
import type { Command, Received } from "./channels/channel.ts";
import { sayIn, sayTo } from "./chat-texts.ts";
import { createCommander, type CommanderOptions } from "./commander.ts";
import { menuOf } from "./commands.ts";
import type { GatewayLimits } from "./gateway.ts";
import { laneOf, type Address, type Message } from "./message.ts";
import { createPauses, type Pauses } from "./pauses.ts";
import type { Receipt } from "./store/store.ts";
import type { Trust } from "./tool.ts";

/** What an account's flows wait for: `commands` stand in a menu, `words` do not. */
export interface OwnCommands { readonly commands?: readonly Command[]; readonly words?: readonly string[] }
export interface DeskOptions extends Omit<CommanderOptions, "pauses" | "uses" | "own" | "control"> {
  limits(): Pick<GatewayLimits, "commands" | "pausedAnswer" | "botTurns" | "botPauseMs" | "notice">;
  account(id: string): OwnCommands | undefined;
  ownerAt(account: string): Address | undefined;
  /** Something is paused, or goes on. */
  onPause(): void;
}
export interface Desk {
  readonly pauses: Pauses;
  /** To be told of every message that is let in, before anything else is done with it. */
  saw(message: Message): Promise<void>;
  asCommand(message: Message): Message;
  offer(message: Message, trust: Trust): Promise<Received | undefined>;
  /** It waits in the inbox now: in a paused chat its sender is told so, once for each pause. */
  waits(message: Message): void;
  takes(receipt: Receipt): boolean;
  /** See Commander. */
  start(): Promise<void> | undefined;
  stop(): void;
  /** Until when nothing begins there (Unix milliseconds); undefined: it is not paused. */
  pausedUntil(at: Address): number | undefined;
  menu(account: OwnCommands | undefined): Command[];
}

export async function createDesk(options: DeskOptions): Promise<Desk> {
  const { store, clock, limits, inbox, deliver, language } = options;
  const pauses = await createPauses({ store, clock, onChange: options.onPause, suspend: (isMeant) => inbox().control.suspend(isMeant), wake: () => inbox().control.wake(), closed: options.closed });
  const commander = createCommander({ ...options, pauses, control: () => inbox().control, uses: () => limits().commands, own: (account) => ownOf(options.account(account)) });
  const bots = createBotGuard({
    pauses, now: clock.now, limits: () => ({ turns: limits().botTurns, pauseMs: limits().botPauseMs }),
    onLoop({ at }, count, until) {
      const text = sayIn(language)("bots", { count, channel: at.channel, account: at.account, minutes: Math.round(limits().botPauseMs / 60_000) });
      options.log(text);
      const to = limits().notice === "none" ? undefined : options.ownerAt(at.account);
      if (to !== undefined) say(to, text, `bots/${laneOf(at)}/${until}`);
    },
  });
  /** A word of the gateway's own, each step once. */
  function say(to: Address, text: string, step: string): void {
    deliver({ run: "", step, op: "send", to, draft: { text, plain: true }, priority: "low" }).catch((error: Error) => options.log(error.message));
  }
  return {
    pauses, saw: bots.saw, asCommand: commander.asCommand, offer: commander.offer, takes: commander.takes, start: commander.start, stop: commander.stop,
    waits(message) {
      const pause = limits().pausedAnswer && message.kind === "message" && message.addressed && !message.sender.bot ? pauses.holds(message.at) : undefined;
      if (pause !== undefined) say(message.at, sayTo(message, language)("paused"), `paused/${pause.at}/${laneOf(message.at)}`);
    },
    pausedUntil(at) {
      const pause = pauses.holds(at);
      return pause && (pause.until ?? Number.MAX_SAFE_INTEGER);
    },
    menu: (account) => menuOf(account?.commands ?? [], account?.words ?? [], limits().commands, sayIn(language)),
  };
}

function ownOf({ commands = [], words = [] }: OwnCommands = {}): Command[] {
  return [...commands, ...words.filter((word) => !commands.some(({ name }) => name === word)).map((name) => ({ name, description: "" }))];
}
