/** Tokens of an account: a name for each, so that a token can be changed and its talks go on. */
import { createHash } from "node:crypto";
import { sameSecret } from "../../verify.ts";

export interface Token { readonly name: string; readonly token: string }
/** Shorter ones can be guessed. */
const TOKEN_LENGTH = 20;

/** `name=token` or `token`, separated by blanks, commas or lines. One without a name has a piece of its hash. */
export function tokensOf(setting: string): Token[] {
  return setting.split(/[\s,]+/).filter((part) => part !== "").map((part) => {
    const named = /^([A-Za-z0-9_.-]{1,32})=(.+)$/.exec(part);
    return named === null ? { name: createHash("sha256").update(part).digest("hex").slice(0, 8), token: part } : { name: named[1] as string, token: named[2] as string };
  });
}

/** What is wrong with them, never with a piece of one in it. */
export function tokenProblems(setting: string): string[] {
  const tokens = tokensOf(setting);
  if (tokens.length === 0) return ["Expected a token of your own making, got none. Whoever has it may use the API."];
  const problems: string[] = [];
  if (tokens.some(({ token }) => token.length < TOKEN_LENGTH)) problems.push(`Expected each token to have ${TOKEN_LENGTH} characters or more, got a shorter one.`);
  if (tokens.some(({ token }) => /[^\x21-\x7e]/.test(token))) problems.push("Expected tokens of visible ASCII characters, got others.");
  if (new Set(tokens.map(({ name }) => name)).size < tokens.length) problems.push("Expected the names of tokens to differ, got one twice.");
  return problems;
}

/** The token of `Authorization: Bearer …`, where it is one of these. All are compared, whichever fits. */
export function tokenOf(header: string | undefined, tokens: readonly Token[]): Token | undefined {
  const given = /^Bearer\s+(\S+)\s*$/i.exec(header ?? "")?.[1];
  return tokens.filter(({ token }) => sameSecret(given, token))[0];
}
