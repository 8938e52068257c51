/** English and German as far as the practice model knows them: every text becomes words in one common form. */

/** Words that mean the same here, and German words, as English ones. Umlauts are folded (ü → u); the spelling with ue is listed too where it is common. */
const MEANS: Readonly<Record<string, string>> = {
  lamp: "light", bulb: "light", lighting: "light", licht: "light", lichter: "light", lampe: "light", lampen: "light", leuchte: "light", leuchten: "light", beleuchtung: "light",
  kuche: "kitchen", kueche: "kitchen", wohnzimmer: "living room", stube: "living room", lounge: "living room", livingroom: "living room",
  schlafzimmer: "bedroom", badezimmer: "bathroom", bad: "bathroom", bath: "bathroom", flur: "hall", diele: "hall", hallway: "hall", corridor: "hall",
  garten: "garden", keller: "basement", cellar: "basement", buro: "office", buero: "office", arbeitszimmer: "office", kinderzimmer: "nursery", balkon: "balcony", terrasse: "terrace",
  tur: "door", tuer: "door", turen: "door", tueren: "door", haustur: "front door", haustuer: "front door", eingangstur: "front door", wohnungstur: "front door", hintertur: "back door",
  fenster: "window", tor: "gate", heizung: "thermostat", heating: "thermostat", heater: "thermostat", heat: "thermostat", radiator: "thermostat",
  temperatur: "temperature", grad: "degree", celsius: "degree", wetter: "weather", klingel: "doorbell", turklingel: "doorbell", uhr: "clock", zeit: "time", musik: "music", wurfel: "dice", wurfle: "roll", wirf: "roll",
  raum: "room", zimmer: "room", turn: "turn", switch: "turn", flip: "turn", put: "turn", schalte: "turn", schalten: "turn", schalt: "turn", mach: "turn", mache: "turn", machen: "turn", dreh: "turn", drehe: "turn",
  anmachen: "turn on", einschalten: "turn on", anschalten: "turn on", ausmachen: "turn off", ausschalten: "turn off", abschalten: "turn off",
  stell: "set", stelle: "set", stellen: "set", setz: "set", setze: "set", einstellen: "set", change: "set", adjust: "set",
  offne: "open", offnen: "open", opened: "open", offen: "open", geoffnet: "open", schliesse: "close", schliessen: "close", schliess: "close", closed: "close", shut: "close", geschlossen: "close",
  locked: "lock", verschlossen: "lock", abgeschlossen: "lock", verriegelt: "lock", verriegeln: "lock", unlocked: "unlock",
  eingeschaltet: "on", angeschaltet: "on", enabled: "on", enable: "on", active: "on", ausgeschaltet: "off", disabled: "off", disable: "off", inactive: "off",
  zeig: "show", zeige: "show", nenn: "list", nenne: "list", sag: "tell", sage: "tell", lies: "read", prufe: "check", pruefe: "check", status: "state", zustand: "state", current: "state", currently: "state",
  welche: "which", welcher: "which", welches: "which", welchen: "which", was: "what", wie: "how", ist: "is", sind: "is", are: "is", wo: "where", wann: "when", wer: "who", hat: "has", lauft: "is", brennt: "is", brennen: "is",
  alle: "all", alles: "all", samtliche: "all", every: "all", everything: "all", spiel: "play", spiele: "play", sende: "send", schick: "send", schicke: "send", sagen: "tell",
  ansage: "announce", durchsage: "announce", melde: "announce", fuge: "add", losche: "delete", starte: "start", stoppe: "stop", raise: "set", lower: "set", erhohe: "set", senke: "set",
  haus: "home", house: "home", wohnung: "home", vorne: "front", sensor: "sensor", es: "it", them: "it", that: "it", sie: "it", beide: "all", both: "all",
};

