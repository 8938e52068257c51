/**
 * A site that knows its visitors vouches for them: a token made by its server, never by its page.
 *
 *     <claims>.<signature>    claims = base64url of {"id":"42","name":"Ada","exp":1790000000}, exp in Unix seconds
 *                             signature = base64url of HMAC-SHA256(secret, claims)
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { cleanLine } from "./visitor.ts";

export interface Identity { readonly id: string; readonly name: string }
/** Shortest secret: shorter ones can be guessed from one token. */
export const SECRET_LENGTH = 32;
const MAX_TOKEN = 4_096;

/** Undefined for what is not signed with this secret, has no end, or is over; and for everything while there is no secret. `now`: Unix milliseconds. */
export function identityOf(token: string, secret: string, now: number): Identity | undefined {
  const [claims = "", signature = "", ...rest] = token.length > MAX_TOKEN ? [] : token.split(".");
  if (secret.length < SECRET_LENGTH || claims === "" || rest.length > 0) return undefined;
  const wanted = createHmac("sha256", secret).update(claims).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
  const { id, name, exp } = parsed(claims);
  const known = typeof id === "number" ? String(id) : id;
  if (typeof known !== "string" || !/^[^\p{Cc}]{1,256}$/u.test(known) || typeof exp !== "number" || !(exp * 1_000 > now)) return undefined;
  return { id: known, name: cleanLine(name, 64) };
}
function parsed(claims: string): { id?: unknown; name?: unknown; exp?: unknown } {
  try {
    const value: unknown = JSON.parse(Buffer.from(claims, "base64url").toString("utf8"));
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** Chat of a person who is vouched for: the same from every device. */
export function chatOfUser(id: string): string {
  return `user-${createHash("sha256").update(`clawflow user\n${id}`).digest("hex").slice(0, 32)}`;
}
