/** Cleaning steps over a message, in the order the user gave them. Each step is a row of a table: what the form shows and what it does. */
import { SettingError } from "./errors.ts";
import type { Message } from "./message.ts";
import { cleanLine, cleanText, cutText, trimText } from "./normalize/clean.ts";
import { parseCommand } from "./normalize/command.ts";
import { detectLanguage } from "./normalize/language.ts";
import { mentionStripper, type Self } from "./normalize/mention.ts";
import { mergeMessages } from "./normalize/merge.ts";
import { SENSE_STEPS, type SenseContext } from "./normalize/sense-steps.ts";
import { maskSecrets } from "./normalize/secrets.ts";
import { mapTexts } from "./normalize/texts.ts";
import { wordFilter } from "./normalize/words.ts";
import { compilePattern } from "./patterns.ts";

/** As a saved node holds it: a type and its parameters. */
export interface Step { readonly type: string; readonly [parameter: string]: unknown }
export interface StepParam {
  readonly key: string;
  readonly type: "text" | "number" | "boolean" | "choice" | "list";
  readonly label: string;
  readonly hint?: string;
  readonly initial?: string | number | boolean;
  readonly choices?: readonly string[];
  readonly required?: boolean;
  /** Smallest and largest number. */
  readonly min?: number;
  readonly max?: number;
}
export interface StepInfo { readonly type: string; readonly label: string; readonly hint: string; readonly params: readonly StepParam[] }
/** What a step may know beside the message. `self`: who the bot is at the platform. */
export interface NormalizeContext { readonly self?: Self; readonly sensing?: SenseContext }

type Act = (message: Message, context: NormalizeContext) => Message | Promise<Message>;
interface Params { text(key: string): string; number(key: string): number; list(key: string): string[] }
export interface StepKind extends StepInfo { make(params: Params): Act }

const withText = (message: Message, text: string): Message => (text === message.text ? message : { ...message, text });
const tagged = (message: Message, tag: string): Message => (message.tags?.includes(tag) === true ? message : { ...message, tags: [...(message.tags ?? []), tag] });