/** Words that say nothing about what is meant. */
const STOP = new Set(
  `the a an my our your this these those of in at to for from with by me us you i we please bitte der die das den dem des ein eine einen einem einer mein meine im am zu zum zur auf fur von mit mir uns du ich wir mal doch jetzt now just
  can could would will do does kann kannst konntest konnte wurde wurdest there here it and und or oder be been any some s t m re how much many viel viele gerade momentan noch auch so then dann also hier da about want mochte need have question frage
  again wieder nochmal back given named whether if when as one its whole both each value tool flow returns return result sets gets uses use
  one two three four five six seven eight nine ten eleven twelve eins zwei drei vier funf sechs sieben acht neun zehn elf zwolf`.split(/\s+/),
);
const QUESTION = new Set(["which", "what", "how", "is", "where", "when", "who", "has", "does", "did", "why"]);
const ASK = new Set(["get", "list", "read", "show", "check", "find", "query", "look", "fetch", "report", "tell", "state", "is", "which", "what", "how", "see", "view", "search", "measure", "give", "know"]);
const DO = new Set(["set", "turn", "toggle", "open", "close", "lock", "unlock", "start", "stop", "play", "pause", "send", "announce", "add", "create", "delete", "remove", "write", "activate", "dim", "remind", "order", "book", "say", "roll", "throw"]);
export const STATES = new Set(["on", "off", "open", "close", "lock", "unlock"]);
export const OPPOSITE: Readonly<Record<string, string>> = { on: "off", off: "on", open: "close", close: "open", lock: "unlock", unlock: "lock" };
/** Words near enough to help a match where no better one is. */
const THEMES: readonly (readonly string[])[] = [["thermostat", "temperature", "degree", "warm", "cold", "warmer", "colder"], ["door", "gate", "entrance"], ["weather", "rain", "sun", "forecast"], ["time", "clock"]];
const ARTICLES = new Set(["der", "die", "das", "dem", "den", "des", "mein", "meine", "einer", "einem", "einen", "eine"]);

export type Intent = "ask" | "do" | "unknown";
export interface Clause {
  readonly raw: string;
  readonly words: readonly string[];
  /** What it is about: no verbs, states, numbers or small words. */
  readonly topics: readonly string[];
  readonly intent: Intent;
}

