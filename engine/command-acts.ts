/** What each command does. An act may be done again after a crash in its middle: it comes to the same. What it returns to write is written once, with the answer. */
import type { Command as MenuCommand } from "./channels/channel.ts";
import type { Say } from "./chat-texts.ts";
import type { Clock } from "./clock.ts";
import { turnsTokens } from "./context/estimate.ts";
import { COMMANDS, mayUse, useOf, type CommandName, type CommandUses } from "./commands.ts";
import type { Control } from "./control.ts";
import { bookOf, MOST_NOTES, type Memory } from "./memory.ts";
import type { Message } from "./message.ts";
import type { Pauses } from "./pauses.ts";
import type { Sessions } from "./sessions.ts";
import type { Change } from "./store/store.ts";
import type { Team } from "./team.ts";
import type { Trust } from "./tool.ts";

/** What commands work on. */
export interface CommandDeps {
  readonly clock: Clock;
  control(): Control;
  readonly sessions: Sessions;
  readonly pauses: Pauses;
  readonly team: Team;
  uses(): CommandUses;
  /** The commands of the flows on this account. */
  own(account: string): readonly MenuCommand[];
  /** What the person and the chat have used, in words. */
  usage(message: Message, say: Say): Promise<string>;
  readonly memory: Memory;
}
export interface Given { readonly message: Message; readonly trust: Trust; readonly args: string; /** The command's own receipt. */ readonly seq: number; readonly say: Say }
export interface Done { readonly text: string; readonly write?: readonly Change[] }
type Act = (given: Given, deps: CommandDeps) => Promise<Done>;

const ALL_WORDS = ["all", "alle", "alles"];
/** More than any session keeps at hand. */
const ALL_TURNS = 1_000_000;
const MAX_MINUTES = 7 * 24 * 60;

async function stopHere({ message, seq }: Given, deps: CommandDeps): Promise<{ write: readonly Change[]; count: number }> {
  return deps.control().stop(message.at, seq, "a person stopped it");
}

/** What is under way would answer into the new talk: it ends too. */
const begin: Act = async (given, deps) => {
  const { write } = await stopHere(given, deps);
  for (const session of deps.team.sessionsOf(given.message)) await deps.sessions.forget(session);
  await deps.team.takeBack(given.message.at);
  return { text: given.say("new"), write };
};

const stop: Act = async (given, deps) => {
  const { write, count } = await stopHere(given, deps);
  return { text: given.say(count === 0 ? "stop.none" : count === 1 ? "stop.done" : "stop.many", { count }), write };
};

const status: Act = async ({ message, say }, { control, clock, pauses, team }) => {
  const { runs, waiting } = control().at(message.at);
  const since = Math.min(...runs.map(({ receipt }) => receipt.receivedAt));
  const lines = [runs.length === 0 ? say("status.idle") : say("status.working", { count: runs.length, seconds: Math.max(0, Math.round((clock.now() - since) / 1000)) })];
  if (waiting > 0) lines.push(say("status.waiting", { count: waiting }));
  for (const { agent, model } of await team.models(message)) lines.push(say("status.agent", { agent, model }));
  const held = await team.holder(message.at);
  if (held !== undefined) lines.push(say("status.held", { agent: held.label }));
  for (const [key, scope] of [["status.pausedAll", "all"], ["status.pausedHere", message.at]] as const) {
    const pause = pauses.of(scope);
    if (pause === undefined) continue;
    lines.push(say(key, { by: pause.why === "bots" ? say("status.guard") : pause.by }));
    if (pause.until !== undefined) lines.push(say("status.until", { time: new Date(pause.until).toISOString().slice(0, 16).replace("T", " ") }));
  }
  return { text: lines.join("\n") };
};

const model: Act = async ({ message, trust, args, say }, { team }) => {
  const now = await team.models(message);
  if (args === "") {
    const lines = now.map(({ agent, model }) => say("model.now", { agent, model }));
    const choices = team.choices();
    if (trust === "owner" && choices.length > 0) lines.push(say("model.choose", { list: choices.map(({ label }) => label).join(" | ") }));
    return { text: lines.join("\n") || say("model.none") };
  }
  if (trust !== "owner") return { text: say("model.owner") };
  const choices = team.choices();
  if (choices.length === 0) return { text: say("model.only") };
  const chosen = choices.find(({ label }) => label.toLowerCase() === args.toLowerCase());
  if (chosen === undefined) return { text: say("model.unknown", { name: args.slice(0, 60), list: choices.map(({ label }) => label).join(", ") }) };
  const { write, agents } = team.choose(message, chosen.id);
  return { text: agents.map((agent) => say("model.set", { agent, model: chosen.label })).join("\n"), write };
};

