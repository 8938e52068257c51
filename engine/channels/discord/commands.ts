/** The flows' commands as slash commands of the bot. Registered only when they changed: Discord allows 200 a day. */
import type { ChannelContext, Command } from "../channel.ts";
import type { Api } from "./rest.ts";

const KEY = "commands";
const MOST = 100;
const GLOBAL = "global";

/** One free text after the command's name, as elsewhere. */
function slashCommands(commands: readonly Command[]): Record<string, unknown>[] {
  return commands
    .map(({ name, description }) => ({ name: name.toLowerCase(), description: ([...description].slice(0, 100).join("") || name).slice(0, 100) }))
    // As the documentation of "Application Command Naming" has it.
    .filter(({ name }) => /^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$/u.test(name))
    .slice(0, MOST)
    .map((command) => ({ type: 1, ...command, options: [{ type: 3, name: "text", description: "…", required: false }] }));
}

/** `guilds`: only there, and at once; else everywhere. Commands made by hand stay while the flows have none. */
export async function register(api: Api, application: string, guilds: readonly string[], context: Pick<ChannelContext, "commands" | "storage">): Promise<void> {
  const commands = slashCommands(context.commands);
  const scopes = guilds.length === 0 ? [GLOBAL] : [...guilds].sort();
  const before = ((await context.storage.get(KEY)) ?? {}) as Record<string, string>;
  const wanted: Record<string, string> = commands.length === 0 ? {} : Object.fromEntries(scopes.map((scope) => [scope, JSON.stringify(commands)]));
  for (const scope of new Set([...Object.keys(before), ...Object.keys(wanted)])) {
    if (before[scope] === wanted[scope]) continue;
    await api.call("PUT", scope === GLOBAL ? `/applications/${application}/commands` : `/applications/${application}/guilds/${scope}/commands`, { body: wanted[scope] === undefined ? [] : commands });
    if (wanted[scope] === undefined) delete before[scope];
    else before[scope] = wanted[scope];
    await context.storage.set({ [KEY]: { ...before } });
  }
}
