/** Words to the gateway itself: which there are, how they are read, and who may use them. Pure. What they do stands in command-acts.ts. */
import type { Command as MenuCommand } from "./channels/channel.ts";
import type { Say } from "./chat-texts.ts";
import type { Message } from "./message.ts";
import { parseCommand } from "./normalize/command.ts";
import { mentionStripper, type Self } from "./normalize/mention.ts";
import { TRUSTS } from "./policy.ts";
import type { Trust } from "./tool.ts";

/** Who may use a command: everybody the gateway lets talk, paired people and owners, owners, or nobody. */
export type CommandUse = "all" | "paired" | "owner" | "off";
export const COMMAND_USES: readonly CommandUse[] = ["all", "paired", "owner", "off"];

export interface CommandRow {
  readonly name: string;
  /** Other words for it, in English and German. */
  readonly also: readonly string[];
  /** Where the gateway says nothing else. */
  readonly use: CommandUse;
  /** Listed here, and handled by whoever asks (an approval). */
  readonly elsewhere?: true;
}
export const COMMANDS = [
  { name: "new", also: ["reset", "neu"], use: "all" },
  { name: "stop", also: ["stopp", "halt"], use: "all" },
  { name: "status", also: [], use: "all" },
  { name: "model", also: ["modell"], use: "all" },
  { name: "usage", also: ["verbrauch"], use: "all" },
  { name: "memory", also: ["gedächtnis", "gedaechtnis"], use: "all" },
  { name: "help", also: ["hilfe"], use: "all" },
  { name: "whoami", also: ["werbinich"], use: "all" },
  { name: "pause", also: [], use: "owner" },
  { name: "resume", also: ["weiter"], use: "owner" },
  { name: "approve", also: [], use: "owner", elsewhere: true },
  { name: "deny", also: [], use: "owner", elsewhere: true },
] as const satisfies readonly CommandRow[];
export type CommandName = (typeof COMMANDS)[number]["name"];

/** By name; what is left out is as in the table. */
export type CommandUses = Readonly<Partial<Record<string, CommandUse>>>;
export const useOf = (row: CommandRow, uses: CommandUses): CommandUse => { const use = uses[row.name]; return use !== undefined && COMMAND_USES.includes(use) ? use : row.use; };

/** A command with what stands behind it. `word`: how it was called. */
export interface ReadCommand { readonly row: CommandRow & { readonly name: CommandName }; readonly word: string; readonly args: string }

const BY_WORD = new Map<string, ReadCommand["row"]>(COMMANDS.flatMap((row) => [row.name, ...row.also].map((word) => [word, row] as const)));
const bare = mentionStripper([], false);

/** The command a message is: as the platform reads it, or by its text ("/stop", "@bot /stop", "/stop@bot"). In a group only what is said to the bot counts. */
export function readCommand(message: Message, self?: Self): ReadCommand | undefined {
  if ((message.kind !== "message" && message.kind !== "action") || !message.addressed) return undefined;
  const { action } = message;
  if (action === undefined && !message.text.includes("/")) return undefined;
  const handle = self === undefined ? undefined : (self.handle ?? (/^@?[\w.-]+$/.test(self.name) ? self.name : undefined))?.replace(/^@/, "");
  const read = action?.type === "command" ? action : action === undefined && message.kind === "message" ? parseCommand(bare(message.text, self).trim(), handle) : undefined;
  const word = read?.name.normalize("NFC").toLowerCase();
  const row = word === undefined ? undefined : BY_WORD.get(word);
  return row === undefined || word === undefined ? undefined : { row, word, args: (read?.args ?? "").trim() };
}

export function mayUse(use: CommandUse, trust: Trust): boolean {
  if (use === "off" || trust === "stranger") return false;
  return use === "all" || TRUSTS.indexOf(trust) <= TRUSTS.indexOf(use);
}

/** What a platform's menu lists: the flows' own commands, then ours; one of the same name is the flow's, as are those of `words`. */
export function menuOf(own: readonly MenuCommand[], words: readonly string[], uses: CommandUses, say: Say): MenuCommand[] {
  const taken = new Set([...own.map(({ name }) => name), ...words]);
  const ours = COMMANDS.filter((row) => useOf(row, uses) !== "off" && ![row.name, ...row.also].some((word) => taken.has(word)));
  return [...own, ...ours.map(({ name }) => ({ name, description: say(`about.${name}`) }))];
}
