/**
 * Fetches addresses that somebody else named. Every step is checked: the address itself, all answers of the resolver, each redirect; and the socket goes to a
 * checked address, because the connection asks this resolver and no other.
 *
 * With a proxy the proxy looks names up and makes the connection, so nothing can be pinned here. What is known here is still checked (addresses, ports, names of
 * the own network, and what our own resolver says of the name, where it knows it); beyond that the proxy's own rules decide what can be reached.
 */
import { lookup } from "node:dns";
import type { LookupAddress, LookupOptions } from "node:dns";
import type { LookupFunction } from "node:net";
import type { ChannelContext } from "../channels/channel.ts";
import { ChannelError } from "../errors.ts";
import { addressIn, isInternalName, isPrivate } from "./addresses.ts";

export type Download = ChannelContext["download"];
/** All addresses of a name; rejects where there are none. */
export type Resolve = (host: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;
export interface DownloadOptions {
  /** The account's own fetch: for trusted origins, and for everything where there is a proxy. */
  readonly fetch: typeof fetch;
  readonly proxied?: boolean;
  readonly resolve?: Resolve;
  /** Ports of addresses that others name. */
  readonly ports?: ReadonlySet<string>;
  /** Until the whole file is there. */
  readonly timeoutMs?: number;
}

const MAX_REDIRECTS = 3;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** As `URL.port` says them: "" is 80 or 443. */
const PORTS: ReadonlySet<string> = new Set(["", "80", "443", "8080", "8443"]);
const MAX_BYTES = 100_000_000;
const TIMEOUT_MS = 60_000;
const CONNECT_MS = 10_000;

export function createDownload({ fetch: own, proxied = false, resolve = resolveAll, ports = PORTS, timeoutMs = TIMEOUT_MS }: DownloadOptions): Download {
  let guarded: Promise<typeof fetch> | undefined;
  /** Connections of its own, which end with their answer: nothing of them outlives an account. */
  function throughGuard(): Promise<typeof fetch> {
    guarded ??= import("../http.ts").then(({ createFetch }) => createFetch({ lookup: checkedLookup(resolve), connectTimeoutMs: CONNECT_MS, keepAliveMs: 1 }));
    return guarded;
  }

  /** The fetch for this address; throws where it must not be reached. */
  async function fetchFor(url: URL, trust: readonly string[]): Promise<typeof fetch> {
    if (url.username !== "" || url.password !== "") throw refused("an address without a user name and password");
    if (trust.includes(url.origin)) return own;
    if (!ports.has(url.port)) throw refused(`an address with port ${[...PORTS].filter((port) => port !== "").join(", ")}`);
    const address = addressIn(url);
    if (address === undefined ? isInternalName(url.hostname) : isPrivate(address)) throw refused("an address of the public internet");
    if (!proxied) return throughGuard();
    if (address === undefined && (await resolve(url.hostname).catch(() => [])).some((each) => isPrivate(each.address))) throw refused("an address of the public internet");
    return own;
  }

  return async (address, { headers = {}, signal, trust = [], bytes = MAX_BYTES } = {}) => {
    const late = AbortSignal.timeout(timeoutMs);
    const ends = signal === undefined ? late : AbortSignal.any([signal, late]);
    const first = parsed(address);
    let at = first;
    let home = true;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      // Who was sent away once gets no headers again, wherever the way leads.
      home &&= at.origin === first.origin;
      const go = await fetchFor(at, trust);
      const answer = await go(at, { redirect: "manual", signal: ends, headers: home ? { ...headers } : {} }).catch((thrown: unknown) => { throw fault(thrown, signal, late); });
      const next = REDIRECTS.has(answer.status) ? answer.headers.get("location") : null;
      if (next !== null) {
        await answer.body?.cancel().catch(() => undefined);
        at = parsed(next, at);
        continue;
      }
      if (answer.ok && answer.body !== null && !(Number(answer.headers.get("content-length") ?? 0) > bytes)) return capped(answer.body as ReadableStream<Uint8Array>, bytes, (thrown) => fault(thrown, signal, late));
      await answer.body?.cancel().catch(() => undefined);
      if (answer.ok && answer.body !== null) throw tooLarge(bytes);
      throw new ChannelError("MSG_002", { retry: answer.status >= 500 || answer.status === 429 ? "later" : "no", unsent: true }, `The file could not be fetched: its server answered ${answer.status}.`);
    }
    throw new ChannelError("MSG_002", { unsent: true }, `Expected a file after at most ${MAX_REDIRECTS} redirects, got one more.`);
  };
}

function parsed(address: string, base?: URL): URL {
  const url = URL.parse(address, base);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new ChannelError("MSG_002", { unsent: true }, "Expected a file's address to begin with http:// or https://, got something else.");
  return url;
}

const refused = (expected: string): ChannelError => new ChannelError("SEC_003", { unsent: true }, `Expected a file's address to be ${expected}, got another one.`);
const tooLarge = (bytes: number): ChannelError => new ChannelError("MSG_003", { unsent: true }, `Expected a file of at most ${bytes} bytes, got more.`);

/** An abort of the caller passes as its reason; everything else is a ChannelError. Nothing has left for the chat by then. */
function fault(thrown: unknown, signal: AbortSignal | undefined, late: AbortSignal): unknown {
  if (thrown instanceof ChannelError) return thrown;
  if (signal?.aborted) return signal.reason;
  // Our fetch keeps the code of what a connection failed by: here that of the resolver's refusal.
  if ((thrown as { code?: unknown })?.code === "SEC_003") return refused("an address of the public internet");
  const text = late.aborted ? "it did not come in time" : thrown instanceof Error ? thrown.message : String(thrown);
  return new ChannelError("CONN_001", { retry: "later", unsent: true, cause: thrown }, `The file could not be fetched: ${text}`);
}
/** What a connection asks for its addresses. It hears of none when one of them is private: a name with two faces is refused whole. */
export function checkedLookup(resolve: Resolve): LookupFunction {
  return (host: string, options: LookupOptions, done: (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void) => {
    resolve(host).then((found) => {
      if (found.length === 0) throw new ChannelError("CONN_001", { retry: "later", unsent: true }, `Expected an address for ${host}, got none.`);
      if (found.some(({ address }) => isPrivate(address))) throw refused("an address of the public internet");
      const [first] = found;
      if (options.all === true) done(null, found.map(({ address, family }) => ({ address, family })));
      else done(null, first?.address ?? "", first?.family);
    }).catch((error: NodeJS.ErrnoException) => { done(error, ""); });
  };
}

export function resolveAll(host: string): Promise<LookupAddress[]> {
  return new Promise((done, fail) => { lookup(host, { all: true }, (error, found) => { if (error) fail(error); else done(found); }); });
}

function capped(body: ReadableStream<Uint8Array>, most: number, fault: (thrown: unknown) => unknown): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let seen = 0;
  return new ReadableStream<Uint8Array>({
    async pull(out) {
      try {
        const { done, value } = await reader.read();
        if (done) return out.close();
        seen += value.byteLength;
        if (seen > most) throw tooLarge(most);
        out.enqueue(value);
      } catch (thrown) {
        reader.cancel().catch(() => undefined);
        throw fault(thrown);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
