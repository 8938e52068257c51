/** How an account logs in at its servers: by its password, or by access tokens of OAuth (XOAUTH2). */
import { createHash } from "node:crypto";
import type { Account, ChannelContext } from "../channel.ts";
import { createTokens } from "../mail/tokens.ts";
import { text } from "../setting-text.ts";
import { fromGrant, fromOauth } from "./errors.ts";
import { authUrlOf } from "./settings.ts";

export type Credentials = { readonly user: string; readonly pass: string } | { readonly user: string; readonly accessToken: string };
export interface Login {
  /** Throws ChannelError. */
  get(): Promise<Credentials>;
  /** A server refused these. True: others may be had. */
  refused(credentials: Credentials): boolean;
}

/** The refresh token that took the place of the one in the settings: `of` is the hash of that one. */
const KEPT = "oauth";
interface Kept { readonly of: string; readonly token: string }

export function createLogin(account: Account, context: Pick<ChannelContext, "fetch" | "clock" | "signal" | "storage">): Login {
  const user = text(account, "user");
  if (text(account, "login") !== "oauth") return { get: async () => ({ user, pass: text(account, "password") }), refused: () => false };
  const { clock, storage } = context;
  const given = text(account, "token");
  const of = createHash("sha256").update(given).digest("base64url");
  const secret = text(account, "secret");
  const tokens = createTokens({
    url: authUrlOf(account),
    async form() {
      const kept = (await storage.get(KEPT)) as Kept | undefined;
      return { client_id: text(account, "clientId"), refresh_token: kept?.of === of ? kept.token : given, ...(secret === "" ? {} : { client_secret: secret }) };
    },
    replaced: (token) => storage.set({ [KEPT]: { of, token } satisfies Kept }),
    refused: (status, body, header) => fromGrant(status, body, header, clock.now()),
    lost: fromOauth,
  }, context);
  return {
    get: async () => ({ user, accessToken: await tokens.get() }),
    refused(credentials) {
      if (!("accessToken" in credentials)) return false;
      tokens.drop(credentials.accessToken);
      return true;
    },
  };
}

/** Does it once more where the credentials were refused and others can be had. */
export async function withLogin<T>(login: Login, act: (credentials: Credentials) => Promise<T>): Promise<T> {
  const first = await login.get();
  try {
    return await act(first);
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code !== "CONN_002" || !login.refused(first)) throw error;
    return act(await login.get());
  }
}
