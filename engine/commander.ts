/**
 * Commands on their way: each has a receipt of its own, outside the lanes, so that "/stop" need not wait for what it stops. Its end, what it does and its answer are one commit:
 * a crash before it does all of it again, a crash after it none of it.
 */
import type { Received } from "./channels/channel.ts";
import { sayTo } from "./chat-texts.ts";
import { ACTS, type CommandDeps, type Done } from "./command-acts.ts";
import { mayUse, readCommand, useOf, type ReadCommand } from "./commands.ts";
import { StoreError } from "./errors.ts";
import type { Inbox } from "./inbox.ts";
import type { Message } from "./message.ts";
import type { Self } from "./normalize/mention.ts";
import type { Delivery, DeliveryReceipt } from "./outbox.ts";
import { insist } from "./store/insist.ts";
import type { Change, Receipt, Store } from "./store/store.ts";
import type { Trust } from "./tool.ts";

export interface CommanderOptions extends CommandDeps {
  readonly store: Store;
  inbox(): Inbox;
  deliver(delivery: Delivery): Promise<DeliveryReceipt>;
  self(account: string): Self | undefined;
  /** BCP 47, where the sender's own is not known. */
  readonly language: string | undefined;
  closed(): boolean;
  log(text: string): void;
}
export interface Commander {
  /** Is this message a command of ours? Undefined: it is a message like any other. Resolves when it is saved and, while the flows run, done and its answer planned. */
  offer(message: Message, trust: Trust): Promise<Received | undefined>;
  /** A command of ours as such, where the platform has not read it: words for a question are not read as it. */
  asCommand(message: Message): Message;
  /** True: a command that an earlier process had saved. */
  takes(receipt: Receipt): boolean;
  /** The flows run, and their agents are known: does what is saved and not done, in order; before anything else begins. Undefined: there was nothing. */
  start(): Promise<void> | undefined;
  /** The flows stop, their agents go: what comes now waits for `start`. */
  stop(): void;
}

const LANE = "\ncommand";
const RETRY_MS = 1_000;

export function createCommander(options: CommanderOptions): Commander {
  const { store, clock, inbox, deliver } = options;
  /** Saved and not done. */
  const unread: Receipt[] = [];
  let running = false;
  let dealing: Promise<void> | undefined;

  /** As it was understood: after a restart the bot's own name is not known yet, and "/stop@bot" would be read as nothing. */
  const asRead = (message: Message, { word, args }: ReadCommand): Message => ({ ...message, action: { type: "command", name: word, args } });
  async function deal(): Promise<void> {
    try {
      while (running) {
        const next = unread.shift();
        if (next === undefined) return;
        await carry(next);
      }
    } finally {
      dealing = undefined;
    }
  }

  function read(message: Message): ReadCommand | undefined {
    const found = readCommand(message, options.self(message.at.account));
    if (found === undefined || found.row.elsewhere || useOf(found.row, options.uses()) === "off") return undefined;
    // A flow's own command of this name comes first.
    return options.own(message.at.account).some(({ name }) => name === found.word || name === found.row.name) ? undefined : found;
  }

  async function carry({ seq, message, trust }: Pick<Receipt, "seq" | "message" | "trust">): Promise<void> {
    const found = read(message);
    const reason = found === undefined ? "a command that is gone" : `the command /${found.row.name}`;
    const done: Change = { do: "receipt", seq, state: "done", reason };
    if (found === undefined) { await insist(store, clock, [done], options.closed); return; }
    const say = sayTo(message, options.language);
    const act = mayUse(useOf(found.row, options.uses()), trust) ? ACTS[found.row.name as keyof typeof ACTS] : undefined;
    const given = { message, trust, args: found.args, seq, say };
    const came = act === undefined ? { text: say("denied", { name: found.word }) } : await insistOn(found.word, () => act(given, options));
    if (came === undefined) await insist(store, clock, [done], options.closed);
    else await answer(seq, message, came.text, [...(came.write ?? []), done]);
  }
  /** An act may be done again: while the store is away, it is. One that fails otherwise ends without an answer, and holds up nothing that comes after it. */
  async function insistOn(word: string, act: () => Promise<Done>): Promise<Done | undefined> {
    for (;;) {
      try {
        return await act();
      } catch (error) {
        if (options.closed()) throw error;
        if (!(error instanceof StoreError)) { options.log(`/${word}: ${(error as Error).message}`); return undefined; }
        await new Promise<void>((resolve) => { clock.after(RETRY_MS, resolve); });
      }
    }
  }
  async function answer(seq: number, message: Message, text: string, also: readonly Change[]): Promise<void> {
    for (;;) {
      try {
        await new Promise<void>((resolve, reject) => {
          deliver({ run: "", step: `command/${seq}`, op: "send", to: message.to ?? message.at, draft: { text, plain: true }, priority: "high", also, planned: resolve }).then(() => resolve(), reject);
        });
        return;
      } catch (error) {
        if (!(error instanceof StoreError)) {
          // Nobody can be told; what it did stands.
          options.log((error as Error).message);
          await insist(store, clock, also, options.closed);
          return;
        }
        if (options.closed()) throw error;
        await new Promise<void>((resolve) => { clock.after(RETRY_MS, resolve); });
      }
    }
  }

  return {
    async offer(message, trust) {
      const found = read(message);
      if (found === undefined) return undefined;
      const receipt = await inbox().save(asRead(message, found), { trust, tainted: false }, LANE);
      if (receipt === undefined) return "duplicate";
      if (running && dealing === undefined) await carry(receipt);
      else unread.push(receipt);
      return "saved";
    },
    asCommand(message) {
      const found = message.action === undefined ? read(message) : undefined;
      return found === undefined ? message : asRead(message, found);
    },
    takes(receipt) {
      if (receipt.lane !== LANE) return false;
      unread.push(receipt);
      return true;
    },
    start() {
      running = true;
      if (unread.length > 0) dealing ??= deal();
      return dealing;
    },
    stop() { running = false; },
  };
}
