/**
 * A small, complete fetch over `undici.request`: keep-alive pools per origin, streams, abort, redirects, proxies.
 * It exists for CPU: the built-in fetch costs about four times as much per request, and every SDK we use takes a `fetch`.
 */
import type { LookupFunction } from "node:net";
import { Agent, type Dispatcher, ProxyAgent } from "undici";
import { SettingError } from "./errors.ts";
import { answer } from "./http-answer.ts";
import { HttpError, httpError } from "./http-error.ts";
import { payload } from "./http-payload.ts";

export { HttpError, neverSent } from "./http-error.ts";

export interface FetchOptions {
  /** `http:`, `https:` or `socks5:` address of a proxy; it may hold `user:password@`, which never appears in an error. */
  readonly proxy?: string;
  /** Milliseconds until a connection must stand. */
  readonly connectTimeoutMs?: number;
  /** Milliseconds until the head of an answer, and between two pieces of its body; 0 = no limit. A signal is the finer tool. */
  readonly silenceMs?: number;
  /** Sockets per origin. */
  readonly connections?: number;
  /** Milliseconds an idle connection is kept, where the server names no time of its own. */
  readonly keepAliveMs?: number;
  /** Looks names up for every connection, instead of the system; with a proxy names are the proxy's affair. */
  readonly lookup?: LookupFunction;
}

/** `close` waits for what is running, then ends all connections; `destroy` breaks off what is running. */
export type Fetch = typeof fetch & { close(): Promise<void>; destroy(): Promise<void> };

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 20;
/** Given by the connection itself; undici refuses most of them from outside (grammY sends `connection`). */
const HOP_HEADERS = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "expect", "proxy-connection"]);
/** Not carried to another origin. The fetch standard names the first; the others hold keys at some providers. */
const SECRET_HEADERS = ["authorization", "cookie", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"];
const BODY_HEADERS = ["content-type", "content-length", "content-encoding", "content-language", "content-location"];

/**
 * Makes a fetch with its own connection pools. It behaves as the standard one, with these differences: errors are HttpError
 * (a TypeError that tells `unsent` and holds no address beyond the origin), no `accept-encoding` is sent unless the caller does,
 * `redirect: "manual"` gives the real answer, and a key header never follows a redirect to another origin. A body nobody wants
 * must be ended by `response.body?.cancel()`, or its connection stays taken.
 */
export function createFetch(options: FetchOptions = {}): Fetch {
  const dispatcher = openDispatcher(options);
  const ownFetch = (input: string | URL | Request, init?: RequestInit): Promise<Response> => go(dispatcher, input, init);
  return Object.assign(ownFetch, { close: () => dispatcher.close(), destroy: () => dispatcher.destroy() });
}

/** Connection pools as `createFetch` has them, for a WebSocket through the same proxy. */
export function openDispatcher(options: FetchOptions = {}): Dispatcher {
  const { connectTimeoutMs = 10_000, silenceMs = 600_000, connections = 128, keepAliveMs = 30_000 } = options;
  const common = {
    connections,
    keepAliveTimeout: keepAliveMs,
    headersTimeout: silenceMs,
    bodyTimeout: silenceMs,
    connect: { timeout: connectTimeoutMs, ...(options.lookup === undefined ? {} : { lookup: options.lookup }) },
  };
  if (options.proxy === undefined || options.proxy === "") return new Agent(common);
  const { address, username, password } = proxyParts(options.proxy);
  const { connect: _, ...rest } = common;
  const tls = { timeout: connectTimeoutMs };
  // With `proxyTls` undici speaks TLS to a SOCKS proxy, which has none.
  if (address.startsWith("socks")) return new ProxyAgent({ ...rest, uri: address, requestTls: tls, ...(username === "" ? {} : { username, password }) } as ProxyAgent.Options);
  if (username === "") return new ProxyAgent({ ...rest, uri: address, requestTls: tls, proxyTls: tls });
  const token = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  return new ProxyAgent({ ...rest, uri: address, token, requestTls: tls, proxyTls: tls });
}

/** Throws SettingError without the address: a proxy address holds a password. */
function proxyParts(proxy: string): { address: string; username: string; password: string } {
  if (!URL.canParse(proxy)) throw new SettingError("CONF_001", {}, 'Expected the proxy to be an address such as "http://proxy.example:3128", got something else.');
  const url = new URL(proxy);
  if (!["http:", "https:", "socks5:", "socks:"].includes(url.protocol)) {
    throw new SettingError("CONF_001", {}, `Expected the proxy to begin with http://, https:// or socks5://, got "${url.protocol}//".`);
  }
  const parts = { username: plain(url.username), password: plain(url.password) };
  url.username = "";
  url.password = "";
  return { address: url.href, ...parts };
}

function plain(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

async function go(dispatcher: Dispatcher, input: string | URL | Request, init: RequestInit | undefined): Promise<Response> {
  const from = input instanceof Request ? input : undefined;
  let url = parse(from ? from.url : (input as string | URL));
  let method = (init?.method ?? from?.method ?? "GET").toUpperCase();
  const headers = plainHeaders(init?.headers ?? from?.headers);
  const signal = init?.signal ?? from?.signal ?? undefined;
  const redirect = init?.redirect ?? from?.redirect ?? "follow";
  const body = payload(init?.body ?? from?.body);
  if (body?.type !== undefined) headers["content-type"] ??= body.type;
  if (body?.length !== undefined) headers["content-length"] = String(body.length);
  useAddressCredentials(url, headers);
  let data = body?.data();

  for (let hop = 0; ; hop++) {
    let got: Dispatcher.ResponseData;
    try {
      // grammY brings an AbortSignal of its own, without throwIfAborted and reason.
      if (signal?.aborted) throw signal.reason;
      got = await dispatcher.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: method as Dispatcher.HttpMethod,
        headers,
        body: (data ?? null) as Dispatcher.DispatchOptions["body"] & null,
        ...(signal ? { signal } : {}),
      });
    } catch (thrown) {
      throw httpError(thrown, url, signal, hop > 0);
    }
    const location = REDIRECTS.has(got.statusCode) && redirect !== "manual" ? got.headers.location : undefined;
    if (typeof location !== "string") return answer(got, url, hop > 0, method, signal);

    await got.body.dump();
    const next = follow(url, location, redirect, hop);
    const toGet = got.statusCode === 303 ? method !== "HEAD" : got.statusCode < 303 && method === "POST";
    if (toGet) {
      method = "GET";
      data = undefined;
      for (const name of BODY_HEADERS) delete headers[name];
    } else if (data !== undefined) {
      if (!body?.again) throw new HttpError(`${url.host} redirected a request whose body is a stream, which cannot be sent twice.`, undefined, false);
      data = body.data();
    }
    if (next.origin !== url.origin) for (const name of SECRET_HEADERS) delete headers[name];
    url = next;
  }
}