async function turnsHere({ message }: Given, { sessions, team }: CommandDeps): Promise<{ turns: number; tokens: number }> {
  let turns = 0;
  let tokens = 0;
  for (const session of team.sessionsOf(message)) {
    const history = await sessions.history(session, ALL_TURNS, 0);
    turns += history.length;
    tokens += turnsTokens(history);
  }
  return { turns, tokens };
}
const usage: Act = async (given, deps) => ({ text: await deps.usage(given.message, given.say) });

const SHOWN_NOTES = 20;
const FORGET = ["forget", "vergessen", "vergiss"];
/** What agents noted of this person, in a direct chat, or of this group. What they noted of a person is nobody else's to read. */
const memory: Act = async (given, deps) => {
  const { message, args, say } = given;
  const books = [...(message.at.kind === "direct" ? [bookOf("person", message)] : []), bookOf("chat", message)];
  const [verb = "", which = ""] = args.toLowerCase().split(/\s+/);
  if (FORGET.includes(verb)) {
    const all = ALL_WORDS.includes(which);
    if (!all && !/^\d{1,15}$/.test(which)) return { text: say("memory.how") };
    const meant = (await Promise.all(books.map((book) => deps.memory.list(book, MOST_NOTES)))).map((notes) => notes.filter(({ n }) => all || n === Number(which)).length);
    const count = meant.reduce((sum, one) => sum + one, 0);
    const write = books.filter((_book, at) => meant[at] !== 0).map((book) => deps.memory.forgetting(book, all ? undefined : Number(which)));
    return { text: say(count === 0 ? "memory.nothing" : "memory.forgot", { count }), write };
  }
  const notes = (await Promise.all(books.map((book) => deps.memory.list(book, SHOWN_NOTES)))).flat();
  const lines = notes.map(({ n, text }) => `${n}: ${text}`);
  return { text: [say("memory.talk", await turnsHere(given, deps)), ...(lines.length === 0 ? [] : [say("memory.notes"), ...lines, say("memory.how")])].join("\n") };
};

const help: Act = async ({ message, trust, say }, { uses, own }) => {
  const flows = own(message.at.account);
  const taken = new Set(flows.map(({ name }) => name));
  const ours = COMMANDS.filter((row) => mayUse(useOf(row, uses()), trust) && !taken.has(row.name)).map(({ name }) => ({ name, description: say(`about.${name}`) }));
  return { text: [say("help"), ...[...flows, ...ours].map(({ name, description }) => (description ? `/${name}: ${description}` : `/${name}`))].join("\n") };
};

const whoami: Act = async ({ message: { sender, at }, trust, say }) => ({ text: say("whoami", { name: sender.name || sender.id, id: sender.id, trust: say(`trust.${trust}`), channel: at.channel, account: at.account }) });

const pause: Act = async ({ message, args, say }, { pauses, clock }) => {
  const words = args.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const everywhere = words.some((word) => ALL_WORDS.includes(word));
  const rest = words.filter((word) => !ALL_WORDS.includes(word));
  const minutes = rest[0] === undefined ? undefined : Number(rest[0]);
  if (rest.length > 1 || (minutes !== undefined && !(Number.isInteger(minutes) && minutes >= 1 && minutes <= MAX_MINUTES))) return { text: say("pause.how") };
  const write = pauses.change(everywhere ? "all" : message.at, { by: message.sender.name || message.sender.id, why: "person", ...(minutes === undefined ? {} : { until: clock.now() + minutes * 60_000 }) });
  const text = minutes === undefined ? say(everywhere ? "pause.all" : "pause.here") : say(everywhere ? "pause.allMinutes" : "pause.minutes", { minutes });
  return { text, write: write === undefined ? [] : [write] };
};
const resume: Act = async ({ message, args, say }, { pauses }) => {
  const everywhere = ALL_WORDS.includes(args.toLowerCase());
  const ended = pauses.change(everywhere ? "all" : message.at, undefined);
  const write = ended === undefined ? [] : [ended];
  if (!everywhere && pauses.of("all") !== undefined) return { text: say("resume.all"), write };
  return { text: say(ended === undefined ? "resume.none" : "resume.done"), write };
};

export const ACTS: Readonly<Record<Exclude<CommandName, "approve" | "deny">, Act>> = { new: begin, stop, status, model, usage, memory, help, whoami, pause, resume };