const KINDS: readonly StepKind[] = [
  {
    type: "controls", label: "remove control characters", hint: "Terminal commands, invisible characters and direction tricks; emoji and every script stay.", params: [],
    make: () => (message) => {
      const cleaned = mapTexts(message, cleanText);
      const { sender } = cleaned;
      const name = cleanLine(sender.name);
      return name === sender.name ? cleaned : { ...cleaned, sender: { ...sender, name } };
    },
  },
  {
    type: "mention", label: "strip the mention of the bot", hint: '"@bot turn on the light" becomes "turn on the light".',
    params: [
      { key: "where", type: "choice", label: "where", choices: ["start", "everywhere"], initial: "start" },
      { key: "names", type: "list", label: "other names of the bot", hint: "One a line; its name at the platform is known." },
    ],
    make: (params) => {
      const strip = mentionStripper(params.list("names"), params.text("where") === "everywhere");
      return (message, { self }) => withText(message, strip(message.text, self));
    },
  },
  { type: "trim", label: "trim", hint: "No space before and behind the text.", params: [], make: () => (message) => withText(message, trimText(message.text)) },
  {
    type: "collapse", label: "join a burst", hint: "Messages that come within this time become one. Works where this node is wired straight to a channel in.",
    params: [
      { key: "ms", type: "number", label: "quiet time (ms)", initial: 1500, min: 0, max: 60_000 },
      { key: "separator", type: "text", label: "between the texts", hint: "\\n is a new line.", initial: "\\n" },
    ],
    // The lane gathers; joining is done by `normalize` at the place of this step.
    make: () => (message) => message,
  },
  {
    type: "command", label: "split command and arguments", hint: '"/light kitchen on" gives message.action: command "light", arguments "kitchen on".',
    params: [
      { key: "prefix", type: "text", label: "commands begin with", initial: "/" },
      { key: "text", type: "choice", label: "the text then is", choices: ["all", "arguments"], initial: "all" },
    ],
    make: (params) => {
      const prefix = params.text("prefix");
      const argumentsOnly = params.text("text") === "arguments";
      return (message, { self }) => {
        const action = message.action ?? parseCommand(message.text, self?.handle, prefix);
        if (action?.type !== "command") return message;
        const split = message.action === undefined ? { ...message, action } : message;
        return argumentsOnly ? withText(split, action.args) : split;
      };
    },
  },
  {
    type: "language", label: "guess the language", hint: "Sets message.language, where it is clear.",
    params: [{ key: "prefer", type: "choice", label: "believe first", choices: ["platform", "text"], initial: "platform" }],
    make: (params) => {
      const textFirst = params.text("prefer") === "text";
      return (message) => {
        const told = message.language ?? message.sender.language;
        const language = textFirst ? (detectLanguage(message.text) ?? told) : (told ?? detectLanguage(message.text));
        return language === undefined || language === message.language ? message : { ...message, language };
      };
    },
  },
  {
    type: "secrets", label: "mask secrets", hint: "Keys, passwords, cards and bank accounts become [secret].", params: [],
    make: () => (message) => {
      const masked = mapTexts(message, maskSecrets);
      if (masked === message) return message;
      const { raw: _, ...rest } = masked; // The platform's own copy still holds them.
      return rest;
    },
  },
  {
    type: "words", label: "filter words", hint: "Whole words and phrases, upper and lower case alike.",
    params: [
      { key: "words", type: "list", label: "words", hint: "One a line.", required: true },
      { key: "replacement", type: "text", label: "replace by", hint: "One character is repeated to the word's length.", initial: "*" },
    ],
    make: (params) => {
      const filter = wordFilter(params.list("words"), params.text("replacement"));
      return (message) => mapTexts(message, filter);
    },
  },
  {
    type: "tag", label: "add a tag", hint: "Route can test for it.",
    params: [
      { key: "tag", type: "text", label: "tag", required: true },
      { key: "pattern", type: "text", label: "when the text matches", hint: "A pattern, case does not count; empty: always." },
    ],
    make: (params) => {
      const tag = params.text("tag");
      const source = params.text("pattern");
      if (source === "") return (message) => tagged(message, tag);
      const pattern = compilePattern(source, { ignoreCase: true });
      return (message) => (pattern.test(message.text) ? tagged(message, tag) : message);
    },
  },
  {
    type: "size", label: "limit the length", hint: 'A longer text is cut, marked, and tagged "cut".',
    params: [
      { key: "max", type: "number", label: "characters", initial: 8000, min: 1, max: 1_048_576 },
      { key: "mark", type: "text", label: "mark", initial: "… [cut]" },
    ],
    make: (params) => {
      const max = params.number("max");
      const mark = params.text("mark");
      return (message) => {
        const text = cutText(message.text, max, mark);
        return text === undefined ? message : tagged({ ...message, text }, "cut");
      };
    },
  },
  ...SENSE_STEPS,
];

/** The steps there are, as data for the form. */
export const STEPS: readonly StepInfo[] = KINDS.map(({ make: _, ...info }) => info);
/** What a new node begins with. */
export const DEFAULT_STEPS: readonly Step[] = [{ type: "controls" }, { type: "mention", where: "start" }, { type: "trim" }, { type: "command", prefix: "/", text: "all" }, { type: "size", max: 8000, mark: "… [cut]" }];

const listOf = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : String(value ?? "").split(/[,\n]/)).map((entry) => entry.trim()).filter((entry) => entry !== "");
const isEmpty = (value: unknown): boolean => value === undefined || value === null || value === "";

function paramsOf(step: Step, kind: StepKind): Params {
  const given = (key: string): unknown => (isEmpty(step[key]) ? kind.params.find((param) => param.key === key)?.initial : step[key]);
  return {
    text: (key) => (step[key] === "" ? "" : String(given(key) ?? "")),
    number: (key) => Number(given(key)),
    list: (key) => listOf(step[key]),
  };
}

