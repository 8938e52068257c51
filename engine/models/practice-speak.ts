/** What the practice model says: greetings, questions back, and a tool's result as a plain sentence. */
import type { ToolSpec } from "./model.ts";
import type { Missing } from "./practice-match.ts";
import { type Clause, clausesOf, type Language, OPPOSITE, STATES, wordsOf } from "./practice-words.ts";

type Both = Readonly<Record<Language, string>>;
const STATE_NAMES: Readonly<Record<string, Both>> = {
  on: { en: "on", de: "an" }, off: { en: "off", de: "aus" }, open: { en: "open", de: "offen" }, close: { en: "closed", de: "geschlossen" },
  lock: { en: "locked", de: "verriegelt" }, unlock: { en: "unlocked", de: "nicht verriegelt" },
};
const WHO: Both = {
  en: "I am the practice model: a few simple rules, no language model and no network.",
  de: "Ich bin das Übungsmodell: ein paar einfache Regeln, kein Sprachmodell und kein Netz.",
};
/** Begins a question back; the next text is then read together with the one before. */
export const STILL_NEED: Both = { en: "I still need", de: "Mir fehlt noch" };

const SMALL_TALK: readonly { readonly words: readonly string[]; readonly say: Both }[] = [
  { words: ["thanks", "thank", "thx", "danke", "dankeschön"], say: { en: "You are welcome.", de: "Gern geschehen." } },
  { words: ["morning", "morgen"], say: { en: "Good morning!", de: "Guten Morgen!" } },
  { words: ["bye", "goodbye", "ciao", "tschüss", "tschüs", "servus"], say: { en: "Goodbye.", de: "Bis bald." } },
];
const GREETINGS = ["hi", "hello", "hey", "hallo", "moin", "servus", "good morning", "good evening", "guten morgen", "guten tag", "guten abend", "grüß gott"];
/** Parameter names that make a full noun with their value: "kitchen light". */
const NOUNS = new Set(["light", "door", "window", "gate", "sensor"]);
const HELP = /\b(help|hilfe|what can you|was kannst|who are you|wer bist|what are you|was bist|your tools|deine werkzeuge)\b/i;

/** An answer without tools. */
export function chat(text: string, tools: readonly ToolSpec[], language: Language): string {
  const plain = text.toLowerCase().replace(/[^\p{L}\s]/gu, " ").replace(/\s+/g, " ").trim();
  if (HELP.test(text)) return `${WHO[language]} ${skills(tools, language)}`;
  if (GREETINGS.some((greeting) => plain === greeting || plain.startsWith(`${greeting} `))) return `${language === "de" ? "Hallo!" : "Hello!"} ${WHO[language]} ${skills(tools, language)}`;
  const small = SMALL_TALK.find((row) => row.words.some((word) => plain.split(" ").includes(word)));
  if (small !== undefined) return small.say[language];
  const sorry = language === "de" ? "Das verstehe ich nicht." : "I did not understand that.";
  const real = language === "de" ? "Für freie Gespräche trage im Modell-Knoten einen Anbieter ein." : "To talk freely, choose a provider in the model node.";
  return `${sorry} ${WHO[language]} ${skills(tools, language)}\n\n${real}`;
}

function skills(tools: readonly ToolSpec[], language: Language): string {
  if (tools.length === 0) return language === "de" ? "Dieser Flow gibt mir keine Werkzeuge." : "This flow gives me no tools.";
  const intro = language === "de" ? "Ich kann die Werkzeuge dieses Flows aufrufen:" : "I can call the tools of this flow:";
  const lines = tools.map((tool) => `\n- \`${tool.name}\`${tool.description === "" ? "" : `: ${oneLine(tool.description)}`}`);
  return `${intro}\n${lines.join("")}\n`;
}
function oneLine(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 120 ? `${line.slice(0, 119)}…` : line;
}

export function askBack(missing: Missing, language: Language): string {
  const { values, minimum, maximum, field } = missing;
  const between = minimum !== undefined && maximum !== undefined ? (language === "de" ? `${minimum} bis ${maximum}` : `${minimum} to ${maximum}`) : undefined;
  const choices = values.length > 0 ? list(values.map((value) => spaced(String(value))), language, "or") : missing.type === "boolean" ? (language === "de" ? "an oder aus" : "on or off") : between;
  return `${STILL_NEED[language]}: ${spaced(field)}${choices === undefined ? "" : ` (${choices})`}.`;
}

export interface Outcome { readonly name: string; readonly input: unknown; readonly text: string; readonly failed: boolean }

/** The results of the calls a text led to, as sentences. */
export function report(question: string, outcomes: readonly Outcome[], language: Language): string {
  const good = outcomes.filter((outcome) => !outcome.failed);
  const failures = outcomes.filter((outcome) => outcome.failed).map((outcome) => sentence(`${language === "de" ? "Das hat nicht geklappt" : "That did not work"} (${outcome.name}): ${outcome.text.replace(/^\[\w+\] /, "")}`));
  const said = good.map((outcome) => sentence(say(question, outcome, language)));
  return [...new Set([...said, ...failures])].join("\n");
}

