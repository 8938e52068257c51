/** A guess at the language of a text: by its script, and for Latin script by common small words and letters. BCP 47, or undefined when in doubt. */

const HAN = /\p{Script=Han}/gu;
const KANA = /[\p{Script=Hiragana}\p{Script=Katakana}]/gu;
const LATIN = /\p{Script=Latin}/gu;
const SCRIPTS: readonly (readonly [script: RegExp, language: string | ((text: string) => string)])[] = [
  [/\p{Script=Hangul}/gu, "ko"], [HAN, "zh"],
  [/\p{Script=Cyrillic}/gu, cyrillic], [/\p{Script=Arabic}/gu, arabic], [/\p{Script=Greek}/gu, "el"], [/\p{Script=Hebrew}/gu, "he"], [/\p{Script=Devanagari}/gu, "hi"],
  [/\p{Script=Thai}/gu, "th"], [/\p{Script=Bengali}/gu, "bn"], [/\p{Script=Tamil}/gu, "ta"], [/\p{Script=Georgian}/gu, "ka"], [/\p{Script=Armenian}/gu, "hy"],
];

function cyrillic(text: string): string {
  if (/[іїєґ]/i.test(text)) return /ў/i.test(text) ? "be" : "uk";
  if (/[ђћџљњј]/i.test(text)) return "sr";
  return /ъ/i.test(text) && !/[ыэё]/i.test(text) ? "bg" : "ru";
}
function arabic(text: string): string {
  if (/[ٹڈڑںے]/.test(text)) return "ur";
  return /[پچژگیک]/.test(text) ? "fa" : "ar";
}

/** Words that are frequent in short messages and rare in the other languages here, and letters that give a language away. */
const LATIN_LANGUAGES: Readonly<Record<string, { readonly words: string; readonly letters?: RegExp }>> = {
  en: { words: "the and is are was you your what which how why when where who please turn with this that there have has do does not it my can could would should to of hello thanks thank on off" },
  de: { words: "der die das und ist sind war ich du wir ihr sie nicht kein keine ein eine einen mit auf für von zu was wie wo warum wann wer bitte mach schalte licht danke hallo ja nein auch noch den dem im am kannst", letters: /[ßäöü]/g },
  fr: { words: "le la les de des et est sont je tu vous nous il elle pas un une du avec pour sur que qui quoi où comment pourquoi quand merci bonjour oui non dans ce cette mon allume éteins plaît peux au", letters: /[çœêèàùâîûô]/g },
  es: { words: "el la los las de y es son yo tú usted nosotros no un una unos con para por sobre que qué cómo dónde cuándo quién gracias hola sí en este esta mi enciende apaga favor puedes del al está", letters: /[ñ¿¡]/g },
  it: { words: "il lo la gli e è sono io tu voi noi non un una uno con per su che chi cosa come dove quando perché grazie ciao sì nel questo questa mio accendi spegni favore puoi della del di", letters: /[ìò]/g },
  pt: { words: "o os as de e é são eu você vocês nós não um uma com para por sobre que quem como onde quando porque obrigado obrigada olá sim em este esta meu ligue acenda apague favor pode do da no na", letters: /[ãõ]/g },
  nl: { words: "de het een en is zijn ik jij je u wij niet geen met op voor van wat hoe waar waarom wanneer wie dank hallo ja nee ook nog aan uit dit dat mijn alsjeblieft kun doe zet" },
  pl: { words: "i jest są ja ty pan pani my nie tak w na z do od co jak gdzie dlaczego kiedy kto proszę dziękuję cześć to ten ta moje włącz wyłącz czy możesz", letters: /[ąęłńśźż]/g },
  tr: { words: "ve bir bu şu ben sen siz biz değil evet hayır için ile ne nasıl nerede neden kim lütfen teşekkürler merhaba mi mı da çok var yok aç kapat", letters: /[ığş]/g },
  sv: { words: "och är jag du vi ni inte en ett med på för av vad hur var varför när vem tack hej ja nej det den detta min kan slå snälla som att", letters: /[å]/g },
  cs: { words: "a je jsou já ty vy my ne ano v na s do od co jak kde proč kdy kdo prosím děkuji ahoj to ten ta můj zapni vypni můžeš se", letters: /[řěůťď]/g },
};
const WORDS_TO_LANGUAGES = new Map<string, string[]>();
for (const [language, { words }] of Object.entries(LATIN_LANGUAGES)) {
  for (const word of words.split(" ")) WORDS_TO_LANGUAGES.set(word, [...(WORDS_TO_LANGUAGES.get(word) ?? []), language]);
}

/** Reads the first 2000 characters. */
export function detectLanguage(text: string): string | undefined {
  const read = text.slice(0, 2000).replace(/https?:\/\/\S+|[@/][\w-]+/g, " ").normalize("NFC").toLowerCase();
  const count = (script: RegExp): number => read.match(script)?.length ?? 0;
  const latin = count(LATIN);
  const kana = count(KANA);
  // A Japanese text may have more kanji than kana, a Chinese one has no kana.
  if (kana > 0 && kana + count(HAN) > latin) return "ja";
  const [script, most] = SCRIPTS.map((entry) => [entry, count(entry[0])] as const).reduce((best, next) => (next[1] > best[1] ? next : best));
  if (most > latin) return typeof script[1] === "string" ? script[1] : script[1](read);
  return latin === 0 ? undefined : detectLatin(read);
}

function detectLatin(text: string): string | undefined {
  const scores = new Map<string, number>();
  const add = (language: string, points: number) => scores.set(language, (scores.get(language) ?? 0) + points);
  for (const [word] of text.matchAll(/[\p{L}\p{M}]+/gu)) {
    const languages = WORDS_TO_LANGUAGES.get(word) ?? [];
    for (const language of languages) add(language, 1 / languages.length);
  }
  for (const [language, { letters }] of Object.entries(LATIN_LANGUAGES)) if (letters !== undefined) add(language, Math.min(2, text.match(letters)?.length ?? 0));
  const [first, second] = [...scores].sort(([, a], [, b]) => b - a);
  // Half a point is one word shared by two languages: too little to say.
  if (first === undefined || first[1] < 1 || (second !== undefined && first[1] - second[1] < 0.5)) return undefined;
  return first[0];
}