/** Addresses are few and come again with each request; a parsed one is never changed. */
const parsed = new Map<string, URL>();
const MAX_PARSED = 100;
function parse(address: string | URL): URL {
  const text = String(address);
  let url = parsed.get(text);
  if (url === undefined) {
    url = read(text);
    if (parsed.size >= MAX_PARSED) parsed.clear();
    parsed.set(text, url);
  }
  return url;
}

function read(address: string): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined) throw new HttpError("Expected a full address that begins with http:// or https://.", "ERR_INVALID_URL", true);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new HttpError(`Expected an address with http: or https:, got "${url.protocol}".`, "ERR_INVALID_URL", true);
  return url;
}

function follow(url: URL, location: string, redirect: RequestRedirect, hop: number): URL {
  if (redirect === "error") throw new HttpError(`${url.host} answered with a redirect, which is not wanted here.`, undefined, false);
  if (hop === MAX_REDIRECTS) throw new HttpError(`${url.host} redirected more than ${MAX_REDIRECTS} times.`, undefined, false);
  const next = URL.canParse(location, url) ? new URL(location, url) : undefined;
  if (next === undefined || (next.protocol !== "http:" && next.protocol !== "https:")) {
    throw new HttpError(`${url.host} redirected to something that is no http address.`, undefined, false);
  }
  return next;
}

function plainHeaders(given: HeadersInit | undefined): Record<string, string> {
  const headers: Record<string, string> = { accept: "*/*", "user-agent": "ClawFlow" };
  if (given === undefined) return headers;
  const put = (name: string, value: string): void => {
    const key = name.toLowerCase();
    if (!HOP_HEADERS.has(key)) headers[key] = value;
  };
  if (given instanceof Headers) given.forEach((value, name) => { put(name, value); });
  else if (Array.isArray(given)) for (const [name = "", value = ""] of given) put(name, value);
  else for (const name of Object.keys(given)) put(name, String((given as Record<string, string>)[name]));
  return headers;
}

/** `https://user:password@host` becomes an authorization header, as browsers and curl do. */
function useAddressCredentials(url: URL, headers: Record<string, string>): void {
  if (url.username === "") return;
  headers.authorization ??= `Basic ${Buffer.from(`${plain(url.username)}:${plain(url.password)}`).toString("base64")}`;
}
