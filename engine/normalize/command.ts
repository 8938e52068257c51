/** "/light@bot kitchen on" as a command with its arguments. */
import type { Action } from "../message.ts";

export type Command = Extract<Action, { type: "command" }>;

/** A name begins with a letter and has up to 64 letters, digits, _ or -, in any script; a space, a line end or the text's end follows. "/etc/passwd" is no command. */
const COMMAND = /^(\p{L}[\p{L}\p{M}\p{N}_-]{0,63})(?:@([\w.-]{1,64}))?(?:\s+([\s\S]*))?$/u;

/**
 * The command a text begins with, or undefined. `handle`: the bot's own, without "@"; a command for another bot ("/start@other") is none of ours.
 * Nothing may stand before or directly behind the prefix, so that invisible characters cannot dress a text up as a command.
 */
export function parseCommand(text: string, handle?: string, prefix = "/"): Command | undefined {
  if (prefix === "" || !text.startsWith(prefix)) return undefined;
  const found = COMMAND.exec(text.slice(prefix.length));
  if (found === null) return undefined;
  const [, name = "", bot, args = ""] = found;
  if (bot !== undefined && handle !== undefined && bot.toLowerCase() !== handle.toLowerCase()) return undefined;
  return { type: "command", name: name.toLowerCase(), args: args.trim() };
}
