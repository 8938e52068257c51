/**
 * The fetch an MCP server is reached by. Where the server stands in the public internet, every name is looked up here and a private address refused; where the
 * owner named a host of the own network, that host alone is reached. What comes back is capped: an answer, and each event of a stream.
 */
import type { LookupFunction } from "node:net";
import { SettingError, ToolError } from "../errors.ts";
import { addressIn, isInternalName, isPrivate } from "../media/addresses.ts";
import { checkedLookup, type Resolve, resolveAll } from "../media/download.ts";
import { MAX_MESSAGE } from "./stdio.ts";

export interface GuardOptions {
  readonly url: string;
  /** The server may stand in the own network: this host is reached whatever its address. */
  readonly privateNetwork: boolean;
  readonly resolve?: Resolve;
}
export type GuardedFetch = typeof fetch & { close(): Promise<void> };

/** Throws CONF_001 for an address that no setting allows, SEC_003 for one that needs "own network". */
export function checkAddress({ url: text, privateNetwork }: GuardOptions): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) throw new SettingError("CONF_001", {}, "Expected the server's address to begin with http:// or https://.");
  if (url.username !== "" || url.password !== "") throw new SettingError("CONF_001", {}, "Expected an address without a user name and password. Secrets have a field of their own.");
  const address = addressIn(url);
  if (!privateNetwork && (address === undefined ? isInternalName(url.hostname) : isPrivate(address))) throw privateAddress();
  return url;
}
const privateAddress = () => new SettingError("SEC_003", {}, 'Expected an address of the public internet. Tick "This server is in my own network" if it is meant to be reached.');

export async function guardedFetch(options: GuardOptions): Promise<GuardedFetch> {
  const url = checkAddress(options);
  const { createFetch } = await import("../http.ts");
  const lookup: LookupFunction | undefined = options.privateNetwork ? undefined : checkedLookup(options.resolve ?? resolveAll);
  const own = createFetch({ connectTimeoutMs: 10_000, connections: 8, ...(lookup === undefined ? {} : { lookup }) });
  const guarded = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    const at = new URL(input instanceof Request ? input.url : input);
    // The SDK follows redirects itself, within the origin; so whatever it asks for, it is this host or nothing.
    if (at.origin !== url.origin) throw new ToolError("SEC_003", {}, `Expected a request to ${url.host}, got one to another host.`);
    const answer = await own(at, { ...init, redirect: "manual" });
    if (answer.body === null) return answer;
    const stream = (answer.headers.get("content-type") ?? "").includes("text/event-stream");
    return new Response(answer.body.pipeThrough(cap(stream)), { status: answer.status, statusText: answer.statusText, headers: answer.headers });
  };
  return Object.assign(guarded, { close: () => own.destroy() });
}

const LF = 10;
const CR = 13;
/** Of an event stream the bytes since the last empty line count. */
function cap(events: boolean): TransformStream<Uint8Array, Uint8Array> {
  let seen = 0;
  return new TransformStream({
    transform(chunk, out) {
      const end = events ? lastEmptyLine(chunk) : -1;
      seen = end < 0 ? seen + chunk.byteLength : chunk.byteLength - end;
      if (seen > MAX_MESSAGE) throw new ToolError("MCP_002", {}, `Expected an answer of at most ${MAX_MESSAGE} bytes, got more.`);
      out.enqueue(chunk);
    },
  });
}
function lastEmptyLine(chunk: Uint8Array): number {
  for (let at = chunk.length - 1; at > 0; at--) {
    if (chunk[at] !== LF && chunk[at] !== CR) continue;
    const before = chunk[at - 1];
    if (before === chunk[at] || (chunk[at] === LF && before === CR && chunk[at - 2] === LF)) return at + 1;
  }
  return -1;
}