function fold(text: string): string {
  return text.toLowerCase().replaceAll("ß", "ss").normalize("NFKD").replace(/\p{M}/gu, "");
}
function rawWords(text: string): string[] {
  return fold(text.replace(/(\p{Ll}|\d)(\p{Lu})/gu, "$1 $2").replace(/['’]s\b/g, " is")).match(/[\p{L}\d]+/gu) ?? [];
}

/** The words of a text in common form, in order; small words are kept. */
export function wordsOf(text: string): string[] {
  const raw = rawWords(text);
  const found: string[] = [];
  for (const [at, word] of raw.entries()) {
    const small = smallGerman(word, raw[at + 1]);
    found.push(...(small ?? meaning(word)).split(" "));
  }
  return found;
}

/** `ein`, `an`, `aus`, `auf` and `zu` mean a state only where no noun follows. */
function smallGerman(word: string, next: string | undefined): string | undefined {
  const last = next === undefined || next === "und" || next === "oder";
  if (word === "an") return last || (next !== undefined && /^(im|in|oder|gerade)$/.test(next)) ? "on" : "a";
  if (word === "aus") return next !== undefined && ARTICLES.has(next) ? "from" : "off";
  if (word === "ein") return last ? "on" : "a";
  if (word === "auf") return last ? "open" : "to";
  if (word === "zu") return last ? "close" : "to";
  return undefined;
}

function meaning(word: string): string {
  const known = Object.hasOwn(MEANS, word) ? MEANS[word] : undefined;
  if (known !== undefined) return known;
  const single = singular(word);
  if (Object.hasOwn(MEANS, single)) return MEANS[single] as string;
  return compound(word) ?? single;
}

function singular(word: string): string {
  if (word.length > 4 && word.endsWith("ies")) return `${word.slice(0, -3)}y`;
  if (word.length > 4 && /(ch|sh|x|ss)es$/.test(word)) return word.slice(0, -2);
  return word.length > 3 && word.endsWith("s") && !/(ss|us|is)$/.test(word) ? word.slice(0, -1) : word;
}

/** Küchenlicht, Wohnzimmerlampe: two known words in one. */
function compound(word: string): string | undefined {
  // No compound of two known words is longer.
  if (word.length > 30) return undefined;
  for (let cut = 3; cut <= word.length - 3; cut++) {
    const right = word.slice(cut);
    if (!Object.hasOwn(MEANS, right) && right !== "sensor" && right !== "thermostat") continue;
    const left = word.slice(0, cut);
    const known = [left, left.replace(/n$/, ""), left.replace(/s$/, "")].find((part) => Object.hasOwn(MEANS, part));
    if (known !== undefined || left === "garage") return `${known === undefined ? left : (MEANS[known] as string)} ${MEANS[right] ?? right}`;
  }
  return undefined;
}

/** What a text asks for, in parts: "turn on the hall light and set the thermostat to 21" is two. */
export function clausesOf(text: string): Clause[] {
  const parts: string[] = [];
  for (const piece of text.split(/[;!?\n]+|\.(?=\s|$)|,?\s+(?:and|und|then|dann)\s+|,\s+/i)) {
    if (piece.trim() === "") continue;
    const words = wordsOf(piece);
    // "… the kitchen and the hall light" is one wish: only a part with a verb of its own begins a new one.
    const own = QUESTION.has(words[0] ?? "") || ASK.has(words[0] ?? "") || words.some((word) => DO.has(word) && !(STATES.has(word) && word !== words[0]));
    if (own || parts.length === 0) parts.push(piece.trim());
    else parts[parts.length - 1] += ` , ${piece.trim()}`;
  }
  const question = text.trim().endsWith("?");
  return parts.map((raw) => {
    const words = wordsOf(raw);
    return { raw, words, topics: topicsOf(words), intent: intentOf(words, question) };
  });
}

export function topicsOf(words: readonly string[]): string[] {
  return [...new Set(words.filter((word) => !STOP.has(word) && !QUESTION.has(word) && !ASK.has(word) && !DO.has(word) && !STATES.has(word) && word !== "all" && !/^\d+$/.test(word)))];
}

function intentOf(words: readonly string[], question: boolean): Intent {
  const polite = words[0] !== undefined && /^(can|could|would|will|kannst|konntest|wurdest|please|bitte)$/.test(words[0]);
  if (!polite && QUESTION.has(words[0] ?? "")) return "ask";
  // "open" and "close" are verbs only at the beginning.
  if (words.some((word, at) => DO.has(word) && (!STATES.has(word) || at === 0 || (polite && !words.includes("is"))))) return "do";
  if (words.some((word) => ASK.has(word))) return "ask";
  if (question) return "ask";
  return words.some((word) => STATES.has(word) || /^\d+$/.test(word)) ? "do" : "unknown";
}

/** Does it begin as a question, or as a wish to be told? */
export const asksFirst = ([first = ""]: readonly string[]): boolean => QUESTION.has(first) || ASK.has(first);

/** Whether a tool reads or changes, by the first telling word of its name, then of its description. */
export function intentOfWords(words: readonly string[]): Intent {
  for (const word of words) {
    if (ASK.has(word)) return "ask";
    if (DO.has(word)) return "do";
  }
  return "unknown";
}

export function sameTheme(a: string, others: ReadonlySet<string>): boolean {
  return THEMES.some((theme) => theme.includes(a) && theme.some((word) => word !== a && others.has(word)));
}

const GERMAN = new Set("ist sind und bitte welche welcher welches was wie schalte schalt mach mache stell stelle licht lichter lampe lampen tur tuer haustur offen geschlossen hallo moin guten danke der die das den im du kannst wer mir ich nicht wo zeig zeige heizung temperatur auf aus ein fenster alle grad kuche kueche wohnzimmer hilfe tschuss servus".split(" "));
const ENGLISH = new Set("is are the and please which what how turn switch set light lights lamp door open closed hello hi hey thanks thank can you me i not where show temperature on off window all degrees kitchen living room help bye".split(" "));

export type Language = "de" | "en";
/** Undefined where the text tells nothing. */
export function languageOf(text: string): Language | undefined {
  let german = /[äöüß]/i.test(text) ? 1 : 0;
  let english = 0;
  for (const word of rawWords(text)) {
    if (GERMAN.has(word)) german++;
    if (ENGLISH.has(word)) english++;
  }
  return german === english ? undefined : german > english ? "de" : "en";
}
