/** Keys, passwords and payment data in what people paste into a chat. A net with known meshes, not a wall: it finds the shapes below and those of tokens. */
import { hideTokens } from "../secrets/shapes.ts";

const HIDDEN = "[secret]";

/** A value behind a telling name. */
const NAMED = /((?:password|passwd|passphrase|pwd|secret|token|api[-_ ]?key|access[-_ ]?key|session(?:[-_]?id)?|(?<![a-z])sid|cookie|passwort|kennwort|contraseña|mot de passe)["']?\s{0,4}[:=]\s{0,4})(?!\[secret\])[^\s,;]{4,256}/gi;

/** Cards: lengths and beginnings of the known brands, and a right check digit (Luhn). */
const CARD = /^(?:4\d{15}|4\d{18}|5[1-5]\d{14}|2[2-7]\d{14}|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}|6\d{15,18})$/;
const DIGIT_GROUPS = /(?<![\d.+])\d(?:[ -]?\d){12,}/g;

function isCard(digits: string): boolean {
  if (!CARD.test(digits)) return false;
  let sum = 0;
  for (const [index, digit] of [...digits].reverse().entries()) {
    const weighed = index % 2 === 0 ? Number(digit) : Number(digit) * 2;
    sum += weighed > 9 ? weighed - 9 : weighed;
  }
  return sum % 10 === 0;
}

/** Looks for a card among groups of digits that other numbers may stand around. */
function maskCards(run: string): string {
  const groups = run.split(/([ -])/);
  let out = "";
  for (let start = 0; start < groups.length; start++) {
    let digits = "";
    let end = -1;
    for (let next = start; start % 2 === 0 && next < groups.length && digits.length <= 19; next += 2) {
      digits += groups[next];
      if (isCard(digits)) end = next;
    }
    out += end < 0 ? groups[start] : HIDDEN;
    if (end >= 0) start = end;
  }
  return out;
}

/** Bank accounts: two letters, two check digits, up to 30 more, right by ISO 7064 (mod 97). */
const IBAN = /\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}\b/gi;
function ibanLength(found: string): number {
  // The run may have eaten words behind the account: the longest beginning that checks out is it.
  for (let end = found.length; end >= 15; end--) {
    const part = found.slice(0, end).replace(/ /g, "").toUpperCase();
    if (part.length < 15 || found[end - 1] === " " || /[A-Z0-9]/i.test(found[end] ?? " ")) continue;
    let rest = 0;
    for (const sign of part.slice(4) + part.slice(0, 4)) rest = (rest * (sign > "9" ? 100 : 10) + Number.parseInt(sign, 36)) % 97;
    if (rest === 1) return end;
  }
  return 0;
}

/** Long runs of letters and digits that no language has: hexadecimal and random keys. */
const RUN = /(?<![\w-])[A-Za-z0-9]{32,}(?![\w-])/g;
const looksRandom = (run: string): boolean => (/\d/.test(run) ? /[A-Za-z]/.test(run) : /[a-z]/.test(run) && /[A-Z]{2}/.test(run));

/** The text with every secret it knows replaced by "[secret]". Returns the same text where it found none. */
export function maskSecrets(text: string): string {
  return hideTokens(text, HIDDEN)
    .replace(NAMED, `$1${HIDDEN}`)
    .replace(DIGIT_GROUPS, maskCards)
    .replace(IBAN, (found) => {
      const length = ibanLength(found);
      return length === 0 ? found : HIDDEN + found.slice(length);
    })
    .replace(RUN, (run) => (looksRandom(run) ? HIDDEN : run));
}
