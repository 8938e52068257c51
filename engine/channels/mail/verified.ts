/**
 * Who really sent it: what the own mail server found out about SPF, DKIM and DMARC, as it writes it into Authentication-Results (RFC 8601).
 * Only the server that is trusted counts: anybody can write such a header into a mail, and a From besides.
 */
import { domainOf, type Mail } from "./parse.ts";

export interface Verdict {
  readonly verified: boolean;
  /** As `dkim:pass`. */
  readonly tags: readonly string[];
}
interface Result { readonly method: string; readonly result: string; readonly properties: ReadonlyMap<string, string> }

/** Names that servers of well-known services give themselves, by the host name of their IMAP server. "-": no name, as Exchange Online writes it. */
const KNOWN: readonly (readonly [host: RegExp, names: readonly string[]])[] = [
  [/(?:^|\.)(?:gmail|googlemail|google)\.com$/, ["mx.google.com"]],
  [/(?:^|\.)(?:office365|outlook|hotmail)\.com$/, ["-"]],
  [/(?:^|\.)(?:fastmail|messagingengine)\.com$/, ["*.messagingengine.com"]],
  [/(?:^|\.)(?:gmx|web)\.(?:net|de|com)$/, ["gmx.net", "web.de"]],
  [/(?:^|\.)mailbox\.org$/, ["*.mailbox.org"]],
];
export const knownServers = (host: string): readonly string[] => KNOWN.find(([pattern]) => pattern.test(host.toLowerCase()))?.[1] ?? [];

/**
 * `trusted`: names (authserv-id) of the own server. Only its topmost header counts: the next may be
 * the sender's own. A server must take such headers of others out (RFC 8601, 5), so one that writes none must not be named.
 * Verified means that the domain of From itself vouches: DMARC, or DKIM or SPF of that domain or one above it.
 */
export function verdict(mail: Mail, trusted: readonly string[]): Verdict {
  const results = ownResults(mail, trusted);
  const from = domainOf(mail.from?.address ?? "");
  // Several From are one too many: the server may have looked at another than we do.
  const single = mail.headers("from").length === 1;
  const of = (method: string) => results.filter((each) => each.method === method);
  const vouches = (domain: string | undefined): boolean => domain !== undefined && /\.[^.]+$/.test(domain) && (from === domain || from.endsWith(`.${domain}`));
  const dmarc = of("dmarc");
  const failed = dmarc.some(({ result }) => result === "fail" || result === "permerror");
  const passes = (dmarc.length > 0 && dmarc.every(({ result, properties }) => result === "pass" && (properties.get("header.from") ?? from) === from))
    || of("dkim").some(({ result, properties }) => result === "pass" && vouches(properties.get("header.d") ?? domainAfter(properties.get("header.i"))))
    || of("spf").some(({ result, properties }) => result === "pass" && vouches(domainAfter(properties.get("smtp.mailfrom"))));
  const tags = ["spf", "dkim", "dmarc"].flatMap((method) => { const [best] = [...of(method)].sort((a, b) => Number(b.result === "pass") - Number(a.result === "pass")); return best === undefined ? [] : [`${method}:${best.result}`]; });
  return { verified: from !== "" && single && !failed && passes, tags };
}

const domainAfter = (value: string | undefined): string | undefined => value?.slice(value.lastIndexOf("@") + 1);

function ownResults(mail: Mail, trusted: readonly string[]): readonly Result[] {
  const top = mail.headers("authentication-results").find((value) => isTrusted(value, trusted));
  return top === undefined ? [] : parse(top).results;
}

function isTrusted(header: string, trusted: readonly string[]): boolean {
  const { id } = parse(header);
  return trusted.some((name) => { const wanted = name.trim().toLowerCase(); return wanted === "-" ? id === "" : wanted.startsWith("*.") ? id.endsWith(wanted.slice(1)) : wanted !== "" && wanted === id; });
}

/** Comments and the inside of quotes decide nothing. */
function parse(header: string): { readonly id: string; readonly results: readonly Result[] } {
  const [first = "", ...rest] = pieces(header.slice(0, 20_000));
  const nameless = /^\s*[\w-]+\s*=/.test(first);
  const id = nameless ? "" : (first.trim().split(/\s+/)[0] ?? "").toLowerCase();
  const results = (nameless ? [first, ...rest] : rest).flatMap((piece): Result[] => {
    const pairs = [...piece.matchAll(/([\w.-]{1,64})\s*=\s*("[^"]*"|[^\s"]{1,500})/g)].map(([, key = "", value = ""]): [string, string] => [key.toLowerCase(), value.replace(/^"|"$/g, "").toLowerCase()]);
    const [head, ...properties] = pairs;
    // A property that comes twice is nobody's: two values cannot both have been checked.
    return head === undefined || new Set(properties.map(([key]) => key)).size !== properties.length ? [] : [{ method: head[0], result: head[1], properties: new Map(properties) }];
  });
  return { id, results };
}

function pieces(header: string): string[] {
  const parts = [""];
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < header.length; at++) {
    const sign = header[at] as string;
    if (sign === "\\" && (quoted || depth > 0)) { at++; continue; }
    if (quoted) { if (sign === '"') quoted = false; parts[parts.length - 1] += sign; continue; }
    if (sign === "(") depth++;
    else if (sign === ")" && depth > 0) depth--;
    else if (depth > 0) continue;
    else if (sign === ";") parts.push("");
    else { if (sign === '"') quoted = true; parts[parts.length - 1] += sign; }
  }
  return parts;
}