function say(question: string, outcome: Outcome, language: Language): string {
  const text = outcome.text.trim();
  const value = parse(text);
  // A tool that speaks in sentences is believed.
  if (typeof value === "string" && value.trim().split(/\s+/).length > 2) return value.trim();
  const clause = clauseFor(question, outcome);
  const asked = clause?.intent !== "do";
  const facts = factsOf(value, language);
  const state = clause?.words.find((word) => STATES.has(word));
  if (asked && clause !== undefined && state !== undefined) {
    const answer = answerState(clause.raw, clause.words, state, value, facts, language);
    if (answer !== undefined) return answer;
  }
  if (asked) return facts.length > 0 || typeof value === "object" ? upperFirst(readable(value, language)) : plainAnswer(value, language);
  const done = language === "de" ? "Erledigt" : "Done";
  const state2 = facts.length > 0 && facts.length <= 3 ? facts.map((fact) => `${fact.label === "" ? "" : `${fact.label}: `}${name(fact.state, language)}`).join(", ") : undefined;
  if (state2 !== undefined) return `${done}: ${state2}`;
  const trivial = value === true || value === null || text === "" || /^(ok|okay|done|success|true)$/i.test(text) || (typeof value === "object" && Object.keys(value ?? {}).every((key) => /^(ok|success|done|status|result)$/i.test(key)));
  const details = trivial ? inputWords(outcome.input, language) : readable(value, language);
  return details === "" ? done : `${done}: ${details}`;
}

/** The part of the question this outcome answers: the one that shares most words with the tool. */
function clauseFor(question: string, outcome: Outcome): Clause | undefined {
  const about = new Set(wordsOf(`${outcome.name} ${JSON.stringify(outcome.input ?? "")} ${outcome.text.slice(0, 500)}`));
  let best: Clause | undefined;
  let most = -1;
  // A tool that was told nothing was asked something, where anything was asked.
  const told = typeof outcome.input === "object" && outcome.input !== null && Object.keys(outcome.input).length > 0;
  const clauses = clausesOf(question);
  const questions = told ? [] : clauses.filter((clause) => clause.intent === "ask");
  for (const clause of questions.length > 0 ? questions : clauses) {
    const shared = clause.topics.filter((topic) => about.has(topic)).length;
    if (shared > most) [best, most] = [clause, shared];
  }
  return best;
}

interface Fact { readonly label: string; readonly state: string }

/** Who is in which state: booleans and state words, wherever they stand in the result. */
function factsOf(value: unknown, language: Language, label = ""): Fact[] {
  if (typeof value === "string") {
    const words = wordsOf(value);
    return words.length === 1 && STATES.has(words[0] as string) ? [{ label, state: words[0] as string }] : [];
  }
  if (typeof value === "boolean") return label === "" ? [] : [{ label, state: value ? "on" : "off" }];
  if (Array.isArray(value)) return value.flatMap((each) => factsOf(each, language, label));
  if (typeof value !== "object" || value === null) return [];
  const entries = Object.entries(value);
  const own = entries.find(([key, each]) => /^(name|label|id|room|light|lamp|door|window|device|sensor|ort|raum)$/i.test(key) && typeof each === "string")?.[1] as string | undefined;
  return entries.flatMap(([key, each]): Fact[] => {
    if (/^(ok|success|done|error)$/i.test(key)) return [];
    const word = wordsOf(key)[0] ?? "";
    const who = own === undefined ? label : spaced(own);
    if (STATES.has(word)) {
      if (typeof each === "boolean") return [{ label: who, state: each ? word : (OPPOSITE[word] as string) }];
      if (Array.isArray(each)) return each.filter((item): item is string => typeof item === "string").map((item) => ({ label: spaced(item), state: word }));
    }
    const generic = /^(state|status|value|power|position|zustand)$/i.test(key);
    return factsOf(each, language, generic ? who : own === undefined || typeof each === "object" ? spaced(key) : who);
  });
}

