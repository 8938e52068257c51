/** Access tokens by a refresh token (RFC 6749, 6), each renewed before it ends. */
import type { ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";

export interface Tokens {
  /** One that is good for minutes yet. Throws ChannelError. */
  get(): Promise<string>;
  /** The server refused it before its time. */
  drop(token: string): void;
}
/** An OAuth server and what it is asked with. */
export interface Grant {
  readonly url: string;
  /** Client and refresh token, by the names of RFC 6749. */
  form(): Promise<Readonly<Record<string, string>>>;
  /** The server gave another refresh token: only that one is good from now on. Resolves when it is on disk. */
  replaced?(token: string): Promise<void>;
  /** An answer of a status that is no success. */
  refused(status: number, body: unknown, header: (name: string) => string | null): ChannelError;
  /** No answer came, or something else was thrown. */
  lost(thrown: unknown): ChannelError;
}

/** Renewed so long before its end. */
const EARLY_MS = 300_000;
const LIMIT_MS = 60_000;

export function createTokens({ url, form, replaced, refused, lost }: Grant, { fetch, clock, signal }: Pick<ChannelContext, "fetch" | "clock" | "signal">): Tokens {
  let held: { readonly token: string; readonly until: number } | undefined;
  let renewing: Promise<string> | undefined;

  async function renew(): Promise<string> {
    const asked = clock.now();
    try {
      const body = new URLSearchParams({ ...await form(), grant_type: "refresh_token" }).toString();
      const answer = await fetch(url, { method: "POST", redirect: "error", headers: { "content-type": "application/x-www-form-urlencoded" }, body, signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]) });
      const given = parsed(await answer.text());
      if (!answer.ok) throw refused(answer.status, given, (name) => answer.headers.get(name));
      const { access_token: token, expires_in: seconds, refresh_token: next } = given ?? {};
      if (typeof token !== "string" || token === "") throw new ChannelError("CONN_001", { retry: "later" }, "Expected the OAuth server to give an access token, got none. Check its address.");
      if (typeof next === "string" && next !== "") await replaced?.(next);
      held = { token, until: asked + (typeof seconds === "number" && seconds > 0 ? seconds : 3_600) * 1_000 };
      return token;
    } catch (thrown) {
      const { code, retry, afterMs, message } = lost(thrown);
      // Whatever was to be asked with it has not left.
      throw new ChannelError(code, { retry, unsent: true, ...(afterMs === undefined ? {} : { afterMs }) }, message);
    }
  }
  return {
    async get() {
      if (held !== undefined && clock.now() < held.until - EARLY_MS) return held.token;
      renewing ??= renew().finally(() => { renewing = undefined; });
      return renewing;
    },
    drop(token) { if (held?.token === token) held = undefined; },
  };
}

function parsed(written: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(written);
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined;
  } catch {
    return undefined;
  }
}
