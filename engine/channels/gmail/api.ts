/** Gmail's REST API by plain fetch, with an access token that is renewed before it ends. */
import type { Account, ChannelContext } from "../channel.ts";
import { ChannelError } from "../../errors.ts";
import { createTokens as tokensOf, type Tokens } from "../mail/tokens.ts";
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
const LIMIT_MS = 60_000;
const UPLOAD_MS = 10 * 60_000;

export function createTokens(account: Account, context: Pick<ChannelContext, "fetch" | "clock" | "signal">): Tokens {
  return tokensOf({
    url: `${(text(account, "authRoot") || DEFAULT_AUTH_ROOT).replace(/\/+$/, "")}/token`,
    form: async () => ({ client_id: text(account, "clientId"), client_secret: text(account, "secret"), refresh_token: text(account, "token") }),
    refused: (status, body, header) => fromAnswer(status, body, header, "the refresh token", context.clock.now()),
    lost: (thrown) => fromFault(thrown, "The refresh token"),
  }, context);
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
