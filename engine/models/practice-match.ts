/** Which tools a text names, and with which arguments: plain comparison of words with names, descriptions, parameters and their types. */
import type { ToolSpec } from "./model.ts";
import { asksFirst, type Clause, clausesOf, type Intent, intentOfWords, OPPOSITE, sameTheme, STATES, topicsOf, wordsOf } from "./practice-words.ts";

interface Field {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly values: readonly (string | number)[];
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  readonly words: ReadonlySet<string>;
  readonly wordsOfValues: ReadonlySet<string>;
}
interface Known { readonly tool: ToolSpec; readonly intent: Intent; readonly name: ReadonlySet<string>; readonly description: ReadonlySet<string>; readonly fields: readonly Field[] }

export interface PlannedCall { readonly tool: ToolSpec; readonly input: Record<string, unknown> }
/** A tool that is meant, but something it needs was not said. */
export interface Missing { readonly tool: ToolSpec; readonly field: string; readonly values: readonly (string | number)[]; readonly minimum: number | undefined; readonly maximum: number | undefined; readonly type: string }
export interface Plan { readonly calls: readonly PlannedCall[]; readonly missing: Missing | undefined }

/** `last`: what each tool was called with before, for "turn it off". */
export function planCalls(text: string, tools: readonly ToolSpec[], last: ReadonlyMap<string, Record<string, unknown>>): Plan {
  const known = tools.map(study);
  const values = new Set(known.flatMap(({ fields }) => fields.flatMap((field) => [...field.wordsOfValues])));
  const calls: PlannedCall[] = [];
  let missing: Missing | undefined;
  for (const clause of clausesOf(text)) {
    const best = bestTool(clause, known, values, last) ?? lookUp(clause, known);
    if (best === undefined) continue;
    if (best.missing !== undefined) missing ??= best.missing;
    for (const input of best.inputs) if (!calls.some((call) => call.tool === best.tool && JSON.stringify(call.input) === JSON.stringify(input))) calls.push({ tool: best.tool, input });
  }
  return { calls, missing: calls.length === 0 ? missing : undefined };
}

const studied = new WeakMap<ToolSpec, Known>();
function study(tool: ToolSpec): Known {
  let known = studied.get(tool);
  if (known === undefined) {
    const name = wordsOf(tool.name);
    const description = wordsOf(tool.description);
    const fields = fieldsOf(tool);
    const byWords = intentOfWords(name) === "unknown" ? intentOfWords(description) : intentOfWords(name);
    const byFields = fields.length === 0 ? "ask" : fields.some((field) => field.required && (field.type === "boolean" || field.type === "number" || field.type === "integer")) ? "do" : "unknown";
    known = { tool, intent: byWords === "unknown" ? byFields : byWords, name: new Set(name), description: new Set(description), fields };
    studied.set(tool, known);
  }
  return known;
}

function fieldsOf(tool: ToolSpec): Field[] {
  const { properties, required } = tool.parameters as { properties?: Record<string, unknown>; required?: unknown };
  return Object.entries(properties ?? {}).map(([name, raw]) => {
    const schema = (typeof raw === "object" && raw !== null ? raw : {}) as { type?: unknown; enum?: unknown; items?: { enum?: unknown }; description?: unknown; minimum?: unknown; maximum?: unknown };
    const list = Array.isArray(schema.enum) ? schema.enum : Array.isArray(schema.items?.enum) ? schema.items.enum : [];
    const values = list.filter((value): value is string | number => typeof value === "string" || typeof value === "number");
    const type = Array.isArray(schema.type) ? schema.type.find((each) => each !== "null") : schema.type;
    return {
      name, values, type: typeof type === "string" ? type : values.length > 0 ? "string" : "object",
      required: Array.isArray(required) && required.includes(name),
      minimum: typeof schema.minimum === "number" ? schema.minimum : undefined,
      maximum: typeof schema.maximum === "number" ? schema.maximum : undefined,
      words: new Set([...wordsOf(name), ...wordsOf(typeof schema.description === "string" ? schema.description : "")]),
      wordsOfValues: new Set(values.flatMap((value) => wordsOf(String(value)))),
    };
  });
}

interface Candidate { readonly tool: ToolSpec; readonly inputs: readonly Record<string, unknown>[]; readonly missing: Missing | undefined; readonly score: number }

function bestTool(clause: Clause, tools: readonly Known[], values: ReadonlySet<string>, last: ReadonlyMap<string, Record<string, unknown>>): Candidate | undefined {
  let best: Candidate | undefined;
  for (const known of tools) {
    if (clause.intent !== "unknown" && known.intent !== "unknown" && clause.intent !== known.intent) continue;
    const pronoun = clause.words.includes("it") && last.has(known.tool.name);
    const points = score(clause, known, values) + (pronoun ? 1 : 0);
    if (points < 1.5 && !(pronoun && clause.topics.length === 0)) continue;
    const { inputs, missing } = fill(clause, known, pronoun ? last.get(known.tool.name) : undefined);
    // Nothing is changed on a guess: a text that is no clear wish must name everything.
    if (missing !== undefined && clause.intent === "unknown") continue;
    const filled = inputs[0] === undefined ? 0 : Object.keys(inputs[0]).length;
    const total = points + 0.25 * filled - (missing === undefined ? 0 : 2);
    if (best === undefined || total > best.score) best = { tool: known.tool, inputs, missing, score: total };
  }
  return best;
}

