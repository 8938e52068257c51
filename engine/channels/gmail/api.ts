/** Gmail's REST API by plain fetch, with an access token that is renewed before it ends. */
import type { Account, ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { text } from "../setting-text.ts";
import { fromAnswer, fromFault } from "./errors.ts";
import { DEFAULT_API_ROOT, DEFAULT_AUTH_ROOT } from "./limits.ts";

export type Json = Readonly<Record<string, unknown>>;
export interface Ask {
  /** For people: "the mail". */
  readonly what: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly json?: Json;
  readonly body?: { readonly type: string; readonly bytes: Uint8Array<ArrayBuffer> };
  readonly upload?: true;
  readonly signal?: AbortSignal;
}
export interface Gmail {
  /** `path` below users/me. Throws ChannelError. */
  ask(method: string, path: string, ask: Ask): Promise<Json>;
}
export interface Tokens {
  /** One that is good for minutes yet. Throws ChannelError. */
  get(): Promise<string>;
  /** The server refused it before its time. */
  drop(token: string): void;
}

/** Renewed so long before its end. */
const EARLY_MS = 300_000;
const LIMIT_MS = 60_000;
const UPLOAD_MS = 10 * 60_000;

export function createTokens(account: Account, { fetch, clock, signal }: Pick<ChannelContext, "fetch" | "clock" | "signal">): Tokens {
  let held: { readonly token: string; readonly until: number } | undefined;
  let renewing: Promise<string> | undefined;
  const root = (text(account, "authRoot") || DEFAULT_AUTH_ROOT).replace(/\/+$/, "");

  async function renew(): Promise<string> {
    const asked = clock.now();
    const form = new URLSearchParams({ client_id: text(account, "clientId"), client_secret: text(account, "secret"), refresh_token: text(account, "token"), grant_type: "refresh_token" });
    try {
      const answer = await fetch(`${root}/token`, { method: "POST", redirect: "error", headers: { "content-type": "application/x-www-form-urlencoded" }, body: form.toString(), signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]) });
      const body = parsed(await answer.text());
      if (!answer.ok) throw fromAnswer(answer.status, body, (name) => answer.headers.get(name), "the refresh token", clock.now());
      const { access_token: token, expires_in: seconds } = body ?? {};
      if (typeof token !== "string" || token === "") throw new ChannelError("CONN_001", { retry: "later" }, "Expected Google to give an access token, got none. Check the address of the OAuth server.");
      held = { token, until: asked + (typeof seconds === "number" && seconds > 0 ? seconds : 3_600) * 1_000 };
      return token;
    } catch (thrown) {
      const { code, retry, afterMs, message } = fromFault(thrown, "The refresh token");
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

export function createGmail(account: Account, context: Pick<ChannelContext, "fetch" | "clock" | "signal">): Gmail {
  const { fetch, clock, signal } = context;
  const root = (text(account, "apiRoot") || DEFAULT_API_ROOT).replace(/\/+$/, "");
  const tokens = createTokens(account, context);

  async function once(method: string, path: string, { what, query = {}, json, body, upload, signal: own }: Ask, token: string): Promise<Json> {
    const fields = new URLSearchParams(Object.entries(query).flatMap(([key, value]) => (value === undefined ? [] : [value].flat().map((each) => [key, each as string]))));
    const address = `${root}${upload === true ? "/upload" : ""}/gmail/v1/users/me/${path}${fields.size === 0 ? "" : `?${fields}`}`;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(upload === true ? UPLOAD_MS : LIMIT_MS), ...(own === undefined ? [] : [own])]);
    const content = json === undefined ? body : { type: "application/json", bytes: JSON.stringify(json) };
    try {
      const answer = await fetch(address, { method, redirect: "error", signal: limit, headers: { authorization: `Bearer ${token}`, ...(content === undefined ? {} : { "content-type": content.type }) }, ...(content === undefined ? {} : { body: content.bytes }) });
      const written = await answer.text();
      const given = parsed(written);
      if (!answer.ok) throw Object.assign(fromAnswer(answer.status, given, (name) => answer.headers.get(name), what, clock.now()), { status: answer.status });
      if (given === undefined && written !== "") throw new ChannelError("CONN_001", { retry: "later" }, `Expected an answer of Gmail to ${what}, got something that is no JSON. Check the address of the API and the proxy.`);
      return given ?? {};
    } catch (thrown) {
      throw fromFault(thrown, what);
    }
  }
  return {
    async ask(method, path, asked) {
      const token = await tokens.get();
      try {
        return await once(method, path, asked, token);
      } catch (error) {
        if (statusOf(error) !== 401) throw error;
        // Refused at the door: nothing was done, and another token may open it.
        tokens.drop(token);
        return once(method, path, asked, await tokens.get());
      }
    },
  };
}

/** Status of the answer behind an error; undefined where none came. */
export const statusOf = (error: unknown): number | undefined => (error as { status?: number } | null)?.status;

function parsed(written: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(written);
    return typeof value === "object" && value !== null ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}