/** "Which … are on?" and "Is the … open?". */
function answerState(raw: string, words: readonly string[], state: string, value: unknown, facts: readonly Fact[], language: Language): string | undefined {
  if (words.includes("which") || words[0] === "what") {
    if (facts.length === 0) return undefined;
    const names = facts.filter((fact) => fact.state === state && fact.label !== "").map((fact) => fact.label);
    if (names.length === 0) return facts.some((fact) => fact.label === "") ? undefined : language === "de" ? `Nichts davon ist ${name(state, language)}` : `None of them is ${name(state, language)}`;
    const verb = language === "de" ? (names.length > 1 ? "sind" : "ist") : names.length > 1 ? "are" : "is";
    return upperFirst(`${list(names, language, "and")} ${verb} ${name(state, language)}`);
  }
  const named = facts.filter((fact) => fact.label !== "" && wordsOf(fact.label).every((word) => words.includes(word)));
  const many = named.length > 1 ? named : words.includes("all") && facts.length > 1 ? facts : undefined;
  if (many !== undefined) {
    const others = many.filter((fact) => fact.state !== state);
    const yes = language === "de" ? "Ja, alle sind" : "Yes, all are";
    if (others.length === 0) return `${yes} ${name(state, language)}`;
    return `${language === "de" ? "Nein" : "No"}: ${many.map((fact) => `${fact.label}: ${name(fact.state, language)}`).join(", ")}`;
  }
  const one = named.length === 1 ? named[0] : facts.length === 1 ? facts[0] : undefined;
  const is = one?.state ?? (typeof value === "boolean" ? (value ? state : OPPOSITE[state]) : undefined);
  if (is === undefined || (is !== state && is !== OPPOSITE[state] && !((is === "on" || is === "off") && typeof value === "object"))) return undefined;
  // A bare true or false under a thing's own name answers the question that was asked.
  const now = is === state || is === OPPOSITE[state] ? is : is === "on" ? state : (OPPOSITE[state] as string);
  const subject = /\b(?:is|are|ist|sind)\s+(.+?)\s+\S+\s*\??\s*$/i.exec(raw)?.[1];
  const word = now === state ? (language === "de" ? "Ja" : "Yes") : language === "de" ? "Nein" : "No";
  if (subject === undefined) return `${word}: ${name(now, language)}`;
  const plural = /\b(are|sind)\b/i.test(raw);
  return `${word}, ${subject} ${language === "de" ? (plural ? "sind" : "ist") : plural ? "are" : "is"} ${name(now, language)}`;
}

function plainAnswer(value: unknown, language: Language): string {
  if (value === null || value === "") return language === "de" ? "Das Werkzeug gab nichts zurück" : "The tool returned nothing";
  if (typeof value === "boolean") return value ? (language === "de" ? "Ja" : "Yes") : language === "de" ? "Nein" : "No";
  const text = String(value);
  const words = wordsOf(text);
  return language === "de" ? `Es ist ${words.length === 1 ? name(words[0] as string, language, text) : text}` : `It is ${text}`;
}

/** JSON for people: `temperature: 21.5, target: 21`. */
function readable(value: unknown, language: Language, depth = 0): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? (language === "de" ? "ja" : "yes") : language === "de" ? "nein" : "no";
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value)) return value.length === 0 ? (language === "de" ? "nichts" : "nothing") : value.map((each) => readable(each, language, depth + 1)).join(value.some((each) => typeof each === "object") ? "; " : ", ");
  const entries = Object.entries(value);
  const named = entries.find(([key, each]) => /^(name|label|id|title)$/i.test(key) && typeof each === "string");
  const rest = entries.filter((entry) => entry !== named).map(([key, each]) => {
    const word = wordsOf(key)[0] ?? "";
    if (STATES.has(word) && typeof each === "boolean") return name(each ? word : (OPPOSITE[word] as string), language);
    const shown = typeof each === "boolean" && depth === 0 && named === undefined ? name(each ? "on" : "off", language) : readable(each, language, depth + 1);
    return `${spaced(key)}: ${typeof each === "object" && each !== null && !Array.isArray(each) ? `(${shown})` : shown}`;
  });
  return named === undefined ? rest.join(", ") : `${String(named[1])}${rest.length > 0 ? `: ${rest.join(", ")}` : ""}`;
}

function inputWords(input: unknown, language: Language): string {
  if (typeof input !== "object" || input === null) return "";
  return Object.entries(input).map(([key, value]) => {
    const word = wordsOf(key)[0] ?? "";
    if (typeof value === "boolean") return name(STATES.has(word) ? (value ? word : (OPPOSITE[word] as string)) : value ? "on" : "off", language);
    if (typeof value !== "string") return `${spaced(key)} ${String(value)}`;
    const thing = language === "en" && value.length < 30 && NOUNS.has(word) && !wordsOf(value).includes(word) ? ` ${spaced(key)}` : "";
    return name(wordsOf(value)[0] ?? "", language, spaced(value)) + thing;
  }).join(", ");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
function name(state: string, language: Language, otherwise = state): string {
  return STATE_NAMES[state]?.[language] ?? otherwise;
}
function list(items: readonly string[], language: Language, link: "and" | "or"): string {
  const word = language === "de" ? (link === "and" ? "und" : "oder") : link;
  return items.length < 2 ? (items[0] ?? "") : `${items.slice(0, -1).join(", ")} ${word} ${items.at(-1)}`;
}
function spaced(text: string): string {
  return text.replace(/(\p{Ll})(\p{Lu})/gu, "$1 $2").replace(/[_-]+/g, " ").trim();
}
function upperFirst(text: string): string { return text.charAt(0).toUpperCase() + text.slice(1); }
function sentence(text: string): string { return /[.!?…:]$|\n/.test(text) ? text : `${text}.`; }
