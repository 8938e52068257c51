/** Which addresses are nobody's business: everything that is not the public internet, and the names that lead there. Pure. */
import { BlockList, isIP, type IPVersion } from "node:net";

type Range = readonly [net: string, prefix: number];

/** IANA's registries of special-purpose addresses, https://www.iana.org/assignments/iana-ipv4-special-registry, and Azure's host agent, which stands in none. */
const V4: readonly Range[] = [
  ["0.0.0.0", 8], ["10.0.0.0", 8], ["100.64.0.0", 10], ["127.0.0.0", 8], ["169.254.0.0", 16], ["172.16.0.0", 12], ["192.0.0.0", 24], ["192.0.2.0", 24],
  ["192.31.196.0", 24], ["192.52.193.0", 24], ["192.88.99.0", 24], ["192.168.0.0", 16], ["192.175.48.0", 24], ["198.18.0.0", 15], ["198.51.100.0", 24],
  ["203.0.113.0", 24], ["224.0.0.0", 4], ["240.0.0.0", 4], ["168.63.129.16", 32],
];
/**
 * https://www.iana.org/assignments/iana-ipv6-special-registry. What holds an IPv4 address inside (NAT64, 6to4, Teredo, IPv4-compatible, translated) is refused
 * whole. IPv4-mapped addresses are not listed: `BlockList` judges ::ffff:a.b.c.d by the rules for a.b.c.d, and a rule for ::ffff:0:0/96 would refuse all of IPv4.
 */
const V6: readonly Range[] = [
  ["::", 96], ["::ffff:0:0:0", 96], ["64:ff9b::", 96], ["64:ff9b:1::", 48], ["100::", 64], ["2001::", 23], ["2001:db8::", 32], ["2002::", 16],
  ["3fff::", 20], ["5f00::", 16], ["fc00::", 7], ["fe80::", 10], ["fec0::", 10], ["ff00::", 8],
];
const blocked = new BlockList();
for (const [ranges, type] of [[V4, "ipv4"], [V6, "ipv6"]] as const satisfies readonly (readonly [readonly Range[], IPVersion])[]) {
  for (const [net, prefix] of ranges) blocked.addSubnet(net, prefix, type);
}

/** True for every address that is not one of the public internet, and for what is no address at all. */
export function isPrivate(address: string): boolean {
  // A zone (fe80::1%eth0) belongs to link-local addresses alone.
  const plain = address.split("%", 1)[0] ?? "";
  const version = isIP(plain);
  return version === 0 || blocked.check(plain, version === 6 ? "ipv6" : "ipv4");
}

/** RFC 6761, 6762, 8375, and ICANN's name for private use. A name without a dot is a name of the own network too. */
const INTERNAL = /(?:^|\.)(?:localhost|localdomain|local|internal|intranet|lan|home\.arpa|in-addr\.arpa|ip6\.arpa)$/;
export function isInternalName(host: string): boolean {
  const name = host.replace(/\.+$/, "").toLowerCase();
  return !name.includes(".") || INTERNAL.test(name);
}

/** The address that stands in a URL itself, in whatever form: WHATWG URLs have decimal, octal, hexadecimal and full-width ones folded already. Undefined for a name. */
export function addressIn(url: URL): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  return isIP(host) === 0 ? undefined : host;
}