/** A question that no tool is about is looked up where the flow has something to search: that changes nothing. */
function lookUp(clause: Clause, tools: readonly Known[]): Candidate | undefined {
  if (clause.intent !== "ask" || clause.topics.length === 0 || !asksFirst(clause.words)) return undefined;
  for (const { tool, fields, name } of tools) {
    const [field, ...others] = fields.filter(({ required }) => required);
    if (field?.type === "string" && others.length === 0 && (name.has("search") || name.has("recall"))) return { tool, inputs: [{ [field.name]: clause.raw }], missing: undefined, score: 0 };
  }
  return undefined;
}

/** `values`: words of all tools' values; "living room" is part of this home even for the tool that only lists lights. */
function score(clause: Clause, known: Known, values: ReadonlySet<string>): number {
  let points = 0;
  let matched = 0;
  let onlyValues = true;
  for (const topic of clause.topics) {
    const near = sameTheme(topic, known.name) || sameTheme(topic, known.description);
    const worth = known.name.has(topic) ? 3
      : known.fields.some((field) => field.wordsOfValues.has(topic)) ? 3
        : known.fields.some((field) => wordsOf(field.name).includes(topic)) ? 2
          : known.description.has(topic) ? 1.75
            : known.fields.some((field) => field.words.has(topic)) || near ? 1.5
              : values.has(topic) ? 0.5 : 0;
    points += worth;
    if (worth > 0) matched++;
    if (worth > 0 && !known.fields.some((field) => field.wordsOfValues.has(topic))) onlyValues = false;
  }
  // A change needs the thing itself to be named: "the window in the kitchen" is no kitchen light.
  const unknown = clause.topics.length - matched;
  // Free text ("announce dinner is ready") brings words no tool can know.
  const free = known.fields.some((field) => field.type === "string" && field.values.length === 0);
  const verb = clause.words.some((word) => known.name.has(word) && !STATES.has(word) && topicsOf([word]).length === 0 && intentOfWords([word]) === known.intent && !["turn", "set", "get", "is", "list", "show", "tell"].includes(word));
  if (verb) points += 3;
  // "Everything off": no thing is named, all are meant.
  const state = clause.words.find((word) => STATES.has(word));
  const switches = (word: string): boolean => known.fields.some((field) => field.words.has(word) || field.wordsOfValues.has(word));
  if (clause.topics.length === 0 && clause.words.includes("all") && state !== undefined && (switches(state) || switches(OPPOSITE[state] as string))) points += 1.5;
  if (!free && !verb && matched * 2 < clause.topics.length) return 0;
  if (!free && known.intent === "do" && unknown > 0 && (onlyValues || unknown > matched)) return 0;
  // "The garage door" is not what a tool "front_door" is about.
  if (unknown > 0 && !free && topicsOf([...known.name]).some((word) => !clause.topics.includes(word))) points -= 2;
  for (const word of clause.words) if (STATES.has(word) && (known.description.has(word) || known.fields.some((field) => field.wordsOfValues.has(word) || field.words.has(word)))) points += 0.5;
  return points - 0.25 * unknown;
}

/** One input, or several where a text names several values ("the kitchen and the hall light", "all lights"). */
function fill(clause: Clause, known: Known, before: Record<string, unknown> | undefined): { inputs: Record<string, unknown>[]; missing: Missing | undefined } {
  const { tool, fields } = known;
  let inputs: Record<string, unknown>[] = [{}];
  const numbers = numbersIn(clause);
  for (const field of fields) {
    let found = find(field, clause, numbers, known);
    if (found.length === 0 && field.required && before !== undefined && field.name in before && field.type !== "boolean") found = [before[field.name]];
    // A question about all of them: each is asked.
    if (found.length === 0 && field.required && field.values.length > 0 && field.values.length <= 12 && (clause.words.includes("all") || clause.words[0] === "which") && !field.values.some((value) => STATES.has(String(value)))) found = [...field.values];
    if (found.length === 0) {
      if (field.required) return { inputs: [], missing: { tool, field: field.name, values: field.values, minimum: field.minimum, maximum: field.maximum, type: field.type } };
      continue;
    }
    if (field.type === "array") inputs = inputs.map((input) => ({ ...input, [field.name]: found }));
    else inputs = inputs.flatMap((input) => found.map((value) => ({ ...input, [field.name]: value })));
  }
  return { inputs: inputs.slice(0, 12), missing: undefined };
}

