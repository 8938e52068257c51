/** The forms in which a secret shows up in logs: whole, in parts, encoded. */

/** Shorter values are words; taking them out would make logs unreadable and hide nothing. */
export const SHORTEST = 6;

/** What stands between blanks and is no secret by itself: marks of a key's lines, the kind of an authorization, plain words. */
const PLAIN = /^(?:-----.*|BEGIN|END|Bearer|Basic|PRIVATE|PUBLIC|RSA|EC|KEY-*|[A-Z]?[a-z]{1,11})$/;

/** The secret and what of it is secret by itself: lines of a key, the password of an address, what follows "Bearer " or "name=". */
export function partsOf(secret: string, shortest = SHORTEST): string[] {
  const parts = [secret, ...secret.split(/\s+/).filter((part) => !PLAIN.test(part))];
  for (const part of [...parts]) {
    const password = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*?:([^/?#]*)@/i.exec(part)?.[1];
    if (password !== undefined) parts.push(password, decoded(password));
    const value = /^[\w.-]{1,40}=(.+)$/.exec(part)?.[1];
    if (value !== undefined) parts.push(value);
    const bare = /^whsec_(.+)$/.exec(part)?.[1];
    if (bare !== undefined) parts.push(bare);
  }
  return [...new Set(parts)].filter((part) => part.trim().length >= shortest);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Texts that give the secret away, itself among them. */
export function encodingsOf(secret: string): string[] {
  const bytes = Buffer.from(secret, "utf8");
  const json = JSON.stringify(secret).slice(1, -1);
  const forms = [
    secret, json, JSON.stringify(json).slice(1, -1), json.replaceAll("/", "\\/"),
    encodeURIComponent(secret.toWellFormed()), encodeURI(secret.toWellFormed()), new URLSearchParams([["", secret]]).toString().slice(1),
    bytes.toString("hex"), bytes.toString("base64"), bytes.toString("base64url"),
  ];
  // Inside a longer text that was encoded as a whole ("user:secret"), base64 depends on where the secret begins.
  for (const before of [0, 1, 2]) {
    const whole = Buffer.concat([Buffer.alloc(before), bytes]);
    const core = whole.toString("base64").slice(before === 0 ? 0 : before + 1, Math.floor((whole.length * 8) / 6));
    forms.push(core, core.replaceAll("+", "-").replaceAll("/", "_"));
  }
  return [...new Set(forms)].filter((form) => form.length >= SHORTEST);
}
