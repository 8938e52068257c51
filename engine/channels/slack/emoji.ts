/** Slack calls an emoji by its short name of iamcal's list; everybody else by the character. */
import names from "emojibase-data/en/shortcodes/iamcal.json" with { type: "json" };

const byName = new Map<string, string>();
const byCharacter = new Map<string, string>();
for (const [code, called] of Object.entries(names as Record<string, string | string[]>)) {
  const character = String.fromCodePoint(...code.split("-").map((hex) => Number.parseInt(hex, 16)));
  const all = Array.isArray(called) ? called : [called];
  byCharacter.set(plain(character), all[0] as string);
  for (const name of all) byName.set(name, character);
}
const TONES = ["🏻", "🏼", "🏽", "🏾", "🏿"];

/** The list names characters without the selector that asks for the coloured form. */
function plain(character: string): string {
  return character.replaceAll("\ufe0f", "");
}

/** "+1::skin-tone-3" as 👍🏼; a name of the workspace's own stays as `:name:`. */
export function emojiOf(name: string): string {
  const [base = "", tone] = name.split("::");
  const character = byName.get(base);
  if (character === undefined) return `:${name}:`;
  return `${character}${TONES[Number(/^skin-tone-([2-6])$/.exec(tone ?? "")?.[1] ?? 0) - 2] ?? ""}`;
}

/** A character, `:name:` or `name` as Slack's name; undefined for a character Slack has no name for. */
export function nameOf(emoji: string): string | undefined {
  const given = /^:?([a-z0-9_+'’-]+(?:::skin-tone-[2-6])?):?$/i.exec(emoji.trim())?.[1];
  if (given !== undefined) return given.toLowerCase();
  const character = plain(emoji.trim());
  const tone = TONES.findIndex((each) => character.includes(each));
  const name = byCharacter.get(tone < 0 ? character : character.replace(TONES[tone] as string, ""));
  return name === undefined ? undefined : tone < 0 ? name : `${name}::skin-tone-${tone + 2}`;
}