const NUMBERS = "one eins two zwei three drei four vier five funf six sechs seven sieben eight acht nine neun ten zehn eleven elf twelve zwolf".split(" ");
function numbersIn(clause: Clause): number[] {
  const digits = [...clause.raw.matchAll(/(?<![\p{L}\d])-?\d+(?:[.,]\d+)?/gu)].map((match) => Number(match[0].replace(",", ".")));
  return digits.length > 0 ? digits : clause.words.filter((word) => NUMBERS.includes(word)).map((word) => Math.floor(NUMBERS.indexOf(word) / 2) + 1);
}

const TRUE = new Set(["on", "open", "lock", "start", "yes", "true", "ja", "activate"]);
const FALSE = new Set(["off", "close", "unlock", "stop", "no", "false", "nein"]);

function find(field: Field, clause: Clause, numbers: number[], known: Known): unknown[] {
  if (field.values.length > 0) return findValues(field, clause);
  switch (field.type) {
    case "boolean": {
      const state = clause.words.find((word) => (TRUE.has(word) || FALSE.has(word)) && (!STATES.has(word) || word === "on" || word === "off" || knows(known, field, word)));
      return state === undefined ? [] : [TRUE.has(state)];
    }
    case "integer":
    case "number": {
      const at = numbers.findIndex((number) => (field.minimum === undefined || number >= field.minimum) && (field.maximum === undefined || number <= field.maximum) && (field.type === "number" || Number.isInteger(number)));
      return at < 0 ? [] : numbers.splice(at, 1);
    }
    case "string":
      return findText(field, clause, known);
    default:
      return [];
  }
}

/** To open and to lock is not the same as to switch on: such a word counts only for a tool that speaks of it. */
function knows(known: Known, field: Field, state: string): boolean {
  return [state, OPPOSITE[state] as string].some((word) => known.name.has(word) || known.description.has(word) || field.words.has(word));
}

/** Values whose words are all in the text; a value inside a longer one that also fits ("room" in "living room") is left out. */
function findValues(field: Field, clause: Clause): unknown[] {
  const squashed = clause.words.join("");
  const own = new Set(clause.words);
  const hits = field.values.filter((value) => {
    const words = wordsOf(String(value));
    return words.length > 0 && (words.every((word) => own.has(word)) || (words.join("").length >= 5 && squashed.includes(words.join(""))));
  });
  const longest = hits.filter((value) => !hits.some((other) => other !== value && wordsOf(String(other)).length > wordsOf(String(value)).length && wordsOf(String(value)).every((word) => wordsOf(String(other)).includes(word))));
  if (longest.length > 0) return longest;
  // "all" and "alle" mean one value where the tool has such a value, otherwise each.
  if (!clause.words.includes("all") || field.values.some((value) => STATES.has(wordsOf(String(value))[0] ?? ""))) return [];
  const all = field.values.filter((value) => wordsOf(String(value)).includes("all"));
  return all.length > 0 ? all : field.values.length <= 12 ? [...field.values] : [];
}

const PLACE = /\b(?:in|for|at|near|around|für|bei|nach)\s+(?:the\s+|der\s+|dem\s+)?(\p{L}[\p{L}\d' .-]*)/iu;
function findText(field: Field, clause: Clause, known: Known): unknown[] {
  const quoted = /["“„«']([^"”“»']{2,})["”“»']/.exec(clause.raw)?.[1];
  if (quoted !== undefined) return [quoted];
  if ([...field.words].some((word) => /^(location|city|place|town|ort|stadt|country|where)$/.test(word))) {
    const place = PLACE.exec(clause.raw)?.[1]?.replace(/\s+(today|tomorrow|now|heute|morgen|jetzt|right|please|bitte)\b.*$/i, "").trim();
    return place ? [place] : [];
  }
  if (!field.required) return [];
  const after = /:\s*(\S.*)$/s.exec(clause.raw)?.[1];
  if (after !== undefined) return [after.trim()];
  const rest = strip(clause.raw, known);
  if (rest !== "") return [rest];
  // What the person said is all there is to pass on: "hand over to billing".
  return field.words.has("note") ? [clause.raw] : [];
}

/** What stays of "add milk to the shopping list" for a tool of that name: "milk". */
function strip(raw: string, known: Known): string {
  const words = raw.split(/\s+/).filter((word) => word !== "," && word !== "");
  const idle = (word: string): boolean => wordsOf(word).every((each) => known.name.has(each) || topicsOf([each]).length === 0);
  let from = 0;
  while (from < words.length && idle(words[from] as string)) from++;
  let to = words.length;
  while (to > from && wordsOf(words[to - 1] as string).every((each) => known.name.has(each) || ["to", "the", "on", "a", "my", "auf", "die", "der", "das", "please", "bitte"].includes(each))) to--;
  return words.slice(from, to).join(" ").replace(/[.!?]+$/, "");
}
