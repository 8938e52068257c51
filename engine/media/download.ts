/** Fetches addresses that somebody else named: never from a private address, never more than allowed. */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import type { ChannelContext } from "../channels/channel.ts";
import { ChannelError } from "../errors.ts";

export type Download = ChannelContext["download"];

const MAX_REDIRECTS = 3;
const PRIVATE: readonly [net: string, prefix: number, type: "ipv4" | "ipv6"][] = [
  ["0.0.0.0", 8, "ipv4"], ["10.0.0.0", 8, "ipv4"], ["100.64.0.0", 10, "ipv4"], ["127.0.0.0", 8, "ipv4"], ["169.254.0.0", 16, "ipv4"], ["172.16.0.0", 12, "ipv4"], ["192.0.0.0", 24, "ipv4"], ["192.168.0.0", 16, "ipv4"],
  ["198.18.0.0", 15, "ipv4"], ["224.0.0.0", 3, "ipv4"], ["::", 127, "ipv6"], ["fc00::", 7, "ipv6"], ["fe80::", 10, "ipv6"], ["ff00::", 8, "ipv6"], ["64:ff9b::", 96, "ipv6"], ["2002::", 16, "ipv6"], ["2001::", 32, "ipv6"],
];
const blocked = new BlockList();
for (const [net, prefix, type] of PRIVATE) blocked.addSubnet(net, prefix, type);

export function isPrivate(address: string): boolean {
  return blocked.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}

export function createDownload(fetcher: typeof fetch): Download {
  return async (url, { headers = {}, signal, trust = [], bytes = Number.POSITIVE_INFINITY } = {}) => {
    let at = url;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const target = await allowed(at, trust);
      const own = target.origin === URL.parse(url)?.origin;
      const answer = await fetcher(target, { redirect: "manual", ...(own ? { headers } : {}), ...(signal === undefined ? {} : { signal }) });
      const next = answer.status >= 300 && answer.status < 400 ? answer.headers.get("location") : null;
      if (next === null) {
        if (!answer.ok || answer.body === null) throw new ChannelError("MSG_002", { retry: answer.status >= 500 || answer.status === 429 ? "later" : "no" }, `The file could not be fetched: its server answered ${answer.status}.`);
        return capped(answer.body as ReadableStream<Uint8Array>, bytes);
      }
      await answer.body?.cancel();
      at = new URL(next, target).href;
    }
    throw new ChannelError("MSG_002", {}, `Expected a file after at most ${MAX_REDIRECTS} redirects, got one more.`);
  };
}

async function allowed(address: string, trust: readonly string[]): Promise<URL> {
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new ChannelError("MSG_002", {}, "Expected a file's address to begin with http:// or https://, got something else.");
  if (trust.includes(url.origin)) return url;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const found = isIP(host) === 0 ? (await lookup(host, { all: true }).catch(() => [])).map(({ address: ip }) => ip) : [host];
  if (found.length === 0 || found.some(isPrivate)) throw new ChannelError("SEC_001", {}, "Expected a file's address to be a public one, got one of a private network or a name that is not known.");
  return url;
}

function capped(body: ReadableStream<Uint8Array>, most: number): ReadableStream<Uint8Array> {
  let seen = 0;
  return body.pipeThrough(new TransformStream<Uint8Array, Uint8Array>({
    transform(piece, out) {
      seen += piece.byteLength;
      if (seen > most) out.error(new ChannelError("MSG_003", {}, `Expected a file of at most ${most} bytes, got more.`));
      else out.enqueue(piece);
    },
  }));
}
