/** The SDK's REST client, loaded on first use: it knows Discord's buckets. It neither retries nor waits here, and speaks through the account's own fetch. */
import type { Clock } from "../../clock.ts";
import { ChannelError } from "../../errors.ts";
import { retryAfter } from "../../retry-after.ts";
import { toChannelError } from "./errors.ts";
import { loadSdk, type REST, type RouteLike } from "./sdk.ts";
import { parseJson } from "../json.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
export interface Upload { readonly name: string; readonly data: Uint8Array; readonly mime: string }
export interface CallOptions {
  readonly body?: unknown;
  readonly query?: Readonly<Record<string, string>>;
  readonly files?: readonly Upload[];
  /** False for addresses that hold their own token. */
  readonly auth?: false;
  /** Until the call counts as lost. */
  readonly seconds?: number;
  readonly signal?: AbortSignal;
}
export interface Api {
  readonly rest: REST;
  /** Throws ChannelError. Resolves to the parsed answer, undefined where there is none. */
  call<T>(method: Method, path: string, options?: CallOptions): Promise<T>;
  close(): void;
}
export interface ApiOptions { readonly token: string; readonly apiRoot: string; readonly fetch: typeof fetch; readonly clock: Pick<Clock, "now">; readonly signal: AbortSignal }

const CALL_SECONDS = 30;
const UPLOAD_SECONDS = 300;

export function createApi({ token, apiRoot, fetch, clock, signal }: ApiOptions): Api {
  const { REST: Client } = loadSdk();
  const rest = new Client({
    version: "10", api: apiRoot, retries: 0, timeout: (UPLOAD_SECONDS + 5) * 1000, rejectOnRateLimit: () => true,
    makeRequest: ((url: string, init: RequestInit) => ask(url, init)) as unknown as NonNullable<ConstructorParameters<typeof Client>[0]>["makeRequest"] & {},
  });
  if (token !== "") rest.setToken(token);

  async function ask(url: string, { method, headers, body, signal: abort }: RequestInit): Promise<Response> {
    const response = await fetch(url, { method: method ?? "GET", headers: headers ?? {}, ...(body === undefined ? {} : { body }), ...(abort === undefined ? {} : { signal: abort }) });
    if (response.status !== 429) return response;
    // The SDK reads a wait from its one header; a proxy before Discord may name it otherwise.
    const text = await response.text();
    const waitMs = retryAfter({ header: (name) => response.headers.get(name), body: parseJson(text) }, clock.now());
    const named = new Headers(response.headers);
    if (waitMs !== undefined) named.set("retry-after", String(waitMs / 1000));
    return new Response(text, { status: 429, headers: named });
  }

  return {
    rest,
    async call<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
      const { body, query, files, auth, seconds = files === undefined ? CALL_SECONDS : UPLOAD_SECONDS, signal: ends = signal } = options;
      const what = `${method} ${path.replace(/\/(webhooks|interactions)\/\d+\/[^/]+/, "/$1/…").replace(/\d{15,}/g, "…").split("?")[0]}`;
      const ended = AbortSignal.any([ends, signal, AbortSignal.timeout(seconds * 1000)]);
      try {
        const answer = await rest.request({
          method: method as never, fullRoute: path as RouteLike, signal: ended as never,
          ...(body === undefined ? {} : { body }),
          ...(query === undefined ? {} : { query: new URLSearchParams(query) }),
          ...(files === undefined ? {} : { files: files.map(({ name, data, mime }) => ({ name, data: data as Buffer, contentType: mime })) }),
          ...(auth === false ? { auth: false } : {}),
        });
        if (!(answer instanceof ArrayBuffer)) return answer as T;
        if (answer.byteLength > 0) throw new ChannelError("CONN_001", { retry: "later" }, `Expected JSON from Discord for ${what}, got something else. Check the address of the API and the proxy.`);
        return undefined as T;
      } catch (thrown) {
        throw toChannelError(thrown, what, [token]);
      }
    },
    close() { rest.clearHashSweeper(); rest.clearHandlerSweeper(); },
  };
}