/** Problems of the steps, each a sentence that names the step. */
export function checkSteps(steps: readonly Step[]): string[] {
  if (!Array.isArray(steps)) return ["Expected a list of steps."];
  const problems: string[] = [];
  for (const [index, step] of (steps as readonly (Step | null)[]).entries()) {
    const kind = KINDS.find(({ type }) => type === step?.type);
    if (step === null || kind === undefined) problems.push(`Step ${index + 1}: Expected one of ${KINDS.map(({ type }) => type).join(", ")}, got ${JSON.stringify(step?.type)}.`);
    else for (const problem of kind.params.flatMap((param) => checkParam(step, param))) problems.push(`Step ${index + 1} (${kind.label}): ${problem}`);
    if (kind?.type === "tag" && !isEmpty(step?.["pattern"])) {
      try {
        compilePattern(String(step?.["pattern"]), { ignoreCase: true });
      } catch (error) {
        problems.push(`Step ${index + 1} (${kind.label}): ${(error as Error).message}`);
      }
    }
  }
  if (steps.filter((step) => step?.type === "collapse").length > 1) problems.push('Expected at most one step "join a burst", got several. Remove the others.');
  return problems;
}

function checkParam(step: Step, { key, type, label, choices, required, min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }: StepParam): string[] {
  const value = step[key];
  if (isEmpty(value) || (type === "list" && listOf(value).length === 0)) return required === true ? [`Expected "${label}", got nothing. Fill it in or remove the step.`] : [];
  const number = Number(value);
  if (type === "number" && !(Number.isInteger(number) && number >= min && number <= max)) return [`Expected "${label}" to be a whole number from ${min} to ${max}, got ${JSON.stringify(value)}.`];
  if (type === "choice" && !choices?.includes(String(value))) return [`Expected "${label}" to be one of ${choices?.join(", ")}, got ${JSON.stringify(value)}.`];
  return type === "text" && typeof value !== "string" ? [`Expected "${label}" to be a text, got ${JSON.stringify(value)}.`] : [];
}

interface Compiled { readonly before: readonly Act[]; readonly separator: string; readonly after: readonly Act[] }
const compiled = new WeakMap<readonly Step[], Compiled>();

/** Prepares steps, once per list (kept as long as the list is). Throws SettingError CONF_003 with all problems, a line each. */
export function compileSteps(steps: readonly Step[]): Compiled {
  const known = compiled.get(steps);
  if (known !== undefined) return known;
  const problems = checkSteps(steps);
  if (problems.length > 0) throw new SettingError("CONF_003", {}, problems.join("\n"));
  const kinds = steps.map((step) => KINDS.find(({ type }) => type === step.type) as StepKind);
  const acts = steps.map((step, index) => (kinds[index] as StepKind).make(paramsOf(step, kinds[index] as StepKind)));
  const join = steps.findIndex(({ type }) => type === "collapse");
  const separator = join < 0 ? "\n" : paramsOf(steps[join] as Step, kinds[join] as StepKind).text("separator").replaceAll("\\n", "\n");
  const made: Compiled = { before: acts.slice(0, Math.max(0, join)), separator, after: acts.slice(Math.max(0, join)) };
  compiled.set(steps, made);
  return made;
}

/**
 * One clean message of one or several (a gathered burst, an album; oldest first). Several are joined at the step "collapse", or at the start where there is none;
 * steps before it see each message by itself. Pure: the given messages are not changed. Throws SettingError CONF_003 for steps that cannot work.
 */
export async function normalize(messages: readonly Message[], steps: readonly Step[], context: NormalizeContext = {}): Promise<Message> {
  const { before, separator, after } = compileSteps(steps);
  const run = async (acts: readonly Act[], message: Message): Promise<Message> => {
    let current = message;
    // What is ready at once costs no turn.
    for (const act of acts) { const made = act(current, context); current = made instanceof Promise ? await made : made; }
    return current;
  };
  const each: Message[] = [];
  for (const message of messages) each.push(before.length === 0 ? message : await run(before, message));
  return run(after, mergeMessages(each, separator));
}
